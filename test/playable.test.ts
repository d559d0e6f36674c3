// Playable ranges and the forecast, compared with models of each byte and each moment.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {
	checkedMap,
	decodeMap,
	encodeMap,
	leastReadOver,
	linearMap,
	maxMapBytes,
	thinned,
	type FilmMap,
	type FilmTrack,
} from '../source/engine/film/film-map.ts';
import {filmView} from '../source/engine/film/film-view.ts';
import {forecast, marginMs, playable, startMs, watchTo} from '../source/engine/film/playable.ts';
import {RangeSet, type Range} from '../source/engine/store/range-set.ts';

const size = 400;
const description = {kind: 'video', codec: 'avc', language: null, width: 320, height: 180} as const;

const ascending = (count: number, most: number) =>
	fc
		.array(fc.nat(most), {minLength: count, maxLength: count})
		.map(values => values.toSorted((a, b) => a - b));

const range = fc.tuple(fc.nat(size), fc.nat(size)).map(([a, b]) => ({
	start: Math.min(a, b),
	end: Math.max(a, b),
}));

const maps: fc.Arbitrary<FilmMap> = fc
	.tuple(
		fc.array(fc.integer({min: 1, max: 3000}), {minLength: 1, maxLength: 12}),
		fc.integer({min: 1, max: 3}),
		range,
	)
	.chain(([steps, tracks, index]) => {
		const times = [0];
		for (const step of steps) {
			times.push(times.at(-1)! + step);
		}

		return fc.array(ascending(times.length, size), {minLength: tracks, maxLength: tracks}).map(offsets => ({
			durationMs: times.at(-1)!,
			exact: true,
			times,
			tracks: offsets.map((each): FilmTrack => ({...description, offsets: each})),
			index: index.start < index.end ? [index] : [],
			asides: [],
			readOver: leastReadOver,
		}));
	});

const presence = fc.array(range, {maxLength: 8});

/** The bytes of the index, and those between two points from `part` of them on. */
function bytesAt(map: FilmMap, ms: number, part = 0): Set<number> {
	const point = map.times.findLastIndex(time => time <= ms);
	const bytes = new Set<number>();
	for (const {start, end} of [
		...map.index,
		...map.tracks.map(({offsets}) => {
			const [from, end] = [offsets[point]!, offsets[point + 1] ?? offsets[point]!];
			return {start: Math.floor(from + part * (end - from)), end};
		}),
	]) {
		for (let byte = start; byte < end; byte++) {
			bytes.add(byte);
		}
	}

	return bytes;
}

function isHere(ranges: readonly Range[], byte: number): boolean {
	return ranges.some(({start, end}) => start <= byte && byte < end);
}

test('a range of time is playable exactly if each of its moments has all its bytes', () => {
	fc.assert(
		fc.property(maps, presence, (map, ranges) => {
			const stretches = playable(map, new RangeSet(ranges));
			const last = map.times.length - 1;
			const whole = map.times.slice(0, last).map((time, point) => {
				// A player reads on from track to track: these films are too small for a seek.
				const start = Math.min(...map.tracks.map(({offsets}) => offsets[point]!));
				const end = Math.max(...map.tracks.map(({offsets}) => offsets[point + 1]!));
				const between = Array.from({length: end - start}, (_, byte) => start + byte);
				return [...bytesAt(map, time), ...between].every(byte => isHere(ranges, byte));
			});
			const expected: Array<[number, number]> = [];
			let claimedTo = 0;
			for (let point = 0; point < last; point++) {
				// So it does from the index to the first byte.
				const start = Math.min(...map.tracks.map(({offsets}) => offsets[point]!));
				const from = map.index.find(range => range.start <= start)?.end ?? start;
				const gap = Array.from({length: Math.max(0, start - from)}, (_, byte) => from + byte);
				const isReached = gap.every(byte => isHere(ranges, byte));
				if (whole[point] && isReached && point >= claimedTo) {
					const next = whole.indexOf(false, point);
					const to = next === -1 ? map.durationMs : map.times[next]! - marginMs;
					claimedTo = next === -1 ? last : next;
					const first = point === 0 ? 0 : map.times[point]! + 250;
					if (to > first) {
						expected.push([first, to]);
					}
				}
			}

			assert.deepEqual(stretches, expected);
		}),
	);
});

