// The collection of downloads: adds, queues, limits, exports and removes them. No screen in it.
import {statfs} from 'node:fs/promises';
import {networkInterfaces} from 'node:os';
import path from 'node:path';
import {randomBytes} from 'node:crypto';
import {
	DownStreamError,
	type AddRequest,
	type Download,
	type DownloadChange,
	type DownloadId,
	type DownloadEngine,
	type ErrorCode,
	type ExportRequest,
	type Snapshot,
} from '../downstream.ts';
import {Logger} from '../log.ts';
import {checkOption, rateLimit} from '../schema.ts';
import {maskUrl} from '../text/mask-url.ts';
import {checkRequest} from './check-request.ts';
import {Bandwidth} from './fetch/bandwidth.ts';
import {BlockPool} from './memory/block-pool.ts';
import {checkedHeaders, inLowerCase} from './http/headers.ts';
import {CustomHeaderDataSource, withoutCredentials} from './origin/http-source.ts';
import {MissingDataSource, type DataSource} from './origin/data-source.ts';
import {RecordStore, newKey, readKey, type DownloadRecord, type RecordFile} from './store/record-store.ts';
import {selectEvictions, type Evictable} from './store/eviction.ts';
import {checkTarget, exportFile, resolveTarget} from './store/export.ts';
import {safeFileName} from './store/file-name.ts';
import {HostLimits} from './fetch/host-limits.ts';
import {keepPrivate, makeFolder} from './store/make-folder.ts';
import {resolveLink} from './origin/link-resolver.ts';
import {Transfer, type NewLink, type TransferServices} from './download/transfer.ts';
import {StorageAccess} from './store/storage-access.ts';

export type EngineOptions = {
	readonly storageDir: string;
	readonly userAgent?: string;
	/** Upstream proxy URL, or `direct`; without it the environment decides, as for curl. */
	readonly proxy?: string;
	/** For downloads that are added without headers of their own. */
	readonly headers?: Readonly<Record<string, string>>;
	/** Connections for each file, 1 to 16. */
	readonly connections?: number;
	/** Downloads that fill at the same time. */
	readonly maxActive?: number;
	/** Bytes per second of all downloads together. */
	readonly limitRate?: number;
	/** Fetch only what players ask for, unless a download says otherwise. */
	readonly onDemand?: boolean;
	/** The most bytes to keep ready ahead of a player. */
	readonly readAhead?: number;
	/** The words of the command that gives a new link for an item whose link has expired. */
	readonly resolveWith?: readonly string[];
	/** Bytes that may be in the storage folder before complete downloads go from it. */
	readonly cacheSize?: number;
	readonly tls?: {readonly ca?: string; readonly insecure?: boolean};
	/** Milliseconds for the first answer of an origin, 30 s unless given; more after each that was too few. */
	readonly answerTimeout?: number;
};

/** What an record is made of; the rest is added. */
type RecordInput = Pick<DownloadRecord, 'url' | 'headers' | 'intent'> & Partial<DownloadRecord>;

/** `timer`: until its data is deleted, too. `back`: it comes back. */
type Removed = {
	readonly recordFile: RecordFile;
	/** Until its last record is written. */
	closing?: Promise<void> | undefined;
	timer?: NodeJS.Timeout | undefined;
	back?: Promise<Transfer> | undefined;
};

/** At most 10 notices a second. */
const noticeMs = 100;
/** Speeds and players that fade are looked at so often. */
const tickMs = 500;
const freeSpaceMs = 5000;
const standardUndoMs = 10_000;
/** Players that have gone let a download go too. */
const evictMs = 10_000;
/** Names of headers that carry credentials. */
const credentialHeader = /auth|cookie|token|key|secret|session|credential|passw|signature|csrf|xsrf/i;

