// The services of the engine that all downloads share.
import type {DownloadId} from '../../downstream.ts';
import type {FetchServices} from '../fetch/fetch-target.ts';
import type {BlockPool} from '../memory/block-pool.ts';
import type {DataSource} from '../origin/data-source.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {StorageAccess} from '../store/storage-access.ts';

/** The change of the record for a new link, and the source that fetches from it. Rejects as `resolveLink` does. */
export type NewLink = (signal: AbortSignal) => Promise<{change: Partial<DownloadRecord>; source: DataSource}>;

/** Shared by all downloads. */
export type TransferServices = FetchServices & {
	readonly blocks: BlockPool;
	readonly access: StorageAccess;
	/** Default number of connections for each file. */
	readonly connections: number;
	/** Maximum bytes to keep ready ahead of a reader. */
	readonly readAhead: number;
	/** The same in milliseconds of a film, where its index is known. */
	readonly readAheadMs: number | undefined;
	/** Read the indexes of films. `stored`: only load the maps of earlier runs. */
	readonly film: boolean | 'stored';
	/** Milliseconds of each film to keep present ahead of its player; 0 for none. */
	readonly keepAhead: number;
	/** Milliseconds of the next film to fetch once a player is near the end of one; 0 for none. */
	readonly next: number;
	streamUrl(id: DownloadId, name: string): string;
	/** Fetches another link for a download whose link has expired; undefined where nothing supplies links. */
	newLink(record: DownloadRecord): NewLink | undefined;
	/** A fact that the snapshot shows has changed. */
	changed(): void;
	/** Bytes that pending pledges of other downloads lack. */
	pledgedElsewhere(id: DownloadId): number;
	/** A player is near the end of the download. */
	nearEnd(id: DownloadId): void;
};
