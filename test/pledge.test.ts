// The bytes of pledges, their merging, their requests in words, and their descriptions. Pure.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {DownStreamError, type Download, type Pledge, type SafeRequest} from '../source/downstream.ts';
import {sharedProblems} from '../source/engine/banners.ts';
import {afterRate, isSlow, type Pace} from '../source/engine/download/pace.ts';
import {leastReadOver, type FilmMap, type FilmTrack} from '../source/engine/film/film-map.ts';
import {playable} from '../source/engine/film/playable.ts';
import {
	maxPledges,
	pledgeOf,
	resolvePledge,
	stretchRanges,
	withPledge,
} from '../source/engine/film/pledge.ts';
import {RangeSet} from '../source/engine/store/range-set.ts';
import type {StoredPledge} from '../source/engine/store/record.ts';
import {safeRequestOf} from '../source/text/safe-request.ts';
import {
	pledgeWords,
	safeFact,
	safeList,
	safeWords,
	shortSafeWords,
	shownPledge,
} from '../source/text/safe-words.ts';
import {blankDownload, blankPledge} from './support/blank-download.ts';

const MiB = 1024 * 1024;
const minute = 60_000;
const size = 400;
const description = {kind: 'video', codec: 'avc', language: null, width: 320, height: 180} as const;

const maps: fc.Arbitrary<FilmMap> = fc
	.tuple(
		fc.array(fc.integer({min: 1, max: 3000}), {minLength: 1, maxLength: 12}),
		fc.integer({min: 1, max: 3}),
		fc.tuple(fc.nat(size), fc.nat(size)),
	)
	.chain(([steps, tracks, [a, b]]) => {
		const times = [0];
		for (const step of steps) {
			times.push(times.at(-1)! + step);
		}

		const offsets = fc
			.array(fc.nat(size), {minLength: times.length, maxLength: times.length})
			.map(values => values.toSorted((x, y) => x - y));
		return fc.array(offsets, {minLength: tracks, maxLength: tracks}).map(all => ({
			durationMs: times.at(-1)!,
			exact: true,
			times,
			tracks: all.map((each): FilmTrack => ({...description, offsets: each})),
			index: a === b ? [] : [{start: Math.min(a, b), end: Math.max(a, b)}],
			asides: [],
			readOver: leastReadOver,
		}));
	});

test('a stretch is safe with exactly its bytes, and cannot be watched with one byte less', () => {
	fc.assert(
		fc.property(maps, fc.nat(), fc.nat(), fc.nat(), (map, a, b, c) => {
			const from = a % map.durationMs;
			const to = from + 1 + (b % (map.durationMs - from));
			const ranges = stretchRanges(map, from, to);
			const present = new RangeSet(ranges);
			const isSafe = () =>
				playable(map, present).some(([start, end]) => start <= from && Math.min(to, map.durationMs) <= end);
			assert.ok(isSafe());
			const bytes = [...present].flatMap(({start, end}) =>
				Array.from({length: end - start}, (_, index) => start + index),
			);
			if (bytes.length > 0) {
				const byte = bytes[c % bytes.length]!;
				present.remove({start: byte, end: byte + 1});
				assert.ok(!isSafe());
			}
		}),
	);
});

const facts = {size: 100 * MiB, map: undefined, isMapAwaited: false};
const now = new Date(2026, 10, 29, 19, 0).getTime();

const linear: FilmMap = {
	durationMs: 100 * minute,
	exact: true,
	times: [0, 50 * minute, 100 * minute],
	tracks: [{...description, offsets: [0, 50 * MiB, 100 * MiB]}],
	index: [],
	asides: [],
	readOver: leastReadOver,
};

for (const [what, request, code, sentence] of [
	['minutes of a file without any', {forMs: 1}, 'bad-request', /its times are unknown; give bytes instead$/],
	['minutes and bytes', {forMs: 1, bytes: 1}, 'bad-request', /exclude each other/],
	['two places', {from: 'start', fromMs: 1, forMs: 1}, 'bad-request', /^from and fromMs exclude/],
	['bytes from a time', {fromMs: 1, bytes: 1}, 'bad-request', /^fromMs applies to forMs/],
	['a time that has passed', {bytes: 1, by: now}, 'bad-request', /^by must be in the future$/],
] as const) {
	test(`a pledge is refused: ${what}`, () => {
		assert.throws(
			() => pledgeOf(request, facts, undefined, now),
			(error: unknown) => {
				assert.ok(error instanceof DownStreamError && error.code === code);
				assert.match(error.message, sentence);
				return true;
			},
		);
	});
}

