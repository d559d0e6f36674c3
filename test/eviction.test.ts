import assert from 'node:assert/strict';
import {readdir} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {selectEvictions, type Evictable} from '../source/engine/store/eviction.ts';
import {startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';

const MiB = 1024 * 1024;

function evictable(id: string, change: Partial<Evictable> = {}): Evictable {
	return {
		id,
		present: 10,
		status: 'complete',
		players: [],
		completedAt: 1,
		exportWhenComplete: null,
		readAt: undefined,
		isPledged: false,
		isMoved: false,
		...change,
	};
}

const last = evictable('last', {readAt: 1000});

for (const [what, downloads, cacheSize, expected] of [
	['nothing in an empty store', [], 0, []],
	['nothing while there is room', [evictable('a'), last], 20, []],
	[
		'the least recently read one',
		[evictable('a', {readAt: 9}), evictable('b', {readAt: 5}), last],
		20,
		['b'],
	],
	[
		'one completed before another was read',
		[evictable('a', {completedAt: 7}), evictable('b', {readAt: 8}), last],
		20,
		['a'],
	],
	[
		'as many as necessary',
		[evictable('a', {readAt: 2}), evictable('b', {readAt: 3}), evictable('c', {readAt: 4}), last],
		25,
		['a', 'b'],
	],
	['never a pledged one', [evictable('a', {isPledged: true}), evictable('b', {readAt: 9}), last], 10, ['b']],
	['never the most recently used one', [evictable('a', {present: 1000})], 10, []],
	[
		'never an unfinished one',
		[evictable('a', {status: 'paused', completedAt: null, present: 1000}), last],
		10,
		[],
	],
	[
		'never an active one',
		[evictable('a', {status: 'active', completedAt: null}), evictable('b'), last],
		20,
		['b'],
	],
	[
		'never one being exported',
		[evictable('a', {status: 'exporting'}), evictable('b', {readAt: 2}), last],
		10,
		['b'],
	],
	['never one with a pending export', [evictable('a', {exportWhenComplete: '/x'}), last], 10, []],
	['never one being checked', [evictable('a', {status: 'checking'}), last], 10, []],
	['never one with a player', [evictable('a', {players: [{}]}), last], 10, []],
	[
		'moved files do not count',
		[evictable('a', {isMoved: true, present: 1000}), evictable('b'), last],
		20,
		[],
	],
	[
		'a removed download with kept data',
		[evictable('a', {status: 'removed'}), evictable('b', {readAt: 5}), last],
		20,
		['a'],
	],
	['never an unfinished removed one', [evictable('a', {status: 'removed', completedAt: null}), last], 5, []],
] as const) {
	test(`evicted: ${what}`, () => {
		assert.deepEqual(selectEvictions(downloads, cacheSize), expected);
	});
}

test('a store of limited size keeps the most recently read files, also after a restart', async t => {
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
	// Only once it is recorded as complete; until then it counts as unfinished.
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

test('closing the engine waits for a removal in progress', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB, etag: '"v1"'});
	const {engine, close, storageDir} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({status}) => status === 'complete');
	const removal = engine.remove(download.id, {data: 'delete', undoMs: 0});
	await close();
	assert.ok(!(await readdir(storageDir)).includes(download.id));
	await removal;
});
