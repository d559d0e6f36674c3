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
