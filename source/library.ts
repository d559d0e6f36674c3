// The library: one engine with its proxy, and its downloads by their URLs instead of their ids.
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
import {parseProxy} from './engine/http/proxy-settings.ts';
import {maskUrl} from './text/mask-url.ts';
import {start, type EngineHost} from './host/engine-host.ts';
import {checkOption, checkOptions, engineOptions, exportRequest, optional} from './schema.ts';
import {snapshotsOf} from './wait.ts';

/** The upstream proxy that origins are reached through. `socks5h` leaves the looking up of names to it. */
export type ProxyConfig = {
	readonly type: 'http' | 'https' | 'socks5' | 'socks5h';
	/** A name or an address. */
	readonly host: string;
	readonly port: number;
	readonly username?: string;
	readonly password?: string;
};

export type DownStreamOptions = {
	/** Of 127.0.0.1. One that is given must be free; 0 takes any. Without it 8080, or the next one that is free. */
	readonly port?: number;
	/** The folder in which bytes and records are kept: the program's own unless given. One process at a time uses it. */
	readonly storageDir?: string;
	readonly userAgent?: string;
	/** `direct` for none; without it HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY decide, as for curl. */
	readonly proxyConfig?: ProxyConfig | 'direct';
	/** Sent to the origins of all downloads that come without headers of their own. */
	readonly headers?: Readonly<Record<string, string>>;
	/** For each file, 1 to 16; 4 unless given. */
	readonly connections?: number;
	/** How many downloads are fetched in the background at the same time; 3 unless given. */
	readonly maxActive?: number;
	/** Bytes per second of all downloads together, at least 1024; no limit unless given. */
	readonly limitRate?: number;
	/** Fetch only what players ask for, until `startBackgroundDownload`. */
	readonly onDemand?: boolean;
	/** The most bytes to keep ready ahead of a player, at least 64 KiB; 16 MiB unless given. */
	readonly readAhead?: number;
	/** Bytes of the storage folder beyond which complete downloads go that nobody read for the longest time. */
	readonly cacheSize?: number;
	/** Certificates in PEM to trust besides the built-in ones. */
	readonly ca?: string;
	/** Trust any certificate. */
	readonly insecure?: boolean;
	/** Origins of web pages that may play, such as `https://player.example`. */
	readonly allowOrigins?: readonly string[];
};

export type CacheOptions = {
	/** The name to save as, instead of the one that the origin says. */
	readonly name?: string;
	/** `md5:`, `sha1:`, `sha256:` or `sha512:` and hexadecimal digits: checked when every byte is there. */
	readonly checksum?: string;
	/** Fetch only what players ask for. */
	readonly onDemand?: boolean;
};

export type FileStats = {
	/** A safe name, from Content-Disposition or the URL. */
	readonly fileName: string;
	/** Bytes; null as long as the origin does not say. */
	readonly totalSize: number | null;
	readonly mimeType: string;
};

export type DownloadProgress = {
	/** As it was given to `cache`, but for user and password. */
	readonly url: string;
	readonly localUrl: string;
	readonly status: DownloadStatus;
	/** 0 to 100, and 100 only if every byte is on the disk. 0 while the size is unknown. */
	readonly progress: number;
	/** On the disk. */
	readonly receivedBytes: number;
	/** Null while it is unknown. */
	readonly totalBytes: number | null;
	/** Average of 3 s. */
	readonly bytesPerSecond: number;
};

export type TargetOptions = {
	/** Replace a file that is there. */
	readonly overwrite?: boolean;
	/** When a file is there: find a free name such as `film (2).mkv`. */
	readonly keepBoth?: boolean;
};

/**
 * Downloads that can be played while they download. A `url` is the one that was given to `cache` (or its data source),
 * or the local URL that `cache` resolved with: that one is unique where a URL was added with several sets of headers.
 * Verbs reject with a `DownStreamError`: `not-found` for a URL that was never cached, and what is said at each of them.
 */
export class DownStream {
	static #instance: DownStream | undefined;
	static #isOpening = false;
	readonly #running: EngineHost;
	readonly #ending = new AbortController();
	#disposed: Promise<void> | undefined;

