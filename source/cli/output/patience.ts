// The patience of a command without a screen: its wait for data, and the words that report it.
import {formatDuration} from '../../text/format.ts';
import {shownPledge} from '../../text/safe-words.ts';
import {queueReason} from '../../text/status-words.ts';
import {
	isAtRest,
	isFetching,
	isPledged,
	isSettled,
	isStopped,
	type Download,
	type ErrorCode,
} from '../../downstream.ts';

/** End of a command that waits for downloads. */
export type Outcome = 'done' | 'failed' | 'gave-up';

/** Polling interval. */
export const lookMs = 500;

/** Time since the last byte of any of several downloads. */
export class QuietTime {
	#quietMs = 0;
	#lookedAt: number | undefined;
	#lastByteAt = 0;

	/** Milliseconds up to this check. `now`: milliseconds since the epoch. */
	look(downloads: readonly Download[], now: number): number {
		const lastByteAt = Math.max(0, ...downloads.map(({lastByteAt}) => lastByteAt ?? 0));
		const isBusy = downloads.some(({status}) => status === 'checking' || status === 'exporting');
		// Does not count the sleep of the computer.
		const elapsed = Math.min(now - (this.#lookedAt ?? now), 4 * lookMs);
		this.#quietMs = isBusy || lastByteAt > this.#lastByteAt ? 0 : this.#quietMs + Math.max(0, elapsed);
		this.#lookedAt = now;
		this.#lastByteAt = lastByteAt;
		return this.#quietMs;
	}
}

/** One sentence per abandoned download. */
export function gaveUpLines(downloads: readonly Download[], giveUpAfter: number): string[] {
	return downloads
		.filter(download => !isAtRest(download))
		.map(download => `${download.name}: ${gaveUpSentence(download, giveUpAfter)}`);
}

/** Without the name. `giveUpAfter`: milliseconds. */
export function gaveUpSentence({error}: Download, giveUpAfter: number): string {
	const reason = error?.message ?? 'no response from the server';
	const quietFor = formatDuration(giveUpAfter / 1000);
	return `${reason}; gave up after ${quietFor} without data (see --give-up-after; the same command resumes)`;
}

/** Why a download makes no progress; `over`: progress has resumed. */
export type Wait = {readonly reason: ErrorCode | 'queued' | 'silence' | 'over'; readonly words: string};

/** Reports each reason of a wait once until data arrives, however many attempts that takes. */
export class Waits {
	readonly #reportAfterMs: {readonly error: number; readonly silence: number};
	readonly #reported = new Set<Wait['reason']>();
	#since: number | undefined;
	#lastByteAt: number | null = null;

	/** `reportAfterMs`: shorter waits are not reported, unless the host has never responded. */
	constructor(reportAfterMs = {error: 2000, silence: 5000}) {
		this.#reportAfterMs = reportAfterMs;
	}

	/** New reports since the last check. `now`: milliseconds since the epoch. */
	next(download: Download, now: number): Wait | undefined {
		const {lastByteAt} = download;
		const wait = waitOf(download, now);
		const goesOn = lastByteAt !== this.#lastByteAt;
		const hasReported = this.#reported.size > 0;
		this.#lastByteAt = lastByteAt;
		if (goesOn || isSettled(download) || isStopped(download)) {
			this.#reported.clear();
		}

		if (goesOn || !wait || this.#since === undefined) {
			this.#since = now;
		}

		if (goesOn && hasReported && wait?.reason === 'silence') {
			return {reason: 'over', words: 'resumed'};
		}

		const afterMs = isFirstContact(download, wait)
			? 0
			: this.#reportAfterMs[wait?.reason === 'silence' ? 'silence' : 'error'];
		const isKnown =
			wait?.reason === 'silence' ? this.#reported.size > 0 : wait && this.#reported.has(wait.reason);
		if (!wait || isKnown || now - this.#since < afterMs) {
			return undefined;
		}

		this.#reported.add(wait.reason);
		return wait;
	}
}

/**
 * `queued behind film.mp4, which is being made safe; "downstream-tui safe 1 off" lifts the pledge`: the words of a wait for the
 * pledges in the list. Undefined if it waits for none.
 */
export function behindPledge(
	{waitsForPledges}: Download,
	downloads: readonly Download[],
): string | undefined {
	const dueAt = (download: Download) => shownPledge(download)?.by ?? Number.MAX_SAFE_INTEGER;
	const [first] = downloads.filter(download => isPledged(download)).toSorted((a, b) => dueAt(a) - dueAt(b));
	return waitsForPledges && first
		? `queued behind ${first.name}, which is being made safe; "downstream-tui safe ${downloads.indexOf(first) + 1} off" lifts the pledge`
		: undefined;
}

/** A refused connection or an unknown host is most likely a mistyped URL. */
function isFirstContact({size, lastByteAt}: Download, wait: Wait | undefined): boolean {
	return wait?.reason === 'origin-unreachable' && size === null && lastByteAt === null;
}

/** `retry 3 in 4s`. `now`: milliseconds since the epoch. */
export function nextTry({error, retryAt}: Download, now: number): string {
	const due = formatDuration(Math.max(0, (retryAt ?? now) - now) / 1000);
	return `${error?.tries === undefined ? 'retry' : `retry ${error.tries + 1}`} in ${due}`;
}

function waitOf(download: Download, now: number): Wait | undefined {
	const {url, status, error} = download;
	if (status === 'waiting' && error) {
		return {reason: error.code, words: `${error.message}; ${nextTry(download, now)}`};
	}

	if (status === 'queued') {
		const words = queueReason(download);
		return words === undefined ? undefined : {reason: 'queued', words};
	}

	return isFetching(download)
		? {reason: 'silence', words: `no response from ${new URL(url).host} yet; waiting`}
		: undefined;
}
