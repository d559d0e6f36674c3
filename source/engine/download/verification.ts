// Compares the bytes on disk with their checksums: on request, and when another program may have changed them.
import {DownStreamError} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import {parseChecksum} from '../store/block-checksums.ts';
import {Doubt} from '../store/doubt.ts';
import {RangeSet, type Range} from '../store/range-set.ts';
import {CheckQueue, type Check, type CheckKind} from './check-queue.ts';
import type {Checkpoints} from './checkpoints.ts';
import type {DownloadEffects, DownloadState} from './download-state.ts';
import {closing} from './errors.ts';
import type {Holes} from './holes.ts';

export class Verification {
	readonly #state: DownloadState;
	readonly #checkpoints: Checkpoints;
	readonly #holes: Holes;
	readonly #effects: DownloadEffects;
	readonly #complete: () => Promise<void>;
	readonly #queue = new CheckQueue();
	/** Damage found in the background, which no `verify` has reported yet. */
	#unreported: Range[] = [];

	/** `complete`: every byte matches the checksum of the download. */
	constructor(
		state: DownloadState,
		checkpoints: Checkpoints,
		holes: Holes,
		effects: DownloadEffects,
		complete: () => Promise<void>,
	) {
		this.#state = state;
		this.#checkpoints = checkpoints;
		this.#holes = holes;
		this.#effects = effects;
		this.#complete = complete;
	}

	/**
	 * Turns damaged blocks into holes, and compares a whole file with the checksum of the download. Concurrent calls
	 * share one check. Without a checksum, a running check of doubtful bytes serves as well. Resolves with the damage.
	 * Rejects with `checksum-mismatch`, `disk-full` or `disk-failed`, or the reason of `abort`.
	 */
	verify(): Promise<Range[]> {
		if (this.#state.isClosed) {
			return Promise.reject(closing());
		}

		const inDoubt = this.#state.record.checksum === undefined ? this.#queue.find('doubt') : undefined;
		const done =
			inDoubt ??
			this.#queue.find('whole') ??
			this.#startCheck('whole', async signal => this.#checkAll(signal));
		// Damage is reported once, wherever it was found.
		void done.then(() => (this.#unreported = [])).catch(() => undefined);
		return done;
	}

	/**
	 * Resolves once bytes that another program may have changed are compared with their checksums, at once for an
	 * unchanged file. Rejects as `verify` does.
	 */
	async settled(): Promise<void> {
		await this.detectChange();
		await this.settleDoubt();
	}

	/** Resumes a cancelled check of doubtful bytes. Rejects as `verify` does. */
	async settleDoubt(): Promise<void> {
		const {doubt} = this.#state.file;
		if (doubt) {
			await (this.#queue.find('doubt') ??
				this.#startCheck('doubt', async signal => this.#checkDoubt(doubt, signal)));
		}
	}

	/** Compares a complete file with the identity that was recorded of it. Rejects with `disk-full` or `disk-failed`. */
	async detectChange(): Promise<void> {
		if ((await this.#state.file.changeSince()) === undefined) {
			return;
		}

		// A running check reads every byte anyway.
		await this.#queue.settled();
		const change = await this.#state.file.changeSince();
		if (change === 'gone') {
			await this.#holes.loseEnd({start: 0, end: Infinity});
		} else if (change === 'changed') {
			await this.startDoubt();
		}
	}

	/**
	 * The data file differs from its record, perhaps by its own last writes before a crash. Its bytes are trusted once
	 * their checksums match. The check runs in the background; ranges that players request are checked first. Resolves when
	 * it has begun. Rejects with `disk-full` or `disk-failed`.
	 */
	async startDoubt(): Promise<void> {
		const {checks, file, isComplete: wasComplete, recordFile} = this.#state;
		const checked = await checks.checked(file);
		if (file !== this.#state.file || file.doubt) {
			return;
		}

		Logger.info(`${recordFile.record.id}: ${file.path} differs from its record; checking it`);
		const doubt = new Doubt(
			file.present,
			async block => checks.isIntact(file, block),
			checked,
			async range => this.#holes.loseBlock(file, range),
		);
		file.doubt = doubt;
		await doubt.loseUnchecked();
		void this.#startCheck('doubt', async signal => {
			const damaged = await this.#checkDoubt(doubt, signal);
			if (wasComplete && this.#state.file.present.size === 0 && !recordFile.refusal) {
				await this.#holes.loseCompletion();
			}

			return damaged;
		});
	}

	/** The download got another checksum: a whole file is compared with it. Rejects with `disk-full` or `disk-failed`. */
	async checksumChanged(): Promise<void> {
		const {recordFile, retries} = this.#state;
		if (retries.permanentError?.code === 'checksum-mismatch') {
			retries.reset();
		}

		this.#queue.abort(
			new DownStreamError('incomplete', 'The checksum was changed during the check'),
			'whole',
		);
		await this.#queue.find('whole')?.catch(() => undefined);
		await recordFile.save({completedAt: undefined, error: retries.permanentError});
	}

	/** Ends every check. */
	abort(reason: Error): void {
		this.#queue.abort(reason);
	}

	/** Resolves when the current checks have ended, whatever their outcome. */
	async ended(): Promise<void> {
		await this.#queue.settled();
	}

	#startCheck(kind: CheckKind, check: Check): Promise<Range[]> {
		return this.#queue.add(kind, async signal => this.#runCheck(check, signal));
	}