	/**
	 * Opens the storage folder, listens on 127.0.0.1 and goes on with what earlier runs began. Rejects with
	 * `storage-locked` if another process uses the folder, `port-taken`, `disk-failed`, `disk-full`, or `bad-request`
	 * for an option that cannot be, or while there is an instance that was not disposed of.
	 */
	static async init(options: DownStreamOptions = {}): Promise<DownStream> {
		if (DownStream.#instance || DownStream.#isOpening) {
			throw new DownStreamError('bad-request', 'There is an instance already; dispose() of it before init()');
		}

		DownStream.#isOpening = true;
		try {
			const running = await start(settingsOf(options), {headersForAll: true});
			DownStream.#instance = new DownStream(running);
			return DownStream.#instance;
		} finally {
			DownStream.#isOpening = false;
		}
	}

	/** The one that `init` made. Throws `bad-request` if there is none. */
	static get instance(): DownStream {
		if (!DownStream.#instance) {
			throw new DownStreamError('bad-request', 'There is no instance; await DownStream.init() first');
		}

		return DownStream.#instance;
	}

	private constructor(running: EngineHost) {
		this.#running = running;
	}

	/** Where the proxy listens: `http://127.0.0.1:PORT`. */
	get origin(): string {
		return this.#engine.origin;
	}

	/** What the control API and the playlist ask for: a secret. */
	get key(): string {
		return this.#engine.key;
	}

	/**
	 * Adds a download, unless it is there, and resolves with the local URL to play, at once: the same URL in each run.
	 * It is fetched in the background too. A data source of another class than ours fetches in this run only; in the
	 * next one what is on the disk is served, and the rest once `cache` is called with the source again. Rejects with
	 * `bad-request` for what is not a URL, or a wrong option.
	 */
	async cache(remote: string | DataSource, options: CacheOptions = {}): Promise<string> {
		const {download} = await this.#add(remote, options);
		return download.streamUrl;
	}

