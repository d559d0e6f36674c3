// One contract for every set of present bytes: random operations compared with a plain array, then edge cases.
import assert from 'node:assert/strict';
import {randomInt} from 'node:crypto';
import {describe, test} from 'node:test';
import {BlockBitmap, blockSize, presentSetFor, rangeSetLimit} from '../source/engine/store/block-bitmap.ts';
import {RangeSet, type PresentSet, type Range} from '../source/engine/store/range-set.ts';

const fileSize = 70 * blockSize + 1234;

const implementations: ReadonlyArray<{name: string; create: () => PresentSet}> = [
	{name: 'RangeSet', create: () => new RangeSet()},
	{name: 'BlockBitmap', create: () => new BlockBitmap(fileSize)},
];

/** Ranges as pairs. */
function pairs(ranges: Iterable<Range>): Array<[number, number]> {
	return Array.from(ranges, ({start, end}) => [start, end]);
}

function range(start: number, end: number): Range {
	return {start, end};
}

/** Deterministic numbers 0 ≤ n < 1 from a seed (mulberry32). */
function randomNumbers(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let hash = Math.imul(state ^ (state >>> 15), state | 1);
		hash ^= hash + Math.imul(hash ^ (hash >>> 7), hash | 61);
		return ((hash ^ (hash >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** Reference model: an array with one element per `unit` bytes of the file. */
class Model {
	readonly #unit: number;
	readonly #present: Uint8Array;

	constructor(unit: number) {
		this.#unit = unit;
		this.#present = new Uint8Array(Math.ceil(fileSize / unit));
	}

	/** Byte offset of an array position. The position after the last is the end of the file. */
	offset(position: number): number {
		return Math.min(position * this.#unit, fileSize);
	}

	get length(): number {
		return this.#present.length;
	}

	fill(start: number, end: number, present: boolean): void {
		this.#present.fill(present ? 1 : 0, start, end);
	}

	runs(start: number, end: number, present: boolean): Array<[number, number]> {
		const runs: Array<[number, number]> = [];
		const value = present ? 1 : 0;
		for (let position = start; position < end; position++) {
			if (this.#present[position] !== value) {
				continue;
			}

			const from = position;
			while (position < end && this.#present[position] === value) {
				position++;
			}

			runs.push([this.offset(from), this.offset(position)]);
		}

		return runs;
	}
}

function total(runs: ReadonlyArray<readonly [number, number]>): number {
	return runs.reduce((sum, [start, end]) => sum + end - start, 0);
}

for (const {name, create} of implementations) {
	describe(name, () => {
		for (const {unit, islands} of [
			{unit: blockSize / 4, islands: 0},
			{unit: blockSize, islands: 0},
			{unit: 10_007, islands: 0},
			{unit: 10_007, islands: 900},
		]) {
			test(`matches a plain array after random changes in steps of ${unit} bytes, starting with ${islands} islands`, () => {
				const seed = randomInt(2 ** 31);
				const random = randomNumbers(seed);
				const model = new Model(unit);
				const set = create();
				const pick = (limit: number) => Math.floor(random() * (limit + 1));
				for (let island = 0; island < islands; island++) {
					model.fill(2 * island, 2 * island + 1, true);
					set.add(range(model.offset(2 * island), model.offset(2 * island + 1)));
				}

				// Large changes would remove many islands.
				const small = islands > 0 ? 0.97 : 0.7;
				for (let round = 0; round < 300; round++) {
					const [start = 0, end = 0] = [pick(model.length), pick(model.length)].toSorted((a, b) => a - b);
					const stop = random() < small ? Math.min(end, start + pick(6)) : end;
					const present = random() < 0.6;
					const changed = range(model.offset(start), model.offset(stop));
					model.fill(start, stop, present);
					if (present) {
						set.add(changed);
					} else {
						set.remove(changed);
					}

					const [from = 0, to = 0] = [pick(model.length), pick(model.length)].toSorted((a, b) => a - b);
					const within = range(model.offset(from), model.offset(to));
					const runs = model.runs(from, to, true);
					const all = model.runs(0, model.length, true);
					const holes = model.runs(from, to, false);
					const message = `seed ${seed}, round ${round}, [${within.start}, ${within.end})`;
					assert.deepEqual(pairs(set), all, message);
					assert.equal(set.size, total(all), message);
					assert.equal(set.count(within), total(runs), message);
					assert.deepEqual(pairs(set.holes(within)), holes, message);
					assert.equal(set.covers(within), holes.length === 0, message);
					const run = all.find(([begin, finish]) => begin <= within.start && within.start < finish);
					assert.equal(set.runEnd(within.start), run?.[1] ?? within.start, message);
				}
			});
		}

		const edges: ReadonlyArray<{what: string; add: Range[]; remove?: Range[]; left: Range[]}> = [
			{what: 'neighbors are merged', add: [range(0, 9), range(20, 30), range(9, 20)], left: [range(0, 30)]},
			{what: 'overlapping runs are merged', add: [range(0, 15), range(10, 30)], left: [range(0, 30)]},
			{
				what: 'a run within another changes nothing',
				add: [range(0, 30), range(10, 20)],
				left: [range(0, 30)],
			},
			{
				what: 'one missing byte keeps runs apart',
				add: [range(0, 10), range(11, 20)],
				left: [range(0, 10), range(11, 20)],
			},
			{what: 'an empty range is not added', add: [range(5, 5)], left: []},
			{
				what: 'an empty range is not removed',
				add: [range(0, 10)],
				remove: [range(5, 5)],
				left: [range(0, 10)],
			},
			{
				what: 'removing the middle leaves two runs',
				add: [range(0, 30)],
				remove: [range(10, 20)],
				left: [range(0, 10), range(20, 30)],
			},
			{
				what: 'removing a start leaves the end',
				add: [range(10, 30)],
				remove: [range(10, 20)],
				left: [range(20, 30)],
			},
			{
				what: 'removing an end leaves the start',
				add: [range(10, 30)],
				remove: [range(20, 30)],
				left: [range(10, 20)],
			},
			{
				what: 'an unbounded range can be removed',
				add: [range(0, 10), range(fileSize - 9, fileSize)],
				remove: [range(5, Infinity)],
				left: [range(0, 5)],
			},
			{
				what: 'a block with a missing byte is not complete',
				add: [range(1, blockSize)],
				left: [range(1, blockSize)],
			},
			{
				what: 'a run across a block boundary stays exact',
				add: [range(blockSize - 3, blockSize + 5)],
				left: [range(blockSize - 3, blockSize + 5)],
			},
			{
				what: 'a block added in two halves is complete',
				add: [range(blockSize, blockSize + 9), range(blockSize + 9, 2 * blockSize)],
				left: [range(blockSize, 2 * blockSize)],
			},
			{
				what: 'one byte can be removed from a complete block',
				add: [range(0, 3 * blockSize)],
				remove: [range(blockSize, blockSize + 1)],
				left: [range(0, blockSize), range(blockSize + 1, 3 * blockSize)],
			},
			{
				what: 'the shorter last block is complete at the end of the file',
				add: [range(70 * blockSize, fileSize)],
				left: [range(70 * blockSize, fileSize)],
			},
			{
				what: 'whole blocks and edges make one run',
				add: [
					range(blockSize, 40 * blockSize),
					range(7, blockSize),
					range(40 * blockSize, 40 * blockSize + 1),
				],
				left: [range(7, 40 * blockSize + 1)],
			},
			{what: 'a file of many blocks can be whole', add: [range(0, fileSize)], left: [range(0, fileSize)]},
		];
		for (const {what, add, remove = [], left} of edges) {
			test(what, () => {
				const set = create();
				for (const added of add) {
					set.add(added);
				}

				for (const removed of remove) {
					set.remove(removed);
				}

				assert.deepEqual([...set], left);
				assert.equal(set.size, total(pairs(left)));
				assert.equal(set.count(range(0, Infinity)), total(pairs(left)));
				for (const {start, end} of left) {
					assert.equal(set.runEnd(start), end);
					assert.equal(set.runEnd(end - 1), end);
					assert.equal(set.runEnd(end), end);
					assert.equal(set.covers(range(start, end)), true);
					assert.equal(set.covers(range(start, end + 1)), false);
				}
			});
		}

		test('the hole after the last run is unbounded', () => {
			const set = create();
			assert.deepEqual(pairs(set.holes(range(3, Infinity))), [[3, Infinity]]);
			set.add(range(10, 20));
			assert.deepEqual(pairs(set.holes(range(0, Infinity))), [
				[0, 10],
				[20, Infinity],
			]);
			assert.deepEqual(pairs(set.holes(range(12, Infinity))), [[20, Infinity]]);
			set.add(range(0, fileSize));
			assert.deepEqual(pairs(set.holes(range(0, Infinity))), [[fileSize, Infinity]]);
		});

		test('bytes beyond the file are missing', () => {
			const set = create();
			set.add(range(0, fileSize));
			assert.equal(set.runEnd(fileSize + 5), fileSize + 5);
			assert.equal(set.count(range(fileSize, fileSize + 5)), 0);
			assert.deepEqual(pairs(set.holes(range(fileSize + 5, fileSize + 9))), [[fileSize + 5, fileSize + 9]]);
			set.remove(range(fileSize + 5, Infinity));
			assert.equal(set.size, fileSize);
		});

		test('removing the middle of a thousand islands one by one', () => {
			const islands = Array.from({length: 1000}, (_, index) => range(index * 2000, index * 2000 + 1000));
			const set = create();
			for (const island of islands) {
				set.add(island);
			}

			for (const island of islands.slice(200, 800)) {
				set.remove(island);
			}

			const left = [...islands.slice(0, 200), ...islands.slice(800)];
			assert.deepEqual([...set], left);
			for (const {start, end} of left) {
				assert.equal(set.runEnd(start), end);
			}

			const [hole] = set.holes(range(400_000, fileSize));
			assert.deepEqual(hole, range(400_000, 1_600_000));
		});

		test('an empty range is covered and counts no bytes', () => {
			const set = create();
			assert.equal(set.covers(range(5, 5)), true);
			assert.equal(set.count(range(5, 5)), 0);
			assert.deepEqual(pairs(set.holes(range(5, 5))), []);
		});

		test('an invalid range is rejected and changes nothing', () => {
			const set = create();
			set.add(range(10, 20));
			for (const bad of [range(5, 4), range(-1, 4), range(Number.NaN, 4), range(0, Number.NaN)]) {
				assert.throws(() => set.add(bad), RangeError);
				assert.throws(() => set.remove(bad), RangeError);
				assert.throws(() => set.covers(bad), RangeError);
				assert.throws(() => set.count(bad), RangeError);
				assert.throws(() => [...set.holes(bad)], RangeError);
			}

			assert.throws(() => set.add(range(0, Infinity)), RangeError);
			assert.deepEqual(pairs(set), [[10, 20]]);
		});
	});
}

test('offsets up to 2^53 are exact', () => {
	const set = new RangeSet([range(2 ** 53 - 10, 2 ** 53 - 1), range(0, 5)]);
	assert.deepEqual(pairs(set), [
		[0, 5],
		[2 ** 53 - 10, 2 ** 53 - 1],
	]);
	assert.equal(set.runEnd(2 ** 53 - 2), 2 ** 53 - 1);
	assert.equal(set.size, 14);
});

test('bytes beyond the end of a large file are rejected', () => {
	assert.throws(() => new BlockBitmap(fileSize).add(range(fileSize - 1, fileSize + 1)), RangeError);
});

test('a file of 100 GiB is tracked to the byte', () => {
	const size = 100 * 2 ** 30;
	const set = new BlockBitmap(size);
	assert.deepEqual(pairs(set.holes(range(0, size))), [[0, size]]);
	set.add(range(size - 7, size));
	assert.deepEqual(pairs(set.holes(range(0, size))), [[0, size - 7]]);
	set.add(range(0, size - 7));
	assert.equal(set.runEnd(0), size);
	assert.equal(set.size, size);
});

test('a file of many pages is tracked like a RangeSet', () => {
	const page = 4 * 2 ** 30;
	const size = 40 * page + 12_345;
	const random = randomNumbers(7);
	const bitmap = new BlockBitmap(size);
	const ranges = new RangeSet();
	for (let round = 0; round < 300; round++) {
		const near = Math.floor(random() * 41) * page;
		const start = Math.max(0, near + Math.floor((random() - 0.5) * 8) * blockSize + Math.floor(random() * 3));
		const end = Math.min(size, start + Math.floor(random() ** 4 * 10 * page));
		const change = range(Math.min(start, end), end);
		const isAdded = random() < 0.6;
		for (const set of [bitmap, ranges]) {
			if (isAdded) {
				set.add(change);
			} else {
				set.remove(change);
			}
		}

		assert.deepEqual(pairs(bitmap), pairs(ranges));
		assert.equal(bitmap.size, ranges.size);
		assert.deepEqual(pairs(bitmap.holes(range(0, size))), pairs(ranges.holes(range(0, size))));
	}
});

for (const size of [999_999_999_999_999, 2 ** 50, Number.MAX_SAFE_INTEGER]) {
	test(`memory for a file of ${size} bytes depends only on its present bytes`, () => {
		const before = process.memoryUsage().arrayBuffers;
		const set = presentSetFor(size);
		set.add(range(0, 3 * blockSize));
		set.add(range(size - 2 * blockSize, size));
		assert.deepEqual(pairs(set.holes(range(0, size))), [[3 * blockSize, size - 2 * blockSize]]);
		set.remove(range(blockSize, Infinity));
		assert.deepEqual(pairs(set), [[0, blockSize]]);
		assert.equal(set.size, blockSize);
		assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024);
	});
}

test('a bitmap is used for files over 100 MB of known size', () => {
	assert.ok(presentSetFor(rangeSetLimit) instanceof RangeSet);
	assert.ok(presentSetFor(rangeSetLimit + 1) instanceof BlockBitmap);
	assert.ok(presentSetFor(Infinity) instanceof RangeSet);
});

test('recorded ranges are clipped to the file', () => {
	const ranges = [range(0, 10), range(90, 200), range(300, 400)];
	assert.deepEqual(pairs(presentSetFor(100, ranges)), [
		[0, 10],
		[90, 100],
	]);
	assert.deepEqual(pairs(presentSetFor(Infinity, ranges)), pairs(ranges));
	const large = rangeSetLimit + 5;
	assert.deepEqual(pairs(presentSetFor(large, [range(large - 1, large + 1)])), [[large - 1, large]]);
});
