import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readFile, stat} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {content, firstWrongByte} from './support/content.ts';
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

async function dataOf(folder: string): Promise<Buffer> {
	return readFile(path.join(folder, 'data'));
}

test('a new link closes the old connections, and players continue with correct bytes', async t => {
	const size = 12 * MiB;
	const old = await startOrigin(t, {size, etag, bytesPerSecond: MiB});
	const moved = await startOrigin(t, {size, etag: '"another"', bytesPerSecond: 8 * MiB});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: old.url});
	await until(engine, download.id, ({present}) => present > MiB);
	const playing = fetch(downloadOf(engine, download.id).streamUrl).then(response => response.arrayBuffer());
	await engine.update(download.id, {url: moved.url});
	const asked = old.requests.length;
	await Promise.all([...old.sockets].map(socket => once(socket, 'close')));
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(old.requests.length, asked);
	const played = Buffer.from(await playing);
	assert.equal(played.length, size);
	assert.equal(firstWrongByte(played, 0), -1);
	assert.equal(firstWrongByte(await dataOf(folder), 0), -1);
	assert.equal(downloadOf(engine, download.id).validator, '"another"');
});

test('a new link on another server gets no credentials', async t => {
	const first = await startOrigin(t, {size: 4 * MiB, etag, bytesPerSecond: MiB});
	const second = await startOrigin(t, {size: 4 * MiB, etag});
	const {engine} = await startEngine(t);
	const headers = {
		Authorization: 'Bearer a',
		Cookie: 'b=c',
		'PRIVATE-TOKEN': 'd',
		'X-Api-Key': 'e',
		'X-Session-Id': 'f',
		Referer: 'http://page.example/',
	};
	const {download} = await engine.add({url: first.url, headers, paused: true});

	await engine.update(download.id, {url: first.urlOf('/again.bin')});
	assert.equal(first.requests.at(-1)!.headers['private-token'], 'd');

	await engine.update(download.id, {url: second.url});
	const asked = second.requests.at(-1)!.headers;
	for (const name of ['authorization', 'cookie', 'private-token', 'x-api-key', 'x-session-id']) {
		assert.equal(asked[name], undefined, name);
	}

	assert.equal(asked.referer, 'http://page.example/');

	await engine.update(download.id, {url: first.url, headers: {Cookie: 'new=1'}});
	assert.equal(first.requests.at(-1)!.headers.cookie, 'new=1');
	assert.equal(first.requests.at(-1)!.headers.referer, undefined);

	const changed = await engine.update(download.id, {url: second.url.replace('//', '//user:geheim@')});
	assert.equal(changed.url, second.url);
	assert.equal(
		second.requests.at(-1)!.headers.authorization,
		`Basic ${Buffer.from('user:geheim').toString('base64')}`,
	);
});

test('new headers alone repair a refused download', async t => {
	const origin = await startOrigin(t, {
		size: 2 * MiB,
		etag,
		intercept(request, response) {
			if (request.headers.cookie !== 'session=new') {
				response.writeHead(403).end();
				return true;
			}

			return false;
		},
	});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, headers: {Cookie: 'session=old'}});
	await until(engine, download.id, ({status}) => status === 'failed');
	await engine.update(download.id, {headers: {Cookie: 'session=new'}});
	await until(engine, download.id, ({status}) => status === 'complete');
});

test('changes made together all apply to the next request', async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag});
	const moved = await startOrigin(t, {size: 4 * MiB, etag});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({
		url: origin.url,
		headers: {Referer: 'http://a.example/'},
		paused: true,
	});
	await Promise.all([
		engine.update(download.id, {headers: {Referer: 'http://b.example/'}}),
		engine.update(download.id, {userAgent: 'mpv'}),
		engine.update(download.id, {url: moved.url}),
	]);
	await engine.resume(download.id);
	await until(engine, download.id, ({status}) => status === 'complete');
	const {headers} = moved.requests.at(-1)!;
	assert.deepEqual([headers['user-agent'], headers.referer], ['mpv', 'http://b.example/']);
});

test('a new link whose file differs only in the middle is rejected by a sample', async t => {
	const size = 4 * MiB;
	const old = await startOrigin(t, {size, bytesPerSecond: 4 * MiB});
	const {engine} = await startEngine(t, {connections: 1});
	const {download} = await engine.add({url: old.url});
	await until(engine, download.id, ({status}) => status === 'complete');
	const other = await startOrigin(t, {
		size,
		intercept(request, response) {
			const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')!;
			const [start, end] = [Number(first), Number(last) + 1];
			const bytes = content(start, end, start === 0 || end === size ? 1 : 2);
			response.writeHead(206, {
				'content-range': `bytes ${start}-${end - 1}/${size}`,
				'content-length': bytes.length,
			});
			response.end(bytes);
			return true;
		},
	});
	await assert.rejects(
		engine.update(download.id, {url: other.url, name: 'other.bin'}),
		withCode(
			'origin-changed',
			/^The new URL leads to another file \(its bytes differ .*\); nothing was changed$/,
		),
	);
	const {url, name, status} = downloadOf(engine, download.id);
	assert.deepEqual({url, name, status}, {url: old.url, name: 'film.bin', status: 'complete'});
});

