// Serves the bytes of a download to players: from disk where cached, else as they arrive.
import {Logger} from '../../log.ts';
import type {Client} from '../fetch/players.ts';
import type {Reader} from '../fetch/readers.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import {release} from '../memory/buffers.ts';
import {DiskReader} from '../memory/disk-reader.ts';
import type {Range} from '../store/range-set.ts';
import {DamagedFile} from '../store/damaged-file.ts';
import type {DownloadState} from './download-state.ts';
import {cancelled, restarted} from './errors.ts';
import type {LinkRenewal} from './link-renewal.ts';
import type {Mending} from './mending.ts';
import type {PageReplacement} from './page-replacement.ts';
import type {Patience} from './patience.ts';
import type {Verification} from './verification.ts';
import {nameOf, typeOf} from './view.ts';

/** Bytes between two wake-ups of the scheduler by one reader: at least `bytes`, or `part` of its progress up to `most`. */
const wakeStep = {bytes: 256 * 1024, part: 1 / 16, most: 4 * 1024 * 1024};
const minute = 60_000;

/** The metadata of a response to a player (RFC 9110 section 3.2). */
export type Representation = {
	readonly name: string;
	readonly type: string;
	/** Bytes; Infinity while unknown. */
	readonly size: number;
	/** Strong, quoted, and different for each version of the bytes. */
	readonly etag: string | undefined;
	readonly lastModified: string | undefined;
	/** `lastModified` is a strong validator (RFC 9110 section 8.8.2.2). */
	readonly hasStrongDate: boolean;
	readonly acceptsRanges: boolean;
	readonly complete: boolean;
	/** To pass to `read`, which fails for bytes of another version. */
	readonly version: number;
};

export type ReadRequest = {
	/** `end` may be Infinity for an unknown size. */
	readonly range: Range;
	/** As in `Representation`. */
	readonly version: number;
	readonly player: Client;
	readonly signal: AbortSignal;
};

type Parts = {
	readonly scheduler: Scheduler;
	readonly verification: Verification;
	readonly mending: Mending;
	readonly links: LinkRenewal;
	readonly pages: PageReplacement;
	readonly patience: Patience;
};

export class Reading {
	readonly #state: DownloadState;
	readonly #parts: Parts;

	constructor(state: DownloadState, parts: Parts) {
		this.#state = state;
		this.#parts = parts;
	}

