import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {neighborOf, placesOf, probesOfHost, withPlace, type Queued} from '../source/engine/queue.ts';

type Named = Queued & {readonly name: string};

function queued(name: string, facts: Partial<Queued> = {}): Named {
	return {
		name,
		queueRank: 1,
		isComplete: false,
		wantsPlace: true,
		pledge: undefined,
		attempts: attempts(),
		...facts,
	};
}

function attempts(facts: Partial<Queued['attempts']> = {}): Queued['attempts'] {
	return {host: 'a.example', failures: 0, isTrying: false, hasWorked: false, ...facts};
}

function due(by: number, facts: Partial<Queued['attempts']> = {}, isSlow = false): Partial<Queued> {
	return {pledge: {by, isSlow, isLate: false}, attempts: attempts(facts), wantsPlace: false};
}

const idle = {wantsPlace: false};
const probing = {attempts: attempts({failures: 1})};
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
	assert.equal(neighborOf(queue, a, 1)?.name, 'c');
	assert.equal(neighborOf(queue, c, -1)?.name, 'a');
	assert.equal(neighborOf(queue, b, -1)?.name, 'a');
	assert.equal(neighborOf(queue, a, -1), undefined);
	assert.equal(neighborOf(queue, c, 1), undefined);
});

function placesNamed(downloads: Named[], count: number, fill?: 'requested') {
	const {background, pledges, yields} = placesOf(downloads, count, {
		fill,
		isRequested: ({name}) => name === 'a',
	});
	const names = (set: Set<Named>) => Array.from(set, ({name}) => name);
	return {background: names(background), pledges: names(pledges), yields: names(yields)};
}

test('no background byte is fetched during pledges', () => {
	const downloads = [queued('a'), queued('b', due(9)), queued('c', {...due(5), wantsPlace: true})];
	const yields = ['a', 'b', 'c'];
	assert.deepEqual(placesNamed(downloads, 3), {background: [], pledges: ['c', 'b'], yields});
	assert.deepEqual(placesNamed(downloads, 1), {background: [], pledges: ['c'], yields});
});

test('no background runs while a working host has a pledge to fetch, and few pledges probe a failing one', () => {
	const each = fc.record({
		wantsPlace: fc.boolean(),
		pledge: fc.option(fc.record({by: fc.nat(9), isSlow: fc.boolean(), isLate: fc.boolean()}), {
			nil: undefined,
		}),
		attempts: fc.record({
			host: fc.constantFrom('a', 'b'),
			failures: fc.constantFrom(0, 0, 1, 2),
			isTrying: fc.boolean(),
			hasWorked: fc.boolean(),
		}),
	});
	fc.assert(
		fc.property(fc.array(each, {maxLength: 16}), fc.integer({min: 1, max: 4}), (all, count) => {
			const downloads = all.map((changes, index) => queued(String(index), changes));
			const {background, pledges, yields} = placesNamed(downloads, count);
			const named = (names: string[]) => downloads.filter(({name}) => names.includes(name));
			const pledging = downloads.filter(({pledge}) => pledge);
			for (const host of ['a', 'b']) {
				const here = pledging.filter(({attempts}) => attempts.host === host);
				const hasFailed = here.some(({attempts}) => attempts.failures > 0);
				const works = here.some(({attempts}) => attempts.failures === 0 && attempts.hasWorked);
				const served = named(pledges).filter(({attempts}) => attempts.host === host);
				if (hasFailed && !works) {
					assert.equal(served.length, Math.min(probesOfHost, here.length));
				} else if (here.some(({attempts, pledge}) => attempts.failures === 0 && !pledge!.isLate)) {
					assert.ok(named(background).every(({attempts}) => attempts.host !== host));
				}
			}

			const isHealthy = ({attempts: {host, failures}}: Named) =>
				failures === 0 &&
				!pledging.some(
					({attempts}) =>
						attempts.host === host &&
						attempts.failures > 0 &&
						!pledging.some(
							other =>
								other.attempts.host === host && other.attempts.failures === 0 && other.attempts.hasWorked,
						),
				);
			const working = pledging.filter(each => !each.pledge!.isSlow && isHealthy(each));
			const areLate = working.every(({pledge}) => pledge!.isLate);
			assert.ok(areLate || (background.length === 0 && yields.length === downloads.length));
			assert.ok(background.every(name => !yields.includes(name)));
			const served = working.filter(({name}) => pledges.includes(name));
			assert.equal(served.length, Math.min(count, working.length));
			const dues = (some: Named[]) => some.map(({pledge}) => pledge!.by);
			const left = working.filter(({name}) => !pledges.includes(name));
			assert.ok(Math.max(0, ...dues(served)) <= Math.min(Infinity, ...dues(left)));
		}),
	);
});

