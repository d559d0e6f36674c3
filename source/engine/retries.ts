// When a transfer that failed is tried again: later and later, not before the origin allows it, not for ever.
import type {DownStreamError} from '../downstream.ts';

export const maxTries = 8;
const givingUpMs = 40_000;
const backoffMs = {first: 500, most: 8000};
/** A player is not kept waiting longer than this. */
const longestPlayerWaitMs = 30_000;

export class Retries {
	readonly #tryAgain: () => void;
	#failures = 0;
	#failingSince = 0;
	#retry: {at: number; timer: NodeJS.Timeout; askedByOrigin: boolean} | undefined;

	constructor(tryAgain: () => void) {
		this.#tryAgain = tryAgain;
	}

	/** How many tries in a row have failed. */
	get failures(): number {
		return this.#failures;
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
		if (error.kind !== 'transient' || this.#failures >= maxTries || now - this.#failingSince >= givingUpMs) {
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

	/** A player asks anew: no need to wait, unless the origin asked for it. */
	hurry(): void {
		if (this.#retry && !this.#retry.askedByOrigin) {
			this.#due();
		}
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
