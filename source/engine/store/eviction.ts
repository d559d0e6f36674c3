// Selects the downloads to evict from a store of limited size. Pure.
import type {Download, DownloadId} from '../../downstream.ts';
import type {DownloadRecord} from './record.ts';

/** The facts of a download that eviction depends on. */
export type Evictable = Pick<Download, 'id' | 'present' | 'completedAt' | 'exportWhenComplete'> & {
	/** On the list with pledges, met or not. */
	readonly isPledged: boolean;
	/** `removed` means off the list with its bytes kept, complete and unused. */
	readonly status: Download['status'] | 'removed';
	/** Including players that disconnected a moment ago. */
	readonly players: readonly unknown[];
	/** When a player last started or stopped reading, in milliseconds since the epoch. */
	readonly readAt: number | undefined;
	/** The bytes were moved out of the store. */
	readonly isMoved: boolean;
};

/** `view` is undefined for a download off the list. */
export function evictableOf(record: DownloadRecord, view?: Download): Evictable {
	const {id, ranges, pledges = [], completedAt, readAt, movedTo} = record;
	return {
		id,
		present: view?.present ?? ranges.reduce((sum, [start, end]) => sum + end - start, 0),
		completedAt: completedAt ?? null,
		exportWhenComplete: view?.exportWhenComplete ?? null,
		status: view?.status ?? 'removed',
		players: view?.players ?? [],
		readAt,
		isPledged: view !== undefined && pledges.length > 0,
		isMoved: movedTo !== undefined,
	};
}

/**
 * Selects complete, unused downloads, least recently used first, until the rest take at most `cacheSize` bytes. The
 * most recently used one always stays: otherwise a file larger than the store would be evicted on completion.
 */
export function selectEvictions(downloads: readonly Evictable[], cacheSize: number): DownloadId[] {
	const inStore = downloads.filter(({isMoved}) => !isMoved);
	const byUse = inStore
		.filter(({completedAt}) => completedAt !== null)
		.toSorted((a, b) => lastUse(a) - lastUse(b));
	const evicted: DownloadId[] = [];
	let size = inStore.reduce((sum, {present}) => sum + present, 0);
	for (const download of byUse.slice(0, -1)) {
		if (size > cacheSize && isUnused(download)) {
			size -= download.present;
			evicted.push(download.id);
		}
	}

	return evicted;
}

function lastUse({readAt = 0, completedAt}: Evictable): number {
	return Math.max(readAt, completedAt ?? 0);
}

function isUnused({status, players, exportWhenComplete, isPledged}: Evictable): boolean {
	return (
		(status === 'complete' || status === 'removed') &&
		players.length === 0 &&
		exportWhenComplete === null &&
		!isPledged
	);
}
