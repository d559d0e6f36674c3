import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {firstWrongByte} from './support/content.ts';
import {startEngine, startOrigin, until} from './support/engines.ts';

const MiB = 1024 * 1024;
const seconds = 30;
/** Bytes in the buffers of a socket. */
const maxUnread = 128 * 1024;

test('two players that seek for 30 s beside the background read correct bytes, each fetched once', async t => {
	const size = 160 * MiB;
	// Slow enough that the seeks last as long as the transfer.
	const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: 1.2 * MiB, latency: 20});
	const {engine, storageDir} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	const {streamUrl} = await until(engine, download.id, ({size}) => size !== null);
	const deadline = Date.now() + seconds * 1000;
	let reads = 0;
	let bytesRead = 0;
	const play = async (name: string) => {
		while (Date.now() < deadline) {
			const start = Math.floor(Math.random() * size);
			const wish = Math.ceil(Math.random() * 2 * MiB);
			// Half of them request the rest of the file and disconnect, as players do.
			const end = Math.random() < 0.5 ? '' : Math.min(size, start + wish) - 1;
			const abort = new AbortController();
			const response = await fetch(streamUrl, {
				headers: {range: `bytes=${start}-${end}`, 'user-agent': name},
				signal: abort.signal,
			});
			assert.equal(response.status, 206);
			let offset = start;
			try {
				for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
					assert.equal(firstWrongByte(chunk, offset), -1);
					offset += chunk.length;
					if (offset >= start + wish || Date.now() >= deadline) {
						abort.abort();
						break;
					}
				}
			} catch (error) {
				assert.ok(abort.signal.aborted, String(error));
			}

			reads++;
			bytesRead += offset - start;
		}
	};

	await Promise.all([play('first/1'), play('second/2')]);
	origin.options.bytesPerSecond = undefined;
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(firstWrongByte(await readFile(path.join(storageDir, download.id, 'data')), 0), -1);
	t.diagnostic(
		`${reads} reads, ${Math.round(bytesRead / MiB)} MiB read; ${origin.bytesSent} of ${size} bytes fetched, ${origin.requests.length} requests`,
	);
	assert.ok(reads > 10);
	// When a connection ends, its socket holds bytes that nobody reads: few on an idle machine, many on a busy one.
	const wasted = origin.bytesSent - size;
	assert.ok(wasted <= origin.requests.length * maxUnread, `${wasted} in ${origin.requests.length} requests`);
});
