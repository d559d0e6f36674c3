import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {neighbourOf, placesOf, withPlace, type Queued} from '../source/engine/queue.ts';

type Named = Queued & {readonly name: string};

function queued(name: string, facts: Partial<Queued> = {}): Named {
	return {
		name,
		queueRank: 1,
		isComplete: false,
		wantsPlace: true,
		pledgedBy: undefined,
		isProbing: false,
		...facts,
	};
}

const idle = {wantsPlace: false};
const probing = {isProbing: true};
const complete = {isComplete: true, wantsPlace: false};

const places: Array<[words: string, downloads: Named[], places: number, expected: string[]]> = [
	['none without a place', [queued('a')], 0, []],
	['lower ranks first', [queued('a', {queueRank: 2}), queued('b')], 1, ['b']],
	['equal ranks in the given order', [queued('a'), queued('b')], 1, ['a']],
	['none for one that wants none', [queued('a', idle), queued('b')], 1, ['b']],
	['a probing one beside the places', [queued('a', probing), queued('b')], 1, ['a', 'b']],
	['a probing one without places', [queued('a', probing), queued('b')], 0, ['a']],
	['none for a probing one that wants none', [queued('a', {...idle, ...probing})], 1, []],
];

for (const [words, downloads, count, expected] of places) {
	test(`places of the queue: ${words}`, () => {
		const names = Array.from(withPlace(downloads, count, {isRequested: () => true}), ({name}) => name);
		assert.deepEqual(names.toSorted(), expected);
	});
}

test('a download swaps with the next incomplete one, and not beyond the ends', () => {
	const [a, b, c] = [
		queued('a', {queueRank: 1}),
		queued('b', {queueRank: 2, ...complete}),
		queued('c', {queueRank: 3}),
	];
	const queue = [c, b, a];
	assert.equal(neighbourOf(queue, a, 1)?.name, 'c');
	assert.equal(neighbourOf(queue, c, -1)?.name, 'a');
	assert.equal(neighbourOf(queue, b, -1)?.name, 'a');
	assert.equal(neighbourOf(queue, a, -1), undefined);
	assert.equal(neighbourOf(queue, c, 1), undefined);
});

function placesNamed(downloads: Named[], count: number, fill?: 'requested') {
	const {background, pledges, yields} = placesOf(downloads, count, {
		fill,
		isRequested: ({name}) => name === 'a',
	});
	const names = (set: Set<Named>) => Array.from(set, ({name}) => name);
	return {background: names(background), pledges: names(pledges), yields};
}

test('no background byte is fetched during pledges', () => {
	const downloads = [
		queued('a'),
		queued('b', {pledgedBy: 9, wantsPlace: false}),
		queued('c', {pledgedBy: 5}),
	];
	assert.deepEqual(placesNamed(downloads, 3), {background: [], pledges: ['c', 'b'], yields: true});
	assert.deepEqual(placesNamed(downloads, 1), {background: [], pledges: ['c'], yields: true});
});

test('no background runs while a working host has a pledge to fetch', () => {
	const each = fc.record({
		wantsPlace: fc.boolean(),
		pledgedBy: fc.option(fc.nat(9), {nil: undefined}),
		isProbing: fc.boolean(),
	});
	fc.assert(
		fc.property(fc.array(each, {maxLength: 8}), fc.integer({min: 1, max: 4}), (all, count) => {
			const downloads = all.map((changes, index) => queued(String(index), changes));
			const {background, pledges, yields} = placesNamed(downloads, count);
			const working = downloads.filter(({pledgedBy, isProbing}) => pledgedBy !== undefined && !isProbing);
			assert.equal(yields, working.length > 0);
			assert.ok(working.length === 0 || background.length === 0);
			const served = working.filter(({name}) => pledges.includes(name));
			assert.equal(served.length, Math.min(count, working.length));
			const dues = (some: typeof working) => some.map(({pledgedBy}) => pledgedBy!);
			const left = working.filter(({name}) => !pledges.includes(name));
			assert.ok(Math.max(0, ...dues(served)) <= Math.min(Infinity, ...dues(left)));
		}),
	);
});

test('a pledge of a failing host delays no other download', () => {
	const downloads = [queued('a'), queued('b', {pledgedBy: 9, ...probing})];
	assert.deepEqual(placesNamed(downloads, 1), {background: ['b', 'a'], pledges: ['b'], yields: false});
});

test('without places, or in an engine for its own requests, other pledges wait', () => {
	const downloads = [queued('a'), queued('b', {pledgedBy: 9})];
	assert.deepEqual(placesNamed(downloads, 0).pledges, []);
	assert.deepEqual(placesNamed(downloads, 3, 'requested'), {background: ['a'], pledges: [], yields: false});
});