test('a pledge beyond the end is refused, and one across the end is cut', () => {
	const film = {...facts, map: linear};
	assert.throws(() => pledgeOf({fromMs: 100 * minute, forMs: 1}, film, undefined, now), {
		message: 'The film is only 1:40:00 long',
	});
	const rest = pledgeOf({fromMs: 60 * minute, forMs: 900 * minute}, film, undefined, now);
	assert.deepEqual(resolvePledge(rest, film), {ranges: [{start: 50 * MiB, end: 100 * MiB}]});
	const player = {offset: 7, ms: 51 * minute};
	assert.deepEqual(pledgeOf({forMs: minute}, film, player, now), {
		unit: 'ms',
		from: 51 * minute,
		to: 52 * minute,
	});
	assert.throws(() => pledgeOf({forMs: 1}, {...facts, isMapAwaited: true}, {offset: 7, ms: undefined}, now), {
		code: 'incomplete',
	});
});

test('pledged minutes get the bytes of a new version, or the start of a file without a timeline', () => {
	const pledge = {unit: 'ms', from: 0, to: 10 * minute, orBytes: 8} as const;
	assert.deepEqual(resolvePledge(pledge, {...facts, map: linear}), {ranges: [{start: 0, end: 50 * MiB}]});
	const short = {...linear, times: [0, 20 * minute, 100 * minute]};
	assert.deepEqual(resolvePledge(pledge, {...facts, map: short}), {ranges: [{start: 0, end: 50 * MiB}]});
	assert.deepEqual(resolvePledge(pledge, {...facts, isMapAwaited: true}), {reason: null});
	assert.deepEqual(resolvePledge(pledge, facts), {ranges: [{start: 0, end: 8}]});
	assert.deepEqual(resolvePledge({unit: 'bytes', from: 9, to: null}, {...facts, size: 5}), {
		reason: 'The file has only 5 bytes',
	});
});

test('overlapping pledges with one deadline are merged, and a contained one adds nothing', () => {
	const add = (...wishes: Array<Omit<StoredPledge, 'n'>>) => {
		let pledges: readonly StoredPledge[] = [];
		for (const each of wishes) {
			({pledges} = withPledge(pledges, each));
		}

		return pledges.map(({n, from, to, by}) => [n, from, to, by]);
	};
	const ms = (from: number, to: number | null, by?: number) =>
		({unit: 'ms', from, to, ...(by !== undefined && {by})}) as const;
	assert.deepEqual(add(ms(0, 5), ms(3, 9)), [[1, 0, 9, undefined]]);
	assert.deepEqual(add(ms(0, 5), ms(0, 5)), [[1, 0, 5, undefined]]);
	assert.deepEqual(add(ms(0, 5), ms(6, 9)), [
		[1, 0, 5, undefined],
		[2, 6, 9, undefined],
	]);
	assert.deepEqual(add(ms(0, 5), ms(8, 9), ms(4, null)), [[1, 0, null, undefined]]);
	assert.deepEqual(add(ms(0, 9, 100), ms(2, 3)), [[1, 0, 9, 100]]);
	assert.deepEqual(add(ms(2, 3), ms(0, 9, 100)), [[2, 0, 9, 100]]);
	assert.deepEqual(add(ms(0, 9), ms(2, 3, 100)), [
		[1, 0, 9, undefined],
		[2, 2, 3, 100],
	]);
	assert.deepEqual(add(ms(0, 9), ms(5, 12, 100)), [
		[1, 0, 9, undefined],
		[2, 5, 12, 100],
	]);
	// The starts of all downloads, then a longer stretch of one.
	const {pledges: start} = withPledge([], {...ms(0, 2), orBytes: 8});
	assert.deepEqual(withPledge(start, ms(0, 9)), {
		pledges: [{...ms(0, 9), orBytes: 8, n: 1}],
		n: 1,
	});
	assert.equal(withPledge([{...ms(0, 9, 100), n: 1}], {...ms(0, 2), orBytes: 8}).n, 2);
	assert.throws(() => add(...Array.from({length: maxPledges + 1}, (_, at) => ms(3 * at, 3 * at + 1))), {
		code: 'bad-request',
	});
});

