// The one interface between the engine and everything else: commands, and one immutable snapshot.
// Types, and what follows from an error.

/** Unguessable name of a download: 128 random bits as 32 hexadecimal digits. */
export type DownloadId = string;

/**
 * What a download is doing, derived from facts:
 * - `asking`: the first answer of the origin (name, size) is not there yet, or a new link after one that has expired
 * - `active`: a connection fetches bytes of it, or the last of them are being recorded
 * - `waiting`: a try failed and the next one is scheduled (`retryAt`); it goes on by itself
 * - `queued`: it will be fetched when one of `maxActive` places or a connection to its server (`hostCeiling`) is free, or
 *   (on demand) when a player asks
 * - `paused`: the user stopped the fill; players still get what they ask for
 * - `cancelled`: the user stopped everything, players too; what is on the disk is kept
 * - `exporting`: it is being copied out
 * - `checking`: what is on the disk is read again and compared with its checksums
 * - `complete`: every byte is on the disk
 * - `failed`: the last error is one that time does not mend (`error`); a player's request or `resume` tries again
 */
export type DownloadStatus =
	| 'asking'
	| 'active'
	| 'waiting'
	| 'queued'
	| 'paused'
	| 'cancelled'
	| 'exporting'
	| 'checking'
	| 'complete'
	| 'failed';

type WithStatus = {readonly status: DownloadStatus};

/** Ended: only a command or a player's request changes the status. */
export function isSettled({status}: WithStatus): boolean {
	return status === 'complete' || status === 'failed' || status === 'cancelled';
}

/** Incomplete, and no request is sent before a command or a player asks. */
export function isStopped({status}: WithStatus): boolean {
	return status === 'paused' || status === 'failed' || status === 'cancelled';
}

/** Requests are in flight or scheduled. */
export function isFetching({status}: WithStatus): boolean {
	return status === 'active' || status === 'asking' || status === 'waiting';
}

/** Fetching, or working on the stored bytes. */
export function isRunning(download: WithStatus): boolean {
	return isFetching(download) || download.status === 'exporting' || download.status === 'checking';
}

/** One program that reads the stream of a download. It is listed until 10 s after its last request. */
export type Player = {
	readonly id: string;
	/** From the User-Agent, such as `mpv 0.38`, or the address. Comes from outside: clean before showing. */
	readonly name: string;
	/** The byte it reads next (a place in the file, not a time in the film). */
	readonly offset: number;
	/** Bytes on the disk right after `offset`, without a hole. */
	readonly ready: number;
	/** It waits for bytes that are not there yet. */
	readonly blocked: boolean;
	/** It has a request open. */
	readonly connected: boolean;
};

/** One connection to the origin and what it fetches: bytes `[offset, end)` are still to come. */
export type OpenSegment = {
	readonly start: number;
	readonly offset: number;
	/** Exclusive; `null` while the size is unknown. */
	readonly end: number | null;
	readonly for: 'player' | 'fill';
};

export type DownloadError = {
	readonly code: ErrorCode;
	/** One plain sentence without secrets. */
	readonly message: string;
	/** Milliseconds since the epoch. */
	readonly at: number;
	/** The number of failed tries in a row. */
	readonly tries?: number | undefined;
	/** How many there were to be, in records of earlier versions. */
	readonly maxTries?: number;
	/** Of `origin-changed`: samples of what is held are the same on the server; `acceptChange` may go on. */
	readonly bytesAgree?: boolean;
	/** The status of the origin's or upstream proxy's answer, where there was one. */
	readonly status?: number;
};

