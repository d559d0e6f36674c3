import assert from 'node:assert/strict';
import {readdir} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {selectEvictions, type Evictable} from '../source/engine/store/eviction.ts';
import {startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';

const MiB = 1024 * 1024;

function held(id: string, change: Partial<Evictable> = {}): Evictable {
	return {
		id,
		present: 10,
		status: 'complete',
		players: [],
		completedAt: 1,
		exportWhenComplete: null,
		readAt: undefined,
		isMoved: false,
		...change,
	};
}

const last = held('last', {readAt: 1000});

for (const [what, downloads, cacheSize, expected] of [
	['nothing in an empty store', [], 0, []],
	['nothing where there is room', [held('a'), last], 20, []],
	[
		'the one that was read before the others',
		[held('a', {readAt: 9}), held('b', {readAt: 5}), last],
		20,
		['b'],
	],
	[
		'one that was completed before another was read',
		[held('a', {completedAt: 7}), held('b', {readAt: 8}), last],
		20,
		['a'],
	],
	[
		'as many as it needs',
		[held('a', {readAt: 2}), held('b', {readAt: 3}), held('c', {readAt: 4}), last],
		25,
		['a', 'b'],
	],
	['never the one that was used last', [held('a', {present: 1000})], 10, []],
	['nor an unfinished one', [held('a', {status: 'paused', completedAt: null, present: 1000}), last], 10, []],
	['nor one that runs', [held('a', {status: 'active', completedAt: null}), held('b'), last], 20, ['b']],
	['nor one that is exported', [held('a', {status: 'exporting'}), held('b', {readAt: 2}), last], 10, ['b']],
	['nor one that waits to be exported', [held('a', {exportWhenComplete: '/x'}), last], 10, []],
	['nor one that is checked', [held('a', {status: 'checking'}), last], 10, []],
	['nor one that is being read', [held('a', {players: [{}]}), last], 10, []],
	['what was moved out takes no room', [held('a', {isMoved: true, present: 1000}), held('b'), last], 20, []],
	[
		'what was taken off the list and kept goes too',
		[held('a', {status: 'removed'}), held('b', {readAt: 5}), last],
		20,
		['a'],
	],
	['unless it is unfinished', [held('a', {status: 'removed', completedAt: null}), last], 5, []],
] as const) {
	test(`evicted: ${what}`, () => {
		assert.deepEqual(selectEvictions(downloads, cacheSize), expected);
	});
}

test('a store of limited size keeps what was read last, also after a restart', async t => {
	const storageDir = await temporaryFolder(t);
	const origin = await startOrigin(t, {size: 2 * MiB, etag: '"v1"'});
	const {engine, close} = await startEngine(t, {storageDir});
	const ids: string[] = [];
	for (const file of ['/a', '/b', '/c']) {
		const {download} = await engine.add({url: origin.urlOf(file)});
		await until(engine, download.id, ({status}) => status === 'complete');
		ids.push(download.id);
	}

	const [a, b, c] = ids as [string, string, string];
	const {streamUrl} = engine.snapshot.downloads[0]!;
	assert.equal((await (await fetch(streamUrl)).arrayBuffer()).byteLength, 2 * MiB);
	await close();
	const again = await startEngine(t, {storageDir, cacheSize: 5 * MiB});
	assert.deepEqual(
		again.engine.snapshot.downloads.map(({id}) => id),
		[a, c],
	);
	const {download} = await again.engine.add({url: origin.urlOf('/d')});
	await until(again.engine, download.id, ({status}) => status === 'complete');
	// Not before it is recorded as complete: it was unfinished until then.
	while (again.engine.snapshot.downloads.some(({id}) => id === c)) {
		await new Promise<void>(resolve => {
			const unsubscribe = again.engine.subscribe(() => {
				unsubscribe();
				resolve();
			});
		});
	}

	await again.close();
	const folders = (await readdir(storageDir)).filter(name => /^[\da-f]{32}$/.test(name));
	assert.deepEqual(folders.toSorted(), [a, download.id].toSorted());
	assert.deepEqual((await readdir(path.join(storageDir, a))).includes('data'), true);
	assert.ok(!folders.includes(b));
});

test('a removal in progress is over before the storage folder is given away', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB, etag: '"v1"'});
	const {engine, close, storageDir} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({status}) => status === 'complete');
	const removal = engine.remove(download.id, {data: 'delete', undoMs: 0});
	await close();
	assert.ok(!(await readdir(storageDir)).includes(download.id));
	await removal;
});
