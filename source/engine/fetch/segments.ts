// The open connections of one download, each with the range that it fetches.
import type {SegmentUse} from '../../downstream.ts';
import type {SegmentPlan} from './next-segment.ts';

/** Milliseconds after which the rate of a connection is roughly known. */
const settlingMs = 25;
/** Milliseconds after which the rate of a connection rises no further. */
const steadyMs = 250;
/** Milliseconds after which the rate of an origin that sends in bursts is known. */
const sustainedMs = 1000;
/**
 * A process that is busy for a larger part of the time is the bottleneck: bytes wait in its sockets, and the rates of its
 * connections are unknown.
 */
const busyPart = 0.8;
/** Milliseconds to read the bytes that are in the socket. */
const drainMs = 50;

/** In the order in which segments are ended. */
const uses: readonly SegmentUse[] = ['fill', 'pledge', 'player'];

export class Segment {
	readonly start: number;
	/** Offset of the next byte. */
	offset: number;
	/** Lowered when another connection takes over the rest. */
	end: number;
	for: SegmentUse;
	/** The host has accepted the connection. */
	isConnected = false;
	/** When a response of the cached version arrived, in milliseconds of `performance.now()`. */
	#answeredAt: number | undefined;
	/** The use of the event loop until then. */
	#loopBefore = performance.eventLoopUtilization();
	/** Milliseconds since then in which the disk was awaited, while the next bytes waited in the socket. */
	storing = 0;
	/** The response was read to its end. */
	isRead = false;
	/** Bytes since the response. */
	received = 0;
	/** The response is the whole file, read in order. */
	isWhole = false;
	/** Milliseconds since the epoch. */
	readonly openedAt = Date.now();
	readonly abort = new AbortController();
	/** Runs while no reader needs the segment, or while it drains. */
	linger: NodeJS.Timeout | undefined;
	/** Aborted once the connection drains: it reads only bytes that were sent already. */
	readonly draining = new AbortController();

	constructor(plan: SegmentPlan) {
		this.start = plan.start;
		this.offset = plan.start;
		this.end = plan.end;
		this.for = plan.for;
	}

	get isAnswered(): boolean {
		return this.#answeredAt !== undefined;
	}

	/** A response of the cached version has arrived. */
	answered(): void {
		this.#answeredAt = performance.now();
		this.#loopBefore = performance.eventLoopUtilization();
	}

	/** Rough bytes per second since the response; undefined until it is meaningful. */
	get firstRate(): number | undefined {
		return this.#rateAfter(settlingMs);
	}

	/**
	 * Bytes per second since the response; undefined until the connections beside it have a steady rate too, and while this
	 * process is the bottleneck.
	 */
	get rate(): number | undefined {
		return this.#isHeldUp ? undefined : this.#rateAfter(steadyMs);
	}

	/** The same over a second or more. */
	get sustainedRate(): number | undefined {
		const milliseconds = performance.now() - (this.#answeredAt ?? Infinity);
		return milliseconds < sustainedMs || this.#isHeldUp ? undefined : this.#meanRate(milliseconds);
	}

	/** This process is short of CPU time: another connection would deliver nothing earlier. */
	get #isHeldUp(): boolean {
		return performance.eventLoopUtilization(this.#loopBefore).utilization > busyPart;
	}

	/** The connection is ending, and counts no longer. */
	get isDraining(): boolean {
		return this.draining.signal.aborted;
	}

	#rateAfter(least: number): number | undefined {
		const milliseconds = performance.now() - (this.#answeredAt ?? Infinity);
		return milliseconds < least && this.offset < this.end ? undefined : this.#meanRate(milliseconds);
	}

	/** Bytes per second, without the time in which the disk was awaited. */
	#meanRate(milliseconds: number): number {
		return (this.received * 1000) / Math.max(1, milliseconds - this.storing);
	}
}

export class Segments {
	readonly #segments = new Set<Segment>();
	readonly #onEnd: (segment: Segment) => void;

	/** `onEnd` is called once for each segment. */
	constructor(onEnd: (segment: Segment) => void) {
		this.#onEnd = onEnd;
	}

	/** Number of connections, except draining ones. */
	get size(): number {
		return [...this.#segments].filter(({isDraining}) => !isDraining).length;
	}

	/** No request has been answered. */
	get areUnanswered(): boolean {
		return [...this.#segments].every(({isAnswered}) => !isAnswered);
	}

	/** The host has accepted one. */
	get areConnected(): boolean {
		return [...this.#segments].some(({isConnected}) => isConnected);
	}

	[Symbol.iterator](): Iterator<Segment> {
		return this.#segments.values();
	}

	/** Adds a segment. Inside another segment, it takes over the rest of that segment. */
	add(plan: SegmentPlan): Segment {
		for (const segment of this.#segments) {
			if (segment.offset < plan.start && plan.start < segment.end) {
				segment.end = plan.start;
			}
		}

		const segment = new Segment(plan);
		this.#segments.add(segment);
		return segment;
	}

	/** Closes the connection and releases the claim. Idempotent. */
	end(segment: Segment): void {
		clearTimeout(segment.linger);
		segment.abort.abort();
		if (this.#segments.delete(segment) && !segment.isDraining) {
			this.#onEnd(segment);
		}
	}

	/** Yields the connection after reading the bytes in flight: they would be sent again. */
	drain(segment: Segment): void {
		clearTimeout(segment.linger);
		segment.linger = setTimeout(() => this.end(segment), drainMs);
		segment.draining.abort();
		this.#onEnd(segment);
	}

	endAll(which: (segment: Segment) => boolean = () => true): void {
		for (const segment of this.#segments) {
			if (which(segment)) {
				this.end(segment);
			}
		}
	}

	/** Limits all segments to the size of the file. */
	clip(size: number): void {
		for (const segment of this.#segments) {
			segment.end = Math.min(segment.end, size);
		}
	}
}

/**
 * The segment to end first: a background one, else one for a pledge, else one that reads ahead; among them, the one with
 * the most bytes left.
 */
export function mostExpendable(segments: readonly Segment[]): Segment | undefined {
	const [least] = segments
		.filter(({isDraining}) => !isDraining)
		.toSorted((a, b) => {
			const byUse = uses.indexOf(a.for) - uses.indexOf(b.for);
			return byUse === 0 ? b.end - b.offset - (a.end - a.offset) : byUse;
		});
	return least;
}