/** One download as everybody outside the engine sees it; also, as JSON, what the control API answers. */
export type Download = {
	readonly id: DownloadId;
	/** The URL that was given, without user and password. May hold tokens: mask before showing. */
	readonly url: string;
	/** What the URL was resolved from, such as the page of a film; null if the URL itself was given. */
	readonly item: string | null;
	/** `http://127.0.0.1:PORT/stream/ID/NAME` */
	readonly streamUrl: string;
	/** A safe file name. */
	readonly name: string;
	/** Bytes; null while unknown. */
	readonly size: number | null;
	/** MIME type; `application/octet-stream` while unknown. */
	readonly type: string;
	readonly status: DownloadStatus;
	/** Bytes on the disk. */
	readonly present: number;
	/** What is on the disk, half-open `[start, end)`, sorted, merged. */
	readonly ranges: ReadonlyArray<readonly [start: number, end: number]>;
	/** From bytes written, average of 3 s. */
	readonly bytesPerSecond: number;
	/** Average of 20 s, for the time that is left. */
	readonly bytesPerSecondLong: number;
	/** How many connections to the origin are open. */
	readonly connections: number;
	/** How many there may be. */
	readonly maxConnections: number;
	/** How many connections the server takes at a time, where the download is queued for one of them; else null. */
	readonly hostCeiling: number | null;
	readonly segments: readonly OpenSegment[];
	readonly players: readonly Player[];
	/** The error that stands in the way now (`failed`, `waiting`, or a fill that was refused). */
	readonly error: DownloadError | null;
	/** The last error, also when it is over. */
	readonly lastError: DownloadError | null;
	/** When the next try is due, in milliseconds since the epoch. */
	readonly retryAt: number | null;
	/** When bytes were written last, in milliseconds since the epoch. */
	readonly lastByteAt: number | null;
	readonly addedAt: number;
	readonly completedAt: number | null;
	/** Null until the first answer. */
	readonly acceptsRanges: boolean | null;
	/** The ETag or Last-Modified that names the version of the bytes held. */
	readonly validator: string | null;
	/** The server's validator does not keep its value: bytes are compared instead. */
	readonly hasUnstableValidator: boolean;
	/** A web page came although the name is that of another kind of file. */
	readonly isPageForFile: boolean;
	readonly onDemand: boolean;
	/** The order in which downloads get the places of the queue: smaller first, never the same twice. */
	readonly queueRank: number;
	/** Bytes per second at most, for this one alone; null for no limit of its own. */
	readonly limitRate: number | null;
	/** What the whole file must have, such as `sha256:…`; null if nobody said. */
	readonly checksum: string | null;
	/** Fraction 0 to 1 of a running check. */
	readonly checkProgress: number | null;
	/** Fraction 0 to 1 of a running export. */
	readonly exportProgress: number | null;
	/** Where it was exported to last. */
	readonly exportedTo: string | null;
	/** Where it will be exported to once it is complete. */
	readonly exportWhenComplete: string | null;
	/** The folder that holds the data. */
	readonly folder: string;
};

export type Snapshot = {
	/** Grows by one with each snapshot that differs. */
	readonly version: number;
	/** In the order they were added. Unchanged downloads keep their identity from one snapshot to the next. */
	readonly downloads: readonly Download[];
	readonly bytesPerSecond: number;
	/** Bytes per second of all downloads together at most; null for no limit. */
	readonly limitRate: number | null;
	/** Bytes free for us on the disk that holds the data; null where the platform does not tell. */
	readonly freeBytes: number | null;
	/** `http://127.0.0.1:PORT` */
	readonly origin: string;
	/** Plain sentences on what concerns everything (port taken, disk full, …). */
	readonly banners: readonly string[];
};

export type AddRequest = {
	/** `http:` or `https:`; user and password become an Authorization header for that origin. */
	url: string;
	/**
	 * What the URL was resolved from. When the URL has expired, the command that the engine was started with
	 * (`--resolve-with`) is asked for a new one.
	 */
	item?: string;
	headers?: Readonly<Record<string, string>>;
	userAgent?: string;
	/** Upstream proxy: `http:`, `https:`, `socks5:` or `socks5h:` URL; `direct` for none whatever the settings say. */
	proxy?: string;
	/** The name to save as, instead of the one that the origin says. */
	name?: string;
	/** 1 to 16 connections. */
	connections?: number;
	/** Fetch only what players ask for. */
	onDemand?: boolean;
	/** Add it without starting. */
	paused?: boolean;
	/** `md5:`, `sha1:`, `sha256:` or `sha512:` and hexadecimal digits: checked when every byte is there. */
	checksum?: string;
};

/**
 * What can be changed of a download that is there; what is left out stays. A new URL is another place of the same file:
 * held bytes are kept if its size and samples of them fit. New headers take the place of those that were given.
 */
export type DownloadChange = Partial<
	Pick<
		AddRequest,
		'url' | 'headers' | 'userAgent' | 'proxy' | 'name' | 'connections' | 'onDemand' | 'checksum'
	>
> & {
	/** Bytes per second for this one alone; null for no limit of its own. */
	limitRate?: number | null;
};

export type ExportRequest = {
	/** A file, or a folder (existing, or ending in a separator) to which the download's name is added. */
	path: string;
	/** Replace a file that is there; without it: `target-exists`. */
	overwrite?: boolean;
	/** When the file is there: find a free name such as `film (2).mkv` instead of `target-exists`. */
	keepBoth?: boolean;
	/** Leave a file with the same bytes as it is, and resolve with its path; `overwrite` and `keepBoth` are for others. */
	skipIdentical?: boolean;
	/** The store gives the file away and serves it from its new place. */
	move?: boolean;
	/** `complete`: do it once every byte is there; otherwise an incomplete download is `incomplete`. */
	when?: 'now' | 'complete';
	/** With `now`: an incomplete one is copied as far as it is, with zeros where bytes are missing. */
	partial?: boolean;
};

/**
 * The verbs, by ids; programs have them by URLs, from the class of the same name in `library.ts`. Each rejects with a
 * `DownStreamError`, whose kind is `usage` where the caller is at fault: `not-found` for an id that is not there, and
 * what is said at each verb.
 */
