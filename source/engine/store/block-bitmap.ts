// The present bytes of a large file: one bit per complete block, and the exact edges of partial blocks.
import {assertRange, RangeSet, type PresentSet, type Range} from './range-set.ts';

/** Bytes. */
export const blockSize = 256 * 1024;

/**
 * Words of 32 blocks per page; a page covers 4 GiB of the file. A page is allocated with its first complete block, so
 * an absurd size costs nothing. 100 GiB take 25 pages, which are scanned in some 10 µs.
 */
const pageWords = 512;
const pageBlocks = pageWords * 32;

/** Files up to this size in bytes are tracked by ranges alone. */
export const rangeSetLimit = 100_000_000;

/**
 * Returns the appropriate set for a file of `size` bytes (Infinity while unknown). Ranges beyond the file are
 * dropped.
 */
export function presentSetFor(size: number, ranges: Iterable<Range> = []): PresentSet {
	const present = size > rangeSetLimit && size < Infinity ? new BlockBitmap(size) : new RangeSet();
	for (const {start, end} of ranges) {
		if (start < size) {
			present.add({start, end: Math.min(end, size)});
		}
	}

	return present;
}

export class BlockBitmap implements PresentSet {
	readonly #fileSize: number;
	readonly #blockCount: number;
	readonly #pages = new Map<number, Uint32Array>();
	/** The page numbers in ascending order. */
	readonly #numbers: number[] = [];
	#wholeBlocks = 0;
	/** The present bytes of partial blocks. No byte is in both sets. */
	readonly #edges = new RangeSet();

	/** `fileSize` is in bytes and finite. */
	constructor(fileSize: number) {
		this.#fileSize = fileSize;
		this.#blockCount = Math.ceil(fileSize / blockSize);
	}

	get size(): number {
		// The last block is shorter.
		const last = this.#blockCount - 1;
		const shortfall = this.#isWhole(last) ? this.#blockCount * blockSize - this.#fileSize : 0;
		return this.#wholeBlocks * blockSize - shortfall + this.#edges.size;
	}

	/** Throws RangeError for bytes beyond the end of the file. */
	add(range: Range): void {
		assertRange(range);
		if (range.end > this.#fileSize) {
			throw new RangeError(`[${range.start}, ${range.end}) is beyond a file of ${this.#fileSize} bytes`);
		}

		if (range.start === range.end) {
			return;
		}

		// All blocks between the first and the last are complete now; these two may be.
		this.#edges.add(range);
		const first = blockOf(range.start);
		const last = blockOf(range.end - 1);
		const from = this.#isWhole(first) || this.#edges.covers(this.#bytesOf(first)) ? first : first + 1;
		const to = this.#isWhole(last) || this.#edges.covers(this.#bytesOf(last)) ? last + 1 : last;
		if (from < to) {
			this.#mark(from, to, true);
			this.#edges.remove({start: from * blockSize, end: to * blockSize});
		}
	}

