// Which bytes are present: intervals, half-open, sorted, merged.

/** Bytes `[start, end)`. HTTP's inclusive form exists only where HTTP is spoken. `end` may be Infinity. */
export type Range = {readonly start: number; readonly end: number};

/** The bytes of one file that are on the disk. `RangeSet` and `BlockBitmap` keep the same contract. */
export interface PresentSet {
	/** How many bytes are present. */
	readonly size: number;
	add(range: Range): void;
	/** Makes a hole (bytes that cannot be trusted). */
	remove(range: Range): void;
	/** End of the present run at `offset`; `offset` itself if that byte is missing. */
	runEnd(offset: number): number;
	/** Whether every byte of the range is present. An empty range is covered. */
	covers(range: Range): boolean;
	/** How many bytes of the range are present. */
	count(within: Range): number;
	/** The missing parts of `within`, in order; `within.end` may be Infinity. */
	holes(within: Range): Iterable<Range>;
	/** The present runs, in order, merged. */
	[Symbol.iterator](): Iterator<Range>;
}

/** Throws RangeError for what is not a range: backwards, negative, or not a number. */
export function assertRange({start, end}: Range): void {
	if (!(start >= 0 && start <= end)) {
		throw new RangeError(`[${start}, ${end}) is not a range of bytes`);
	}
}

export class RangeSet implements PresentSet {
	// start, end, start, end, …, strictly ascending: an even index is where bytes begin to be present, an odd one
	// where they cease. A position is in a run if the number of edges before it is odd.
	readonly #edges: number[] = [];
	#size = 0;

	constructor(ranges: Iterable<Range> = []) {
		for (const range of ranges) {
			this.add(range);
		}
	}

	get size(): number {
		return this.#size;
	}

	add(range: Range): void {
		assertRange(range);
		if (range.end === Infinity) {
			throw new RangeError('A set of present bytes has an end');
		}

		this.#replace(range, 0);
	}

	remove(range: Range): void {
		assertRange(range);
		this.#replace(range, 1);
	}

	runEnd(offset: number): number {
		const index = this.#edgesUpTo(offset);
		return index % 2 === 1 ? this.#edges[index]! : offset;
	}

	/** `offset` if that byte is present, else the start of the next run; Infinity if there is none. */
	nextPresent(offset: number): number {
		const index = this.#edgesUpTo(offset);
		return index % 2 === 1 ? offset : (this.#edges[index] ?? Infinity);
	}

	covers(range: Range): boolean {
		assertRange(range);
		return range.start === range.end || this.runEnd(range.start) >= range.end;
	}

	count(within: Range): number {
		assertRange(within);
		const edges = this.#edges;
		let count = 0;
		for (let index = this.#edgesUpTo(within.start) & ~1; index < edges.length; index += 2) {
			const start = edges[index]!;
			if (start >= within.end) {
				break;
			}

			count += Math.min(within.end, edges[index + 1]!) - Math.max(within.start, start);
		}

		return count;
	}

	*holes(within: Range): Iterable<Range> {
		assertRange(within);
		for (let start = this.runEnd(within.start); start < within.end;) {
			const next = this.nextPresent(start);
			yield {start, end: Math.min(next, within.end)};
			start = this.runEnd(next);
		}
	}

	*[Symbol.iterator](): Iterator<Range> {
		for (let index = 0; index < this.#edges.length; index += 2) {
			yield {start: this.#edges[index]!, end: this.#edges[index + 1]!};
		}
	}

	/** Drops the edges from `start` to `end` and sets those that are needed to be present (0) or missing (1) between. */
	#replace({start, end}: Range, parity: 0 | 1): void {
		if (start === end) {
			return;
		}

		const held = this.count({start, end});
		this.#size += parity === 0 ? end - start - held : -held;
		const from = this.#edgesBefore(start);
		const to = this.#edgesUpTo(end);
		const first = from % 2 === parity;
		const last = to % 2 === parity;
		if (first && last) {
			this.#edges.splice(from, to - from, start, end);
		} else if (first || last) {
			this.#edges.splice(from, to - from, first ? start : end);
		} else {
			this.#edges.splice(from, to - from);
		}
	}

	#edgesBefore(offset: number): number {
		let low = 0;
		for (let high = this.#edges.length; low < high;) {
			const middle = (low + high) >>> 1;
			if (this.#edges[middle]! < offset) {
				low = middle + 1;
			} else {
				high = middle;
			}
		}

		return low;
	}

	/** How many edges are at or before the offset. */
	#edgesUpTo(offset: number): number {
		return this.#edgesBefore(offset + 1);
	}
}
