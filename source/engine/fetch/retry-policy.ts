// When a download is tried again after an error: the policy, pure, and the timer that follows it.
import {DownStreamError, type DownloadError} from '../../downstream.ts';
import {HttpError} from '../http/errors.ts';

/** Milliseconds between the starts of two tries: doubled with each failure in a row. */
const pauseMs = {first: 500, longest: 5 * 60_000};
/** Fewer bytes than this between two failures are no progress. */
const minProgress = 16 * 1024;
/** Wishes ask the origin at most once in this time. */
export const wishIntervalMs = 1000;
const maxResponseTimeoutMs = 5 * 60_000;
/** An attempt to connect takes no longer; more time since the last byte was silence, or the computer slept. */
const longestConnectMs = 8000;
/** How long a player waits for a host that is away: an answer that has begun can only be cut, which is worse. */
const playerPatienceMs = {unanswered: 9000, answered: 45_000};
/** `setTimeout` fires at once for longer delays (24 days). */
const longestTimerMs = 0x7f_ff_ff_ff;

export type RetryState = {
	/** Tries in a row that failed and brought nothing to speak of. */
	readonly failures: number;
	/** Bytes since the last failure. */
	readonly progress: number;
	/** How often the time for an answer was too short, and when that was noticed last. */
	readonly silences: number;
	readonly silentAt?: number | undefined;
	/** Milliseconds since the epoch; undefined while the host answers, or is merely slow. */
	readonly awaySince?: number | undefined;
	/** What stands in the way until `retryAt`, in milliseconds since the epoch: Infinity where only a wish ends it. */
	readonly blocked?:
		| {
				readonly error: DownloadError;
				readonly retryAt: number;
				/** By Retry-After (RFC 9110 section 10.2.3). */
				readonly isAskedFor: boolean;
		  }
		| undefined;
};

export type Failure = {
	readonly error: DownStreamError;
	/** When the request began or the last byte came. Both in milliseconds since the epoch. */
	readonly since: number;
	readonly now: number;
	/** 0 to 1: spreads the tries of several downloads. */
	readonly random: number;
};

export function afterFailure(state: RetryState, {error, since, now, random}: Failure): RetryState {
	const {blocked, progress} = state;
	const askedMs = error.retryAfterMs ?? 0;
	if (error.kind === 'transient' && blocked) {
		// Connections that fail together are one try; the longest wait that the origin asked for holds.
		return now + askedMs > blocked.retryAt
			? {...state, blocked: {...waitOf(error, now, blocked.error.tries), retryAt: now + askedMs}}
			: state;
	}

	const failures = progress >= minProgress ? 1 : state.failures + 1;
	const next = {...state, failures, progress: 0};
	if (error.kind !== 'transient') {
		return {...next, blocked: {...waitOf(error, now, failures), retryAt: Infinity}};
	}

	const pause = Math.min(pauseMs.longest, pauseMs.first * 2 ** Math.min(failures - 1, 20));
	// A try that took long needs no long pause after it.
	const rest = Math.max(pauseMs.first, pause - (now - since)) * (0.75 + random / 2);
	// Requests that ran side by side fall silent as one.
	const wasTooShort = isSilence(error, 'HEADERS_TIMEOUT') && since >= (state.silentAt ?? 0);
	const hostAwaySince =
		(failures > 1 ? state.awaySince : undefined) ?? Math.max(since, now - longestConnectMs);
	return {
		...next,
		...(wasTooShort && {silences: state.silences + 1, silentAt: now}),
		awaySince: isSilence(error) ? undefined : hostAwaySince,
		blocked: {...waitOf(error, now, failures), retryAt: Math.ceil(now + Math.max(rest, askedMs))},
	};
}

/** A wish of now: a remembered error never answers it. */
export function afterWish(state: RetryState, now: number): RetryState {
	const {blocked} = state;
	if (!blocked) {
		return state;
	}

	const retryAt = Math.min(blocked.retryAt, blocked.error.at + wishIntervalMs);
	return {...state, blocked: retryAt > now ? {...blocked, retryAt} : undefined};
}

/** How long a request may wait for its answer, in milliseconds: longer after each that was too short. */
export function responseTimeout({silences}: RetryState, first: number): number {
	return Math.max(first, Math.min(maxResponseTimeoutMs, first * 2 ** Math.min(silences, 20)));
}

/**
 * Until when a player that has waited since then is kept waiting, in milliseconds since the epoch: Infinity while the host
 * is not away, 0 if the next try comes too late.
 */
export function playerWaitsUntil(
	{awaySince, blocked}: RetryState,
	{since, isAnswered}: {readonly since: number; readonly isAnswered: boolean},
): number {
	if (awaySince === undefined) {
		return Infinity;
	}

	const end = Math.max(since, awaySince) + playerPatienceMs[isAnswered ? 'answered' : 'unanswered'];
	return blocked && blocked.retryAt > end ? 0 : end;
}