export class Engine implements DownloadEngine {
	/** For the proxy's URL forms and API; made once for each storage folder. */
	readonly key: string;
	readonly #options: EngineOptions;
	readonly #access: StorageAccess;
	readonly #store: RecordStore;
	readonly #services: TransferServices;
	readonly #transfers = new Map<DownloadId, Transfer>();
	readonly #removed = new Map<DownloadId, Removed>();
	/** Until they are on the list. */
	readonly #creating = new Map<DownloadRecord, Promise<Transfer>>();
	/** What is in progress and writes to the storage folder. */
	readonly #writing = new Set<Promise<unknown>>();
	readonly #listeners = new Set<() => void>();
	readonly #banners: string[] = [];
	readonly #exports = new AbortController();
	#lastAddedAt = 0;
	#origin = '';
	#snapshot: Snapshot = {
		version: 0,
		downloads: [],
		bytesPerSecond: 0,
		limitRate: null,
		freeBytes: null,
		origin: '',
		banners: [],
	};
	#isStale = true;
	#noticeTimer: NodeJS.Timeout | undefined;
	#noticedAt = -Infinity;
	#tickTimer: NodeJS.Timeout | undefined;
	#freeBytes: number | null = null;
	#freeBytesAt = 0;
	#evictTimer: NodeJS.Timeout | undefined;
	/** Nothing is begun any more. */
	#hasEnded = false;
	#disposed: Promise<void> | undefined;

	/** Rejects with `storage-locked` if another copy works on the folder, `disk-failed` if it cannot be used. */
	static async open(options: EngineOptions): Promise<Engine> {
		const {storageDir} = options;
		try {
			await makeFolder(storageDir, 0o700);
		} catch (error) {
			throw new DownStreamError('disk-failed', `The storage folder ${storageDir} cannot be made`, {
				cause: error,
			});
		}

		await keepPrivate(storageDir);
		const access = await StorageAccess.open(storageDir);
		try {
			const store = await RecordStore.open(storageDir, access);
			const key = await readKey(storageDir, access).catch((error: DownStreamError) => error);
			const engine = new Engine(options, access, store, typeof key === 'string' ? key : newKey());
			access.events = {
				reread: async () => engine.#reread(),
				gained: () => engine.#mayWrite(),
				lost: reason => engine.#stopWriting(reason),
			};
			if (typeof key !== 'string') {
				engine.addBanner(`${key.message}. The key of this run is not kept.`);
			}

			await engine.#openEntries();
			return engine;
		} catch (error) {
			await access.release();
			throw error;
		}
	}

	private constructor(options: EngineOptions, access: StorageAccess, store: RecordStore, key: string) {
		this.key = key;
		this.#options = options;
		this.#access = access;
		this.#store = store;
		const hosts = new HostLimits(host => this.#wakeHost(host));
		this.#services = {
			bandwidth: new Bandwidth(options.limitRate),
			blocks: new BlockPool(),
			access,
			hosts,
			connections: options.connections ?? 4,
			answerTimeout: options.answerTimeout ?? 30_000,
			readAhead: options.readAhead ?? 16 * 1024 * 1024,
			streamUrl: (id, name) => `${this.#origin}/stream/${id}/${encodeURIComponent(name)}`,
			newLink: record => this.#newLink(record),
			changed: () => this.#changed(),
			queueChanged: () => this.#balance(),
			freeConnection: host => {
				for (const transfer of this.#transfers.values()) {
					if (transfer.host === host && transfer.yieldConnection()) {
						break;
					}
				}
			},
			connectionClosed: host => {
				if (hosts.isLimited(host)) {
					queueMicrotask(() => this.#wakeHost(host));
				}
			},
		};
	}

	/** `http://127.0.0.1:PORT`, once the proxy listens. */
	get origin(): string {
		return this.#origin;
	}

	/** The proxy listens: stream URLs are known, and other copies can find this one. */
	async publish(origin: string): Promise<void> {
		this.#origin = origin;
		for (const transfer of this.#transfers.values()) {
			transfer.forgetView();
		}

		this.#changed();
		await this.#access.publish(origin);
	}

	/** Shows a sentence on what concerns everything. */
	addBanner(text: string): void {
		this.#banners.push(text);
		this.#changed();
	}

	get snapshot(): Snapshot {
		if (this.#isStale) {
			this.#isStale = false;
			this.#snapshot = this.#takeSnapshot();
		}

		return this.#snapshot;
	}

	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		this.#tick();
		return () => {
			this.#listeners.delete(listener);
		};
	}

	transfer(id: DownloadId): Transfer | undefined {
		return this.#transfers.get(id);
	}

	/** The transfer of any request, added on first use. */
	async transferOf(request: AddRequest): Promise<Transfer> {
		const {download} = await this.#add(this.#inputFor(request), undefined, false);
		return this.#get(download.id);
	}

	async add(request: AddRequest): Promise<{download: Download; existed: boolean}> {
		return this.#add(this.#inputFor(request));
	}

	#inputFor(request: AddRequest): RecordInput {
		const {url: parsed, credentials} = withoutCredentials(request.url);
		this.#refuseOwnStream(parsed);
		const url = parsed.href;
		// Kept where only the user can read it; the URL is shown.
		const headers = checkedHeaders({...credentials, ...(request.headers ?? this.#options.headers)});
		const {item} = request;
		const {resolveWith} = this.#options;
		return {
			url,
			headers,
			...(item !== undefined && {item, ...(resolveWith && {resolveWith})}),
			...recordFields(request),
		};
	}

	/**
	 * What the source answers is a download like any other. After a restart what is held of it is served, and it goes on
	 * when it is added again. Rejects with `bad-request` if the source's URL is none.
	 */
	async addSource(
		source: DataSource,
		request: Omit<AddRequest, 'url' | 'headers' | 'userAgent' | 'proxy'> = {},
	): Promise<{download: Download; existed: boolean}> {
		if (!URL.canParse(source.url)) {
			throw new DownStreamError('bad-request', `The data source has ${JSON.stringify(source.url)} for a URL`);
		}

		const {href} = new URL(source.url);
		return this.#add({url: href, headers: {}, ownSource: true, ...recordFields(request)}, source);
	}

	/** `ownSource`: where a program has one of its own. `isWish`: one that is there already goes on. */
	async #add(
		given: RecordInput,
		ownSource?: DataSource,
		isWish = true,
	): Promise<{download: Download; existed: boolean}> {
		return this.#heldFor(this.#findOrCreate(given, ownSource, isWish));
	}

	async #findOrCreate(
		given: RecordInput,
		ownSource: DataSource | undefined,
		isWish: boolean,
	): Promise<{download: Download; existed: boolean}> {
		this.#refuseIfEnded();
		const known = this.#findSame(given);
		const {status} = known ?? {};
		const goesOn =
			status === 'cancelled' ||
			(isWish &&
				given.intent === 'run' &&
				['paused', 'failed', 'waiting', 'checking'].includes(status ?? ''));
		const isChange = !known || goesOn || ownSource || isNewChecksum(known, given.checksum);
		if (isChange && this.#access.refusal) {
			await this.#access.obtain();
			// What is known may be something else by now.
			return this.#findOrCreate(given, ownSource, isWish);
		}

		if (known) {
			if (ownSource) {
				await known.takeSource(ownSource);
			}

			if (goesOn) {
				await known.resume();
			}

			await applyChecksum(known, given.checksum);
			return {download: this.#view(known), existed: true};
		}

		const removed = [...this.#removed.values()].find(({recordFile}) => isSame(recordFile.record, given));
		if (removed) {
			const restored = await this.#restore(removed, {intent: given.intent, error: undefined}, ownSource);
			await applyChecksum(restored, given.checksum);
			return {download: this.#view(restored), existed: true};
		}

		const creating = [...this.#creating].find(([record]) => isSame(record, given));
		if (creating) {
			await creating[1].catch(() => undefined);
			return this.#findOrCreate(given, ownSource, isWish);
		}

		const record: DownloadRecord = {
			version: 1,
			id: randomBytes(16).toString('hex'),
			ranges: [],
			onDemand: this.#options.onDemand ?? false,
			// Also what the list is ordered by: never the same twice.
			addedAt: Math.max(Date.now(), this.#lastAddedAt + 1),
			...given,
		};
		this.#lastAddedAt = record.addedAt;
		// Before anything is stored: this is what finds bad headers.
		const source = ownSource ?? this.#sourceOf(record);
		const created = this.#create(record, source);
		this.#creating.set(record, created);
		try {
			return {download: this.#view(await created), existed: false};
		} finally {
			this.#creating.delete(record);
		}
	}

	async #create(record: DownloadRecord, source: DataSource): Promise<Transfer> {
		const transfer = await Transfer.open(await this.#store.create(record), source, this.#services);
		if (this.#hasEnded) {
			await transfer.close();
			await this.#store.delete(record.id);
			this.#refuseIfEnded();
		}

		this.#transfers.set(record.id, transfer);
		Logger.info(`${record.id}: added ${maskUrl(record.url)}`);
		this.#balance();
		return transfer;
	}

	async pause(id: DownloadId): Promise<void> {
		await this.#changing(async () => this.#get(id).pause());
	}

	async resume(id: DownloadId): Promise<void> {
		await this.#changing(async () => this.#get(id).resume());
	}

	async cancel(id: DownloadId): Promise<void> {
		await this.#changing(async () => this.#get(id).cancel());
	}

	async remove(id: DownloadId, options: {data: 'keep' | 'delete'; undoMs?: number}): Promise<void> {
		await this.#changing(async () => this.#heldFor(this.#remove(id, options)));
	}

	async #remove(id: DownloadId, options: {data: 'keep' | 'delete'; undoMs?: number}): Promise<void> {
		const transfer = this.#get(id);
		const {recordFile} = transfer;
		const {data, undoMs = standardUndoMs} = options;
		const isForGood = data === 'delete' && undoMs === 0;
		const closing = transfer.close();
		const removed: Removed = {recordFile, closing};
		// In the same tick: who adds it again meanwhile goes on from these bytes.
		this.#transfers.delete(id);
		if (!isForGood) {
			this.#removed.set(id, removed);
		}

		this.#changed();
		await closing;
		removed.closing = undefined;
		if (!removed.back) {
			await this.#recordRemoval(recordFile, data);
			if (isForGood) {
				await this.#purge(id);
			} else if (data === 'delete' && !removed.back && this.#removed.get(id) === removed) {
				removed.timer = setTimeout(() => void this.#purgeOrTell(id), undoMs);
			}
		}

		this.#balance();
	}

	async #recordRemoval(recordFile: RecordFile, data: 'keep' | 'delete'): Promise<void> {
		try {
			await recordFile.save({removed: data});
		} catch (error) {
			// Deleting is what makes room on a full disk.
			if (data === 'keep') {
				throw error;
			}
		}
	}

	/** Deletes every download and its bytes, also those that were removed and whose bytes were kept. */
	async clear(): Promise<void> {
		await this.#access.obtain();
		const listed = [...this.#transfers.keys()];
		await Promise.all(listed.map(id => this.remove(id, {data: 'delete', undoMs: 0})));
		await Promise.all([...this.#removed.keys()].map(id => this.#purge(id)));
	}

	async restore(id: DownloadId): Promise<void> {
		const removed = this.#removed.get(id);
		if (!removed) {
			throw new DownStreamError('not-found', `There is no removed download ${id} to bring back`);
		}

		this.#refuseIfEnded();
		await this.#changing(async () => this.#heldFor(this.#restore(this.#removed.get(id) ?? removed)));
	}

	async update(id: DownloadId, change: DownloadChange): Promise<Download> {
		return this.#changing(async () => this.#update(id, change));
	}

	async #update(id: DownloadId, change: DownloadChange): Promise<Download> {
		const transfer = this.#get(id);
		const {record} = transfer.recordFile;
		checkRequest(change);
		const {url, headers, userAgent, proxy, name, connections, onDemand, checksum, limitRate} = change;
		if (record.ownSource && [url, headers, userAgent, proxy].some(given => given !== undefined)) {
			throw new DownStreamError(
				'bad-request',
				"A program's own data source fetches this download: it has no URL, headers or proxy to change",
			);
		}

		const place = url === undefined ? undefined : withoutCredentials(url);
		if (place) {
			this.#refuseOwnStream(place.url);
		}

		const changeOf = (now: DownloadRecord): Partial<DownloadRecord> => ({
			...(place && {url: place.url.href}),
			...((place ?? headers) && {
				headers: checkedHeaders(
					headers
						? {...place?.credentials, ...headers}
						: {...headersFor(place?.url, now), ...place?.credentials},
				),
			}),
			...(userAgent !== undefined && {userAgent}),
			...(proxy !== undefined && {proxy}),
			...(name !== undefined && {givenName: safeFileName(name)}),
			...(connections !== undefined && {connections}),
			...(onDemand !== undefined && {onDemand}),
			...(checksum !== undefined && {checksum: checksum.toLowerCase()}),
			...(limitRate !== undefined && {limitRate: limitRate ?? undefined}),
		});
		const isAsked = [place, headers, userAgent, proxy, connections].some(given => given !== undefined);
		await transfer.change(
			changeOf,
			isAsked && !record.ownSource ? changed => this.#sourceOf(changed) : undefined,
		);
		return this.#view(transfer);
	}

	async acceptChange(id: DownloadId): Promise<void> {
		await this.#changing(async () => this.#get(id).acceptChange());
	}

	async startOver(id: DownloadId, {keepOld = false}: {keepOld?: boolean} = {}): Promise<Download> {
		return this.#changing(async () => this.#startOver(id, keepOld));
	}

	async #startOver(id: DownloadId, keepOld: boolean): Promise<Download> {
		const transfer = this.#get(id);
		if (!keepOld) {
			await transfer.startOver();
			return this.#view(transfer);
		}

		if (transfer.recordFile.record.ownSource) {
			throw new DownStreamError(
				'bad-request',
				"A program's own data source fetches this download: the old version cannot be kept beside the new one",
			);
		}

		const {record} = transfer.recordFile;
		await transfer.pause();
		await transfer.change(() => ({superseded: true, exportWhenComplete: undefined}));
		const {download} = await this.#add({...inputOf(record), intent: 'run'});
		return download;
	}

	async verify(id: DownloadId): Promise<{damaged: Array<[start: number, end: number]>}> {
		const damaged = await this.#get(id).verify();
		return {damaged: damaged.map(({start, end}) => [start, end])};
	}

	async moveInQueue(id: DownloadId, by: -1 | 1): Promise<void> {
		await this.#changing(async () => this.#moveInQueue(id, by));
	}

	async #moveInQueue(id: DownloadId, by: -1 | 1): Promise<void> {
		const transfer = this.#get(id);
		// Those that are complete stand in no queue: passing one of them would look like nothing.
		const queue = this.#queue().filter(each => each === transfer || !each.isComplete);
		const neighbour = queue[queue.indexOf(transfer) + by];
		if (neighbour) {
			const {queueRank} = transfer;
			await Promise.all([
				transfer.change(() => ({queueRank: neighbour.queueRank})),
				neighbour.change(() => ({queueRank})),
			]);
		}
	}

	async setLimitRate(bytesPerSecond: number | null): Promise<void> {
		this.#services.bandwidth.limit = checkOption('limitRate', bytesPerSecond, rateLimit) ?? Infinity;
		this.#changed();
	}

	async export(id: DownloadId, request: ExportRequest): Promise<{path: string}> {
		const isChange = request.move || request.when === 'complete';
		return isChange
			? this.#changing(async () => this.#exportOrPlan(id, request))
			: this.#exportOrPlan(id, request);
	}

	async #exportOrPlan(id: DownloadId, request: ExportRequest): Promise<{path: string}> {
		const transfer = this.#get(id);
		const target = await resolveTarget(request.path, this.#view(transfer).name);
		await transfer.settled();
		if (transfer.isComplete) {
			return {path: await this.#export(transfer, {...request, path: target})};
		}

		const {present, size} = this.#view(transfer);
		if (request.partial && request.when !== 'complete') {
			if (request.move) {
				throw new DownStreamError('bad-request', 'A file that is not complete can be copied, but not moved');
			}

			if (present > 0) {
				return {path: await this.#export(transfer, {...request, path: target})};
			}
		}

		if (request.when !== 'complete') {
			throw new DownStreamError(
				'incomplete',
				`Only ${present} of ${size ?? 'an unknown number of'} bytes are here; export it once it is complete`,
			);
		}

		await checkTarget(target, request);
		await transfer.recordFile.save({exportWhenComplete: {...request, path: target}});
		transfer.forgetView();
		this.#changed();
		return {path: target};
	}

	/** What nobody uses goes, until the store has `cacheSize` bytes at most (`evict.ts`). What cannot go is logged. */
	async makeRoom(cacheSize: number): Promise<void> {
		const listed = Array.from(this.#transfers.values(), transfer =>
			evictableOf(transfer.recordFile.record, this.#view(transfer)),
		);
		const kept = [...this.#removed.values()]
			.filter(({closing, timer, back}) => !closing && !timer && !back)
			.map(({recordFile}) => evictableOf(recordFile.record, undefined));
		const going = selectEvictions([...listed, ...kept], cacheSize).map(async id => {
			Logger.info(`${id}: evicted`);
			try {
				await (this.#transfers.has(id) ? this.remove(id, {data: 'delete', undoMs: 0}) : this.#purge(id));
			} catch (error) {
				Logger.warn(`${id}: not evicted: ${String(error)}`);
			}
		});
		await Promise.all(going);
	}

	async dispose(): Promise<void> {
		this.#disposed ??= this.#dispose();
		return this.#disposed;
	}

	async #dispose(): Promise<void> {
		this.#hasEnded = true;
		clearTimeout(this.#noticeTimer);
		clearTimeout(this.#tickTimer);
		clearInterval(this.#evictTimer);
		this.#listeners.clear();
		this.#exports.abort();
		await Promise.allSettled(Array.from(this.#transfers.values(), transfer => transfer.close()));
		await Promise.allSettled(this.#writing);
		const pendingDeletion = [...this.#removed].filter(([, {timer}]) => timer);
		await Promise.all(pendingDeletion.map(([id]) => this.#purgeOrTell(id)));
		await this.#access.release();
	}

	/** Another copy may have the storage folder now; what both wrote would be a ruin. */
	#stopWriting(reason: DownStreamError): void {
		this.#hasEnded = true;
		this.#exports.abort(reason);
		for (const transfer of this.#transfers.values()) {
			transfer.abandon(reason);
		}

		for (const {timer} of this.#removed.values()) {
			clearTimeout(timer);
		}

		this.#removed.clear();
		this.#changed();
	}

	/** Runs what changes the storage folder once that may be written. Rejects with the reason why it may not. */
	async #changing<T>(act: () => Promise<T>): Promise<T> {
		if (this.#access.refusal) {
			await this.#access.obtain();
		}

		return act();
	}

	/** What another copy has written since is opened anew; the players of what is as it was notice nothing. */
	async #reread(): Promise<void> {
		const {records} = await this.#store.readAll();
		const changed = new Map(records.map(recordFile => [recordFile.record.id, recordFile]));
		for (const transfer of [...this.#transfers.values()]) {
			if (changed.get(transfer.id)?.isDurablyAs(transfer.recordFile)) {
				changed.delete(transfer.id);
			} else {
				transfer.abandon(new DownStreamError('not-found', 'Another copy has changed this download'));
				void this.#heldFor(transfer.close());
				this.#transfers.delete(transfer.id);
			}
		}

		this.#removed.clear();
		await this.#openAll([...changed.values()]);
		// That of this run is known to players already; a full disk has no room for it.
		await readKey(this.#options.storageDir, undefined, this.key).catch(() => undefined);
	}

	/** The storage folder may be written from here on. */
	#mayWrite(): void {
		for (const [id, {recordFile}] of this.#removed) {
			if (recordFile.record.removed === 'delete') {
				void this.#purgeOrTell(id);
			}
		}

		for (const transfer of this.#transfers.values()) {
			transfer.mayWrite();
		}

		this.#balance();
	}

	async #openEntries(): Promise<void> {
		const {records, problems} = await this.#store.readAll();
		this.#banners.push(...problems);
		await this.#openAll(records);
		if (this.#options.cacheSize !== undefined) {
			this.#evictTimer = setInterval(() => this.#evict(), evictMs).unref();
		}

		this.#balance();
	}

	async #openAll(records: readonly RecordFile[]): Promise<void> {
		for (const recordFile of records) {
			const {record} = recordFile;
			this.#lastAddedAt = Math.max(this.#lastAddedAt, record.addedAt);
			if (record.removed === 'delete' && !this.#access.refusal) {
				await this.#purgeOrTell(record.id);
			} else if (record.removed) {
				this.#removed.set(record.id, {recordFile});
			} else {
				await this.#openOrLeave(recordFile);
			}
		}

		this.#putInOrder();
	}

	/** One that cannot be opened does not keep the others from being opened. */
	async #openOrLeave(recordFile: RecordFile): Promise<void> {
		try {
			await this.#openTransfer(recordFile);
		} catch (error) {
			const reason = error instanceof Error ? error.message : String(error);
			this.addBanner(`The download in ${recordFile.folder} is left as it is: ${reason}`);
		}
	}

	async #openTransfer(
		recordFile: RecordFile,
		source: DataSource = this.#sourceOf(recordFile.record),
	): Promise<Transfer> {
		const transfer = await Transfer.open(recordFile, source, this.#services);
		if (this.#hasEnded) {
			await transfer.close();
			this.#refuseIfEnded();
		}

		this.#transfers.set(transfer.id, transfer);
		return transfer;
	}

	#refuseOwnStream(url: URL): void {
		if (this.#isOwnStream(url)) {
			throw new DownStreamError(
				'bad-request',
				"that is this program's own stream; give the URL of the file itself",
			);
		}
	}

	/** A download of it would wait for its own bytes. At another port (a tunnel) only ids and the key tell. */
	#isOwnStream({hostname, port, pathname, searchParams}: URL): boolean {
		const [, area = '', id = ''] = pathname.split('/');
		const isOurPort = URL.canParse(this.#origin) && new URL(this.#origin).port === port;
		const isKnown = this.#transfers.has(id) || this.#removed.has(id) || searchParams.get('key') === this.key;
		return (
			['stream', 'playlist.m3u', 'api'].includes(area) && ((isOurPort && isLoopback(hostname)) || isKnown)
		);
	}

	#refuseIfEnded(): void {
		if (this.#hasEnded) {
			throw new DownStreamError('not-found', 'The program is ending');
		}
	}

	/** Several may ask at once; it comes back once. */
	#restore(removed: Removed, change: Partial<DownloadRecord> = {}, source?: DataSource): Promise<Transfer> {
		clearTimeout(removed.timer);
		removed.timer = undefined;
		removed.back ??= this.#bringBack(removed, change, source);
		return removed.back;
	}

	async #bringBack(
		removed: Removed,
		change: Partial<DownloadRecord>,
		source: DataSource | undefined,
	): Promise<Transfer> {
		const {recordFile} = removed;
		try {
			await removed.closing;
			await recordFile.save({...change, removed: undefined});
			const transfer = await this.#openTransfer(recordFile, source);
			this.#removed.delete(transfer.id);
			this.#putInOrder();
			this.#balance();
			return transfer;
		} finally {
			removed.back = undefined;
		}
	}

	/** As they were added. */
	#putInOrder(): void {
		const inOrder = [...this.#transfers.values()].toSorted(
			(a, b) => a.recordFile.record.addedAt - b.recordFile.record.addedAt,
		);
		this.#transfers.clear();
		for (const each of inOrder) {
			this.#transfers.set(each.id, each);
		}
	}

	#evict(): void {
		const {cacheSize = Infinity} = this.#options;
		if (cacheSize !== Infinity && !this.#disposed && !this.#access.refusal) {
			void this.makeRoom(cacheSize);
		}
	}

	async #purge(id: DownloadId): Promise<void> {
		const removed = this.#removed.get(id);
		clearTimeout(removed?.timer);
		if (removed?.closing) {
			await removed.closing;
		}

		this.#removed.delete(id);
		await this.#heldFor(this.#store.delete(id));
	}

	/** What cannot be deleted keeps nothing else from going on; the next start tries again. */
	async #purgeOrTell(id: DownloadId): Promise<void> {
		try {
			await this.#purge(id);
		} catch (error) {
			if (this.#access.refusal) {
				return;
			}

			const reason = error instanceof Error ? error.message : String(error);
			this.addBanner(`A removed download cannot be deleted: ${reason}`);
		}
	}

	/** The storage folder is nobody else's before that is over. */
	async #heldFor<T>(writing: Promise<T>): Promise<T> {
		this.#writing.add(writing);
		try {
			return await writing;
		} finally {
			this.#writing.delete(writing);
		}
	}

	/** How to get the link of now where a command gives links. */
	#newLink(record: DownloadRecord): NewLink | undefined {
		const {item, resolveWith} = record;
		const command = this.#options.resolveWith ?? resolveWith;
		if (item === undefined || !command) {
			return undefined;
		}

		return async signal => {
			const link = await resolveLink(command, item, signal);
			const {url, credentials} = withoutCredentials(link.url);
			this.#refuseOwnStream(url);
			const known = checkedHeaders({...headersFor(url, record), ...credentials});
			const headers = checkedHeaders({...known, ...link.headers});
			Logger.info(`${record.id}: new link ${maskUrl(url.href)}`);
			const change = {url: url.href, headers};
			return {change, source: this.#sourceOf({...record, ...change})};
		};
	}

	#sourceOf(record: DownloadRecord): DataSource {
		if (record.ownSource) {
			return new MissingDataSource(record.url);
		}

		const {userAgent, proxy, connections, tls} = this.#options;
		return new CustomHeaderDataSource({
			url: record.url,
			customHeaders: record.headers,
			userAgent: record.userAgent ?? userAgent,
			proxy: record.proxy ?? proxy,
			connections: record.connections ?? connections,
			tls,
			isOwnStream: url => this.#isOwnStream(url),
		});
	}

	#findSame(given: RecordInput): Transfer | undefined {
		return [...this.#transfers.values()].find(({recordFile}) => isSame(recordFile.record, given));
	}

	#get(id: DownloadId): Transfer {
		const transfer = this.#transfers.get(id);
		if (!transfer) {
			throw new DownStreamError('not-found', `There is no download ${id}`);
		}

		return transfer;
	}

	#view(transfer: Transfer): Download {
		return transfer.view(Date.now());
	}

	async #export(transfer: Transfer, request: ExportRequest): Promise<string> {
		const ranges = transfer.isComplete ? undefined : [...transfer.present];
		// Nobody knows how far a file of unknown size goes on.
		const size = this.#view(transfer).size ?? ranges?.at(-1)?.end ?? 0;
		const exporting = transfer.exporting(async (source, onProgress, onPlaced) =>
			exportFile({
				source,
				target: request.path,
				size,
				ranges,
				overwrite: request.overwrite,
				keepBoth: request.keepBoth,
				move: request.move,
				signal: this.#exports.signal,
				onProgress,
				onPlaced,
			}),
		);
		const placed = await this.#heldFor(exporting);
		Logger.info(`${transfer.id}: exported to ${placed}`);
		return placed;
	}

	#queue(): Transfer[] {
		return [...this.#transfers.values()].toSorted(
			// A crash between two saves may have left the same rank to two.
			(a, b) => a.queueRank - b.queueRank || a.recordFile.record.addedAt - b.recordFile.record.addedAt,
		);
	}

	/** Hands the places of the queue out. */
	#balance(): void {
		let places = this.#options.maxActive ?? 3;
		for (const transfer of this.#queue()) {
			const gets = transfer.wantsPlace && (places > 0 || transfer.isProbing);
			places -= gets && !transfer.isProbing ? 1 : 0;
			transfer.setBackgroundAllowed(gets);
			const {exportWhenComplete} = transfer.recordFile.record;
			if (this.#mayExport(transfer) && exportWhenComplete) {
				void this.#export(transfer, exportWhenComplete).catch((error: unknown) => {
					// What the end of the program cut short is made after the next start.
					if (!this.#hasEnded) {
						transfer.exportFailed(error);
					}
				});
			}
		}

		this.#evict();
		this.#changed(0);
	}

	#mayExport(transfer: Transfer): boolean {
		return !this.#access.refusal && transfer.isComplete && transfer.status === 'complete';
	}

	#wakeHost(host: string): void {
		for (const transfer of this.#transfers.values()) {
			if (transfer.host === host) {
				transfer.wake();
			}
		}
	}

	/** What happens now and then is told at once, bytes that flow several times a second; the first after a pause is. */
	#changed(delay = Math.max(0, this.#noticedAt + noticeMs - performance.now())): void {
		this.#isStale = true;
		if (this.#listeners.size === 0) {
			return;
		}

		if (delay === 0) {
			clearTimeout(this.#noticeTimer);
			this.#noticeTimer = undefined;
		}

		this.#noticeTimer ??= setTimeout(() => {
			this.#noticeTimer = undefined;
			this.#noticedAt = performance.now();
			for (const listener of this.#listeners) {
				listener();
			}

			this.#tick();
		}, delay);
	}

	/** Runs only while somebody looks and something fades. */
	#tick(): void {
		const lively =
			this.#listeners.size > 0 && [...this.#transfers.values()].some(transfer => transfer.changesOverTime);
		if (lively && !this.#disposed) {
			this.#tickTimer ??= setTimeout(() => {
				this.#tickTimer = undefined;
				this.#changed();
			}, tickMs);
			this.#tickTimer.unref();
		}
	}

	#takeSnapshot(): Snapshot {
		const now = Date.now();
		if (now - this.#freeBytesAt > freeSpaceMs) {
			this.#freeBytesAt = now;
			void this.#lookAtFreeSpace();
		}

		const downloads = Array.from(this.#transfers.values(), transfer => transfer.view(now));
		return {
			version: this.#snapshot.version + 1,
			downloads,
			bytesPerSecond: downloads.reduce((sum, {bytesPerSecond}) => sum + bytesPerSecond, 0),
			limitRate: finiteRate(this.#services.bandwidth.limit),
			freeBytes: this.#freeBytes,
			origin: this.#origin,
			banners: [
				...(this.#access.banner === undefined ? [] : [this.#access.banner]),
				...sharedProblems(downloads, path.resolve(this.#options.storageDir)),
				...this.#banners,
			],
		};
	}

	async #lookAtFreeSpace(): Promise<void> {
		const {bavail, bsize} = await statfs(this.#options.storageDir).catch(() => ({
			bavail: undefined,
			bsize: 0,
		}));
		const free = bavail === undefined ? null : bavail * bsize;
		if (free !== this.#freeBytes) {
			this.#freeBytes = free;
			this.#changed();
		}
	}
}

