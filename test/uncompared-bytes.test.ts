// Bytes without a strong ETag: how far readers may go, and which bytes become a hole.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {DownStreamError} from '../source/downstream.ts';
import type {FetchContext} from '../source/engine/fetch/fetch-context.ts';
import {Segment} from '../source/engine/fetch/segments.ts';
import {overlapBytes, UncomparedBytes} from '../source/engine/fetch/uncompared-bytes.ts';
import {RangeSet, type Range} from '../source/engine/store/range-set.ts';

const KiB = 1024;
const changed = new DownStreamError('origin-changed', 'other bytes');

/** A download with cached bytes from 64 KiB to 128 KiB, and a segment that writes the 64 KiB before them. */
function start() {
	const present = new RangeSet([{start: 64 * KiB, end: 128 * KiB}]);
	const disproved: Range[] = [];
	let rechecks = 0;
	let identified = 0;
	const uncompared = new UncomparedBytes({
		file: {present},
		state: {readers: {recheck: () => rechecks++}},
		target: {disproved: (range: Range) => disproved.push(range), identified: () => identified++},
	} as unknown as FetchContext);
	const segment = new Segment({start: 0, end: 64 * KiB, for: 'fill', urgent: false});
	const write = (offset: number, end: number) => {
		uncompared.adding(segment, offset);
		present.add({start: offset, end});
		uncompared.added(segment, end);
	};
	return {
		uncompared,
		present,
		segment,
		write,
		disproved,
		rechecks: () => rechecks,
		identified: () => identified,
	};
}

test('a reader stops at the end of new bytes until they match the cached bytes after them', () => {
	const {uncompared, segment, write, rechecks} = start();
	assert.ok(uncompared.areNone);
	write(0, 32 * KiB);
	write(32 * KiB, 64 * KiB);
	assert.deepEqual(
		[uncompared.areNone, uncompared.readableEnd(0, 0), uncompared.readableEnd(0, 64 * KiB)],
		[false, 64 * KiB, 64 * KiB],
	);
	assert.deepEqual([uncompared.isReadable(0, 32 * KiB), uncompared.isReadable(0, 64 * KiB)], [true, false]);
	uncompared.matched(segment, {start: 64 * KiB, end: 64 * KiB + overlapBytes - 1});
	assert.equal(uncompared.isReadable(0, 64 * KiB), false, 'the overlap is longer');
	uncompared.matched(segment, {start: 64 * KiB, end: 64 * KiB + overlapBytes});
	assert.deepEqual(
		[uncompared.isReadable(0, 64 * KiB), uncompared.readableEnd(0, 0), rechecks()],
		[true, Infinity, 1],
	);
	assert.equal(uncompared.areNone, false, 'the bytes before the segment are still to be compared');
});

test('during a write, a reader stays before the bytes of the write', () => {
	const {uncompared, present, segment} = start();
	uncompared.adding(segment, 16 * KiB);
	present.add({start: 16 * KiB, end: 64 * KiB});
	assert.equal(uncompared.readableEnd(0, 8 * KiB), 16 * KiB);
});

test('a reader that began in the cached bytes after them may read them', () => {
	const {uncompared, write} = start();
	write(0, 64 * KiB);
	assert.equal(uncompared.readableEnd(64 * KiB, 64 * KiB), Infinity);
	assert.equal(uncompared.readableEnd(80 * KiB, 96 * KiB), Infinity);
});

test('cached bytes shorter than the overlap suffice if they are repeated up to their end', () => {
	const {uncompared, present, segment, write} = start();
	present.remove({start: 65 * KiB, end: 128 * KiB});
	write(0, 64 * KiB);
	uncompared.matched(segment, {start: 64 * KiB, end: 65 * KiB});
	assert.ok(uncompared.isReadable(0, 64 * KiB));
});

test('a whole response needs no comparison at its other end', () => {
	const {uncompared, segment, write, identified} = start();
	segment.isWhole = true;
	write(0, 64 * KiB);
	uncompared.matched(segment, {start: 64 * KiB, end: 64 * KiB + overlapBytes});
	assert.deepEqual([uncompared.areNone, identified()], [true, 1]);
});

test('other bytes after the new ones remove these, and fail readers that pass from one to the other', () => {
	const {uncompared, segment, write, disproved} = start();
	write(16 * KiB, 64 * KiB);
	uncompared.retract(segment, changed);
	assert.deepEqual(disproved, [{start: 16 * KiB, end: 64 * KiB}]);
	assert.throws(() => uncompared.readableEnd(16 * KiB, 64 * KiB), changed);
	assert.equal(uncompared.isReadable(16 * KiB, 64 * KiB), false);
	assert.equal(uncompared.readableEnd(64 * KiB, 64 * KiB), Infinity, 'it began there');
	uncompared.matched(segment, {start: 60 * KiB, end: 66 * KiB});
	assert.ok(uncompared.isReadable(16 * KiB, 64 * KiB), 'another response has matched there');
});

test('a response that ends before the comparison loses the bytes that the next one repeats', () => {
	const {uncompared, segment, write, disproved, identified} = start();
	write(16 * KiB, 64 * KiB);
	uncompared.retract(segment);
	uncompared.retract(segment);
	assert.deepEqual(disproved, [{start: 64 * KiB - overlapBytes, end: 64 * KiB}]);
	assert.equal(uncompared.readableEnd(0, 16 * KiB), Infinity);
	uncompared.release(segment);
	assert.deepEqual([uncompared.areNone, identified()], [true, 1]);
});

test('new bytes that touch no cached ones after them stay', () => {
	const {uncompared, segment, write, disproved} = start();
	write(0, 32 * KiB);
	uncompared.retract(segment, changed);
	assert.deepEqual(disproved, []);
});

test('another source or version forgets contradictions', () => {
	const {uncompared, segment, write} = start();
	write(0, 64 * KiB);
	uncompared.retract(segment, changed);
	uncompared.forgetContradictions();
	assert.ok(uncompared.isReadable(0, 64 * KiB));
});
