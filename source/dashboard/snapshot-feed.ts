// The newest snapshot for the screen, at most four times a second; nothing runs while nothing changes.
import type {DownStream, Snapshot} from '../downstream.ts';

const frameMs = 250;

export type Frame = {
	readonly snapshot: Snapshot;
	/** When it was taken, in milliseconds since the epoch: what the screen calls now. */
	readonly now: number;
};

export class SnapshotFeed {
	readonly #downstream: DownStream;
	readonly #listeners = new Set<() => void>();
	#frame: Frame;
	#unsubscribe: (() => void) | undefined;
	#timer: NodeJS.Timeout | undefined;

	constructor(downstream: DownStream) {
		this.#downstream = downstream;
		this.#frame = {snapshot: downstream.snapshot, now: Date.now()};
	}

	get frame(): Frame {
		return this.#frame;
	}

	/** Takes the newest at once: a key has changed something. */
	refresh(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		const {snapshot} = this.#downstream;
		if (snapshot !== this.#frame.snapshot) {
			this.#frame = {snapshot, now: Date.now()};
			for (const listener of this.#listeners) {
				listener();
			}
		}
	}

	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		this.#unsubscribe ??= this.#downstream.subscribe(() => {
			this.#timer ??= setTimeout(() => this.refresh(), Math.max(0, this.#frame.now + frameMs - Date.now()));
		});
		// Something may have changed before anybody listened.
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
}
