// How long a command without a screen waits for bytes, and what it says meanwhile.
import {cleanText} from './dashboard/clean-text.ts';
import {formatDuration} from './dashboard/format.ts';
import {queueReason} from './dashboard/state-words.ts';
import type {Download, DownloadId} from './downstream.ts';

/** How a command ended that waits for downloads. */
export type Outcome = 'done' | 'failed' | 'gave-up';

/** How often to look. */
export const lookMs = 500;
/** What passes sooner is not worth a line. */
const toldAfterMs = {error: 2000, silence: 5000};

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
		.filter(({status}) => !isSettled(status))
		.map(({error, name}) => {
			const reason = error?.message ?? 'the server does not answer';
			return `${name}: ${reason}; gave up, no byte came for ${quietFor} (--give-up-after changes that; the same command goes on from what is here)`;
		});
}

/** Nothing more happens by itself. */
export function isSettled(status: Download['status']): boolean {
	return ['complete', 'failed', 'cancelled', 'paused'].includes(status);
}

type Trouble = {since: number; lastByteAt: number | null; readonly told: Set<string>};

/** Lines on downloads that do not go on: one for each state, however often it is tried. */
export class TroubleLines {
	readonly #troubles = new Map<DownloadId, Trouble>();

	/** What is new since the last look. `now` in milliseconds since the epoch. */
	next(downloads: readonly Download[], now: number): string[] {
		return downloads.flatMap(download => {
			const words = this.#wordsOf(download, now);
			return words === undefined ? [] : [`${cleanText(download.name)}: ${cleanText(words)}`];
		});
	}

	#wordsOf(download: Download, now: number): string | undefined {
		const {id, url, status, lastByteAt} = download;
		const trouble = this.#troubles.get(id);
		const isStuck = ['waiting', 'asking', 'active'].includes(status) || queueReason(download) !== undefined;
		if (!trouble || !isStuck || lastByteAt !== trouble.lastByteAt) {
			this.#troubles.set(id, {since: now, lastByteAt, told: new Set()});
			return isStuck && trouble && trouble.told.size > 0 ? 'goes on' : undefined;
		}

		const waited = now - trouble.since;
		const tell = (state: string, words: string, afterMs: number) => {
			if (waited < afterMs || trouble.told.has(state)) {
				return undefined;
			}

			trouble.told.add(state);
			return words;
		};
		const {error, retryAt} = download;
		if (error && status === 'waiting') {
			const due = formatDuration(Math.max(0, (retryAt ?? now) - now) / 1000);
			return tell(error.code, `${error.message}; tries again, next in ${due}`, toldAfterMs.error);
		}

		if (status === 'queued') {
			return tell(status, queueReason(download) ?? status, toldAfterMs.error);
		}

		return trouble.told.size > 0
			? undefined
			: tell('silence', `no answer from ${new URL(url).host} yet; waiting`, toldAfterMs.silence);
	}
}
