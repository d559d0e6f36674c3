// Converts between bytes and times of a film. Pure.
import {mainOffsets, type FilmMap} from './film-map.ts';

/** The byte shown at a time. */
export function byteAt(map: FilmMap, ms: number): number {
	return Math.floor(interpolated(map.times, mainOffsets(map), ms));
}

/** The time whose bytes a player reads at `offset`; the end of the film once it has read them all. */
export function timeAt(map: FilmMap, offset: number): number {
	return Math.floor(interpolated(mainOffsets(map), map.times, offset));
}

/** Bytes from `offset` to the byte shown `ms` milliseconds later. */
export function bytesAhead(map: FilmMap, offset: number, ms: number): number {
	const until = timeAt(map, offset) + ms;
	const point = map.times.findIndex(time => time >= until);
	const end = Math.max(...map.tracks.map(({offsets}) => offsets.at(point)!));
	return Math.max(0, end - offset);
}

/** `from` ascends. Values outside of it map to the ends of `to`. */
function interpolated(from: readonly number[], to: readonly number[], at: number): number {
	const next = from.findIndex(value => value > at);
	if (next === -1) {
		return to.at(-1)!;
	}

	if (next === 0) {
		return to[0]!;
	}

	const share = (at - from[next - 1]!) / (from[next]! - from[next - 1]!);
	return to[next - 1]! + share * (to[next]! - to[next - 1]!);
}
