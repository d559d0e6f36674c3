// The downloads of a storage folder by their ids: added, found again, removed, and restored.
import {existsSync} from 'node:fs';
import {randomBytes} from 'node:crypto';
import {DownStreamError, type Download, type DownloadId} from '../downstream.ts';
import {Logger} from '../log.ts';
import {maskUrl} from '../text/mask-url.ts';
import {messageOf} from '../text/message-of.ts';
import {Transfer} from './download/transfer.ts';
import type {TransferServices} from './download/transfer-services.ts';
import type {DataSource} from './origin/data-source.ts';
import {inputOfRecord, isSame, type RecordInput} from './record-input.ts';
import {Removals, type Removal, type Removed} from './removals.ts';
import type {Sources} from './sources.ts';
import type {DownloadRecord} from './store/record.ts';
import type {RecordFile, RecordStore} from './store/record-store.ts';

export type Addition = {
	/** A data source of a program's own. */
	readonly ownSource?: DataSource | undefined;
	/** Resume a download that is there already. */
	readonly resumes?: boolean;
	/**
	 * Until `keep` is called, the next start undoes the addition: a new download leaves the list with its bytes kept, and
	 * a known one returns to its present state.
	 */
	readonly isTemporary?: boolean;
};

type CatalogContext = {
	readonly store: RecordStore;
	readonly services: TransferServices;
	readonly sources: Sources;
	/** The default for requests. */
	readonly onDemand: boolean;
	/** Shows one sentence to the user. */
	readonly warn: (sentence: string) => void;
};

export class Catalog {
	readonly #store: RecordStore;
	readonly #services: TransferServices;
	readonly #sources: Sources;
	readonly #onDemand: boolean;
	readonly #warn: (sentence: string) => void;
	/** In the order of their addition. */
	readonly #transfers = new Map<DownloadId, Transfer>();
	readonly #removals: Removals;
	/** Added or resumed since the engine opened. */
	readonly #requested = new Set<DownloadId>();
	/** Until they are in `#transfers`. */
	readonly #creating = new Map<DownloadRecord, Promise<Transfer>>();
	/** Operations that write to the storage folder. */
	readonly #writing = new Set<Promise<unknown>>();
	#lastAddedAt = 0;
	#isOpening = false;
	#hasEnded = false;

