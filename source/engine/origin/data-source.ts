// An origin as the engine knows it: something that answers for a range of bytes.
import {DownStreamError} from '../../downstream.ts';
import type {Validator} from '../store/record.ts';
import type {Range} from '../store/range-set.ts';

export type FileInfo = {
	/** A safe file name, from Content-Disposition or the URL. */
	readonly name: string;
	/** Content-Type without parameters, lower case; undefined when the origin says nothing useful. */
	readonly type: string | undefined;
	/** Bytes; Infinity while unknown. */
	readonly size: number;
};

export type OriginResponse = {
	readonly info: FileInfo;
	/**
	 * The bytes that the body is, as the answer proves: from Content-Range of a 206, or `[0, size)` of a 200.
	 * `end` is Infinity for a body of unknown length.
	 */
	readonly range: Range;
	readonly validator: Validator;
	/** Origin and path of the bytes after redirects, without the query, which may be a signature. */
	readonly place?: string;
	/** False when a ranged request was answered with the whole. */
	readonly acceptsRanges: boolean;
	/**
	 * A ranged request got the whole file, or failed for a reason that may be another, and the origin lists `bytes` in
	 * Accept-Ranges: the next ranged request may work.
	 */
	readonly mayAcceptRanges?: boolean;
	/**
	 * The declared type is that of a web page (`text/html`, `application/xhtml+xml`), or of JSON with less than 1 MiB: it
	 * may be a login page or a message in place of the file.
	 */
	readonly isPage?: boolean;
	/**
	 * The bytes of `range`, in order; each piece is good until the next is asked for, and as long as somebody else
	 * holds its block (`blocks.ts`). Throws `origin-truncated` if it ends early, `origin-unreachable` if the
	 * connection fails; never yields more than `range` holds. Leaving the loop closes the connection unless
	 * everything was read.
	 */
	readonly body: AsyncIterable<Uint8Array>;
	/**
	 * Where the body has no length: whether its end is proven (chunked) or may be a cut (ended by closing). Ask once the
	 * body was read.
	 */
	readonly endIsProven: boolean;
};

export type OriginRequest = {
	/** Wanted bytes; `end` may be Infinity. */
	readonly range: Range;
	/** Whether to send a Range header at all; false for an origin that refuses every Range. */
	readonly ranged?: boolean;
	/** Whether nobody waits for the bytes now: they may come in large pieces then. */
	readonly isBackground?: () => boolean;
	/** Milliseconds to wait for the answer; the source's own time unless given. */
	readonly answerTimeout?: number;
	readonly signal: AbortSignal;
};

/** An origin: whatever can answer for a range of bytes of one file. */
export interface DataSource {
	/** An absolute URL of any scheme: what the user sees and what makes two downloads the same; no secrets in it. */
	readonly url: string;
	/**
	 * Asked once for each connection, several times at once where the file is fetched by several. Rejects with a
	 * `DownStreamError`, whose code says whether it is tried again, or with the signal's reason when aborted. Range not
	 * satisfiable is an answer, not an error: an empty `range` with the `info.size` that is known. The body may be left
	 * unread; the signal is then aborted.
	 */
	open(request: OriginRequest): Promise<OriginResponse>;
	/** A request may follow soon: what can be done for it beforehand is done. */
	preconnect?(): void;
	/** No request is to be expected: connections that serve none are closed. */
	closeIdle?(): void;
	/** Called when nothing more is asked of it. */
	dispose(): Promise<void>;
}

/** Stands for a program's own source until the program gives it again. */
export class MissingDataSource implements DataSource {
	readonly url: string;

	constructor(url: string) {
		this.url = url;
	}

	async open(): Promise<never> {
		throw new DownStreamError(
			'not-found',
			'A data source of another program fetches this download; it goes on when that program adds it again',
		);
	}

	async dispose(): Promise<void> {}
}
