// The points of a map: times of key frames, and where the bytes of each track begin for them. Pure.
import {leastReadOver} from './film-map.ts';
import {NoFilm} from './no-film.ts';
import {bytesBetween} from './playable.ts';

/** The most points of a map. */
export const maxPoints = 512;
/** Milliseconds by which the bytes of further tracks begin earlier: decoders need the sound before a key frame. */
export const preRollMs = 250;

export type Key = {readonly ms: number; readonly start: number; readonly isPacket: boolean};

export type Points = {
	readonly times: number[];
	readonly offsets: number[][];
	/** Players read exactly the ranges between points. */
	readonly areRead: boolean;
};

export function placesOf(keys: readonly Key[]): number[] {
	return keys.map(({start}) => start);
}

/** `lists`: the offsets of each track for the keys. Undefined if they do not ascend. */
export function pointsAt(
	keys: readonly Key[],
	lists: ReadonlyArray<readonly number[]>,
	durationMs: number,
	size: number,
	readOver = leastReadOver,
): Points | undefined {
	const offsets = lists.map(places => [...places, size]);
	if (offsets.some(places => places.some((place, at) => at > 0 && place < places[at - 1]!))) {
		return undefined;
	}

	// Players seek back to the last packet before a pause, which lies in no range.
	const isPaused = offsets.some(places => places.some((place, at) => at > 0 && place === places[at - 1]));
	// The farther apart the tracks are, the longer the gaps over which players read on.
	const areInterleaved = keys.every((_, point) => bytesBetween(offsets, point, readOver).length === 1);
	const times = [0, ...keys.slice(1).map(({ms}) => ms), durationMs];
	return {times, offsets, areRead: areInterleaved && !isPaused};
}

/** Whole milliseconds. Throws `no-duration`. */
export function checkedMs(seconds: number): number {
	const ms = Math.floor(seconds * 1000);
	if (!(ms > 0) || !Number.isSafeInteger(ms)) {
		throw new NoFilm('no-duration', 'it does not state the duration');
	}

	return ms;
}
