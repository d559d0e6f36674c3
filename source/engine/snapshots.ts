// Snapshots of the collection, and the notifications of their listeners.
import path from 'node:path';
import type {Download, Snapshot} from '../downstream.ts';
import {sharedProblems} from './banners.ts';
import {freeBytes} from './store/free-space.ts';

/** Minimum milliseconds between two notifications of a listener. */
const notifyMs = 333;
/** Speeds and players that fade without an event are shown this often. */
const tickMs = 500;
const freeSpaceMs = 5000;

type Viewed = {
	/** The same object until something has changed. `now` is in milliseconds since the epoch. */
	view(now: number): Download;
	/** A speed falls or a player is forgotten, without an event. */
	readonly changesOverTime: boolean;
};

type SnapshotSource = {
	readonly storageDir: string;
	/** In the order of the snapshot. */
	readonly transfers: () => Iterable<Viewed>;
	/** `banners` come before all others. */
	readonly facts: () => Pick<Snapshot, 'limitRate' | 'origin' | 'banners'>;
};

export class Snapshots {
	readonly #source: SnapshotSource;
	readonly #listeners = new Set<() => void>();
	readonly #banners: string[] = [];
	#current: Snapshot = {
		version: 0,
		downloads: [],
		bytesPerSecond: 0,
		limitRate: null,
		freeBytes: null,
		origin: '',
		banners: [],
	};
	#isStale = true;
	#hasEnded = false;
	#notifyTimer: NodeJS.Timeout | undefined;
	#notifiedAt = -Infinity;
	#tickTimer: NodeJS.Timeout | undefined;
	#freeBytes: number | null = null;
	#freeBytesAt = 0;

	constructor(source: SnapshotSource) {
		this.#source = source;
	}

	get current(): Snapshot {
		if (this.#isStale) {
			this.#isStale = false;
			this.#current = this.#take();
		}

		return this.#current;
	}

	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		this.#tick();
		return () => {
			this.#listeners.delete(listener);
		};
	}

	/** Shows one sentence until the program ends. */
	addBanner(text: string): void {
		this.#banners.push(text);
		this.changed();
	}

	/** A part of the snapshot has changed. Notifies at most 3 times a second; the first change after a pause at once. */
	changed(): void {
		this.#notifyIn(Math.max(0, this.#notifiedAt + notifyMs - performance.now()));
	}

	/** Notifies at once, for rare events. */
	changedNow(): void {
		this.#notifyIn(0);
	}

	/** Ends all notifications. */
	end(): void {
		this.#hasEnded = true;
		clearTimeout(this.#notifyTimer);
		clearTimeout(this.#tickTimer);
		this.#listeners.clear();
	}

	#notifyIn(delay: number): void {
		this.#isStale = true;
		if (this.#listeners.size === 0) {
			return;
		}

		if (delay === 0) {
			clearTimeout(this.#notifyTimer);
			this.#notifyTimer = undefined;
		}

		this.#notifyTimer ??= setTimeout(() => {
			this.#notifyTimer = undefined;
			this.#notifiedAt = performance.now();
			for (const listener of this.#listeners) {
				listener();
			}

			this.#tick();
		}, delay);
	}

	/** Runs while there are listeners and downloads that change over time. */
	#tick(): void {
		const changesOverTime =
			this.#listeners.size > 0 && [...this.#source.transfers()].some(transfer => transfer.changesOverTime);
		if (changesOverTime && !this.#hasEnded) {
			this.#tickTimer ??= setTimeout(() => {
				this.#tickTimer = undefined;
				this.changed();
			}, tickMs);
			this.#tickTimer.unref();
		}
	}

	#take(): Snapshot {
		const now = Date.now();
		if (now - this.#freeBytesAt > freeSpaceMs) {
			this.#freeBytesAt = now;
			void this.#measureFreeSpace();
		}

		const {storageDir, transfers, facts} = this.#source;
		const {limitRate, origin, banners} = facts();
		const downloads = Array.from(transfers(), transfer => transfer.view(now));
		return {
			version: this.#current.version + 1,
			downloads,
			bytesPerSecond: downloads.reduce((sum, {bytesPerSecond}) => sum + bytesPerSecond, 0),
			limitRate,
			freeBytes: this.#freeBytes,
			origin,
			banners: [...banners, ...sharedProblems(downloads, path.resolve(storageDir)), ...this.#banners],
		};
	}

	async #measureFreeSpace(): Promise<void> {
		const free = await freeBytes(this.#source.storageDir);
		if (free !== this.#freeBytes) {
			this.#freeBytes = free;
			this.changed();
		}
	}
}