	/**
	 * Waits for the first response of the origin if nothing is known of the file. Rejects with the `DownStreamError` that
	 * prevents it, or the signal's reason.
	 */
	async representation(signal: AbortSignal): Promise<Representation> {
		await this.#parts.pages.run();
		signal.throwIfAborted();
		if (!this.#state.hasFileInfo) {
			this.#throwIfCancelled();
			await this.#state.services.access.obtain();
			this.#throwIfCancelled();
			try {
				const fileInfo = this.#state.readers.fileInfo(signal);
				this.#request(true);
				await fileInfo;
			} finally {
				this.#parts.scheduler.wake();
			}
		}

		return representationOf(this.#state);
	}

	/**
	 * Yields the bytes of the range in order as they become available; each piece is valid until the next is requested.
	 * Throws the `DownStreamError` that prevents it, or the signal's reason.
	 */
	async *read({range, version, player, signal}: ReadRequest): AsyncGenerator<Uint8Array, void, undefined> {
		this.#throwIfCancelled();
		if (this.#state.isComplete) {
			await this.#parts.verification.detectChange();
		}

		const reader = this.#state.readers.open(range, player);
		Logger.debug(
			`${this.#state.record.id}: ${reader.player.name} reads bytes ${range.start} to ${range.end}`,
		);
		const blocks = new DiskReader(this.#state.services.blocks);
		this.#recordReadTime();
		let wakeAt = wakeStep.bytes;
		let hasRequested = false;
		try {
			this.#parts.scheduler.wake();
			while (reader.offset < Math.min(range.end, this.#state.file.size)) {
				signal.throwIfAborted();
				this.#throwIfCancelled();
				if (version !== this.#state.version) {
					throw restarted();
				}

				// The check and the wait share a tick: no write between them goes unnoticed.
				const end = Math.min(range.end, this.#parts.scheduler.readableEnd(range.start, reader.offset));
				const cached = Math.min(this.#state.file.present.runEnd(reader.offset), end) - reader.offset;
				const isCached = cached > 0;
				const bytes = isCached
					? await this.#readCached(blocks, reader.offset, cached)
					: await this.#waitForBytes(reader, signal, !hasRequested);
				hasRequested ||= !isCached;
				if (!bytes?.length) {
					blocks.sent();
					continue;
				}

				reader.advance(bytes.length);
				this.#state.watching.readBy(reader.player);
				if (!this.#state.file.isComplete && reader.consumed >= wakeAt) {
					wakeAt = reader.consumed + wakeStepAfter(reader.consumed);
					this.#parts.scheduler.wake();
				}

				yield bytes;
				blocks.sent();
				release(bytes);
			}

			// Another version may end elsewhere.
			if (reader.offset < range.end && version !== this.#state.version) {
				throw restarted();
			}
		} finally {
			await blocks.close();
			this.#state.readers.close(reader);
			this.#recordReadTime();
			this.#state.closeUnused(this.#parts.scheduler.segments);
			this.#parts.scheduler.wake();
		}
	}

	/** Resolves with undefined if the file was moved, reset or mended meanwhile: the reader checks again. */
	async #readCached(blocks: DiskReader, offset: number, length: number): Promise<Uint8Array | undefined> {
		const {file} = this.#state;
		try {
			return await blocks.read(file, offset, length);
		} catch (error) {
			if (file !== this.#state.file || this.#state.isClosed) {
				return undefined;
			}

			const mending = error instanceof DamagedFile ? this.#parts.mending.mend(error) : undefined;
			if (!mending) {
				throw error;
			}

			await mending;
			return undefined;
		}
	}

	/** Resolves with the received bytes, or with undefined if the reader must check again. */
	async #waitForBytes(
		reader: Reader,
		signal: AbortSignal,
		isRequest: boolean,
	): Promise<Uint8Array | undefined> {
		if (this.#state.recordFile.refusal) {
			await this.#state.services.access.obtain();
			return undefined;
		}

		const bytes = this.#state.readers.waitForBytes(reader, signal);
		this.#request(isRequest, reader.offset);
		return bytes;
	}

	/**
	 * A player begins to wait, for the byte at `offset` or for the first response. `isRequest`: with a new request. The origin
	 * is asked again: a past error does not answer a new request.
	 */
	#request(isRequest: boolean, offset?: number): void {
		const {retries, services} = this.#state;
		const hadFailed = retries.permanentError !== undefined;
		retries.retryNow(isRequest);
		this.#parts.scheduler.playerWaits(offset);
		if (hadFailed) {
			this.#parts.links.allowOne();
			services.queueChanged();
		}

		this.#parts.patience.endOverdueWaits();
	}

	#throwIfCancelled(): void {
		const {file, isClosed, recordFile} = this.#state;
		if (isClosed && recordFile.refusal) {
			throw recordFile.refusal;
		}

		if (isClosed || (recordFile.record.intent === 'cancel' && !file.isComplete)) {
			throw cancelled();
		}
	}

	/** Precise to the minute: eviction compares downloads by it. */
	#recordReadTime(): void {
		const {isClosed, recordFile} = this.#state;
		const now = Date.now();
		if (!isClosed && now - (recordFile.record.readAt ?? 0) >= minute) {
			void recordFile.save({readAt: now}).catch(() => undefined);
		}
	}
}

export function representationOf({file, record, version}: DownloadState): Representation {
	const {acceptsRanges, id, startedOver = 0} = record;
	const validator = record.hasUnstableValidator ? undefined : record.validator;
	const {size, isComplete} = file;
	return {
		name: nameOf(record),
		type: typeOf(record),
		size,
		etag: size === Infinity ? undefined : (validator?.etag ?? `"${id}-${size}-${startedOver}"`),
		lastModified: validator?.lastModified,
		// The date may be that of the version before.
		hasStrongDate: startedOver === 0 && validator?.hasStrongDate === true,
		acceptsRanges: acceptsRanges !== false,
		complete: isComplete,
		version,
	};
}

function wakeStepAfter(consumed: number): number {
	return Math.min(wakeStep.most, Math.max(wakeStep.bytes, consumed * wakeStep.part));
}
