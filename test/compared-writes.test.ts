// Bytes of responses beside cached bytes that may be of another version: what is written, how far readers may go, and
// which bytes become a hole.
import assert from 'node:assert/strict';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {ComparedWrites, overlapBytes} from '../source/engine/fetch/compared-writes.ts';
import type {FetchContext} from '../source/engine/fetch/fetch-context.ts';
import {Segment} from '../source/engine/fetch/segments.ts';
import type {Range} from '../source/engine/store/range-set.ts';
import {SparseFile} from '../source/engine/store/sparse-file.ts';
import {content, firstWrongByte} from './support/content.ts';
import {temporaryFolder} from './support/engines.ts';
import {withCode} from './support/errors.ts';

const KiB = 1024;
const other = 2;

/** A file of 256 KiB, of which `cached` is on disk, and a segment that fetches the 64 KiB from its start. */
async function start(t: TestContext, cached: Range = {start: 64 * KiB, end: 128 * KiB}) {
	const file = await SparseFile.open(path.join(await temporaryFolder(t), 'data'), 256 * KiB, []);
	t.after(() => file.close());
	await file.write(cached.start, content(cached.start, cached.end));
	const disproved: Range[] = [];
	const received: Range[] = [];
	const counts = {rechecks: 0, identified: 0};
	const context = {
		file,
		isNamed: false,
		state: {readers: {recheck: () => counts.rechecks++}},
		target: {
			disproved: (range: Range) => disproved.push(range),
			identified: () => counts.identified++,
			received: (at: number, bytes: Uint8Array) => received.push({start: at, end: at + bytes.length}),
		},
		wake: () => undefined,
	};
	const writes = new ComparedWrites(context as unknown as FetchContext);
	const segment = new Segment({start: 0, end: 64 * KiB, for: 'fill', urgent: false});
	const store = (from: number, to: number, seed?: number) =>
		writes.store(segment, from, content(from, to, seed));
	return {file, context, writes, segment, store, disproved, received, counts};
}

const changed = withCode('origin-changed');

test('missing bytes are written, and cached ones compared', async t => {
	const {file, segment, store, received} = await start(t, {start: 16 * KiB, end: 32 * KiB});
	await store(0, 64 * KiB);
	assert.deepEqual(received, [
		{start: 0, end: 16 * KiB},
		{start: 32 * KiB, end: 64 * KiB},
	]);
	const bytes = Buffer.alloc(64 * KiB);
	assert.equal(await file.read(0, bytes), bytes.length);
	assert.deepEqual([firstWrongByte(bytes, 0), segment.offset], [-1, 64 * KiB]);
});

test('bytes of another version after cached ones are not written', async t => {
	const {file, store} = await start(t, {start: 0, end: 16 * KiB});
	await assert.rejects(store(0, 64 * KiB, other), changed);
	assert.deepEqual([...file.present], [{start: 0, end: 16 * KiB}]);
});

test('bytes that two connections deliver at once are written once, and compared', async t => {
	const {writes, segment, store, received} = await start(t);
	const rival = new Segment({start: 0, end: 64 * KiB, for: 'fill', urgent: false});
	await Promise.all([store(0, 32 * KiB), writes.store(rival, 16 * KiB, content(16 * KiB, 48 * KiB))]);
	assert.deepEqual(received, [
		{start: 0, end: 32 * KiB},
		{start: 32 * KiB, end: 48 * KiB},
	]);
	const differing = writes.store(rival, 48 * KiB, content(48 * KiB, 64 * KiB, other));
	await Promise.all([
		differing,
		assert.rejects(writes.store(segment, 48 * KiB, content(48 * KiB, 64 * KiB)), changed),
	]);
});

test('a reader stops at the end of new bytes until they match the cached bytes after them', async t => {
	const {writes, store, counts} = await start(t);
	assert.equal(writes.areCompared, true);
	await store(0, 32 * KiB);
	await store(32 * KiB, 64 * KiB);
	assert.deepEqual(
		[writes.areCompared, writes.readableEnd(0, 0), writes.readableEnd(0, 64 * KiB)],
		[false, 64 * KiB, 64 * KiB],
	);
	assert.deepEqual([writes.isReadable(0, 32 * KiB), writes.isReadable(0, 64 * KiB)], [true, false]);
	await store(64 * KiB, 64 * KiB + overlapBytes - 1);
	assert.equal(writes.isReadable(0, 64 * KiB), false, 'the overlap is longer');
	await store(64 * KiB, 64 * KiB + overlapBytes);
	assert.deepEqual([writes.isReadable(0, 64 * KiB), writes.readableEnd(0, 0)], [true, Infinity]);
	assert.deepEqual(counts, {rechecks: 1, identified: 0});
	assert.equal(writes.areCompared, false, 'the bytes before the segment are still to be compared');
});

