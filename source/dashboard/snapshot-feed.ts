// Snapshots for the screen, at most two a second. No timer runs without changes.
import {
	isSettled,
	isStopped,
	type Download,
	type DownloadId,
	type DownloadEngine,
	type Snapshot,
} from '../downstream.ts';
import {withoutSilentCeilings} from '../text/outage-words.ts';
import type {ByteRange} from './bar-spans.ts';
import {SpeedHistory} from './sparkline.ts';

/** The time between frames: nobody reads faster, and keys and commands draw at once. */
const frameMs = 500;
/** Speeds change at most this often, to stay readable. */
const speedMs = 1000;
/** Written bytes are fresh for this long. */
const freshMs = 2000;

export type Frame = {
	/** With speeds that change once a second. */
	readonly snapshot: Snapshot;
	/** No program runs the downloads. */
	readonly isOrphan: boolean;
	/** Another program runs the downloads: quitting stops none of them. */
	readonly isAttached: boolean;
	/** Time of the snapshot in milliseconds since the epoch: the screen's present. */
	readonly now: number;
	/** Bytes per second of the last minute, of all downloads together and of each. */
	readonly speeds: readonly number[];
	readonly speedsOf: (id: DownloadId) => readonly number[];
	/** The bytes written a moment ago, in any order. */
	readonly freshOf: (id: DownloadId) => readonly ByteRange[];
};

const orphanBanner = 'The other instance has quit. R continues its downloads.';

type Written = {readonly at: number; readonly range: ByteRange};

type FeedSources = {
	/** No program runs the downloads now. */
	isOrphan(this: void): boolean;
	/** Another program runs the downloads. */
	isAttached(this: void): boolean;
	/** The terminal has not taken the last frame. */
	isBehind(this: void): boolean;
};

type HeldSpeed = {readonly history: SpeedHistory; bytesPerSecond: number; bytesPerSecondLong: number};

export class SnapshotFeed {
	readonly #downstream: DownloadEngine;
	readonly #sources: FeedSources;
	readonly #listeners = new Set<() => void>();
	readonly #all = new SpeedHistory();
	readonly #held = new Map<DownloadId, HeldSpeed>();
	#newest: Snapshot;
	#frame: Frame;
	#speedsAt = 0;
	#bytesPerSecond = 0;
	readonly #fresh = new Map<DownloadId, readonly Written[]>();
	#unsubscribe: (() => void) | undefined;
	#timer: NodeJS.Timeout | undefined;
	/** Draws once more when the last fresh bytes have aged. */
	#agingTimer: NodeJS.Timeout | undefined;

	constructor(downstream: DownloadEngine, sources: FeedSources) {
		this.#downstream = downstream;
		this.#sources = sources;
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
			this.#takeWritten(this.#newest.downloads, snapshot.downloads);
			this.#newest = snapshot;
			this.#draw();
		}
	}

	#refreshUnlessBehind(): void {
		if (this.#sources.isBehind()) {
			this.#timer = setTimeout(() => this.#refreshUnlessBehind(), frameMs);
		} else {
			this.refresh();
		}
	}

	#draw(): void {
		this.#frame = this.#frameOf(this.#newest, Date.now());
		for (const listener of this.#listeners) {
			listener();
		}
	}

	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		this.#unsubscribe ??= this.#downstream.subscribe(() => {
			const due = this.#frame.now + frameMs - Date.now();
			this.#timer ??= setTimeout(() => this.#refreshUnlessBehind(), Math.max(0, due));
		});
		// Catches up on changes from before the first listener.
		this.refresh();
		return () => {
			this.#listeners.delete(listener);
			if (this.#listeners.size === 0) {
				this.#unsubscribe?.();
				this.#unsubscribe = undefined;
				clearTimeout(this.#timer);
				clearTimeout(this.#agingTimer);
				this.#timer = undefined;
			}
		};
	}

	/** Records the bytes that `after` has beyond `before`. */
	#takeWritten(before: readonly Download[], after: readonly Download[]): void {
		const now = Date.now();
		const known = new Map(before.map(download => [download.id, download]));
		for (const download of after) {
			const old = known.get(download.id);
			if (old && old.ranges !== download.ranges && download.present > old.present) {
				const fresh = (this.#fresh.get(download.id) ?? []).filter(({at}) => now - at < freshMs);
				const added = addedRanges(old.ranges, download.ranges).map(range => ({at: now, range}));
				this.#fresh.set(download.id, [...fresh, ...added]);
				clearTimeout(this.#agingTimer);
				this.#agingTimer = setTimeout(() => {
					this.#fresh.clear();
					this.#draw();
				}, freshMs);
			}
		}
	}

	#frameOf(snapshot: Snapshot, now: number): Frame {
		// A start and a stop show at once.
		const isOther = snapshot.bytesPerSecond === 0 || this.#bytesPerSecond === 0;
		if (isOther || now - this.#speedsAt >= speedMs) {
			this.#speedsAt = now;
			this.#takeSpeeds(snapshot, now);
		}

		const isOrphan = this.#sources.isOrphan();
		return {
			snapshot: {
				...snapshot,
				bytesPerSecond: this.#bytesPerSecond,
				downloads: withoutSilentCeilings(snapshot.downloads, now).map(download =>
					isOrphan ? asStopped(download) : this.#withHeldSpeed(download),
				),
				banners: isOrphan ? [orphanBanner] : snapshot.banners,
			},
			isOrphan,
			isAttached: this.#sources.isAttached(),
			now,
			speeds: this.#all.values,
			speedsOf: id => this.#held.get(id)?.history.values ?? [],
			freshOf: id =>
				(this.#fresh.get(id) ?? []).flatMap(({at, range}) => (now - at < freshMs ? [range] : [])),
		};
	}

	#takeSpeeds({downloads, bytesPerSecond}: Snapshot, now: number): void {
		this.#bytesPerSecond = bytesPerSecond;
		this.#all.add(bytesPerSecond, now);
		const before = new Map(this.#held);
		this.#held.clear();
		for (const {id, bytesPerSecond, bytesPerSecondLong} of downloads) {
			const held = before.get(id);
			if (held || bytesPerSecond > 0) {
				const history = held?.history ?? new SpeedHistory();
				history.add(bytesPerSecond, now);
				this.#held.set(id, {history, bytesPerSecond, bytesPerSecondLong});
			}
		}
	}

	#withHeldSpeed(download: Download): Download {
		const held = this.#held.get(download.id);
		// A stop shows at once.
		return !held ||
			download.bytesPerSecond === 0 ||
			(held.bytesPerSecond === download.bytesPerSecond &&
				held.bytesPerSecondLong === download.bytesPerSecondLong)
			? download
			: {
					...download,
					bytesPerSecond: held.bytesPerSecond,
					bytesPerSecondLong: held.bytesPerSecondLong,
				};
	}
}

/** Nothing moves a download without a program that runs it. */
function asStopped(download: Download): Download {
	return isSettled(download) || isStopped(download) ? download : {...download, status: 'cancelled'};
}

/** The parts of `after` that are not in `before`; both sorted and merged. */
function addedRanges(before: readonly ByteRange[], after: readonly ByteRange[]): ByteRange[] {
	const added: ByteRange[] = [];
	let index = 0;
	for (const [start, end] of after) {
		let from = start;
		while (index < before.length && before[index]![0] < end) {
			const [oldStart, oldEnd] = before[index]!;
			if (oldStart > from) {
				added.push([from, oldStart]);
			}

			from = Math.max(from, oldEnd);
			index++;
		}

		if (from < end) {
			added.push([from, end]);
		}
	}

	return added;
}
