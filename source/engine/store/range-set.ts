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

/** A page of more edges than twice this is divided: a change moves only the edges of one page. */
const pageEdges = 128;

export class RangeSet implements PresentSet {
	// Pages of start, end, start, end, …, strictly ascending from each page to the next. A page holds whole runs: an
	// even index is where bytes begin to be present, an odd one where they cease, and a position is in a run if the
	// number of edges before it in its page is odd. There is always a page, which may be empty if it is the only one.
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
			throw new RangeError('A set of present bytes has an end');
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

	/** Drops the edges from `start` to `end` and sets those that are needed to be present (0) or missing (1) between. */
	#replace(range: Range, parity: 0 | 1): void {
		const {start, end} = range;
		if (start === end) {
			return;
		}

		const page = this.#pageOf(start);
		const pages = this.#pageOf(end) - page + 1;
		const edges = pages === 1 ? this.#pages[page]! : this.#pages.slice(page, page + pages).flat();
		const held = countIn(edges, range);
		this.#size += parity === 0 ? end - start - held : -held;
		const from = edgesBefore(edges, start);
		const to = edgesUpTo(edges, end);
		const first = from % 2 === parity;
		const last = to % 2 === parity;
		if (first && last) {
			edges.splice(from, to - from, start, end);
		} else if (first !== last && to - from === 1) {
			// A run grows or shrinks, which is what mostly happens.
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

	/** The last page that begins at or before the offset; the first one if none does. */
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

function pagesOf(edges: number[]): number[][] {
	if (edges.length <= 2 * pageEdges) {
		return edges.length === 0 ? [] : [edges];
	}

	return Array.from({length: Math.ceil(edges.length / pageEdges)}, (_, page) =>
		edges.slice(page * pageEdges, (page + 1) * pageEdges),
	);
}

/** How many bytes within the range are in the runs of these edges. */
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

/** How many of the edges are at or before the offset. */
function edgesUpTo(edges: readonly number[], offset: number): number {
	return edgesBefore(edges, offset + 1);
}