test('a reader stays before bytes whose write is not over', async t => {
	const {file, context, writes, store} = await start(t);
	let end: number | undefined;
	context.file = {
		present: file.present,
		write: async (offset: number, bytes: Uint8Array) => {
			await file.write(offset, bytes);
			end = writes.readableEnd(0, 8 * KiB);
		},
	} as unknown as SparseFile;
	await store(16 * KiB, 64 * KiB);
	assert.equal(end, 16 * KiB);
});

test('a reader that began in the cached bytes may read them', async t => {
	const {writes, store} = await start(t);
	await store(0, 64 * KiB);
	assert.equal(writes.readableEnd(64 * KiB, 64 * KiB), Infinity);
	assert.equal(writes.readableEnd(80 * KiB, 96 * KiB), Infinity);
});

test('a strong ETag makes the comparison unnecessary', async t => {
	const {context, writes, store} = await start(t);
	context.isNamed = true;
	await store(0, 64 * KiB);
	assert.deepEqual([writes.areCompared, writes.readableEnd(0, 0)], [true, Infinity]);
});

test('cached bytes shorter than the overlap suffice if they are repeated up to their end', async t => {
	const {writes, store} = await start(t, {start: 64 * KiB, end: 65 * KiB});
	await store(0, 65 * KiB);
	assert.equal(writes.isReadable(0, 64 * KiB), true);
});

test('a whole response needs no comparison at its other end', async t => {
	const {writes, segment, store, counts} = await start(t);
	segment.isWhole = true;
	await store(0, 64 * KiB + overlapBytes);
	assert.deepEqual([writes.areCompared, counts], [true, {rechecks: 1, identified: 1}]);
});

test('other bytes after the new ones remove these, and fail readers that pass from one to the other', async t => {
	const {writes, segment, store, disproved} = await start(t);
	await store(16 * KiB, 64 * KiB, other);
	const error: unknown = await store(64 * KiB, 80 * KiB, other).catch((reason: unknown) => reason);
	writes.retract(segment, error);
	assert.deepEqual(disproved, [{start: 16 * KiB, end: 64 * KiB}]);
	assert.throws(() => writes.readableEnd(16 * KiB, 64 * KiB), changed);
	assert.equal(writes.isReadable(16 * KiB, 64 * KiB), false);
	assert.equal(writes.readableEnd(64 * KiB, 64 * KiB), Infinity, 'it began there');
	await store(64 * KiB, 66 * KiB);
	assert.equal(writes.isReadable(16 * KiB, 64 * KiB), true, 'another response has matched there');
});

test('a response that ends before the comparison loses the bytes that the next one repeats', async t => {
	const {writes, segment, store, disproved, counts} = await start(t);
	await store(16 * KiB, 64 * KiB);
	writes.retract(segment);
	writes.retract(segment);
	assert.deepEqual(disproved, [{start: 64 * KiB - overlapBytes, end: 64 * KiB}]);
	assert.equal(writes.readableEnd(0, 16 * KiB), Infinity);
	writes.release(segment);
	assert.deepEqual([writes.areCompared, counts.identified], [true, 1]);
});

test('new bytes that touch no cached ones after them stay', async t => {
	const {writes, segment, store, disproved} = await start(t);
	await store(0, 32 * KiB);
	writes.retract(segment, new Error('closed'));
	assert.deepEqual(disproved, []);
});

test('another source or version forgets contradictions', async t => {
	const {writes, segment, store} = await start(t);
	await store(0, 64 * KiB);
	writes.retract(segment, new Error('closed'));
	assert.equal(writes.isReadable(0, 64 * KiB), false);
	writes.forgetContradictions();
	assert.equal(writes.isReadable(0, 64 * KiB), true);
});
