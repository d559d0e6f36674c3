// One download: readers wait, segments write, one scheduler in between.
import {rm} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError, type Download, type DownloadId, type DownloadStatus} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import {release} from '../memory/buffers.ts';
import {BlockChecksums, parseChecksum} from '../store/block-checksums.ts';
import {BlockReader} from '../memory/disk-reader.ts';
import type {DataSource, OriginResponse} from '../origin/data-source.ts';
import {diskError, isFull} from '../store/disk-error.ts';
import {Doubt} from '../store/doubt.ts';
import {downloadView, isPageForFile, nameOf, queueRankOf, typeOf} from './view.ts';
import type {DownloadRecord, RecordFile} from '../store/record-store.ts';
import {Fetcher, type NewLink, type TransferServices} from '../fetch/fetcher.ts';
import {Readers, type Reader} from '../fetch/readers.ts';
import {RetryPolicy, wishIntervalMs} from '../fetch/retry-policy.ts';
import {proveAcceptance, proveNewPlace, sendsPage} from '../fetch/version-check.ts';
import type {Client} from '../fetch/players.ts';
import {RangeSet, type Range} from '../store/range-set.ts';
import {DamagedFile, SparseFile} from '../store/sparse-file.ts';
import {SpeedMeter} from '../fetch/speed-meter.ts';

export type {NewLink, TransferServices} from '../fetch/fetcher.ts';

/** A reader that has come so much further, or by such a part of what it has read, is looked at anew. */
const readStep = {bytes: 256 * 1024, part: 1 / 16, most: 4 * 1024 * 1024};
const checkpointMs = 500;
const minute = 60_000;
/** How many of the blocks that were recorded last are looked at again after an unclean end. */
const mostUnsettled = 16;
const mostVainLinks = 3;
/** Bytes that the disk loses again sooner than this are not fetched again. */
const mendAgainMs = 10_000;

export type StreamFacts = {
	readonly name: string;
	readonly type: string;
	/** Bytes; Infinity while unknown. */
	readonly size: number;
	/** Strong, our own, quoted: another version of the bytes has another one. */
	readonly etag: string | undefined;
	readonly lastModified: string | undefined;
	readonly acceptsRanges: boolean;
	readonly complete: boolean;
	/** What is read after it was told these facts must be of this version. */
	readonly version: number;
};

export class Transfer {
	readonly #entryFile: RecordFile;
	readonly #services: TransferServices;
	readonly #checks: BlockChecksums;
	readonly #meter = new SpeedMeter();
	readonly #readers: Readers;
	readonly #retries: RetryPolicy;
	readonly #fetcher: Fetcher;
	#file: SparseFile;
	/** Grows with each `startOver`: who reads an older one must not get bytes of this one. */
	#version = 0;
	#checkpointTimer: NodeJS.Timeout | undefined;
	/** Until the patience of a player that waits has ended. */
	#patienceTimer: NodeJS.Timeout | undefined;
	#checkpointing: Promise<void> = Promise.resolve();
	#sourceChanges: Promise<unknown> = Promise.resolve();
	/** Blocks that were recorded last. */
	#unsettled: readonly number[] = [];
	#exportProgress: number | null = null;
	#check: {readonly done: Promise<Range[]>; readonly abort: AbortController} | undefined;
	#checkProgress: number | null = null;
	/** Aborted when it closes. */
	readonly #ending = new AbortController();
	#view: Download | undefined;
	#viewIsLively = false;
	#closed = false;
	#isRenewing = false;
	/** Whether the origin still sends a page in place of the file, while it is asked that. */
	#pageCheck: Promise<void> | undefined;
	/** Milliseconds since the epoch. */
	#pageCheckedAt = 0;
	/** The user wants the file now. */
	#isAsked = false;
	/** Damage that was found in the background and that no `verify` has told of. */
	#untold: Range[] = [];
	#mended: {readonly start: number; readonly at: number} | undefined;
	#mending: Promise<void> = Promise.resolve();
	/** Links that were had one after the other and brought no byte. */
	#vainLinks = 0;

