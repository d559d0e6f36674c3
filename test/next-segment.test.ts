import assert from 'node:assert/strict';
import {test} from 'node:test';
import {nextSegment, type PlanState, type Demand} from '../source/engine/fetch/next-segment.ts';
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
		pledged: [],
		background: true,
		playhead: 0,
		segmentSize: 4 * MiB,
		...changes,
	};
}

function wish(changes: Partial<Demand>): Demand {
	return {offset: 0, end: size, blocked: true, ahead: MiB, segmentSize: 512 * KiB, ...changes};
}

const present = (...pairs: Array<[number, number]>) =>
	new RangeSet(pairs.map(([start, end]) => ({start, end})));

test('an empty file is filled from its start, a segment at a time', () => {
	assert.deepEqual(nextSegment(situation({})), {start: 0, end: 4 * MiB, for: 'fill', urgent: false});
});

test('a fill goes on behind what is claimed', () => {
	const plan = nextSegment(situation({claimed: [{offset: MiB, end: 4 * MiB}], present: present([0, MiB])}));
	assert.deepEqual(plan, {start: 4 * MiB, end: 8 * MiB, for: 'fill', urgent: false});
});

test('a player that waits comes before the fill', () => {
	const plan = nextSegment(situation({wanted: [wish({offset: 180 * MiB})]}));
	assert.deepEqual(plan, {start: 180 * MiB, end: 180 * MiB + 512 * KiB, for: 'player', urgent: true});
});

test('a byte that is about to arrive is waited for, and the fill goes on elsewhere', () => {
	const claimed = [{offset: 10 * MiB, end: 14 * MiB}];
	const plan = nextSegment(
		situation({claimed, wanted: [wish({offset: 11 * MiB, ahead: 0})], background: false}),
	);
	assert.equal(plan, undefined);
});

test('a player that waits far inside a claim gets a connection at its byte', () => {
	const claimed = [{offset: 10 * MiB, end: 40 * MiB}];
	const plan = nextSegment(situation({claimed, wanted: [wish({offset: 30 * MiB})]}));
	assert.equal(plan?.start, 30 * MiB);
	assert.equal(plan?.urgent, true);
});

test('the index of a film comes after players that wait, and before their read-ahead and the fill', () => {
	const index = {start: 150 * MiB, end: 151 * MiB};
	const waiting = wish({offset: 80 * MiB});
	const reading = wish({offset: 80 * MiB, blocked: false});
	assert.equal(nextSegment(situation({index, wanted: [waiting]}))?.start, 80 * MiB);
	const plan = {...index, for: 'fill', urgent: false, isIndex: true};
	assert.deepEqual(nextSegment(situation({index, wanted: [reading]})), plan);
	assert.deepEqual(nextSegment(situation({index})), plan);
	const claimed = [{offset: 149 * MiB, end: 152 * MiB}];
	assert.equal(nextSegment(situation({index, claimed}))?.start, 0);
});

test("a segment ends where the reader's request ends", () => {
	const plan = nextSegment(situation({wanted: [wish({offset: 5, end: 1005})]}));
	assert.deepEqual([plan?.start, plan?.end], [5, 1005]);
});

test('a segment ends where the next present run or claim begins', () => {
	const wanted = [wish({offset: MiB, segmentSize: 8 * MiB})];
	assert.equal(nextSegment(situation({wanted, present: present([2 * MiB, 3 * MiB])}))?.end, 2 * MiB);
	assert.equal(nextSegment(situation({wanted, claimed: [{offset: 3 * MiB, end: 4 * MiB}]}))?.end, 3 * MiB);
});

test('what a player reads next comes before the fill, but is not urgent', () => {
	const wanted = [wish({offset: 50 * MiB, blocked: false, ahead: 2 * MiB})];
	const plan = nextSegment(situation({wanted, present: present([50 * MiB, 51 * MiB])}));
	assert.deepEqual(plan, {start: 51 * MiB, end: 51 * MiB + 512 * KiB, for: 'player', urgent: false});
});

test('what is wanted anyway is read ahead in large pieces, else no further than the reader wants', () => {
	const wanted = [wish({offset: 50 * MiB, blocked: false, ahead: 2 * MiB, segmentSize: 8 * MiB})];
	const ahead = situation({wanted, present: present([50 * MiB, 51 * MiB])});
	assert.equal(nextSegment(ahead)?.end, 59 * MiB);
	assert.equal(nextSegment({...ahead, background: false})?.end, 52 * MiB);
	assert.equal(nextSegment({...ahead, claimed: [{offset: 54 * MiB, end: size}]})?.end, 54 * MiB);
});

test('an open-ended request is no wish for more than its read-ahead', () => {
	const wanted = [wish({offset: 50 * MiB, blocked: false, ahead: MiB})];
	assert.equal(
		nextSegment(situation({wanted, present: present([50 * MiB, 51 * MiB]), background: false})),
		undefined,
	);
});

test('the wish that comes first is served first', () => {
	const wanted = [wish({offset: 90 * MiB}), wish({offset: 10 * MiB})];
	assert.equal(nextSegment(situation({wanted}))?.start, 90 * MiB);
});

test('a fill goes on after the newest player and comes last to what is before it', () => {
	assert.equal(nextSegment(situation({playhead: 60 * MiB}))?.start, 60 * MiB);
	const rest = present([60 * MiB, size]);
	assert.equal(nextSegment(situation({playhead: 60 * MiB, present: rest}))?.start, 0);
});

test('without fill only what players want is fetched', () => {
	assert.equal(nextSegment(situation({background: false})), undefined);
});

test('when all is claimed, the largest claim is split in its middle, on the grid', () => {
	const claimed = [
		{offset: 0, end: 60 * MiB, rate: MiB},
		{offset: 60 * MiB, end: size, rate: MiB},
	];
	const plan = nextSegment(situation({claimed}));
	assert.deepEqual([plan?.start, plan?.end], [130 * MiB, size]);
});

test('a claim that is small, soon over or of unknown speed is not split', () => {
	for (const [left, rate] of [
		[MiB - 1, 1000],
		[20 * MiB, 100 * MiB],
		[20 * MiB, undefined],
	] as const) {
		const claimed = [{offset: size - left, end: size, rate}];
		assert.equal(nextSegment(situation({present: present([0, size - left]), claimed})), undefined);
	}
});

test('an origin without ranges is read from its start, by one connection', () => {
	const whole = situation({acceptsRanges: false, present: present([0, MiB])});
	assert.deepEqual(nextSegment(whole), {start: 0, end: size, for: 'fill', urgent: false});
	assert.equal(nextSegment({...whole, claimed: [{offset: MiB, end: size}]}), undefined);
	assert.deepEqual(nextSegment({...whole, background: false, wanted: [wish({offset: 5 * MiB})]}), {
		start: 0,
		end: size,
		for: 'player',
		urgent: true,
	});
	assert.equal(nextSegment({...whole, background: false, wanted: [wish({offset: 0, end: 1000})]}), undefined);
});

test('a file of unknown size is a hole to infinity', () => {
	const plan = nextSegment(situation({size: Infinity, present: present([0, MiB])}));
	assert.deepEqual([plan?.start, plan?.end], [MiB, 5 * MiB]);
});

test('a complete file needs nothing', () => {
	assert.equal(nextSegment(situation({present: present([0, size]), wanted: [wish({offset: 5})]})), undefined);
});
