// The commands that pause and resume.
import {isResumable, isStopped, type Download} from '../downstream.ts';
import {cleanText} from '../text/clean-text.ts';
import {withOutages} from '../text/outage-words.ts';
import {counted, ordinal} from '../text/format.ts';
import {stillWords} from '../text/status-words.ts';
import {openChangedDialog} from './dialogs/changed.ts';
import {queueOf} from './list-view.ts';
import type {UiStore} from './ui-store.ts';

export class Pausing {
	readonly #ui: UiStore;

	constructor(ui: UiStore) {
		this.#ui = ui;
	}

	/** Pauses the running targets; resumes them if none runs. */
	toggle(selected: Download, targets: readonly Download[]): void {
		const {downstream} = this.#ui;
		const pausable = targets.filter(download => canPause(download));
		const running = pausable.filter(download => !isStopped(download));
		if (pausable.length === 0) {
			this.#ui.say(selected.status === 'exporting' ? 'Cannot pause an export' : 'Already complete');
		} else if (running.length > 0) {
			this.#forEach(queuedFirst(running), ({id}) => downstream.pause(id), pausedWords(running));
		} else {
			this.#forEach(pausable, ({id}) => downstream.resume(id));
		}
	}

	resume(selected: Download, targets: readonly Download[]): void {
		const {downstream, feed} = this.#ui;
		const resumable = withOutages(
			targets.filter(download => isResumable(download)),
			feed.frame.snapshot.downloads,
		);
		if (selected.error?.code === 'origin-changed' && !selected.isPageForFile) {
			openChangedDialog(this.#ui, selected);
		} else if (resumable.length === 0) {
			this.#ui.say(this.#whyNotResumed(selected));
		} else {
			const hasOthers = resumable.some(download => !targets.includes(download));
			const words = hasOthers ? `Retrying ${counted(resumable.length, 'download')}` : undefined;
			this.#forEach(resumable, ({id}) => downstream.resume(id), words);
		}
	}

	#whyNotResumed(download: Download): string {
		const {status} = download;
		const place = queueOf(this.#ui.feed.frame.snapshot.downloads).get(download.id);
		if (status === 'queued') {
			return place === undefined
				? 'On demand: it fetches only what players request'
				: `Already queued (${ordinal(place)}). K moves it up.`;
		}

		return status === 'complete' ? 'Already complete' : 'Already running';
	}

	/** Pauses all downloads; resumes the paused and failed ones if none runs. */
	toggleAll(): void {
		const {downstream, feed} = this.#ui;
		const pausable = feed.frame.snapshot.downloads.filter(download => canPause(download));
		const running = pausable.filter(download => !isStopped(download));
		const stopped = pausable.filter(({status}) => status === 'paused' || status === 'failed');
		if (running.length > 0) {
			const words = pausedWords(running) ?? `Paused ${running.length}`;
			this.#forEach(queuedFirst(running), ({id}) => downstream.pause(id), words);
		} else if (stopped.length === 0) {
			this.#ui.say('Nothing to pause or resume');
		} else {
			this.#forEach(stopped, ({id}) => downstream.resume(id), `Resumed ${stopped.length}`);
		}
	}

	/** In sequence, up to the first failure. */
	#forEach(
		downloads: readonly Download[],
		action: (download: Download) => Promise<unknown>,
		result?: string,
	): void {
		this.#ui.run(async () => {
			for (const download of downloads) {
				await action(download);
			}

			return result;
		});
	}
}

/** A complete download has nothing to pause, and an export cannot pause. */
function canPause({status}: Download): boolean {
	return status !== 'complete' && status !== 'exporting';
}

/** `Paused film.mkv; still serving a player`; undefined if nothing continues. */
function pausedWords(downloads: readonly Download[]): string | undefined {
	const going = downloads.filter(download => stillWords(download) !== undefined);
	const [only] = downloads;
	if (going.length === 0) {
		return undefined;
	}

	return downloads.length === 1
		? `Paused ${cleanText(only!.name)}; still ${stillWords(only!)}`
		: `Paused ${downloads.length}; ${going.length} still serving players or making safe`;
}

/** Puts queued downloads first: pausing a running one would start the next in the queue. */
function queuedFirst(downloads: readonly Download[]): readonly Download[] {
	return downloads.toSorted((a, b) => Number(b.status === 'queued') - Number(a.status === 'queued'));
}
