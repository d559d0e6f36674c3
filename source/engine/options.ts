// Options of the engine. The host and the library extend them.

export type EngineOptions = {
	readonly storageDir: string;
	readonly userAgent?: string | undefined;
	/** Upstream proxy URL, or `direct`; without it the environment decides, as for curl. */
	readonly proxy?: string | undefined;
	/** For downloads that are added without headers of their own. */
	readonly headers?: Readonly<Record<string, string>> | undefined;
	/** Connections for each file, 1 to 16; 4 unless given. */
	readonly connections?: number;
	/** Downloads fetched in the background at the same time; 3 unless given. */
	readonly maxActive?: number;
	/** Bytes per second of all downloads together. */
	readonly limitRate?: number;
	/** Fetch only the bytes that players request, unless a download says otherwise. */
	readonly onDemand?: boolean;
	/** Bytes to keep ready ahead of a player, at most; 16 MiB unless given. */
	readonly readAhead?: number;
	/** The words of the command that resolves an item to a new link after its link has expired. */
	readonly resolveWith?: readonly string[] | undefined;
	/** Bytes in the storage folder beyond which complete downloads are evicted, least recently used first. */
	readonly cacheSize?: number;
	readonly tls?: {readonly ca?: string; readonly insecure?: boolean};
	/** Milliseconds for the first response of an origin, 30 s unless given; longer after each timeout. */
	readonly answerTimeout?: number;
};
