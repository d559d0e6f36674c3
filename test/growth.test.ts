// The number of connections of a download, and the size of its requests.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {
	afterRefusal,
	connectionTarget,
	hasFreeConnection,
	isTooLong,
	isWorthMore,
	promptBytes,
	segmentSize,
	type Connections,
} from '../source/engine/fetch/growth.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

test('connections grow by at least two, up to the number that reaches 160 MiB/s', () => {
	const grow = (rate: number, connections: number, target = connections) =>
		connectionTarget(target, {rate, connections, max: 16});
	assert.equal(grow(1 * MiB, 1), 16, 'the maximum');
	assert.equal(grow(40 * MiB, 1), 4);
	assert.equal(grow(100 * MiB, 1), 3);
	assert.equal(grow(30 * MiB, 4), 6);
	assert.equal(grow(0, 1), 16);
	assert.deepEqual([isWorthMore(79 * MiB, 2), isWorthMore(80 * MiB, 2)], [true, false]);
});

test('connections shrink by one if the others alone reach the rate', () => {
	const rates = [160, 200, 300].map(rate => connectionTarget(4, {rate: rate * MiB, connections: 1, max: 16}));
	assert.deepEqual(rates, [4, 4, 4], 'a single one has no others');
	assert.equal(connectionTarget(4, {rate: 53 * MiB, connections: 4, max: 16}), 4);
	assert.equal(connectionTarget(4, {rate: 54 * MiB, connections: 4, max: 16}), 3);
	assert.equal(connectionTarget(2, {rate: 54 * MiB, connections: 4, max: 16}), 1, 'never above the target');
	assert.deepEqual([afterRefusal(4), afterRefusal(1)], [3, 1]);
});

test('a request on a slow connection takes about two seconds', () => {
	assert.equal(promptBytes(100 * KiB), 200 * KiB);
	assert.equal(promptBytes(100 * KiB, 10), 1000 * KiB);
	assert.equal(promptBytes(100 * KiB, 1), 200 * KiB);
	assert.equal(promptBytes(1 * KiB), 64 * KiB);
	assert.deepEqual(
		[isTooLong(400 * KiB, 100 * KiB), isTooLong(399 * KiB, 100 * KiB), isTooLong(100 * MiB, 256 * KiB)],
		[true, false, false],
	);
});

test('a request lasts four seconds in the background, one beside a player, and all connections end together', () => {
	const size = {rate: 4 * MiB, isPlaying: false, missing: Infinity, connections: 4};
	assert.equal(segmentSize(size), 16 * MiB);
	assert.equal(segmentSize({...size, isPlaying: true}), 4 * MiB);
	assert.equal(segmentSize({...size, missing: 20 * MiB}), 5 * MiB);
	assert.equal(segmentSize({...size, isPlaying: true, missing: 8 * MiB}), 4 * MiB);
	assert.deepEqual([segmentSize({...size, rate: 1}), segmentSize({...size, rate: 1e9})], [MiB, 32 * MiB]);
});

const idle: Connections = {
	...{open: 0, background: 0, max: 8, target: 4, readers: 0},
	...{awaitsIndex: false, isSingle: false},
};
const fill = {for: 'fill'} as const;

test('the background opens connections up to the target', () => {
	const isFree = (open: number) => hasFreeConnection(fill, {...idle, open, background: open});
	assert.deepEqual([0, 3, 4].map(isFree), [true, true, false]);
});

test('each player keeps a connection, and one stays free for the next seek', () => {
	const isFree = (background: number, readers: number, more: Partial<Connections> = {}) =>
		hasFreeConnection(fill, {...idle, target: 8, open: background, background, readers, ...more});
	assert.deepEqual([isFree(5, 1), isFree(6, 1)], [true, false]);
	assert.deepEqual([isFree(3, 4), isFree(2, 4)], [false, true]);
	assert.deepEqual([isFree(0, 20), isFree(1, 20)], [true, false], 'one connection goes on');
	assert.deepEqual([isFree(4, 1, {awaitsIndex: true}), isFree(5, 1, {awaitsIndex: true})], [true, false]);
});

test('read-ahead may use all connections but one; late bytes and an index that one, too', () => {
	const full = {...idle, target: 8, readers: 4, background: 6};
	const isFree = (
		plan: Parameters<typeof hasFreeConnection>[0],
		open: number,
		more: Partial<Connections> = {},
	) => hasFreeConnection(plan, {...full, open, ...more});
	assert.deepEqual([isFree({for: 'player'}, 6), isFree({for: 'player'}, 7)], [true, false]);
	assert.deepEqual(
		[isFree({for: 'player', isLate: true}, 7), isFree({for: 'player', isLate: true}, 8)],
		[true, false],
	);
	const index = {for: 'fill', isIndex: true} as const;
	const beyondTarget = {target: 1, readers: 0, background: 3};
	assert.deepEqual([isFree(index, 3, beyondTarget), isFree(fill, 3, beyondTarget)], [true, false]);
	const last = {readers: 0, background: 7, awaitsIndex: true};
	assert.deepEqual([isFree(index, 7, last), isFree(fill, 7, last)], [true, false]);
});

test('one connection finds out whether a failure is over', () => {
	for (const plan of [fill, {for: 'player', isLate: true}, {for: 'fill', isIndex: true}] as const) {
		const isFree = (open: number) => hasFreeConnection(plan, {...idle, open, isSingle: true});
		assert.deepEqual([isFree(0), isFree(1)], [true, false]);
	}
});
