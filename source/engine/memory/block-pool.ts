// Reusable memory for bytes in transit from disk to players. Allocating a block costs more than reading into it.
import type {SparseFile} from '../store/sparse-file.ts';

const sizes = {min: 64 * 1024, max: 1024 * 1024};
/** Bytes. While players hold more than this, new blocks have the smallest size and readers stop reading ahead. */
const borrowedBudget = 8 * 1024 * 1024;
/** Enough for 256 players. Dropping and reallocating blocks would keep both copies until garbage collection. */
const maxIdle = 256 * sizes.min;
/** Reads beyond the number of disk threads would only hold a block while they wait. */
const maxReads = 8;

/** A block whose first `length` bytes were read. */
export type FilledBlock = {readonly block: Buffer; readonly length: number};

export class BlockPool {
	readonly #idle = new Map<number, Buffer[]>();
	#idleBytes = 0;
	#borrowed = 0;
	#reads = 0;
	/** FIFO. */
	readonly #waiting: Array<() => void> = [];

	/** True if a speculative read would not delay a pending one. */
	get mayReadAhead(): boolean {
		return this.#reads < maxReads && this.#borrowed < borrowedBudget;
	}

	/**
	 * Reads at most `maxBytes` present bytes into a block. The caller owns the block until it calls `recycle` or
	 * `discard`. Throws `disk-failed`.
	 */
	async fill(file: SparseFile, offset: number, maxBytes: number): Promise<FilledBlock> {
		if (this.#reads >= maxReads) {
			await new Promise<void>(resolve => {
				this.#waiting.push(resolve);
			});
		} else {
			this.#reads++;
		}

		const block = this.#takeBlock(maxBytes);
		try {
			const length = await file.read(offset, block.subarray(0, Math.min(maxBytes, block.length)));
			return {block, length};
		} catch (error) {
			this.recycle(block);
			throw error;
		} finally {
			const next = this.#waiting.shift();
			if (next) {
				next();
			} else {
				this.#reads--;
			}
		}
	}

	/** Returns a block that is no longer referenced. */
	recycle(block: Buffer): void {
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

	/** Gives up a block that may still be referenced; it is not reused. */
	discard(block: Buffer): void {
		this.#borrowed -= block.length;
	}

	/**
	 * Returns a block of a power of two from 64 KiB to 1 MiB: the smallest that fits, or a smaller one if the budget is
	 * exceeded.
	 */
	#takeBlock(maxBytes: number): Buffer {
		let size = sizes.max;
		while (size > sizes.min && (size / 2 >= maxBytes || this.#borrowed + size > borrowedBudget)) {
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
