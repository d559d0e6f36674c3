// What went wrong with a transfer, and when it is tried again: later and later, not before the origin allows it, not
// for ever.
import {DownStreamError, type DownloadError} from '../downstream.ts';

const maxTries = 8;
const givingUpMs = 40_000;
const backoffMs = {first: 500, most: 8000};
/** What failed so long ago is tried again for a player. */
const forgivenMs = 10_000;
/** A player is not kept waiting longer than this. */
const longestPlayerWaitMs = 30_000;

export class Retries {
	readonly #tryAgain: () => void;
	#failure: DownloadError | undefined;
	#lastError: DownloadError | undefined;
	#failures = 0;
	#failingSince = 0;
	#retry: {at: number; timer: NodeJS.Timeout; askedByOrigin: boolean} | undefined;

	/** `stored` is the error of an earlier run. */
	constructor(tryAgain: () => void, stored: DownloadError | undefined) {
		this.#tryAgain = tryAgain;
		this.#lastError = stored;
		this.#failure = stored && new DownStreamError(stored.code, '').kind === 'fatal' ? stored : undefined;
	}

	/** What a new try will not mend. */
	get failure(): DownloadError | undefined {
		return this.#failure;
	}

	/** Also when it is over. */
	get lastError(): DownloadError | undefined {
		return this.#lastError;
	}

	/** What stands in the way now. */
	get obstacle(): DownloadError | undefined {
		return this.#failure ?? (this.#retry && this.#lastError);
	}

	/** What there is no use in waiting for: a player is told at once. */
	get hopeless(): DownloadError | undefined {
		return this.#failure ?? (this.isLong ? this.#lastError : undefined);
	}

	/** When the next try is due, in milliseconds since the epoch; undefined if none is being waited for. */
	get dueAt(): number | undefined {
		return this.#retry?.at;
	}

	/** The wait is longer than a player's patience. */
	get isLong(): boolean {
		return this.#retry !== undefined && this.#retry.at - Date.now() > longestPlayerWaitMs;
	}

	/** Bytes came: what failed before is over. */
	succeeded(): void {
		this.#failures = 0;
	}

	/** Schedules the next try of a transient error. Returns false if it is hopeless, or will not mend by itself. */
	failed(error: DownStreamError): boolean {
		const now = Date.now();
		if (this.#failures === 0) {
			this.#failingSince = now;
		}

		this.#failures++;
		this.cancel();
		const {code, message} = error;
		this.#lastError = {code, message, at: now, tries: this.#failures, maxTries};
		if (error.kind !== 'transient' || this.#failures >= maxTries || now - this.#failingSince >= givingUpMs) {
			this.#failure = this.#lastError;
			return false;
		}

		const jitter = 0.75 + Math.random() / 2;
		const backoff = Math.min(backoffMs.most, backoffMs.first * 2 ** (this.#failures - 1)) * jitter;
		const delay = Math.max(backoff, error.retryAfterMs ?? 0);
		this.#retry = {
			at: now + delay,
			askedByOrigin: error.retryAfterMs !== undefined,
			// A longer delay than timers can hold (24 days) would fire at once.
			timer: setTimeout(() => this.#due(), Math.min(delay, 0x7f_ff_ff_ff)),
		};
		return true;
	}

	/** Something beside the fetching went wrong: it is shown, and stands in nobody's way. */
	note({code, message}: DownStreamError): void {
		this.#lastError = {code, message, at: Date.now()};
	}

	/**
	 * A player asks anew: what failed a while ago is tried again, unless the origin asked to wait. Returns whether
	 * that ended a failure.
	 */
	hurry(): boolean {
		const since = Date.now() - (this.#lastError?.at ?? 0);
		if (this.#failure && since > forgivenMs && this.#failure.code !== 'origin-changed') {
			this.forgive();
			return true;
		}

		if (since > 1000 && this.#retry && !this.#retry.askedByOrigin) {
			this.#due();
		}

		return false;
	}

	/** The way is free again. */
	forgive(): void {
		this.#failure = undefined;
		this.succeeded();
		this.cancel();
	}

	/** Forgets the scheduled try. */
	cancel(): void {
		clearTimeout(this.#retry?.timer);
		this.#retry = undefined;
	}

	#due(): void {
		this.cancel();
		this.#tryAgain();
	}
}
