import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {readFile, stat} from 'node:fs/promises';
import {connect, type Socket} from 'node:net';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import type {DownloadRecord} from '../source/engine/store/record.ts';
import {firstWrongByte} from './support/content.ts';
import {
	downloadOf,
	startDownload,
	startEngine,
	startOrigin,
	temporaryFolder,
	until,
	untilEnded,
} from './support/engines.ts';
import {withCode} from './support/errors.ts';

const MiB = 1024 * 1024;
const etag = '"v1"';

async function readStream(url: string, range?: string): Promise<{status: number; bytes: Buffer}> {
	const response = await fetch(url, {headers: range === undefined ? {} : {range: `bytes=${range}`}});
	return {status: response.status, bytes: Buffer.from(await response.arrayBuffer())};
}

test('a download fetches each byte once', async t => {
	const origin = await startOrigin(t, {size: 20 * MiB + 17, etag});
	// Bytes of a split segment may be in flight already.
	const {engine, storageDir} = await startEngine(t, {connections: 1});
	const {download} = await engine.add({url: origin.url});
	const done = await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(done.present, 20 * MiB + 17);
	assert.deepEqual(done.ranges, [[0, 20 * MiB + 17]]);
	assert.equal(origin.bytesSent, 20 * MiB + 17);
	const stored = await readFile(path.join(storageDir, download.id, 'data'));
	assert.equal(firstWrongByte(stored, 0), -1);
});

test('the first response shows name, size and type before its body', async t => {
	const {engine, download} = await startDownload(t, {
		size: 50 * MiB,
		bytesPerSecond: 64 * 1024,
		headers: {
			'content-type': 'video/x-matroska',
			'content-disposition': "attachment; filename*=UTF-8''caf%C3%A9.mkv",
		},
	});
	const known = await until(engine, download.id, ({size}) => size !== null);
	assert.deepEqual([known.name, known.size, known.type], ['café.mkv', 50 * MiB, 'video/x-matroska']);
	assert.ok(known.present < 50 * MiB);
});

test('the first bytes give the type if the response has none', async t => {
	const png = Buffer.concat([
		Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex'),
		Buffer.alloc(1000),
	]);
	const origin = await startOrigin(t, {
		size: png.length,
		intercept(_request, response) {
			response.writeHead(200, {'content-type': 'application/octet-stream', 'content-length': png.length});
			response.end(png);
			return true;
		},
	});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.urlOf('/thing')});
	const done = await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(done.type, 'image/png');
});

test('a player reads far ahead of the background, and its bytes stay cached', async t => {
	const {engine, download} = await startDownload(t, {size: 200 * MiB, etag, bytesPerSecond: MiB});
	await until(engine, download.id, ({present}) => present > 0);
	const offset = 180 * MiB + 12_345;
	const {status, bytes} = await readStream(
		downloadOf(engine, download.id).streamUrl,
		`${offset}-${offset + 99_999}`,
	);
	assert.equal(status, 206);
	assert.equal(bytes.length, 100_000);
	assert.equal(firstWrongByte(bytes, offset), -1);
	const {ranges} = downloadOf(engine, download.id);
	assert.ok(
		ranges.some(([start, end]) => start <= offset && end >= offset + 100_000),
		JSON.stringify(ranges),
	);
});

test('two players beside the background read the correct bytes, almost none fetched twice', async t => {
	const size = 24 * MiB;
	const {origin, engine, download} = await startDownload(t, {size, etag, bytesPerSecond: 4 * MiB});
	await until(engine, download.id, ({size}) => size !== null);
	const {streamUrl} = downloadOf(engine, download.id);
	const play = async (start: number) => {
		const {bytes} = await readStream(streamUrl, `${start}-`);
		assert.equal(bytes.length, size - start);
		assert.equal(firstWrongByte(bytes, start), -1);
	};
	await Promise.all([
		play(0),
		play(13 * MiB + 5),
		until(engine, download.id, ({status}) => status === 'complete'),
	]);
	// Bytes in flight are lost when a connection is reassigned to a player.
	assert.ok(origin.bytesSent <= size + 3 * MiB, `${origin.bytesSent} of ${size}`);
});