function waitOf(
	{code, message, status, retryAfterMs, bytesAgree, needs}: DownStreamError,
	at: number,
	tries: number | undefined,
) {
	return {
		error: {
			code,
			message,
			at,
			tries,
			...(status !== undefined && {status}),
			...(bytesAgree && {bytesAgree}),
			...(needs !== undefined && {needs}),
		},
		isAskedFor: retryAfterMs !== undefined,
	};
}

/** The host took the connection and says nothing: it is slow, not away. */
function isSilence({cause}: DownStreamError, which?: 'HEADERS_TIMEOUT'): boolean {
	return (
		cause instanceof HttpError &&
		(cause.code === 'HEADERS_TIMEOUT' || (which === undefined && cause.code === 'BODY_TIMEOUT'))
	);
}

const untried: RetryState = {failures: 0, progress: 0, silences: 0};

export class RetryPolicy {
	readonly #tryAgain: () => void;
	#state: RetryState = untried;
	#lastError: DownloadError | undefined;
	#timer: NodeJS.Timeout | undefined;

	/** `stored` is the error of an earlier run: one that a try may mend stands in nobody's way. */
	constructor(tryAgain: () => void, stored: DownloadError | undefined) {
		this.#tryAgain = tryAgain;
		this.#lastError = stored;
		if (stored && new DownStreamError(stored.code, '').kind === 'fatal') {
			this.#state = {...untried, failures: 1, blocked: {error: stored, retryAt: Infinity, isAskedFor: false}};
		}
	}

	/** Only a wish leads to another try. */
	get permanentError(): DownloadError | undefined {
		const {blocked} = this.#state;
		return blocked?.retryAt === Infinity ? blocked.error : undefined;
	}

	/** What stands in the way now. */
	get blockingError(): DownloadError | undefined {
		return this.#state.blocked?.error;
	}

	/** Also when it is over. */
	get lastError(): DownloadError | undefined {
		return this.#lastError;
	}

	/** When the next try is due, in milliseconds since the epoch; undefined if none is scheduled. */
	get retryAt(): number | undefined {
		const {blocked} = this.#state;
		return blocked?.retryAt === Infinity ? undefined : blocked?.retryAt;
	}

	/** It failed, and nothing to speak of has come since. */
	get isProbing(): boolean {
		return this.#state.failures > 0;
	}

	/** Milliseconds. `first`: for the first answer. */
	responseTimeout(first: number): number {
		return responseTimeout(this.#state, first);
	}

	playerWaitsUntil(waiting: {readonly since: number; readonly isAnswered: boolean}): number {
		return playerWaitsUntil(this.#state, waiting);
	}

	/** Bytes came: enough of them end a series of failures. Returns whether these did. */
	progressed(bytes: number): boolean {
		const {failures} = this.#state;
		const progress = this.#state.progress + bytes;
		const isOver = failures > 0 && progress >= minProgress;
		this.#state = {...this.#state, progress, awaySince: undefined, failures: isOver ? 0 : failures};
		return isOver;
	}

	/**
	 * Schedules the next try of a transient error; returns false for one that no try mends. `since`: when the request
	 * began or the last byte came, in milliseconds since the epoch.
	 */
	failed(error: DownStreamError, since = Date.now()): boolean {
		const {blocked} = this.#state;
		this.#become(afterFailure(this.#state, {error, since, now: Date.now(), random: Math.random()}));
		if (this.#state.blocked !== blocked) {
			this.#lastError = this.#state.blocked?.error;
		}

		return error.kind === 'transient';
	}

	/** Something beside the fetching went wrong: it is shown, and blocks nothing. */
	note({code, message}: DownStreamError): void {
		this.#lastError = {code, message, at: Date.now()};
	}

	/**
	 * Nothing stands in the way of a try any more, or until a second after the last failure. `isRequest`: somebody asks
	 * for it anew, which also ends a wait that the origin asked for.
	 */
	retryNow(isRequest: boolean): void {
		if (isRequest || !this.#state.blocked?.isAskedFor) {
			this.#become(afterWish(this.#state, Date.now()));
		}
	}

	/** Forgets the failures, but not how slow the host is. */
	reset(): void {
		const {silences, silentAt} = this.#state;
		this.#become({...untried, silences, silentAt});
	}

	/** Forgets the scheduled try. */
	cancel(): void {
		clearTimeout(this.#timer);
		if (this.retryAt !== undefined) {
			this.#state = {...this.#state, blocked: undefined};
		}
	}

	#become(state: RetryState): void {
		if (state.blocked !== this.#state.blocked) {
			clearTimeout(this.#timer);
		}

		const isNew = state.blocked !== this.#state.blocked;
		this.#state = state;
		const {retryAt} = this;
		if (isNew && retryAt !== undefined) {
			this.#wake(retryAt);
		}
	}

	#wake(at: number): void {
		const delay = Math.max(0, at - Date.now());
		this.#timer = setTimeout(
			() => {
				if (delay > longestTimerMs) {
					this.#wake(at);
					return;
				}

				this.cancel();
				this.#tryAgain();
			},
			Math.min(delay, longestTimerMs),
		);
	}
}
