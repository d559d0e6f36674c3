import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readdir} from 'node:fs/promises';
import http from 'node:http';
import process from 'node:process';
import {test} from 'node:test';
import {firstWrongByte} from './support/content.ts';
import {downloadOf, startEngine, startOrigin, until} from './support/engines.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const timeout = 120_000;

/** Reads so many bytes from there on, then leaves; resolves with them when the connection is gone. */
async function readAndLeave(url: string, start: number, most: number, end = ''): Promise<Buffer> {
	const request = http.get(url, {agent: false, headers: {range: `bytes=${start}-${end}`}});
	const [response] = (await once(request, 'response')) as [http.IncomingMessage];
	assert.equal(response.statusCode, 206);
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const chunk of response as AsyncIterable<Buffer>) {
		chunks.push(chunk);
		length += chunk.length;
		if (length >= most) {
			break;
		}
	}

	if (!request.destroyed) {
		request.destroy();
		await once(request, 'close');
	}

	return Buffer.concat(chunks).subarray(0, most);
}

async function openDescriptors(): Promise<number> {
	return process.platform === 'linux' ? (await readdir('/proc/self/fd')).length : 0;
}

test('64 players on 64 files get their own bytes', {timeout}, async t => {
	const size = 2 * MiB;
	const origin = await startOrigin(t, {size, etag: '"v1"'});
	const {engine} = await startEngine(t, {maxActive: 4});
	await Promise.all(
		Array.from({length: 64}, async (_, index) => {
			const {download} = await engine.add({url: origin.urlOf(`/film-${index}.mkv`)});
			const start = index * 30_000;
			const bytes = await readAndLeave(download.streamUrl, start, 64 * KiB, String(start + 64 * KiB - 1));
			assert.equal(bytes.length, 64 * KiB);
			assert.equal(firstWrongByte(bytes, start), -1);
		}),
	);
	for (const {id} of engine.snapshot.downloads) {
		await until(engine, id, ({status}) => status === 'complete');
	}

	assert.ok(origin.bytesSent <= 64 * size * 1.1, `${origin.bytesSent} bytes sent`);
});

test(
	'a player that opens and leaves 300 times costs hardly a byte more, and leaves nothing behind',
	{timeout},
	async t => {
		const size = 40 * MiB;
		const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: 8 * MiB});
		const {engine} = await startEngine(t);
		const {download} = await engine.add({url: origin.url});
		const {streamUrl} = await until(engine, download.id, ({size: known}) => known !== null);
		await readAndLeave(streamUrl, 0, KiB);
		const before = await openDescriptors();
		for (let open = 0; open < 300; open++) {
			// Forward, as it plays; each time for the rest of the file.
			const start = Math.floor((open / 300) * (size - 128 * KiB));
			assert.equal(firstWrongByte(await readAndLeave(streamUrl, start, 32 * KiB), start), -1);
		}

		await until(engine, download.id, ({status}) => status === 'complete');
		assert.ok(origin.bytesSent <= 1.1 * size, `${origin.bytesSent} bytes of ${size}`);
		await until(engine, download.id, ({connections}) => connections === 0);
		assert.deepEqual(
			downloadOf(engine, download.id).players.filter(({connected}) => connected),
			[],
		);
		const after = await openDescriptors();
		assert.ok(after <= before + 8, `${after} descriptors after, ${before} before`);
	},
);

test('40 seeks that are given up open at most 8 connections at once', {timeout}, async t => {
	const size = 400 * MiB;
	const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: 512 * KiB, latency: 20});
	const {engine} = await startEngine(t, {connections: 4});
	const {download} = await engine.add({url: origin.url});
	const {streamUrl} = await until(engine, download.id, ({size: known}) => known !== null);
	await Promise.all(
		Array.from({length: 40}, async (_, seek) => {
			const start = seek * 9 * MiB;
			assert.equal(firstWrongByte(await readAndLeave(streamUrl, start, KiB), start), -1);
		}),
	);
	assert.ok(origin.mostSockets <= 8, `${origin.mostSockets} connections`);
	await engine.cancel(download.id);
});
