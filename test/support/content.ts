// Content as a pure function of the offset: any byte of a file of any size can be checked.

/** Writes the content at `offset` of the file with this seed into the whole buffer. */
export function fillContent(buffer: Uint8Array, offset: number, seed = 1): void {
	const length = buffer.length;
	let index = 0;
	while (index < length) {
		const position = offset + index;
		const word = Math.floor(position / 4);
		let hash =
			(Math.imul(word | 0, 0x9e3779b1) ^ Math.imul(Math.floor(word / 0x1_0000_0000) + seed, 0x85ebca6b)) | 0;
		hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
		hash ^= hash >>> 13;
		for (let byte = position % 4; byte < 4 && index < length; byte++, index++) {
			buffer[index] = hash >>> (byte * 8);
		}
	}
}

export function content(start: number, end: number, seed = 1): Buffer {
	const buffer = Buffer.allocUnsafe(end - start);
	fillContent(buffer, start, seed);
	return buffer;
}

/** The offset of the first wrong byte in the file, or -1. */
export function firstWrongByte(bytes: Uint8Array, offset: number, seed = 1): number {
	const expected = content(offset, offset + bytes.length, seed);
	if (expected.equals(bytes)) {
		return -1;
	}

	return offset + expected.findIndex((value, index) => value !== bytes[index]);
}
