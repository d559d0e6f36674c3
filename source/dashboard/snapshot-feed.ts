// Snapshots for the screen, at most four a second; no timer runs without changes.
import type {Download, DownloadId, DownloadEngine, Snapshot} from '../downstream.ts';
import {SpeedHistory} from './sparkline.ts';

/** Fewer frames while many rows change keep the CPU time of drawing small. */
const frameMs = {few: 250, many: 500};
const fewRows = 4;
/** Speeds change at most this often, to stay readable. */
const speedMs = 1000;

export type Frame = {
	/** With speeds that change once a second. */
	readonly snapshot: Snapshot;
	/** Time of the snapshot in milliseconds since the epoch: the screen's present. */
	readonly now: number;
	/** Bytes per second of the last minute, of all downloads together and of each. */
	readonly speeds: readonly number[];
	speedsOf(id: DownloadId): readonly number[];
};

type ShownSpeed = {readonly history: SpeedHistory; bytesPerSecond: number; bytesPerSecondLong: number};

export class SnapshotFeed {
	readonly #downstream: DownloadEngine;
	readonly #listeners = new Set<() => void>();
	readonly #all = new SpeedHistory();
	readonly #shown = new Map<DownloadId, ShownSpeed>();
	#newest: Snapshot;
	#frame: Frame;
	#speedsAt = 0;
	#bytesPerSecond = 0;
	#unsubscribe: (() => void) | undefined;
	#timer: NodeJS.Timeout | undefined;

	constructor(downstream: DownloadEngine) {
		this.#downstream = downstream;
		this.#newest = downstream.snapshot;
		this.#frame = this.#frameOf(this.#newest, Date.now());
	}

	get frame(): Frame {
		return this.#frame;
	}

	/** Takes the newest snapshot at once, after a command. */
	refresh(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		const {snapshot} = this.#downstream;
		if (snapshot !== this.#newest) {
			this.#newest = snapshot;
			this.#frame = this.#frameOf(snapshot, Date.now());
			for (const listener of this.#listeners) {
				listener();
			}
		}
	}

	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		this.#unsubscribe ??= this.#downstream.subscribe(() => {
			const running = this.#newest.downloads.filter(({status}) => status === 'active').length;
			const interval = running > fewRows ? frameMs.many : frameMs.few;
			this.#timer ??= setTimeout(() => this.refresh(), Math.max(0, this.#frame.now + interval - Date.now()));
		});
		// Catches up on changes from before the first listener.
		this.refresh();
		return () => {
			this.#listeners.delete(listener);
			if (this.#listeners.size === 0) {
				this.#unsubscribe?.();
				this.#unsubscribe = undefined;
				clearTimeout(this.#timer);
				this.#timer = undefined;
			}
		};
	}

	#frameOf(snapshot: Snapshot, now: number): Frame {
		if (now - this.#speedsAt >= speedMs || snapshot.bytesPerSecond === 0) {
			this.#speedsAt = now;
			this.#takeSpeeds(snapshot, now);
		}

		return {
			snapshot: {
				...snapshot,
				bytesPerSecond: this.#bytesPerSecond,
				downloads: snapshot.downloads.map(download => this.#withShownSpeed(download)),
			},
			now,
			speeds: this.#all.values,
			speedsOf: id => this.#shown.get(id)?.history.values ?? [],
		};
	}

	#takeSpeeds({downloads, bytesPerSecond}: Snapshot, now: number): void {
		this.#bytesPerSecond = bytesPerSecond;
		this.#all.add(bytesPerSecond, now);
		const before = new Map(this.#shown);
		this.#shown.clear();
		for (const {id, bytesPerSecond, bytesPerSecondLong} of downloads) {
			const shown = before.get(id);
			if (shown || bytesPerSecond > 0) {
				const history = shown?.history ?? new SpeedHistory();
				history.add(bytesPerSecond, now);
				this.#shown.set(id, {history, bytesPerSecond, bytesPerSecondLong});
			}
		}
	}

	#withShownSpeed(download: Download): Download {
		const shown = this.#shown.get(download.id);
		// A stop shows at once.
		return !shown ||
			download.bytesPerSecond === 0 ||
			(shown.bytesPerSecond === download.bytesPerSecond &&
				shown.bytesPerSecondLong === download.bytesPerSecondLong)
			? download
			: {
					...download,
					bytesPerSecond: shown.bytesPerSecond,
					bytesPerSecondLong: shown.bytesPerSecondLong,
				};
	}
}
