// The types of the library's options and results.
import type {Download, DownloadStatus} from '../downstream.ts';
import type {EngineOptions} from '../engine/options.ts';

/** An upstream proxy. With `socks5h` it resolves host names. */
export type ProxyConfig = {
	readonly type: 'http' | 'https' | 'socks5' | 'socks5h';
	/** Name or address. */
	readonly host: string;
	readonly port: number;
	readonly username?: string;
	readonly password?: string;
};

/** The options of the engine and its proxy. */
export type DownStreamOptions = Partial<
	Omit<EngineOptions, 'proxy' | 'resolveWith' | 'responseTimeout' | 'fill'>
> & {
	/** Port on 127.0.0.1. A given port must be free; 0 selects any. Default: 8080, or the next free port. */
	readonly port?: number;
	/** `direct` for none. Default: from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as in curl. */
	readonly proxyConfig?: ProxyConfig | 'direct';
	/** Origins of web pages that may play streams, such as `https://player.example`. */
	readonly allowOrigins?: readonly string[];
};

export type WaitOptions = {
	/** Ends the wait. The call rejects with the signal's reason, and an iteration throws it. */
	readonly signal?: AbortSignal;
};

export type CacheOptions = WaitOptions & {
	/** File name, instead of the origin's. */
	readonly name?: string;
	/** `md5:`, `sha1:`, `sha256:` or `sha512:` and hexadecimal digits. Checked on completion. */
	readonly checksum?: string;
	/** Fetch only the bytes that players request. */
	readonly onDemand?: boolean;
	/** Add without starting. */
	readonly paused?: boolean;
	/** 1 to 16 connections. */
	readonly connections?: number;
	/** Sent only to the origin of the URL, instead of the `headers` of `init`. Different headers make a different download. */
	readonly headers?: Readonly<Record<string, string>>;
	readonly userAgent?: string;
	/** Upstream proxy, as an object or a URL such as `socks5h://proxy.example:1080`; `direct` for none. */
	readonly proxy?: ProxyConfig | string;
};

/** The options of a download. */
export type AddOptions = Omit<CacheOptions, 'signal'>;

/** A stretch; without `for` and `bytes`, everything up to the end. */
export type SafeOptions = WaitOptions & {
	/**
	 * Where it begins: the newest player (the start without one), the start, or milliseconds of the film. The default is
	 * `player` for minutes and `start` for bytes.
	 */
	readonly from?: 'player' | 'start' | number;
	/** Milliseconds of the film. */
	readonly for?: number;
	readonly bytes?: number;
	/** The deadline: a date, or milliseconds since the epoch. */
	readonly by?: Date | number;
};

export type TargetOptions = WaitOptions & {
	/** Replace an existing file. */
	readonly overwrite?: boolean;
	/** If the file exists, choose a free name such as `film (2).mkv`. */
	readonly keepBoth?: boolean;
};

export type FileStats = {
	/** A safe name, from Content-Disposition or the URL. */
	readonly fileName: string;
	/** Bytes; null while unknown. */
	readonly totalSize: number | null;
	readonly mimeType: string;
};

export type DownloadProgress = {
	/** The URL given to `cache`, without user and password. */
	readonly url: string;
	readonly localUrl: string;
	readonly status: DownloadStatus;
	/** 0 to 100: 100 if and only if every byte is stored, 0 while the size is unknown. */
	readonly progress: number;
	/** Stored bytes. */
	readonly receivedBytes: number;
	/** Null while unknown. */
	readonly totalBytes: number | null;
	/** Averaged over 3 s. */
	readonly bytesPerSecond: number;
};

/** A player of a download, and its position. */
export type PlayersState = Pick<Download, 'players' | 'playback' | 'position'>;
