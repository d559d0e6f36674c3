// The last position in a video or audio file, and its linked player. The recorded one is at most 5 s old.
import type {Playback, Position} from '../../downstream.ts';
import type {TrackedPlayer} from '../fetch/players.ts';
import type {FilmMap} from '../film/film-map.ts';
import {infer, type Inference} from '../film/inference.ts';
import {byteAt} from '../film/playhead.ts';
import type {PlayerState} from '../player/mpv-link.ts';
import type {RecordFile} from '../store/record-store.ts';

/** Milliseconds between two saves. The position is up to 1.5 s old when it arrives, and the write takes its time. */
const saveMs = 3000;
/** Milliseconds between two inferred positions. */
const inferMs = 1000;
/** Programs that read without playing. */
const copies = /^(?:aria2|curl|Wget|rclone|Python|Go-http|node|undici)/i;
/** Fraction of the duration after which a film counts as watched: the credits take up the rest. */
const watchedShare = 0.92;

export class Watching {
	playback: Omit<Playback, 'offset'> | null = null;
	/** The map of the film; undefined while unknown. */
	map: () => FilmMap | undefined = () => undefined;
	readonly #recordFile: RecordFile;
	readonly #changed: () => void;
	/** Newer than the recorded position. */
	#position: Position | undefined;
	/** The newest unlinked player. */
	#reader: TrackedPlayer | undefined;
	#inference: Inference | undefined;
	#inferTimer: NodeJS.Timeout | undefined;
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

	/** The byte of the current picture of an unlinked player; undefined right after a seek, and once it has left. */
	get inferredOffset(): number | undefined {
		const map = this.map();
		const isKnown = this.#inferTimer !== undefined && this.#inference?.isPlaying;
		return map && isKnown ? byteAt(map, this.#inference!.ms) : undefined;
	}

	get position(): Position | null {
		return this.#position ?? this.#recordFile.record.position ?? null;
	}

	/** The control socket of the player that was linked last; undefined once that has exited. */
	get socket(): string | undefined {
		return this.#recordFile.record.playerSocket;
	}

	/** The player of a socket was linked, or has exited. */
	keepSocket(socket: string, isRunning: boolean): void {
		// The position, too, is lost by a disk that takes no record.
		if (isRunning || this.socket === socket) {
			void this.#recordFile.save({playerSocket: isRunning ? socket : undefined}).catch(() => undefined);
		}
	}

	/** `state` of the linked player; undefined once no linked player plays this download. */
	follow(state: PlayerState | undefined): void {
		if (!state) {
			this.playback = null;
			this.#saveNow();
			this.#changed();
			return;
		}

		const {name, positionMs, durationMs, paused, speed, stalled, stalls, subtitles, hasEnded} = state;
		this.playback = {player: name, durationMs, paused, speed, stalled, stalls, subtitles};
		const ms = hasEnded ? (durationMs ?? positionMs) : positionMs;
		if (ms !== undefined) {
			this.#move(ms, hasEnded || isWatched(ms, durationMs), true);
		}

		this.#changed();
	}

	/** A player reads. Without a linked one, the position is inferred until it leaves. */
	readBy(player: TrackedPlayer): void {
		if (this.#inferTimer && player === this.#reader) {
			return;
		}

		const isOlder = this.#inferTimer && this.#reader!.run.since > player.run.since;
		if (!this.playback && !isOlder && !copies.test(player.name)) {
			this.#reader = player;
			this.#inferTimer ??= setInterval(() => this.#infer(), inferMs).unref();
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
		clearInterval(this.#inferTimer);
		await this.#save().catch(() => undefined);
	}

	#infer(): void {
		const map = this.map();
		const {run, offset, openRequests, blockedRequests} = this.#reader!;
		if (this.playback || openRequests === 0) {
			clearInterval(this.#inferTimer);
			this.#inferTimer = undefined;
		} else if (map) {
			const reads = {run, offset, isBlocked: blockedRequests > 0};
			this.#inference = infer(map, this.#inference, reads, Date.now());
			const {ms, isPlaying} = this.#inference;
			if (isPlaying && this.#move(ms, isWatched(ms, map.durationMs), false)) {
				this.#changed();
			}
		}
	}

	/** Returns false if the position stays the same. */
	#move(ms: number, watched: boolean, exact: boolean): boolean {
		const {position} = this;
		if (position?.ms === ms && position.watched === watched && position.exact === exact) {
			return false;
		}

		this.#position = {ms, at: Date.now(), watched, exact};
		this.#saveTimer ??= setTimeout(() => this.#saveNow(), saveMs).unref();
		return true;
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