test('a pledge of a failing host delays no other download', () => {
	const downloads = [queued('a'), queued('b', {...due(9, {failures: 1}), wantsPlace: true})];
	assert.deepEqual(placesNamed(downloads, 1), {background: ['b', 'a'], pledges: ['b'], yields: []});
});

test('pledges that a failing host has not been tried for delay nobody, until it serves one of them', () => {
	const fails = due(9, {failures: 1, isTrying: true});
	const downloads = [queued('a'), queued('b', fails), queued('c', due(9)), queued('d', due(9))];
	assert.deepEqual(placesNamed(downloads, 2), {background: ['a'], pledges: ['b', 'c', 'd'], yields: []});
	const works = queued('e', due(8, {hasWorked: true}));
	assert.deepEqual(placesNamed([...downloads, works], 2), {
		background: [],
		pledges: ['b', 'e', 'c'],
		yields: ['a', 'b', 'c', 'd', 'e'],
	});
});

test('the turns of a failing host go to attempts under way, then to pledges tried least', () => {
	const downloads = [
		queued('a', due(1, {failures: 2})),
		queued('b', due(2, {failures: 1})),
		queued('c', due(3)),
		queued('d', due(4, {failures: 9, isTrying: true})),
		queued('e', due(5, {host: 'b.example', failures: 5})),
	];
	assert.deepEqual(placesNamed(downloads, 2).pledges, ['d', 'c', 'b', 'e']);
});

test('a pledge from a slow host delays only the background from this host', () => {
	const other = {attempts: attempts({host: 'b.example'})};
	const downloads = [queued('a'), queued('b', other), queued('c', due(9, {hasWorked: true}, true))];
	assert.deepEqual(placesNamed(downloads, 2), {background: ['b'], pledges: ['c'], yields: ['a', 'c']});
	downloads.push(queued('d', due(9, {host: 'b.example'})));
	assert.deepEqual(placesNamed(downloads, 1), {
		background: [],
		pledges: ['d', 'c'],
		yields: ['a', 'b', 'c', 'd'],
	});
});

test('a late pledge is fetched beside the background, and still precedes pledges that are not', () => {
	const late = (by: number, isSlow = false) => ({...due(by), pledge: {by, isSlow, isLate: true}});
	const downloads = [queued('a'), queued('b', late(1)), queued('c', late(2, true))];
	assert.deepEqual(placesNamed(downloads, 1), {background: ['a'], pledges: ['b', 'c'], yields: []});
	downloads.push(queued('d', due(9)));
	const yields = ['a', 'b', 'c', 'd'];
	assert.deepEqual(placesNamed(downloads, 1), {background: [], pledges: ['b', 'c'], yields});
	assert.deepEqual(placesNamed(downloads, 2), {background: [], pledges: ['b', 'd', 'c'], yields});
});

test('without places, or in an engine for its own requests, other pledges wait', () => {
	const downloads = [queued('a'), queued('b', due(9))];
	assert.deepEqual(placesNamed(downloads, 0).pledges, []);
	assert.deepEqual(placesNamed(downloads, 3, 'requested'), {background: ['a'], pledges: [], yields: []});
});
