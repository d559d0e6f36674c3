// Which downloads make room for others in a store of limited size. Pure.
import type {Download, DownloadId} from '../../downstream.ts';
import type {DownloadRecord} from './record.ts';

/** What is in the store of one download. */
export type Evictable = Pick<Download, 'id' | 'present' | 'completedAt' | 'exportWhenComplete'> & {
	/** Off the list, with its bytes kept: as complete as it was, and nobody uses it. */
	readonly status: Download['status'] | 'removed';
	/** Also those that have just gone. */
	readonly players: readonly unknown[];
	/** When a player began or ended to read it last, in milliseconds since the epoch. */
	readonly readAt: number | undefined;
	/** Its bytes are outside of the store. */
	readonly isMoved: boolean;
};

/** `view` is undefined for a download off the list. */
export function evictableOf(record: DownloadRecord, view?: Download): Evictable {
	const {id, ranges, completedAt, readAt, movedTo} = record;
	return {
		id,
		present: view?.present ?? ranges.reduce((sum, [start, end]) => sum + end - start, 0),
		completedAt: completedAt ?? null,
		exportWhenComplete: view?.exportWhenComplete ?? null,
		status: view?.status ?? 'removed',
		players: view?.players ?? [],
		readAt,
		isMoved: movedTo !== undefined,
	};
}

/**
 * Complete ones that nobody uses, in the order of their last use, until the others have `cacheSize` bytes at most. The
 * one that was used last stays even so: a file larger than the store would go in the moment in which it is complete.
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

function isUnused({status, players, exportWhenComplete}: Evictable): boolean {
	return (
		(status === 'complete' || status === 'removed') && players.length === 0 && exportWhenComplete === null
	);
}
