// Makes received bytes durable: syncs the data file, then records its ranges and checksums.
import type {Scheduler} from '../fetch/scheduler.ts';
import {Logger} from '../../log.ts';
import {turns} from '../../turns.ts';
import {isFull, isTransient} from '../store/disk-error.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {SparseFile} from '../store/sparse-file.ts';
import type {DownloadEffects, DownloadState} from './download-state.ts';

/** A checkpoint whose record is on disk. */
export type Recorded = {
	readonly file: SparseFile;
	/** Those of the file when its ranges were taken. */
	readonly losses: number;
	readonly ranges: DownloadRecord['ranges'];
};

/** Milliseconds between two, and at most after failures. */
const pauseMs = {usual: 500, longest: 30_000};
/** Blocks recorded last, which are checked again after an unclean end. */
const maxRecentBlocks = 16;

export class Checkpoints {
	readonly #state: DownloadState;
	readonly #scheduler: Scheduler;
	readonly #effects: DownloadEffects;
	readonly #recordWhole: (change: Partial<DownloadRecord>) => Promise<void>;
	readonly #onRecorded: (recorded: Recorded) => void;
	#timer: NodeJS.Timeout | undefined;
	/** Doubled with each transient failure. */
	#pauseMs = pauseMs.usual;
	readonly #inTurn = turns();

	/**
	 * `recordWhole` records a file of which every byte is durable and proven to be of one version. `onRecorded` is
	 * called when the record of a checkpoint is on disk.
	 */
	constructor(
		state: DownloadState,
		scheduler: Scheduler,
		effects: DownloadEffects,
		recordWhole: (change: Partial<DownloadRecord>) => Promise<void>,
		onRecorded: (recorded: Recorded) => void,
	) {
		this.#state = state;
		this.#scheduler = scheduler;
		this.#effects = effects;
		this.#recordWhole = recordWhole;
		this.#onRecorded = onRecorded;
	}

	/** Runs one soon. */
	schedule(): void {
		this.#timer ??= setTimeout(() => void this.run(), this.#pauseMs);
	}

	unschedule(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
	}

	/**
	 * Runs one at once if the last byte has arrived: the download is complete only after it. Resolves after it. Never
	 * rejects.
	 */
	async runIfWhole(): Promise<void> {
		if (this.#state.file.isComplete && !this.#state.isComplete) {
			await this.run();
		}
	}

	/**
	 * Records the bytes received so far, with another change if there is one, and completes a whole download. Calls run in
	 * series. Never rejects.
	 */
	run(change: Partial<DownloadRecord> = {}): Promise<void> {
		this.unschedule();
		return this.#inTurn(() => this.#record(change));
	}

	async #record(change: Partial<DownloadRecord>): Promise<void> {
		const {recordFile, checks, retries, file} = this.#state;
		if (recordFile.refusal) {
			return;
		}

		const {isComplete: wasComplete} = file;
		if (wasComplete && !this.#state.isComplete && !this.#scheduler.isProven) {
			// After a crash, a record of every byte would be trusted.
			return;
		}

		try {
			// Taken in the same tick as the ranges: every recorded byte has its checksum.
			const {pieces} = checks;
			const finished = checks.unsaved(file);
			const {losses} = file;
			const {ranges: synced, identity} = await file.checkpoint();
			// Before the record: a complete download has all checksums, unless the disk has no room for them.
			const saved = await checks.save(file).catch(undefinedIfFull);
			if (file !== this.#state.file || recordFile.refusal) {
				return;
			}

			const recentBlocks = [...this.#state.recentBlocks, ...(saved ?? [])].slice(-maxRecentBlocks);
			this.#state.recentBlocks = recentBlocks;
			// Without a checksum, the blocks of a changed data file are not trusted.
			const checked = saved ? pieces : [...pieces, ...finished];
			// Bytes received since the sync belong to the next checkpoint; bytes lost since are missing again.
			const isComplete = wasComplete && file.isComplete;
			const ranges = synced.map(({start, end}) => [start, end] as const);
			const recorded: Partial<DownloadRecord> = {
				error: retries.permanentError,
				ranges,
				unsettled: this.#state.isClosed || recentBlocks.length === 0 ? undefined : recentBlocks,
				pieces: checked.length === 0 ? undefined : checked.map(({start, end, crc}) => [start, end, crc]),
				...(identity && {dataFile: identity}),
				...(isComplete ? {} : {completedAt: undefined}),
				...change,
			};
			const isProven = this.#scheduler.isProven && !file.doubt;
			// A failed check of the checksum is repeated with the next attempt.
			const isBlocked = retries.permanentError ?? retries.blockingError?.code === 'disk-failed';
			const isWhole = isComplete && isProven && !this.#state.isComplete && !isBlocked;
			await (isWhole ? this.#recordWhole(recorded) : recordFile.save(recorded));
			this.#pauseMs = pauseMs.usual;
			this.#onRecorded({file, losses, ranges});
		} catch (error) {
			if (file === this.#state.file) {
				this.#failed(error);
			}
		}
	}

	#failed(error: unknown): void {
		if (!isTransient(error)) {
			this.#effects.failed(error);
			return;
		}

		// Fetching continues. The next checkpoint records these bytes, too.
		Logger.warn(`${this.#state.record.id}: ${error.message}`);
		this.#state.retries.note(error);
		this.#pauseMs = Math.min(2 * this.#pauseMs, pauseMs.longest);
		if (!this.#state.isClosed) {
			this.schedule();
		}
	}
}

function undefinedIfFull(error: unknown): undefined {
	if (!isFull(error)) {
		throw error;
	}
}
