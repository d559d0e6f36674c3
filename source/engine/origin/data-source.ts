// The interface between the engine and an origin: a source of byte ranges of one file.
import {DownStreamError} from '../../downstream.ts';
import type {Validator} from '../store/record.ts';
import type {Range} from '../store/range-set.ts';

export type FileInfo = {
	/** A safe file name, from Content-Disposition or the URL. */
	readonly name: string;
	/** Content-Type without parameters, in lower case; undefined if the origin's type is uninformative. */
	readonly type: string | undefined;
	/** Bytes; Infinity while unknown. */
	readonly size: number;
};

export type OriginResponse = {
	readonly info: FileInfo;
	/**
	 * The range of the body as the response proves it: from the Content-Range of a 206, or `[0, size)` for a 200. `end`
	 * is Infinity for a body of unknown length.
	 */
	readonly range: Range;
	readonly validator: Validator;
	/** Origin and path of the bytes after redirects, without the query, which may be a signature. */
	readonly place?: string;
	/** False if the origin responded to a ranged request with the whole file. */
	readonly acceptsRanges: boolean;
	/**
	 * A ranged request got the whole file, or failed for a reason that may be another, and the origin lists `bytes` in
	 * Accept-Ranges: the next ranged request may work.
	 */
	readonly mayAcceptRanges?: boolean;
	/**
	 * The declared type is a web page (`text/html`, `application/xhtml+xml`), or JSON of less than 1 MiB: possibly a
	 * login page or an error message instead of the file.
	 */
	readonly isPage?: boolean;
	/**
	 * The bytes of `range`, in order. A piece stays valid until the next one is read, and while another holder retains
	 * its block (`buffers.ts`). Throws `origin-truncated` if the body ends early, `origin-unreachable` if the
	 * connection fails; never yields more than `range`. Leaving the loop closes the connection unless everything was
	 * read.
	 */
	readonly body: AsyncIterable<Uint8Array>;
	/**
	 * For a body without length: true if its end is proven (chunked), false if it may be truncated (delimited by
	 * close). Valid only after the body was read.
	 */
	readonly endIsProven: boolean;
};

export type OriginRequest = {
	/** Requested bytes; `end` may be Infinity. */
	readonly range: Range;
	/** Whether to send a Range header; false for an origin that rejects every Range. */
	readonly ranged?: boolean;
	/** Returns true while no reader waits for the bytes, which may then arrive in larger pieces. */
	readonly isBackground?: () => boolean;
	/** Milliseconds to wait for the response; defaults to the source's own timeout. */
	readonly responseTimeout?: number;
	readonly signal: AbortSignal;
};

/** An origin: anything that can serve byte ranges of one file. */
export interface DataSource {
	/** An absolute URL of any scheme, which is displayed and identifies the download. Contains no secrets. */
	readonly url: string;
	/**
	 * Called once per connection, also concurrently. Rejects with a `DownStreamError`, whose code decides whether to
	 * retry, or with the signal's reason on abort. An unsatisfiable range is a response, not an error: an empty `range`
	 * with the known `info.size`. The body may be left unread; the signal is then aborted.
	 */
	open(request: OriginRequest): Promise<OriginResponse>;
	/** Prepares for a request that is likely to follow. */
	preconnect?(): void;
	/** Closes idle connections, because no request is expected. */
	closeIdle?(): void;
	/** Called after the last request. */
	dispose(): Promise<void>;
}

/** Stands in for a program's own source until the program adds it again. */
export class MissingDataSource implements DataSource {
	readonly url: string;

	constructor(url: string) {
		this.url = url;
	}

	async open(): Promise<never> {
		throw new DownStreamError(
			'not-found',
			'This download uses the data source of another program; it continues when that program adds it again',
		);
	}

	async dispose(): Promise<void> {}
}
