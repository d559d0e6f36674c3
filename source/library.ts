// The library: one engine with its proxy. Downloads are named by URL instead of id.
import {isDeepStrictEqual} from 'node:util';
import {defaults, defaultStorageDir} from './defaults.ts';
import {
	DownStreamError,
	isFetching,
	type Download,
	type DownloadStatus,
	type Snapshot,
} from './downstream.ts';
import {checkedHeaders} from './engine/http/headers.ts';
import {HttpDataSource, withoutCredentials} from './engine/origin/http-source.ts';
import type {DataSource} from './engine/origin/data-source.ts';
import type {Engine} from './engine/engine.ts';
import type {EngineOptions} from './engine/options.ts';
import {parseProxy} from './engine/http/proxy-settings.ts';
import {maskUrl} from './text/mask-url.ts';
import {start, type EngineHost, type HostSettings} from './host/engine-host.ts';
import {checkOption, checkOptions, engineOptions, exportRequest, optional} from './schema.ts';
import {snapshotsOf} from './wait.ts';

/** An upstream proxy. With `socks5h` it resolves host names. */
export type ProxyConfig = {
	readonly type: 'http' | 'https' | 'socks5' | 'socks5h';
	/** Name or address. */
	readonly host: string;
	readonly port: number;
	readonly username?: string;
	readonly password?: string;
};

/** The options of the engine, and those of its proxy. */
export type DownStreamOptions = Partial<Omit<EngineOptions, 'proxy' | 'resolveWith' | 'responseTimeout'>> & {
	/** A port of 127.0.0.1. A given one must be free; 0 takes any. Without it 8080, or the next free one. */
	readonly port?: number;
	/** `direct` for none; without it HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY decide, as for curl. */
	readonly proxyConfig?: ProxyConfig | 'direct';
	/** Origins of web pages that may play streams, such as `https://player.example`. */
	readonly allowOrigins?: readonly string[];
};

