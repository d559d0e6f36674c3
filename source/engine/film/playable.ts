// The minutes of a film that play with the present bytes, and a forecast of stalls. Pure.
import {without, type PresentSet, type Range} from '../store/range-set.ts';
import {leastReadOver, type FilmMap} from './film-map.ts';

/** Milliseconds `[from, to)`. */
export type Stretch = readonly [fromMs: number, toMs: number];

/**
 * Milliseconds cut off the end of a stretch inside the film: its sound may lie behind the next key frame, players read
 * the picture a second ahead, and the times of points are accurate to a quarter of a second.
 */
export const marginMs = 1500;

/**
 * Milliseconds cut off the start of a stretch inside the film: a player that seeks by its sound goes back to the packet
 * before, and then to the key frame before that packet.
 */
const leadMs = 250;

/**
 * Milliseconds until a player shows its first picture. A rate that delays the start no longer than this is sufficient.
 */
export const startMs = 5000;

/** The ranges that a player reads of a film. */
export type Reads = {
	/** For each time but the last: the ranges to read before those of the film itself, if playback starts there. */
	readonly starts: ReadonlyArray<readonly Range[]>;
	/** For each time but the last: the ranges up to the next time. */
	readonly steps: ReadonlyArray<readonly Range[]>;
};

const known = new WeakMap<FilmMap, Reads>();

export function readsOf(map: FilmMap): Reads {
	const reads = known.get(map) ?? computedReads(map);
	known.set(map, reads);
	return reads;
}

function computedReads(map: FilmMap): Reads {
	const lists = distinctOffsets(map);
	const points = map.times.slice(0, -1);
	const [leads, inside] = [points.map((): Range[] => []), points.map((): Range[] => [])];
	for (const {point, isLead, ...range} of map.asides) {
		(isLead ? leads : inside)[point]!.push(range);
	}

	return {
		starts: leads.map((ranges, point) => approach(map, Math.min(...lists.map(list => list[point]!)), ranges)),
		steps: inside.map((ranges, point) => bytesBetween(lists, point, map.readOver, ranges)),
	};
}

/**
 * The ranges from the index and the leading subtitles to `offset`, with the gaps over which a player reads on instead
 * of seeking.
 */
function approach({index, readOver}: FilmMap, offset: number, leads: readonly Range[]): Range[] {
	const first = Math.min(offset, ...leads.map(({start}) => start));
	const before = index.filter(({start}) => start <= first);
	const over = Math.max(readOver, socketBytes(before.reduce((sum, {start, end}) => sum + end - start, 0)));
	return joined([...before.slice(-1), ...leads, {start: offset, end: offset}], over);
}

/**
 * Bytes that a player's socket holds after `bytes` in sequence. Systems enlarge it up to a limit (6 MiB by default in
 * Linux), and players read on over a gap of this size.
 */
function socketBytes(bytes: number): number {
	return bytes <= leastReadOver ? leastReadOver : Math.min(6 * 1024 * 1024, 2 * bytes);
}

/** Milliseconds from which a start needs no byte before those of the point. */
export function startAt({times}: FilmMap, point: number): number {
	return point === 0 ? 0 : times[point]! + leadMs;
}

/** The bytes of all tracks from a point to the next, with `asides` and the gaps over which a player reads on. */
export function bytesBetween(
	lists: ReadonlyArray<readonly number[]>,
	point: number,
	readOver: number,
	asides: readonly Range[] = [],
): Range[] {
	return joined([...lists.map(list => ({start: list[point]!, end: list[point + 1]!})), ...asides], readOver);
}

/** Sorted, and merged across gaps of up to `readOver` bytes. */
function joined(ranges: readonly Range[], readOver: number): Range[] {
	const result: Range[] = [];
	for (const {start, end} of ranges.toSorted((a, b) => a.start - b.start)) {
		const last = result.at(-1);
		if (last && start - last.end <= readOver) {
			result[result.length - 1] = {start: last.start, end: Math.max(last.end, end)};
		} else {
			result.push({start, end});
		}
	}

	return result;
}