	/** Holds the entry against its data file; needs no network. */
	static async open(
		entryFile: RecordFile,
		source: DataSource,
		services: TransferServices,
	): Promise<Transfer> {
		const {entry} = entryFile;
		const size = entry.info?.size ?? Infinity;
		const recorded = entry.ranges.map(([start, end]) => ({start, end}));
		const file = await SparseFile.open(entry.movedTo ?? entryFile.dataPath, size, recorded, entry.dataFile);
		const transfer = new Transfer(entryFile, source, services, file);
		if (entry.unsettled) {
			transfer.#unsettled = entry.unsettled;
			// It did not end by itself: what the disk was given last is what it may have lost.
			// What cannot be read now is told to those who want to read it.
			file.forget(await transfer.#checks.damagedOf(file, entry.unsettled).catch(() => []));
		}

		if (entry.completedAt !== undefined && !file.isComplete) {
			// A disk that takes no record of it must not keep it from being opened.
			await transfer.#isNoLongerWhole().catch(() => undefined);
		}

		if (entry.movedTo !== undefined && file.isComplete && !file.change) {
			// It ended between the record of the new place and the removal of the old one.
			await rm(entryFile.dataPath, {force: true}).catch(() => undefined);
		}

		if (file.change) {
			await transfer.#doubt();
		}

		if (
			file.isComplete &&
			!file.doubt &&
			transfer.#fetcher.factsKnown &&
			!transfer.isComplete &&
			!transfer.#retries.permanentError
		) {
			// It ended between the last byte and the check of the whole.
			void transfer.checkpoint();
		}

		return transfer;
	}

	private constructor(
		entryFile: RecordFile,
		source: DataSource,
		services: TransferServices,
		file: SparseFile,
	) {
		this.#entryFile = entryFile;
		this.#services = services;
		this.#checks = new BlockChecksums(
			entryFile.checksPath,
			entryFile.entry.pieces?.map(([start, end, crc]) => ({start, end, crc})),
		);
		this.#readers = new Readers(services.bandwidth);
		this.#retries = new RetryPolicy(() => this.#fetcher.schedule(), entryFile.entry.error);
		this.#file = this.#watched(file);
		this.#fetcher = new Fetcher(
			{
				entryFile,
				readers: this.#readers,
				retries: this.#retries,
				meter: this.#meter,
				ending: this.#ending.signal,
				file: () => this.#file,
				wrote: (offset, bytes) => this.#wrote(offset, bytes),
				learnt: () => this.#checkpointIfWhole(),
				proven: () => this.#checkpointIfWhole(),
				failed: (error, since) => this.#failed(error, since),
				changed: () => this.#changed(),
			},
			source,
			services,
		);
	}

	get id(): DownloadId {
		return this.#entryFile.entry.id;
	}

	get host(): string {
		return this.#fetcher.host;
	}

	get entryFile(): RecordFile {
		return this.#entryFile;
	}

	get queueRank(): number {
		return queueRankOf(this.#entryFile.entry);
	}

	/** What is on the disk. */
	get present(): Iterable<Range> {
		return this.#file.present;
	}

	/** Every byte is on the disk, and recorded. */
	get isComplete(): boolean {
		return this.#entryFile.entry.completedAt !== undefined && this.#file.isComplete;
	}

	/** What is held is a web page in place of the file; the origin is asked again at each wish. */
	get isPageForFile(): boolean {
		return isPageForFile(this.#entryFile.entry);
	}

	/** It would fetch in the background if the queue let it. */
	get wantsPlace(): boolean {
		const {intent, onDemand} = this.#entryFile.entry;
		return (
			intent === 'run' &&
			!this.#retries.permanentError &&
			!this.#file.isComplete &&
			(!onDemand || !this.#fetcher.factsKnown) &&
			!this.#closed
		);
	}

	/** Something of it changes without an event: a speed that falls, a player that is forgotten. */
	get isLively(): boolean {
		const now = Date.now();
		return (
			this.#fetcher.segments.size > 0 ||
			this.#meter.rate(20_000, now) > 0 ||
			this.#readers.players(now).length > 0
		);
	}

	/** Its host fails: it tries now and then, and needs no place of the queue until bytes come. */
	get isProbing(): boolean {
		return this.#retries.isProbing;
	}

	/** The origin has not answered what is asked of it now. */
	get isUnanswered(): boolean {
		return this.#fetcher.isUnanswered;
	}

	/** The queue gives or takes the place. */
	set mayFill(allowed: boolean) {
		this.#fetcher.mayFill = allowed;
	}

	get status(): DownloadStatus {
		const {intent} = this.#entryFile.entry;
		if (this.#checkProgress !== null) {
			return 'checking';
		}

		if (this.#exportProgress !== null) {
			return 'exporting';
		}

		if (this.#pageCheck && intent !== 'cancel') {
			return 'asking';
		}

		if (this.isComplete) {
			return 'complete';
		}

		if (intent === 'cancel') {
			return 'cancelled';
		}

		if (this.#retries.permanentError) {
			return 'failed';
		}

		if (intent === 'pause') {
			return 'paused';
		}

		if (this.#isRenewing) {
			return 'asking';
		}

		if (this.#fetcher.segments.size > 0) {
			return this.#fetcher.factsKnown ? 'active' : 'asking';
		}

		// All of it is being recorded: nothing is queued any more.
		if (this.#file.isComplete && this.#fetcher.isProven) {
			return 'active';
		}

		return this.#retries.retryAt === undefined ? 'queued' : 'waiting';
	}

	/**
	 * Waits for the first answer of the origin if nothing is known yet. Rejects with the `DownStreamError` that
	 * stands in the way, or the signal's reason.
	 */
	async facts(signal: AbortSignal): Promise<StreamFacts> {
		await this.#replacePage();
		signal.throwIfAborted();
		if (!this.#fetcher.factsKnown) {
			this.#refuseIfCancelled();
			try {
				await this.#readers.waitForFacts(signal, () =>
					this.#askForPlayer(true, () => this.#fetcher.schedule()),
				);
			} finally {
				this.#fetcher.schedule();
			}
		}

		const {entry} = this.#entryFile;
		const {acceptsRanges, id, startedOver = 0} = entry;
		const validator = entry.hasUnstableValidator ? undefined : entry.validator;
		const {size, isComplete} = this.#file;
		return {
			name: nameOf(entry),
			type: typeOf(entry),
			size,
			etag: size === Infinity ? undefined : (validator?.etag ?? `"${id}-${size}-${startedOver}"`),
			lastModified: validator?.lastModified,
			acceptsRanges: acceptsRanges !== false,
			complete: isComplete,
			version: this.#version,
		};
	}

	/**
	 * The bytes of `range` in order, as they come to be present; `end` may be Infinity for an unknown size. `version`
	 * is that of the facts. Throws the `DownStreamError` that stands in the way, or the signal's reason. The bytes stay
	 * as they are until the next ones are asked for.
	 */
	async *read(request: {
		range: Range;
		version: number;
		player: Client;
		signal: AbortSignal;
	}): AsyncGenerator<Uint8Array, void, undefined> {
		const {range, version, signal} = request;
		this.#refuseIfCancelled();
		if (this.isComplete) {
			await this.#lookForChange();
		}

		const reader = this.#readers.open(range, request.player);
		Logger.debug(
			`${this.#entryFile.entry.id}: ${reader.player.name} reads bytes ${range.start} to ${range.end}`,
		);
		const blocks = new BlockReader(this.#services.blocks);
		this.#recordReading();
		let scheduleAt = readStep.bytes;
		let hasAsked = false;
		try {
			this.#fetcher.schedule();
			while (reader.offset < Math.min(range.end, this.#file.size)) {
				signal.throwIfAborted();
				this.#refuseIfCancelled();
				if (version !== this.#version) {
					throw fetchedAnew();
				}

				// The look and the registering happen in one tick: a write in between would be missed.
				const ready = Math.min(this.#file.present.runEnd(reader.offset), range.end) - reader.offset;
				const isHeld = ready > 0;
				const bytes = isHeld
					? await this.#readHeld(blocks, reader.offset, ready)
					: await this.#waitForBytes(reader, signal, !hasAsked);
				hasAsked ||= !isHeld;
				if (!bytes?.length) {
					blocks.sent();
					continue;
				}

				reader.advance(bytes.length);
				if (!this.#file.isComplete && reader.consumed >= scheduleAt) {
					scheduleAt = reader.consumed + stepAfter(reader.consumed);
					this.#fetcher.schedule();
				}

				yield bytes;
				blocks.sent();
				release(bytes);
			}

			// The end of another version is not that of this one.
			if (reader.offset < range.end && version !== this.#version) {
				throw fetchedAnew();
			}
		} finally {
			await blocks.close();
			this.#readers.close(reader);
			this.#recordReading();
			if (this.isComplete && this.#readers.size === 0 && this.#fetcher.segments.size === 0) {
				void this.#file.close();
			}

			this.#fetcher.schedule();
		}
	}

	/** Nothing where the file was moved or given up meanwhile: its place is to be looked at anew. */
	async #readHeld(blocks: BlockReader, offset: number, ready: number): Promise<Uint8Array | undefined> {
		const file = this.#file;
		try {
			return await blocks.read(file, offset, ready);
		} catch (error) {
			if (file !== this.#file || this.#closed) {
				return undefined;
			}

			if (error instanceof DamagedFile) {
				if (this.#mend(error)) {
					await this.#mending;
					return undefined;
				}
			}

			throw error;
		}
	}

	/** Ends what no player needs. */
	async pause(): Promise<void> {
		Logger.info(`${this.id}: paused`);
		// It holds at once, however long the disk takes.
		const saved = this.#entryFile.save({intent: 'pause'});
		this.#retries.cancel();
		this.#services.queueChanged();
		this.#fetcher.schedule();
		this.#fetcher.segments.endAll(segment => segment.for === 'fill');
		await saved;
		await this.checkpoint();
	}

	/** Goes on; after an error, tries again now. */
	async resume(): Promise<void> {
		Logger.info(`${this.id}: resumed`);
		this.#vainLinks = 0;
		this.#isAsked = true;
		this.#retries.retryNow(true);
		await this.#entryFile.save({intent: 'run', error: undefined});
		void this.#replacePage();
		this.#lookAround();
	}

	/** Ends readers, then segments. */
	async cancel(): Promise<void> {
		Logger.info(`${this.id}: cancelled`);
		const saved = this.#entryFile.save({intent: 'cancel'});
		this.#readers.reject(cancelled());
		this.#retries.cancel();
		this.#fetcher.cancel();
		this.#check?.abort.abort(cancelled());
		this.#changed();
		this.#services.queueChanged();
		await saved;
		await this.checkpoint();
	}

	/**
	 * Takes what is to be changed of the entry. With another source, what was running by the old one ends; one of
	 * another URL must have the same file (`origin-changed`). Nothing is changed if this rejects for that, or because
	 * that place cannot be reached.
	 */
	async change(
		changeOf: (entry: DownloadRecord) => Partial<DownloadRecord>,
		sourceOf?: (changed: DownloadRecord) => DataSource,
	): Promise<void> {
		const change = await (sourceOf ? this.#changeSourceInTurn(changeOf, sourceOf) : this.#save(changeOf));

		this.#fetcher.limitRate = this.#entryFile.entry.limitRate;
		if (change.checksum !== undefined) {
			await this.#changedChecksum();
		}

		if (sourceOf) {
			void this.#replacePage();
		}

		this.#lookAround();
		if (change.onDemand && this.#fetcher.factsKnown) {
			// They would linger for a player, and go on filling meanwhile.
			this.#fetcher.segments.endAll(segment => segment.for === 'fill');
		}
	}

	/** Fetches from another source of the same file from now on, unless it is the one that it has. */
	async takeSource(source: DataSource): Promise<void> {
		if (source !== this.#fetcher.source) {
			await this.change(
				() => ({}),
				() => source,
			);
		}
	}

	async #save(
		changeOf: (entry: DownloadRecord) => Partial<DownloadRecord>,
	): Promise<Partial<DownloadRecord>> {
		const change = changeOf(this.#entryFile.entry);
		await this.#entryFile.save(change);
		return change;
	}

	/** Two sources that are given at once: the second one is made for what the first one has left. */
	async #changeSourceInTurn(
		changeOf: (entry: DownloadRecord) => Partial<DownloadRecord>,
		sourceOf: (changed: DownloadRecord) => DataSource,
	): Promise<Partial<DownloadRecord>> {
		const changing = this.#sourceChanges.then(async () => {
			const {entry} = this.#entryFile;
			const change = changeOf(entry);
			await this.#changeSource(change, sourceOf({...entry, ...change}));
			return change;
		});
		this.#sourceChanges = changing.catch(() => undefined);
		return changing;
	}

	async #changeSource(change: Partial<DownloadRecord>, source: DataSource): Promise<void> {
		let isTaken = false;
		try {
			const file = this.#file;
			const wasEmpty = file.present.size === 0;
			let place = change.url === undefined ? undefined : await this.#proveSource(source);
			await this.#fetcher.whileNothingRuns(async () => {
				// The old source went on: the first bytes may have come since, or another version.
				if (place && (file !== this.#file || (wasEmpty && file.present.size > 0))) {
					place = await this.#proveSource(source);
				}

				isTaken = true;
				await this.#replaceSource(change, source, place);
			});
		} finally {
			if (!isTaken) {
				await source.dispose();
			}
		}
	}

	/** A page in place of the file proves nothing: any file may follow it. */
	async #proveSource(source: DataSource): Promise<OriginResponse> {
		const file = this.isPageForFile ? await SparseFile.open(this.#file.path, Infinity, []) : this.#file;
		return proveNewPlace(file, source, this.#fetcher.heldVersion, this.#ending.signal);
	}

	/** Nothing may be running. `place`: what the source has said of itself, where it is another one of the same file. */
	async #replaceSource(
		change: Partial<DownloadRecord>,
		source: DataSource,
		place?: OriginResponse,
	): Promise<void> {
		const {factsKnown} = this.#fetcher;
		await this.#fetcher.replaceSource(source);
		this.#retries.reset();
		const isOther = place && place.info.size !== this.#file.size && this.#file.present.size === 0;
		if (place && factsKnown && (isOther || this.isPageForFile)) {
			await this.#forgetVersion(change);
		} else {
			const {validator, acceptsRanges} = (factsKnown && place) || this.#entryFile.entry;
			const {hasUnstableValidator} = place ? {} : this.#entryFile.entry;
			await this.#entryFile.save({
				...change,
				validator,
				hasUnstableValidator,
				acceptsRanges,
				error: undefined,
			});
			this.#fetcher.begin(place !== undefined);
		}
	}

	/**
	 * Another link of the same item takes the place of one that has expired, if it proves to have the same file; players
	 * wait meanwhile. Returns false where no link can be had, or the last ones brought nothing.
	 */
	#renewLink(error: DownStreamError): boolean {
		if (this.#isRenewing) {
			return true;
		}

		const newLink = this.#services.newLink(this.#entryFile.entry);
		if (!newLink || this.#vainLinks === mostVainLinks || !hasExpired(error)) {
			return false;
		}

		this.#isRenewing = true;
		this.#vainLinks++;
		this.#changed();
		void this.#takeNewLink(newLink);
		return true;
	}

	async #takeNewLink(newLink: NewLink): Promise<void> {
		try {
			await this.#fetcher.whileNothingRuns(async () => {
				const {change, source} = await newLink(this.#ending.signal);
				// Where nothing is held any file fits, and a link may be good for one request.
				const place = this.#file.present.size > 0 ? await this.#provePlace(source) : undefined;
				await this.#replaceSource(change, source, place);
			});
			this.#isRenewing = false;
			this.#lookAround();
		} catch (error) {
			this.#isRenewing = false;
			if (!this.#closed) {
				if (error instanceof DownStreamError && error.kind === 'transient') {
					this.#vainLinks--;
				}

				this.#failed(error);
			}
		} finally {
			this.#changed();
		}
	}

	/** Disposes of a source that does not have the same file. */
	async #provePlace(source: DataSource): Promise<OriginResponse> {
		try {
			return await this.#proveSource(source);
		} catch (error) {
			await source.dispose();
			throw error;
		}
	}

	/** A file that is all there is held against its new checksum. */
	async #changedChecksum(): Promise<void> {
		if (this.#retries.permanentError?.code === 'checksum-mismatch') {
			this.#retries.reset();
		}

		this.#check?.abort.abort(new DownStreamError('incomplete', 'The checksum was changed during the check'));
		await this.#check?.done.catch(() => undefined);
		await this.#entryFile.save({completedAt: undefined, error: this.#retries.permanentError});
	}

	/** Goes on with what is held if it proves to be the origin's file of now. Rejects with `origin-changed` if not. */
	async acceptChange(): Promise<void> {
		if (this.#file.present.size === 0) {
			await this.startOver();
			return;
		}

		await this.#fetcher.whileNothingRuns(async () => {
			const {validator, isUnstable} = await proveAcceptance(
				this.#file,
				this.#fetcher.source,
				this.#fetcher.heldVersion,
				this.#ending.signal,
			);
			Logger.info(`${this.id}: goes on with the file of now`);
			this.#retries.reset();
			await this.#entryFile.save({
				validator,
				hasUnstableValidator: isUnstable || undefined,
				intent: 'run',
				error: undefined,
			});
			this.#fetcher.begin(true);
		});
		this.#lookAround();
	}

	/** Drops the held bytes and all that is known of their version, and fetches what the origin has now. */
	async startOver(): Promise<void> {
		Logger.info(`${this.id}: starts over`);
		this.#vainLinks = 0;
		await this.#fetcher.whileNothingRuns(async () => {
			this.#retries.reset();
			await this.#forgetVersion({intent: 'run'});
		});
		this.#lookAround();
	}

	/**
	 * Asks the origin again where a web page is held in place of the file, and starts over if it sends another thing now.
	 * Concurrent wishes share one request, and one follows another after a second at the earliest. Never rejects.
	 */
	#replacePage(): Promise<void> {
		if (!this.#pageCheck && this.#mayReplacePage) {
			this.#pageCheck = this.#checkPage().finally(() => {
				this.#pageCheck = undefined;
				this.#lookAround();
				this.#changed();
			});
			this.#changed();
		}

		return this.#pageCheck ?? Promise.resolve();
	}

	/** A connection that works is the answer of now. */
	get #mayReplacePage(): boolean {
		return (
			this.isPageForFile &&
			!this.#closed &&
			this.#entryFile.entry.intent !== 'cancel' &&
			this.#fetcher.segments.size === 0
		);
	}

	async #checkPage(): Promise<void> {
		const {signal} = this.#ending;
		try {
			await this.#fetcher.whileNothingRuns(async () => {
				const lastAt = Math.max(this.#pageCheckedAt, this.#fetcher.lastByteAt ?? 0);
				await sleep(Math.max(0, lastAt + wishIntervalMs - Date.now()), undefined, {signal});
				this.#pageCheckedAt = Date.now();
				if (this.#mayReplacePage && !(await sendsPage(this.#fetcher.source, signal))) {
					Logger.info(`${this.id}: ${this.host} sends the file in place of a page now`);
					this.#retries.reset();
					await this.#forgetVersion({});
				}
			});
		} catch (error) {
			if (!this.#closed) {
				Logger.warn(`${this.id}: the page is kept: ${String(error)}`);
			}
		}
	}

	async #fetchAnew(): Promise<void> {
		try {
			await this.#fetcher.whileNothingRuns(async () => this.#forgetVersion({}));
			this.#lookAround();
		} catch (error) {
			if (!this.#closed) {
				this.#failed(error);
			}
		}
	}

	/** Nothing may be running. What was moved out of the store stays where it is. */
	async #forgetVersion(change: Partial<DownloadRecord>): Promise<void> {
		const {dataPath, entry} = this.#entryFile;
		const reason = fetchedAnew();
		this.#check?.abort.abort(reason);
		await this.#check?.done.catch(() => undefined);
		this.#version++;
		this.#unsettled = [];
		this.#readers.reject(reason);
		try {
			await this.#entryFile.save({
				...change,
				startedOver: (entry.startedOver ?? 0) + 1,
				ranges: [],
				dataFile: undefined,
				pieces: undefined,
				unsettled: undefined,
				info: undefined,
				validator: undefined,
				hasUnstableValidator: undefined,
				acceptsRanges: undefined,
				completedAt: undefined,
				movedTo: undefined,
				exportedTo: undefined,
				exportedPartTo: undefined,
				error: undefined,
			});
		} finally {
			// Also when that could not be saved yet: bytes whose version nobody knows must not be added to.
			const old = this.#file;
			this.#file = this.#watched(await SparseFile.open(dataPath, Infinity, []));
			// Who came while that was saved was served the old bytes.
			this.#version++;
			this.#readers.reject(reason);
			this.#fetcher.begin(true);
			await old.retire();
			await this.#checks.clear();
			// Not cut to nothing: an exported file may be a second name of the same bytes.
			await rm(dataPath, {force: true}).catch((error: unknown) => {
				throw diskError(error, dataPath);
			});
		}
	}

	/** What is to be done may be another thing now. */
	#lookAround(): void {
		this.#services.queueChanged();
		this.#fetcher.schedule();
		this.#checkpointIfWhole();
	}

	/**
	 * Damaged blocks become holes; a complete file is also held against the checksum that was given for it. Concurrent
	 * calls share one check.
	 */
	verify(): Promise<Range[]> {
		if (this.#closed) {
			return Promise.reject(ending());
		}

		const done = this.#check?.done ?? this.#startCheck(async signal => this.#checkAll(signal));
		// Told only once, also where it was found unasked.
		void done.then(() => (this.#untold = [])).catch(() => undefined);
		return done;
	}

	/**
	 * Resolves when what somebody else may have changed of the file has been compared with its checksums; at once where
	 * the file is as it was left.
	 */
	async settled(): Promise<void> {
		await this.#lookForChange();
		const {doubt} = this.#file;
		if (doubt) {
			await (this.#check?.done ?? this.#startCheck(async signal => this.#checkDoubt(doubt, signal)));
		}
	}

	async #lookForChange(): Promise<void> {
		if ((await this.#file.changeSince()) === undefined) {
			return;
		}

		// A check that runs reads all of it anyway.
		await this.#check?.done.catch(() => undefined);
		const change = await this.#file.changeSince();
		if (change === 'gone') {
			await this.#lostEnd({start: 0, end: Infinity});
		} else if (change === 'changed') {
			await this.#doubt();
		}
	}

	#startCheck(look: (signal: AbortSignal) => Promise<Range[]>): Promise<Range[]> {
		const abort = new AbortController();
		const done = this.#runCheck(look, abort.signal);
		// Many start one and look at the outcome in the snapshot.
		done.catch(() => undefined);
		this.#check = {done, abort};
		return done;
	}

	async #runCheck(look: (signal: AbortSignal) => Promise<Range[]>, signal: AbortSignal): Promise<Range[]> {
		this.#showCheck(0);
		try {
			return await look(signal);
		} catch (error) {
			if (!signal.aborted) {
				this.#failed(error);
			}

			throw error;
		} finally {
			this.#checkProgress = null;
			this.#check = undefined;
			// An export may have waited for the end of it.
			this.#services.queueChanged();
			if (!signal.aborted) {
				// Records what was learnt, and sees what has become complete meanwhile.
				void this.checkpoint();
			}
		}
	}

	#showCheck(fraction: number): void {
		this.#checkProgress = fraction;
		this.#changed();
	}

	async #checkAll(signal: AbortSignal): Promise<Range[]> {
		// What was written so far is checked too.
		await this.checkpoint();
		const file = this.#file;
		const given = file.isComplete ? this.#entryFile.entry.checksum : undefined;
		const expected = given === undefined ? undefined : parseChecksum(given);
		const {damaged, digest} = await this.#checks.check(file, {
			signal,
			algorithm: expected?.algorithm,
			onProgress: fraction => this.#showCheck(fraction),
		});
		if (damaged.length > 0) {
			await this.#makeHoles(damaged);
		} else if (expected && digest !== expected.digest) {
			await this.#entryFile.save({completedAt: undefined});
			throw new DownStreamError(
				'checksum-mismatch',
				`The ${expected.algorithm} of the file is ${digest}, not the one that was given`,
			);
		} else if (expected && !this.isComplete) {
			await this.#completed();
		}

		if (!file.doubt || file.isComplete) {
			// In doubt, parts of blocks are still to be proven.
			file.trust();
		}

		return [...new RangeSet([...this.#untold, ...damaged])];
	}

	/**
	 * The data file is not as it was left, perhaps by its own last writes before a crash. Nothing of it is believed before
	 * its checksum fits. The check runs in the background; what players ask for comes first.
	 */
	async #doubt(): Promise<void> {
		const file = this.#file;
		const wasComplete = this.isComplete;
		const checked = await this.#checks.checked(file);
		if (file !== this.#file || file.doubt) {
			return;
		}

		Logger.info(`${this.id}: ${file.path} is not as it was recorded; it is checked`);
		const doubt = new Doubt(
			file.present,
			async block => this.#checks.isIntact(file, block),
			checked,
			async range => this.#loseBlock(file, range),
		);
		file.doubt = doubt;
		await doubt.loseUnchecked();
		void this.#startCheck(async signal => {
			const damaged = await this.#checkDoubt(doubt, signal);
			if (wasComplete && this.#file.present.size === 0) {
				await this.#isNoLongerWhole();
			}

			return damaged;
		});
	}

	async #checkDoubt(doubt: Doubt, signal: AbortSignal): Promise<Range[]> {
		await doubt.proveAll(signal, fraction => this.#showCheck(fraction));
		if (this.#file.doubt === doubt) {
			this.#file.trust();
		}

		this.#untold = [...doubt.damaged];
		this.#lookAround();
		return this.#untold;
	}

	/** The record of it follows with that of the whole check: a program that ends before doubts the same file again. */
	async #loseBlock(file: SparseFile, range: Range): Promise<void> {
		if (file !== this.#file) {
			return;
		}

		if (this.#entryFile.entry.movedTo === undefined) {
			file.forget([range]);
			this.#changed();
		} else {
			await this.#isNoLongerWhole();
		}
	}

	/** Fetching a finished file again unasked would be a surprise; a player gets what it asks for. */
	async #isNoLongerWhole(): Promise<void> {
		const {path} = this.#file;
		this.#retries.note(
			new DownStreamError(
				'disk-failed',
				`${path} is no longer whole; what is missing is fetched when a player asks, or by resume`,
			),
		);
		await this.#leaveMovedFile();
		await this.#entryFile.save({completedAt: undefined, ...(this.#isAsked ? {} : {intent: 'pause'})});
		this.#changed();
	}

	/** That file is the user's: it may differ because they changed it, and is not written to. */
	async #leaveMovedFile(): Promise<void> {
		const {dataPath, entry} = this.#entryFile;
		if (entry.movedTo !== undefined) {
			const old = this.#file;
			this.#file = this.#watched(await SparseFile.open(dataPath, old.size, []));
			old.doubt?.end();
			await this.#entryFile.save({movedTo: undefined, ranges: [], pieces: undefined, dataFile: undefined});
			await old.retire();
		}
	}

	async #makeHoles(ranges: readonly Range[]): Promise<void> {
		await this.#leaveMovedFile();
		this.#file.forget(ranges);
		if (this.#retries.permanentError?.code === 'checksum-mismatch') {
			this.#retries.reset();
			await this.#entryFile.save({error: undefined});
		}

		// Their checksums stay: that of what is missing harms nothing, and the same bytes come again.
		await this.checkpoint();
		this.#lookAround();
	}

	/** What the disk has lost is fetched again. Returns false if it loses the same bytes again and again. */
	#mend(damage: DamagedFile): boolean {
		const {lost, message} = damage;
		const now = Date.now();
		const last = this.#mended;
		if (lost && last?.start === lost.start && now - last.at < mendAgainMs) {
			return false;
		}

		Logger.warn(`${this.id}: ${message}`);
		if (lost) {
			this.#mended = {start: lost.start, at: now};
			this.#mending =
				this.isComplete && lost.end === Infinity ? this.#lostEnd(lost) : this.#makeHoles([lost]);
		} else {
			this.#mending = this.#lookForChange();
		}

		this.#mending.catch((error: unknown) => this.#failed(error));
		return true;
	}

	async #lostEnd(lost: Range): Promise<void> {
		// It may be gone with its folder.
		await this.#entryFile.makeFolder();
		await this.#isNoLongerWhole();
		await this.#makeHoles([lost]);
	}

	async #completed(): Promise<void> {
		// One connection brought what others were to bring: they need not go on, nor try again.
		this.#fetcher.segments.endAll();
		this.#retries.reset();
		this.#isAsked = false;
		await this.#entryFile.save({completedAt: Date.now(), error: undefined});
		Logger.info(`${this.id}: complete`);
		this.#services.queueChanged();
		this.#changed();
	}

	/** What `view` shows of outside has changed. */
	forgetView(): void {
		this.#view = undefined;
	}

	/** An export that was to follow the download did not work out; it is not tried again by itself. */
	exportFailed(cause: unknown): void {
		const error =
			cause instanceof DownStreamError ? cause : new DownStreamError('disk-failed', String(cause), {cause});
		Logger.error(`${this.id}: not exported: ${error.message}`);
		this.#retries.note(new DownStreamError(error.code, `Not exported: ${error.message}`));
		void this.#entryFile.save({exportWhenComplete: undefined}).catch(() => undefined);
		this.#changed();
	}

	/** Looks again at what is to be done: a connection to the host has become free. */
	lookAgain(): void {
		this.#fetcher.schedule();
	}

	/** One connection ends for a player who waits. Returns false if players wait for the bytes of all of them. */
	giveUpConnection(): boolean {
		return this.#fetcher.giveUpConnection();
	}

	/** What was written is recorded; a download that is all there becomes complete. Calls run one after the other. */
	checkpoint(): Promise<void> {
		clearTimeout(this.#checkpointTimer);
		this.#checkpointTimer = undefined;
		this.#checkpointing = this.#checkpointing.then(async () => {
			if (this.#entryFile.isAbandoned) {
				return;
			}

			const file = this.#file;
			const {isComplete: wasComplete} = file;
			try {
				// In the same tick as the ranges: what is recorded can be proven.
				const {pieces} = this.#checks;
				const {ranges, identity} = await file.checkpoint();
				// In this order: what is complete has all its checksums, but where the disk has no room for them.
				const recorded = await this.#checks.save(file).catch(noneIfFull);
				if (file !== this.#file || this.#entryFile.isAbandoned) {
					return;
				}

				this.#unsettled = [...this.#unsettled, ...recorded].slice(-mostUnsettled);
				// What came during this one is synced and recorded by the next, what was lost is no longer there.
				const isComplete = wasComplete && file.isComplete;
				await this.#entryFile.save({
					error: this.#retries.permanentError,
					ranges: ranges.map(({start, end}) => [start, end]),
					unsettled: this.#closed || this.#unsettled.length === 0 ? undefined : this.#unsettled,
					pieces: pieces.length === 0 ? undefined : pieces.map(({start, end, crc}) => [start, end, crc]),
					...(identity && {dataFile: identity}),
					...(isComplete ? {} : {completedAt: undefined}),
				});
				const isProven = this.#fetcher.isProven && !file.doubt;
				if (isComplete && isProven && !this.isComplete && !this.#retries.permanentError) {
					await this.#allIsThere();
				}
			} catch (error) {
				if (file === this.#file) {
					this.#failed(error);
				}
			}
		});
		return this.#checkpointing;
	}

	/** With a checksum it is complete once that fits. */
	async #allIsThere(): Promise<void> {
		const {checksum, intent} = this.#entryFile.entry;
		if (checksum === undefined) {
			await this.#completed();
		} else if (!this.#closed && intent !== 'cancel') {
			// Not waited for: it may take minutes.
			void this.verify().catch(() => undefined);
		}
	}

	/** Runs an export and shows its progress. Of a move it is told the new place before the old one goes. */
	async exporting(
		run: (
			dataPath: string,
			onProgress: (fraction: number) => void,
			onPlaced: (path: string) => Promise<boolean>,
		) => Promise<string>,
	): Promise<string> {
		// What goes out with gaps is not the file, even if the last ones are filled meanwhile.
		const isWhole = this.isComplete;
		const version = this.#version;
		const {size} = this.#file;
		this.#exportProgress = 0;
		this.#changed();
		try {
			const onProgress = (fraction: number) => {
				this.#exportProgress = fraction;
				this.#changed();
			};

			const path = await run(this.#file.path, onProgress, async movedTo => {
				const moved = await SparseFile.open(movedTo, size, [{start: 0, end: size}]);
				if (version !== this.#version) {
					return false;
				}

				await this.#entryFile.save({movedTo});
				// It may have been begun anew in between.
				if (version !== this.#version) {
					return false;
				}

				// Reads that are in the middle keep the old descriptor; the next one opens the new place.
				const old = this.#file;
				this.#file = this.#watched(moved);
				moved.trust();
				await old.retire();
				void this.checkpoint();
				return true;
			});
			const change =
				isWhole && version === this.#version
					? {exportedTo: path, exportWhenComplete: undefined}
					: {exportedPartTo: path};
			// The file is there, also where the store has no room to remember it.
			await this.#entryFile.save(change).catch((error: unknown) => {
				Logger.warn(`${this.id}: ${String(error)}`);
			});
			return path;
		} finally {
			this.#exportProgress = null;
			this.#changed();
		}
	}

	#watched(file: SparseFile): SparseFile {
		file.onWritten = (offset, bytes) => this.#checks.wrote(offset, bytes, file.size);
		return file;
	}

	/** Ends everything at once and writes nothing more. `reason` is told to players. */
	abandon(reason: DownStreamError): void {
		this.#end();
		this.#entryFile.abandon(reason);
		clearTimeout(this.#checkpointTimer);
		this.#retries.cancel();
		this.#readers.reject(reason);
		this.#fetcher.segments.endAll();
		void this.#file.retire();
	}

	/** Ends everything and saves. */
	async close(): Promise<void> {
		this.#end();
		this.#retries.cancel();
		this.#readers.reject(ending());
		await Promise.allSettled([this.#fetcher.stop(), this.#check?.done]);
		await this.checkpoint();
		await this.#file.retire();
		await this.#fetcher.dispose();
	}

	#end(): void {
		this.#closed = true;
		clearTimeout(this.#patienceTimer);
		this.#ending.abort(ending());
		this.#check?.abort.abort(ending());
	}

	/** To the minute: it only says what was read before what. */
	#recordReading(): void {
		const now = Date.now();
		if (!this.#closed && now - (this.#entryFile.entry.readAt ?? 0) >= minute) {
			void this.#entryFile.save({readAt: now}).catch(() => undefined);
		}
	}

	/** The same object until something has changed. */
	view(now: number): Download {
		const lively = this.isLively;
		if (this.#view && !lively && !this.#viewIsLively) {
			return this.#view;
		}

		this.#viewIsLively = lively;

		const {entry, folder} = this.#entryFile;
		this.#view = downloadView(
			{
				entry,
				folder,
				streamUrl: this.#services.streamUrl(entry.id, nameOf(entry)),
				status: this.status,
				file: this.#file,
				meter: this.#meter,
				readers: this.#readers,
				segments: this.#fetcher.segments,
				retries: this.#retries,
				maxConnections: this.#fetcher.maxConnections,
				hostCeiling: this.status === 'queued' ? this.#fetcher.hostCeiling : null,
				lastByteAt: this.#fetcher.lastByteAt,
				checkProgress: this.#checkProgress,
				exportProgress: this.#exportProgress,
			},
			now,
		);
		return this.#view;
	}

	#changed(): void {
		this.#view = undefined;
		this.#services.changed();
	}

	// Readers

	#refuseIfCancelled(): void {
		if (this.#closed || (this.#entryFile.entry.intent === 'cancel' && !this.#file.isComplete)) {
			throw cancelled();
		}
	}

	#waitForBytes(reader: Reader, signal: AbortSignal, isRequest: boolean): Promise<Uint8Array | undefined> {
		return this.#readers.waitForBytes(reader, signal, () =>
			this.#askForPlayer(isRequest, () => this.#fetcher.awaited(reader.offset)),
		);
	}

	/** A player waits from now on. A remembered error never answers its request: the origin is asked again. */
	#askForPlayer(isRequest: boolean, schedule: () => void): void {
		const hadFailed = this.#retries.permanentError !== undefined;
		this.#retries.retryNow(isRequest);
		schedule();
		if (hadFailed) {
			// A link that has expired is asked for once more.
			this.#vainLinks = Math.min(this.#vainLinks, mostVainLinks - 1);
			this.#services.queueChanged();
		}

		this.#endOverdueWaits();
	}

	/** Players are told of a host that is away once their patience has ended. */
	#endOverdueWaits(): void {
		clearTimeout(this.#patienceTimer);
		const {lastError, retryAt} = this.#retries;
		const next = this.#readers.rejectOverdue(
			waiting => this.#retries.playerWaitsUntil(waiting),
			() =>
				new DownStreamError(lastError?.code ?? 'origin-unreachable', lastError?.message ?? 'no answer', {
					status: lastError?.status,
					retryAfterMs: retryAt && Math.max(0, retryAt - Date.now()),
				}),
		);
		if (next !== Infinity && !this.#closed) {
			this.#patienceTimer = setTimeout(() => this.#endOverdueWaits(), next - Date.now());
		}
	}

	// Errors

	#wrote(offset: number, bytes: Uint8Array): void {
		this.#vainLinks = 0;
		if (this.#retries.progressed(bytes.length)) {
			// It needs a place again.
			this.#services.queueChanged();
		}

		this.#meter.add(bytes.length, Date.now());
		this.#readers.wake(offset, bytes);
		this.#changed();
		if (!this.#closed) {
			this.#checkpointTimer ??= setTimeout(() => void this.checkpoint(), checkpointMs);
			this.#checkpointIfWhole();
		}
	}

	#checkpointIfWhole(): void {
		if (this.#file.isComplete && !this.isComplete) {
			void this.checkpoint();
		}
	}

	#failed(cause: unknown, since?: number): void {
		if (cause instanceof DamagedFile && this.#mend(cause)) {
			return;
		}

		const error =
			cause instanceof DownStreamError
				? cause
				: new DownStreamError('origin-misbehaved', `Unexpected: ${String(cause)}`, {cause});
		if (this.#renewLink(error)) {
			return;
		}

		if (error.code === 'origin-changed' && this.#fetcher.factsKnown && this.#file.present.size === 0) {
			// Of the old version nothing is left that could be kept.
			void this.#fetchAnew();
			return;
		}

		if (error.code === 'origin-changed' && this.isPageForFile) {
			void this.#changedFromPage(error, since);
			return;
		}

		this.#tellFailure(error, since);
	}

	/** The file may have come in place of a page that is held. */
	async #changedFromPage(error: DownStreamError, since?: number): Promise<void> {
		const version = this.#version;
		this.#fetcher.segments.endAll();
		await this.#replacePage();
		if (version === this.#version && !this.#closed) {
			this.#tellFailure(error, since);
		}
	}

	#tellFailure(problem: DownStreamError, since?: number): void {
		const line = `${this.id}: ${problem.code}: ${problem.message}`;
		if (this.#retries.failed(problem, since)) {
			Logger.warn(line);
			this.#endOverdueWaits();
		} else {
			Logger.error(line);
			this.#fetcher.segments.endAll();
			this.#readers.reject(problem);
			void this.#entryFile.save({error: this.#retries.permanentError}).catch(() => undefined);
		}

		this.#services.queueChanged();
		this.#changed();
	}
}

function noneIfFull(error: unknown): number[] {
	if (!isFull(error)) {
		throw error;
	}

	return [];
}

function stepAfter(consumed: number): number {
	return Math.min(readStep.most, Math.max(readStep.bytes, consumed * readStep.part));
}

/** What origins say of links that were good for a while, and what a place has that was given to another file. */
function hasExpired({code, status}: DownStreamError): boolean {
	return (
		code === 'origin-changed' ||
		code === 'origin-sent-page' ||
		(code === 'origin-refused' && [401, 403, 404, 410].includes(status ?? 0))
	);
}

function cancelled(): DownStreamError {
	return new DownStreamError('not-found', 'This download was cancelled; resume it to stream it again');
}

function fetchedAnew(): DownStreamError {
	return new DownStreamError('origin-changed', 'The file changed on the server and is fetched anew');
}

function ending(): DownStreamError {
	return new DownStreamError('not-found', 'The program is ending, or the download was removed');
}
