// Policy for the next range to fetch: bytes that block players, then the index of a film, then the bytes that players
// read next, then pledges, then the rest of the read-ahead, then the holes of the background. Pure.
import type {SegmentUse} from '../../downstream.ts';
import type {PresentSet, Range} from '../store/range-set.ts';
import {isTooLong, promptBytes} from './growth.ts';

/** The remaining bytes of a running connection. */
type Claim = {
	readonly offset: number;
	readonly end: number;
	/** Bytes per second; undefined until it is known. */
	readonly rate?: number | undefined;
};

/** The demand of one reader. An open-ended request does not demand the whole file, only `ahead` bytes. */
export type Demand = {
	readonly offset: number;
	readonly end: number;
	/** The reader waits for the byte at `offset`. */
	readonly blocked: boolean;
	/** Bytes after `offset` to keep ready. */
	readonly ahead: number;
	/** The first bytes of `ahead`, which precede pledges. */
	readonly beforePledges: number;
	/** Bytes of one request: few after a seek, more for a reader that stays. */
	readonly segmentSize: number;
	/** Expected bytes per second of its reads. */
	readonly pace: number;
};

export type SegmentPlan = Range & {
	readonly for: SegmentUse;
	/** A player waits for its first byte: it may take a connection away from another segment. */
	readonly urgent: boolean;
	/** It may use every connection, beyond the target of `growth.ts`. */
	readonly isIndex?: true;
	/** The connections of a player are too slow: the plan may take a connection from the background. */
	readonly isLate?: true;
};

export type PlanState = {
	readonly present: PresentSet;
	/** Bytes; Infinity while unknown. */
	readonly size: number;
	/** False where the origin sends the file from its start only. */
	readonly acceptsRanges: boolean;
	readonly claimed: readonly Claim[];
	/** In the order of service. */
	readonly wanted: readonly Demand[];
	/** Missing bytes of a film's index. */
	readonly index: Range | undefined;
	/** Maximum connections of the download. */
	readonly connections: number;
	/** Ranges to fetch before the background, in the order of service. */
	readonly pledged: readonly Range[];
	/** Whether to complete the file. */
	readonly background: boolean;
	/** Offset of the newest reader: the background continues from there, and fetches the bytes before it last. */
	readonly playhead: number;
	readonly segmentSize: number;
	/** Bytes per second of one connection over a second or more; Infinity while unknown. */
	readonly rate: number;
};

/**
 * Maximum bytes between a running connection and a byte that a player waits for: beyond, another connection is opened.
 */
const aboutToArrive = 1024 * 1024;
/**
 * Maximum seconds of the same distance. Behind a speed limit or on a slow connection, another one delivers the
 * byte earlier.
 */
const longestArrival = 0.5;

/**
 * Minimum rest of a claim to split once no other work is left: a split wastes the bytes in flight beyond the cut. A
 * pledge, which waits for its last byte, may waste more.
 */
const splitFrom = {bytes: {fill: 1024 * 1024, pledge: 256 * 1024}, seconds: 0.25};

/** Minimum bytes of a part of an index. A smaller part would save less time than its request takes. */
const smallestPart = 256 * 1024;

/** Target of the rate of a player's connections, as a multiple of its pace, until it has `soonSeconds` ready. */
const paceMargin = 1.5;
export const soonSeconds = 10;
/** Maximum duration of a request on a slow connection, as a fraction of the time until the player reads its bytes. */
const aheadPart = 0.25;

/** Segments end on multiples of this, so that holes do not fragment. */
const grid = 64 * 1024;
/** Longer segments end on multiples of this: checksums cover whole blocks of this size. */
const largeGrid = 1024 * 1024;

/**
 * The range to fetch next, or undefined if nothing is left to do. The range may start inside a claim, which then ends
 * at the start of the new segment.
 */
export function nextSegment(situation: PlanState): SegmentPlan | undefined {
	if (!situation.acceptsRanges) {
		return fromStart(situation);
	}

	return (
		forBlocked(situation) ??
		forIndex(situation) ??
		forReadAhead(situation, 'beforePledges') ??
		forPledged(situation) ??
		forReadAhead(situation, 'ahead') ??
		(situation.background ? (forBackground(situation) ?? bySplitting(situation.claimed, 'fill')) : undefined)
	);
}

