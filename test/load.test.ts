import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readdir, readFile, stat} from 'node:fs/promises';
import http from 'node:http';
import {connect, createServer, type AddressInfo} from 'node:net';
import path from 'node:path';
import process from 'node:process';
import {Readable} from 'node:stream';
import {test} from 'node:test';
import {setImmediate, setTimeout as sleep} from 'node:timers/promises';
import {gzipSync} from 'node:zlib';
import {atEnd} from './support/cleanup.ts';
import {CliProcess, startInstance} from './support/cli.ts';
import {collectionOf} from './support/collections.ts';
import {firstWrongByte} from './support/content.ts';
import {startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';
import {startFaultOrigin} from './support/fault-origin.ts';
import {peakMemory} from './support/process-memory.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const timeout = 120_000;

/** Reads `most` bytes from `start`, then disconnects; resolves with them once the connection is closed. */
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

/** The inode of each record: a new one after each write. */
async function inodesOf(storageDir: string): Promise<number[]> {
	const ids = (await readdir(storageDir)).filter(name => /^[\da-f]{32}$/.test(name)).toSorted();
	const records = ids.map(id => path.join(storageDir, id, 'entry.json'));
	return Promise.all(records.map(async record => (await stat(record)).ino));
}

async function openDescriptors(): Promise<number> {
	return process.platform === 'linux' ? (await readdir('/proc/self/fd')).length : 0;
}

for (const [players, words, most] of [
	[1, 'one player reads', MiB],
	[20, '20 players at the same time read', 2 * MiB],
] as const) {
	test(`${words} an empty download: at most ${most / MiB} MiB are fetched twice`, {timeout}, async t => {
		const size = 16 * MiB;
		const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: 8 * MiB, latency: 10});
		const {engine} = await startEngine(t);
		const {download} = await engine.add({url: origin.url});
		await Promise.all(
			Array.from({length: players}, async () => {
				const response = await fetch(download.streamUrl);
				let offset = 0;
				for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
					assert.equal(firstWrongByte(bytes, offset), -1);
					offset += bytes.length;
				}

				assert.equal(offset, size);
			}),
		);
		await until(engine, download.id, ({status}) => status === 'complete');
		t.diagnostic(`${origin.bytesSent - size} bytes came twice`);
		assert.ok(origin.bytesSent - size <= most, `${origin.bytesSent - size} bytes came twice`);
	});
}

test('64 players of 64 files read their own bytes', {timeout}, async t => {
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
	'a player that connects and disconnects 300 times refetches almost nothing and leaves nothing behind',
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
			// Forward, as in playback; each request is for the rest of the file.
			const start = Math.floor((open / 300) * (size - 128 * KiB));
			assert.equal(firstWrongByte(await readAndLeave(streamUrl, start, 32 * KiB), start), -1);
		}

		await until(engine, download.id, ({status}) => status === 'complete');
		assert.ok(origin.bytesSent <= 1.1 * size, `${origin.bytesSent} bytes of ${size}`);
		await until(engine, download.id, ({connections}) => connections === 0);
		// The file may be complete before the proxy notices that the last player left.
		await until(engine, download.id, ({players}) => players.every(({connected}) => !connected));
		const after = await openDescriptors();
		assert.ok(after <= before + 8, `${after} descriptors after, ${before} before`);
	},
);

test('40 aborted seeks open at most 8 connections at once', {timeout}, async t => {
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
	assert.ok(origin.maxSockets <= 8, `${origin.maxSockets} connections`);
	await engine.cancel(download.id);
});

test('two players of new files on a host with one connection take turns', {timeout}, async t => {
	const faults = await startFaultOrigin(t, {size: 8 * MiB, etag: '"v1"', bytesPerSecond: MiB, latency: 50});
	const urlOf = (film: number) => faults.urlOf('limit', {connections: 1, film});
	// In its own process: endless turns would starve the timers of this one.
	const {
		ready: {url: proxy, key},
	} = await startInstance(t, await temporaryFolder(t), urlOf(0));
	while (faults.shown('limit') === 0) {
		await setImmediate();
	}

	await Promise.all(
		[1, 2].map(async film => {
			const response = await fetch(`${proxy}/stream?key=${key}&url=${encodeURIComponent(urlOf(film))}`, {
				headers: {range: 'bytes=0-99999'},
				signal: AbortSignal.timeout(timeout),
			});
			assert.equal(response.status, 206);
			assert.equal(firstWrongByte(Buffer.from(await response.arrayBuffer()), 0), -1);
		}),
	);
});

