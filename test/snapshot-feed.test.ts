import assert from 'node:assert/strict';
import {test} from 'node:test';
import {SnapshotFeed} from '../source/dashboard/snapshot-feed.ts';
import {films, idOf, MemoryDownStream} from './support/memory-downstream.ts';

type Ranges = ReadonlyArray<readonly [start: number, end: number]>;

test('written bytes are fresh for two seconds, then one frame follows', t => {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: 1_000_000});
	const downstream = new MemoryDownStream(films(1, {present: 10, ranges: [[0, 10]]}));
	const feed = new SnapshotFeed(downstream, {
		isOrphan: () => false,
		isAttached: () => false,
		isBehind: () => false,
	});
	let frames = 0;
	feed.subscribe(() => {
		frames++;
	});
	const write = (present: number, ranges: Ranges) => {
		downstream.change({downloads: films(1, {present, ranges})});
		t.mock.timers.tick(500);
	};
	const fresh = () => feed.frame.freshOf(idOf(0));
	assert.deepEqual(fresh(), []);
	write(20, [
		[0, 10],
		[20, 30],
	]);
	assert.deepEqual(fresh(), [[20, 30]]);
	write(33, [
		[0, 15],
		[20, 30],
		[40, 48],
	]);
	assert.deepEqual(fresh(), [
		[20, 30],
		[10, 15],
		[40, 48],
	]);
	// Holes are not new bytes.
	write(5, [[0, 5]]);
	const before = frames;
	t.mock.timers.tick(2000);
	assert.deepEqual(fresh(), []);
	assert.equal(frames, before + 1);
	t.mock.timers.tick(60_000);
	assert.equal(frames, before + 1);
});

test('the first bytes show at once, then speeds change once a second', t => {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: 1_000_000});
	const downstream = new MemoryDownStream(films(1, {bytesPerSecond: 0}));
	const feed = new SnapshotFeed(downstream, {
		isOrphan: () => false,
		isAttached: () => false,
		isBehind: () => false,
	});
	feed.subscribe(() => undefined);
	const speeds = [1000, 2000, 3000, 0].map(bytesPerSecond => {
		downstream.change({bytesPerSecond, downloads: films(1, {bytesPerSecond})});
		t.mock.timers.tick(500);
		return feed.frame.snapshot.bytesPerSecond;
	});
	assert.deepEqual(speeds, [1000, 1000, 3000, 0]);
});

test('a terminal that takes no output gets no new frame, then the newest', t => {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: 1_000_000});
	const downstream = new MemoryDownStream(films(1));
	let isBehind = true;
	const feed = new SnapshotFeed(downstream, {
		isOrphan: () => false,
		isAttached: () => false,
		isBehind: () => isBehind,
	});
	let frames = 0;
	feed.subscribe(() => {
		frames++;
	});
	downstream.change({downloads: films(2)});
	t.mock.timers.tick(5000);
	downstream.change({downloads: films(3)});
	t.mock.timers.tick(5000);
	assert.equal(frames, 0);
	isBehind = false;
	t.mock.timers.tick(1000);
	assert.equal(frames, 1);
	assert.equal(feed.frame.snapshot.downloads.length, 3);
});
