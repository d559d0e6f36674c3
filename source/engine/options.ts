// The options of the engine. Its host and the library extend them.
import type {Fill} from './queue.ts';

export type EngineOptions = {
	/** The folder of bytes and records. One process at a time uses it. */
	readonly storageDir: string;
	readonly userAgent?: string | undefined;
	/**
	 * Upstream proxy URL, or `direct` for none; unless given, HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY decide, as for
	 * curl.
	 */
	readonly proxy?: string | undefined;
	/** Sent to the origins of downloads that have no headers of their own. */
	readonly headers?: Readonly<Record<string, string>> | undefined;
	/** Connections for each file, 1 to 16; 4 unless given. */
	readonly connections?: number;
	/** Downloads fetched in the background at the same time; 3 unless given. */
	readonly maxActive?: number;
	/** Bytes per second of all downloads together, at least 1024; no limit unless given. */
	readonly limitRate?: number;
	/** Fetch only the bytes that players request, unless a download says otherwise. */
	readonly onDemand?: boolean;
	/** Bytes to keep ready ahead of a player, at least 64 KiB; 16 MiB unless given. */
	readonly readAhead?: number;
	/** Instead, milliseconds of a film to keep ready, at least 5 s, once its index is known. */
	readonly readAheadMs?: number | undefined;
	/** Read the index of films, to tell which minutes can be watched; true unless given. */
	readonly film?: boolean;
	/** Milliseconds of each film to keep present ahead of its player, before any background; none unless given. */
	readonly keepAhead?: number;
	/** Milliseconds of the next film to fetch once a player is within 5 minutes of the end of one; none unless given. */
	readonly next?: number;
	/**
	 * Bytes in the storage folder beyond which complete downloads are evicted, least recently used first; no limit unless
	 * given.
	 */
	readonly cacheSize?: number;
	/** Certificates in PEM to trust besides the built-in ones. */
	readonly ca?: string | undefined;
	/** Trust any certificate. */
	readonly insecure?: boolean;
	/** The words of the command that resolves an item to a new link after its link has expired. */
	readonly resolveWith?: readonly string[] | undefined;
	/** Milliseconds for the first response of an origin, 30 s unless given; longer after each timeout. */
	readonly responseTimeout?: number;
	/**
	 * The downloads to fetch in the background: the ones added or resumed since the engine opened, alone (`requested`) or
	 * before the others (`requested-first`), or all alike (`all`, the default).
	 */
	readonly fill?: Fill | undefined;
};
