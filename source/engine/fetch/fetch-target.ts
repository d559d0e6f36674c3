// The interfaces of the scheduler: its download, and the services that all downloads share.
import type {Range} from '../store/range-set.ts';
import type {RecordFile} from '../store/record-store.ts';
import type {SparseFile} from '../store/sparse-file.ts';
import type {Bandwidth} from './bandwidth.ts';
import type {HostLimits} from './host-limits.ts';
import type {ReadAhead, Readers} from './readers.ts';
import type {RetryPolicy} from './retry-policy.ts';
import type {SpeedMeter} from './speed-meter.ts';

/** Shared by all downloads. */
export type FetchServices = {
	readonly bandwidth: Bandwidth;
	readonly hosts: HostLimits;
	/** Milliseconds for the first response of an origin; doubled after each timeout. */
	readonly responseTimeout: number;
	/** The download may have started or stopped waiting for a place in the queue. */
	queueChanged(): void;
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
	readonly places: Places;
	readonly maxConnections: number;
	/** The origin has described the file. */
	hasFileInfo: boolean;
	/** Milliseconds since the epoch. */
	lastByteAt: number | null;
	/** Missing bytes of a film's index. */
	readonly wantedIndex: Range | undefined;
	/** One connection stays free for the index. */
	readonly awaitsIndex: boolean;
	/** Something supplies new links for an expired one. */
	readonly hasNewLinks: boolean;
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
