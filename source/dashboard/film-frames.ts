// The frames of the film in the details: made by the host one after another, and kept.
import type {Download, DownloadFilm} from '../downstream.ts';
import {barOf} from './film-lines.ts';
import {frameCount, frameTimes, type FilmFrame} from './frames.ts';
import {messageOf} from '../text/message-of.ts';
import {details} from './mode.ts';
import type {UiStore} from './ui-store.ts';

const mostKept = 64;

export class FilmFrames {
	readonly #ui: UiStore;
	/** Pictures by file and time, oldest first; null where there is none. */
	readonly #made = new Map<string, Uint8Array | null>();
	#isOn = false;
	#making: {readonly key: string; readonly abort: AbortController} | undefined;

	constructor(ui: UiStore) {
		this.#ui = ui;
	}

	/** Shows the frames of the selected download in its details, or hides them. */
	toggle(selected: Download): void {
		const reason = whyNone(selected);
		if (this.#ui.state.frames) {
			this.stop();
		} else if (reason === undefined) {
			this.#isOn = true;
			this.#retryFailed();
			this.#ui.open(details);
			// The frames are at the end.
			this.#ui.set({scrolled: Infinity});
		} else {
			this.#ui.say(`i: ${reason}`, true);
		}
	}

	stop(): void {
		this.#isOn = false;
		this.update();
	}

	/** Cancels pictures that are off the screen, and makes the next one. Called after each change of state. */
	update(): void {
		const {isInDetails, isOrphan, selected, state} = this.#ui;
		this.#isOn &&= isInDetails;
		const film = this.#isOn ? filmWithPicture(selected) : undefined;
		const frames = selected && film && this.#framesOf(selected, film);
		if (!areSame(frames, state.frames)) {
			// This leads here again.
			this.#ui.set({frames});
			return;
		}

		const wanted = selected && !isOrphan ? (frames ?? []).filter(({isHere}) => isHere) : [];
		const keyed = wanted.map(({ms}) => ({ms, key: keyOf(selected!, ms)}));
		if (this.#making && !keyed.some(({key}) => key === this.#making?.key)) {
			this.#making.abort.abort();
		}

		const next = keyed.find(({key}) => !this.#made.has(key));
		if (next && !this.#making) {
			void this.#make(selected!, next);
		}
	}

	#framesOf(download: Download, film: DownloadFilm): FilmFrame[] {
		const {state, viewport} = this.#ui;
		const count = frameCount(barOf(film, viewport.width).cells);
		const before = (state.frames ?? []).map(({ms}) => ms);
		return frameTimes(film, count, before).map(frame => ({
			...frame,
			pixels: frame.isHere ? this.#made.get(keyOf(download, frame.ms)) : undefined,
		}));
	}

	#retryFailed(): void {
		for (const [key, pixels] of this.#made) {
			if (!pixels) {
				this.#made.delete(key);
			}
		}
	}

	async #make({streamUrl}: Download, {key, ms}: {readonly key: string; readonly ms: number}): Promise<void> {
		const abort = new AbortController();
		this.#making = {key, abort};
		try {
			const pixels = await this.#ui.host.filmFrame(streamUrl, ms, abort.signal);
			this.#made.set(key, pixels ?? null);
			if (this.#made.size > mostKept) {
				this.#made.delete(this.#made.keys().next().value!);
			}
		} catch (error) {
			if (!abort.signal.aborted) {
				this.#isOn = false;
				this.#ui.say(`i: ${messageOf(error)}`, true);
			}
		}

		this.#making = undefined;
		this.update();
	}
}

function filmWithPicture(download: Download | undefined): DownloadFilm | undefined {
	return download?.film?.tracks.some(({kind}) => kind === 'video') ? download.film : undefined;
}

function whyNone(download: Download): string | undefined {
	const {film, status, type} = download;
	if (!filmWithPicture(download)) {
		return film === null && type.startsWith('video/')
			? 'frames need the index of the film, which has not been read'
			: 'this download has no video';
	}

	return film!.exact || status === 'complete'
		? undefined
		: 'the times of this film are estimates, so frames need the complete file';
}

/** Another version of the file has another validator. */
function keyOf({id, validator, size}: Download, ms: number): string {
	return [id, validator, size, ms].join(' ');
}

function areSame(a: readonly FilmFrame[] | undefined, b: readonly FilmFrame[] | undefined): boolean {
	return (
		a?.length === b?.length &&
		(a ?? []).every(
			({ms, isHere, pixels}, index) =>
				ms === b![index]!.ms && isHere === b![index]!.isHere && pixels === b![index]!.pixels,
		)
	);
}