export type CacheOptions = {
	/** File name, instead of the origin's. */
	readonly name?: string;
	/** `md5:`, `sha1:`, `sha256:` or `sha512:` and hexadecimal digits. Checked on completion. */
	readonly checksum?: string;
	/** Fetch only the bytes that players request. */
	readonly onDemand?: boolean;
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

export type TargetOptions = {
	/** Replace an existing file. */
	readonly overwrite?: boolean;
	/** If the file exists, choose a free name such as `film (2).mkv`. */
	readonly keepBoth?: boolean;
};

/**
 * Downloads that can be played while they download. A `url` parameter takes the URL given to `cache` (or the URL of the
 * given data source), or the local URL that `cache` resolved with. The local URL is unique, even if one URL was added with
 * several sets of headers. Methods reject with a `DownStreamError`: `not-found` for an unknown URL, and the codes named at
 * each of them.
 */
export class DownStream {
	static #instance: DownStream | undefined;
	static #isOpening = false;
	readonly #host: EngineHost;
	readonly #ending = new AbortController();
	#disposed: Promise<void> | undefined;

	/**
	 * Opens the storage folder, listens on 127.0.0.1 and continues the downloads of earlier runs. Rejects with
	 * `storage-locked` if another process uses the folder, `port-taken`, `disk-failed`, `disk-full`, or `bad-request` for a
	 * bad option or an existing instance.
	 */
	static async init(options: DownStreamOptions = {}): Promise<DownStream> {
		if (DownStream.#instance || DownStream.#isOpening) {
			throw new DownStreamError('bad-request', 'There is an instance already; call dispose() before init()');
		}

		DownStream.#isOpening = true;
		try {
			const host = await start(settingsOf(options), {headersForAll: true});
			DownStream.#instance = new DownStream(host);
			return DownStream.#instance;
		} finally {
			DownStream.#isOpening = false;
		}
	}

	/** The instance created by `init`. Throws `bad-request` if there is none. */
	static get instance(): DownStream {
		if (!DownStream.#instance) {
			throw new DownStreamError('bad-request', 'There is no instance; await DownStream.init() first');
		}

		return DownStream.#instance;
	}

	private constructor(host: EngineHost) {
		this.#host = host;
	}

	/** Origin of the proxy: `http://127.0.0.1:PORT`. */
	get origin(): string {
		return this.#engine.origin;
	}

	/** The secret that authorizes requests to the control API and the playlist. */
	get key(): string {
		return this.#engine.key;
	}

	/** The secret that authorizes reading the control API and the playlist, for players and pages. */
	get viewKey(): string {
		return this.#engine.viewKey;
	}

	/**
	 * Adds a download unless it exists, and starts its background download. Resolves at once with the local URL to play,
	 * which is the same in each run. A data source of the program's own class fetches in this run only: the next run serves
	 * the stored bytes, and fetches the rest after another call with the source. Rejects with `bad-request` for a bad URL or
	 * option.
	 */
	async cache(remote: string | DataSource, options: CacheOptions = {}): Promise<string> {
		const {download} = await this.#add(remote, options);
		return download.streamUrl;
	}

	/** 0 to 100: 100 if and only if every byte is stored, 0 while the size is unknown. */
	getProgress(url: string): number {
		return progressOf(this.#find(url));
	}

	/**
	 * Name, size and type of the file from the first response on, and again after each change. Ends when the download is
	 * complete or removed, or on `dispose`. Throws the error of a download that failed before its first response.
	 */
	getFileStats(url: string): AsyncIterable<FileStats> {
		return {[Symbol.asyncIterator]: () => this.#fileStats(url)};
	}

	/**
	 * Progress of all downloads: the current state, then each change, at most 10 times a second for each download. A slow
	 * consumer skips states. Ends with `dispose`.
	 */
	get progressStream(): AsyncIterable<DownloadProgress> {
		return {[Symbol.asyncIterator]: () => this.#progress()};
	}

	/** All downloads, those of earlier runs included, in order of addition. */
	async getAllDownloads(): Promise<readonly Download[]> {
		return this.#engine.snapshot.downloads;
	}

	/** Stops the background download. Players are still served. */
	async pauseDownload(url: string): Promise<void> {
		await this.#engine.pause(this.#find(url).id);
	}

	/** Continues a paused, failed or cancelled download, and retries a waiting one at once. */
	async resumeDownload(url: string): Promise<void> {
		await this.#engine.resume(this.#find(url).id);
	}

	/** Resumes all paused, failed and waiting downloads, but not cancelled ones. */
	async resumeAllDownloads(): Promise<void> {
		const idle = this.#engine.snapshot.downloads.filter(({status}) =>
			['paused', 'failed', 'waiting'].includes(status),
		);
		await Promise.all(idle.map(({id}) => this.#engine.resume(id)));
	}

	/** Fetches the whole file, even if the download was on demand. */
	async startBackgroundDownload(url: string): Promise<void> {
		const {id} = this.#find(url);
		await this.#engine.update(id, {onDemand: false});
		await this.#engine.resume(id);
	}

	/** Fetches only the bytes that players request from now on. */
	async stopBackgroundDownload(url: string): Promise<void> {
		await this.#engine.update(this.#find(url).id, {onDemand: true});
	}

	/** Whether a request is in flight or scheduled, retries included. False for an unknown URL. */
	isDownloading(url: string): boolean {
		const download = this.#findAny(url);
		return download !== undefined && (download.connections > 0 || isFetching(download));
	}

	/**
	 * After `origin-changed`: keeps the stored bytes if they match the server's file. Rejects with `origin-changed` unless
	 * 32 samples of 4 KiB and both ends of the stored bytes match.
	 */
	async acceptChange(url: string): Promise<void> {
		await this.#engine.acceptChange(this.#find(url).id);
	}

	/** After `origin-changed`: drops the stored bytes and fetches the server's version from the start. */
	async startOver(url: string): Promise<void> {
		await this.#engine.startOver(this.#find(url).id);
	}

	/** Stops everything, players included. Stored bytes are kept until `removeCache`. */
	async cancelDownload(url: string): Promise<void> {
		await this.#engine.cancel(this.#find(url).id);
	}

	/** Stops everything, removes the download from the list and deletes its bytes. Rejects with `disk-failed`. */
	async removeCache(url: string): Promise<void> {
		await this.#engine.remove(this.#find(url).id, {data: 'delete', undoMs: 0});
	}

	/** `removeCache` for all downloads, and for stored bytes of removed ones. */
	async clearAllCache(): Promise<void> {
		await this.#engine.clear();
	}

	/**
	 * Copies a complete file out, as a reflink or hard link where the disk supports it, and resolves with its path. `path` is
	 * a file, or a folder (existing, or with a trailing separator) for a file of the download's name. Rejects with
	 * `incomplete`, `target-exists`, `disk-full`, `disk-failed`.
	 */
	async exportFile(url: string, path: string, options: TargetOptions = {}): Promise<string> {
		return this.#export(url, {...options, path});
	}

	/** `exportFile` that moves the file out of the storage folder. It is served from its new path. */
	async moveFile(url: string, path: string, options: TargetOptions = {}): Promise<string> {
		return this.#export(url, {...options, path, move: true});
	}

	/** `exportFile` on completion, even in a later run. Resolves with the future path. */
	async setDownloadTarget(url: string, path: string, options: TargetOptions = {}): Promise<string> {
		return this.#export(url, {...options, path, when: 'complete'});
	}

	/**
	 * Ends players and connections, saves records, and releases the port and the storage folder. All later calls are
	 * rejected with `bad-request`.
	 */
	async dispose(): Promise<void> {
		this.#disposed ??= this.#dispose();
		await this.#disposed;
	}

	async #dispose(): Promise<void> {
		this.#ending.abort();
		try {
			await this.#host.dispose();
		} finally {
			DownStream.#instance = undefined;
		}
	}

	get #engine(): Engine {
		if (this.#disposed) {
			throw new DownStreamError(
				'bad-request',
				'This instance was disposed of; DownStream.init() makes another one',
			);
		}

		return this.#host.engine;
	}

	async #add(remote: string | DataSource, options: CacheOptions): Promise<{download: Download}> {
		if (typeof remote !== 'string' && typeof remote?.open !== 'function') {
			throw new DownStreamError('bad-request', 'What is cached must be a URL or a data source');
		}

		if (typeof remote === 'string') {
			return this.#engine.add({url: remote, ...options});
		}

		const stored = remote instanceof HttpDataSource ? remote.stored : undefined;
		return stored ? this.#engine.add({...stored, ...options}) : this.#engine.addSource(remote, options);
	}

	async #export(url: string, request: Parameters<Engine['export']>[1]): Promise<string> {
		checkOptions(request, exportRequest.fields);
		const {path} = await this.#engine.export(this.#find(url).id, request);
		return path;
	}

	#snapshots(): AsyncGenerator<Snapshot, void> {
		return snapshotsOf(this.#engine, this.#ending.signal);
	}

	async *#fileStats(url: string): AsyncGenerator<FileStats, void, undefined> {
		const {id} = this.#find(url);
		let last: FileStats | undefined;
		for await (const {downloads} of this.#snapshots()) {
			const download = downloads.find(candidate => candidate.id === id);
			if (!download) {
				return;
			}

			const {name, size, type, acceptsRanges, status, error} = download;
			if (acceptsRanges !== null) {
				const stats = {fileName: name, totalSize: size, mimeType: type};
				if (!isDeepStrictEqual(stats, last)) {
					last = stats;
					yield stats;
				}
			} else if (status === 'failed' && error) {
				throw new DownStreamError(error.code, error.message, error);
			}

			if (status === 'complete') {
				return;
			}
		}
	}

	async *#progress(): AsyncGenerator<DownloadProgress, void, undefined> {
		const lastSent = new Map<string, DownloadProgress>();
		for await (const {downloads} of this.#snapshots()) {
			for (const download of downloads) {
				const progress = progressEvent(download);
				if (!isDeepStrictEqual(progress, lastSent.get(download.id))) {
					lastSent.set(download.id, progress);
					yield progress;
				}
			}
		}
	}

	#find(url: string): Download {
		const download = this.#findAny(url);
		if (!download) {
			throw new DownStreamError('not-found', `There is no download of ${maskUrl(url)}; cache() it first`);
		}

		return download;
	}

	/** By the id in a local URL, which is valid for any port, or the newest one of a remote URL. */
	#findAny(url: string): Download | undefined {
		const {downloads} = this.#engine.snapshot;
		const [, id] = /^http:\/\/127\.0\.0\.1:\d+\/stream\/([\da-f]{32})\//.exec(url) ?? [];
		const remote = isWebAddress(url) ? withoutCredentials(url).url.href : URL.parse(url)?.href;
		return downloads.findLast(download => (id === undefined ? download.url === remote : download.id === id));
	}
}