export interface DownloadEngine {
	/** The newest snapshot; the same object until something has changed. */
	readonly snapshot: Snapshot;
	/** Calls back at most 10 times a second while snapshots change. Returns the function that ends it. */
	subscribe(listener: () => void): () => void;
	/** `bad-request` names what is wrong. Known URL and headers: the download that is there (`existed`), which goes on or tries again. */
	add(request: AddRequest): Promise<{download: Download; existed: boolean}>;
	/** Stops the fill; connected players still get what they ask for. */
	pause(id: DownloadId): Promise<void>;
	/** Goes on, or tries again at once; ends `failed`, `paused` and `cancelled`. */
	resume(id: DownloadId): Promise<void>;
	/** Stops everything and ends the players; what is on the disk stays. */
	cancel(id: DownloadId): Promise<void>;
	/**
	 * Takes it off the list. `keep`: the bytes stay and adding the same URL again goes on from them.
	 * `delete`: the bytes are deleted after `undoMs` (10 s unless given), until then `restore` brings all back.
	 */
	remove(id: DownloadId, options: {data: 'keep' | 'delete'; undoMs?: number}): Promise<void>;
	/** Brings a removed download back; `not-found` when it is too late. */
	restore(id: DownloadId): Promise<void>;
	/** `bad-request` names what is wrong; a new URL whose file differs is `origin-changed` and changes nothing. */
	update(id: DownloadId, change: DownloadChange): Promise<Download>;
	/**
	 * After `origin-changed`: goes on with what is held, as it is the file of now. `origin-changed` unless 32 samples of
	 * 4 KiB and both ends of the held bytes agree with the server.
	 */
	acceptChange(id: DownloadId): Promise<void>;
	/**
	 * After `origin-changed`: fetches the new version from the start. The bytes of the old one are dropped, or with
	 * `keepOld` stay where they are and the new version becomes a download of its own, which is the one returned.
	 */
	startOver(id: DownloadId, options?: {keepOld?: boolean}): Promise<Download>;
	/**
	 * Reads what is on the disk and compares it with the recorded checksums of its blocks, and a complete file with
	 * the checksum that was given. Damaged blocks become holes, and are fetched again if the download is running.
	 * Resolves with them, half-open.
	 */
	verify(id: DownloadId): Promise<{damaged: ReadonlyArray<readonly [start: number, end: number]>}>;
	/** One place up (-1) or down (1) in the queue. */
	moveInQueue(id: DownloadId, by: -1 | 1): Promise<void>;
	/** Bytes per second of all downloads together, until the program ends; null for no limit. */
	setLimitRate(bytesPerSecond: number | null): Promise<void>;
	/** Resolves with the path written, or for `when: 'complete'` of an incomplete one with the path to come. */
	export(id: DownloadId, request: ExportRequest): Promise<{path: string}>;
	/** Closes connections, saves ranges, frees the port and the storage folder. */
	dispose(): Promise<void>;
}

/** What goes wrong and what happens next follows from the kind. */
export const errorKinds = {
	'origin-unreachable': 'transient',
	'origin-busy': 'transient',
	'origin-truncated': 'transient',
	'upstream-proxy-unreachable': 'transient',
	'origin-refused': 'fatal',
	'origin-sent-page': 'fatal',
	'origin-changed': 'fatal',
	'origin-misbehaved': 'fatal',
	'upstream-proxy-refused': 'fatal',
	'disk-full': 'fatal',
	'disk-failed': 'fatal',
	'checksum-mismatch': 'fatal',
	'bad-request': 'usage',
	'not-found': 'usage',
	incomplete: 'usage',
	'target-exists': 'usage',
	'storage-locked': 'usage',
	'port-taken': 'usage',
} as const;

export type ErrorCode = keyof typeof errorKinds;
export type ErrorKind = (typeof errorKinds)[ErrorCode];

/**
 * Whether a new link may help: the server refuses this one as it refuses links that were good for a while (401, 403, 404
 * or 410), or sends a login page in place of the file.
 */
export function hasExpired({code, status = 0}: Pick<DownloadError, 'code' | 'status'>): boolean {
	return code === 'origin-sent-page' || (code === 'origin-refused' && [401, 403, 404, 410].includes(status));
}

/** The only error that leaves the engine. The message is one plain sentence without secrets. */
export class DownStreamError extends Error {
	override readonly name = 'DownStreamError';
	readonly code: ErrorCode;
	/** The status of the origin's or upstream proxy's answer, where there was one. */
	readonly status: number | undefined;
	/** For `origin-busy`: not before so many milliseconds from now (RFC 9110 section 10.2.3). */
	readonly retryAfterMs: number | undefined;
	/** For `origin-changed`: samples of what is held are the same on the server. */
	readonly bytesAgree: boolean;

	constructor(
		code: ErrorCode,
		message: string,
		options: {cause?: unknown; status?: number; retryAfterMs?: number; bytesAgree?: boolean} = {},
	) {
		super(message, options.cause === undefined ? undefined : {cause: options.cause});
		this.code = code;
		this.status = options.status;
		this.retryAfterMs = options.retryAfterMs;
		this.bytesAgree = options.bytesAgree ?? false;
	}

	get kind(): ErrorKind {
		return errorKinds[this.code];
	}
}
