// The connections that one transfer has open, each with the range that it is fetching.
import type {SegmentPlan} from './next-segment.ts';
import type {Range} from '../store/range-set.ts';

/** A connection that has worked for so long has shown about how fast it is. */
const settlingMs = 25;
/** And one that has for so long does not get much faster. */
const steadyMs = 250;
/** Long enough to read what waits in the socket. */
const retiringMs = 50;

export class Segment {
	readonly start: number;
	/** The next byte to come. */
	offset: number;
	/** Lowered when another connection takes the rest over. */
	end: number;
	for: 'player' | 'fill';
	/** When an answer of the right version came, in milliseconds of `performance.now()`. */
	answeredAt: number | undefined;
	/** All of the answer was read. */
	isRead = false;
	/** Bytes that came since. */
	received = 0;
	/** Whether another connection beside it is worth while; undefined until it was judged. */
	isWorthMore: boolean | undefined;
	/** The response is the whole file, read in order. */
	isWhole = false;
	/**
	 * What the response has added since it last agreed with held bytes; undefined where a strong ETag names the version.
	 */
	added: Range | undefined;
	/** Whether it has been looked at for a part that another connection could take over. */
	wasOfferedForSplit = false;
	/** Milliseconds since the epoch. */
	readonly openedAt = Date.now();
	readonly abort = new AbortController();
	/** Runs while nobody needs the segment, or what it was sent is still read. */
	linger: NodeJS.Timeout | undefined;
	/** Aborted once its connection counts no more: it only takes in what was sent already. */
	readonly retirement = new AbortController();

	constructor(plan: SegmentPlan) {
		this.start = plan.start;
		this.offset = plan.start;
		this.end = plan.end;
		this.for = plan.for;
	}

	get isAnswered(): boolean {
		return this.answeredAt !== undefined;
	}

	/** Bytes per second since the answer, about; undefined as long as that says nothing. */
	get firstRate(): number | undefined {
		return this.#rateAfter(settlingMs);
	}

	/** Bytes per second since the answer; undefined until those that began beside it have found their pace too. */
	get rate(): number | undefined {
		return this.#rateAfter(steadyMs);
	}

	get isDraining(): boolean {
		return this.retirement.signal.aborted;
	}

	#rateAfter(least: number): number | undefined {
		const milliseconds = performance.now() - (this.answeredAt ?? Infinity);
		return milliseconds < least && this.offset < this.end
			? undefined
			: (this.received * 1000) / Math.max(1, milliseconds);
	}
}

export class Segments {
	readonly #segments = new Set<Segment>();
	readonly #onEnd: (segment: Segment) => void;

	/** `onEnd` is called once for each that ends. */
	constructor(onEnd: (segment: Segment) => void) {
		this.#onEnd = onEnd;
	}

	/** Connections that count. */
	get size(): number {
		return [...this.#segments].filter(({isDraining}) => !isDraining).length;
	}

	[Symbol.iterator](): Iterator<Segment> {
		return this.#segments.values();
	}

	/** What was planned inside another segment is taken over from it. */
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

	/** Closes the connection and gives the claim back; may be called twice. */
	end(segment: Segment): void {
		clearTimeout(segment.linger);
		segment.abort.abort();
		if (this.#segments.delete(segment) && !segment.isDraining) {
			this.#onEnd(segment);
		}
	}

	/** Gives the connection up to another segment, but reads on for a moment: what was sent would come again. */
	drain(segment: Segment): void {
		clearTimeout(segment.linger);
		segment.linger = setTimeout(() => this.end(segment), retiringMs);
		segment.retirement.abort();
		this.#onEnd(segment);
	}

	endAll(which: (segment: Segment) => boolean = () => true): void {
		for (const segment of this.#segments) {
			if (which(segment)) {
				this.end(segment);
			}
		}
	}

	/** Nothing is after the end of the file. */
	clip(size: number): void {
		for (const segment of this.#segments) {
			segment.end = Math.min(segment.end, size);
		}
	}

	/** One that may go: a fill, else one that reads ahead, in each case with most to come. */
	mostExpendable(isAwaited: (segment: Segment) => boolean): Segment | undefined {
		const [least] = [...this.#segments]
			.filter(segment => !segment.isDraining && !isAwaited(segment))
			.toSorted((a, b) => {
				const byUse = Number(b.for === 'fill') - Number(a.for === 'fill');
				return byUse === 0 ? b.end - b.offset - (a.end - a.offset) : byUse;
			});
		return least;
	}
}
