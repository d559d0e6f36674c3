// The library: one engine with its proxy. Downloads are named by URL instead of id.
/// <reference lib="esnext.disposable" preserve="true" />
import {DownStreamError, isFetching, type Download, type Pledge, type Position} from './downstream.ts';
import {HttpDataSource, withoutCredentials} from './engine/origin/http-source.ts';
import type {DataSource} from './engine/origin/data-source.ts';
import type {Engine} from './engine/engine.ts';
import {maskUrl} from './text/mask-url.ts';
import {start, type EngineHost} from './host/engine-host.ts';
import {
	checkCacheOptions,
	checkTargetOptions,
	checkWaitOptions,
	requestBesideSource,
	requestOf,
	safeRequestFor,
	settingsOf,
} from './library/options.ts';
import type {
	AddOptions,
	CacheOptions,
	DownloadProgress,
	DownStreamOptions,
	FileStats,
	PlayersState,
	SafeOptions,
	TargetOptions,
	WaitOptions,
} from './library/types.ts';
import {
	fileStats,
	playersOf,
	progressOf,
	progressOfAll,
	progressOfOne,
	whenComplete,
	whenSafe,
	type Endings,
} from './library/watch.ts';
import {checkOption, text} from './schema.ts';

/**
 * Downloads that can be played while they download. A `url` parameter takes the URL given to `cache` (or the URL of the
 * given data source), or the local URL that `cache` resolved with. The local URL is unique, even if one URL was added with
 * several sets of headers. Methods reject with a `DownStreamError`: `not-found` for an unknown URL, `bad-request` for an
 * unknown or invalid option, and the codes named at each of them.
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
			throw new DownStreamError('bad-request', 'An instance already exists; call dispose() before init()');
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

	/** The secret for read access to the control API and the playlist, for players and pages. */
	get viewKey(): string {
		return this.#engine.viewKey;
	}

	/**
	 * Adds a download unless it exists, and starts or resumes its background download. Resolves at once with the local URL to
	 * play, which is the same in each run. A data source of the program's own class fetches in this run only: the next run
	 * serves the stored bytes, and fetches the rest after another call with the source. Rejects with `bad-request` for a bad
	 * URL, and with the signal's reason if it aborts before the download is added.
	 */
	async cache(remote: string | DataSource, options: CacheOptions = {}): Promise<string> {
		checkCacheOptions(options);
		const {signal, ...addOptions} = options;
		signal?.throwIfAborted();
		const {download, existed} = await this.#add(remote, addOptions);
		if (signal?.aborted) {
			if (!existed) {
				await this.#engine.remove(download.id, {data: 'delete', undoMs: 0});
			}

			throw signal.reason;
		}

		return download.streamUrl;
	}

	/** 0 to 100: 100 if and only if every byte is stored, 0 while the size is unknown. */
	getProgress(url: string): number {
		return progressOf(this.#find(url));
	}

	/**
	 * Resolves once the download is complete, and its `setDownloadTarget` has ended. Waits through outages, pauses and the
	 * queue. Rejects with the error that stops the download: the one it failed with, `incomplete` after `cancelDownload`,
	 * `not-found` after a removal, `bad-request` after `dispose`; or with the signal's reason.
	 */
	async whenComplete(url: string, options: WaitOptions = {}): Promise<Download> {
		const endings = this.#endings(options);
		return whenComplete(this.#engine, this.#find(url).id, endings);
	}

	/**
	 * Progress of one download: the current state, then each change, at most 3 times a second. A slow consumer skips states.
	 * Ends after the state `complete`, `failed` or `cancelled`, on removal, and with `dispose`.
	 */
	progress(url: string, options: WaitOptions = {}): AsyncIterable<DownloadProgress> {
		const endings = this.#endings(options);
		return {[Symbol.asyncIterator]: () => progressOfOne(this.#engine, this.#find(url).id, endings)};
	}

	/**
	 * Progress of all downloads: the current state, then each change, at most 3 times a second for each download. A slow
	 * consumer skips states. Ends with `dispose`.
	 */
	get progressStream(): AsyncIterable<DownloadProgress> {
		return {[Symbol.asyncIterator]: () => progressOfAll(this.#engine, this.#ending.signal)};
	}

	/**
	 * Name, size and type of the file from the first response on, and again after each change. Ends when the download is
	 * complete or removed, or on `dispose`. Throws the error of a download that failed before its first response.
	 */
	getFileStats(url: string, options: WaitOptions = {}): AsyncIterable<FileStats> {
		const endings = this.#endings(options);
		return {[Symbol.asyncIterator]: () => fileStats(this.#engine, this.#find(url).id, endings)};
	}

	/**
	 * Fetches a stretch before all background downloads, even for a paused or on-demand download, and keeps it from eviction
	 * until `liftPledge`. Resolves once every byte is durably stored; continues in later runs. Rejects with `bad-request`,
	 * `disk-full` if the disk has no room for it, `incomplete` if it cannot be made safe or the position of the player
	 * is unknown, `not-found` after a removal, or the signal's reason, which leaves the pledge.
	 */
	async makeSafe(url: string, options: SafeOptions = {}): Promise<Pledge> {
		const request = safeRequestFor(options);
		const endings = this.#endings({signal: options.signal});
		options.signal?.throwIfAborted();
		const {id} = this.#find(url);
		const {n} = await this.#engine.makeSafe(id, request);
		return whenSafe(this.#engine, id, n, endings);
	}

	/** Ends a pledge, by its number in `Download.pledges`; its bytes stay. Rejects with `not-found`. */
	async liftPledge(url: string, n: number): Promise<void> {
		await this.#engine.lift(this.#find(url).id, n);
	}

	/** The last position in a video or audio file; null if it was never played. */
	position(url: string): Position | null {
		return this.#find(url).position;
	}

	/**
	 * The players of a download: the current state, then each change, at most 3 times a second. A slow consumer skips states.
	 * Ends on removal, and with `dispose`.
	 */
	players(url: string, options: WaitOptions = {}): AsyncIterable<PlayersState> {
		const endings = this.#endings(options);
		return {[Symbol.asyncIterator]: () => playersOf(this.#engine, this.#find(url).id, endings)};
	}

	/** All downloads, including those of earlier runs, in order of addition. */
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
	 * `incomplete`, `target-exists`, `disk-full`, `disk-failed`, or the signal's reason.
	 */
	async exportFile(url: string, path: string, options: TargetOptions = {}): Promise<string> {
		return this.#export(url, {path}, options);
	}

	/** `exportFile` that moves the file out of the storage folder. It is served from its new path. */
	async moveFile(url: string, path: string, options: TargetOptions = {}): Promise<string> {
		return this.#export(url, {path, move: true}, options);
	}

	/** `exportFile` on completion, even in a later run. Resolves with the future path. */
	async setDownloadTarget(url: string, path: string, options: TargetOptions = {}): Promise<string> {
		return this.#export(url, {path, when: 'complete'}, options);
	}

	/**
	 * Ends players and connections, saves records, and releases the port and the storage folder. All later calls are
	 * rejected with `bad-request`.
	 */
	async dispose(): Promise<void> {
		this.#disposed ??= this.#dispose();
		await this.#disposed;
	}

	/** `dispose`, for `await using`. */
	async [Symbol.asyncDispose](): Promise<void> {
		await this.dispose();
	}

	async #dispose(): Promise<void> {
		this.#ending.abort(disposed());
		try {
			await this.#host.dispose();
		} finally {
			DownStream.#instance = undefined;
		}
	}

	get #engine(): Engine {
		if (this.#disposed) {
			throw disposed();
		}

		return this.#host.engine;
	}

	async #add(
		remote: string | DataSource,
		options: AddOptions,
	): Promise<{download: Download; existed: boolean}> {
		if (typeof remote === 'string') {
			return this.#engine.add({url: remote, ...requestOf(options)});
		}

		if (typeof remote?.open !== 'function') {
			throw new DownStreamError('bad-request', 'cache() takes a URL or a data source');
		}

		const stored = remote instanceof HttpDataSource ? remote.stored : undefined;
		const request = requestBesideSource(options);
		return stored ? this.#engine.add({...stored, ...request}) : this.#engine.addSource(remote, request);
	}

	async #export(
		url: string,
		request: Parameters<Engine['export']>[1],
		options: TargetOptions,
	): Promise<string> {
		checkTargetOptions(options);
		checkOption('path', request.path, text);
		const {signal, ...choices} = options;
		signal?.throwIfAborted();
		const {path} = await this.#engine.export(this.#find(url).id, {...request, ...choices}, signal);
		return path;
	}

	#endings(options: WaitOptions): Endings {
		checkWaitOptions(options);
		return {disposal: this.#ending.signal, signal: options.signal};
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

function disposed(): DownStreamError {
	return new DownStreamError(
		'bad-request',
		'This instance was disposed; DownStream.init() creates a new one',
	);
}
