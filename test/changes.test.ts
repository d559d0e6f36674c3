import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {open, readFile, stat} from 'node:fs/promises';
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
} from './support/engines.ts';
import {withCode} from './support/errors.ts';

const MiB = 1024 * 1024;
const etag = '"v1"';

test('a new link to the same file keeps cached bytes and gets no credentials of the old origin', async t => {
	const old = await startOrigin(t, {size: 20 * MiB, etag, bytesPerSecond: 2 * MiB});
	const moved = await startOrigin(t, {size: 20 * MiB, etag: '"another"'});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({
		url: old.url,
		headers: {Authorization: 'Bearer secret', 'X-Plain': 'yes'},
	});
	await until(engine, download.id, ({present}) => present > 3 * MiB);
	await engine.pause(download.id);
	const {present, ranges} = await until(engine, download.id, ({connections}) => connections === 0);
	const changed = await engine.update(download.id, {url: moved.url});
	assert.equal(changed.url, moved.url);
	assert.equal(changed.present, present);
	await engine.resume(download.id);
	await until(engine, download.id, ({status}) => status === 'complete');
	const samples = moved.requests.filter(({range}) => range!.end - range!.start <= 4096);
	assert.ok(samples.length >= 2);
	for (const {range} of moved.requests.filter(request => !samples.includes(request))) {
		for (const [start, end] of ranges) {
			assert.ok(range!.end <= start || range!.start >= end, `${JSON.stringify(range)} is held`);
		}
	}

	assert.ok(moved.requests.every(({headers}) => headers.authorization === undefined));
	assert.ok(moved.requests.every(({headers}) => headers['x-plain'] === 'yes'));
	const stored = await readFile(path.join(downloadOf(engine, download.id).folder, 'data'));
	assert.equal(firstWrongByte(stored, 0), -1);
});

test('a new link to another file is rejected, and nothing changes', async t => {
	const old = await startOrigin(t, {size: 20 * MiB, etag, bytesPerSecond: 2 * MiB});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: old.url});
	await until(engine, download.id, ({present}) => present > MiB);
	for (const options of [
		{size: 20 * MiB, seed: 2, etag},
		{size: 21 * MiB, etag},
	]) {
		const other = await startOrigin(t, options);
		await assert.rejects(engine.update(download.id, {url: other.url}), withCode('origin-changed', /changed/));
	}

	// A closed port.
	await assert.rejects(
		engine.update(download.id, {url: 'http://127.0.0.1:1/film.bin'}),
		withCode('origin-unreachable', /refused|reset/),
	);
	assert.equal(downloadOf(engine, download.id).url, old.url);
	old.options.bytesPerSecond = undefined;
	await until(engine, download.id, ({status}) => status === 'complete');
});

test('a new link resumes a failed download, even after a restart', async t => {
	const old = await startOrigin(t, {
		size: 4 * MiB,
		intercept(_request, response) {
			response.writeHead(403).end();
			return true;
		},
	});
	const moved = await startOrigin(t, {size: 4 * MiB, etag});
	const {engine, storageDir, close} = await startEngine(t);
	const {download} = await engine.add({url: old.url});
	await until(engine, download.id, ({status}) => status === 'failed');
	await engine.update(download.id, {url: moved.url, name: 'renamed.mkv', userAgent: 'Agent/9'});
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(moved.requests.at(-1)!.headers['user-agent'], 'Agent/9');
	await close();
	const again = await startEngine(t, {storageDir});
	const {url, name, status} = downloadOf(again.engine, download.id);
	assert.deepEqual({url, name, status}, {url: moved.url, name: 'renamed.mkv', status: 'complete'});
});

test('invalid changes are rejected in one sentence', async t => {
	const {engine, download} = await startDownload(t, {size: 1000});
	for (const [change, message] of [
		[{url: 'ftp://a/b'}, /http/],
		[{connections: 17}, /1 to 16/],
		[{proxy: 'gopher://x'}, /proxy/i],
		[{checksum: 'sha256:12'}, /sha256/],
		[{limitRate: 5}, /limitRate is 5/],
		[{name: ' '}, /name is empty/],
		[{headers: {'a b': 'c'}}, /header/i],
	] as const) {
		await assert.rejects(engine.update(download.id, change), withCode('bad-request', message));
	}

	await assert.rejects(engine.update('nothing', {}), withCode('not-found', /nothing/));
});

