// The state of one download, shared by its parts: record, data file, readers, retries and progress.
import type {Download} from '../../downstream.ts';
import {Readers, type ReadAhead} from '../fetch/readers.ts';
import {RetryPolicy} from '../fetch/retry-policy.ts';
import type {FetchState, Places} from '../fetch/fetch-target.ts';
import type {Segments} from '../fetch/segments.ts';
import {SpeedMeter} from '../fetch/speed-meter.ts';
import {BlockChecksums} from '../store/block-checksums.ts';
import type {Range} from '../store/range-set.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {RecordFile} from '../store/record-store.ts';
import type {SparseFile} from '../store/sparse-file.ts';
import type {TransferServices} from './transfer-services.ts';
import {Watching} from './watching.ts';

/** Reactions that concern several parts of a download. */
export type DownloadEffects = {
	/**
	 * Retries, renews the link, fetches a new version, or fails the download. `silentSince`: start of the request or
	 * time of the last byte, in milliseconds since the epoch.
	 */
	failed(error: unknown, silentSince?: number): void;
	/** The queue, the scheduler and the checkpoints act on changed facts. */
	reevaluate(): void;
};

export class DownloadState implements FetchState {
	readonly recordFile: RecordFile;
	readonly services: TransferServices;
	readonly checks: BlockChecksums;
	readonly readers: Readers;
	readonly retries: RetryPolicy;
	readonly watching: Watching;
	readonly readAhead: ReadAhead;
	readonly meter = new SpeedMeter();
	readonly #closing = new AbortController();
	/** The state of the signal, which is slow to read: the queue reads it of thousands of downloads. */
	#isClosed = false;
	#file: SparseFile;
	places: Places = {background: false, pledges: false, yields: false};
	/** The origin has described the file. */
	hasFileInfo: boolean;
	/** Milliseconds since the epoch. */
	lastByteAt: number | null = null;
	/** Incremented for each new version of the bytes: a reader of an older version must not get newer bytes. */
	version = 0;
	/** The blocks recorded last: the disk may lose them in a crash. */
	recentBlocks: readonly number[];
	/** The user resumed the download: missing bytes are fetched without a player. */
	isResumed = false;
	/** The origin is asked whether it still sends a page in place of the file. */
	isCheckingPage = false;
	/** A new link is being resolved and checked. */
	isRenewing = false;
	/** Fraction of the running check, from 0 to 1. */
	checkProgress: number | null = null;
	/** Fraction of the running export, from 0 to 1. */
	exportProgress: number | null = null;
	/** Missing bytes of a film's index, which are fetched before the background. */
	wantedIndex: Range | undefined;
	/** One connection stays free for the index. */
	awaitsIndex = false;
	/** The last view, until a fact changes. */
	view: Download | undefined;

	/** `retry` is called when the next attempt after an error is due. */
	constructor(
		recordFile: RecordFile,
		file: SparseFile,
		services: TransferServices,
		readAhead: ReadAhead,
		retry: () => void,
	) {
		const {record} = recordFile;
		this.recordFile = recordFile;
		this.services = services;
		this.readAhead = readAhead;
		this.checks = new BlockChecksums(
			recordFile.checksPath,
			record.pieces?.map(([start, end, crc]) => ({start, end, crc})),
			recordFile,
		);
		this.readers = new Readers(services.bandwidth);
		this.watching = new Watching(recordFile, () => this.changed());
		this.retries = new RetryPolicy(retry, record.error);
		this.hasFileInfo = record.info !== undefined;
		this.recentBlocks = record.unsettled ?? [];
		this.#file = this.#connected(file);
	}

	get record(): DownloadRecord {
		return this.recordFile.record;
	}

	/** Replaced when the download is moved or starts over: read it again after each wait. */
	get file(): SparseFile {
		return this.#file;
	}

	/** The caller retires the old file. */
	set file(file: SparseFile) {
		this.#file = this.#connected(file);
	}

	get maxConnections(): number {
		return this.record.connections ?? this.services.connections;
	}

	/** Bytes per second. */
	get rateLimit(): number {
		return Math.min(this.record.limitRate ?? Infinity, this.services.bandwidth.limit);
	}

	/**
	 * Bytes per second to expect: the average of 20 s, which may have arrived before the speed limit was set. `now`: milliseconds
	 * since the epoch.
	 */
	expectedRate(now: number): number {
		return Math.min(this.meter.rate(20_000, now), this.rateLimit);
	}

	/** Every byte is on disk and recorded, and matches the checksum of the download, if any. */
	get isComplete(): boolean {
		return this.completedAt !== undefined;
	}

	/** Milliseconds since the epoch; undefined unless the download is complete, and the record on disk says so. */
	get completedAt(): number | undefined {
		return this.#file.isComplete ? this.recordFile.completedAt : undefined;
	}

	/** Something supplies new links for an expired one. */
	get hasNewLinks(): boolean {
		return this.services.newLink(this.record) !== undefined;
	}

	/** Aborted when the download closes. */
	get ending(): AbortSignal {
		return this.#closing.signal;
	}

	get isClosed(): boolean {
		return this.#isClosed;
	}

	close(reason: Error): void {
		this.#isClosed = true;
		this.#closing.abort(reason);
	}

	/** Closes the handle of a complete file that nobody reads. */
	closeUnused(segments: Segments): void {
		if (this.isComplete && this.readers.size === 0 && segments.size === 0) {
			void this.#file.close();
		}
	}

	/** A fact of the snapshot has changed. */
	changed(): void {
		this.view = undefined;
		this.services.changed();
	}

	#connected(file: SparseFile): SparseFile {
		file.access = this.recordFile;
		file.onWritten = (offset, bytes) => this.checks.wrote(offset, bytes, file.size);
		return file;
	}
}
