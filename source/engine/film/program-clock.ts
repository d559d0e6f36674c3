// The length of an MPEG transport stream by its clock references (ISO/IEC 13818-1 section 2.4.3.5). Pure.

const packetBytes = 188;
const syncByte = 0x47;
const ticksPerSecond = 90_000;
const clockTicks = 2 ** 33;

/** Seconds from the first clock reference of `head` to the last one of `tail` with the same PID; NaN if none. */
export function programClock(head: Uint8Array, tail: Uint8Array): number {
	const [first] = clockReferences(head);
	const last = clockReferences(tail)
		.toReversed()
		.find(({pid}) => pid === first?.pid);
	return first && last ? ((last.ticks - first.ticks + clockTicks) % clockTicks) / ticksPerSecond : Number.NaN;
}

/** In order of their place. `pid` is the stream that carries them, `ticks` the base in 90 kHz. */
function clockReferences(bytes: Uint8Array): Array<{pid: number; ticks: number}> {
	const references: Array<{pid: number; ticks: number}> = [];
	for (let at = 0; at + packetBytes <= bytes.length;) {
		const isPacket = bytes[at] === syncByte && (bytes[at + packetBytes] ?? syncByte) === syncByte;
		if (!isPacket) {
			at++;
			continue;
		}

		const hasReference =
			(bytes[at + 3]! & 0x20) !== 0 && bytes[at + 4]! >= 7 && (bytes[at + 5]! & 0x10) !== 0;
		if (hasReference) {
			const high = new DataView(bytes.buffer, bytes.byteOffset + at + 6, 4).getUint32(0);
			references.push({
				pid: ((bytes[at + 1]! & 0x1f) << 8) | bytes[at + 2]!,
				ticks: high * 2 + (bytes[at + 10]! >> 7),
			});
		}

		at += packetBytes;
	}

	return references;
}
