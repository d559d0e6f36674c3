// Memory for bytes that come by the network, for the disk and for players: blocks that are used again once nobody holds
// them.
// A holder that fails to release one only leaves it to the garbage collector, so what is in doubt is not released.

/**
 * Bytes. Fresh memory for each would cost more processor time than reading them from a socket does, most of it in
 * page faults and in collecting garbage. What is done once for each block costs more than its bytes where these come
 * fast: there a block is larger.
 */
export const blockSizes = {usual: 256 * 1024, fast: 1024 * 1024};
/** So many of a size are kept for later. */
const maxFree = new Map([
	[blockSizes.usual, 16],
	[blockSizes.fast, 6],
]);

/** What nobody has asked for so long is left to the garbage collector. */
const keptMs = 1000;

const free = new Map<number, Array<Buffer<ArrayBuffer>>>(Object.values(blockSizes).map(size => [size, []]));
let trimTimer: NodeJS.Timeout | undefined;
/** By the memory that is shared between all views of one. */
const holders = new WeakMap<ArrayBufferLike, number>();

/** A block that the caller holds; what is in it is of somebody before. */
export function allocate(size: number): Buffer {
	const block = free.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
	holders.set(block.buffer, 1);
	return block;
}

/** One holder more of the block that the bytes lie in. Bytes of elsewhere are nobody's concern, as in `release`. */
export function retain(bytes: Uint8Array): void {
	const count = holders.get(bytes.buffer);
	if (count !== undefined) {
		holders.set(bytes.buffer, count + 1);
	}
}

/** To be called once by each holder, who does not look at the bytes afterwards. */
export function release({buffer}: Uint8Array): void {
	const count = holders.get(buffer);
	if (count !== undefined && count > 1) {
		holders.set(buffer, count - 1);
	} else if (count === 1) {
		holders.delete(buffer);
		const same = free.get(buffer.byteLength);
		if (same && same.length < maxFree.get(buffer.byteLength)!) {
			same.push(Buffer.from(buffer as ArrayBuffer));
			trimTimer ??= setTimeout(trim, keptMs).unref();
			trimTimer.refresh();
		}
	}
}

function trim(): void {
	for (const same of free.values()) {
		same.length = 0;
	}
}
