// What one player is sent from the disk: one block is filled while the one before it is on its way.
import type {BlockPool, Filled} from './block-pool.ts';
import type {SparseFile} from '../store/sparse-file.ts';

/** After a seek little is read at once; a player that stays is read more and more for. */
const firstBlock = 256 * 1024;

type Ahead = {
	readonly file: SparseFile;
	readonly offset: number;
	readonly wanted: number;
	readonly filled: Promise<Filled>;
};

export class BlockReader {
	readonly #pool: BlockPool;
	#ahead: Ahead | undefined;
	#shown: Buffer | undefined;
	#consumed = 0;

	constructor(pool: BlockPool) {
		this.#pool = pool;
	}

	/**
	 * Some of the `ready` bytes that are present from `offset` on. They stay as they are until `sent` is called. Throws
	 * `disk-failed`.
	 */
	async read(file: SparseFile, offset: number, ready: number): Promise<Uint8Array> {
		const ahead = this.#ahead;
		// Holes may have been made, or another file may be in its place.
		if (ahead && (ahead.file !== file || ahead.offset !== offset || ahead.wanted > ready)) {
			await this.#dropAhead();
		}

		const {filled} = this.#ahead ?? this.#fill(file, offset, ready);
		this.#ahead = undefined;
		const {block, length} = await filled;
		this.#shown = block;
		this.#consumed += length;
		if (length > 0 && length < ready && this.#pool.mayReadAhead) {
			this.#ahead = this.#fill(file, offset + length, ready - length);
		}

		return block.subarray(0, length);
	}

	/** The bytes that were read last are no longer looked at. */
	sent(): void {
		if (this.#shown) {
			this.#pool.give(this.#shown);
			this.#shown = undefined;
		}
	}

	/** Nothing is read any more when it resolves. */
	async close(): Promise<void> {
		if (this.#shown) {
			// A connection that is cut may still be looking at it.
			this.#pool.drop(this.#shown);
			this.#shown = undefined;
		}

		await this.#dropAhead();
	}

	async #dropAhead(): Promise<void> {
		const ahead = this.#ahead;
		this.#ahead = undefined;
		const filled = await ahead?.filled.catch(() => undefined);
		if (filled) {
			this.#pool.give(filled.block);
		}
	}

	#fill(file: SparseFile, offset: number, ready: number): Ahead {
		const wanted = Math.min(ready, Math.max(firstBlock, this.#consumed));
		const filled = this.#pool.fill(file, offset, wanted);
		// Whoever takes it is told.
		filled.catch(() => undefined);
		return {file, offset, wanted, filled};
	}
}