/** The whole file, or the part up to the end of the last pledge if only pledges are left. */
function fromStart({
	present,
	size,
	claimed,
	wanted,
	pledged,
	background,
}: PlanState): SegmentPlan | undefined {
	const isMissing = (start: number, end: number) => start < end && !present.covers({start, end});
	const isWanted = wanted.some(({offset, end, ahead}) =>
		isMissing(offset, Math.min(offset + ahead, end, size)),
	);
	const open = pledged.filter(({start, end}) => isMissing(start, Math.min(end, size)));
	const isFilled = background && present.size < size;
	if (claimed.length > 0 || !(isWanted || open.length > 0 || isFilled)) {
		return undefined;
	}

	return {
		start: 0,
		end: isWanted || isFilled ? size : Math.min(size, Math.max(...open.map(({end}) => end))),
		for: isWanted ? 'player' : open.length > 0 ? 'pledge' : 'fill',
		urgent: wanted.some(({blocked}) => blocked),
	};
}

function forBlocked({present, size, claimed, wanted, rate}: PlanState): SegmentPlan | undefined {
	for (const demand of wanted) {
		const {blocked, offset, end} = demand;
		if (!blocked || offset >= size) {
			continue;
		}

		const claim = claimed.find(other => other.offset <= offset && offset < other.end);
		const near = Math.min(aboutToArrive, (claim?.rate ?? Infinity) * longestArrival);
		if (claim && offset - claim.offset <= near) {
			continue;
		}

		const others = claimed.filter(other => other !== claim);
		const window = {start: offset, end: Math.min(end, claim?.end ?? Infinity, size)};
		for (const hole of unclaimed(present, window, others)) {
			if (hole.start === offset) {
				return {start: offset, end: cut(hole, lengthAt(offset, demand, rate)), for: 'player', urgent: true};
			}

			break;
		}
	}

	return undefined;
}

/** All connections fetch the index, in at least four parts: no player starts before the last part arrives. */
function forIndex(state: PlanState): SegmentPlan | undefined {
	const {present, claimed, wanted, index, connections, segmentSize, rate} = state;
	if (!index) {
		return undefined;
	}

	const isAwaited = wanted.some(({blocked}) => blocked);
	const [hole] = unclaimed(present, index, isAwaited ? claimed.map(promptPart) : claimed);
	const least = Math.min(smallestPart, promptBytes(rate));
	const share = (index.end - index.start) / Math.max(4, connections);
	const length = Math.min(segmentSize, Math.max(least, share));
	const isLate = isAwaited && least < smallestPart;
	return (
		hole && {
			...{start: hole.start, end: cut(hole, length), for: 'fill', urgent: false, isIndex: true},
			...(isLate && {isLate}),
		}
	);
}

function forReadAhead(state: PlanState, part: 'beforePledges' | 'ahead'): SegmentPlan | undefined {
	const {present, size, claimed, wanted, background, rate} = state;
	const claims = part === 'beforePledges' ? claimed.map(promptPart) : claimed;
	for (const demand of wanted) {
		const {offset, end} = demand;
		const window = {start: offset, end: Math.min(offset + demand[part], end, size)};
		for (const {start} of unclaimed(present, window, claims)) {
			const late = part === 'beforePledges' && isLate(demand, start, state);
			if (!late && claimed.some(claim => claim.offset <= start && start < claim.end)) {
				continue;
			}

			// Bytes that the background needs anyway are requested together, not in the small steps of the reader.
			const [hole] = unclaimed(present, {start, end: background ? size : window.end}, claims);
			const length = lengthAt(start, demand, rate);
			const plan = {start, end: cut(hole!, length), for: 'player', urgent: false} as const;
			return late ? {...plan, isLate: true} : plan;
		}
	}

	return undefined;
}

/**
 * Bytes of a request at `start`. On a slow connection, it is limited by the rate and by the time until the player reads
 * the bytes: other connections share the first ones.
 */
function lengthAt(start: number, {offset, pace, segmentSize}: Demand, rate: number): number {
	const untilRead = (start - offset) / Math.max(1, pace);
	return Math.min(segmentSize, promptBytes(rate, untilRead * aheadPart));
}

