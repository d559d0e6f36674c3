// Whether an answer is of the version of the file that is held: a mixture of two must never come about.
import type {OriginAnswer, Validator} from './data-source.ts';

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