/** `view`: of one that is on the list. */
function evictableOf(record: DownloadRecord, view: Download | undefined): Evictable {
	const {id, ranges, completedAt, readAt, movedTo} = record;
	return {
		id,
		present: view?.present ?? ranges.reduce((sum, [start, end]) => sum + end - start, 0),
		completedAt: completedAt ?? null,
		exportWhenComplete: view?.exportWhenComplete ?? null,
		status: view?.status ?? 'removed',
		players: view?.players ?? [],
		readAt,
		isMoved: movedTo !== undefined,
	};
}

/** Links come and go: an item is known by itself. */
function isSame(record: DownloadRecord, {url, item, headers, ownSource}: RecordInput): boolean {
	const sorted = (record: Readonly<Record<string, string>>) =>
		JSON.stringify(Object.entries(inLowerCase(record)).toSorted(([a], [b]) => (a < b ? -1 : 1)));
	const isSameFile =
		item === undefined
			? record.url === url && record.ownSource === ownSource && sorted(record.headers) === sorted(headers)
			: record.item === item;
	return isSameFile && !record.superseded;
}

/** Who gives a checksum wants to know whether it fits, also of bytes that are here already. */
async function applyChecksum(transfer: Transfer, checksum: string | undefined): Promise<void> {
	if (isNewChecksum(transfer, checksum)) {
		await transfer.change(() => ({checksum}));
	}
}