for (const [words, length] of [
	['without ranges', 'content-length'],
	['without ranges, chunked, of unknown size', 'chunked'],
	['without ranges, of unknown size, ended by closing', 'close'],
] as const) {
	test(`a file from an origin ${words} is fetched in order`, async t => {
		const size = 3 * MiB + 5;
		const {engine, storageDir, download} = await startDownload(t, {size, ranges: false, length, etag});
		const done = await untilEnded(engine, download.id);
		assert.equal(done.error, null);
		assert.equal(done.size, size);
		assert.equal(done.acceptsRanges, false);
		assert.equal(firstWrongByte(await readFile(path.join(storageDir, download.id, 'data')), 0), -1);
		const {bytes} = await readStream(done.streamUrl, '1000000-1000099');
		assert.equal(firstWrongByte(bytes, 1_000_000), -1);
	});
}

test('a player streams a file of unknown size to its true end', async t => {
	const size = 2 * MiB;
	const {engine, download} = await startDownload(t, {
		size,
		ranges: false,
		length: 'chunked',
		bytesPerSecond: 2 * MiB,
	});
	const {status, bytes} = await readStream(downloadOf(engine, download.id).streamUrl);
	assert.equal(status, 200);
	assert.equal(bytes.length, size);
	assert.equal(firstWrongByte(bytes, 0), -1);
});

test('an empty file is complete after the first response', async t => {
	const {engine, download} = await startDownload(t, {size: 0});
	const done = await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(done.size, 0);
	const {status, bytes} = await readStream(done.streamUrl);
	assert.deepEqual([status, bytes.length], [200, 0]);
});

test('an origin that refuses every Range still plays', async t => {
	const size = MiB;
	const origin = await startOrigin(t, {
		size,
		ranges: false,
		intercept(request, response) {
			if (request.headers.range !== undefined) {
				response.writeHead(416).end();
				return true;
			}

			return false;
		},
	});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	const {bytes} = await readStream(downloadOf(engine, download.id).streamUrl);
	assert.equal(firstWrongByte(bytes, 0), -1);
	assert.equal(bytes.length, size);
});

test('pause stops the background, still serves players, and resume completes the file', async t => {
	const size = 12 * MiB;
	const {origin, engine, download} = await startDownload(t, {size, etag, bytesPerSecond: MiB});
	await until(engine, download.id, ({present}) => present > 100_000);
	await engine.pause(download.id);
	const paused = await until(engine, download.id, ({connections}) => connections === 0);
	assert.equal(paused.status, 'paused');
	const {bytes} = await readStream(paused.streamUrl, `${10 * MiB}-${10 * MiB + 999}`);
	assert.equal(firstWrongByte(bytes, 10 * MiB), -1);
	assert.equal(downloadOf(engine, download.id).status, 'paused');
	origin.options.bytesPerSecond = undefined;
	await engine.resume(download.id);
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.ok(origin.bytesSent < size + MiB, `${origin.bytesSent}`);
});

test('cancel closes the connections, ends the players and keeps the bytes', async t => {
	const {origin, engine, download} = await startDownload(t, {size: 50 * MiB, etag, bytesPerSecond: MiB});
	await until(engine, download.id, ({present}) => present > 100_000);
	const {streamUrl} = downloadOf(engine, download.id);
	const response = await fetch(streamUrl);
	const reading = assert.rejects(response.arrayBuffer());
	await engine.cancel(download.id);
	await reading;
	const cancelled = downloadOf(engine, download.id);
	assert.equal(cancelled.status, 'cancelled');
	assert.equal(cancelled.connections, 0);
	assert.ok(cancelled.present > 100_000);
	await Promise.all([...origin.sockets].map(socket => new Promise(resolve => socket.once('close', resolve))));
	assert.equal((await fetch(streamUrl)).status, 404);
});

