// Starts a download over: its bytes, and all facts of their version, give way to those of the origin's current file.
import {rm} from 'node:fs/promises';
import {Logger} from '../../log.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import {diskError} from '../store/disk-error.ts';
import type {DownloadRecord} from '../store/record.ts';
import {SparseFile} from '../store/sparse-file.ts';
import type {DownloadEffects, DownloadState} from './download-state.ts';
import {restarted} from './errors.ts';
import type {Verification} from './verification.ts';

export class VersionReset {
	readonly #state: DownloadState;
	readonly #scheduler: Scheduler;
	readonly #verification: Verification;
	readonly #effects: DownloadEffects;

	constructor(
		state: DownloadState,
		scheduler: Scheduler,
		verification: Verification,
		effects: DownloadEffects,
	) {
		this.#state = state;
		this.#scheduler = scheduler;
		this.#verification = verification;
		this.#effects = effects;
	}

	/** Fetches the current file of the origin. Rejects with `disk-full` or `disk-failed`. */
	async startOver(): Promise<void> {
		Logger.info(`${this.#state.record.id}: starts over`);
		await this.#scheduler.exclusively(async () => {
			this.#state.retries.reset();
			await this.reset({intent: 'run'});
		});
		this.#effects.reevaluate();
	}

	/**
	 * Starts over without a command: the origin has a new version, and no byte of the old one is cached. Never rejects.
	 */
	async restart(): Promise<void> {
		try {
			await this.#scheduler.exclusively(async () => this.reset({}));
			this.#effects.reevaluate();
		} catch (error) {
			if (!this.#state.isClosed) {
				this.#effects.failed(error);
			}
		}
	}

	/**
	 * No segment may be running. A file that was moved out of the store stays in its place. Rejects with `disk-full` or
	 * `disk-failed`.
	 */
	async reset(change: Partial<DownloadRecord>): Promise<void> {
		const {recordFile, readers, checks} = this.#state;
		const {dataPath, record} = recordFile;
		const reason = restarted();
		this.#verification.abort(reason);
		await this.#verification.ended();
		this.#state.version++;
		this.#state.recentBlocks = [];
		readers.reject(reason);
		try {
			await recordFile.save({
				...change,
				startedOver: (record.startedOver ?? 0) + 1,
				ranges: [],
				dataFile: undefined,
				pieces: undefined,
				unsettled: undefined,
				info: undefined,
				validator: undefined,
				hasUnstableValidator: undefined,
				acceptsRanges: undefined,
				completedAt: undefined,
				placing: undefined,
				movedTo: undefined,
				exportedTo: undefined,
				exportedPartTo: undefined,
				error: undefined,
			});
		} finally {
			// Even if the save failed: nothing may be added to bytes of an unknown version.
			const old = this.#state.file;
			this.#state.file = await SparseFile.open(dataPath, Infinity, []);
			// Readers that started during the save got the old bytes.
			this.#state.version++;
			readers.reject(reason);
			this.#scheduler.begin(true);
			await old.retire();
			await checks.clear();
			// Not truncated: an exported file may be a hard link to the same bytes.
			await rm(dataPath, {force: true}).catch((error: unknown) => {
				throw diskError(error, dataPath);
			});
		}
	}
}
