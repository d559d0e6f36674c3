// Samples of the cached bytes, and their comparison with the bytes of a response.
import type {SparseFile} from '../store/sparse-file.ts';
import type {PresentSet, Range} from '../store/range-set.ts';
import type {OriginResponse} from '../origin/data-source.ts';
import {originChanged, differingBytes} from './version-labels.ts';

/** Bytes of one sample. */
export const sampleSize = 4096;
/** The sample where no byte is cached. */
export const firstByte: Range = {start: 0, end: 1};

/** Maximum bytes to read before a sample from an origin without ranges. */
const maxSkipped = 16 * 1024 * 1024;

/** Chooses samples of bytes whose checksums match: damage on disk must not look like another version. */
export async function provenSamplesOf(
	file: SparseFile,
	choose: (present: PresentSet) => Range[],
): Promise<Range[]> {
	for (;;) {
		const before = file.present.size;
		const samples = choose(file.present);
		for (const range of samples) {
			await file.doubt?.prove(range);
		}

		if (file.present.size === before) {
			return samples;
		}
	}
}

/** Both ends of the cached bytes, and `between` pieces spread evenly over them, without duplicates. */
export function samplesOf(present: PresentSet, between: number): Range[] {
	const samples = new Map<number, Range>();
	for (let index = 0; index <= between + 1 && present.size > 0; index++) {
		const sample = sampleAt(present, index / (between + 1));
		samples.set(sample.start, sample);
	}

	return [...samples.values()];
}

/** The piece at `fraction` (0 to 1) of the cached bytes, which must not be empty. */
export function sampleAt(present: PresentSet, fraction: number): Range {
	let before = Math.floor(fraction * (present.size - 1));
	for (const {start, end} of present) {
		if (before < end - start) {
			// Full size in a long run: the last byte of the run ends the last sample.
			const from = Math.max(start, Math.min(start + before, end - sampleSize));
			return {start: from, end: Math.min(end, from + sampleSize)};
		}

		before -= end - start;
	}

	throw new RangeError('No byte is cached');
}

export function isTooFar({start}: Range, {range}: OriginResponse): boolean {
	return start - range.start > maxSkipped;
}

/**
 * Resolves with whether the bytes of the range match the cached ones; true without a comparison if the response begins too
 * far before it. Closes the connection.
 */
export async function responseMatches(
	file: SparseFile,
	range: Range,
	response: OriginResponse,
): Promise<boolean> {
	if (isTooFar(range, response)) {
		await closeResponse(response);
		return true;
	}

	let position = response.range.start;
	for await (const chunk of response.body) {
		const end = Math.min(position + chunk.length, range.end);
		const start = Math.max(position, range.start);
		if (end > start && !(await bytesMatch(file, start, chunk.subarray(start - position, end - position)))) {
			return false;
		}

		position += chunk.length;
		if (position >= range.end) {
			break;
		}
	}

	return true;
}

/** Closes the connection of an unneeded response. A body closes it only after its first read. */
export async function closeResponse({body}: OriginResponse): Promise<void> {
	for await (const bytes of body) {
		void bytes;
		break;
	}
}

/** Rejects with `origin-changed` if the bytes differ from the cached ones. */
export async function compareWithCached(file: SparseFile, offset: number, bytes: Uint8Array): Promise<void> {
	if (!(await bytesMatch(file, offset, bytes))) {
		throw originChanged(differingBytes);
	}
}

async function bytesMatch(file: SparseFile, offset: number, bytes: Uint8Array): Promise<boolean> {
	const cached = Buffer.allocUnsafeSlow(bytes.length);
	// Returns fewer bytes if damage has just become a hole, which is fetched again.
	const length = await file.read(offset, cached);
	return cached.subarray(0, length).equals(bytes.subarray(0, length));
}