test('a restart resumes from the recorded bytes and refetches three samples', async t => {
	const size = 16 * MiB;
	const {origin, running: first, download} = await startDownload(t, {size, etag, bytesPerSecond: 2 * MiB});
	await until(first.engine, download.id, ({present}) => present > 3 * MiB);
	await first.close();
	const {bytesSent} = origin;
	origin.options.bytesPerSecond = undefined;
	const entry = await readFile(path.join(first.storageDir, download.id, 'entry.json'), 'utf8');
	const {ranges} = JSON.parse(entry) as {ranges: Array<[number, number]>};
	const recorded = ranges.reduce((sum, [start, end]) => sum + end - start, 0);
	assert.ok(recorded > 3 * MiB);
	const second = await startEngine(t, {storageDir: first.storageDir});
	assert.equal(downloadOf(second.engine, download.id).streamUrl.split('/').at(-2), download.id);
	await until(second.engine, download.id, ({status}) => status === 'complete');
	assert.equal(origin.bytesSent - bytesSent, size - recorded + 3 * 4096);
	assert.equal(firstWrongByte(await readFile(path.join(first.storageDir, download.id, 'data')), 0), -1);
});

test('a file changed on the server never mixes with cached bytes', async t => {
	const size = 8 * MiB;
	const {
		origin,
		running: first,
		download,
	} = await startDownload(t, {
		size,
		etag,
		lastModified: 'Mon, 02 Nov 2026 00:00:00 GMT',
		bytesPerSecond: MiB,
	});
	await until(first.engine, download.id, ({present}) => present > MiB);
	await first.close();
	origin.options = {...origin.options, etag: '"v2"', seed: 2, bytesPerSecond: undefined};
	const second = await startEngine(t, {storageDir: first.storageDir});
	const failed = await until(second.engine, download.id, ({status}) => status === 'failed');
	assert.equal(failed.error?.code, 'origin-changed');
	assert.ok(failed.present >= MiB);
	for (const [start, end] of failed.ranges) {
		const {bytes} = await readStream(failed.streamUrl, `${start}-${end - 1}`);
		assert.equal(firstWrongByte(bytes, start, 1), -1);
	}
});

test('without a validator, samples of cached bytes reveal a change', async t => {
	const size = 8 * MiB;
	const {origin, running: first, download} = await startDownload(t, {size, bytesPerSecond: MiB});
	await until(first.engine, download.id, ({present}) => present > MiB);
	await first.close();
	origin.options = {...origin.options, seed: 2, bytesPerSecond: undefined};
	const second = await startEngine(t, {storageDir: first.storageDir});
	const failed = await until(second.engine, download.id, ({status}) => status === 'failed');
	assert.equal(failed.error?.code, 'origin-changed');
	const held = await readFile(path.join(first.storageDir, download.id, 'data'));
	for (const [start, end] of failed.ranges) {
		assert.equal(firstWrongByte(held.subarray(start, end), start, 1), -1);
	}
});

test('a refused download gives its reason to players at once and after a restart', async t => {
	const origin = await startOrigin(t, {
		size: 1,
		intercept(_request, response) {
			response.writeHead(403).end();
			return true;
		},
	});
	const first = await startEngine(t);
	const {download} = await first.engine.add({url: origin.url});
	const failed = await until(first.engine, download.id, ({status}) => status === 'failed');
	assert.match(failed.error?.message ?? '', /403/);
	const response = await fetch(failed.streamUrl);
	assert.equal(response.status, 403);
	assert.match(await response.text(), /403/);
	await first.close();
	const second = await startEngine(t, {storageDir: first.storageDir});
	assert.match(downloadOf(second.engine, download.id).error?.message ?? '', /403/);
});

