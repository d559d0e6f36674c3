// Locates the index of an ISO file by its first boxes: it can be requested before a parser runs. Pure.
import type {Range} from '../store/range-set.ts';

/** Bytes of the head of a box. */
const headBytes = 16;

/**
 * The leading `moov` box with the head of the next box, or everything after the media data (ISO/IEC 14496-12 section
 * 4.2). Undefined if the first bytes do not reveal the place.
 */
export function indexPlace(head: Uint8Array, size: number): Range | undefined {
	const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
	for (let start = 0; start + headBytes <= head.length;) {
		const type = String.fromCharCode(...head.subarray(start + 4, start + 8));
		const short = view.getUint32(start);
		const end = start + (short === 1 ? Number(view.getBigUint64(start + 8)) : short);
		if (end < start + 8 || end >= size) {
			return type === 'moov' && end === size ? {start, end} : undefined;
		}

		if (type === 'moov') {
			return {start, end: Math.min(size, end + headBytes)};
		}

		if (type === 'mdat') {
			return {start: end, end: size};
		}

		start = end;
	}

	return undefined;
}