	async #runCheck(check: Check, signal: AbortSignal): Promise<Range[]> {
		this.#showProgress(0);
		try {
			return await check(signal);
		} catch (error) {
			if (!signal.aborted) {
				this.#effects.failed(error);
			}

			throw error;
		} finally {
			this.#state.checkProgress = null;
			// An export may have waited for the check.
			this.#state.services.queueChanged();
			if (!signal.aborted) {
				// Records new checksums, and completes a file whose last bytes arrived meanwhile.
				void this.#checkpoints.run();
			}
		}
	}

	#showProgress(fraction: number): void {
		this.#state.checkProgress = fraction;
		this.#state.changed();
	}

	async #checkAll(signal: AbortSignal): Promise<Range[]> {
		// Includes the bytes received so far.
		await this.#checkpoints.run();
		const {checks, file, recordFile} = this.#state;
		const {doubt} = file;
		const checksum = file.isComplete ? recordFile.record.checksum : undefined;
		const expected = checksum === undefined ? undefined : parseChecksum(checksum);
		const {damaged, digest} = await checks.check(file, {
			signal,
			algorithm: expected?.algorithm,
			onProgress: fraction => this.#showProgress(fraction),
		});
		if (damaged.length > 0) {
			await this.#holes.make(damaged);
		} else if (expected && digest !== expected.digest) {
			await recordFile.save({completedAt: undefined});
			throw new DownStreamError(
				'checksum-mismatch',
				`The ${expected.algorithm} of the file is ${digest}, but ${expected.digest} is expected`,
			);
		} else if (expected && !this.#state.isComplete) {
			await this.#complete();
		}

		// With holes, parts of blocks are still in doubt. A doubt that arose meanwhile is about later changes.
		if (file.doubt === doubt && (!doubt || file.isComplete)) {
			doubt?.end();
			file.trust();
		}

		return [...new RangeSet([...this.#unreported, ...damaged])];
	}

	async #checkDoubt(doubt: Doubt, signal: AbortSignal): Promise<Range[]> {
		await doubt.proveAll(signal, fraction => this.#showProgress(fraction));
		if (this.#state.file.doubt === doubt) {
			this.#state.file.trust();
		}

		this.#unreported = [...doubt.damaged];
		this.#effects.reevaluate();
		return this.#unreported;
	}
}