test('broken connections lose no bytes', async t => {
	const size = 6 * MiB;
	let cuts = 0;
	const origin = await startOrigin(t, {
		size,
		etag,
		intercept(_request, response) {
			if (cuts < 5) {
				cuts++;
				setTimeout(() => response.destroy(), 30 * cuts);
			}

			return false;
		},
		bytesPerSecond: 4 * MiB,
	});
	const {engine, storageDir} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(cuts, 5);
	assert.equal(firstWrongByte(await readFile(path.join(storageDir, download.id, 'data')), 0), -1);
});

test('an origin that refuses a third connection gets no more than two', async t => {
	const size = 12 * MiB;
	const origin = await startOrigin(t, {
		size,
		etag,
		bytesPerSecond: 2 * MiB,
		intercept(_request, response) {
			if (origin.sockets.size > 2) {
				response.writeHead(429, {connection: 'close'}).end();
				return true;
			}

			return false;
		},
	});
	const {engine} = await startEngine(t, {connections: 8});
	const {download} = await engine.add({url: origin.url});
	const done = await untilEnded(engine, download.id);
	assert.equal(done.status, 'complete');
	assert.ok(origin.requests.length < 25, `${origin.requests.length} requests`);
});

test('on demand, only requested ranges are fetched', async t => {
	const size = 100 * MiB;
	const {engine, download} = await startDownload(t, {size, etag}, {onDemand: true});
	const known = await until(engine, download.id, ({size}) => size !== null);
	const {bytes} = await readStream(known.streamUrl, `${50 * MiB}-${50 * MiB + 9}`);
	assert.equal(firstWrongByte(bytes, 50 * MiB), -1);
	assert.ok(downloadOf(engine, download.id).present < MiB);
});

test('a seek to the end of 100 GiB uses less than 2 MiB of disk', async t => {
	const size = 100 * 1024 * MiB;
	const {engine, storageDir, download} = await startDownload(t, {size, etag}, {onDemand: true});
	const known = await until(engine, download.id, ({size}) => size !== null);
	const offset = 99 * 1024 * MiB + 7;
	const {bytes} = await readStream(known.streamUrl, `${offset}-${offset + 65_535}`);
	assert.equal(firstWrongByte(bytes, offset), -1);
	const {size: length, blocks} = await stat(path.join(storageDir, download.id, 'data'));
	assert.equal(length, size);
	assert.ok(blocks * 512 < 2 * MiB, `${blocks * 512} bytes of disk`);
	t.diagnostic(`${blocks * 512} bytes of disk after a seek to 99 GiB`);
});

test('the queue limits running downloads, and players read queued ones', async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag, bytesPerSecond: MiB});
	const {engine} = await startEngine(t, {maxActive: 1});
	const {download: first} = await engine.add({url: origin.urlOf('/1')});
	const {download: second} = await engine.add({url: origin.urlOf('/2')});
	await until(engine, first.id, ({present}) => present > 0);
	assert.equal(downloadOf(engine, second.id).status, 'queued');
	const {bytes} = await readStream(downloadOf(engine, second.id).streamUrl, '0-999');
	assert.equal(firstWrongByte(bytes, 0), -1);
	await engine.pause(first.id);
	origin.options.bytesPerSecond = undefined;
	await until(engine, second.id, ({status}) => status === 'complete');
});

test('export writes the whole file and replaces another only on request', async t => {
	const size = 2 * MiB;
	const origin = await startOrigin(t, {size, etag, bytesPerSecond: MiB});
	const folder = await temporaryFolder(t);
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	await assert.rejects(engine.export(download.id, {path: folder}), withCode('incomplete'));
	const {path: target} = await engine.export(download.id, {path: folder, when: 'complete'});
	await until(engine, download.id, ({exportedTo}) => exportedTo !== null);
	const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
	assert.equal(target, path.join(folder, 'film.bin'));
	assert.equal(hash(await readFile(target)), hash(origin.content(0, size)));
	await assert.rejects(engine.export(download.id, {path: folder}), withCode('target-exists'));
	const moved = await engine.export(download.id, {path: path.join(folder, 'moved.bin'), move: true});
	const {bytes} = await readStream(downloadOf(engine, download.id).streamUrl, '5-99');
	assert.equal(firstWrongByte(bytes, 5), -1);
	assert.equal((await stat(moved.path)).size, size);
});

