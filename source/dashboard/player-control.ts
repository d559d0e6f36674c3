// Keys and clicks for the linked player, in the details of the film.
import {byId, type Download, type DownloadId} from '../downstream.ts';
import {openGoToDialog} from './dialogs/go-to.ts';
import {playerKeys, type Command} from './keys.ts';
import {currentMs, missingWords} from './playback.ts';
import type {UiStore} from './ui-store.ts';

/** Until the player reports a seek, the next one counts from its target. */
const aimMs = 1500;
/** The end of the film would close most players. */
const beforeEndMs = 1000;

const steps: Partial<Record<Command, number>> = {
	'seek-back': -10_000,
	'seek-forward': 10_000,
	'minute-back': -60_000,
	'minute-forward': 60_000,
};

/** Starts a player at a time in milliseconds. */
export function startPlayer(ui: UiStore, download: Download, startMs: number): void {
	ui.run(async () => `Started ${await ui.host.play(download, startMs)}`);
}

export class PlayerControl {
	readonly #ui: UiStore;
	#aim: {readonly id: DownloadId; readonly ms: number; readonly at: number} | undefined;

	constructor(ui: UiStore) {
		this.#ui = ui;
	}

	/**
	 * The command of a key in the details of a film that a linked player plays. `g` and Space, which move and mark in the list,
	 * have no other meaning in details.
	 */
	commandOf(name: string): Command | undefined {
		const {isInDetails, selected, viewport} = this.#ui;
		const found = playerKeys({scrolls: viewport.lastTop > 0}).find(({keys}) => keys.includes(name));
		const isAlways = found?.command === 'go-to' || found?.command === 'pause-player';
		return isInDetails && (selected?.playback || isAlways) ? found?.command : undefined;
	}

	run(command: Command, download: Download): void {
		const step = steps[command];
		if (this.#ui.isOrphan) {
			this.#ui.refuseAsOrphan();
		} else if (!download.playback && command === 'go-to' && download.film) {
			const end = download.film.durationMs - beforeEndMs;
			openGoToDialog(this.#ui, download, ms => startPlayer(this.#ui, download, Math.min(ms, end)));
		} else if (!download.playback) {
			this.#ui.say('No linked player: o starts mpv');
		} else if (command === 'pause-player') {
			const pause = !download.playback.paused;
			this.#ui.run(() => this.#ui.downstream.controlPlayer(download.id, {pause}));
		} else if (command === 'go-to') {
			openGoToDialog(this.#ui, download, ms => this.#seek(download, ms));
		} else if (step !== undefined) {
			const {downloads} = this.#ui.downstream.snapshot;
			const newest = byId(downloads, download.id) ?? download;
			this.#seek(newest, this.#placeOf(newest) + step);
		}
	}

	/** Seeks to a share of the film, from 0 to 1. */
	seekToShare(share: number): void {
		const {selected} = this.#ui;
		const durationMs = selected?.playback?.durationMs;
		if (selected && durationMs) {
			this.#seek(selected, share * durationMs);
		}
	}

	#placeOf(download: Download): number {
		const now = Date.now();
		const isAimed = this.#aim?.id === download.id && now - this.#aim.at < aimMs;
		return isAimed ? this.#aim!.ms : currentMs(download, now);
	}

	#seek(download: Download, to: number): void {
		const {id, playback} = download;
		const end = playback?.durationMs ?? Infinity;
		const seekMs = Math.round(Math.max(0, Math.min(to, end - beforeEndMs)));
		this.#aim = {id, ms: seekMs, at: Date.now()};
		this.#ui.run(async () => {
			await this.#ui.downstream.controlPlayer(id, {seekMs});
			// Those of the seek before are untrue now.
			this.#ui.set({message: undefined});
			return missingWords(download, seekMs);
		});
	}
}
