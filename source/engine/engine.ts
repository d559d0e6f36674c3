// The engine: the verbs of the interface, each handed to the part that does it.
import {
	DownStreamError,
	type AddRequest,
	type Download,
	type DownloadChange,
	type DownloadEngine,
	type DownloadId,
	type ExportRequest,
	type Pledge,
	type PlayerCommand,
	type QueueMove,
	type SafeRequest,
	type Snapshot,
} from '../downstream.ts';
import {Logger} from '../log.ts';
import {checkOption, rateLimit} from '../schema.ts';
import {Balance} from './balance.ts';
import {Catalog, type Addition} from './catalog.ts';
import {checkRequest} from './check-request.ts';
import type {Transfer} from './download/transfer.ts';
import type {TransferServices} from './download/transfer-services.ts';
import {Exports} from './exports.ts';
import {Bandwidth} from './fetch/bandwidth.ts';
import {HostLimits} from './fetch/host-limits.ts';
import {BlockPool} from './memory/block-pool.ts';
import type {EngineOptions} from './options.ts';
import type {DataSource} from './origin/data-source.ts';
import {withoutCredentials} from './origin/http-source.ts';
import {PlayerLinks} from './player/player-links.ts';
import {makeNextSafe, makeSafe, pledgedElsewhere} from './pledging.ts';
import {neighborOf} from './queue.ts';
import {changedFields, inputOfRequest, inputOfSource, type RecordInput} from './record-input.ts';
import {Snapshots} from './snapshots.ts';
import {Sources} from './sources.ts';
import {evictableOf, selectEvictions} from './store/eviction.ts';
import {keepPrivate, makeFolder} from './store/make-folder.ts';
import {RecordStore, newKey, readKey, viewKeyOf} from './store/record-store.ts';
import {StorageAccess} from './store/storage-access.ts';

/** A download becomes evictable without an event when its last player is forgotten. */
const evictMs = 10_000;

export class Engine implements DownloadEngine {
	/** Authorizes requests to the proxy's API and URL forms. Created once for each storage folder. */
	readonly key: string;
	readonly #options: EngineOptions;
	readonly #access: StorageAccess;
	readonly #services: TransferServices;
	readonly #sources: Sources;
	readonly #catalog: Catalog;
	readonly #exports: Exports;
	readonly #snapshots: Snapshots;
	/** Assigns the places of the queue. */
	readonly #balance: Balance;
	readonly #players = new PlayerLinks(id => this.transfer(id)?.watching);
	#origin = '';
	#evictTimer: NodeJS.Timeout | undefined;
	#disposed: Promise<void> | undefined;

