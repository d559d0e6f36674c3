// Policy for the number of connections of a download and the size of its requests. Pure.
import type {SegmentUse} from '../../downstream.ts';

const mebibyte = 1024 * 1024;
/**
 * Bytes per second. One process barely exceeds this rate: further connections only share the processor, and their bytes
 * arrive out of order and are read back from disk for the player.
 */
const sufficientRate = 160 * mebibyte;
/** Duration of a request at the current rate. */
const segmentSeconds = {background: 4, playing: 1};
const segmentBounds = {smallest: mebibyte, largest: 32 * mebibyte};
/** Duration of a request for a player on a slow connection. */
const promptSeconds = 2;
/** Bytes. A smaller request would save less time than it takes. */
const smallestRequest = 64 * 1024;
/** Bytes per second. A faster connection serves the first request of a player within `promptSeconds`. */
const slowRate = 256 * 1024;

/** `rate`: bytes per second of one of the connections. */
export function isWorthMore(rate: number, connections: number): boolean {
	return rate * connections < sufficientRate;
}

/** The target after one connection has shown its rate in bytes per second. */
export function connectionTarget(
	target: number,
	{rate, connections, max}: {readonly rate: number; readonly connections: number; readonly max: number},
): number {
	if (isWorthMore(rate, connections)) {
		const alike = Math.ceil(sufficientRate / Math.max(1, rate));
		return Math.min(max, Math.max(target + 2, alike));
	}

	return rate * (connections - 1) >= sufficientRate ? afterRefusal(Math.min(target, connections)) : target;
}

/** The target after the origin has refused one of `connections`. */
export function afterRefusal(connections: number): number {
	return Math.max(1, connections - 1);
}

export type Connections = {
	/** Number of open ones. */
	readonly open: number;
	/** Of the open and draining ones, those that serve no player. */
	readonly background: number;
	/** Maximum of the download. */
	readonly max: number;
	/** The target. */
	readonly target: number;
	/** Running reads of players. */
	readonly readers: number;
	/** One stays free for the index of the film. */
	readonly awaitsIndex: boolean;
	/** One finds out whether a failure is over, or where a file of unknown size ends. */
	readonly isSingle: boolean;
};

/** Whether a connection is free for a plan for which no player waits. */
export function hasFreeConnection(
	plan: {readonly for: SegmentUse; readonly isIndex?: true; readonly isLate?: true},
	{open, background, max, target, readers, awaitsIndex, isSingle}: Connections,
): boolean {
	// Each player keeps its own connection, and one more stays free for the next seek: ending a connection wastes the
	// bytes in flight.
	const kept = (readers > 0 ? readers + 1 : 0) + (awaitsIndex && !plan.isIndex ? 1 : 0);
	const hasRoom =
		plan.isLate === true || background < Math.max(1, max - kept) || (plan.for === 'player' && open < max - 1);
	return hasRoom && open < (isSingle ? 1 : plan.isIndex ? max : target);
}

/** Bytes that arrive within `seconds`, at least `promptSeconds`, at `rate` bytes per second. */
export function promptBytes(rate: number, seconds = promptSeconds): number {
	return Math.max(smallestRequest, rate * Math.max(promptSeconds, seconds));
}

/**
 * The rest of a request takes too long on a slow connection: other connections deliver parts of it to a waiting player
 * earlier.
 */
export function isTooLong(bytes: number, rate: number): boolean {
	return rate < slowRate && bytes >= 2 * promptBytes(rate);
}

/**
 * Bytes of the next request: few during playback, since a seek often ends a request early. In the background, the
 * missing bytes are shared so that all connections end together: one more request would cost a round trip.
 */
export function segmentSize({
	rate,
	isPlaying,
	missing,
	connections,
}: {
	/** Bytes per second of one connection. */
	readonly rate: number;
	readonly isPlaying: boolean;
	/** Bytes of the file; Infinity where the size is unknown. */
	readonly missing: number;
	/** The target. */
	readonly connections: number;
}): number {
	const wanted = rate * (isPlaying ? segmentSeconds.playing : segmentSeconds.background);
	const share = isPlaying ? Infinity : missing / connections;
	return Math.max(segmentBounds.smallest, Math.min(segmentBounds.largest, wanted, share));
}
