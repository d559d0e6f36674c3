// The requests of clients.

export type AddRequest = {
	/** `http:` or `https:`; user and password become an Authorization header for that origin. */
	url: string;
	/**
	 * The item that the URL was resolved from. After the URL expires, the engine's `resolveWith` command resolves the item
	 * to a new one.
	 */
	item?: string;
	headers?: Readonly<Record<string, string>>;
	userAgent?: string;
	/** Upstream proxy: `http:`, `https:`, `socks5:` or `socks5h:` URL; `direct` for none, whatever the settings say. */
	proxy?: string;
	/** File name, instead of the origin's. */
	name?: string;
	/** 1 to 16 connections. */
	connections?: number;
	/** Fetch only the bytes that players request. */
	onDemand?: boolean;
	/** Add without starting. */
	paused?: boolean;
	/** `md5:`, `sha1:`, `sha256:` or `sha512:` and hexadecimal digits. Checked on completion. */
	checksum?: string;
};

/**
 * Changes of a download; omitted fields stay as they are. A new URL must serve the same file: stored bytes are kept if the
 * size and samples of them match. New headers replace all given headers.
 */
export type DownloadChange = Partial<
	Pick<
		AddRequest,
		'url' | 'headers' | 'userAgent' | 'proxy' | 'name' | 'connections' | 'onDemand' | 'checksum'
	>
> & {
	/** The download's own limit in bytes per second; null for none. */
	limitRate?: number | null;
	/** Position at which the next player starts, in milliseconds. */
	positionMs?: number;
	/** A watched film starts from the beginning. */
	watched?: boolean;
};

/** For a linked player. At least one field is required. */
export type PlayerCommand = {
	/** Continue at this time, in milliseconds from the start. */
	seekMs?: number;
	/** True pauses, false resumes. */
	pause?: boolean;
};

export type ExportRequest = {
	/** A file, or a folder (existing, or with a trailing separator) for a file of the download's name. */
	path: string;
	/** Replace an existing file instead of rejecting with `target-exists`. */
	overwrite?: boolean;
	/** Choose a free name such as `film (2).mkv` instead of rejecting with `target-exists`. */
	keepBoth?: boolean;
	/** Leave an identical file in place and resolve with its path. `overwrite` and `keepBoth` apply to other files. */
	skipIdentical?: boolean;
	/** Move the file out of the store. It is served from its new path. */
	move?: boolean;
	/** `complete`: export on completion. `now`: reject an incomplete download with `incomplete`. */
	when?: 'now' | 'complete';
	/** With `now`: copy an incomplete download, with zeros for missing bytes. */
	partial?: boolean;
};

/** One place up (-1) or down (1), or to the front of the queue. */
export type QueueMove = -1 | 1 | 'front';

/** A stretch to make safe: a length in milliseconds or bytes; without either, everything up to the end. */
export type SafeRequest = {
	/**
	 * Where it begins. `player` is the position of the newest player, else the last position, else the start. The default is
	 * `player` for minutes and `start` for bytes.
	 */
	from?: 'player' | 'start';
	/** Milliseconds of the film. */
	fromMs?: number;
	/** Milliseconds of the film. */
	forMs?: number;
	bytes?: number;
	/** With `forMs`: the bytes to fetch from the start instead if the file has no timeline. */
	orBytes?: number;
	/** The deadline in milliseconds since the epoch. */
	by?: number;
	/** Change nothing; the result is the pledge that would be made, with the number 0. */
	dryRun?: boolean;
};
