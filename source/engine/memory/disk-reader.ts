// Reads one player's bytes from disk: fills the next block while the previous one is being sent.
import type {BlockPool, FilledBlock} from './block-pool.ts';
import type {SparseFile} from '../store/sparse-file.ts';

/** Initial read size in bytes. Reads start small after a seek and grow while the player continues. */
const initialReadSize = 256 * 1024;

type ReadAhead = {
	readonly file: SparseFile;
	readonly offset: number;
	readonly maxBytes: number;
	readonly filled: Promise<FilledBlock>;
};

export class DiskReader {
	readonly #pool: BlockPool;
	#readAhead: ReadAhead | undefined;
	#current: Buffer | undefined;
	#consumed = 0;

	constructor(pool: BlockPool) {
		this.#pool = pool;
	}

	/**
	 * Returns some of the `available` present bytes from `offset` on. They stay valid until `sent` is called. Throws
	 * `disk-failed`.
	 */
	async read(file: SparseFile, offset: number, available: number): Promise<Uint8Array> {
		const readAhead = this.#readAhead;
		// Bytes may have been discarded, or the file replaced.
		if (
			readAhead &&
			(readAhead.file !== file || readAhead.offset !== offset || readAhead.maxBytes > available)
		) {
			await this.#discardReadAhead();
		}

		const {filled} = this.#readAhead ?? this.#fill(file, offset, available);
		this.#readAhead = undefined;
		const {block, length} = await filled;
		this.#current = block;
		this.#consumed += length;
		if (length > 0 && length < available && this.#pool.mayReadAhead) {
			this.#readAhead = this.#fill(file, offset + length, available - length);
		}

		return block.subarray(0, length);
	}

	/** Releases the bytes returned by the last `read`. */
	sent(): void {
		if (this.#current) {
			this.#pool.recycle(this.#current);
			this.#current = undefined;
		}
	}

	/** Resolves when no read is in progress. */
	async close(): Promise<void> {
		if (this.#current) {
			// A closing connection may still reference it.
			this.#pool.discard(this.#current);
			this.#current = undefined;
		}

		await this.#discardReadAhead();
	}

	async #discardReadAhead(): Promise<void> {
		const readAhead = this.#readAhead;
		this.#readAhead = undefined;
		const filled = await readAhead?.filled.catch(() => undefined);
		if (filled) {
			this.#pool.recycle(filled.block);
		}
	}

	#fill(file: SparseFile, offset: number, available: number): ReadAhead {
		const maxBytes = Math.min(available, Math.max(initialReadSize, this.#consumed));
		const filled = this.#pool.fill(file, offset, maxBytes);
		// The consumer of the block handles the rejection; this only prevents an unhandled one.
		filled.catch(() => undefined);
		return {file, offset, maxBytes, filled};
	}
}
