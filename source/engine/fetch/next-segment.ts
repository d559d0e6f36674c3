// What should the next connection fetch? The whole policy, pure: what players wait for, what they will read
// next, then the holes of the fill.
import type {PresentSet, Range} from '../store/range-set.ts';

/** What a running connection is still to bring. */
export type Claim = {
	readonly offset: number;
	readonly end: number;
	/** Bytes per second; undefined as long as nobody can tell. */
	readonly rate?: number | undefined;
};

/** What one reader wants. Open-ended requests are no wish for the whole file: only `ahead` bytes count. */
export type Demand = {
	readonly offset: number;
	readonly end: number;
	/** It waits for the byte at `offset`. */
	readonly blocked: boolean;
	/** So many bytes after `offset` shall be ready. */
	readonly ahead: number;
	/** How much to ask for at once: small after a seek, more for a reader that stays. */
	readonly segmentSize: number;
};

export type SegmentPlan = Range & {
	readonly for: 'player' | 'fill';
	/** A player waits for its first byte: it may take a connection away from another segment. */
	readonly urgent: boolean;
};

export type FetchState = {
	readonly present: PresentSet;
	/** Bytes; Infinity while unknown. */
	readonly size: number;
	/** False when the origin can only be read from its start. */
	readonly acceptsRanges: boolean;
	readonly claimed: readonly Claim[];
	/** In the order in which they are to be served. */
	readonly wanted: readonly Demand[];
	/** Whether the file is to be completed. */
	readonly background: boolean;
	/** Where the newest reader is: the fill goes on from there and comes to what is before it last. */
	readonly playhead: number;
	readonly segmentSize: number;
};

/** A byte that a running connection brings after at most this many others is about to arrive: wait for it. */
export const aboutToArrive = 1024 * 1024;

/**
 * A claim is shared between two connections, when nothing else is left, if so much is to come of it and takes so long:
 * what is on its way beyond the cut is lost.
 */
const splitFrom = {bytes: 1024 * 1024, seconds: 0.25};

/** Segments end on multiples of this, so that holes do not crumble. */
const grid = 64 * 1024;
/** Those that are as long end on multiples of this: the sums of whole blocks of this size are wanted. */
const largeGrid = 1024 * 1024;

/**
 * The range to fetch next, or undefined if nothing is to be done. It may start inside a claim: that connection is
 * then to stop at the start of the new segment.
 */
export function nextSegment(situation: FetchState): SegmentPlan | undefined {
	const {present, size, acceptsRanges, claimed, wanted, background} = situation;
	if (!acceptsRanges) {
		const wish = wanted.find(
			({offset, end, ahead}) => !present.covers({start: offset, end: Math.min(offset + ahead, end, size)}),
		);
		const needed = claimed.length === 0 && (wish || (background && present.size < size));
		return needed
			? {
					start: 0,
					end: size,
					for: wish ? 'player' : 'fill',
					urgent: wanted.some(({blocked}) => blocked),
				}
			: undefined;
	}

	return (
		forBlocked(situation) ??
		forReadAhead(situation) ??
		(background ? (forBackground(situation) ?? bySplitting(situation)) : undefined)
	);
}

function forBlocked({present, size, claimed, wanted}: FetchState): SegmentPlan | undefined {
	for (const {blocked, offset, end, segmentSize} of wanted) {
		if (!blocked || offset >= size) {
			continue;
		}

		const claim = claimed.find(other => other.offset <= offset && offset < other.end);
		if (claim && offset - claim.offset <= aboutToArrive) {
			continue;
		}

		const others = claimed.filter(other => other !== claim);
		const wish = {start: offset, end: Math.min(end, claim?.end ?? Infinity, size)};
		for (const hole of unclaimed(present, wish, others)) {
			if (hole.start === offset) {
				return {start: offset, end: cut(hole, segmentSize), for: 'player', urgent: true};
			}

			break;
		}
	}

	return undefined;
}

function forReadAhead({present, size, claimed, wanted, background}: FetchState): SegmentPlan | undefined {
	for (const {offset, end, ahead, segmentSize} of wanted) {
		const window = {start: offset, end: Math.min(offset + ahead, end, size)};
		for (const {start} of unclaimed(present, window, claimed)) {
			// What is wanted anyway is not asked for in as many small pieces as the reader makes steps.
			const [hole] = unclaimed(present, {start, end: background ? size : window.end}, claimed);
			return {start, end: cut(hole!, segmentSize), for: 'player', urgent: false};
		}
	}

	return undefined;
}

function forBackground({present, size, claimed, playhead, segmentSize}: FetchState): SegmentPlan | undefined {
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

function bySplitting({claimed}: FetchState): SegmentPlan | undefined {
	let largest: Claim | undefined;
	for (const claim of claimed) {
		const left = claim.end - claim.offset;
		const least = Math.max(splitFrom.bytes, (claim.rate ?? Infinity) * splitFrom.seconds);
		if (left >= least && left < Infinity && (!largest || left > largest.end - largest.offset)) {
			largest = claim;
		}
	}

	if (!largest) {
		return undefined;
	}

	const middle = Math.ceil((largest.offset + largest.end) / 2 / grid) * grid;
	return middle < largest.end ? {start: middle, end: largest.end, for: 'fill', urgent: false} : undefined;
}

/** The holes that no connection is about to fill. */
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

/** Where a segment that starts with the hole ends: about `length` further, on the grid, or with the hole. */
function cut(hole: Range, length: number): number {
	const step = length < largeGrid ? grid : largeGrid;
	return Math.min(hole.end, Math.ceil((hole.start + length) / step) * step);
}