test('a stretch right after the index needs the bytes between, over which a player reads on', () => {
	const MiB = 1024 * 1024;
	const map = linearMap({durationMs: 10_000, exact: true, index: [{start: 0, end: 1000}]}, [description], {
		start: 1000,
		end: 10 * MiB,
	});
	const from = (start: number) =>
		playable(
			map,
			new RangeSet([
				{start: 0, end: 1000},
				{start, end: 10 * MiB},
			]),
		)[0]![0];
	assert.equal(from(1000), 0);
	assert.ok(from(2000) > 200);
	assert.ok(from(MiB) < 1350);
});

test('after a long index a player reads on over more bytes', () => {
	const MiB = 1024 * 1024;
	const playableAfter = (indexBytes: number, gap: number) => {
		const start = indexBytes + gap;
		const map: FilmMap = {
			durationMs: 20_000,
			exact: true,
			times: [0, 10_000, 20_000],
			tracks: [{...description, offsets: [indexBytes, start, start + MiB]}],
			index: [{start: 0, end: indexBytes}],
			asides: [],
			readOver: leastReadOver,
		};
		return playable(map, new RangeSet([...map.index, {start, end: start + MiB}])).length;
	};

	assert.deepEqual([playableAfter(leastReadOver, 300_000), playableAfter(leastReadOver, 200_000)], [1, 0]);
	assert.deepEqual([playableAfter(MiB, 3 * MiB), playableAfter(MiB, 1.5 * MiB)], [1, 0]);
	assert.deepEqual([playableAfter(20 * MiB, 7 * MiB), playableAfter(20 * MiB, 5 * MiB)], [1, 0]);
});

test('between two tracks that lie near each other a player reads on', () => {
	const KiB = 1024;
	const tracks = (distance: number) => [
		{...description, offsets: [0, 100 * KiB, 200 * KiB]},
		{...description, offsets: [100 * KiB + distance, 200 * KiB + distance, 300 * KiB + distance]},
	];
	const claims = (distance: number) =>
		playable(
			{
				durationMs: 20_000,
				exact: true,
				times: [0, 10_000, 20_000],
				tracks: tracks(distance),
				index: [],
				asides: [],
				readOver: leastReadOver,
			},
			new RangeSet(tracks(distance).map(({offsets}) => ({start: offsets[0]!, end: offsets[1]!}))),
		);
	assert.deepEqual(claims(0), [[0, 10_000 - marginMs]]);
	assert.deepEqual(claims(100 * KiB), []);
	assert.deepEqual(claims(257 * KiB), [[0, 10_000 - marginMs]]);
});

test('more bytes never shrink the playable ranges', () => {
	fc.assert(
		fc.property(maps, presence, range, (map, ranges, more) => {
			const present = new RangeSet(ranges);
			const before = playable(map, present);
			present.add(more);
			const after = playable(map, present);
			for (const [from, to] of before) {
				assert.ok(after.some(([start, end]) => start <= from && to <= end));
			}
		}),
	);
});

test('a map with fewer points claims no more than the full map', () => {
	fc.assert(
		fc.property(maps, presence, fc.integer({min: 2, max: 6}), (map, ranges, count) => {
			const present = new RangeSet(ranges);
			const all = playable(map, present);
			for (const [from, to] of playable(thinned(map, count), present)) {
				assert.ok(all.some(([start, end]) => start <= from && to <= end));
			}
		}),
	);
});

