// Memory for bytes on their way from the disk to players, used again and again: fresh memory for each block costs more
// than reading it.

const sizes = {smallest: 64 * 1024, largest: 1024 * 1024};
/** Bytes. With more than this at work, new blocks are of the smallest size. */
const lentBudget = 16 * 1024 * 1024;
const mostIdle = 8 * 1024 * 1024;

export class BlockPool {
	readonly #idle = new Map<number, Buffer[]>();
	#idleBytes = 0;
	#lent = 0;

	/** A block of a power of two from 64 KiB to 1 MiB, near to what is wanted if there is enough. */
	take(wanted: number): Buffer {
		let size = sizes.largest;
		while (size > sizes.smallest && (size / 2 >= wanted || this.#lent + size > lentBudget)) {
			size /= 2;
		}

		this.#lent += size;
		const block = this.#idle.get(size)?.pop();
		if (!block) {
			return Buffer.allocUnsafeSlow(size);
		}

		this.#idleBytes -= size;
		return block;
	}

	/** Nobody looks at it any more. */
	give(block: Buffer): void {
		this.#lent -= block.length;
		if (this.#idleBytes + block.length <= mostIdle) {
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
		this.#lent -= block.length;
	}
}