function isNewChecksum({recordFile}: Transfer, checksum: string | undefined): boolean {
	return checksum !== undefined && checksum !== recordFile.record.checksum;
}

/** What of the entry's headers goes to a place: what proves to one origin who the user is must not reach another one. */
function headersFor(place: URL | undefined, {url, headers}: DownloadRecord): Record<string, string> {
	const isElsewhere = place !== undefined && place.origin !== new URL(url).origin;
	return Object.fromEntries(
		Object.entries(headers).filter(([header]) => !isElsewhere || !credentialHeader.test(header)),
	);
}

/** What stands in the way of several downloads, or of all, in one sentence each; what helps is for a client to say. */
function sharedProblems(downloads: readonly Download[], storageDir: string): string[] {
	const has = (code: ErrorCode) => downloads.filter(({error}) => error?.code === code);
	const full = has('disk-full').length;
	const [behindProxy] = has('upstream-proxy-unreachable');
	const away = downloads.filter(download => isAway(download));
	const outside = away.filter(
		({url, error}) => error?.code === 'origin-unreachable' && !isLoopback(new URL(url).hostname),
	);
	const isOffline = outside.length > 0 && !hasNetwork();
	const troubles: string[] = [];
	if (full > 0) {
		troubles.push(`Disk full: ${storageDir}. ${waitingCount(full)} for free space.`);
	}

	if (behindProxy) {
		troubles.push(`${behindProxy.error?.message ?? ''}; it is tried again and again.`);
	}

	if (isOffline) {
		troubles.push(`No network. ${goingOn(outside.length)}`);
	}

	const told = away.filter(download => !(isOffline && outside.includes(download)));
	for (const host of new Set(told.map(({url}) => new URL(url).host))) {
		const waiting = told.filter(({url}) => new URL(url).host === host);
		const isBusy = waiting.every(({error}) => error?.code === 'origin-busy');
		troubles.push(`${host} ${isBusy ? 'is busy' : 'cannot be reached'}. ${goingOn(waiting.length)}`);
	}

	return troubles;
}