	/** 0 to 100, and 100 only if every byte is on the disk. 0 while the size is unknown. */
	getProgress(url: string): number {
		return progressOf(this.#find(url));
	}

	/**
	 * What the file is, once the origin has said it: the last that is known, then what changes. Ends when the download is
	 * complete, removed, or disposed of. Throws what the download failed with if nothing was ever known of the file.
	 */
	getFileStats(url: string): AsyncIterable<FileStats> {
		return {[Symbol.asyncIterator]: () => this.#fileStats(url)};
	}

	/**
	 * Of all downloads: what is, then what changes, at most 10 times a second for each; who reads slowly gets the newest
	 * alone. Ends with `dispose`.
	 */
	get progressStream(): AsyncIterable<DownloadProgress> {
		return {[Symbol.asyncIterator]: () => this.#progress()};
	}

	/** In progress and complete, also of earlier runs, in the order in which they were added. */
	async getAllDownloads(): Promise<readonly Download[]> {
		return this.#engine.snapshot.downloads;
	}

	/** Stops the background download; players still get what they ask for. */
	async pauseDownload(url: string): Promise<void> {
		await this.#engine.pause(this.#find(url).id);
	}

	/** Goes on after a pause, a failure or `cancelDownload`, or tries again at once. */
	async resumeDownload(url: string): Promise<void> {
		await this.#engine.resume(this.#find(url).id);
	}

	/** Resumes what is paused, has failed or waits for its next try; not what was cancelled. */
	async resumeAllDownloads(): Promise<void> {
		const idle = this.#engine.snapshot.downloads.filter(({status}) =>
			['paused', 'failed', 'waiting'].includes(status),
		);
		await Promise.all(idle.map(({id}) => this.#engine.resume(id)));
	}

	/** Fetches the whole file, also of one that fetches only what players ask for. */
	async startBackgroundDownload(url: string): Promise<void> {
		const {id} = this.#find(url);
		await this.#engine.update(id, {onDemand: false});
		await this.#engine.resume(id);
	}

	/** From now on fetches only what players ask for. */
	async stopBackgroundDownload(url: string): Promise<void> {
		await this.#engine.update(this.#find(url).id, {onDemand: true});
	}

	/** Whether a connection is open, or is about to be: also between two tries. False for what was never cached. */
	isDownloading(url: string): boolean {
		const download = this.#seek(url);
		return download !== undefined && (download.connections > 0 || isFetching(download));
	}

	/**
	 * After `origin-changed`: goes on with what is held, as it is the file of now. Rejects with `origin-changed` unless 32
	 * samples of 4 KiB and both ends of the held bytes agree with the server.
	 */
	async acceptChange(url: string): Promise<void> {
		await this.#engine.acceptChange(this.#find(url).id);
	}

	/** After `origin-changed`: drops what is held and fetches the version that the server has now. */
	async startOver(url: string): Promise<void> {
		await this.#engine.startOver(this.#find(url).id);
	}

	/** Stops everything and ends its players; the bytes stay until `removeCache`. */
	async cancelDownload(url: string): Promise<void> {
		await this.#engine.cancel(this.#find(url).id);
	}

	/** Stops everything, takes it off the list and deletes its bytes. Rejects with `disk-failed`. */
	async removeCache(url: string): Promise<void> {
		await this.#engine.remove(this.#find(url).id, {data: 'delete', undoMs: 0});
	}

	/** The same for all downloads, also those that the program removed and kept the bytes of. */
	async clearAllCache(): Promise<void> {
		await this.#engine.clear();
	}

	/**
	 * Copies a complete file out (as a reflink or hard link where the disk can do that) and resolves with its path. `path`
	 * is a file, or a folder (existing, or ending in a separator) to which the name is added. Rejects with `incomplete`,
	 * `target-exists`, `disk-full`, `disk-failed`.
	 */
	async exportFile(url: string, path: string, options: TargetOptions = {}): Promise<string> {
		return this.#export(url, {...options, path});
	}

	/** As `exportFile`, but the storage folder gives the file away; it is played from its new place. */
	async moveFile(url: string, path: string, options: TargetOptions = {}): Promise<string> {
		return this.#export(url, {...options, path, move: true});
	}

	/** As `exportFile` as soon as the file is complete, also in a later run. Resolves with the path to come. */
	async setDownloadTarget(url: string, path: string, options: TargetOptions = {}): Promise<string> {
		return this.#export(url, {...options, path, when: 'complete'});
	}

	/**
	 * Ends players and connections, saves what is there, frees the port and the storage folder. Whatever is asked of the
	 * instance afterwards is `bad-request`.
	 */
	async dispose(): Promise<void> {
		this.#disposed ??= this.#dispose();
		await this.#disposed;
	}

	async #dispose(): Promise<void> {
		this.#ending.abort();
		try {
			await this.#running.dispose();
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

		return this.#running.engine;
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
		const told = new Map<string, DownloadProgress>();
		for await (const {downloads} of this.#snapshots()) {
			for (const download of downloads) {
				const progress = progressEvent(download);
				if (!isDeepStrictEqual(progress, told.get(download.id))) {
					told.set(download.id, progress);
					yield progress;
				}
			}
		}
	}

	#find(url: string): Download {
		const download = this.#seek(url);
		if (!download) {
			throw new DownStreamError('not-found', `There is no download of ${maskUrl(url)}; cache() it first`);
		}

		return download;
	}

	/** By its local URL, whose id alone never changes, else the newest one of the remote URL. */
	#seek(url: string): Download | undefined {
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
	// What has every byte is still to be recorded, and perhaps to be checked.
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

function settingsOf(options: DownStreamOptions): Parameters<typeof start>[0] {
	// What no request could carry would be refused for each download, long after.
	checkedHeaders({...options.headers, 'User-Agent': options.userAgent ?? ''});
	const {port, proxyConfig} = options;
	/** `fallback` stands for an option that is not given. */
	const number = (name: keyof typeof engineOptions, fallback: number) =>
		checkOption(name, options[name] ?? fallback, engineOptions[name]);
	return {
		port: number('port', defaults.port),
		exactPort: port !== undefined && port !== 0,
		storageDir: options.storageDir ?? defaultStorageDir(),
		userAgent: options.userAgent,
		proxy: typeof proxyConfig === 'object' ? proxyUrl(proxyConfig) : proxyConfig,
		headers: options.headers ?? {},
		connections: number('connections', defaults.connections),
		maxActive: number('maxActive', defaults.maxActive),
		limitRate: number('limitRate', Infinity),
		onDemand: options.onDemand ?? false,
		readAhead: checkOption('readAhead', options.readAhead, optional(engineOptions.readAhead)),
		cacheSize: number('cacheSize', Infinity),
		ca: options.ca,
		insecure: options.insecure ?? false,
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