for (const keepOld of [false, true]) {
	test(`starting over fetches a changed file${keepOld ? ' and keeps the old bytes' : ''}`, async t => {
		// Large enough that requests follow the change.
		const {origin, engine, storageDir, close, download} = await startDownload(t, {
			size: 64 * MiB,
			etag,
			bytesPerSecond: 2 * MiB,
		});
		await until(engine, download.id, ({present}) => present > MiB);
		Object.assign(origin.options, {etag: '"v2"', seed: 2, size: 5 * MiB, bytesPerSecond: undefined});
		const failed = await until(engine, download.id, ({status}) => status === 'failed');
		assert.equal(failed.error?.code, 'origin-changed');
		const over = await engine.startOver(download.id, {keepOld});
		assert.equal(over.id === download.id, !keepOld);
		await until(engine, over.id, ({status}) => status === 'complete');
		const stored = await readFile(path.join(storageDir, over.id, 'data'));
		assert.ok(stored.equals(content(0, 5 * MiB, 2)));
		if (keepOld) {
			const old = downloadOf(engine, download.id);
			assert.equal(old.present, failed.present);
			assert.equal(old.size, 64 * MiB);
		}

		const {existed, download: same} = await engine.add({url: origin.url});
		assert.deepEqual([existed, same.id], [true, over.id]);
		await close();
		const again = await startEngine(t, {storageDir});
		assert.equal(again.engine.snapshot.downloads.length, keepOld ? 2 : 1);
		assert.equal(downloadOf(again.engine, over.id).status, 'complete');
	});
}

test('starting over with the old bytes kept preserves every setting', async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag, bytesPerSecond: MiB});
	const {engine} = await startEngine(t, {maxActive: 0, resolveWith: ['resolver']});
	const folder = await temporaryFolder(t);
	const {download} = await engine.add({url: origin.url, item: 'the film', name: 'mine.mkv', connections: 2});
	await engine.export(download.id, {path: path.join(folder, 'film.mkv'), when: 'complete'});
	await engine.update(download.id, {limitRate: 4096});
	const over = await engine.startOver(download.id, {keepOld: true});
	const {item, name, maxConnections, limitRate, exportWhenComplete} = over;
	assert.deepEqual(
		{item, name, maxConnections, limitRate, exportWhenComplete},
		{
			item: 'the film',
			name: 'mine.mkv',
			maxConnections: 2,
			limitRate: 4096,
			exportWhenComplete: path.join(folder, 'film.mkv'),
		},
	);
	assert.equal(downloadOf(engine, download.id).exportWhenComplete, null);
	const again = await engine.add({url: origin.url, item: 'the film'});
	assert.deepEqual([again.existed, again.download.id], [true, over.id]);
});

test('a copy with gaps cannot take the name that the complete file will have', async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag, bytesPerSecond: MiB});
	const {engine} = await startEngine(t, {maxActive: 0});
	const folder = await temporaryFolder(t);
	const {download} = await engine.add({url: origin.url, name: 'film.mkv'});
	const target = path.join(folder, 'film.mkv');
	await engine.export(download.id, {path: target, when: 'complete'});
	await assert.rejects(
		engine.export(download.id, {path: `${folder}/`, when: 'now', partial: true, keepBoth: true}),
		withCode('bad-request', /^The complete file will be exported to .*film\.mkv; choose another name/),
	);
});

test('damaged blocks become holes and are fetched again', async t => {
	const {origin, engine, storageDir, close, download} = await startDownload(t, {size: 9 * MiB + 5, etag});
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.deepEqual(await engine.verify(download.id), {damaged: []});
	await close();
	const data = await open(path.join(storageDir, download.id, 'data'), 'r+');
	await data.write('damaged', 3 * MiB + 100);
	await data.write('x', 9 * MiB + 4);
	await data.close();

	const before = origin.bytesSent;
	const again = await startEngine(t, {storageDir});
	const {damaged} = await again.engine.verify(download.id);
	assert.deepEqual(damaged, [
		[3 * MiB, 4 * MiB],
		[9 * MiB, 9 * MiB + 5],
	]);
	await until(again.engine, download.id, ({status}) => status === 'complete');
	// Three samples, as after every restart.
	assert.equal(origin.bytesSent - before, MiB + 5 + 3 * 4096);
	const stored = await readFile(path.join(storageDir, download.id, 'data'));
	assert.equal(firstWrongByte(stored, 0), -1);
	assert.deepEqual(await again.engine.verify(download.id), {damaged: []});
});

