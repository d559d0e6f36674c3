// Detects a chain of Ogg files in one (RFC 3533 section 4): its last page does not state the length of all. Pure.

/** Bytes of a page header before its serial number. */
const beforeSerial = 14;

/** `head` holds the first page of each stream of the first file, `tail` the last page of the file. */
export function isChained(head: Uint8Array, tail: Uint8Array): boolean {
	const last = serialNumbers(tail).at(-1);
	return last !== undefined && !serialNumbers(head).includes(last);
}

function serialNumbers(bytes: Uint8Array): number[] {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
	const serials: number[] = [];
	for (let at = 0; ; at++) {
		at = buffer.indexOf('OggS\0', at, 'latin1');
		if (at === -1 || at + beforeSerial + 4 > buffer.length) {
			return serials;
		}

		serials.push(buffer.readUInt32LE(at + beforeSerial));
	}
}