test('a slow pledge gives other hosts a turn, unless that slows it', () => {
	const never = Number.MAX_SAFE_INTEGER;
	/** Seconds and rates → the seconds at which it is slow. */
	const slowAt = (missing: number, by: number, rates: Array<[seconds: number, rate: number]>) => {
		let pace: Pace = {};
		return rates.flatMap(([seconds, rate]) => {
			pace = afterRate(pace, {missing, by, rate, now: seconds * 1000});
			return isSlow(pace) ? [seconds] : [];
		});
	};

	const steady = (rate: number) => [0, 10, 20, 30, 60].map((seconds): [number, number] => [seconds, rate]);
	assert.deepEqual(slowAt(3600 * 1000, never, steady(1000)), [], 'within an hour');
	assert.deepEqual(slowAt(3601 * 1000, never, steady(1000)), [20, 30, 60]);
	assert.deepEqual(slowAt(Infinity, never, steady(1000)), [], 'of unknown size');
	assert.deepEqual(slowAt(100 * 1000, 99_000, steady(1000)), [20, 30, 60], 'too late');
	assert.deepEqual(slowAt(100 * 1000, 200_000, steady(1000)), [], 'in time');
	const slowed: Array<[number, number]> = [
		[0, 1000],
		[20, 1000],
		[40, 500],
		[50, 699],
		[60, 1000],
		[649, 1000],
		[650, 1000],
	];
	assert.deepEqual(slowAt(9999 * 1000, never, slowed), [20, 40, 650]);
	assert.deepEqual(slowAt(9999 * 1000, never, [...steady(1000), [61, 99_999], [62, 1000]]), [20, 30, 60]);
});

const words: Array<[given: Parameters<typeof safeRequestOf>[0], expected: SafeRequest | RegExp]> = [
	[{amount: '45m'}, {forMs: 45 * minute}],
	[{amount: '1h30m'}, {forMs: 90 * minute}],
	[{amount: '1:30:00'}, {forMs: 90 * minute}],
	[{amount: '1.5h'}, {forMs: 90 * minute}],
	[{amount: '200M'}, {bytes: 200 * MiB}],
	[{amount: 'first 200MiB'}, {bytes: 200 * MiB, from: 'start'}],
	[{amount: 'all'}, {}],
	[
		{amount: '45m', from: '41:07'},
		{forMs: 45 * minute, fromMs: 41 * minute + 7000},
	],
	[
		{amount: '45m', from: 'Start', by: '2h'},
		{forMs: 45 * minute, from: 'start', by: now + 120 * minute},
	],
	[
		{amount: '1m', by: '20:30'},
		{forMs: minute, by: now + 90 * minute},
	],
	[
		{amount: '1m', by: '6:00'},
		{forMs: minute, by: now + 11 * 60 * minute},
	],
	[{amount: '45'}, /^"45": write 45m or 1h30m, 200M, or all$/],
	[{amount: '-5m'}, /^"-5m": write/],
	[{amount: '0m'}, /^"0m": write/],
	[{amount: '1:99:00'}, /^"1:99:00": write/],
	[{amount: ''}, /^"": write/],
	[{amount: '45m', from: '99'}, /^"99": write a time such as 41:07, player or start$/],
	[{amount: '5M', from: '41:07'}, /^"41:07": bytes begin at start or player/],
	[
		{amount: '45m', by: '18:40'},
		/^"18:40": it has passed; for tomorrow give the date too, such as 2026-11-30T18:40$/,
	],
	[{amount: '45m', by: '2026-11-29T18:40'}, /^"2026-11-29T18:40": it has passed$/],
	[{amount: '45m', by: '25:00'}, /^"25:00": write a time such as 18:40/],
	[{amount: '45m', by: 'soon'}, /^"soon": write a time such as 18:40/],
];

