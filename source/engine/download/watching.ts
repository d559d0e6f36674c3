// The last position in a film or sound, and its linked player. The record follows at most every 5 s.
import type {Playback, Position} from '../../downstream.ts';
import type {TrackedPlayer} from '../fetch/players.ts';
import type {FilmMap} from '../film/film-map.ts';
import {byteAt, inferredMs} from '../film/playhead.ts';
import type {PlayerState} from '../player/mpv-link.ts';
import type {RecordFile} from '../store/record-store.ts';

const saveMs = 5000;
/** Minimum milliseconds between two inferred positions. */
const inferMs = 1000;
/** Programs that read without playing. */
const copies = /^(?:aria2|curl|Wget|rclone|Python|Go-http|node|undici)/i;
/** The credits take up the rest. */
const watchedShare = 0.92;

export class Watching {
	playback: Omit<Playback, 'offset'> | null = null;
	/** The map of the film; undefined while unknown. */
	map: () => FilmMap | undefined = () => undefined;
	readonly #recordFile: RecordFile;
	readonly #changed: () => void;
	/** Newer than the recorded position. */
	#position: Position | undefined;
	#inferredAt = 0;
	#inferredOffset: number | undefined;
	#saveTimer: NodeJS.Timeout | undefined;

	constructor(recordFile: RecordFile, changed: () => void) {
		this.#recordFile = recordFile;
		this.#changed = changed;
	}

	/** As clients see it. */
	get shown(): Playback | null {
		const {playback, position} = this;
		const map = playback && this.map();
		return playback && {...playback, offset: map && position ? byteAt(map, position.ms) : null};
	}

	/** The byte of the current picture of an unlinked player; undefined right after a seek. */
	get inferredOffset(): number | undefined {
		return this.#inferredOffset;
	}

	get position(): Position | null {
		return this.#position ?? this.#recordFile.record.position ?? null;
	}

	/** `state` of the linked player; undefined once no linked player plays this download. */
	follow(state: PlayerState | undefined): void {
		if (!state) {
			this.playback = null;
			this.#saveNow();
			this.#changed();
			return;
		}

		const {name, positionMs, durationMs, paused, speed, stalled, stalls, hasEnded} = state;
		this.playback = {player: name, durationMs, paused, speed, stalled, stalls};
		const ms = hasEnded ? (durationMs ?? positionMs) : positionMs;
		if (ms !== undefined) {
			this.#move(ms, hasEnded || isWatched(ms, durationMs), true);
		}

		this.#changed();
	}

	/** An unlinked player has read more bytes. */
	readBy({name, offset, run}: TrackedPlayer, now: number): void {
		if (this.playback || now < this.#inferredAt + inferMs || copies.test(name)) {
			return;
		}

		this.#inferredAt = now;
		const map = this.map();
		const ms = map && inferredMs(map, {...run, offset}, now);
		this.#inferredOffset = map && ms !== undefined ? byteAt(map, ms) : undefined;
		if (map && ms !== undefined) {
			this.#move(ms, isWatched(ms, map.durationMs), false);
			this.#changed();
		}
	}

	/** A position past the end of the film is its end. Rejects with `disk-full` or `disk-failed`. */
	async set({
		positionMs,
		watched,
	}: {
		positionMs?: number | undefined;
		watched?: boolean | undefined;
	}): Promise<void> {
		const {position} = this;
		const durationMs = this.playback?.durationMs ?? this.map()?.durationMs ?? null;
		const ms = Math.min(positionMs ?? position?.ms ?? 0, durationMs ?? Infinity);
		const isMoved = positionMs !== undefined;
		this.#position = {
			ms,
			at: Date.now(),
			watched: watched ?? isWatched(ms, durationMs),
			exact: isMoved || (position?.exact ?? true),
		};
		this.#changed();
		await this.#save();
	}

	/** Saves the last position. Never rejects. */
	async end(): Promise<void> {
		await this.#save().catch(() => undefined);
	}

	#move(ms: number, watched: boolean, exact: boolean): void {
		const {position} = this;
		if (position?.ms !== ms || position.watched !== watched || position.exact !== exact) {
			this.#position = {ms, at: Date.now(), watched, exact};
			this.#saveTimer ??= setTimeout(() => this.#saveNow(), saveMs).unref();
		}
	}

	#saveNow(): void {
		// The next save, or the end, tries again.
		void this.#save().catch(() => undefined);
	}

	async #save(): Promise<void> {
		clearTimeout(this.#saveTimer);
		this.#saveTimer = undefined;
		if (this.#position) {
			await this.#recordFile.save({position: this.#position});
		}
	}
}

function isWatched(ms: number, durationMs: number | null): boolean {
	return durationMs !== null && durationMs > 0 && ms >= watchedShare * durationMs;
}
