// Turns lost or damaged bytes into holes, and records the loss of a complete file.
import {DownStreamError} from '../../downstream.ts';
import type {Range} from '../store/range-set.ts';
import {SparseFile} from '../store/sparse-file.ts';
import type {Checkpoints} from './checkpoints.ts';
import type {DownloadEffects, DownloadState} from './download-state.ts';

export class Holes {
	readonly #state: DownloadState;
	readonly #checkpoints: Checkpoints;
	readonly #effects: DownloadEffects;

	constructor(state: DownloadState, checkpoints: Checkpoints, effects: DownloadEffects) {
		this.#state = state;
		this.#checkpoints = checkpoints;
		this.#effects = effects;
	}

	/** Fetches the ranges again. Rejects with `disk-full` or `disk-failed`. */
	async make(ranges: readonly Range[]): Promise<void> {
		const {recordFile, retries} = this.#state;
		await this.#leaveMovedFile();
		this.#forget(this.#state.file, ranges);
		if (retries.permanentError?.code === 'checksum-mismatch') {
			retries.reset();
			await recordFile.save({error: undefined});
		}

		// The checksums of the holes stay: they do no harm, and the same bytes will match them.
		await this.#checkpoints.run();
		this.#effects.reevaluate();
	}

	/** The end of a complete file is missing. Rejects as `make` does. */
	async loseEnd(lost: Range): Promise<void> {
		// The folder may be missing, too.
		await this.#state.recordFile.makeFolder();
		await this.loseCompletion();
		await this.make([lost]);
	}

	/**
	 * A block of `file` differs from its checksum. The record of the hole is left to the checkpoint after the check: if
	 * the program ends before, the next start has the same doubt. Rejects as `make` does.
	 */
	async loseBlock(file: SparseFile, range: Range): Promise<void> {
		const {recordFile} = this.#state;
		if (file !== this.#state.file) {
			return;
		}

		if (recordFile.record.movedTo === undefined || recordFile.refusal) {
			this.#forget(file, [range]);
			this.#state.changed();
		} else {
			await this.loseCompletion();
		}
	}

	/**
	 * Pauses a download that was complete: a finished file is not fetched again without a request. Players still get the
	 * bytes that they request. Rejects as `make` does.
	 */
	async loseCompletion(): Promise<void> {
		const {recordFile, retries, file} = this.#state;
		retries.note(
			new DownStreamError(
				'disk-failed',
				`${file.path} is no longer complete; its missing bytes are fetched when a player requests them or the download is resumed`,
			),
		);
		await this.#leaveMovedFile();
		await recordFile.save({completedAt: undefined, ...(this.#state.isResumed ? {} : {intent: 'pause'})});
		this.#state.changed();
	}

	/**
	 * The download is incomplete at once: refilled before the checkpoint, it would be complete without a proof of the new
	 * bytes. The checkpoint reports disk errors.
	 */
	#forget(file: SparseFile, ranges: readonly Range[]): void {
		file.forget(ranges);
		void this.#state.recordFile.save({completedAt: undefined}).catch(() => undefined);
	}

	/** A moved file belongs to the user, who may have changed it: it is not written to. */
	async #leaveMovedFile(): Promise<void> {
		const {dataPath, record} = this.#state.recordFile;
		if (record.movedTo !== undefined) {
			const old = this.#state.file;
			this.#state.file = await SparseFile.open(dataPath, old.size, []);
			old.doubt?.end();
			await this.#state.recordFile.save({
				movedTo: undefined,
				ranges: [],
				pieces: undefined,
				dataFile: undefined,
			});
			await old.retire();
		}
	}
}
