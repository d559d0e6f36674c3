// What went wrong with a transfer, and when it is tried again: later and later, not before the origin allows it, not
// for ever.
import {DownStreamError, type DownloadError} from '../downstream.ts';

const maxTries = 8;
/** From the last sign of life on: a try that would not be over then is not made. */
const givingUpMs = 45_000;
/** Longer no request is silent before it fails; what is more is the sleep of the computer. */
const longestSilenceMs = 20_000;
const backoffMs = {first: 500, most: 8000};
/** Fewer bytes than this between two failures are no progress: an origin that gives no more at a time is hopeless. */
const leastProgress = 16 * 1024;
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
	/** Bytes since the last failure. */
	#progress = 0;
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

	/** Nothing to speak of has come since it failed. */
	get isInDoubt(): boolean {
		return this.#failures > 0 && this.#progress < leastProgress;
	}

	/** The wait is longer than a player's patience. */
	get isLong(): boolean {
		return this.#retry !== undefined && this.#retry.at - Date.now() > longestPlayerWaitMs;
	}

	/** Bytes came: with enough of them, what failed before is over. */
	progressed(bytes: number): void {
		this.#progress += bytes;
	}

	/**
	 * Schedules the next try of a transient error. Returns false if it is hopeless, or will not mend by itself.
	 * `quietSince`: when the request began or the last byte came, in milliseconds since the epoch.
	 */
	failed(error: DownStreamError, quietSince = Date.now()): boolean {
		const now = Date.now();
		const silence = Math.min(longestSilenceMs, Math.max(0, now - quietSince));
		const isTransient = error.kind === 'transient';
		if (isTransient && this.#retry) {
			// Connections that fail together are one try, and none cuts short what another one was asked to wait.
			if ((error.retryAfterMs ?? 0) > this.#retry.at - now) {
				this.#wait(error, now);
			}

			return true;
		}

		if (this.#progress >= leastProgress) {
			this.#failures = 0;
		}

		if (this.#failures === 0) {
			this.#failingSince = now - silence;
		}

		this.#failures++;
		this.#progress = 0;
		this.cancel();
		// The next one will hardly fail sooner than this one did.
		const nextFailure = now + this.#backoff() + silence;
		if (isTransient && this.#failures < maxTries && nextFailure - this.#failingSince < givingUpMs) {
			this.#wait(error, now);
			return true;
		}

		this.#lastError = this.#shown(error, now);
		this.#failure = this.#lastError;
		return false;
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
		this.#failures = 0;
		this.cancel();
	}

	/** Forgets the scheduled try. */
	cancel(): void {
		clearTimeout(this.#retry?.timer);
		this.#retry = undefined;
	}

	/** Until the next try, as long as the origin asked at least. */
	#wait(error: DownStreamError, now: number): void {
		this.cancel();
		this.#lastError = this.#shown(error, now);
		const jitter = 0.75 + Math.random() / 2;
		const delay = Math.max(this.#backoff() * jitter, error.retryAfterMs ?? 0);
		this.#retry = {
			at: now + delay,
			askedByOrigin: error.retryAfterMs !== undefined,
			// A longer delay than timers can hold (24 days) would fire at once.
			timer: setTimeout(() => this.#due(), Math.min(delay, 0x7f_ff_ff_ff)),
		};
	}

	/** Milliseconds, more or less. */
	#backoff(): number {
		return Math.min(backoffMs.most, backoffMs.first * 2 ** (this.#failures - 1));
	}

	#shown({code, message, bytesAgree}: DownStreamError, now: number): DownloadError {
		return {code, message, at: now, tries: this.#failures, maxTries, ...(bytesAgree && {bytesAgree})};
	}

	#due(): void {
		this.cancel();
		this.#tryAgain();
	}
}