test(
	'a player that requests 512 MiB and stops reading costs under 100 MiB, and 300 that disconnect cost nothing',
	{timeout, skip: process.platform === 'linux' ? false : 'needs Linux, for /proc'},
	async t => {
		const size = 512 * MiB;
		const origin = await startOrigin(t, {size, etag: '"v1"'});
		const storage = await temporaryFolder(t);
		const {
			serve,
			ready: {url: proxy, key},
		} = await startInstance(t, storage, '--on-demand');
		const pid = serve.child.pid!;
		const streamUrl = `${proxy}/stream?key=${key}&url=${encodeURIComponent(origin.url)}`;
		// The first read loads modules, which do not count.
		await readAndLeave(streamUrl, 0, KiB);
		const before = peakMemory(pid);
		const request = http.get(streamUrl, {agent: false});
		const [response] = (await once(request, 'response')) as [http.IncomingMessage];
		assert.equal(response.statusCode, 200);
		response.pause();
		// The player is blocked once nothing is sent for it between two reads of another.
		for (let sent = -1; sent < origin.bytesSent;) {
			sent = origin.bytesSent;
			await readAndLeave(streamUrl, 0, 64 * KiB);
		}

		const cost = peakMemory(pid) - before;
		t.diagnostic(`${Math.round(cost / MiB)} MiB for the player that stopped`);
		assert.ok(cost < 100 * MiB, `${cost} bytes`);
		request.destroy();
		const descriptors = (await readdir(`/proc/${pid}/fd`)).length;
		const beforeLeaving = peakMemory(pid);
		for (let open = 0; open < 300; open++) {
			await readAndLeave(streamUrl, open * MiB, 32 * KiB);
		}

		const more = peakMemory(pid) - beforeLeaving;
		t.diagnostic(`${Math.round(more / MiB)} MiB for 300 that left`);
		assert.ok(more < 50 * MiB, `${more} bytes`);
		const left = (await readdir(`/proc/${pid}/fd`)).length - descriptors;
		assert.ok(left <= 8, `${left} descriptors left`);
	},
);

test(
	'players that pause, pipeline, request several ranges or disconnect get only their own bytes',
	{timeout},
	async t => {
		const size = 96 * MiB;
		const origin = await startOrigin(t, {size, etag: '"v1"'});
		const {engine, proxy} = await startEngine(t);
		const {download} = await engine.add({url: origin.url});
		const {pathname} = new URL(download.streamUrl);
		/** The responses to pipelined requests, read with pauses; cut after `most` bytes. */
		const stutter = async (ranges: string[], most: number): Promise<Buffer> => {
			const socket = connect(proxy.port, '127.0.0.1').on('error', () => undefined);
			const head = (range: string, isLast: boolean) =>
				`GET ${pathname} HTTP/1.1\r\nHost: 127.0.0.1:${proxy.port}\r\nRange: bytes=${range}\r\n` +
				`Connection: ${isLast ? 'close' : 'keep-alive'}\r\n\r\n`;
			socket.write(ranges.map((range, index) => head(range, index === ranges.length - 1)).join(''));
			const chunks: Buffer[] = [];
			let length = 0;
			for await (const chunk of socket as AsyncIterable<Buffer>) {
				chunks.push(chunk);
				length += chunk.length;
				if (length >= most) {
					socket.destroy();
					break;
				}

				await sleep(Math.random() < 0.1 ? 20 : 0);
			}

			return Buffer.concat(chunks);
		};
		/** Checks each piece of the file in the responses; returns the number of its bytes. */
		const check = (answers: Buffer): number => {
			let checked = 0;
			for (let at = 0; ;) {
				const found = answers.indexOf('Content-Range: bytes ', at, 'latin1');
				const name = found === -1 ? answers.indexOf('content-range: bytes ', at, 'latin1') : found;
				const body = name === -1 ? -1 : answers.indexOf('\r\n\r\n', name, 'latin1') + 4;
				if (body < 4) {
					return checked;
				}

				const [, first, last] =
					/bytes (\d+)-(\d+)/.exec(answers.subarray(name, body).toString('latin1')) ?? [];
				const bytes = answers.subarray(body, body + Number(last) + 1 - Number(first));
				assert.equal(firstWrongByte(bytes, Number(first)), -1);
				checked += bytes.length;
				at = body + bytes.length;
			}
		};
		let checked = 0;
		const below = (end: number) => Math.floor(Math.random() * end);
		const range = (length: number) => {
			const start = below(size - length);
			return `${start}-${start + length - 1}`;
		};
		const several = () =>
			[0, 1, 2].map(third => `${third * 32 * MiB + below(MiB)}-${third * 32 * MiB + 2 * MiB}`);
		const lengthOf = (part: string) => {
			const [first, last] = part.split('-');
			return Number(last) + 1 - Number(first);
		};
		await Promise.all(
			Array.from({length: 12}, async (_, index) => {
				// A number of rounds, not a time, in which a busy machine reads little. The first ones are read to their end.
				for (let round = 0; round < 3; round++) {
					const ranges = [[range(3 * MiB)], [range(MiB), range(MiB)], [several().join(',')]][index % 3]!;
					const isCut = round > 0 && Math.random() < 0.5;
					const found = check(await stutter(ranges, isCut ? below(3 * MiB) : Infinity));
					const parts = ranges.flatMap(each => each.split(','));
					const all = parts.reduce((sum, part) => sum + lengthOf(part), 0);
					assert.ok(isCut ? found <= all : found === all, `${found} bytes of ${ranges.join(' and ')}`);
					checked += found;
				}
			}),
		);
		t.diagnostic(`${Math.round(checked / MiB)} MiB`);
		await engine.cancel(download.id);
	},
);

