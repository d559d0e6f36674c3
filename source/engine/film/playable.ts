// Which minutes of a film can be watched with the bytes that are present, and whether it will stall. Pure.
import {RangeSet, type PresentSet, type Range} from '../store/range-set.ts';
import type {FilmMap} from './film-map.ts';

/** Milliseconds `[from, to)`. */
export type Stretch = readonly [fromMs: number, toMs: number];

/**
 * A stretch inside the film ends this early: the sound of a moment may lie behind the next key frame, and the times of
 * points are known to a quarter of a second.
 */
export const marginMs = 500;

/** The stretches that a player can show from start to end without another byte, sorted. */
export function playable(map: FilmMap, present: PresentSet): Stretch[] {
	const {times, durationMs} = map;
	if (!map.index.every(range => present.covers(range))) {
		return [];
	}

	const stretches: Stretch[] = [];
	const last = times.length - 1;
	for (let point = 0; point < last; point++) {
		const first = point;
		while (point < last && rangesAt(map, point).every(range => present.covers(range))) {
			point++;
		}

		const toMs = point === last ? durationMs : times[point]! - marginMs;
		if (point > first && toMs > times[first]!) {
			stretches.push([times[first]!, toMs]);
		}
	}

	return stretches;
}

/** How far the film can be watched from `fromMs` on; null if it cannot be started there. */
export function watchTo(stretches: readonly Stretch[], fromMs: number): number | null {
	return stretches.find(([from, to]) => from <= fromMs && fromMs < to)?.[1] ?? null;
}

/** The time whose bytes a player reads at `offset`, interpolated between two points. */
export function timeAt({times, tracks}: FilmMap, offset: number): number {
	const {offsets} = tracks.find(({kind}) => kind === 'video') ?? tracks[0]!;
	const point = Math.min(
		times.length - 2,
		Math.max(
			0,
			offsets.findLastIndex(start => start <= offset),
		),
	);
	const [start, end] = [offsets[point]!, offsets[point + 1]!];
	const part = end > start ? Math.min(1, Math.max(0, (offset - start) / (end - start))) : 0;
	return Math.floor(times[point]! + part * (times[point + 1]! - times[point]!));
}

/** Bytes from `offset` to those that are shown `ms` milliseconds later. */
export function bytesAhead(map: FilmMap, offset: number, ms: number): number {
	const until = timeAt(map, offset) + ms;
	const point = map.times.findIndex(time => time >= until);
	const end = Math.max(...map.tracks.map(({offsets}) => offsets.at(point)!));
	return Math.max(0, end - offset);
}

export type Forecast = {
	/** Milliseconds in the film; null if it plays through. */
	readonly stallAt: number | null;
	/** Milliseconds after which it would play through; null at the rate 0. */
	readonly waitMs: number | null;
	/** Bytes per second at which it would play through now; 0 if nothing is missing. */
	readonly neededRate: number;
};

/** For playback that starts now at `fromMs`, while the missing bytes arrive in order at `bytesPerSecond`. */
export function forecast(
	map: FilmMap,
	present: PresentSet,
	fromMs: number,
	bytesPerSecond: number,
): Forecast {
	const {times, index} = map;
	const missing = new MissingBytes(present);
	let bytes = missing.add(index);
	let stallAt: number | null = null;
	let waitMs = 0;
	let neededRate = 0;
	/** Milliseconds at the last point; negative where its bytes arrive early. */
	let previous = bytes > 0 ? (bytes * 1000) / bytesPerSecond : 0;
	const first = Math.max(
		0,
		times.findLastIndex(time => time <= fromMs),
	);
	for (let point = first; point < times.length - 1; point++) {
		bytes += missing.add(rangesAt(map, point));
		if (bytes === 0) {
			previous = fromMs - times[point + 1]!;
			continue;
		}

		const playedMs = times[point + 1]! - fromMs;
		const lateness = (bytes * 1000) / bytesPerSecond - playedMs;
		neededRate = Math.max(neededRate, (bytes * 1000) / playedMs);
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

/** The ranges of all tracks from a point to the next one. Tracks of one place share their offsets. */
function rangesAt({tracks}: FilmMap, point: number): Range[] {
	const [first, ...others] = tracks.map(({offsets}) => ({start: offsets[point]!, end: offsets[point + 1]!}));
	return [first!, ...others.filter(({start, end}) => start !== first!.start || end !== first!.end)];
}

/** Counts each missing byte once: the ranges of tracks overlap. */
class MissingBytes {
	readonly #present: PresentSet;
	readonly #counted = new RangeSet();

	constructor(present: PresentSet) {
		this.#present = present;
	}

	add(ranges: readonly Range[]): number {
		let bytes = 0;
		for (const range of ranges) {
			for (const hole of this.#present.holes(range)) {
				bytes += hole.end - hole.start - this.#counted.count(hole);
				this.#counted.add(hole);
			}
		}

		return bytes;
	}
}
