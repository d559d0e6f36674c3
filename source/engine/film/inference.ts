// The time in a film of a player that tells no times, from the bytes that it reads. Pure.
import type {FilmMap} from './film-map.ts';
import {byteAt, timeAt} from './playhead.ts';

/** The reads of a player at some moment. */
export type Reads = {
	/** Where it began to read in sequence, and when, in milliseconds since the epoch. */
	readonly run: {readonly start: number; readonly since: number};
	/** The next byte that it reads. */
	readonly offset: number;
	/** It waits for bytes. */
	readonly isBlocked: boolean;
};

export type Inference = Reads & {
	/** When it began to play from some place, in milliseconds since the epoch. */
	readonly since: number;
	/** Milliseconds of the film. */
	readonly ms: number;
	/** Milliseconds since the epoch. */
	readonly at: number;
	/** Bytes that the player keeps ahead of its picture; undefined until it has stopped reading to show them. */
	readonly buffer: number | undefined;
	/** It has read on since then: it plays. */
	readonly isPlaying: boolean;
};

/** A player reads the index, probes and fills its buffer before it shows that it plays. */
const settledMs = 5000;
/** The steps in which players and sockets refill a buffer (VLC 3: 1 to 3 MiB). */
const slackBytes = 3 * 1024 * 1024;
/** Picture and sound may lie so far apart, and VLC 3 requests both in turns while the origin is slow. */
const nearMs = 5000;

/**
 * The player plays at normal speed, and shows nothing that it has not read. Once its buffer was full, its distance from the
 * bytes read tells of pauses, other speeds and seeks within the buffer. `before` is at least a second old.
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

/** The time, moved to that of bytes near `offset`. */
function within(map: FilmMap, offset: number, ms: number): number {
	return Math.max(timeAt(map, offset - slackBytes), Math.min(timeAt(map, offset + slackBytes), ms));
}
