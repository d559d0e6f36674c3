// Retries after errors: pure functions of a state, and the timer of the next attempt.
import {DownStreamError, type DownloadError} from '../../downstream.ts';
import {HttpError} from '../http/errors.ts';

/** Milliseconds between the starts of two attempts: doubled with each consecutive failure. */
const pauseMs = {first: 500, longest: 5 * 60_000};
/** Fewer bytes than this between two failures do not count as progress. */
const minProgress = 16 * 1024;
/** Minimum milliseconds between two attempts by request. */
export const requestIntervalMs = 1000;
const maxResponseTimeoutMs = 5 * 60_000;
/**
 * Maximum milliseconds of an attempt to connect. A longer time since the last byte was silence, or the computer
 * slept.
 */
const longestConnectMs = 8000;
/**
 * Milliseconds that a player waits for an unreachable host. Longer once its response has begun, because a response can only
 * be cut.
 */
const playerPatienceMs = {unanswered: 9000, answered: 45_000};
/** `setTimeout` fires at once for longer delays (24 days). */
const longestTimerMs = 0x7f_ff_ff_ff;

type RetryState = {
	/** Consecutive failures without progress. */
	readonly failures: number;
	/** Of these, attempts that the user or a player made before their time: the pauses do not grow with them. */
	readonly early: number;
	/** Time of the first of them, in milliseconds since the epoch. */
	readonly failingSince?: number | undefined;
	/** Bytes since the last failure. */
	readonly progress: number;
	/** Number of response timeouts, and the time of the last one. */
	readonly silences: number;
	readonly silentAt?: number | undefined;
	/** Milliseconds since the epoch; undefined while the host responds, or is merely slow. */
	readonly awaySince?: number | undefined;
	/** The error that blocks requests until `retryAt`, in milliseconds since the epoch; Infinity until a request by the user. */
	readonly blocked?:
		| {
				readonly error: DownloadError;
				readonly retryAt: number;
				/** By Retry-After (RFC 9110 section 10.2.3). */
				readonly isAskedFor: boolean;
		  }
		| undefined;
};

type Failure = {
	readonly error: DownStreamError;
	/** Start of the request or time of the last byte. Both in milliseconds since the epoch. */
	readonly since: number;
	readonly now: number;
	/** From 0 to 1: spreads the attempts of several downloads. */
	readonly random: number;
};

function afterFailure(state: RetryState, {error, since, now, random}: Failure): RetryState {
	const {blocked, progress} = state;
	const askedMs = error.retryAfterMs ?? 0;
	if (error.kind === 'transient' && blocked) {
		// Connections that fail together are one attempt; the longest requested wait applies.
		return now + askedMs > blocked.retryAt
			? {...state, blocked: {...waitOf(error, now, blocked.error), retryAt: now + askedMs}}
			: state;
	}

	const failures = progress >= minProgress ? 1 : state.failures + 1;
	const early = failures > 1 ? state.early : 0;
	const failingSince = (failures > 1 ? state.failingSince : undefined) ?? now;
	const next = {...state, failures, early, failingSince, progress: 0};
	const attempts = {tries: failures, since: failingSince};
	if (error.kind !== 'transient') {
		return {...next, blocked: {...waitOf(error, now, attempts), retryAt: Infinity}};
	}

	const pause = Math.min(pauseMs.longest, pauseMs.first * 2 ** Math.min(failures - 1 - early, 20));
	// A long attempt needs no long pause after it.
	const rest = Math.max(pauseMs.first, pause - (now - since)) * (0.75 + random / 2);
	// Parallel requests time out as one.
	const wasTooShort = isSilence(error, 'HEADERS_TIMEOUT') && since >= (state.silentAt ?? 0);
	const hostAwaySince =
		(failures > 1 ? state.awaySince : undefined) ?? Math.max(since, now - longestConnectMs);
	return {
		...next,
		...(wasTooShort && {silences: state.silences + 1, silentAt: now}),
		awaySince: isSilence(error) ? undefined : hostAwaySince,
		blocked: {...waitOf(error, now, attempts), retryAt: Math.ceil(now + Math.max(rest, askedMs))},
	};
}

/** The state after a request by the user or a player: a remembered error never answers it. */
function afterRequest(state: RetryState, now: number): RetryState {
	const {blocked} = state;
	if (!blocked) {
		return state;
	}

	const retryAt = Math.min(blocked.retryAt, blocked.error.at + requestIntervalMs);
	const early = state.early + (retryAt < blocked.retryAt ? 1 : 0);
	return {...state, early, blocked: retryAt > now ? {...blocked, retryAt} : undefined};
}

function waitOf(
	{code, message, status, retryAfterMs, bytesAgree, needs}: DownStreamError,
	at: number,
	{tries, since}: Pick<DownloadError, 'tries' | 'since'>,
) {
	return {
		error: {
			code,
			message,
			at,
			tries,
			since,
			...(status !== undefined && {status}),
			...(bytesAgree && {bytesAgree}),
			...(needs !== undefined && {needs}),
		},
		isAskedFor: retryAfterMs !== undefined,
	};
}