test('a new link to a server without ranges is read from its start and compared', async t => {
	const size = 3 * MiB;
	const old = await startOrigin(t, {size, etag, bytesPerSecond: MiB});
	const {engine} = await startEngine(t, {connections: 1});
	const {download} = await engine.add({url: old.url});
	await until(engine, download.id, ({present}) => present > MiB);
	const plain = await startOrigin(t, {size, ranges: false});
	await engine.update(download.id, {url: plain.url});
	const done = await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(done.acceptsRanges, false);
	assert.equal(firstWrongByte(await dataOf(done.folder), 0), -1);
});

test('an empty download accepts a new link to any file', async t => {
	const silent = await startOrigin(t, {
		size: 3 * MiB,
		intercept(_request, response) {
			// Sends the headers, then nothing.
			response.writeHead(206, {'content-range': `bytes 0-99/${3 * MiB}`, 'content-type': 'video/mp4'});
			response.flushHeaders();
			return true;
		},
	});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: silent.url});
	const known = await until(engine, download.id, ({size}) => size !== null);
	assert.deepEqual([known.size, known.present], [3 * MiB, 0]);
	const other = await startOrigin(t, {size: 2 * MiB, etag: '"v2"', seed: 2});
	await engine.update(download.id, {url: other.url});
	const {folder, size} = await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(size, 2 * MiB);
	assert.ok((await dataOf(folder)).equals(content(0, 2 * MiB, 2)));
});

test('closing the engine rejects an unfinished change of link and keeps the old link', async t => {
	const old = await startOrigin(t, {size: 4 * MiB, etag, bytesPerSecond: MiB});
	let asked!: () => void;
	const wasAsked = new Promise<void>(resolve => {
		asked = resolve;
	});
	const silent = await startOrigin(t, {
		size: 4 * MiB,
		intercept() {
			asked();
			return true;
		},
	});
	const {engine, storageDir, close} = await startEngine(t);
	const {download} = await engine.add({url: old.url});
	await until(engine, download.id, ({present}) => present > 0);
	const trying = assert.rejects(
		engine.update(download.id, {url: silent.url}),
		withCode('not-found', /quitting/),
	);
	await wasAsked;
	await close();
	await trying;
	const again = await startEngine(t, {storageDir});
	assert.equal(downloadOf(again.engine, download.id).url, old.url);
});

test('a new link survives a restart', async t => {
	const size = 8 * MiB;
	const old = await startOrigin(t, {size, etag, bytesPerSecond: MiB});
	const moved = await startOrigin(t, {size, etag: '"another"'});
	const first = await startEngine(t);
	const {download} = await first.engine.add({url: old.url, headers: {'X-Plain': 'yes'}});
	await until(first.engine, download.id, ({present}) => present > MiB);
	await first.engine.pause(download.id);
	await first.engine.update(download.id, {url: moved.url, limitRate: 100 * MiB, connections: 2});
	await first.close();
	await old.close().catch(() => undefined);
	const {engine} = await startEngine(t, {storageDir: first.storageDir});
	const {url, limitRate, maxConnections, present} = downloadOf(engine, download.id);
	assert.deepEqual(
		{url, limitRate, maxConnections},
		{url: moved.url, limitRate: 100 * MiB, maxConnections: 2},
	);
	assert.ok(present > MiB);
	await engine.resume(download.id);
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(moved.requests.at(-1)!.headers['x-plain'], 'yes');
});

test('starting over during a transfer mixes no versions and cuts the players', async t => {
	const size = 8 * MiB;
	const {origin, engine, download} = await startDownload(t, {size, etag, bytesPerSecond: MiB});
	await until(engine, download.id, ({present}) => present > MiB);
	const response = await fetch(downloadOf(engine, download.id).streamUrl);
	const oldEtag = response.headers.get('etag');
	// A player in the middle of the old version must not continue with the new one.
	const reading = assert.rejects(response.arrayBuffer());
	Object.assign(origin.options, {etag: undefined, seed: 2, bytesPerSecond: undefined});
	const over = await engine.startOver(download.id);
	assert.equal(over.present, 0);
	await reading;
	const done = await untilEnded(engine, download.id);
	assert.equal(done.error, null);
	assert.ok((await dataOf(done.folder)).equals(content(0, size, 2)));
	const again = await fetch(done.streamUrl, {headers: {range: 'bytes=0-9', 'if-range': oldEtag!}});
	await again.arrayBuffer();
	assert.notEqual(again.headers.get('etag'), oldEtag);
	assert.equal(again.status, 200);
	assert.deepEqual(await engine.verify(download.id), {damaged: []});
});

