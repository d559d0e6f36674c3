// The bytes of a file for the parser of its index, within limits.
import {turns} from '../../turns.ts';
import {RangeSet} from '../store/range-set.ts';
import type {ReadBytes} from './film-thread.ts';
import type {ReadAt} from './iso-boxes.ts';
import {hasInflatedRuns} from './iso-index.ts';
import {NoFilm} from './no-film.ts';

/** Maximum bytes and reads for one map. */
const limits = {bytes: 64 * 1024 * 1024, reads: 64};
/**
 * Maximum reads of the parser, and bytes as a multiple of those read from the file: beyond, it repeats itself
 * endlessly.
 */
const taken = {reads: 16_384, times: 4, least: 1024 * 1024};
/** Bytes of one request: it covers many small reads of the parser. */
export const chunkBytes = 64 * 1024;
/** The last bytes of a file may state the length of the index before them: one request covers both. */
const lastWord = {bytes: 4, request: 256 * 1024};

/** Thrown for a read past the index. Its range is the place of a packet. */
export class Refused extends Error {
	readonly start: number;
	readonly end: number;

	constructor(start: number, end: number) {
		super('The packet is not read');
		this.start = start;
		this.end = end;
	}
}

/** Serves the parser until `refuse` is called; from then on, only bytes that were read before. */
export class IndexBytes {
	readonly size: number;
	readonly #read: ReadBytes;
	readonly #chunks: Array<{start: number; bytes: Uint8Array}> = [];
	readonly index = new RangeSet();
	#bytes = 0;
	#reads = 0;
	/** Reads of the parser. */
	readonly #taken = {bytes: 0, reads: 0};
	#refuses = false;
	/** Serializes reads: a later one may need the same chunk. */
	readonly #inTurn = turns();

	constructor(size: number, read: ReadBytes) {
		this.size = size;
		this.#read = read;
	}

	refuse(): void {
		this.#refuses = true;
	}

	/** For the parser: adds the range to the index. Rejects with `NoFilm`, or with `Refused` past the index. */
	async read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
		if (!(start >= 0 && start < end && end <= this.size)) {
			throw new NoFilm('past-end', 'a packet lies past the end of the file');
		}

		if (this.#refuses && !this.index.covers({start, end})) {
			throw new Refused(start, end);
		}

		this.index.add({start, end});
		const {buffer, byteOffset, length} = await this.at(start, end);
		const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, length);
		this.#take(length);
		if (hasInflatedRuns(bytes)) {
			throw new NoFilm('damaged', 'a fragment claims more samples than it lists');
		}

		return bytes;
	}

	#take(bytes: number): void {
		this.#taken.bytes += bytes;
		this.#taken.reads++;
		if (
			this.#taken.reads > taken.reads ||
			this.#taken.bytes > Math.max(taken.least, taken.times * this.#bytes)
		) {
			throw new NoFilm('damaged', 'its parser does not end');
		}
	}

	/** Reads a range without adding it to the index. */
	readonly at: ReadAt = (start, end) => this.#inTurn(() => this.#chunkAt(start, end));

	async #chunkAt(start: number, end: number): Promise<Uint8Array> {
		let chunk = this.#chunks.find(each => each.start <= start && end <= each.start + each.bytes.length);
		if (!chunk) {
			if (++this.#reads > limits.reads) {
				throw new NoFilm('scattered', 'its index lies in too many places');
			}

			if (this.#bytes + (end - start) > limits.bytes) {
				throw new NoFilm('too-large', 'its index is too large');
			}

			const isLastWord = end === this.size && end - start <= lastWord.bytes;
			const from = isLastWord ? Math.max(0, end - lastWord.request) : start;
			const maxEnd = Math.min(this.size, Math.max(end, from + chunkBytes));
			chunk = {start: from, bytes: await this.#read(from, end, maxEnd)};
			this.#bytes += chunk.bytes.length;
			this.#chunks.push(chunk);
		}

		return chunk.bytes.subarray(start - chunk.start, end - chunk.start);
	}
}
