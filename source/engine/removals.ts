// Removed downloads. Their bytes are kept for another addition, or deleted once the time for undo is over.
import type {DownloadId} from '../downstream.ts';
import type {Transfer} from './download/transfer.ts';
import type {DownloadRecord} from './store/record.ts';
import type {RecordFile} from './store/record-store.ts';

/** A download off the list. With only its record, its bytes are kept until it is added again. */
export type Removed = {
	readonly recordFile: RecordFile;
	/** The write of its last record. */
	closing?: Promise<void> | undefined;
	/** Runs until the bytes are deleted. */
	timer?: NodeJS.Timeout | undefined;
	/** The restored download. */
	restoring?: Promise<Transfer> | undefined;
};

export type Removal = {readonly data: 'keep' | 'delete'; readonly undoMs?: number};

type RemovalsContext = {
	/** Deletes the bytes and the record of a download. */
	readonly deleteData: (id: DownloadId) => Promise<void>;
	/** Called with the error of a deletion in the background. */
	readonly deletionFailed: (error: unknown) => void;
};

const defaultUndoMs = 10_000;

export class Removals {
	readonly #context: RemovalsContext;
	readonly #removed = new Map<DownloadId, Removed>();

	constructor(context: RemovalsContext) {
		this.#context = context;
	}

	get ids(): DownloadId[] {
		return [...this.#removed.keys()];
	}

	/** Records of downloads whose bytes are kept permanently. */
	get kept(): DownloadRecord[] {
		return [...this.#removed.values()]
			.filter(({closing, timer, restoring}) => !closing && !timer && !restoring)
			.map(({recordFile}) => recordFile.record);
	}

	get(id: DownloadId): Removed | undefined {
		return this.#removed.get(id);
	}

	find(isWanted: (record: DownloadRecord) => boolean): Removed | undefined {
		return [...this.#removed.values()].find(({recordFile}) => isWanted(recordFile.record));
	}

	/** For a record of an earlier run. */
	addStored(recordFile: RecordFile): void {
		this.#removed.set(recordFile.record.id, {recordFile});
	}

	/** `closing` is the end of the download, whose bytes are found here in the same tick. */
	async remove(
		recordFile: RecordFile,
		closing: Promise<void>,
		{data, undoMs = defaultUndoMs}: Removal,
	): Promise<void> {
		const {id} = recordFile.record;
		const isForGood = data === 'delete' && undoMs === 0;
		const removed: Removed = {recordFile, closing};
		if (!isForGood) {
			this.#removed.set(id, removed);
		}

		await closing;
		removed.closing = undefined;
		if (removed.restoring) {
			return;
		}

		await recordRemoval(recordFile, data);
		if (isForGood) {
			await this.purge(id);
		} else if (data === 'delete' && !removed.restoring && this.#removed.get(id) === removed) {
			removed.timer = setTimeout(() => void this.purgeInBackground(id), undoMs);
		}
	}

	/**
	 * Deletes the kept bytes of a download that is off the list already, once the time for undo is over. A restoration
	 * that begins meanwhile ends the deletion; none may be running.
	 */
	async delete(removed: Removed, {undoMs = defaultUndoMs}: Pick<Removal, 'undoMs'>): Promise<void> {
		const {recordFile} = removed;
		const {id} = recordFile.record;
		const isKept = () => !removed.restoring && this.#removed.get(id) === removed;
		clearTimeout(removed.timer);
		if (undoMs === 0) {
			// Nothing restores it from now on.
			this.#removed.delete(id);
			await removed.closing;
			await recordRemoval(recordFile, 'delete');
			await this.purge(id);
			return;
		}

		await removed.closing;
		if (isKept()) {
			await recordRemoval(recordFile, 'delete');
		}

		if (isKept()) {
			removed.timer = setTimeout(() => void this.purgeInBackground(id), undoMs);
		}
	}

	/** `open` returns the download to the list. Concurrent calls share one restoration. */
	restore(
		removed: Removed,
		change: Partial<DownloadRecord>,
		open: (recordFile: RecordFile) => Promise<Transfer>,
	): Promise<Transfer> {
		clearTimeout(removed.timer);
		removed.timer = undefined;
		removed.restoring ??= this.#restore(removed, change, open);
		return removed.restoring;
	}

	async #restore(
		removed: Removed,
		change: Partial<DownloadRecord>,
		open: (recordFile: RecordFile) => Promise<Transfer>,
	): Promise<Transfer> {
		const {recordFile} = removed;
		try {
			await removed.closing;
			await recordFile.save({removed: undefined, ...change});
			const transfer = await open(recordFile);
			// It may have been removed again.
			if (this.#removed.get(transfer.id) === removed) {
				this.#removed.delete(transfer.id);
			}

			return transfer;
		} finally {
			removed.restoring = undefined;
		}
	}

	/** Deletes the bytes and the record of a download off the list. Nothing restores it from now on. */
	async purge(id: DownloadId): Promise<void> {
		const removed = this.#removed.get(id);
		clearTimeout(removed?.timer);
		this.#removed.delete(id);
		await removed?.closing;
		await this.#context.deleteData(id);
	}

	/** Never rejects: the next start tries a failed deletion again. */
	async purgeInBackground(id: DownloadId): Promise<void> {
		try {
			await this.purge(id);
		} catch (error) {
			this.#context.deletionFailed(error);
		}
	}

	/** Deletes the downloads whose earlier deletion failed. */
	purgeRecorded(): void {
		for (const [id, {recordFile}] of this.#removed) {
			if (recordFile.record.removed === 'delete') {
				void this.purgeInBackground(id);
			}
		}
	}

	/** Deletes the downloads that wait for the end of the time for undo. */
	async purgePending(): Promise<void> {
		const pending = [...this.#removed].filter(([, {timer}]) => timer);
		await Promise.all(pending.map(([id]) => this.purgeInBackground(id)));
	}

	/** Forgets all downloads, and cancels their deletions. */
	clear(): void {
		for (const {timer} of this.#removed.values()) {
			clearTimeout(timer);
		}

		this.#removed.clear();
	}
}

/** The last checkpoint has recorded it already, if it could record the bytes. */
async function recordRemoval(recordFile: RecordFile, data: 'keep' | 'delete'): Promise<void> {
	try {
		await recordFile.save({removed: data});
	} catch (error) {
		// A deletion makes room on a full disk, and needs no record.
		if (data === 'keep') {
			throw error;
		}
	}
}