test('undo restores a removed download, and adding it again resumes from kept data', async t => {
	const {origin, engine, download} = await startDownload(t, {size: 8 * MiB, etag, bytesPerSecond: MiB});
	await until(engine, download.id, ({present}) => present > 100_000);
	await engine.remove(download.id, {data: 'delete'});
	assert.equal(engine.snapshot.downloads.length, 0);
	await engine.restore(download.id);
	assert.ok(downloadOf(engine, download.id).present > 100_000);
	await engine.remove(download.id, {data: 'keep'});
	const again = await engine.add({url: origin.url});
	assert.equal(again.download.id, download.id);
	assert.ok(again.download.present > 100_000);
});

test('delete removes the data from disk', async t => {
	const {engine, storageDir, download} = await startDownload(t, {size: MiB, etag});
	await until(engine, download.id, ({status}) => status === 'complete');
	await engine.remove(download.id, {data: 'delete', undoMs: 0});
	await assert.rejects(
		(async () => {
			for (;;) {
				await stat(path.join(storageDir, download.id));
			}
		})(),
		{code: 'ENOENT'},
	);
	await assert.rejects(engine.restore(download.id), /no removed download/);
});

test('an invalid addition is rejected in one sentence', async t => {
	const {engine} = await startEngine(t);
	await assert.rejects(engine.add({url: 'htps://typo.example/file'}), /"htps" is not http or https/);
	await assert.rejects(engine.add({url: 'no url'}), /is not a URL/);
	await assert.rejects(engine.add({url: 'http://127.0.0.1/', connections: 17}), /1 to 16/);
	await assert.rejects(
		engine.add({url: 'http://127.0.0.1/', headers: {'bad name': 'secret'}}),
		(error: Error) => {
			assert.match(error.message, /bad name/);
			assert.doesNotMatch(error.message, /secret/);
			return true;
		},
	);
	assert.equal(engine.snapshot.downloads.length, 0);
});

test('a complete download is served without its origin', async t => {
	const {origin, running: first, download} = await startDownload(t, {size: MiB, etag});
	await until(first.engine, download.id, ({status}) => status === 'complete');
	await first.close();
	await origin.close();
	const second = await startEngine(t, {storageDir: first.storageDir});
	const {bytes} = await readStream(downloadOf(second.engine, download.id).streamUrl);
	assert.equal(firstWrongByte(bytes, 0), -1);
});

test('the rate limit applies to all downloads together', async t => {
	const origin = await startOrigin(t, {size: 64 * MiB, etag});
	const {engine} = await startEngine(t, {limitRate: 2 * MiB});
	const started = performance.now();
	const {download} = await engine.add({url: origin.url});
	const reached = await until(engine, download.id, ({present}) => present > 4 * MiB);
	const seconds = (performance.now() - started) / 1000;
	assert.ok(reached.present / seconds < 3.5 * MiB, `${reached.present} bytes in ${seconds} s`);
});

test('the background and a player together stay within the limit after a seek', async t => {
	const limitRate = MiB / 2;
	const {engine, download} = await startDownload(t, {size: 64 * MiB, etag}, {limitRate});
	await until(engine, download.id, ({connections}) => connections === 4);
	const present = () => downloadOf(engine, download.id).present;
	const [before, began] = [present(), performance.now()];
	const {streamUrl} = downloadOf(engine, download.id);
	const end = 32 * MiB + limitRate;
	const response = await fetch(streamUrl, {headers: {range: `bytes=${32 * MiB}-${end - 1}`}});
	assert.equal(firstWrongByte(Buffer.from(await response.arrayBuffer()), 32 * MiB), -1);
	await until(engine, download.id, ({ranges}) => ranges.some(range => range[1] >= end));
	// A snapshot may be a third of a second old.
	const allowed = limitRate * ((performance.now() - began) / 1000 + 0.7);
	assert.ok(present() - before <= allowed, `${present() - before} of ${allowed}`);
});