/** The stretches that a player can show from start to end without another byte, sorted. */
export function playable(map: FilmMap, present: PresentSet): Stretch[] {
	const {times, durationMs} = map;
	const has = (ranges: readonly Range[]) => ranges.every(range => present.covers(range));
	if (!has(map.index)) {
		return [];
	}

	const {starts, steps} = readsOf(map);
	const stretches: Stretch[] = [];
	const last = steps.length;
	for (let point = 0; point < last; point++) {
		if (!has(starts[point]!)) {
			continue;
		}

		const first = point;
		while (point < last && has(steps[point]!)) {
			point++;
		}

		const fromMs = startAt(map, first);
		const toMs = point === last ? durationMs : times[point]! - marginMs;
		if (point > first && toMs > fromMs) {
			stretches.push([fromMs, toMs]);
		}
	}

	return stretches;
}

/** End of the stretch that plays from `fromMs`, in milliseconds; null if playback cannot start there. */
export function watchTo(stretches: readonly Stretch[], fromMs: number): number | null {
	return stretches.find(([from, to]) => from <= fromMs && fromMs < to)?.[1] ?? null;
}

export type Forecast = {
	/** Milliseconds in the film; null if it plays through. */
	readonly stallAt: number | null;
	/** Milliseconds after which it would play through; null at the rate 0. */
	readonly waitMs: number | null;
	/** Bytes per second at which it would play through within `startMs`; 0 if nothing is missing. */
	readonly neededRate: number;
};

/**
 * For playback that starts now at `fromMs`, while the missing bytes arrive in order at `bytesPerSecond`. Between two points
 * the bytes of `fromMs` are interpolated. A player comes before the `pledged` ranges, so they delay no stall; but they have
 * priority while it waits for longer than its start takes.
 */
export function forecast(
	map: FilmMap,
	present: PresentSet,
	fromMs: number,
	bytesPerSecond: number,
	pledged: readonly Range[] = [],
): Forecast {
	const now = inOrder(map, present, fromMs, bytesPerSecond, []);
	const first = pledged.filter(({end}) => end < Infinity);
	return first.length > 0 && now.waitMs !== null && now.waitMs > startMs
		? {...now, waitMs: inOrder(map, present, fromMs, bytesPerSecond, first).waitMs}
		: now;
}

/** The index arrives first, then the `pledged` ranges, then the film from `fromMs` on. */
function inOrder(
	map: FilmMap,
	present: PresentSet,
	fromMs: number,
	bytesPerSecond: number,
	pledged: readonly Range[],
): Forecast {
	const {times, index} = map;
	const lists = distinctOffsets(map);
	const arrivals = new Arrivals(present, index, without(index, pledged));
	let {bytes} = arrivals;
	let stallAt: number | null = null;
	let waitMs = 0;
	let neededRate = 0;
	/** Milliseconds at the last point; negative where its bytes arrive early. */
	let previous = bytes > 0 ? (bytes * 1000) / bytesPerSecond : 0;
	const first = Math.max(
		0,
		times.findLastIndex(time => time <= fromMs),
	);
	const past = Math.min(1, (fromMs - times[first]!) / (times[first + 1]! - times[first]!));
	for (let point = first; point < times.length - 1; point++) {
		for (const [track, offsets] of lists.entries()) {
			const [from, end] = [offsets[point]!, offsets[point + 1]!];
			const start = point === first ? Math.floor(from + past * (end - from)) : from;
			arrivals.need({start, end}, track);
		}

		({bytes} = arrivals);

		if (bytes === 0) {
			previous = fromMs - times[point + 1]!;
			continue;
		}

		const playedMs = times[point + 1]! - fromMs;
		const lateness = (bytes * 1000) / bytesPerSecond - playedMs;
		neededRate = Math.max(neededRate, (bytes * 1000) / (playedMs + startMs));
		if (lateness > 0) {
			stallAt ??= crossing([Math.max(fromMs, times[point]!), previous], [times[point + 1]!, lateness]);
			waitMs = Math.max(waitMs, lateness);
		}

		previous = lateness;
	}

	return {
		stallAt,
		waitMs: waitMs === Infinity ? null : Math.ceil(waitMs),
		neededRate: Math.ceil(neededRate),
	};
}