for (const [given, expected] of words) {
	test(`words for a stretch: ${JSON.stringify(given)}`, () => {
		const read = () => safeRequestOf(given, now);
		if (expected instanceof RegExp) {
			assert.throws(read, (error: unknown) => {
				assert.ok(error instanceof DownStreamError && error.code === 'bad-request');
				assert.match(error.message, expected);
				return true;
			});
		} else {
			assert.deepEqual(read(), expected);
		}
	});
}

const at = (hours: number, minutes: number) => new Date(2026, 10, 29, hours, minutes).getTime();
const film: Partial<Pledge> = {fromMs: 62 * minute, toMs: 107 * minute, safeToMs: 81 * minute};

const ofFilm = '1:02:00–1:21:00';

for (const [expected, pledge, beside] of [
	[`safe ${ofFilm}; to 1:47:00 at 18:31`, {...film, etaAt: at(18, 31)}, `${ofFilm}; to 1:47:00 at 18:31`],
	[
		`safe ${ofFilm}; to 1:47:00 at 18:50, late by 10m`,
		{...film, etaAt: at(18, 50), by: at(18, 40)},
		`${ofFilm}; to 1:47:00 at 18:50, late by 10m`,
	],
	[`safe ${ofFilm}; to 1:47:00 pending`, film, `${ofFilm}; to 1:47:00 pending`],
	['almost safe 1:02:00–1:47:00', {...film, safeToMs: 107 * minute}, 'almost 1:02:00–1:47:00'],
	[
		'almost safe to 2:00; all at 18:31',
		{fromMs: 0, toMs: 2 * minute + 500, safeToMs: 2 * minute, etaAt: at(18, 31)},
		'almost to 2:00; all at 18:31',
	],
	['1:02:00–1:47:00 safe at 18:31', {...film, safeToMs: null, etaAt: at(18, 31)}, '1:02:00–1:47:00 at 18:31'],
	[
		'1:02:00–~1:47:00 safe at 18:31',
		{...film, safeToMs: 62 * minute + 500, exact: false, etaAt: at(18, 31)},
		'1:02:00–~1:47:00 at 18:31',
	],
	['1:02:00–1:47:00 to be made safe', {...film, safeToMs: null}, '1:02:00–1:47:00 to be made safe'],
	['⚑ safe 1:02:00–1:47:00', {...film, state: 'safe'}, '1:02:00–1:47:00'],
	['⚑ safe to ~2:00', {fromMs: 0, toMs: 2 * minute, exact: false, state: 'safe'}, 'to ~2:00'],
	['to be made safe', {fromMs: 0}, 'to be made safe'],
	[
		'safe to 120 MiB; to 200 MiB pending',
		{start: 0, end: 200 * MiB, safeTo: 120 * MiB},
		'to 120 MiB; to 200 MiB pending',
	],
	['first 200 MiB to be made safe', {start: 0, end: 200 * MiB}, 'first 200 MiB to be made safe'],
	['⚑ safe to 200 MiB', {start: 0, end: 200 * MiB, state: 'safe'}, 'to 200 MiB'],
	['⚑ all safe', {start: 0, end: 300 * MiB, state: 'safe'}, 'all'],
	['⚑ cannot be made safe: no', {state: 'impossible', reason: 'no'}, 'not possible: no'],
] as const satisfies ReadonlyArray<readonly [string, Partial<Pledge>, string]>) {
	test(`a pledge in words: ${expected}`, () => {
		const shown = {...blankPledge, ...pledge};
		const size = 300 * MiB;
		assert.equal(pledgeWords(shown, {size}), expected);
		assert.equal(pledgeWords(shown, {size}, true), expected.replace('⚑', '!').replace('–', '-'));
		const download = {size, pledges: [shown], completedAt: null};
		assert.equal(safeFact(download), beside);
		assert.equal(safeFact(download, true), beside.replace('–', '-'));
	});
}