	constructor({store, services, sources, onDemand, warn}: CatalogContext) {
		this.#store = store;
		this.#services = services;
		this.#sources = sources;
		this.#onDemand = onDemand;
		this.#warn = warn;
		this.#removals = new Removals({
			deleteData: id => this.track(store.delete(id)),
			deletionFailed: error => {
				if (!services.access.refusal) {
					warn(`A removed download cannot be deleted: ${messageOf(error)}`);
				}
			},
		});
	}

	get transfers(): ReadonlyMap<DownloadId, Transfer> {
		return this.#transfers;
	}

	/** While true, no download requests a balance of the queue: thousands with pledges would. One follows for all. */
	get isOpening(): boolean {
		return this.#isOpening;
	}

	/** Records of removed downloads whose bytes are kept permanently. */
	get kept(): DownloadRecord[] {
		return this.#removals.kept;
	}

	/** True once no further operation may start. */
	get hasEnded(): boolean {
		return this.#hasEnded;
	}

	/** Added or resumed since the engine opened. */
	isRequested(id: DownloadId): boolean {
		return this.#requested.has(id);
	}

	/** Rejects with `not-found`, or as `Transfer.resume` does. */
	async resume(id: DownloadId, isTemporary?: boolean): Promise<void> {
		const transfer = this.get(id);
		this.request(id);
		await transfer.resume(isTemporary);
	}

	/** The next start leaves the download as it is. Rejects with `not-found`, `disk-full` or `disk-failed`. */
	async keep(id: DownloadId): Promise<void> {
		await this.get(id).recordFile.save({removed: undefined, before: undefined});
	}

	/** The download counts as one of this run. */
	request(id: DownloadId): void {
		if (!this.#requested.has(id)) {
			this.#requested.add(id);
			this.#services.queueChanged();
		}
	}

	/** Throws `not-found`. */
	get(id: DownloadId): Transfer {
		const transfer = this.#transfers.get(id);
		if (!transfer) {
			throw new DownStreamError('not-found', `There is no download ${id}`);
		}

		return transfer;
	}

	/** Removed downloads too. */
	has(id: DownloadId): boolean {
		return this.#transfers.has(id) || this.#removals.get(id) !== undefined;
	}

	view(transfer: Transfer): Download {
		return transfer.view(Date.now());
	}

	/** The storage folder is released after all tracked operations. */
	async track<T>(writing: Promise<T>): Promise<T> {
		this.#writing.add(writing);
		try {
			return await writing;
		} finally {
			this.#writing.delete(writing);
		}
	}

	async add(input: RecordInput, addition: Addition = {}): Promise<{transfer: Transfer; existed: boolean}> {
		return this.track(this.#findOrCreate(input, addition));
	}

	async #findOrCreate(
		input: RecordInput,
		addition: Addition,
	): Promise<{transfer: Transfer; existed: boolean}> {
		const {ownSource, resumes = true, isTemporary = false} = addition;
		const {access} = this.#services;
		this.#refuseIfEnded();
		const known = [...this.#transfers.values()].find(({recordFile}) => isSame(recordFile.record, input));
		const isResumed = known !== undefined && isResumedBy(known, input, resumes);
		const isKept = !isTemporary && known !== undefined && isTemporarily(known.recordFile.record);
		const isChange = !known || isResumed || isKept || ownSource || isNewChecksum(known, input.checksum);
		if (isChange && access.refusal) {
			await access.obtain();
			// Obtaining the lock may have reread the records.
			return this.#findOrCreate(input, addition);
		}

		if (known) {
			if (resumes && input.intent === 'run') {
				this.request(known.id);
			}

			if (ownSource) {
				await known.takeSource(ownSource);
			}

			if (isResumed) {
				await known.resume(isTemporary);
			}

			if (isKept) {
				await this.keep(known.id);
			}

			await applyChecksum(known, input.checksum);
			return {transfer: known, existed: true};
		}

		const place: Partial<DownloadRecord> = isTemporary ? {removed: 'keep'} : {};
		const removed = this.#removals.find(record => isSame(record, input));
		if (removed) {
			this.#requested.add(removed.recordFile.record.id);
			// The checksum of an earlier addition was removed with it.
			const forgotten = input.checksum === undefined ? {checksum: undefined} : {};
			const change = {intent: input.intent, error: undefined, ...forgotten, ...place};
			const restored = await this.#restore(removed, change, ownSource);
			if (resumes && restored.isPageForFile && input.intent === 'run') {
				await restored.resume();
			}

			await applyChecksum(restored, input.checksum);
			return {transfer: restored, existed: true};
		}

		const creating = [...this.#creating].find(([record]) => isSame(record, input));
		if (creating) {
			await creating[1].catch(() => undefined);
			return this.#findOrCreate(input, addition);
		}

		const record: DownloadRecord = {
			version: 1,
			id: randomBytes(16).toString('hex'),
			ranges: [],
			onDemand: this.#onDemand,
			addedAt: this.#nextAddedAt(),
			...input,
			...place,
		};
		this.#requested.add(record.id);
		// Finds bad headers before anything is stored.
		const source = ownSource ?? this.#sources.of(record);
		if (!resumes && !this.#services.hosts.of(record.url).isLimited) {
			// A player waits: it connects while the record is written.
			source.preconnect?.();
		}

		const created = this.#create(record, source);
		this.#creating.set(record, created);
		try {
			return {transfer: await created, existed: false};
		} finally {
			this.#creating.delete(record);
		}
	}

	/** Orders the list: never the same twice. */
	#nextAddedAt(): number {
		this.#lastAddedAt = Math.max(Date.now(), this.#lastAddedAt + 1);
		return this.#lastAddedAt;
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
		this.#services.queueChanged();
		return transfer;
	}

	/** Stops a download whose file has changed, and adds its URL as a download of its own. */
	async supersede(transfer: Transfer): Promise<Transfer> {
		const {record} = transfer.recordFile;
		await transfer.pause();
		await transfer.change(() => ({superseded: true, exportWhenComplete: undefined}));
		return (await this.add(inputOfRecord(record))).transfer;
	}

	async remove(id: DownloadId, removal: Removal): Promise<void> {
		await this.track(this.#remove(id, removal));
	}

	async #remove(id: DownloadId, removal: Removal): Promise<void> {
		const kept = this.#transfers.has(id) ? undefined : this.#removals.get(id);
		if (kept?.restoring) {
			// The later command wins.
			await kept.restoring.catch(() => undefined);
			await this.#remove(id, removal);
			return;
		}

		if (kept && removal.data === 'delete') {
			await this.#removals.delete(kept, removal);
			return;
		}

		const transfer = this.get(id);
		const closing = transfer.close({removed: removal.data});
		this.#transfers.delete(id);
		const removing = this.#removals.remove(transfer.recordFile, closing, removal);
		this.#services.changed();
		await removing;
		this.#services.queueChanged();
	}

	/** Deletes all downloads and their bytes, removed ones included. */
	async clear(): Promise<void> {
		const listed = [...this.#transfers.keys()];
		await Promise.all(listed.map(id => this.remove(id, {data: 'delete', undoMs: 0})));
		await Promise.all(this.#removals.ids.map(id => this.purge(id)));
	}

	/** Deletes the bytes and the record of a download off the list. */
	async purge(id: DownloadId): Promise<void> {
		await this.#removals.purge(id);
	}

	/** Rejects with `not-found`. */
	async restore(id: DownloadId): Promise<void> {
		const removed = this.#removals.get(id);
		if (!removed) {
			throw new DownStreamError('not-found', `There is no removed download ${id} to restore`);
		}

		this.#refuseIfEnded();
		await this.track(this.#restore(removed));
	}

	#restore(removed: Removed, change: Partial<DownloadRecord> = {}, source?: DataSource): Promise<Transfer> {
		return this.#removals.restore(removed, change, async recordFile => {
			const transfer = await this.#open(recordFile, source);
			this.#sort();
			this.#services.queueChanged();
			return transfer;
		});
	}

	/** For the start of the program. */
	async openAll(): Promise<void> {
		const {records, problems} = await this.#store.readAll();
		for (const problem of problems) {
			this.#warn(problem);
		}

		this.#isOpening = true;
		await this.#openRecords(records);
		this.#isOpening = false;
	}

	/** Reopens the downloads that another instance has changed since; players of the others notice nothing. */
	async reread(): Promise<void> {
		const {records} = await this.#store.readAll();
		const changed = new Map(records.map(recordFile => [recordFile.record.id, recordFile]));
		for (const transfer of [...this.#transfers.values()]) {
			if (changed.get(transfer.id)?.isDurablyAs(transfer.recordFile)) {
				changed.delete(transfer.id);
			} else {
				transfer.abandon(new DownStreamError('not-found', 'Another instance has changed this download'));
				void this.track(transfer.close());
				this.#transfers.delete(transfer.id);
			}
		}

		this.#removals.clear();
		await this.#openRecords([...changed.values()]);
	}

	async #openRecords(records: readonly RecordFile[]): Promise<void> {
		for (const recordFile of records) {
			const {record} = recordFile;
			this.#lastAddedAt = Math.max(this.#lastAddedAt, record.addedAt);
			if ((record.removed === 'delete' || isForgotten(record)) && !this.#services.access.refusal) {
				await this.#removals.purgeInBackground(record.id);
			} else if (record.removed) {
				this.#removals.addStored(recordFile);
			} else {
				await this.#openOrWarn(recordFile);
			}
		}

		this.#sort();
	}

	/** One download that cannot be opened does not affect the others. */
	async #openOrWarn(recordFile: RecordFile): Promise<void> {
		try {
			await this.#open(recordFile);
		} catch (error) {
			this.#warn(`The download in ${recordFile.folder} is left unchanged: ${messageOf(error)}`);
		}
	}

	async #open(recordFile: RecordFile, source = this.#sources.of(recordFile.record)): Promise<Transfer> {
		const transfer = await Transfer.open(recordFile, source, this.#services);
		if (this.#hasEnded) {
			await transfer.close();
			this.#refuseIfEnded();
		}

		this.#transfers.set(transfer.id, transfer);
		return transfer;
	}

	#sort(): void {
		const sorted = [...this.#transfers.values()].toSorted(
			(a, b) => a.recordFile.record.addedAt - b.recordFile.record.addedAt,
		);
		this.#transfers.clear();
		for (const each of sorted) {
			this.#transfers.set(each.id, each);
		}
	}

	/** The storage folder is writable from now on. */
	mayWrite(): void {
		this.#removals.purgeRecorded();
		for (const transfer of this.#transfers.values()) {
			transfer.reevaluate();
		}
	}

	/** Another instance may write to the storage folder from now on: a write of both would corrupt it. */
	abandon(reason: DownStreamError): void {
		this.end();
		for (const transfer of this.#transfers.values()) {
			transfer.abandon(reason);
		}

		this.#removals.clear();
	}

	/** Refuses new operations. */
	end(): void {
		this.#hasEnded = true;
	}

	/** Closes all downloads, waits for tracked operations, and deletes downloads that were removed with their data. */
	async close(): Promise<void> {
		await Promise.allSettled(Array.from(this.#transfers.values(), transfer => transfer.close()));
		await Promise.allSettled(this.#writing);
		await this.#removals.purgePending();
	}

	#refuseIfEnded(): void {
		if (this.#hasEnded) {
			throw new DownStreamError('not-found', 'The program is quitting');
		}
	}
}

/** The next start undoes its addition or resumption. */
function isTemporarily({removed, before}: DownloadRecord): boolean {
	return removed !== undefined || before !== undefined;
}

/** Off the list, and its moved file no longer exists: nothing is left to resume. */
function isForgotten({removed, movedTo}: DownloadRecord): boolean {
	return removed === 'keep' && movedTo !== undefined && !existsSync(movedTo);
}

function isResumedBy({status, isPageForFile}: Transfer, {intent}: RecordInput, resumes: boolean): boolean {
	const isAtRest = ['paused', 'failed', 'waiting', 'checking'].includes(status) || isPageForFile;
	return intent === 'run' && (status === 'cancelled' || (resumes && isAtRest));
}

/** Verifies stored bytes against a checksum that a request gives. */
async function applyChecksum(transfer: Transfer, checksum: string | undefined): Promise<void> {
	if (isNewChecksum(transfer, checksum)) {
		await transfer.change(() => ({checksum}));
	}
}

function isNewChecksum({recordFile}: Transfer, checksum: string | undefined): boolean {
	return checksum !== undefined && checksum !== recordFile.record.checksum;
}