test('blocks written out of order get checksums', async t => {
	const {origin, engine, storageDir, download} = await startDownload(t, {
		size: 40 * MiB,
		etag,
		bytesPerSecond: 8 * MiB,
	});
	await Promise.all(
		[5.5, 17.25, 33.75].map(async at => {
			const start = Math.floor(at * MiB);
			const response = await fetch(download.streamUrl, {headers: {range: `bytes=${start}-${start + MiB}`}});
			await response.arrayBuffer();
		}),
	);
	origin.options.bytesPerSecond = undefined;
	await until(engine, download.id, ({status}) => status === 'complete');
	const checks = await readFile(path.join(storageDir, download.id, 'checks'));
	assert.equal(checks.length, 40 * 4);
	for (let block = 0; block < 40; block++) {
		assert.notEqual(checks.readUInt32LE(block * 4), 0, `block ${block}`);
	}

	assert.deepEqual(await engine.verify(download.id), {damaged: []});
});

test('the last block of a file of unknown size gets a checksum', async t => {
	const {engine, storageDir, download} = await startDownload(t, {
		size: 2 * MiB + 10,
		ranges: false,
		length: 'chunked',
	});
	await until(engine, download.id, ({status}) => status === 'complete');
	const checks = await readFile(path.join(storageDir, download.id, 'checks'));
	assert.equal(checks.length, 12);
	assert.notEqual(checks.readUInt32LE(8), 0);
});

test('a matching checksum completes a download, a wrong one fails it and keeps the bytes', async t => {
	const origin = await startOrigin(t, {size: 3 * MiB, etag});
	const {engine, storageDir, close} = await startEngine(t);
	const right = createHash('sha256')
		.update(content(0, 3 * MiB))
		.digest('hex');
	const {download: good} = await engine.add({url: origin.url, checksum: `SHA256:${right.toUpperCase()}`});
	await until(engine, good.id, ({status}) => status === 'complete');
	const {download: bad} = await engine.add({url: origin.urlOf('/b'), checksum: `sha1:${'0'.repeat(40)}`});
	const failed = await until(engine, bad.id, ({status}) => status === 'failed');
	assert.equal(failed.error?.code, 'checksum-mismatch');
	assert.match(failed.error?.message ?? '', /^The sha1 of the file is [\da-f]{40}, but 0{40} is expected$/);
	assert.equal(failed.present, 3 * MiB);
	await close();
	const again = await startEngine(t, {storageDir});
	assert.equal(downloadOf(again.engine, bad.id).error?.code, 'checksum-mismatch');
	assert.equal(downloadOf(again.engine, good.id).status, 'complete');
	const requests = origin.requests.length;
	await again.engine.update(bad.id, {
		checksum: `md5:${createHash('md5')
			.update(content(0, 3 * MiB))
			.digest('hex')}`,
	});
	await again.engine.resume(bad.id);
	await until(again.engine, bad.id, ({status}) => status === 'complete');
	assert.equal(origin.requests.length, requests);
});

test('the checksum of a removed download does not outlive it', async t => {
	const origin = await startOrigin(t, {size: 3 * MiB, etag});
	const {engine, storageDir, close} = await startEngine(t);
	const checksum = `sha1:${'0'.repeat(40)}`;
	const {download} = await engine.add({url: origin.url, checksum});
	await until(engine, download.id, ({status}) => status === 'failed');
	const requests = origin.requests.length;
	await engine.add({url: origin.url});
	assert.equal(downloadOf(engine, download.id).checksum, checksum);
	await until(engine, download.id, ({status}) => status === 'failed');
	await engine.remove(download.id, {data: 'keep'});
	await close();
	const again = await startEngine(t, {storageDir});
	const {download: added} = await again.engine.add({url: origin.url});
	assert.equal(added.id, download.id);
	const complete = await until(again.engine, added.id, ({status}) => status === 'complete');
	assert.equal(complete.checksum, null);
	assert.equal(origin.requests.length, requests);
});

test('the queue order survives a restart', async t => {
	const origin = await startOrigin(t, {size: 30 * MiB, etag, bytesPerSecond: MiB});
	const {engine, storageDir, close} = await startEngine(t, {maxActive: 1});
	const ids: string[] = [];
	for (const name of ['a', 'b', 'c']) {
		const {download} = await engine.add({url: origin.urlOf(`/${name}`)});
		ids.push(download.id);
	}

	const [a, b, c] = ids as [string, string, string];
	await until(engine, a, ({status}) => status === 'active');
	await engine.moveInQueue(c, -1);
	await engine.moveInQueue(c, -1);
	await engine.moveInQueue(c, -1);
	await until(engine, c, ({status}) => status === 'active');
	await engine.moveInQueue(a, 1);
	await engine.moveInQueue(b, 'front');
	await engine.moveInQueue(c, 'front');
	const order = (from: typeof engine) =>
		from.snapshot.downloads.toSorted((x, y) => x.queueRank - y.queueRank).map(({id}) => id);
	assert.deepEqual(order(engine), [c, b, a]);
	assert.deepEqual(
		engine.snapshot.downloads.map(({id}) => id),
		[a, b, c],
	);
	await close();
	const again = await startEngine(t, {storageDir, maxActive: 1});
	assert.deepEqual(order(again.engine), [c, b, a]);
	await until(again.engine, c, ({status}) => status === 'active');
});

