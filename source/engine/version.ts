// Whether an answer is of the version of the file that is held: a mixture of two must never come about.
import {DownStreamError} from '../downstream.ts';
import type {DataSource, OriginAnswer, Validator} from './data-source.ts';
import type {SparseFile} from './sparse-file.ts';

/** How much is compared at each end of what is held, where no strong ETag names its version. */
const sampleSize = 4096;

export type HeldVersion = {
	/** Bytes; Infinity while unknown. */
	readonly size: number;
	readonly validator: Validator;
};

/**
 * In words, how the answer's version differs from the held one; undefined if it does not. Strong ETags decide; where
 * one of the two has none, Last-Modified with the size does (RFC 9110 section 8.8).
 */
export function versionChange(held: HeldVersion, {info, validator}: OriginAnswer): string | undefined {
	if (held.size !== Infinity && info.size !== Infinity && info.size !== held.size) {
		return `it had ${held.size} bytes and has ${info.size} now`;
	}

	const {etag, lastModified} = held.validator;
	if (etag !== undefined && validator.etag !== undefined) {
		return etag === validator.etag ? undefined : `its ETag was ${etag} and is ${validator.etag} now`;
	}

	if (
		lastModified !== undefined &&
		validator.lastModified !== undefined &&
		lastModified !== validator.lastModified
	) {
		return `its date was ${lastModified} and is ${validator.lastModified} now`;
	}

	return undefined;
}

export function originChanged(change: string): DownStreamError {
	return new DownStreamError(
		'origin-changed',
		`The file changed on the server (${change}); what is here is kept`,
	);
}

/**
 * Fetches held bytes again and compares them. Resolves with what the origin says of itself; rejects with
 * `origin-changed`, or what the origin rejects with.
 */
export async function proveSamples(
	file: SparseFile,
	source: DataSource,
	held: HeldVersion,
	signal: AbortSignal,
): Promise<OriginAnswer | undefined> {
	const runs = [...file.present];
	const first = runs[0];
	const last = runs.at(-1);
	if (!first || !last) {
		return undefined;
	}

	let answer: OriginAnswer | undefined;

	for (const range of [
		{start: first.start, end: Math.min(first.end, first.start + sampleSize)},
		{start: Math.max(last.start, last.end - sampleSize), end: last.end},
	]) {
		answer = await source.open({range, signal});
		const change = versionChange(held, answer);
		if (change !== undefined) {
			throw originChanged(change);
		}

		let position = answer.range.start;
		for await (const chunk of answer.body) {
			const end = Math.min(position + chunk.length, range.end);
			if (end > range.start) {
				const start = Math.max(position, range.start);
				await compareWithHeld(file, start, chunk.subarray(start - position, end - position));
			}

			position += chunk.length;
			if (position >= range.end) {
				break;
			}
		}
	}

	return answer;
}

/** Rejects with `origin-changed` if bytes that came again differ from the held ones. */
export async function compareWithHeld(file: SparseFile, offset: number, bytes: Uint8Array): Promise<void> {
	const held = Buffer.allocUnsafeSlow(bytes.length);
	const length = await file.read(offset, held);
	if (length < bytes.length || !held.equals(bytes)) {
		throw originChanged('its bytes differ from those that are here');
	}
}