function waitingCount(count: number): string {
	return count === 1 ? '1 download waits' : `${count} downloads wait`;
}

function goingOn(count: number): string {
	return `${waitingCount(count)}, and ${count === 1 ? 'goes on by itself' : 'go on by themselves'}.`;
}

/** Its host fails, and not for a moment alone. */
function isAway({url, status, error, lastByteAt}: Download): boolean {
	return (
		status === 'waiting' &&
		new URL(url).host !== '' &&
		(error?.code === 'origin-unreachable' || error?.code === 'origin-busy') &&
		(lastByteAt === null || (error.tries ?? 0) > 1)
	);
}

function hasNetwork(): boolean {
	return Object.values(networkInterfaces()).some(addresses => addresses?.some(({internal}) => !internal));
}

function isLoopback(hostname: string): boolean {
	return /^(?:(?:.+\.)?localhost\.?|127\.[\d.]+|0\.0\.0\.0|\[::(?:1|ffff:7f[\da-f]{2}:[\da-f]+)?\])$/.test(
		hostname,
	);
}

/** What the user gave and asked for, without what became of it. */
function inputOf(record: DownloadRecord): Omit<RecordInput, 'intent'> {
	const {url, headers, userAgent, proxy, item, resolveWith} = record;
	const {connections, givenName, onDemand, checksum, limitRate, exportWhenComplete} = record;
	return {
		url,
		headers,
		userAgent,
		proxy,
		item,
		resolveWith,
		connections,
		givenName,
		onDemand,
		checksum,
		limitRate,
		exportWhenComplete,
	};
}

/** Of an record, what does not say where the file is. Throws `bad-request`. */
function recordFields(
	request: Omit<AddRequest, 'url' | 'headers'>,
): Pick<DownloadRecord, 'intent'> & Partial<DownloadRecord> {
	const {userAgent, proxy, connections, name, checksum, onDemand, paused} = request;
	checkRequest(request);
	return {
		...(userAgent !== undefined && {userAgent}),
		...(proxy !== undefined && {proxy}),
		...(connections !== undefined && {connections}),
		...(name !== undefined && {givenName: safeFileName(name)}),
		...(checksum !== undefined && {checksum: checksum.toLowerCase()}),
		...(onDemand !== undefined && {onDemand}),
		intent: paused ? 'pause' : 'run',
	};
}

function finiteRate(rate: number): number | null {
	return rate === Infinity ? null : rate;
}