/** The part of a claim that a slow connection delivers soon. Another connection may take over the rest. */
function promptPart(claim: Claim): Claim {
	const {offset, end, rate = Infinity} = claim;
	return isTooLong(end - offset, rate)
		? {...claim, end: cut({start: offset, end}, promptBytes(rate))}
		: claim;
}

/** The reader has few bytes ready, and the connections up to the hole deliver less than it reads. */
function isLate({offset, pace}: Demand, hole: number, {present, claimed, rate: usual}: PlanState): boolean {
	const rates = claimed
		.filter(claim => claim.offset < hole && offset < claim.end)
		// Origins that limit their rate send the first bytes at once.
		.map(({rate = Infinity}) => Math.min(rate, usual));
	const ready = present.runEnd(offset) - offset;
	return ready < pace * soonSeconds && rates.reduce((sum, rate) => sum + rate, 0) < pace * paceMargin;
}

function forPledged({present, size, claimed, pledged, segmentSize}: PlanState): SegmentPlan | undefined {
	for (const {start, end} of pledged) {
		const range = {start, end: Math.min(end, size)};
		const claims = claimed.filter(claim => serves(claim, range));
		for (const hole of unclaimed(present, range, claims)) {
			return {start: hole.start, end: cut(hole, segmentSize), for: 'pledge', urgent: false};
		}
	}

	return bySplitting(
		claimed.filter(claim => pledged.some(range => serves(claim, range))),
		'pledge',
	);
}

/** The claim overlaps the range, and begins at most `aboutToArrive` bytes before it. */
export function serves(claim: Pick<Claim, 'offset' | 'end'>, {start, end}: Range): boolean {
	return start < claim.end && claim.offset < end && start - claim.offset <= aboutToArrive;
}

/** The present use of a running connection. */
export function useOf(
	{offset, end}: Pick<Claim, 'offset' | 'end'>,
	wanted: readonly Demand[],
	pledged: readonly Range[],
): SegmentUse {
	if (
		wanted.some(demand => demand.offset < end && offset < Math.min(demand.end, demand.offset + demand.ahead))
	) {
		return 'player';
	}

	return pledged.some(range => serves({offset, end}, range)) ? 'pledge' : 'fill';
}

function forBackground({present, size, claimed, playhead, segmentSize}: PlanState): SegmentPlan | undefined {
	const from = Math.min(playhead, size);
	for (const within of [
		{start: from, end: size},
		{start: 0, end: from},
	]) {
		for (const hole of unclaimed(present, within, claimed)) {
			return {start: hole.start, end: cut(hole, segmentSize), for: 'fill', urgent: false};
		}
	}

	return undefined;
}

function bySplitting(claimed: readonly Claim[], use: 'fill' | 'pledge'): SegmentPlan | undefined {
	let largest: Claim | undefined;
	for (const claim of claimed) {
		const left = claim.end - claim.offset;
		const least = Math.max(splitFrom.bytes[use], (claim.rate ?? Infinity) * splitFrom.seconds);
		if (left >= least && left < Infinity && (!largest || left > largest.end - largest.offset)) {
			largest = claim;
		}
	}

	if (!largest) {
		return undefined;
	}

	const middle = Math.ceil((largest.offset + largest.end) / 2 / grid) * grid;
	return middle < largest.end ? {start: middle, end: largest.end, for: use, urgent: false} : undefined;
}

/** The holes that no running connection fills. */
function* unclaimed(present: PresentSet, within: Range, claimed: readonly Claim[]): Generator<Range> {
	if (within.start >= within.end) {
		return;
	}

	const claims = claimed.toSorted((a, b) => a.offset - b.offset);
	for (const hole of present.holes(within)) {
		let {start} = hole;
		for (const claim of claims) {
			if (claim.end <= start || claim.offset >= hole.end) {
				continue;
			}

			if (claim.offset > start) {
				yield {start, end: claim.offset};
			}

			start = claim.end;
		}

		if (start < hole.end) {
			yield {start, end: hole.end};
		}
	}
}

/** End of a segment that starts with the hole: about `length` bytes further, on the grid, or the end of the hole. */
function cut(hole: Range, length: number): number {
	const step = length < largeGrid ? grid : largeGrid;
	return Math.min(hole.end, Math.ceil((hole.start + length) / step) * step);
}
