import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {
	nextSegment,
	serves,
	useOf,
	type PlanState,
	type Demand,
} from '../source/engine/fetch/next-segment.ts';
import {RangeSet} from '../source/engine/store/range-set.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const size = 200 * MiB;

function situation(changes: Partial<PlanState>): PlanState {
	return {
		present: new RangeSet(),
		size,
		acceptsRanges: true,
		claimed: [],
		wanted: [],
		index: undefined,
		connections: 4,
		pledged: [],
		background: true,
		playhead: 0,
		segmentSize: 4 * MiB,
		rate: Infinity,
		...changes,
	};
}

function demand(changes: Partial<Demand>): Demand {
	const ahead = changes.ahead ?? MiB;
	return {
		...{offset: 0, end: size, blocked: true, ahead, beforePledges: ahead, segmentSize: 512 * KiB, pace: 0},
		...changes,
	};
}

const present = (...pairs: Array<[number, number]>) =>
	new RangeSet(pairs.map(([start, end]) => ({start, end})));

test('the background fetches an empty file from its start, one segment at a time', () => {
	assert.deepEqual(nextSegment(situation({})), {start: 0, end: 4 * MiB, for: 'fill', urgent: false});
});

test('the background continues behind claimed ranges', () => {
	const plan = nextSegment(situation({claimed: [{offset: MiB, end: 4 * MiB}], present: present([0, MiB])}));
	assert.deepEqual(plan, {start: 4 * MiB, end: 8 * MiB, for: 'fill', urgent: false});
});

test('a waiting player precedes the background', () => {
	const plan = nextSegment(situation({wanted: [demand({offset: 180 * MiB})]}));
	assert.deepEqual(plan, {start: 180 * MiB, end: 180 * MiB + 512 * KiB, for: 'player', urgent: true});
});

test('read-ahead is late while the connections of a player deliver less than it reads, and it has little ready', () => {
	const planWith = (rate: number | undefined, changes: Partial<Demand> = {}) =>
		nextSegment(
			situation({
				claimed: [{offset: 256 * KiB, end: 512 * KiB, rate}],
				wanted: [demand({offset: 256 * KiB, pace: 100 * KiB, ...changes})],
				background: false,
			}),
		);
	const plan = {start: 512 * KiB, end: MiB, for: 'player', urgent: false};
	assert.deepEqual(planWith(100 * KiB), {...plan, isLate: true});
	assert.deepEqual(planWith(150 * KiB), plan);
	assert.deepEqual(planWith(undefined), plan);
	assert.deepEqual(planWith(100 * KiB, {pace: 50 * KiB}), plan);
	assert.deepEqual(planWith(20 * KiB, {pace: 50 * KiB, beforePledges: 0}), plan);
	const ready = {present: present([0, 512 * KiB]), claimed: []};
	assert.deepEqual(
		nextSegment(situation({...ready, wanted: [demand({pace: 50 * KiB})], background: false})),
		plan,
	);
	assert.deepEqual(
		nextSegment(situation({...ready, wanted: [demand({pace: 60 * KiB})], background: false})),
		{
			...plan,
			isLate: true,
		},
	);
});

test('a byte about to arrive gets no second segment, and the background continues elsewhere', () => {
	const claimed = [{offset: 10 * MiB, end: 14 * MiB}];
	const plan = nextSegment(
		situation({claimed, wanted: [demand({offset: 11 * MiB, ahead: 0})], background: false}),
	);
	assert.equal(plan, undefined);
});

test('a byte that a slow connection would deliver late gets its own segment', () => {
	const startAt = (rate: number, offset: number) =>
		nextSegment(
			situation({
				claimed: [{offset: 10 * MiB, end: 14 * MiB, rate}],
				wanted: [demand({offset, ahead: 0})],
				background: false,
			}),
		)?.start;
	assert.equal(startAt(100 * KiB, 10.5 * MiB), 10.5 * MiB);
	assert.equal(startAt(100 * KiB, 10 * MiB + 40 * KiB), undefined);
	assert.equal(startAt(0, 10 * MiB), undefined);
	assert.equal(startAt(10 * MiB, 10.5 * MiB), undefined);
});

test('a request for a player is short on a slow connection, and longer the later its bytes are read', () => {
	const lengthAt = (rate: number, start: number) => {
		const wanted = [demand({blocked: start === 0, ahead: 4 * MiB, pace: 75 * KiB})];
		const plan = nextSegment(situation({rate, wanted, present: present([0, start]), background: false}))!;
		return (plan.end - plan.start) / KiB;
	};
	assert.equal(lengthAt(10 * KiB, 0), 64);
	assert.equal(lengthAt(30 * KiB, 0), 64);
	assert.equal(lengthAt(30 * KiB, 512 * KiB), 64);
	assert.equal(lengthAt(30 * KiB, 3 * MiB), 5 * 64, 'a quarter of 41 s');
	assert.equal(lengthAt(100 * KiB, 0), 4 * 64);
	assert.equal(lengthAt(256 * KiB, 0), 512);
	assert.equal(lengthAt(Infinity, 0), 512);
});

