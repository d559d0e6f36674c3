// The present bytes as half-open, sorted, merged intervals.

/** Bytes `[start, end)`. HTTP's inclusive form is used only in HTTP headers. `end` may be Infinity. */
export type Range = {readonly start: number; readonly end: number};

/** The bytes of one file that are on disk. `RangeSet` and `BlockBitmap` share this contract. */
export interface PresentSet {
	/** Number of present bytes. */
	readonly size: number;
	add(range: Range): void;
	/** Makes a hole, for bytes that cannot be trusted. */
	remove(range: Range): void;
	/** End of the present run at `offset`; `offset` itself if that byte is missing. */
	runEnd(offset: number): number;
	/** True if every byte of the range is present. An empty range is covered. */
	covers(range: Range): boolean;
	/** Number of present bytes in the range. */
	count(within: Range): number;
	/** The missing parts of `within`, in order; `within.end` may be Infinity. */
	holes(within: Range): Iterable<Range>;
	/** The present runs, in order, merged. */
	[Symbol.iterator](): Iterator<Range>;
}

/** Throws RangeError if the range is reversed, negative, or not a number. */
export function assertRange({start, end}: Range): void {
	if (!(start >= 0 && start <= end)) {
		throw new RangeError(`[${start}, ${end}) is not a range of bytes`);
	}
}

/** A page with more than twice as many edges is split, so that a change moves only the edges of one page. */
const pageEdges = 128;

export class RangeSet implements PresentSet {
	// Pages of start, end, start, end, …, strictly ascending across pages. A page holds complete runs: an even index is
	// the start of a run, an odd one its end, and a position is present if an odd number of edges precede it in its
	// page. At least one page exists; only a sole page may be empty.
	readonly #pages: number[][] = [[]];
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
			throw new RangeError('The end of a present range must be finite');
		}

		this.#replace(range, 0);
	}

	remove(range: Range): void {
		assertRange(range);
		this.#replace(range, 1);
	}

	runEnd(offset: number): number {
		const edges = this.#pages[this.#pageOf(offset)]!;
		const index = edgesUpTo(edges, offset);
		return index % 2 === 1 ? edges[index]! : offset;
	}

	/** `offset` if that byte is present, else the start of the next run; Infinity if there is none. */
	nextPresent(offset: number): number {
		const page = this.#pageOf(offset);
		const edges = this.#pages[page]!;
		const index = edgesUpTo(edges, offset);
		return index % 2 === 1 ? offset : (edges[index] ?? this.#pages[page + 1]?.[0] ?? Infinity);
	}

	covers(range: Range): boolean {
		assertRange(range);
		return range.start === range.end || this.runEnd(range.start) >= range.end;
	}

	count(within: Range): number {
		assertRange(within);
		const last = this.#pageOf(within.end);
		let count = 0;
		for (let page = this.#pageOf(within.start); page <= last; page++) {
			count += countIn(this.#pages[page]!, within);
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
		for (const edges of this.#pages) {
			for (let index = 0; index < edges.length; index += 2) {
				yield {start: edges[index]!, end: edges[index + 1]!};
			}
		}
	}

	/**
	 * Removes the edges from `start` to `end`, and adds those needed to make the bytes between present (0) or missing
	 * (1).
	 */
	#replace(range: Range, parity: 0 | 1): void {
		const {start, end} = range;
		if (start === end) {
			return;
		}

		const page = this.#pageOf(start);
		const pages = this.#pageOf(end) - page + 1;
		const edges = pages === 1 ? this.#pages[page]! : this.#pages.slice(page, page + pages).flat();
		const present = countIn(edges, range);
		this.#size += parity === 0 ? end - start - present : -present;
		const from = edgesBefore(edges, start);
		const to = edgesUpTo(edges, end);
		const first = from % 2 === parity;
		const last = to % 2 === parity;
		if (first && last) {
			edges.splice(from, to - from, start, end);
		} else if (first !== last && to - from === 1) {
			// The most frequent case: a run grows or shrinks.
			edges[from] = first ? start : end;
		} else if (first || last) {
			edges.splice(from, to - from, first ? start : end);
		} else {
			edges.splice(from, to - from);
		}

		if (pages > 1 || edges.length > 2 * pageEdges || edges.length === 0) {
			this.#pages.splice(page, pages, ...pagesOf(edges));
			if (this.#pages.length === 0) {
				this.#pages.push([]);
			}
		}
	}

	/** The last page that starts at or before the offset, or else the first page. */
	#pageOf(offset: number): number {
		const pages = this.#pages;
		let low = 1;
		for (let high = pages.length; low < high;) {
			const middle = (low + high) >>> 1;
			if (pages[middle]![0]! <= offset) {
				low = middle + 1;
			} else {
				high = middle;
			}
		}

		return low - 1;
	}
}

/** The bytes of `ranges` outside of `excluded`, sorted and merged. */
export function without(excluded: readonly Range[], ranges: readonly Range[]): Range[] {
	const set = new RangeSet(ranges);
	for (const each of excluded) {
		set.remove(each);
	}

	return [...set];
}

function pagesOf(edges: number[]): number[][] {
	if (edges.length <= 2 * pageEdges) {
		return edges.length === 0 ? [] : [edges];
	}

	return Array.from({length: Math.ceil(edges.length / pageEdges)}, (_, page) =>
		edges.slice(page * pageEdges, (page + 1) * pageEdges),
	);
}

/** Number of bytes in the range that belong to the runs of these edges. */
function countIn(edges: readonly number[], {start, end}: Range): number {
	let count = 0;
	for (let index = edgesUpTo(edges, start) & ~1; index < edges.length && edges[index]! < end; index += 2) {
		count += Math.min(end, edges[index + 1]!) - Math.max(start, edges[index]!);
	}

	return count;
}

function edgesBefore(edges: readonly number[], offset: number): number {
	let low = 0;
	for (let high = edges.length; low < high;) {
		const middle = (low + high) >>> 1;
		if (edges[middle]! < offset) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}

	return low;
}

/** Number of edges at or before the offset. */
function edgesUpTo(edges: readonly number[], offset: number): number {
	return edgesBefore(edges, offset + 1);
}
