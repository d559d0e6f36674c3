// Reference-counted memory for bytes in transit from the network to disk and players. Blocks are reused when their
// last holder releases them. A missed release only leaves the block to the garbage collector, so when in doubt, do
// not release.

/**
 * Bytes. Allocating a block for each read would cost more CPU time than the read itself, mostly in page faults and
 * garbage collection. Fast connections use larger blocks, because the fixed cost per block exceeds the cost of its
 * bytes. So do background connections that rest between reads: their bytes may arrive late.
 */
export const blockSizes = {
	least: 64 * 1024,
	small: 128 * 1024,
	usual: 256 * 1024,
	resting: 512 * 1024,
	fast: 1024 * 1024,
};
/** A connection that waits for a rate limit holds the block that is being stored, a full one and the next. */
const heldBlocks = 3;
/** Bytes for the blocks of all connections. */
const budget = 48 * 1024 * 1024;
/** Free blocks kept per size. */
const maxFree = new Map([
	[blockSizes.least, 32],
	[blockSizes.small, 16],
	[blockSizes.usual, 16],
	[blockSizes.resting, 8],
	[blockSizes.fast, 6],
]);

/** Free blocks unused for this long are dropped. */
const maxIdleMs = 1000;

const free = new Map<number, Array<Buffer<ArrayBuffer>>>(Object.values(blockSizes).map(size => [size, []]));
let trimTimer: NodeJS.Timeout | undefined;
/** Holder counts, keyed by the buffer that all views of a block share. */
const holders = new WeakMap<ArrayBufferLike, number>();

/** The largest size of a block with which so many open connections stay within the budget. */
export function largestBlock(connections: number): number {
	let size = blockSizes.fast;
	while (size > blockSizes.least && size * heldBlocks * connections > budget) {
		size /= 2;
	}

	return size;
}

/** Returns a block with one holder, the caller. Its contents are arbitrary. */
export function allocate(size: number): Buffer {
	const block = free.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
	holders.set(block.buffer, 1);
	return block;
}

/** Adds a holder to the block that contains the bytes. Like `release`, it ignores memory from elsewhere. */
export function retain(bytes: Uint8Array): void {
	const count = holders.get(bytes.buffer);
	if (count !== undefined) {
		holders.set(bytes.buffer, count + 1);
	}
}

/** Removes a holder. Each holder calls it once and does not access the bytes afterwards. */
export function release({buffer}: Uint8Array): void {
	const count = holders.get(buffer);
	if (count !== undefined && count > 1) {
		holders.set(buffer, count - 1);
	} else if (count === 1) {
		holders.delete(buffer);
		const blocks = free.get(buffer.byteLength);
		if (blocks && blocks.length < maxFree.get(buffer.byteLength)!) {
			blocks.push(Buffer.from(buffer as ArrayBuffer));
			trimTimer ??= setTimeout(trim, maxIdleMs).unref();
			trimTimer.refresh();
		}
	}
}

function trim(): void {
	for (const blocks of free.values()) {
		blocks.length = 0;
	}
}