for (const [words, head, piece, most] of [
	[
		'compresses 1 GiB of zeros unasked',
		'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n',
		() => gzipSync(Buffer.alloc(16 * MiB)),
		64,
	],
	['never ends its headers', 'HTTP/1.1 200 OK\r\n', () => Buffer.from(`x: ${'y'.repeat(MiB)}\r\n`), Infinity],
	[
		'sends header after header',
		'HTTP/1.1 200 OK\r\n',
		() => Buffer.from('x: y\r\n'.repeat(100_000)),
		Infinity,
	],
] as const) {
	test(`an origin that ${words} costs under 150 MiB of memory`, {timeout}, async t => {
		const bytes = piece();
		const server = createServer(socket => {
			socket.on('error', () => undefined);
			socket.once('data', () => {
				socket.write(head);
				Readable.from(
					(function* () {
						for (let sent = 0; sent < most; sent++) {
							yield bytes;
						}
					})(),
				)
					.on('error', () => undefined)
					.pipe(socket);
			});
		}).listen(0, '127.0.0.1');
		await once(server, 'listening');
		atEnd(t, () => server.close());
		const folder = await temporaryFolder(t);
		const memoryFile = path.join(folder, 'memory');
		const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/film.mkv`;
		const get = await CliProcess.start(
			t,
			['get', '--port', '0', '--storage', path.join(folder, 'storage'), '-o', path.join(folder, 'film'), url],
			{
				env: {PEAK_MEMORY_FILE: memoryFile},
				nodeArgs: ['--import', path.join(import.meta.dirname, 'support/report-peak-memory.mjs')],
			},
		);
		// Compressed bodies are decompressed before they are stored.
		assert.equal(await get.exit(), head.includes('gzip') ? 0 : 1, get.stderr);
		const peak = Number(await readFile(memoryFile, 'utf8')) / 1024;
		t.diagnostic(`peak memory: ${Math.round(peak)} MiB`);
		assert.ok(peak < 150, `${peak} MiB`);
	});
}

test('10,000 downloads open, change one at a time, and close', {timeout}, async t => {
	const count = 10_000;
	const storageDir = await collectionOf(t, count, KiB);
	const {engine, close} = await startEngine(t, {storageDir});
	const before = engine.snapshot;
	assert.equal(before.downloads.length, count);
	assert.deepEqual(before.banners, []);
	assert.ok(before.downloads.every(({status, present}) => status === 'paused' && present === KiB));
	assert.equal(new Set(before.downloads.map(({addedAt}) => addedAt)).size, count);
	const one = before.downloads[count / 2]!;
	await engine.update(one.id, {name: 'changed.mkv'});
	const anew = engine.snapshot.downloads.filter((download, index) => download !== before.downloads[index]);
	assert.deepEqual(
		anew.map(({id, name}) => [id, name]),
		[[one.id, 'changed.mkv']],
	);
	const records = await inodesOf(storageDir);
	await close();
	const written = (await inodesOf(storageDir)).filter((inode, index) => inode !== records[index]);
	assert.equal(written.length, 0, 'records of downloads that did nothing were written');
});