test('the forecast equals a simulation of each byte', () => {
	fc.assert(
		fc.property(maps, presence, fc.integer({min: 1, max: 500}), fc.nat(9000), (map, ranges, rate, at) => {
			const fromMs = Math.min(at, map.durationMs);
			const arrived = new Set<number>();
			let bytes = 0;
			let stallAt: number | null = null;
			let waitMs = 0;
			let neededRate = 0;
			let before = 0;
			const first = map.times.findLastIndex(time => time <= fromMs);
			for (let point = first; point < map.times.length - 1; point++) {
				const part = Math.max(0, fromMs - map.times[point]!) / (map.times[point + 1]! - map.times[point]!);
				for (const byte of bytesAt(map, map.times[point]!, part)) {
					if (!arrived.has(byte) && !isHere(ranges, byte)) {
						arrived.add(byte);
						bytes++;
					}
				}

				const [start, end] = [Math.max(fromMs, map.times[point]!), map.times[point + 1]!];
				const late = (bytes * 1000) / rate - (end - fromMs);
				if (bytes > 0) {
					neededRate = Math.max(neededRate, (bytes * 1000) / (end - fromMs + startMs));
				}

				if (bytes > 0 && late > 0) {
					// The player needs the bytes of a range at an even rate.
					stallAt ??= before >= 0 ? start : Math.round(start + ((end - start) * before) / (before - late));
					waitMs = Math.max(waitMs, late);
				}

				before = late;
			}

			assert.deepEqual(forecast(map, new RangeSet(ranges), fromMs, rate), {
				stallAt,
				waitMs: Math.ceil(waitMs),
				neededRate: Math.ceil(neededRate),
			});
		}),
	);
});

test('a wait longer than the start includes the bytes of pledges, but a stall does not', () => {
	fc.assert(
		fc.property(maps, presence, presence, fc.integer({min: 1, max: 500}), (map, ranges, pledged, rate) => {
			const present = new RangeSet(ranges);
			const alone = forecast(map, present, 0, rate);
			const isMissing = (byte: number) => !isHere(ranges, byte);
			const pledgedBytes = Array.from({length: size}, (_, byte) => byte).filter(byte =>
				isHere(pledged, byte),
			);
			const index = map.index.flatMap(({start, end}) =>
				Array.from({length: end - start}, (_, byte) => start + byte),
			);
			const first = [...new Set([...index, ...pledgedBytes])].filter(isMissing);
			const arrived = new Set<number>();
			let waitMs = 0;
			for (const [point, time] of map.times.slice(0, -1).entries()) {
				for (const byte of bytesAt(map, time)) {
					if (isMissing(byte)) {
						arrived.add(byte);
					}
				}

				const others = [...arrived].filter(byte => !first.includes(byte)).length;
				const last = first.findLastIndex(byte => arrived.has(byte));
				const bytes = others > 0 ? first.length + others : last + 1;
				waitMs = Math.max(waitMs, bytes === 0 ? 0 : (bytes * 1000) / rate - map.times[point + 1]!);
			}

			const expected = alone.waitMs! > startMs ? Math.ceil(waitMs) : alone.waitMs;
			assert.deepEqual(forecast(map, present, 0, rate, pledged), {...alone, waitMs: expected});
		}),
	);
});

test('the needed rate lets it play through within seconds, and is no larger than that takes', () => {
	fc.assert(
		fc.property(maps, presence, fc.nat(9000), (map, ranges, at) => {
			const [present, fromMs] = [new RangeSet(ranges), Math.min(at, map.durationMs)];
			const {neededRate} = forecast(map, present, fromMs, 1);
			if (neededRate > 0) {
				assert.ok(forecast(map, present, fromMs, neededRate).waitMs! <= startMs);
			}

			if (neededRate > 1) {
				assert.ok(forecast(map, present, fromMs, neededRate - 1).waitMs! >= startMs);
			}
		}),
	);
	// Right before a point, with the bytes of ten seconds missing on both sides of it.
	const map = linearMap({durationMs: 100_000, exact: true, index: []}, [description], {
		start: 0,
		end: 100_000,
	});
	const sparse = thinned(map, 11);
	assert.ok(forecast(sparse, new RangeSet(), sparse.times[1]! - 10, 1000).neededRate <= 1000);
});

