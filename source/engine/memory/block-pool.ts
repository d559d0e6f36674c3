// Memory for bytes on their way from the disk to players, used again and again: fresh memory for each block costs more
// than reading it.
import type {SparseFile} from '../store/sparse-file.ts';

const sizes = {smallest: 64 * 1024, largest: 1024 * 1024};
/** Bytes. With more than this in the hands of players, new blocks are of the smallest size, and none is read ahead. */
const borrowedBudget = 8 * 1024 * 1024;
/** As many as 256 players hold: what is dropped and made again is there twice until garbage is collected. */
const maxIdle = 256 * sizes.smallest;
/** More reads at once than the disk has threads only wait with their block in hand. */
const maxReads = 8;

/** `length` bytes of the block were read. */
export type Filled = {readonly block: Buffer; readonly length: number};

export class BlockPool {
	readonly #idle = new Map<number, Buffer[]>();
	#idleBytes = 0;
	#borrowed = 0;
	#reads = 0;
	/** First come, first served. */
	readonly #queue: Array<() => void> = [];

	/** Nobody who waits is kept waiting by it. */
	get mayReadAhead(): boolean {
		return this.#reads < maxReads && this.#borrowed < borrowedBudget;
	}

	/** Reads at most `wanted` present bytes into a block, which is the caller's until given back. Throws `disk-failed`. */
	async fill(file: SparseFile, offset: number, wanted: number): Promise<Filled> {
		if (this.#reads >= maxReads) {
			await new Promise<void>(resolve => {
				this.#queue.push(resolve);
			});
		} else {
			this.#reads++;
		}

		const block = this.#take(wanted);
		try {
			const length = await file.read(offset, block.subarray(0, Math.min(wanted, block.length)));
			return {block, length};
		} catch (error) {
			this.give(block);
			throw error;
		} finally {
			const next = this.#queue.shift();
			if (next) {
				next();
			} else {
				this.#reads--;
			}
		}
	}

	/** Nobody looks at it any more. */
	give(block: Buffer): void {
		this.#borrowed -= block.length;
		if (this.#idleBytes + block.length <= maxIdle) {
			this.#idleBytes += block.length;
			const idle = this.#idle.get(block.length);
			if (idle) {
				idle.push(block);
			} else {
				this.#idle.set(block.length, [block]);
			}
		}
	}

	/** Somebody may still look at it: it is not used again. */
	drop(block: Buffer): void {
		this.#borrowed -= block.length;
	}

	/** A block of a power of two from 64 KiB to 1 MiB, near to what is wanted if there is enough. */
	#take(wanted: number): Buffer {
		let size = sizes.largest;
		while (size > sizes.smallest && (size / 2 >= wanted || this.#borrowed + size > borrowedBudget)) {
			size /= 2;
		}

		this.#borrowed += size;
		const block = this.#idle.get(size)?.pop();
		if (!block) {
			return Buffer.allocUnsafeSlow(size);
		}

		this.#idleBytes -= size;
		return block;
	}
}
