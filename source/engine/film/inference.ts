// Infers the position of a player that reports none, from its reads. Pure.
import type {FilmMap} from './film-map.ts';
import {byteAt, timeAt} from './playhead.ts';

/** The reads of a player at some moment. */
export type Reads = {
	/** Start of its sequential reads: the offset, and the time in milliseconds since the epoch. */
	readonly run: {readonly start: number; readonly since: number};
	/** The next byte that it reads. */
	readonly offset: number;
	/** It waits for bytes. */
	readonly isBlocked: boolean;
};

export type Inference = Reads & {
	/** Start of playback without a seek, in milliseconds since the epoch. */
	readonly since: number;
	/** Position in the film, in milliseconds. */
	readonly ms: number;
	/** Time of this inference, in milliseconds since the epoch. */
	readonly at: number;
	/** Bytes that the player keeps ahead of its picture; undefined until it has paused its reads with a full buffer. */
	readonly buffer: number | undefined;
	/** It has read on after `settledMs`: it plays. */
	readonly isPlaying: boolean;
};

/** Milliseconds in which a player reads the index, probes and fills its buffer, before its reads show playback. */
const settledMs = 5000;
/** Largest step, in bytes, in which players and sockets refill a buffer (VLC 3: 1 to 3 MiB). */
const slackBytes = 3 * 1024 * 1024;
/**
 * Maximum milliseconds between reads that are no seek: VLC 3 requests picture and sound in turns while the origin is
 * slow.
 */
const nearMs = 5000;

/**
 * Assumes normal speed, and a position within the bytes read. Once the buffer was full, the distance between the
 * position and the bytes read reveals pauses, other speeds and seeks within the buffer. `before` is at least a second
 * old.
 */
export function infer(map: FilmMap, before: Inference | undefined, reads: Reads, now: number): Inference {
	const {run, isBlocked} = reads;
	const last = before && goesOn(map, before, run) ? before : undefined;
	const since = last?.since ?? run.since;
	const clock = last ? last.ms + (now - last.at) : timeAt(map, run.start) + (now - since);
	const offset = Math.max(reads.offset, last?.offset ?? 0);
	const shown = Math.min(clock, timeAt(map, offset));
	const hasMoved = last !== undefined && last.offset !== offset;
	const isFull = last !== undefined && !hasMoved && !isBlocked;
	const buffer = last?.buffer ?? (isFull ? offset - byteAt(map, shown) : undefined);
	return {
		run,
		offset,
		isBlocked,
		since,
		ms: buffer === undefined ? shown : within(map, offset - buffer, shown),
		at: now,
		buffer,
		isPlaying: last?.isPlaying || (hasMoved && now - since >= settledMs),
	};
}

function goesOn(map: FilmMap, {run, offset, at}: Inference, {start, since}: Reads['run']): boolean {
	const isSame = run.start === start && run.since === since;
	const isNear = Math.abs(timeAt(map, start) - timeAt(map, offset)) <= nearMs;
	return isSame || (isNear && since - at <= settledMs);
}

/** Moves `ms` into the times of the bytes near `offset`. */
function within(map: FilmMap, offset: number, ms: number): number {
	return Math.max(timeAt(map, offset - slackBytes), Math.min(timeAt(map, offset + slackBytes), ms));
}