test('connections of the background go to a player that theirs are too slow for', async t => {
	const {engine, download} = await startDownload(t, {size: 64 * MiB, etag, bytesPerSecond: 16 * 1024});
	await until(
		engine,
		download.id,
		({segments}) => segments.filter(({offset, start}) => offset > start).length === 4,
	);
	const {streamUrl} = downloadOf(engine, download.id);
	const response = await fetch(streamUrl, {headers: {range: `bytes=${32 * MiB}-`}});
	// They deliver three parts of its next MiB, long before their own requests end.
	const {present} = await until(
		engine,
		download.id,
		({segments}) => segments.filter(({for: use, start}) => use === 'player' && start >= 32 * MiB).length > 2,
	);
	assert.ok(present < MiB, `${present} bytes`);
	await response.body!.cancel();
});

test('slow connections share the bytes that a player needs first', async t => {
	const rate = 32 * 1024;
	const {engine, origin, download} = await startDownload(t, {size: 64 * MiB, etag, bytesPerSecond: rate});
	await until(engine, download.id, ({present}) => present > 4 * rate);
	const {streamUrl} = downloadOf(engine, download.id);
	const [start, length] = [32 * MiB, 512 * 1024];
	const {bytes} = await readStream(streamUrl, `${start}-${start + length - 1}`);
	assert.equal(firstWrongByte(bytes, start), -1);
	const sent = origin.requests.filter(({range}) => range!.start >= start).map(each => each.sent);
	const lengths = sent.map(each => each.end - each.start);
	assert.ok(Math.max(...lengths) <= length / 2, lengths.join());
	assert.ok(lengths.length <= 16, lengths.join());
});

test('a body of unknown length that ends early is retried after a delay', async t => {
	const size = 3 * MiB;
	const origin = await startOrigin(t, {
		size,
		ranges: false,
		intercept(_request, response) {
			if (origin.requests.length === 1) {
				response.writeHead(200, {'content-length': size, 'content-type': 'video/mp4'});
				response.write(origin.content(0, MiB), () => response.destroy());
			} else {
				response.writeHead(200, {'content-type': 'video/mp4'});
				response.end(origin.content(0, MiB));
			}

			return true;
		},
	});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	const {error} = await until(
		engine,
		download.id,
		({status, error}) => status === 'waiting' && /less than the file has/.test(error?.message ?? ''),
	);
	assert.equal(error?.code, 'origin-truncated');
	assert.ok(origin.requests.length <= 4, `${origin.requests.length} requests`);
});

test('a seek by a player that disconnected for a moment finds a connection ready', async t => {
	const used = new Map<number, Socket>();
	const busy = new Set<Socket>();
	let ready: Socket[] = [];
	const origin = await startOrigin(t, {
		size: 200 * MiB,
		etag,
		bytesPerSecond: MiB,
		intercept({socket}, response, {range}) {
			used.set(range!.start, socket);
			busy.add(socket);
			response.on('close', () => busy.delete(socket));
			return false;
		},
	});
	const {engine} = await startEngine(t, {connections: 4});
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({connections}) => connections === 4);
	for (const place of [190, 170, 150]) {
		const leaving = new AbortController();
		const response = await fetch(download.streamUrl, {
			headers: {range: `bytes=${place * MiB}-`},
			signal: leaving.signal,
		});
		await response.body!.getReader().read();
		leaving.abort();
		const socket = used.get(place * MiB)!;
		if (place < 190) {
			assert.ok(ready.includes(socket), `for the seek to ${place} MiB a connection was opened`);
		}

		await until(engine, download.id, ({connections}) => {
			ready = [...origin.sockets].filter(socket => !busy.has(socket));
			return connections === 4 && ready.length > 0;
		});
	}
});

