// What one player is sent from the disk: one block is filled while the one before it is on its way.
import type {BlockPool} from './block-pool.ts';
import type {SparseFile} from './sparse-file.ts';

/** After a seek little is read at once; a player that stays is read more and more for. */
const growth = 4;

type Filled = {
	readonly file: SparseFile;
	readonly offset: number;
	readonly length: number;
	readonly block: Buffer;
	/** How many bytes were read. */
	readonly done: Promise<number>;
};

export class BlockReader {
	readonly #pool: BlockPool;
	#ahead: Filled | undefined;
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
		const filled = (await this.#takeAhead(file, offset, ready)) ?? this.#fill(file, offset, ready);
		let length: number;
		try {
			length = await filled.done;
		} catch (error) {
			this.#pool.give(filled.block);
			throw error;
		}

		this.#shown = filled.block;
		this.#consumed += length;
		if (length > 0 && length < ready) {
			this.#ahead = this.#fill(file, offset + length, ready - length);
		}

		return filled.block.subarray(0, length);
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

	/** If it is still what is wanted: holes may have been made, or another file may be in its place. */
	async #takeAhead(file: SparseFile, offset: number, ready: number): Promise<Filled | undefined> {
		const ahead = this.#ahead;
		if (ahead && (ahead.file !== file || ahead.offset !== offset || ahead.length > ready)) {
			await this.#dropAhead();
			return undefined;
		}

		this.#ahead = undefined;
		return ahead;
	}

	async #dropAhead(): Promise<void> {
		const ahead = this.#ahead;
		this.#ahead = undefined;
		if (ahead) {
			await ahead.done.catch(() => undefined);
			this.#pool.give(ahead.block);
		}
	}

	#fill(file: SparseFile, offset: number, ready: number): Filled {
		const block = this.#pool.take(Math.min(ready, this.#consumed / growth));
		const length = Math.min(ready, block.length);
		const done = file.read(offset, block.subarray(0, length));
		// Whoever takes it is told.
		done.catch(() => undefined);
		return {file, offset, length, block, done};
	}
}