test('other connections take over the rest of a request that is too slow for its player', () => {
	const planWith = (rate: number | undefined, changes: Partial<PlanState> = {}) =>
		nextSegment(
			situation({
				claimed: [{offset: 0, end: MiB, rate}],
				wanted: [demand({pace: 75 * KiB})],
				background: false,
				...changes,
			}),
		);
	const plan = {start: 64 * KiB, end: 128 * KiB, for: 'player', urgent: false, isLate: true};
	assert.deepEqual(planWith(30 * KiB, {rate: 30 * KiB}), plan);
	assert.deepEqual(planWith(30 * KiB), {...plan, end: 576 * KiB});
	const next = {offset: 64 * KiB, end: 128 * KiB, rate: undefined};
	const both = {rate: 30 * KiB, claimed: [{offset: 0, end: 64 * KiB, rate: 30 * KiB}, next]};
	assert.deepEqual(planWith(30 * KiB, both), {...plan, start: 128 * KiB, end: 192 * KiB});
	assert.equal(planWith(undefined), undefined, 'its rate is unknown');
	assert.equal(planWith(120 * KiB), undefined, 'fast enough for the film');
	assert.equal(planWith(30 * KiB, {claimed: [{offset: 0, end: 96 * KiB, rate: 30 * KiB}]})?.start, 96 * KiB);
});

test('the index of a film is shared by slow connections while a player waits', () => {
	const index = {start: 0, end: 300 * KiB};
	const claimed = [{offset: 0, end: MiB, rate: 30 * KiB}];
	const waiting = demand({offset: 0, ahead: 0});
	const state = situation({index, claimed, rate: 30 * KiB, background: false});
	assert.equal(nextSegment({...state, wanted: [{...waiting, blocked: false}]}), undefined);
	assert.deepEqual(nextSegment({...state, wanted: [waiting]}), {
		...{start: 64 * KiB, end: 192 * KiB, for: 'fill', urgent: false},
		...{isIndex: true, isLate: true},
	});
});

test('a player waiting far inside a claim gets its own segment', () => {
	const claimed = [{offset: 10 * MiB, end: 40 * MiB}];
	const plan = nextSegment(situation({claimed, wanted: [demand({offset: 30 * MiB})]}));
	assert.equal(plan?.start, 30 * MiB);
	assert.equal(plan?.urgent, true);
});

test('the index of a film follows waiting players and precedes read-ahead and background', () => {
	const index = {start: 150 * MiB, end: 150.25 * MiB};
	const waiting = demand({offset: 80 * MiB});
	const reading = demand({offset: 80 * MiB, blocked: false});
	assert.equal(nextSegment(situation({index, wanted: [waiting]}))?.start, 80 * MiB);
	const plan = {...index, for: 'fill', urgent: false, isIndex: true};
	assert.deepEqual(nextSegment(situation({index, wanted: [reading]})), plan);
	assert.deepEqual(nextSegment(situation({index})), plan);
	const claimed = [{offset: 149 * MiB, end: 152 * MiB}];
	assert.equal(nextSegment(situation({index, claimed}))?.start, 0);
});

test("a segment ends where the reader's request ends", () => {
	const plan = nextSegment(situation({wanted: [demand({offset: 5, end: 1005})]}));
	assert.deepEqual([plan?.start, plan?.end], [5, 1005]);
});

test('a segment ends where the next present run or claim begins', () => {
	const wanted = [demand({offset: MiB, segmentSize: 8 * MiB})];
	assert.equal(nextSegment(situation({wanted, present: present([2 * MiB, 3 * MiB])}))?.end, 2 * MiB);
	assert.equal(nextSegment(situation({wanted, claimed: [{offset: 3 * MiB, end: 4 * MiB}]}))?.end, 3 * MiB);
});

test('read-ahead precedes the background, but is not urgent', () => {
	const wanted = [demand({offset: 50 * MiB, blocked: false, ahead: 2 * MiB})];
	const plan = nextSegment(situation({wanted, present: present([50 * MiB, 51 * MiB])}));
	assert.deepEqual(plan, {start: 51 * MiB, end: 51 * MiB + 512 * KiB, for: 'player', urgent: false});
});

test('read-ahead takes large segments with a background, and ends at the demand without one', () => {
	const wanted = [demand({offset: 50 * MiB, blocked: false, ahead: 2 * MiB, segmentSize: 8 * MiB})];
	const ahead = situation({wanted, present: present([50 * MiB, 51 * MiB])});
	assert.equal(nextSegment(ahead)?.end, 59 * MiB);
	assert.equal(nextSegment({...ahead, background: false})?.end, 52 * MiB);
	assert.equal(nextSegment({...ahead, claimed: [{offset: 54 * MiB, end: size}]})?.end, 54 * MiB);
});