	/** Rejects with `storage-locked` if another instance uses the folder, `disk-failed` if it is unusable. */
	static async open(options: EngineOptions): Promise<Engine> {
		const {storageDir} = options;
		try {
			await makeFolder(storageDir, 0o700);
		} catch (error) {
			throw new DownStreamError('disk-failed', `The storage folder ${storageDir} cannot be created`, {
				cause: error,
			});
		}

		await keepPrivate(storageDir);
		const access = await StorageAccess.open(storageDir);
		try {
			const store = await RecordStore.open(storageDir, access, access.wasReleased);
			const key = await readKey(storageDir, access).catch((error: DownStreamError) => error);
			const engine = new Engine(options, access, store, typeof key === 'string' ? key : newKey());
			if (typeof key !== 'string') {
				engine.addBanner(`${key.message}. The key of this run is not saved.`);
			}

			await engine.#start();
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
		this.#services = {
			bandwidth: new Bandwidth(options.limitRate),
			blocks: new BlockPool(),
			access,
			hosts: new HostLimits(),
			connections: options.connections ?? 4,
			responseTimeout: options.responseTimeout ?? 30_000,
			readAhead: options.readAhead ?? 16 * 1024 * 1024,
			readAheadMs: options.readAheadMs,
			// An engine that fetches nothing ends with the command that opened it.
			film: options.maxActive === 0 ? 'stored' : (options.film ?? true),
			keepAhead: options.keepAhead ?? 0,
			next: options.next ?? 0,
			streamUrl: (id, name) => `${this.#origin}/stream/${id}/${encodeURIComponent(name)}`,
			newLink: record => this.#sources.newLink(record),
			changed: () => this.#snapshots.changed(),
			// The balance marks the snapshot as changed.
			queueChanged: () => this.#balance.wake(),
			pledgedElsewhere: id => pledgedElsewhere(this.#catalog, id),
			nearEnd: id => void makeNextSafe(this.#catalog, id, this.#services.next),
		};
		this.#sources = new Sources(options, {
			keys: [key, viewKeyOf(key)],
			origin: () => this.#origin,
			isKnown: id => this.#catalog.has(id),
		});
		this.#snapshots = new Snapshots({
			storageDir: options.storageDir,
			transfers: () => this.#catalog.transfers.values(),
			facts: () => ({
				limitRate: finiteRate(this.#services.bandwidth.limit),
				origin: this.#origin,
				banners: access.banner === undefined ? [] : [access.banner],
			}),
		});
		this.#catalog = new Catalog({
			store,
			services: this.#services,
			sources: this.#sources,
			onDemand: options.onDemand ?? false,
			warn: sentence => this.addBanner(sentence),
		});
		this.#exports = new Exports(this.#catalog, () => this.#snapshots.changed());
		this.#balance = new Balance(options, {
			catalog: this.#catalog,
			exports: this.#exports,
			access,
			done: () => {
				this.#evict();
				this.#snapshots.changedNow();
			},
		});
		access.events = {
			reread: async () => this.#reread(),
			gained: () => {
				this.#catalog.mayWrite();
				this.#balance.wake();
			},
			lost: reason => {
				this.#exports.abort(reason);
				this.#catalog.abandon(reason);
				this.#snapshots.changed();
			},
		};
	}

	/** Authorizes reads only, for players and pages. */
	get viewKey(): string {
		return viewKeyOf(this.key);
	}

	/** `http://127.0.0.1:PORT`; empty until the proxy listens. */
	get origin(): string {
		return this.#origin;
	}

	/** The proxy listens: stream URLs are known, and other instances can find this one. */
	async publish(origin: string): Promise<void> {
		this.#origin = origin;
		for (const transfer of this.#catalog.transfers.values()) {
			transfer.forgetView();
			this.#players.relink(transfer.id);
		}

		this.#snapshots.changed();
		await this.#access.publish(origin);
	}

	/** Shows a sentence about the whole program, until it ends. */
	addBanner(text: string): void {
		this.#snapshots.addBanner(text);
	}

	get snapshot(): Snapshot {
		return this.#snapshots.current;
	}

	subscribe(listener: () => void): () => void {
		return this.#snapshots.subscribe(listener);
	}

	transfer(id: DownloadId): Transfer | undefined {
		return this.#catalog.transfers.get(id);
	}

	/** The transfer of a request, added on first use. A download that is there is not resumed. */
	async transferOf(request: AddRequest): Promise<Transfer> {
		const {transfer} = await this.#settled(this.#catalog.add(this.#inputOf(request), {resumes: false}));
		return transfer;
	}

	async add(request: AddRequest, addition?: Addition): Promise<{download: Download; existed: boolean}> {
		return this.#add(this.#inputOf(request), addition);
	}

	/**
	 * Adds a download whose bytes come from the program's own data source. The next run serves its stored bytes, and
	 * fetches the rest once the source is added again. Rejects with `bad-request` if the source's URL is not a URL.
	 */
	async addSource(
		source: DataSource,
		request: Omit<AddRequest, 'url' | 'headers' | 'userAgent' | 'proxy'> = {},
	): Promise<{download: Download; existed: boolean}> {
		return this.#add(inputOfSource(source.url, request), {ownSource: source});
	}

	async #add(input: RecordInput, addition?: Addition): Promise<{download: Download; existed: boolean}> {
		const {transfer, existed} = await this.#settled(this.#catalog.add(input, addition));
		return {download: this.#catalog.view(transfer), existed};
	}

	#inputOf(request: AddRequest): RecordInput {
		this.#sources.refuseOwnStream(withoutCredentials(request.url).url);
		return inputOfRequest(request, this.#options);
	}

	async pause(id: DownloadId): Promise<void> {
		await this.#changing(async () => this.#catalog.get(id).pause());
	}

	async resume(id: DownloadId, {isTemporary}: Pick<Addition, 'isTemporary'> = {}): Promise<void> {
		await this.#changing(async () => this.#catalog.resume(id, isTemporary));
	}

	/** Nothing of the download is temporary any longer. Rejects as `Catalog.keep` does. */
	async keep(id: DownloadId): Promise<void> {
		await this.#catalog.keep(id);
	}

	async cancel(id: DownloadId): Promise<void> {
		await this.#changing(async () => this.#catalog.get(id).cancel());
	}

	async remove(id: DownloadId, options: {data: 'keep' | 'delete'; undoMs?: number}): Promise<void> {
		await this.#changing(async () => this.#catalog.remove(id, options));
	}

	async restore(id: DownloadId): Promise<void> {
		await this.#changing(async () => this.#catalog.restore(id));
	}

	/** Deletes all downloads and their bytes, removed ones included. */
	async clear(): Promise<void> {
		await this.#changing(async () => this.#catalog.clear());
	}

	async update(id: DownloadId, change: DownloadChange): Promise<Download> {
		return this.#changing(async () => this.#update(id, change));
	}

	async #update(id: DownloadId, change: DownloadChange): Promise<Download> {
		const transfer = this.#catalog.get(id);
		const {ownSource} = transfer.recordFile.record;
		checkRequest(change);
		const {url, headers, userAgent, proxy, connections} = change;
		if (ownSource && [url, headers, userAgent, proxy].some(given => given !== undefined)) {
			throw new DownStreamError(
				'bad-request',
				"This download uses a program's own data source: its URL, headers and proxy cannot be changed",
			);
		}

		const place = url === undefined ? undefined : withoutCredentials(url);
		if (place) {
			this.#sources.refuseOwnStream(place.url);
		}

		const isOtherSource = [place, headers, userAgent, proxy, connections].some(given => given !== undefined);
		await transfer.change(
			record => changedFields(change, place, record),
			isOtherSource && !ownSource ? record => this.#sources.of(record) : undefined,
		);
		const {positionMs, watched} = change;
		if (positionMs !== undefined || watched !== undefined) {
			await transfer.watching.set({positionMs, watched});
		}

		return this.#catalog.view(transfer);
	}

	async acceptChange(id: DownloadId): Promise<void> {
		await this.#changing(async () => this.#catalog.get(id).acceptChange());
	}

	async startOver(id: DownloadId, {keepOld = false}: {keepOld?: boolean} = {}): Promise<Download> {
		return this.#changing(async () => this.#startOver(id, keepOld));
	}

	async #startOver(id: DownloadId, keepOld: boolean): Promise<Download> {
		const transfer = this.#catalog.get(id);
		if (!keepOld) {
			await transfer.startOver();
			return this.#catalog.view(transfer);
		}

		if (transfer.recordFile.record.ownSource) {
			throw new DownStreamError(
				'bad-request',
				"This download uses a program's own data source: its old version cannot be kept beside the new one",
			);
		}

		return this.#catalog.view(await this.#catalog.supersede(transfer));
	}

	async verify(id: DownloadId): Promise<{damaged: Array<[start: number, end: number]>}> {
		const damaged = await this.#catalog.get(id).verify();
		return {damaged: damaged.map(({start, end}) => [start, end])};
	}

	async moveInQueue(id: DownloadId, by: QueueMove): Promise<void> {
		await this.#changing(async () => this.#moveInQueue(id, by));
	}

	async #moveInQueue(id: DownloadId, by: QueueMove): Promise<void> {
		const transfer = this.#catalog.get(id);
		const {transfers} = this.#catalog;
		if (by === 'front') {
			const ranks = Array.from(transfers.values(), ({queueRank}) => queueRank);
			await transfer.change(() => ({queueRank: Math.min(...ranks) - 1}));
			return;
		}

		const neighbor = neighborOf(transfers.values(), transfer, by);
		if (neighbor) {
			const {queueRank} = transfer;
			await Promise.all([
				transfer.change(() => ({queueRank: neighbor.queueRank})),
				neighbor.change(() => ({queueRank})),
			]);
		}
	}

	async makeSafe(id: DownloadId, request: SafeRequest): Promise<Pledge> {
		return this.#changing(async () => makeSafe(this.#catalog, id, request));
	}

	async lift(id: DownloadId, n: number): Promise<void> {
		await this.#changing(async () => this.#catalog.get(id).lift(n));
	}

	async setLimitRate(bytesPerSecond: number | null): Promise<void> {
		this.#services.bandwidth.limit = checkOption('limitRate', bytesPerSecond, rateLimit) ?? Infinity;
		this.#snapshots.changedNow();
	}

	/** `signal` ends a running copy, but not a planned export. */
	async export(id: DownloadId, request: ExportRequest, signal?: AbortSignal): Promise<{path: string}> {
		const run = async () => this.#exports.export(this.#catalog.get(id), request, signal);
		const isChange = request.move || request.when === 'complete';
		return {path: await (isChange ? this.#changing(run) : run())};
	}

	async linkPlayer(id: DownloadId): Promise<{socket: string}> {
		this.#catalog.get(id);
		return {socket: await this.#players.invite(id)};
	}

	async controlPlayer(id: DownloadId, command: PlayerCommand): Promise<void> {
		this.#catalog.get(id);
		await this.#players.control(id, command);
	}

	/** Evicts downloads until the store holds at most `cacheSize` bytes. Failed deletions are logged. */
	async makeRoom(cacheSize: number): Promise<void> {
		const {transfers, kept} = this.#catalog;
		const listed = Array.from(transfers.values(), transfer =>
			evictableOf(transfer.recordFile.record, this.#catalog.view(transfer)),
		);
		const unlisted = kept.map(record => evictableOf(record));
		const evictions = selectEvictions([...listed, ...unlisted], cacheSize).map(async id => {
			Logger.info(`${id}: evicted`);
			try {
				await (transfers.has(id) ? this.remove(id, {data: 'delete', undoMs: 0}) : this.#catalog.purge(id));
			} catch (error) {
				Logger.warn(`${id}: not evicted: ${String(error)}`);
			}
		});
		await Promise.all(evictions);
	}

	async dispose(): Promise<void> {
		return (this.#disposed ??= this.#dispose());
	}

	async #dispose(): Promise<void> {
		this.#catalog.end();
		this.#balance.end();
		clearInterval(this.#evictTimer);
		this.#snapshots.end();
		this.#exports.abort();
		await this.#players.end();
		await this.#catalog.close();
		await this.#access.release();
	}

	/** Runs a change of the storage folder once it may be written. Rejects with the reason why it may not. */
	async #changing<T>(change: () => Promise<T>): Promise<T> {
		if (this.#access.refusal) {
			await this.#access.obtain();
		}

		return this.#settled(change());
	}

	/** Resolves once the queue shows the effect of a command. */
	async #settled<T>(command: Promise<T>): Promise<T> {
		const result = await command;
		this.#balance.settle();
		return result;
	}

	async #start(): Promise<void> {
		await this.#catalog.openAll();
		if ((this.#options.cacheSize ?? Infinity) !== Infinity) {
			this.#evictTimer = setInterval(() => this.#evict(), evictMs).unref();
		}

		this.#balance.run();
	}

	async #reread(): Promise<void> {
		await this.#catalog.reread();
		// Players know the key of this run. A full disk has no room for it.
		await readKey(this.#options.storageDir, undefined, this.key).catch(() => undefined);
	}

	#evict(): void {
		const {cacheSize = Infinity} = this.#options;
		if (cacheSize !== Infinity && !this.#disposed && !this.#access.refusal) {
			void this.makeRoom(cacheSize);
		}
	}
}

function finiteRate(rate: number): number | null {
	return rate === Infinity ? null : rate;
}
