// Fetches bytes again that the disk has lost.
import {Logger} from '../../log.ts';
import type {DamagedFile} from '../store/damaged-file.ts';
import type {DownloadEffects, DownloadState} from './download-state.ts';
import type {Holes} from './holes.ts';
import type {Verification} from './verification.ts';

/** Bytes lost again within this time are not fetched again. */
const minIntervalMs = 10_000;

export class Mending {
	readonly #state: DownloadState;
	readonly #holes: Holes;
	readonly #verification: Verification;
	readonly #effects: DownloadEffects;
	#last: {readonly start: number; readonly at: number} | undefined;

	constructor(state: DownloadState, holes: Holes, verification: Verification, effects: DownloadEffects) {
		this.#state = state;
		this.#holes = holes;
		this.#verification = verification;
		this.#effects = effects;
	}

	/**
	 * Resolves when the lost bytes are holes, or are known to be intact. Returns undefined if the disk loses the same
	 * bytes again and again. Rejects with `disk-full` or `disk-failed`; the download has then failed, too.
	 */
	mend(damage: DamagedFile): Promise<void> | undefined {
		const {lost, message} = damage;
		const now = Date.now();
		const last = this.#last;
		if (lost && last?.start === lost.start && now - last.at < minIntervalMs) {
			return undefined;
		}

		Logger.warn(`${this.#state.record.id}: ${message}`);
		if (lost) {
			this.#last = {start: lost.start, at: now};
		}

		const mending = this.#mend(lost);
		mending.catch((error: unknown) => this.#effects.failed(error));
		return mending;
	}

	#mend(lost: DamagedFile['lost']): Promise<void> {
		if (!lost) {
			return this.#verification.detectChange();
		}

		return this.#state.isComplete && lost.end === Infinity
			? this.#holes.loseEnd(lost)
			: this.#holes.make([lost]);
	}
}