test('an open-ended request demands no more than its read-ahead', () => {
	const wanted = [demand({offset: 50 * MiB, blocked: false, ahead: MiB})];
	assert.equal(
		nextSegment(situation({wanted, present: present([50 * MiB, 51 * MiB]), background: false})),
		undefined,
	);
});

test('the first demand is served first', () => {
	const wanted = [demand({offset: 90 * MiB}), demand({offset: 10 * MiB})];
	assert.equal(nextSegment(situation({wanted}))?.start, 90 * MiB);
});

test('the background continues at the newest player and ends with the range before it', () => {
	assert.equal(nextSegment(situation({playhead: 60 * MiB}))?.start, 60 * MiB);
	const rest = present([60 * MiB, size]);
	assert.equal(nextSegment(situation({playhead: 60 * MiB, present: rest}))?.start, 0);
});

test('without a background, only demanded ranges are fetched', () => {
	assert.equal(nextSegment(situation({background: false})), undefined);
});

test('if everything is claimed, the largest claim is split in the middle, on the grid', () => {
	const claimed = [
		{offset: 0, end: 60 * MiB, rate: MiB},
		{offset: 60 * MiB, end: size, rate: MiB},
	];
	const plan = nextSegment(situation({claimed}));
	assert.deepEqual([plan?.start, plan?.end], [130 * MiB, size]);
});

test('a claim that is small, almost done or of unknown speed is not split', () => {
	for (const [left, rate] of [
		[MiB - 1, 1000],
		[20 * MiB, 100 * MiB],
		[20 * MiB, undefined],
	] as const) {
		const claimed = [{offset: size - left, end: size, rate}];
		assert.equal(nextSegment(situation({present: present([0, size - left]), claimed})), undefined);
	}
});

test('an origin without ranges is read from its start over one connection', () => {
	const whole = situation({acceptsRanges: false, present: present([0, MiB])});
	assert.deepEqual(nextSegment(whole), {start: 0, end: size, for: 'fill', urgent: false});
	assert.equal(nextSegment({...whole, claimed: [{offset: MiB, end: size}]}), undefined);
	assert.deepEqual(nextSegment({...whole, background: false, wanted: [demand({offset: 5 * MiB})]}), {
		start: 0,
		end: size,
		for: 'player',
		urgent: true,
	});
	assert.equal(
		nextSegment({...whole, background: false, wanted: [demand({offset: 0, end: 1000})]}),
		undefined,
	);
});

test('a file of unknown size is a hole to infinity', () => {
	const plan = nextSegment(situation({size: Infinity, present: present([0, MiB])}));
	assert.deepEqual([plan?.start, plan?.end], [MiB, 5 * MiB]);
});

test('a complete file needs no segment', () => {
	assert.equal(
		nextSegment(situation({present: present([0, size]), wanted: [demand({offset: 5})]})),
		undefined,
	);
});

const rangeIn = (most: number) =>
	fc.tuple(fc.nat(most), fc.nat(most)).map(([a, b]) => ({start: Math.min(a, b), end: Math.max(a, b)}));

test('no byte of a pledge waits for the background', () => {
	const most = 64;
	const ranges = fc.array(rangeIn(most), {maxLength: 5});
	fc.assert(
		fc.property(ranges, ranges, ranges, fc.boolean(), (here, pledged, claims, background) => {
			const scaled = (all: typeof here) => all.map(({start, end}) => ({start: start * MiB, end: end * MiB}));
			const set = new RangeSet(scaled(here));
			const state = situation({
				size: most * MiB,
				present: set,
				pledged: scaled(pledged),
				background,
				claimed: scaled(claims).map(({start, end}) => ({offset: start, end})),
			});
			const plan = nextSegment(state);
			const open = state.pledged.flatMap(range =>
				[...set.holes(range)].filter(hole => {
					const served = new RangeSet(
						state.claimed
							.filter(claim => serves(claim, range))
							.map(({offset, end}) => ({start: offset, end})),
					);
					return !served.covers(hole);
				}),
			);
			if (open.length > 0) {
				assert.equal(plan?.for, 'pledge');
				assert.ok(open.some(({start, end}) => start < plan.end && plan.start < end));
			} else if (!background) {
				assert.ok(plan === undefined || plan.for === 'pledge');
			}
		}),
	);
});

