// The choice of downloads that run in the background.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {startEngine, startOrigin, until} from './support/engines.ts';

const MiB = 1024 * 1024;

/** A storage folder with enough unfinished downloads of an earlier run to occupy the queue. */
async function withOldDownloads(t: Parameters<typeof startEngine>[0]) {
	const old = await startOrigin(t, {size: 20 * MiB, etag: '"v1"', bytesPerSecond: 64 * 1024});
	const {engine, close, storageDir} = await startEngine(t);
	for (const name of ['a', 'b', 'c']) {
		const {download} = await engine.add({url: old.urlOf(`/${name}`)});
		await until(engine, download.id, ({present}) => present > 0);
	}

	await close();
	return {old, storageDir};
}

test('an engine for its own requests leaves other downloads queued', async t => {
	const {old, storageDir} = await withOldDownloads(t);
	const origin = await startOrigin(t, {size: MiB});
	const {length} = old.requests;
	const {engine} = await startEngine(t, {storageDir, fill: 'requested'});
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(old.requests.length, length);
	const [first, ...others] = engine.snapshot.downloads;
	assert.deepEqual(
		others.map(({status}) => status),
		['queued', 'queued', 'complete'],
	);
	assert.equal(first?.status, 'queued');

	// A repeated request, by URL or id, starts it.
	await engine.add({url: old.urlOf('/b')});
	await engine.resume(first.id);
	for (const index of [0, 1]) {
		await until(engine, engine.snapshot.downloads[index]!.id, ({status}) => status === 'active');
	}

	assert.equal(engine.snapshot.downloads[2]?.status, 'queued');
});

test('an engine that puts its own requests first starts them before the queue', async t => {
	const {old, storageDir} = await withOldDownloads(t);
	const origin = await startOrigin(t, {size: MiB});
	const {engine} = await startEngine(t, {storageDir, fill: 'requested-first', maxActive: 1});
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({status}) => status === 'complete');
	const {length} = old.requests;
	const [first] = engine.snapshot.downloads;
	await until(engine, first!.id, ({status}) => status === 'active');
	assert.ok(old.requests.length >= length);
});