function isWebAddress(url: string): boolean {
	return /^\s*https?:/i.test(url) && URL.canParse(url);
}

function progressOf({status, present, size}: Download): number {
	// The last bytes are yet to be recorded, and perhaps to be checked.
	return status === 'complete' ? 100 : size ? Math.min(99.99, (100 * present) / size) : 0;
}

function progressEvent(download: Download): DownloadProgress {
	const {url, streamUrl, status, present, size, bytesPerSecond} = download;
	return {
		url,
		localUrl: streamUrl,
		status,
		progress: progressOf(download),
		receivedBytes: present,
		totalBytes: size,
		bytesPerSecond,
	};
}

function settingsOf({proxyConfig, ...options}: DownStreamOptions): HostSettings {
	// Each download would fail by a bad header otherwise.
	checkedHeaders({...options.headers, 'User-Agent': options.userAgent ?? ''});
	for (const [name, schema] of Object.entries(engineOptions)) {
		checkOption(name, options[name as keyof typeof engineOptions], optional(schema));
	}

	return {
		...options,
		port: options.port ?? defaults.port,
		exactPort: options.port !== undefined && options.port !== 0,
		storageDir: options.storageDir ?? defaultStorageDir(),
		proxy: typeof proxyConfig === 'object' ? proxyUrl(proxyConfig) : proxyConfig,
		allowOrigins: options.allowOrigins ?? [],
		openStream: false,
	};
}

function proxyUrl({type, host, port, username, password = ''}: ProxyConfig): string {
	const user =
		username === undefined ? '' : `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`;
	if (typeof host !== 'string' || port === undefined) {
		throw new DownStreamError('bad-request', 'proxyConfig must have a host and a port');
	}

	const name = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
	const url = `${type}://${user}${name}:${port}`;
	parseProxy(url, 'proxyConfig');
	return url;
}