/** Where a lateness that grows evenly between two points exceeds 0. */
function crossing(
	[fromMs, before]: readonly [ms: number, lateness: number],
	[toMs, after]: readonly [ms: number, lateness: number],
): number {
	return before >= 0 || after === Infinity
		? fromMs
		: Math.round(fromMs + ((toMs - fromMs) * before) / (before - after));
}

/** The distinct lists of offsets: tracks that share their places share one. */
function distinctOffsets({tracks}: FilmMap): Array<readonly number[]> {
	const lists: Array<readonly number[]> = [];
	for (const {offsets} of tracks) {
		if (!lists.some(list => list === offsets || list.every((offset, point) => offset === offsets[point]))) {
			lists.push(offsets);
		}
	}

	return lists;
}

/** Counts the bytes that arrive up to the last needed one: the index, then other ranges, then what is needed, in its order. */
class Arrivals {
	/** Of the index, and of what was needed so far. */
	bytes: number;
	readonly #present: PresentSet;
	readonly #missing: MissingBytes;
	/** `before`: bytes that arrive before it. */
	readonly #first: ReadonlyArray<Range & {readonly before: number}>;
	readonly #firstBytes: number;
	#rest = 0;

	constructor(present: PresentSet, index: readonly Range[], others: readonly Range[]) {
		this.#present = present;
		this.#missing = new MissingBytes(present);
		let bytes = 0;
		const counted = (ranges: readonly Range[], track: number) =>
			ranges.map((range, part) => {
				const before = bytes;
				bytes += this.#missing.add(range, track + part);
				return {...range, before};
			});
		const first = counted(index, 0);
		this.bytes = bytes;
		this.#first = [...first, ...counted(others, index.length)];
		this.#firstBytes = bytes;
	}

	/** `track`: as in `MissingBytes.add`. */
	need(range: Range, track: number): void {
		const rest = this.#missing.add(range, this.#first.length + track);
		this.#rest += rest;
		if (rest > 0) {
			this.bytes = this.#firstBytes + this.#rest;
			return;
		}

		for (const {start, end, before} of this.#first) {
			const needed = {start: Math.max(start, range.start), end: Math.min(end, range.end)};
			if (needed.start < needed.end && !this.#present.covers(needed)) {
				const bytes = needed.end - start - this.#present.count({start, end: needed.end});
				this.bytes = Math.max(this.bytes, before + bytes);
			}
		}
	}
}

/** Counts each missing byte once: the ranges of tracks overlap, and each track's follow one another. */
class MissingBytes {
	readonly #present: PresentSet;
	readonly #counted: Range[] = [];

	constructor(present: PresentSet) {
		this.#present = present;
	}

	/** `track`: the same number for ranges that follow one another. */
	add(range: Range, track: number): number {
		const bytes = this.#missingIn(range, track, 0);
		this.#counted[track] = {start: this.#counted[track]?.start ?? range.start, end: range.end};
		return bytes;
	}

	/** Without the bytes counted for other tracks from `other` on. */
	#missingIn({start, end}: Range, track: number, other: number): number {
		if (start >= end) {
			return 0;
		}

		const next = this.#counted.findIndex(
			(range, at) => at >= other && at !== track && range.start < end && start < range.end,
		);
		const counted = this.#counted[next];
		return counted
			? this.#missingIn({start, end: counted.start}, track, next + 1) +
					this.#missingIn({start: counted.end, end}, track, next + 1)
			: end - start - this.#present.count({start, end});
	}
}