test('a player that leaves before its response starts causes no failure', async t => {
	const origin = await startOrigin(t, {size: 64 * MiB, etag, latency: 1000});
	const {engine, proxy} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, onDemand: true});
	await until(engine, download.id, ({size}) => size !== null);
	const failures: unknown[] = [];
	const note = (error: unknown) => failures.push(error);
	process.on('unhandledRejection', note);
	t.after(() => process.off('unhandledRejection', note));
	for (const range of ['bytes=10000000-', 'bytes=30000000-30000009', 'bytes=50000000-50000001,60000000-']) {
		const socket = connect(proxy.port, '127.0.0.1');
		socket.write(`GET ${new URL(download.streamUrl).pathname} HTTP/1.1\r\nHost: 127.0.0.1:${proxy.port}\r\n`);
		socket.write(`Range: ${range}\r\n\r\n`);
		await until(engine, download.id, ({players}) => players.some(({blocked}) => blocked));
		socket.destroy();
		await until(engine, download.id, ({players}) => players.every(({connected}) => !connected));
	}

	assert.deepEqual(failures, []);
});

test('an invalid proxy variable leaves cached bytes readable and no ghost player', async t => {
	const {running: first, download} = await startDownload(t, {size: 8 * MiB, etag}, {onDemand: true});
	const read = async (url: string, start: number) => {
		const response = await fetch(url, {headers: {range: `bytes=${start}-${start + 99_999}`}});
		return {status: response.status, bytes: Buffer.from(await response.arrayBuffer())};
	};
	await read(download.streamUrl, 0);
	await first.close();

	const before = process.env.all_proxy;
	process.env.all_proxy = 'nonsense://127.0.0.1:1';
	t.after(() => {
		if (before === undefined) {
			delete process.env.all_proxy;
		} else {
			process.env.all_proxy = before;
		}
	});
	const {engine} = await startEngine(t, {storageDir: first.storageDir, onDemand: true, proxy: undefined});
	const {streamUrl} = downloadOf(engine, download.id);
	const held = await read(streamUrl, 0);
	assert.equal(held.status, 206);
	assert.equal(firstWrongByte(held.bytes, 0), -1);
	const missing = await read(streamUrl, 6 * MiB);
	assert.ok(missing.status >= 400, `status ${missing.status}`);
	await until(engine, download.id, ({players}) => players.every(({connected}) => !connected));
});

test('a temporary download is off the list after a restart, unless it is added otherwise', async t => {
	const origin = await startOrigin(t, {size: MiB, etag});
	const first = await startEngine(t);
	const add = (path: string, isTemporary: boolean) =>
		first.engine.add({url: origin.urlOf(path), paused: true}, {isTemporary});
	await add('/temporary', true);
	await add('/listed', true);
	const {existed} = await add('/listed', false);
	assert.equal(existed, true);
	await add('/old', false);
	await add('/old', true);
	assert.equal(first.engine.snapshot.downloads.length, 3);
	await first.close();
	const {engine} = await startEngine(t, {storageDir: first.storageDir});
	assert.deepEqual(
		engine.snapshot.downloads.map(({name}) => name),
		['listed', 'old'],
	);
});

test('a removal is recorded together with the last bytes', async t => {
	const {engine, download} = await startDownload(t, {size: 2 * MiB, etag});
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	await engine.remove(download.id, {data: 'keep'});
	const [last, before] = await Promise.all(
		['entry.json', 'entry.json.bak'].map(
			async name => JSON.parse(await readFile(path.join(folder, name), 'utf8')) as DownloadRecord,
		),
	);
	assert.equal(last?.removed, 'keep');
	assert.equal(last.unsettled, undefined);
	assert.equal(before?.removed, undefined);
	assert.notEqual(before?.unsettled, undefined);
});