test('starting over twice gives each version its own ETag, even without one from the origin', async t => {
	const {origin, engine, download} = await startDownload(t, {size: MiB});
	const etags = new Set<string | null>();
	for (const seed of [1, 2, 3]) {
		origin.options.seed = seed;
		if (seed > 1) {
			await engine.startOver(download.id);
		}

		const {streamUrl} = await until(engine, download.id, ({status}) => status === 'complete');
		const response = await fetch(streamUrl);
		assert.ok(Buffer.from(await response.arrayBuffer()).equals(content(0, MiB, seed)));
		etags.add(response.headers.get('etag'));
	}

	assert.equal(etags.size, 3);
});

for (const move of [false, true]) {
	test(`starting over leaves the ${move ? 'moved' : 'exported'} file unchanged`, async t => {
		const {origin, engine, download} = await startDownload(t, {size: 2 * MiB, etag});
		await until(engine, download.id, ({status}) => status === 'complete');
		const target = path.join(await temporaryFolder(t), 'mine.bin');
		await engine.export(download.id, {path: target, move});
		Object.assign(origin.options, {etag: '"v2"', seed: 2});
		assert.equal((await engine.startOver(download.id)).exportedTo, null);
		const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
		assert.equal(firstWrongByte(await readFile(target), 0), -1);
		assert.ok((await dataOf(folder)).equals(content(0, 2 * MiB, 2)));
	});
}

test('a kept old version never serves its URL again, even after removal', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB, etag});
	const {engine, storageDir, close} = await startEngine(t);
	const {download: old} = await engine.add({url: origin.url, connections: 3});
	await until(engine, old.id, ({status}) => status === 'complete');
	const over = await engine.startOver(old.id, {keepOld: true});
	assert.notEqual(over.id, old.id);
	assert.equal(over.maxConnections, 3);
	assert.equal(downloadOf(engine, old.id).present, 2 * MiB);
	await engine.remove(old.id, {data: 'keep'});
	await engine.remove(over.id, {data: 'delete', undoMs: 0});
	await assert.rejects(
		(async () => {
			for (;;) {
				await stat(path.join(storageDir, over.id));
			}
		})(),
		{code: 'ENOENT'},
	);
	const {download: third, existed} = await engine.add({url: origin.url});
	assert.equal(existed, false);
	assert.ok(third.id !== old.id && third.id !== over.id);
	await close();
	await startEngine(t, {storageDir});
	assert.equal((await stat(path.join(storageDir, old.id, 'data'))).size, 2 * MiB);
});

test('complete downloads have no place in the queue', async t => {
	const origin = await startOrigin(t, {size: 30 * MiB, etag, bytesPerSecond: MiB});
	const {engine} = await startEngine(t, {maxActive: 1});
	const small = await startOrigin(t, {size: 10, etag});
	const {download: a} = await engine.add({url: origin.urlOf('/a'), paused: true});
	const {download: done} = await engine.add({url: small.url});
	await until(engine, done.id, ({status}) => status === 'complete');
	const {download: b} = await engine.add({url: origin.urlOf('/b'), paused: true});
	await engine.moveInQueue(b.id, -1);
	assert.ok(downloadOf(engine, b.id).queueRank < downloadOf(engine, a.id).queueRank);
	await Promise.all([engine.resume(a.id), engine.resume(b.id)]);
	await until(engine, b.id, ({status}) => status === 'active');
	await until(engine, a.id, ({status}) => status === 'queued');
});

test('a lifted limit delays no transfer', async t => {
	const {engine, download} = await startDownload(t, {size: 6 * MiB, etag}, {limitRate: 1024});
	await engine.update(download.id, {limitRate: 1024});
	// Either limit pays off the first burst for more than 30 s.
	await until(engine, download.id, ({present}) => present > 0);
	await engine.setLimitRate(null);
	await engine.update(download.id, {limitRate: null});
	await until(engine, download.id, ({status}) => status === 'complete');
});

test('an unfinished file of unknown size exports its cached bytes', async t => {
	const {engine, download} = await startDownload(t, {
		size: 30 * MiB,
		ranges: false,
		length: 'chunked',
		bytesPerSecond: MiB,
	});
	await until(engine, download.id, ({present}) => present > MiB);
	const target = path.join(await temporaryFolder(t), 'part.bin');
	await engine.export(download.id, {path: target, partial: true});
	const bytes = await readFile(target);
	assert.ok(bytes.length > MiB && bytes.length < 30 * MiB);
	assert.equal(firstWrongByte(bytes, 0), -1);
	assert.equal(downloadOf(engine, download.id).exportedTo, null);
});
