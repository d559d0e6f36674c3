// The interfaces between the scheduler, its download, and the services that all downloads share.
import type {DownloadId} from '../../downstream.ts';
import type {BlockPool} from '../memory/block-pool.ts';
import type {DataSource} from '../origin/data-source.ts';
import type {Range} from '../store/range-set.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {RecordFile} from '../store/record-store.ts';
import type {SparseFile} from '../store/sparse-file.ts';
import type {StorageAccess} from '../store/storage-access.ts';
import type {Bandwidth} from './bandwidth.ts';
import type {HostLimits} from './host-limits.ts';
import type {ReadAhead, Readers} from './readers.ts';
import type {RetryPolicy} from './retry-policy.ts';
import type {SpeedMeter} from './speed-meter.ts';

/** The change of the record for a new link, and the source that fetches from it. Rejects as `resolveLink` does. */
export type NewLink = (signal: AbortSignal) => Promise<{change: Partial<DownloadRecord>; source: DataSource}>;

/** Shared by all downloads. */
export type TransferServices = {
	readonly bandwidth: Bandwidth;
	readonly blocks: BlockPool;
	readonly access: StorageAccess;
	readonly hosts: HostLimits;
	/** Default number of connections for each file. */
	readonly connections: number;
	/** Milliseconds for the first response of an origin; doubled after each timeout. */
	readonly responseTimeout: number;
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
	/** The download may have started or stopped waiting for a place in the queue. */
	queueChanged(): void;
	/** Bytes that pending pledges of other downloads lack. */
	pledgedElsewhere(id: DownloadId): number;
	/** A player is near the end of the download. */
	nearEnd(id: DownloadId): void;
};

/** The permissions of a download to fetch without a waiting player. */
export type Places = {
	/** The whole file. */
	readonly background: boolean;
	readonly pledges: boolean;
	/** Pledges of this or other downloads take precedence: background connections make way at once. */
	readonly yields: boolean;
};

/** The unmet pledges of a download. */
export type PledgedRanges = {
	/** Some bytes are missing, or unknown yet. */
	readonly isPending: boolean;
	/** In the order of service. */
	readonly ranges: readonly Range[];
	/** Call when facts that determine the ranges may have changed. */
	update(): void;
};

/** The state of the download, as far as the scheduler uses it. */
export type FetchState = {
	readonly recordFile: RecordFile;
	readonly readers: Readers;
	readonly retries: RetryPolicy;
	readonly meter: SpeedMeter;
	/** Replaced when the download is moved or starts over: read it again after each wait. */
	readonly file: SparseFile;
	readonly readAhead: ReadAhead;
	/** Missing bytes of a film's index. */
	readonly wantedIndex: Range | undefined;
	/** One connection stays free for the index. */
	readonly awaitsIndex: boolean;
	/** Aborted when the download closes. */
	readonly ending: AbortSignal;
	/** A fact that the snapshot shows has changed. */
	changed(): void;
};

/** A download, and its reactions to the work of the scheduler. */
export type FetchTarget = {
	readonly state: FetchState;
	readonly pledges: PledgedRanges;
	/** The bytes are in the file. */
	received(offset: number, bytes: Uint8Array): void;
	/** The name, type or size became known, or the version of the stored bytes was proven. */
	identified(): void;
	/** The bytes contradict the cached bytes after them, or were never compared with them: they become a hole. */
	disproved(range: Range): void;
	/** `silentSince`: start of the request or time of the last byte, in milliseconds since the epoch. */
	failed(error: unknown, silentSince: number): void;
};
