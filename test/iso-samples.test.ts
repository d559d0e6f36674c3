// The samples of a track, by the tables of an ISO file.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {
	keyBefore,
	lastAtMost,
	placeOf,
	samplesOf,
	type SampleTables,
} from '../source/engine/film/iso-samples.ts';

/** Version and flags, and the numbers. */
function table(...numbers: number[]): Buffer {
	const bytes = Buffer.alloc(4 + 4 * numbers.length);
	for (const [at, number] of numbers.entries()) {
		bytes.writeUInt32BE(number >>> 0, 4 + 4 * at);
	}

	return bytes;
}

const empty = Buffer.alloc(0);
const picture = {scale: 10, shiftMs: -100, isSound: false};
/** Seven samples in three chunks, at 0, 1, 2, 3, 4, 6 and 8 tenths of a second. */
const tables: SampleTables = {
	stts: table(2, 4, 1, 3, 2),
	ctts: table(3, 1, 1, 2, 2, 4, -1),
	stsz: table(0, 7, 10, 20, 30, 40, 50, 60, 70),
	stz2: empty,
	stsc: table(2, 1, 3, 1, 3, 1, 1),
	stco: table(3, 1000, 2000, 3000),
	co64: empty,
	stss: table(2, 1, 5),
};

test('samples have the places, sizes and times of their tables', () => {
	const {count, starts, sizes, times, shown, keys} = samplesOf(tables, picture, 7)!;
	assert.equal(count, 7);
	assert.deepEqual([...starts], [1000, 1010, 1030, 2000, 2040, 2090, 3000]);
	assert.deepEqual([...sizes], [10, 20, 30, 40, 50, 60, 70]);
	assert.deepEqual([...times], [-100, 0, 100, 200, 300, 500, 700]);
	assert.deepEqual([...shown], [0, 200, 300, 100, 200, 400, 600]);
	assert.deepEqual([...keys!], [0, 4]);
});

test('sizes and places have several widths', () => {
	const stz2 = (bits: number, ...bytes: number[]) => Buffer.concat([table(bits, 2), Buffer.from(bytes)]);
	const sizesIn = (sizes: Buffer) => [...samplesOf({...tables, stsz: empty, stz2: sizes}, picture, 2)!.sizes];
	assert.deepEqual(sizesIn(stz2(4, 0x9f)), [9, 15]);
	assert.deepEqual(sizesIn(stz2(8, 9, 200)), [9, 200]);
	assert.deepEqual(sizesIn(stz2(16, 1, 0, 0, 3)), [256, 3]);
	const {starts} = samplesOf({...tables, co64: table(2, 1, 0, 2, 5)}, picture, 6)!;
	assert.deepEqual([...starts.subarray(3)], [2 ** 33 + 5, 2 ** 33 + 45, 2 ** 33 + 95]);
});

test('each chunk of uncompressed sound is one sample', () => {
	const sound = {...tables, stts: table(1, 90_000, 1), ctts: empty, stsz: table(4, 90_000), stss: empty};
	const stsc = table(1, 1, 40_000, 1);
	const {starts, sizes, times, keys} = samplesOf(
		{...sound, stsc},
		{scale: 1000, shiftMs: 0, isSound: true},
		3,
	)!;
	assert.deepEqual([...starts], [1000, 2000, 3000]);
	assert.deepEqual([...times], [0, 40_000, 80_000]);
	assert.deepEqual([[...sizes], keys], [[4096, 4096, 4096], undefined]);
});

test('tables without an end have no more samples than there are sizes, or none', () => {
	const largest = 0xff_ff_ff_ff;
	const inflated = {...tables, stts: table(largest, largest, 1), stsc: table(1, 1, largest, 1)};
	assert.equal(samplesOf(inflated, picture, 7)!.count, 7);
	assert.equal(samplesOf({...tables, stsc: empty}, picture, 7), undefined);
	const constant = {...inflated, stsz: table(1, largest)};
	assert.throws(() => samplesOf(constant, picture, 1000), {problem: 'too-large'});
	assert.throws(() => samplesOf(tables, picture, 6), {problem: 'too-large'});
	assert.throws(() => samplesOf({...tables, stsz: table(0, 8, 1, 2)}, picture, 9), {problem: 'damaged'});
	assert.throws(() => samplesOf({...tables, stsz: empty, stz2: table(0, largest)}, picture, 9), {
		problem: 'damaged',
	});
});

test('a time is found by bisection', () => {
	const samples = samplesOf(tables, picture, 7)!;
	assert.deepEqual(
		[-1, 0, 199, 200, 1000].map(ms => keyBefore(samples, ms)),
		[0, 0, 0, 4, 4],
	);
	assert.deepEqual(
		[-101, -100, 99, 700].map(ms => lastAtMost(samples.times, ms)),
		[-1, 0, 1, 6],
	);
	assert.deepEqual(placeOf(samples, 4), {start: 2040, end: 2090});
});
