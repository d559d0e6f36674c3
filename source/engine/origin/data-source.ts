// The interface to an origin: anything that serves byte ranges of one file.
import {DownStreamError} from '../../downstream.ts';
import type {Validator} from '../store/record.ts';
import type {Range} from '../store/range-set.ts';

export type FileInfo = {
	/** A safe file name, from Content-Disposition or the URL. */
	readonly name: string;
	/** Media type without parameters, lower case; undefined if the origin gives none or a meaningless one. */
	readonly type: string | undefined;
	/** Bytes; Infinity while unknown. (Outside of data sources an unknown size is null.) */
	readonly size: number;
};

export type OriginResponse = {
	readonly info: FileInfo;
	/**
	 * The bytes of the body, as the response proves: from Content-Range of a 206, or `[0, size)` of a 200. `end` is Infinity
	 * for a body of unknown length. Empty, at or beyond the size, for a range that is not satisfiable.
	 */
	readonly range: Range;
	/** Identifies the version of the file; empty if the origin has no such name for it. */
	readonly validator: Validator;
	/** Origin and path of the bytes after redirects, without the query, which may be a signature. */
	readonly place?: string;
	/** False if a ranged request was answered with the whole file. */
	readonly acceptsRanges: boolean;
	/**
	 * A ranged request got the whole file, or failed for a possibly unrelated reason, and the origin lists `bytes` in
	 * Accept-Ranges: the next ranged request may work.
	 */
	readonly mayAcceptRanges?: boolean;
	/**
	 * The declared type is a web page (`text/html`, `application/xhtml+xml`), or JSON of less than 1 MiB: possibly a
	 * login page or an error message instead of the file.
	 */
	readonly isPage?: boolean;
	/**
	 * The bytes of `range`, in order, and never more. Each piece is valid until the next is requested. Throws
	 * `origin-truncated` if it ends early, `origin-unreachable` if the connection fails, or the reason of the request's
	 * signal. Leaving the loop closes the connection unless everything was read.
	 */
	readonly body: AsyncIterable<Uint8Array>;
	/**
	 * For a body of unknown length: true if its end proves that it is complete (chunked), false if it may be cut (ended
	 * by closing). Valid once the body was read. Unless true, the file is fetched a second time, and must end at the
	 * same byte.
	 */
	readonly endIsProven?: boolean;
};

export type OriginRequest = {
	/** Requested bytes; `end` may be Infinity. */
	readonly range: Range;
	/** False requests the whole file from 0 and ignores `range`: the origin refuses partial requests. */
	readonly ranged: boolean;
	/** True while nobody waits for the bytes, which may then come in large pieces. */
	readonly isBackground?: () => boolean;
	/** Milliseconds to wait for the response; the source's own time unless given. */
	readonly responseTimeout?: number;
	readonly signal: AbortSignal;
};

/** An origin: anything that serves byte ranges of one file. `downstream-tui/testing` checks an implementation. */
export interface DataSource {
	/** An absolute URL of any scheme, shown to the user. Downloads with the same URL are one download. No secrets in it. */
	readonly url: string;
	/**
	 * Called once for each connection, concurrently if a file is fetched by several. Rejects with a `DownStreamError`, whose
	 * code decides whether it is retried, or with the signal's reason once that aborts. A range that is not satisfiable is a
	 * response, not an error: an empty `range`, with the known `info.size`. The body may be left unread; the signal then
	 * aborts.
	 */
	open(request: OriginRequest): Promise<OriginResponse>;
	/** A hint: a request may follow soon, so a connection may be prepared. Must not throw. */
	preconnect?(): void;
	/** A hint: no request is expected, so idle connections may be closed. Must not throw. */
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
