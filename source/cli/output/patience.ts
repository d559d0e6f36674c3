// How long a command without a screen waits for bytes, and what it says meanwhile.
import {formatDuration} from '../../text/format.ts';
import {queueReason} from '../../text/status-words.ts';
import {isSettled, isStopped, type Download, type ErrorCode} from '../../downstream.ts';

/** How a command ended that waits for downloads. */
export type Outcome = 'done' | 'failed' | 'gave-up';

/** How often to look. */
export const lookMs = 500;

/** For how long no byte has come of several downloads together. */
export class QuietTime {
	#quietMs = 0;
	#lookedAt: number | undefined;
	#lastByteAt = 0;

	/** In milliseconds, with those since the last look. `now`: since the epoch. */
	look(downloads: readonly Download[], now: number): number {
		const lastByteAt = Math.max(0, ...downloads.map(({lastByteAt}) => lastByteAt ?? 0));
		const isBusy = downloads.some(({status}) => status === 'checking' || status === 'exporting');
		// The sleep of the computer is not the silence of a host.
		const elapsed = Math.min(now - (this.#lookedAt ?? now), 4 * lookMs);
		this.#quietMs = isBusy || lastByteAt > this.#lastByteAt ? 0 : this.#quietMs + Math.max(0, elapsed);
		this.#lookedAt = now;
		this.#lastByteAt = lastByteAt;
		return this.#quietMs;
	}
}

/** Why each of the downloads that still go on is not waited for any longer. */
export function gaveUpLines(downloads: readonly Download[], giveUpAfter: number): string[] {
	const quietFor = formatDuration(giveUpAfter / 1000);
	return downloads
		.filter(download => !isSettled(download) && !isStopped(download))
		.map(({error, name}) => {
			const reason = error?.message ?? 'the server does not answer';
			return `${name}: ${reason}; gave up, no byte came for ${quietFor} (--give-up-after changes that; the same command goes on from what is here)`;
		});
}

/** Why a download does not go on; `over`: it does again. */
export type Wait = {readonly reason: ErrorCode | 'queued' | 'silence' | 'over'; readonly words: string};

/** Tells each reason for which one download waits once, however often it is tried, until bytes come. */
export class Waits {
	readonly #toldAfterMs: {readonly error: number; readonly silence: number};
	readonly #told = new Set<Wait['reason']>();
	#since: number | undefined;
	#lastByteAt: number | null = null;

	/** `toldAfterMs`: what passes sooner is not worth a line. */
	constructor(toldAfterMs = {error: 2000, silence: 5000}) {
		this.#toldAfterMs = toldAfterMs;
	}

	/** What is new since the last look. `now` in milliseconds since the epoch. */
	next(download: Download, now: number): Wait | undefined {
		const {lastByteAt} = download;
		const wait = waitOf(download, now);
		const goesOn = lastByteAt !== this.#lastByteAt;
		const hasTold = this.#told.size > 0;
		this.#lastByteAt = lastByteAt;
		if (goesOn || isSettled(download) || isStopped(download)) {
			this.#told.clear();
		}

		if (goesOn || !wait || this.#since === undefined) {
			this.#since = now;
		}

		if (goesOn && hasTold && wait?.reason === 'silence') {
			return {reason: 'over', words: 'goes on'};
		}

		const afterMs = this.#toldAfterMs[wait?.reason === 'silence' ? 'silence' : 'error'];
		const isKnown = wait?.reason === 'silence' ? this.#told.size > 0 : wait && this.#told.has(wait.reason);
		if (!wait || isKnown || now - this.#since < afterMs) {
			return undefined;
		}

		this.#told.add(wait.reason);
		return wait;
	}
}

function waitOf(download: Download, now: number): Wait | undefined {
	const {url, status, error, retryAt} = download;
	if (status === 'waiting' && error) {
		const due = formatDuration(Math.max(0, (retryAt ?? now) - now) / 1000);
		return {reason: error.code, words: `${error.message}; tries again, next in ${due}`};
	}

	if (status === 'queued') {
		const words = queueReason(download);
		return words === undefined ? undefined : {reason: 'queued', words};
	}

	return ['waiting', 'asking', 'active'].includes(status)
		? {reason: 'silence', words: `no answer from ${new URL(url).host} yet; waiting`}
		: undefined;
}