test('a complete film plays to its end', () => {
	const map = linearMap({durationMs: 60_000, exact: true, index: []}, [description], {start: 10, end: 6000});
	const present = new RangeSet([{start: 0, end: 6000}]);
	assert.deepEqual(playable(map, present), [[0, 60_000]]);
	assert.deepEqual(forecast(map, present, 0, 1), {stallAt: null, waitMs: 0, neededRate: 0});
	const nothing = new RangeSet([{start: 0, end: 3010}]);
	const {stallAt, waitMs} = forecast(map, nothing, 0, 0);
	assert.ok(Math.abs(stallAt! - 30_000) < 500);
	assert.equal(waitMs, null);
	assert.equal(watchTo(playable(map, present), 59_000), 60_000);
	assert.equal(watchTo([[0, 5000]], 5000), null);
	// Also for a player that has read all of it.
	const end = {offset: 6000, forecastRate: 0, pledged: []};
	assert.equal(filmView(map, {present, isComplete: true}, end).watchTo, 60_000);
});

test('a stored map takes 16 KiB at most and is read only for its version and size', () => {
	fc.assert(
		fc.property(maps, map => {
			assert.deepEqual(decodeMap(encodeMap(map, 3, size), 3, size), map);
			assert.equal(decodeMap(encodeMap(map, 3, size), 4, size), undefined);
			assert.equal(decodeMap(encodeMap(map, 3, size), 3, size + 1), undefined);
		}),
	);
	const times = Array.from({length: 5001}, (_, second) => second * 1000);
	const offsets = times.map(time => time * 1000);
	const large = {
		durationMs: 5_000_000,
		exact: true,
		times,
		tracks: [
			{...description, offsets},
			{...description, offsets},
		],
		index: [],
		asides: [],
		readOver: leastReadOver,
	};
	const text = encodeMap(large, 0, 5e9);
	assert.ok(text.length <= maxMapBytes);
	assert.ok((decodeMap(text, 0, 5e9)?.times.length ?? 0) > 100);
	const points = times.flatMap((_, point) => (point % 5 === 0 && point > 0 && point < 4900 ? [point] : []));
	const asides = points.flatMap(point => [
		{point, start: offsets[point + 8]!, end: offsets[point + 8]! + 50, isLead: false},
		{point, start: offsets[point]! - 50, end: offsets[point]!, isLead: true},
	]);
	const subtitled = decodeMap(encodeMap({...large, asides}, 0, 5e9), 0, 5e9);
	assert.ok((subtitled?.times.length ?? 0) > 100);
	assert.ok(subtitled!.asides.length > 100);
});

test('an invalid map is rejected', () => {
	const good = linearMap({durationMs: 1000, exact: true, index: [{start: 0, end: 5}]}, [description], {
		start: 0,
		end: 100,
	});
	assert.deepEqual(checkedMap(good, 100), good);
	const bad: Array<[reason: string, change: object]> = [
		['an end past the file', {tracks: [{...description, offsets: good.times.map(() => 101)}]}],
		['a track without offsets', {tracks: [description]}],
		['no track', {tracks: []}],
		['a time twice', {times: [0, 0, 1000]}],
		['a time that is no number', {times: [0, Number.NaN, 1000]}],
		['a duration without an end', {durationMs: Infinity}],
		['an index in disorder', {index: [{start: 9, end: 5}]}],
		['an index of something else', {index: [null, 'x']}],
	];
	for (const [reason, change] of bad) {
		assert.equal(checkedMap({...good, ...change}, 100), undefined, reason);
	}

	fc.assert(
		fc.property(fc.anything(), value => {
			checkedMap(value, 100);
			decodeMap(JSON.stringify(value) ?? '', 0, 100);
		}),
	);
	const named = checkedMap(
		{...good, tracks: [{...good.tracks[0], codec: '\u001B[31m', language: 'x y'}]},
		100,
	);
	assert.deepEqual([named?.tracks[0]?.codec, named?.tracks[0]?.language], [null, null]);
});