	remove(range: Range): void {
		assertRange(range);
		const end = Math.min(range.end, this.#fileSize);
		if (range.start >= end) {
			return;
		}

		const first = blockOf(range.start);
		const last = blockOf(end - 1);
		for (const block of [first, last]) {
			if (this.#isWhole(block)) {
				this.#edges.add(this.#bytesOf(block));
			}
		}

		this.#mark(first, last + 1, false);
		this.#edges.remove(range);
	}

	runEnd(offset: number): number {
		let end = offset;
		for (;;) {
			const next = this.#isWhole(blockOf(end))
				? Math.min(this.#nextBlock(blockOf(end), false) * blockSize, this.#fileSize)
				: this.#edges.runEnd(end);
			if (next <= end) {
				return end;
			}

			end = next;
		}
	}

	covers(range: Range): boolean {
		assertRange(range);
		return range.start === range.end || this.runEnd(range.start) >= range.end;
	}

	count(within: Range): number {
		assertRange(within);
		let count = 0;
		for (const {start, end} of this.#runsFrom(within.start)) {
			if (start >= within.end) {
				break;
			}

			count += Math.min(end, within.end) - start;
		}

		return count;
	}

	*holes(within: Range): Iterable<Range> {
		assertRange(within);
		let {start} = within;
		for (const run of this.#runsFrom(start)) {
			if (run.start >= within.end) {
				break;
			}

			if (start < run.start) {
				yield {start, end: run.start};
			}

			start = run.end;
		}

		if (start < within.end) {
			yield {start, end: within.end};
		}
	}

	[Symbol.iterator](): Iterator<Range> {
		return this.#runsFrom(0);
	}

	/** Yields the present runs from `offset` on; the first one starts at `offset` or later. */
	*#runsFrom(offset: number): Generator<Range, void> {
		// The next complete block is searched only after the previous one was passed, so that many edges do not cause
		// many scans.
		let nextWhole = -1;
		for (let end = offset; ;) {
			if (nextWhole < end) {
				nextWhole = this.#isWhole(blockOf(end)) ? end : this.#nextBlock(blockOf(end), true) * blockSize;
			}

			const start = Math.min(nextWhole, this.#edges.nextPresent(end));
			if (start >= this.#fileSize) {
				return;
			}

			end = this.runEnd(start);
			yield {start, end};
		}
	}

	#bytesOf(block: number): Range {
		return {start: block * blockSize, end: Math.min((block + 1) * blockSize, this.#fileSize)};
	}

	#isWhole(block: number): boolean {
		const page = this.#pages.get(Math.floor(block / pageBlocks));
		return page !== undefined && (page[Math.floor((block % pageBlocks) / 32)]! & (1 << (block % 32))) !== 0;
	}

	#mark(from: number, to: number, whole: boolean): void {
		for (let block = from; block < to;) {
			const number = Math.floor(block / pageBlocks);
			const page = whole ? this.#pageToFill(number) : this.#pages.get(number);
			if (!page) {
				block = this.#nextPage(number) * pageBlocks;
				continue;
			}

			const pageEnd = Math.min(to, (number + 1) * pageBlocks);
			while (block < pageEnd) {
				const next = Math.min(pageEnd, block - (block % 32) + 32);
				const mask = bits(block % 32, next - block);
				const index = Math.floor((block % pageBlocks) / 32);
				const before = page[index]!;
				const after = whole ? before | mask : before & ~mask;
				page[index] = after;
				this.#wholeBlocks += (whole ? 1 : -1) * bitCount(before ^ after);
				block = next;
			}
		}
	}

	#pageToFill(number: number): Uint32Array {
		let page = this.#pages.get(number);
		if (!page) {
			page = new Uint32Array(pageWords);
			this.#pages.set(number, page);
			this.#numbers.splice(this.#pagesBefore(number), 0, number);
		}

		return page;
	}

	/** The first page at or after `number`; Infinity if there is none. */
	#nextPage(number: number): number {
		return this.#numbers[this.#pagesBefore(number)] ?? Infinity;
	}

	#pagesBefore(number: number): number {
		let low = 0;
		for (let high = this.#numbers.length; low < high;) {
			const middle = (low + high) >>> 1;
			if (this.#numbers[middle]! < number) {
				low = middle + 1;
			} else {
				high = middle;
			}
		}

		return low;
	}

	/** The first block at or after `from` that is complete (or incomplete); the number of blocks if there is none. */
	#nextBlock(from: number, whole: boolean): number {
		const flip = whole ? 0 : -1;
		for (let block = from; block < this.#blockCount;) {
			const number = Math.floor(block / pageBlocks);
			const page = this.#pages.get(number);
			if (!page) {
				if (!whole) {
					return block;
				}

				block = this.#nextPage(number) * pageBlocks;
				continue;
			}

			let index = Math.floor((block % pageBlocks) / 32);
			for (let mask = -1 << (block % 32); index < pageWords; index++, mask = -1) {
				const found = (page[index]! ^ flip) & mask;
				if (found !== 0) {
					return Math.min(number * pageBlocks + index * 32 + lowestBit(found), this.#blockCount);
				}
			}

			block = (number + 1) * pageBlocks;
		}

		return this.#blockCount;
	}
}

function blockOf(offset: number): number {
	return Math.floor(offset / blockSize);
}

/** A word with `count` (1 to 32) bits set from bit `first` on. */
function bits(first: number, count: number): number {
	return (-1 >>> (32 - count)) << first;
}

function lowestBit(word: number): number {
	return 31 - Math.clz32(word & -word);
}

function bitCount(word: number): number {
	let count = 0;
	for (let rest = word; rest !== 0; rest &= rest - 1) {
		count++;
	}

	return count;
}
