// An origin as the engine knows it: something that answers for a range of bytes.
import type {Range} from './range-set.ts';

/** Names one version of the bytes: a strong ETag, else Last-Modified with the size (RFC 9110 section 8.8). */
export type Validator = {
	/** A strong ETag with its quotes, as it came; undefined when there is none or it is weak. */
	readonly etag?: string;
	/** The Last-Modified header as it came. */
	readonly lastModified?: string;
};

export type FileInfo = {
	/** A safe file name, from Content-Disposition or the URL. */
	readonly name: string;
	/** Content-Type without parameters, lower case; undefined when the origin says nothing useful. */
	readonly type: string | undefined;
	/** Bytes; Infinity while unknown. */
	readonly size: number;
};

export type OriginAnswer = {
	readonly info: FileInfo;
	/**
	 * The bytes that the body is, as the answer proves: from Content-Range of a 206, or `[0, size)` of a 200.
	 * `end` is Infinity for a body of unknown length.
	 */
	readonly range: Range;
	readonly validator: Validator;
	/** False when a ranged request was answered with the whole. */
	readonly acceptsRanges: boolean;
	/**
	 * The bytes of `range`, in order. Throws `origin-truncated` if it ends early, `origin-unreachable` if the
	 * connection fails; never yields more than `range` holds. Leaving the loop closes the connection unless
	 * everything was read.
	 */
	readonly body: AsyncIterable<Uint8Array>;
	/** Where the body has no length: whether its end is proven (chunked) or may be a cut (ended by closing). */
	readonly endIsProven: boolean;
};

export type OriginRequest = {
	/** Wanted bytes; `end` may be Infinity. */
	readonly range: Range;
	/** Whether to send a Range header at all; false for an origin that refuses every Range. */
	readonly ranged?: boolean;
	readonly signal: AbortSignal;
};

/**
 * An origin. `open` rejects with a `DownStreamError`, or with the signal's reason when aborted. Range not
 * satisfiable is an answer, not an error: an empty `range` and `info.size` from the Content-Range of a 416.
 */
export interface DataSource {
	/** What the user sees and what makes two downloads the same; no secrets in it. */
	readonly url: string;
	open(request: OriginRequest): Promise<OriginAnswer>;
	dispose(): Promise<void>;
}