test('the error of a download is not repeated as the reason of its pledge', () => {
	const message = '404: no such file';
	const error = {code: 'origin-refused', message, at: 0} as const;
	const pledges = [{...blankPledge, state: 'impossible', reason: message} as const];
	const failed = {size: null, completedAt: null, error, pledges};
	assert.deepEqual([safeWords(failed), safeFact(failed)], ['⚑ cannot be made safe', 'not possible']);
	assert.equal(safeWords({...failed, error: null}), `⚑ cannot be made safe: ${message}`);
});

for (const [expected, pledge] of [
	[
		[`safe ${ofFilm}; to 1:47:00 at 18:31`, `safe ${ofFilm}; all at 18:31`, `safe ${ofFilm}`, '⚑→1:21:00'],
		{...film, etaAt: at(18, 31)},
	],
	[['⚑ safe 1:02:00–1:47:00', '⚑→1:47:00'], {...film, state: 'safe'}],
	[['to be made safe', '⚑'], {}],
	[['to be made safe', '⚑'], {fromMs: 0}],
	[
		['safe to 120 MiB; to 200 MiB pending', 'safe to 120 MiB', '⚑→120 MiB'],
		{start: 0, end: 200 * MiB, safeTo: 120 * MiB},
	],
	[['⚑ cannot be made safe: no', '⚑ cannot be made safe', '⚑ failed'], {state: 'impossible', reason: 'no'}],
] as const satisfies ReadonlyArray<readonly [readonly string[], Partial<Pledge>]>) {
	test(`a pledge in the words of a row: ${expected[0]}`, () => {
		const download = {...blankDownload, size: 300 * MiB, pledges: [{...blankPledge, ...pledge}]};
		assert.deepEqual(shortSafeWords(download), expected);
	});
}

test('the first pending pledge is shown, and without a network the safe stretches', () => {
	const met: Pledge = {...blankPledge, fromMs: 0, toMs: 107 * minute, state: 'safe'};
	const all: Pledge = {...blankPledge, start: 0, end: 5, state: 'safe'};
	assert.equal(safeWords({size: 5, pledges: [], completedAt: null}), '');
	assert.equal(safeWords({size: 5, pledges: [met, blankPledge], completedAt: null}), 'to be made safe');
	assert.equal(safeWords({size: 5, pledges: [met], completedAt: 1}), '');
	const urgent: Pledge = {...blankPledge, fromMs: 0, by: 100};
	assert.equal(shownPledge({pledges: [blankPledge, urgent, {...urgent, by: 101}]}), urgent);
	const list = [
		{size: 9, pledges: [met], completedAt: null},
		{size: 9, pledges: [blankPledge], completedAt: null},
		{size: 5, pledges: [all], completedAt: null},
	];
	assert.equal(safeList(list), '#1 to 1:47:00, #3 all');
	const complete = {size: 5, pledges: [], completedAt: 1};
	assert.equal(safeList([complete, ...list]), '#2 to 1:47:00, #4 all, #1 all');
	const many = Array.from({length: 9}, () => complete);
	assert.equal(safeList(many), '#1 all, #2 all, #3 all, #4 all, #5 all, #6 all, 3 more');
});

test('without a network, the banner names what is safe', () => {
	const offline: Download = {
		...blankDownload,
		status: 'waiting',
		error: {code: 'origin-unreachable', message: 'cdn.example.org was not found', at: 0, tries: 2},
	};
	const met: Pledge = {...blankPledge, fromMs: 0, toMs: 107 * minute + 10_000, state: 'safe'};
	const downloads = [
		{...offline, pledges: [met]},
		offline,
		{...blankDownload, status: 'complete' as const, completedAt: 1},
	];
	assert.deepEqual(
		sharedProblems(downloads, '/cache', () => false),
		['No network. Safe: #1 to 1:47:10, #3 all. 2 downloads wait and will continue.'],
	);
	assert.deepEqual(
		sharedProblems([offline], '/cache', () => false),
		['No network. 1 download waits and will continue.'],
	);
	assert.deepEqual(
		sharedProblems([offline], '/cache', () => true),
		['cdn.example.org cannot be reached. 1 download waits and will continue.'],
	);
});
