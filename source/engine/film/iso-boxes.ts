// The boxes of an ISO file (ISO/IEC 14496-12, section 4.2).
import type {Range} from '../store/range-set.ts';

export type ReadAt = (start: number, end: number) => Promise<Uint8Array>;

/** The body of the first box at the path; empty if there is none. */
export function childOf(body: Buffer, ...path: readonly string[]): Buffer {
	let found = body;
	for (const type of path) {
		[found = Buffer.alloc(0)] = boxesIn(found, type);
	}

	return found;
}

/** The bodies of the boxes of a type (section 4.2). */
export function* boxesIn(bytes: Buffer, wanted: string): Generator<Buffer, void, undefined> {
	for (let at = 0; at + 8 <= bytes.length;) {
		const {type, head, length} = boxAt(bytes.subarray(at, at + 16));
		if (length < head || at + length > bytes.length) {
			return;
		}

		if (type === wanted) {
			yield bytes.subarray(at + head, at + length);
		}

		at += length;
	}
}

export function boxAt(bytes: Buffer): {type: string; head: number; length: number} {
	const short = bytes.readUInt32BE(0);
	const type = bytes.toString('latin1', 4, 8);
	return short === 1 && bytes.length >= 16
		? {type, head: 16, length: Number(bytes.readBigUInt64BE(8))}
		: {type, head: 8, length: short};
}

/**
 * The top-level boxes of the file. `head`: offset of the box; `start`: offset of its body. The last box may state the
 * size 0.
 */
export async function* fileBoxes(
	readAt: ReadAt,
	from: number,
	size: number,
): AsyncGenerator<Range & {readonly type: string; readonly head: number}, void, undefined> {
	for (let at = from; at + 16 <= size;) {
		const {type, head, length: stated} = boxAt(bufferOf(await readAt(at, at + 16)));
		const length = stated === 0 ? size - at : stated;
		if (length < head || at + length > size) {
			return;
		}

		yield {type, head: at, start: at + head, end: at + length};
		at += length;
	}
}

export function bufferOf({buffer, byteOffset, length}: Uint8Array): Buffer {
	return Buffer.from(buffer, byteOffset, length);
}