test('limits are in the snapshot, also for a single download', async t => {
	const origin = await startOrigin(t, {size: 8 * MiB, etag});
	const {engine} = await startEngine(t, {limitRate: 100 * MiB});
	assert.equal(engine.snapshot.limitRate, 100 * MiB);
	await engine.setLimitRate(null);
	assert.equal(engine.snapshot.limitRate, null);
	const {download: slow} = await engine.add({url: origin.urlOf('/slow'), paused: true});
	const changed = await engine.update(slow.id, {limitRate: 256 * 1024});
	assert.equal(changed.limitRate, 256 * 1024);
	await engine.resume(slow.id);
	const {download: free} = await engine.add({url: origin.urlOf('/free')});
	await until(engine, free.id, ({status}) => status === 'complete');
	assert.notEqual(downloadOf(engine, slow.id).status, 'complete');
	await engine.update(slow.id, {limitRate: null});
	await until(engine, slow.id, ({status}) => status === 'complete');
	await assert.rejects(engine.setLimitRate(3), withCode('bad-request', /limitRate/));
});

test('a new limit lowers the rate to expect at once', async t => {
	const origin = await startOrigin(t, {size: 64 * MiB, etag});
	const {engine} = await startEngine(t, {limitRate: 8 * MiB});
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({bytesPerSecondLong}) => bytesPerSecondLong > MiB);
	await engine.update(download.id, {limitRate: 64 * 1024});
	assert.equal(downloadOf(engine, download.id).bytesPerSecondLong, 64 * 1024);
	await engine.update(download.id, {limitRate: null});
	await engine.setLimitRate(128 * 1024);
	assert.equal(downloadOf(engine, download.id).bytesPerSecondLong, 128 * 1024);
});

test('an unfinished export has zeros in its holes and shares nothing with the store', async t => {
	const origin = await startOrigin(t, {size: 30 * MiB, etag});
	const {engine} = await startEngine(t, {onDemand: true});
	const folder = await temporaryFolder(t);
	const {download} = await engine.add({url: origin.url});
	const start = 20 * MiB;
	const response = await fetch(download.streamUrl, {headers: {range: `bytes=${start}-${start + 99_999}`}});
	await response.arrayBuffer();
	const target = path.join(folder, 'part.bin');
	const request = {path: target, when: 'now', partial: true} as const;
	await assert.rejects(
		engine.export(download.id, {...request, move: true}),
		withCode('bad-request', /moved/),
	);
	assert.deepEqual(await engine.export(download.id, request), {path: target});
	const {ranges, exportedTo} = downloadOf(engine, download.id);
	assert.equal(exportedTo, null);
	const bytes = await readFile(target);
	assert.equal(bytes.length, 30 * MiB);
	assert.ok((await stat(target)).blocks * 512 < 10 * MiB);
	let end = 0;
	for (const [from, to] of ranges) {
		assert.ok(bytes.subarray(end, from).every(byte => byte === 0));
		assert.equal(firstWrongByte(bytes.subarray(from, to), from), -1);
		end = to;
	}

	assert.equal((await stat(target)).nlink, 1);
});

test('an unreachable upstream proxy has one banner until it works again', async t => {
	const origin = await startOrigin(t, {size: MiB, etag});
	const {engine} = await startEngine(t, {proxy: 'http://127.0.0.1:1'});
	const ids: string[] = [];
	for (const name of ['a', 'b']) {
		const {download} = await engine.add({url: origin.urlOf(`/${name}`)});
		ids.push(download.id);
		await until(engine, download.id, ({status}) => status === 'waiting');
	}

	const {banners} = engine.snapshot;
	assert.equal(banners.length, 1);
	assert.match(banners[0]!, /proxy.*127\.0\.0\.1:1 cannot be reached; retrying\.$/i);
	for (const id of ids) {
		await engine.update(id, {proxy: 'direct'});
		await until(engine, id, ({status}) => status === 'complete');
	}

	assert.deepEqual(engine.snapshot.banners, []);
});
