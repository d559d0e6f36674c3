// What is known of one download: one object that all of its parts share.
import type {Bandwidth} from '../fetch/bandwidth.ts';
import {Readers} from '../fetch/readers.ts';
import {RetryPolicy} from '../fetch/retry-policy.ts';
import type {FetchState} from '../fetch/scheduler.ts';
import {SpeedMeter} from '../fetch/speed-meter.ts';
import {BlockChecksums} from '../store/block-checksums.ts';
import type {RecordFile} from '../store/record-store.ts';
import type {SparseFile} from '../store/sparse-file.ts';

export class DownloadState implements FetchState {
	readonly recordFile: RecordFile;
	readonly checks: BlockChecksums;
	readonly readers: Readers;
	readonly retries: RetryPolicy;
	readonly meter = new SpeedMeter();
	readonly #ending = new AbortController();
	#file: SparseFile;
	/** Incremented for each new version of the bytes: a reader of an older version must not get newer bytes. */
	version = 0;

	/** `retry` is called when the next attempt after an error is due. */
	constructor(recordFile: RecordFile, file: SparseFile, bandwidth: Bandwidth, retry: () => void) {
		this.recordFile = recordFile;
		this.checks = new BlockChecksums(
			recordFile.checksPath,
			recordFile.record.pieces?.map(([start, end, crc]) => ({start, end, crc})),
			recordFile,
		);
		this.readers = new Readers(bandwidth);
		this.retries = new RetryPolicy(retry, recordFile.record.error);
		this.#file = this.#watched(file);
	}

	/** Replaced when the download is moved or starts over. */
	get file(): SparseFile {
		return this.#file;
	}

	/** The caller retires the old file. */
	set file(file: SparseFile) {
		this.#file = this.#watched(file);
	}

	/** Every byte is on disk, and recorded. */
	get isComplete(): boolean {
		return this.recordFile.record.completedAt !== undefined && this.#file.isComplete;
	}

	/** Aborted when the download closes. */
	get ending(): AbortSignal {
		return this.#ending.signal;
	}

	get isClosed(): boolean {
		return this.ending.aborted;
	}

	end(reason: Error): void {
		this.#ending.abort(reason);
	}

	#watched(file: SparseFile): SparseFile {
		file.access = this.recordFile;
		file.onWritten = (offset, bytes) => this.checks.wrote(offset, bytes, file.size);
		return file;
	}
}