/** True if the host accepted the connection and stayed silent: it is slow, not unreachable. */
function isSilence({cause}: DownStreamError, which?: 'HEADERS_TIMEOUT'): boolean {
	return (
		cause instanceof HttpError &&
		(cause.code === 'HEADERS_TIMEOUT' || (which === undefined && cause.code === 'BODY_TIMEOUT'))
	);
}

const untried: RetryState = {failures: 0, early: 0, progress: 0, silences: 0};

export class RetryPolicy {
	readonly #tryAgain: () => void;
	#state: RetryState = untried;
	#lastError: DownloadError | undefined;
	#timer: NodeJS.Timeout | undefined;

	/** `stored` is the error of an earlier run: a transient one blocks nothing. */
	constructor(tryAgain: () => void, stored: DownloadError | undefined) {
		this.#tryAgain = tryAgain;
		this.#lastError = stored;
		if (stored && new DownStreamError(stored.code, '').kind === 'fatal') {
			this.#state = {...untried, failures: 1, blocked: {error: stored, retryAt: Infinity, isAskedFor: false}};
		}
	}

	/** The error that lasts until a request by the user. */
	get permanentError(): DownloadError | undefined {
		const {blocked} = this.#state;
		return blocked?.retryAt === Infinity ? blocked.error : undefined;
	}

	/** The error that blocks requests now. */
	get blockingError(): DownloadError | undefined {
		return this.#state.blocked?.error;
	}

	/** The last error, even if it is over. */
	get lastError(): DownloadError | undefined {
		return this.#lastError;
	}

	/** Time of the next attempt, in milliseconds since the epoch; undefined if none is scheduled. */
	get retryAt(): number | undefined {
		const {blocked} = this.#state;
		return blocked?.retryAt === Infinity ? undefined : blocked?.retryAt;
	}

	/** Consecutive failures without progress. */
	get failures(): number {
		return this.#state.failures;
	}

	/** Milliseconds that a request may wait for its response: `first`, doubled after each timeout. */
	responseTimeout(first: number): number {
		const {silences} = this.#state;
		return Math.max(first, Math.min(maxResponseTimeoutMs, first * 2 ** Math.min(silences, 20)));
	}

	/**
	 * The end of the wait of a player that has waited since `since`, in milliseconds since the epoch: Infinity unless the
	 * host is absent, 0 if the next attempt comes too late.
	 */
	playerWaitsUntil({since, isAnswered}: {readonly since: number; readonly isAnswered: boolean}): number {
		const {awaySince, blocked} = this.#state;
		if (awaySince === undefined) {
			return Infinity;
		}

		const end = Math.max(since, awaySince) + playerPatienceMs[isAnswered ? 'answered' : 'unanswered'];
		return blocked && blocked.retryAt > end ? 0 : end;
	}

	/** Counts received bytes: enough of them end a series of failures. Returns whether they did. */
	progressed(bytes: number): boolean {
		const {failures} = this.#state;
		const progress = this.#state.progress + bytes;
		const isOver = failures > 0 && progress >= minProgress;
		this.#state = {...this.#state, progress, awaySince: undefined, failures: isOver ? 0 : failures};
		return isOver;
	}

	/**
	 * Schedules the next attempt after a transient error; returns false for a permanent one. `since`: start of the request
	 * or time of the last byte, in milliseconds since the epoch.
	 */
	failed(error: DownStreamError, since = Date.now()): boolean {
		const {blocked} = this.#state;
		this.#become(afterFailure(this.#state, {error, since, now: Date.now(), random: Math.random()}));
		if (this.#state.blocked !== blocked) {
			this.#lastError = this.#state.blocked?.error;
		}

		return error.kind === 'transient';
	}

	/** Shows an error without blocking requests. */
	note({code, message}: DownStreamError): void {
		this.#lastError = {code, message, at: Date.now()};
	}

	/**
	 * Unblocks the next attempt, at the earliest one second after the last failure. `isRequest`: a new request by the user
	 * or a player also ends a wait that the origin asked for.
	 */
	retryNow(isRequest: boolean): void {
		if (isRequest || !this.#state.blocked?.isAskedFor) {
			this.#become(afterRequest(this.#state, Date.now()));
		}
	}

	/** Forgets the failures, but not the timeouts of a slow host. */
	reset(): void {
		const {silences, silentAt} = this.#state;
		this.#become({...untried, silences, silentAt});
	}

	/** Cancels the scheduled attempt. */
	cancel(): void {
		clearTimeout(this.#timer);
		if (this.retryAt !== undefined) {
			this.#state = {...this.#state, blocked: undefined};
		}
	}

	#become(state: RetryState): void {
		const isNew = state.blocked !== this.#state.blocked;
		this.#state = state;
		if (isNew) {
			clearTimeout(this.#timer);
			this.#wakeAt(this.retryAt);
		}
	}

	#wakeAt(at: number | undefined): void {
		if (at === undefined) {
			return;
		}

		const delay = Math.max(0, at - Date.now());
		this.#timer = setTimeout(
			() => {
				if (delay > longestTimerMs) {
					this.#wakeAt(at);
					return;
				}

				this.cancel();
				this.#tryAgain();
			},
			Math.min(delay, longestTimerMs),
		);
	}
}