test('a pledge follows the bytes that players wait for and read next, and precedes the rest of the read-ahead', () => {
	const pledged = [{start: 100 * MiB, end: 110 * MiB}];
	const blocked = situation({pledged, wanted: [demand({offset: 50 * MiB})]});
	assert.equal(nextSegment(blocked)?.start, 50 * MiB);
	const reads = demand({
		offset: 50 * MiB,
		blocked: false,
		ahead: 40 * MiB,
		beforePledges: 16 * MiB,
		segmentSize: 4 * MiB,
	});
	assert.equal(nextSegment({...blocked, wanted: [reads]})?.start, 50 * MiB);
	const near = {...blocked, wanted: [reads], present: present([50 * MiB, 66 * MiB])};
	assert.deepEqual([nextSegment(near)?.start, nextSegment(near)?.for], [100 * MiB, 'pledge']);
	const met = {...near, present: present([50 * MiB, 66 * MiB], [100 * MiB, 110 * MiB])};
	assert.deepEqual([nextSegment(met)?.start, nextSegment(met)?.for], [66 * MiB, 'player']);
});

test('a pledged byte far inside a claim of the background gets a connection of its own', () => {
	const pledged = [{start: 100 * MiB, end: 110 * MiB}];
	const far = situation({pledged, claimed: [{offset: 60 * MiB, end: 150 * MiB}]});
	assert.deepEqual([nextSegment(far)?.start, nextSegment(far)?.for], [100 * MiB, 'pledge']);
	const near = {...far, claimed: [{offset: 99.5 * MiB, end: 150 * MiB}]};
	assert.notEqual(nextSegment(near)?.start, 100 * MiB);
});

test('an index is fetched in four parts, or in more by more connections or of the usual size', () => {
	const partsOf = (length: number, connections = 4) => {
		const index = {start: 150 * MiB, end: 150 * MiB + length};
		const claimed: Array<{offset: number; end: number}> = [];
		for (;;) {
			const plan = nextSegment(situation({index, claimed, connections, background: false}));
			if (!plan) {
				return claimed.map(({offset, end}) => end - offset);
			}

			claimed.push({offset: plan.start, end: plan.end});
		}
	};

	assert.deepEqual(partsOf(MiB), [256 * KiB, 256 * KiB, 256 * KiB, 256 * KiB]);
	assert.deepEqual(partsOf(300 * KiB), [256 * KiB, 44 * KiB]);
	assert.deepEqual(partsOf(MiB, 1), partsOf(MiB));
	assert.equal(partsOf(3 * MiB, 16).length, 12);
	assert.equal(partsOf(8 * MiB, 16).length, 16);
	assert.deepEqual(partsOf(8 * MiB), [2 * MiB, 2 * MiB, 2 * MiB, 2 * MiB]);
	assert.deepEqual(partsOf(18 * MiB), [4 * MiB, 4 * MiB, 4 * MiB, 4 * MiB, 2 * MiB]);
});

test('smaller remainders of a pledge than of the background are split', () => {
	const claimed = [{offset: 100 * MiB, end: 100.5 * MiB, rate: MiB}];
	const pledged = [{start: 100 * MiB, end: 100.5 * MiB}];
	const state = situation({pledged, claimed, background: false});
	const plan = {start: 100.25 * MiB, end: 100.5 * MiB, for: 'pledge', urgent: false};
	assert.deepEqual(nextSegment(state), plan);
	const whole = {...state, present: present([0, 100 * MiB], [100.5 * MiB, size]), background: true};
	assert.equal(nextSegment({...whole, pledged: []}), undefined);
	assert.equal(
		nextSegment({
			...state,
			present: present([100 * MiB, 100.375 * MiB]),
			claimed: [{...claimed[0]!, offset: 100.375 * MiB}],
		}),
		undefined,
	);
});

test('an origin without ranges is read up to the end of the last pledge', () => {
	const state = situation({acceptsRanges: false, background: false, pledged: [{start: MiB, end: 3 * MiB}]});
	assert.deepEqual(nextSegment(state), {start: 0, end: 3 * MiB, for: 'pledge', urgent: false});
	assert.equal(nextSegment({...state, present: present([0, 3 * MiB])}), undefined);
});

test('a connection serves a player within its read-ahead, then a pledge, then the background', () => {
	const claim = {offset: 10 * MiB, end: 12 * MiB};
	const wanted = [demand({offset: 4 * MiB, end: 40 * MiB, ahead: 6 * MiB + 1})];
	const pledged = [{start: 11 * MiB, end: 50 * MiB}];
	assert.equal(useOf(claim, wanted, pledged), 'player');
	assert.equal(useOf(claim, [demand({...wanted[0]!, ahead: 6 * MiB})], pledged), 'pledge');
	assert.equal(useOf(claim, [demand({...wanted[0]!, end: 10 * MiB})], []), 'fill');
	assert.equal(useOf(claim, [demand({offset: 12 * MiB})], []), 'fill', 'the reader is past it');
	assert.equal(
		useOf(claim, [], [{start: 11 * MiB + 1, end: 50 * MiB}]),
		'fill',
		'the pledge begins too far on',
	);
});
