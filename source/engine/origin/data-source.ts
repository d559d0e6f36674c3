// The interface to an origin: anything that serves byte ranges of one file.
import {DownStreamError} from '../../downstream.ts';
import type {Validator} from '../store/record.ts';
import type {Range} from '../store/range-set.ts';

export type FileInfo = {
	/** A safe file name, from Content-Disposition or the URL. */
	readonly name: string;
	/** Media type (RFC 9110 section 8.3.1) in lower case without parameters; undefined if missing or meaningless. */
	readonly type: string | undefined;
	/** Bytes; Infinity while unknown. (Outside of data sources an unknown size is null.) */
	readonly size: number;
};

export type OriginResponse = {
	readonly info: FileInfo;
	/**
	 * The range of the body: Content-Range of a 206 (RFC 9110 section 14.4), or `[0, size)` of a 200. `end` is Infinity for
	 * a body of unknown length. Empty, at or beyond the size, for an unsatisfiable range.
	 */
	readonly range: Range;
	/** Identifies the version of the file (RFC 9110 section 8.8); empty if the origin sends none. */
	readonly validator: Validator;
	/** Origin and path of the bytes after redirects, without the query, which may be a signature. */
	readonly place?: string;
	/** False if the response to a ranged request is the whole file. */
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
	 * For a body of unknown length: true if its end proves completeness (chunked coding), false if it may be truncated
	 * (ended by closing, RFC 9112 section 6.3). Valid after the body was read. Unless true, the file is fetched a second
	 * time, and must end at the same byte.
	 */
	readonly endIsProven?: boolean;
};

export type OriginRequest = {
	/** Requested bytes; `end` may be Infinity. */
	readonly range: Range;
	/** False requests the whole file from 0 and ignores `range`: the origin refuses partial requests. */
	readonly ranged: boolean;
	/** True while no reader waits for the bytes, which may then arrive in large pieces. */
	readonly isBackground?: () => boolean;
	/** Called once a connection is ready for the request, where the source has connections. */
	readonly connected?: (() => void) | undefined;
	/** Milliseconds to wait for the response; the default is the source's own. */
	readonly responseTimeout?: number;
	readonly signal: AbortSignal;
};

/** An origin: anything that serves byte ranges of one file. `downstream-tui/testing` checks an implementation. */
export interface DataSource {
	/** An absolute URL of any scheme, without secrets: shown to users, and the identity of the download. */
	readonly url: string;
	/**
	 * Called once for each connection, concurrently if a file is fetched by several. Rejects with a `DownStreamError`, whose
	 * code decides about a retry, or with the signal's reason after an abort. An unsatisfiable range (RFC 9110 section
	 * 15.5.17) is a response, not an error: an empty `range`, with the known `info.size`. The body may be left unread; the
	 * signal then aborts.
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
