// One download: readers wait, segments write, one scheduler in between.
import {rm} from 'node:fs/promises';
import {
	DownStreamError,
	type Download,
	type DownloadId,
	type DownloadStatus,
	hasExpired,
} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import {release} from '../memory/buffers.ts';
import {parseChecksum} from '../store/block-checksums.ts';
import {BlockReader} from '../memory/disk-reader.ts';
import type {DataSource, OriginResponse} from '../origin/data-source.ts';
import {diskError, isFull} from '../store/disk-error.ts';
import {Doubt} from '../store/doubt.ts';
import {DownloadState} from './download-state.ts';
import {downloadView, nameOf, queueRankOf, typeOf} from './view.ts';
import type {DownloadRecord, RecordFile} from '../store/record-store.ts';
import {Scheduler, type NewLink, type TransferServices} from '../fetch/scheduler.ts';
import type {Reader} from '../fetch/readers.ts';
import {verifyAcceptance, verifyReplacement} from '../fetch/version-check.ts';
import type {Client} from '../fetch/players.ts';
import {RangeSet, type Range} from '../store/range-set.ts';
import {DamagedFile, SparseFile} from '../store/sparse-file.ts';
import {CheckQueue, type Check, type CheckKind} from './check-queue.ts';

export type {NewLink, TransferServices} from '../fetch/scheduler.ts';

/** A reader that has come so much further, or by such a part of what it has read, is looked at anew. */
const readStep = {bytes: 256 * 1024, part: 1 / 16, most: 4 * 1024 * 1024};
const checkpointMs = 500;
const minute = 60_000;
/** How many of the blocks that were recorded last are looked at again after an unclean end. */
const maxRecentBlocks = 16;
const maxRenewals = 3;
/** Bytes that the disk loses again sooner than this are not fetched again. */
const mendAgainMs = 10_000;

export type Representation = {
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
	readonly #services: TransferServices;
	readonly #state: DownloadState;
	readonly #scheduler: Scheduler;
	#checkpointTimer: NodeJS.Timeout | undefined;
	/** Until the patience of a player that waits has ended. */
	#patienceTimer: NodeJS.Timeout | undefined;
	#checkpointing: Promise<void> = Promise.resolve();
	#sourceChanges: Promise<unknown> = Promise.resolve();
	/** Blocks that were recorded last. */
	#recentBlocks: readonly number[] = [];
	#exportProgress: number | null = null;
	readonly #queue = new CheckQueue();
	#checkProgress: number | null = null;
	#view: Download | undefined;
	#viewIsLively = false;
	#isRenewing = false;
	/** The user wants the file now. */
	#isAsked = false;
	/** Damage that was found in the background and that no `verify` has told of. */
	#untold: Range[] = [];
	#mended: {readonly start: number; readonly at: number} | undefined;
	#mending: Promise<void> = Promise.resolve();
	/** Links that were had one after the other and brought no byte. */
	#fruitlessRenewals = 0;

	/** Holds the record against its data file; needs no network. */
	static async open(
		recordFile: RecordFile,
		source: DataSource,
		services: TransferServices,
	): Promise<Transfer> {
		const {record} = recordFile;
		const size = record.info?.size ?? Infinity;
		const recorded = record.ranges.map(([start, end]) => ({start, end}));
		const file = await SparseFile.open(
			record.movedTo ?? recordFile.dataPath,
			size,
			recorded,
			record.dataFile,
		);
		const transfer = new Transfer(recordFile, source, services, file);
		if (record.unsettled) {
			transfer.#recentBlocks = record.unsettled;
			if (!file.isChanged) {
				// It did not end by itself: what the disk was given last is what it may have lost.
				// What cannot be read now is told to those who want to read it.
				file.forget(await transfer.#state.checks.damagedOf(file, record.unsettled).catch(() => []));
			}
		}

		if (record.completedAt !== undefined && !file.isComplete) {
			// A disk that takes no record of it must not keep it from being opened.
			await transfer.#isNoLongerWhole().catch(() => undefined);
		}

		if (record.movedTo !== undefined && file.isComplete && !file.isChanged && !recordFile.refusal) {
			// It ended between the record of the new place and the removal of the old one.
			await rm(recordFile.dataPath, {force: true}).catch(() => undefined);
		}

		if (file.isChanged) {
			await transfer.#doubt();
		}

		if (
			file.isComplete &&
			!file.doubt &&
			transfer.#scheduler.hasFileInfo &&
			!transfer.isComplete &&
			!transfer.#state.retries.permanentError
		) {
			// It ended between the last byte and the check of the whole.
			void transfer.checkpoint();
		}

		return transfer;
	}

	private constructor(
		recordFile: RecordFile,
		source: DataSource,
		services: TransferServices,
		file: SparseFile,
	) {
		this.#services = services;
		this.#state = new DownloadState(recordFile, file, services.bandwidth, () => this.#scheduler.wake());
		this.#scheduler = new Scheduler(
			{
				state: this.#state,
				received: (offset, bytes) => this.#received(offset, bytes),
				identified: () => this.#checkpointIfWhole(),
				disproved: range => {
					this.#state.file.forget([range]);
					void this.checkpoint();
				},
				failed: (error, silentSince) => this.#failed(error, silentSince),
				changed: () => this.#changed(),
			},
			source,
			services,
		);
	}

	get id(): DownloadId {
		return this.#state.recordFile.record.id;
	}

	get host(): string {
		return this.#scheduler.host;
	}

	get recordFile(): RecordFile {
		return this.#state.recordFile;
	}

	get queueRank(): number {
		return queueRankOf(this.#state.recordFile.record);
	}

	/** What is on the disk. */
	get present(): Iterable<Range> {
		return this.#state.file.present;
	}

	/** Every byte is on the disk, and recorded. */
	get isComplete(): boolean {
		return this.#state.isComplete;
	}

	/** It would fetch in the background if the queue let it. */
	get wantsPlace(): boolean {
		const {intent, onDemand} = this.#state.recordFile.record;
		return (
			intent === 'run' &&
			!this.#state.retries.permanentError &&
			!this.#state.file.isComplete &&
			(!onDemand || !this.#scheduler.hasFileInfo) &&
			!this.#state.isClosed
		);
	}

	/** Something of it changes without an event: a speed that falls, a player that is forgotten. */
	get changesOverTime(): boolean {
		const now = Date.now();
		return (
			this.#scheduler.segments.size > 0 ||
			this.#state.meter.rate(20_000, now) > 0 ||
			this.#state.readers.players(now).length > 0
		);
	}

	/** Its host fails: it tries now and then, and needs no place of the queue until bytes come. */
	get isProbing(): boolean {
		return this.#state.retries.isProbing;
	}

	/** The origin has not answered what is asked of it now. */
	get isUnanswered(): boolean {
		return this.#scheduler.isUnanswered;
	}

	/** The queue gives or takes the place. */
	setBackgroundAllowed(allowed: boolean): void {
		this.#scheduler.setBackgroundAllowed(allowed);
	}

	get status(): DownloadStatus {
		const {intent} = this.#state.recordFile.record;
		if (this.#checkProgress !== null) {
			return 'checking';
		}

		if (this.#exportProgress !== null) {
			return 'exporting';
		}

		if (this.#state.isComplete) {
			return 'complete';
		}

		if (intent === 'cancel') {
			return 'cancelled';
		}

		if (this.#state.retries.permanentError) {
			return 'failed';
		}

		if (intent === 'pause') {
			return 'paused';
		}

		if (this.#isRenewing) {
			return 'asking';
		}

		if (this.#scheduler.segments.size > 0) {
			return this.#scheduler.hasFileInfo ? 'active' : 'asking';
		}

		// All of it is being recorded: nothing is queued any more.
		if (this.#state.file.isComplete && this.#scheduler.isProven) {
			return 'active';
		}

		return this.#state.retries.retryAt === undefined ? 'queued' : 'waiting';
	}

	/**
	 * Waits for the first answer of the origin if nothing is known yet. Rejects with the `DownStreamError` that
	 * stands in the way, or the signal's reason.
	 */
	async representation(signal: AbortSignal): Promise<Representation> {
		if (!this.#scheduler.hasFileInfo) {
			this.#refuseIfCancelled();
			await this.#services.access.obtain();
			this.#refuseIfCancelled();
			try {
				await this.#state.readers.fileInfo(signal, () =>
					this.#askForPlayer(true, () => this.#scheduler.wake()),
				);
			} finally {
				this.#scheduler.wake();
			}
		}

		const {record} = this.#state.recordFile;
		const {acceptsRanges, id, startedOver = 0} = record;
		const validator = record.hasUnstableValidator ? undefined : record.validator;
		const {size, isComplete} = this.#state.file;
		return {
			name: nameOf(record),
			type: typeOf(record),
			size,
			etag: size === Infinity ? undefined : (validator?.etag ?? `"${id}-${size}-${startedOver}"`),
			lastModified: validator?.lastModified,
			acceptsRanges: acceptsRanges !== false,
			complete: isComplete,
			version: this.#state.version,
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
		if (this.#state.isComplete) {
			await this.#lookForChange();
		}

		const reader = this.#state.readers.open(range, request.player);
		Logger.debug(
			`${this.#state.recordFile.record.id}: ${reader.player.name} reads bytes ${range.start} to ${range.end}`,
		);
		const blocks = new BlockReader(this.#services.blocks);
		this.#recordReading();
		let scheduleAt = readStep.bytes;
		let hasAsked = false;
		try {
			this.#scheduler.wake();
			while (reader.offset < Math.min(range.end, this.#state.file.size)) {
				signal.throwIfAborted();
				this.#refuseIfCancelled();
				if (version !== this.#state.version) {
					throw fetchedAnew();
				}

				// The look and the registering happen in one tick: a write in between would be missed.
				const end = Math.min(range.end, this.#scheduler.readableEnd(range.start, reader.offset));
				const ready = Math.min(this.#state.file.present.runEnd(reader.offset), end) - reader.offset;
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
				if (!this.#state.file.isComplete && reader.consumed >= scheduleAt) {
					scheduleAt = reader.consumed + stepAfter(reader.consumed);
					this.#scheduler.wake();
				}

				yield bytes;
				blocks.sent();
				release(bytes);
			}

			// The end of another version is not that of this one.
			if (reader.offset < range.end && version !== this.#state.version) {
				throw fetchedAnew();
			}
		} finally {
			await blocks.close();
			this.#state.readers.close(reader);
			this.#recordReading();
			if (this.#state.isComplete && this.#state.readers.size === 0 && this.#scheduler.segments.size === 0) {
				void this.#state.file.close();
			}

			this.#scheduler.wake();
		}
	}

	/** Nothing where the file was moved or given up meanwhile: its place is to be looked at anew. */
	async #readHeld(blocks: BlockReader, offset: number, ready: number): Promise<Uint8Array | undefined> {
		const file = this.#state.file;
		try {
			return await blocks.read(file, offset, ready);
		} catch (error) {
			if (file !== this.#state.file || this.#state.isClosed) {
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
		const saved = this.#state.recordFile.save({intent: 'pause'});
		this.#state.retries.cancel();
		this.#services.queueChanged();
		this.#scheduler.wake();
		this.#scheduler.segments.endAll(segment => segment.for === 'fill');
		await saved;
		await this.checkpoint();
	}

	/** Goes on; after an error, tries again now. */
	async resume(): Promise<void> {
		Logger.info(`${this.id}: resumed`);
		this.#fruitlessRenewals = 0;
		this.#isAsked = true;
		if (this.#state.recordFile.record.intent !== 'run' || this.#state.retries.blockingError) {
			this.#scheduler.requireCheck();
		}

		this.#state.retries.retryNow(true);
		await this.#state.recordFile.save({intent: 'run', error: undefined});
		// A check that was cancelled is taken up again.
		void this.#settleDoubt().catch(() => undefined);
		this.#reevaluate();
	}

	/** Ends readers, then segments. */
	async cancel(): Promise<void> {
		Logger.info(`${this.id}: cancelled`);
		const saved = this.#state.recordFile.save({intent: 'cancel'});
		this.#state.readers.reject(cancelled());
		this.#state.retries.cancel();
		this.#scheduler.cancel();
		this.#queue.abort(cancelled());
		this.#changed();
		this.#services.queueChanged();
		await saved;
		await this.checkpoint();
	}

	/**
	 * Takes what is to be changed of the record. With another source, what was running by the old one ends; one of
	 * another URL must have the same file (`origin-changed`). Nothing is changed if this rejects for that, or because
	 * that place cannot be reached.
	 */
	async change(
		changeOf: (record: DownloadRecord) => Partial<DownloadRecord>,
		sourceOf?: (changed: DownloadRecord) => DataSource,
	): Promise<void> {
		const change = await (sourceOf ? this.#changeSourceInTurn(changeOf, sourceOf) : this.#save(changeOf));

		this.#scheduler.setRateLimit(this.#state.recordFile.record.limitRate);
		if (change.checksum !== undefined) {
			await this.#changedChecksum();
		}

		this.#reevaluate();
		if (change.onDemand && this.#scheduler.hasFileInfo) {
			// They would linger for a player, and go on filling meanwhile.
			this.#scheduler.segments.endAll(segment => segment.for === 'fill');
		}
	}

	/** Fetches from another source of the same file from now on, unless it is the one that it has. */
	async takeSource(source: DataSource): Promise<void> {
		if (source !== this.#scheduler.source) {
			await this.change(
				() => ({}),
				() => source,
			);
		}
	}

	async #save(
		changeOf: (record: DownloadRecord) => Partial<DownloadRecord>,
	): Promise<Partial<DownloadRecord>> {
		const change = changeOf(this.#state.recordFile.record);
		await this.#state.recordFile.save(change);
		return change;
	}

	/** Two sources that are given at once: the second one is made for what the first one has left. */
	async #changeSourceInTurn(
		changeOf: (record: DownloadRecord) => Partial<DownloadRecord>,
		sourceOf: (changed: DownloadRecord) => DataSource,
	): Promise<Partial<DownloadRecord>> {
		const changing = this.#sourceChanges.then(async () => {
			const {record} = this.#state.recordFile;
			const change = changeOf(record);
			await this.#changeSource(change, sourceOf({...record, ...change}));
			return change;
		});
		this.#sourceChanges = changing.catch(() => undefined);
		return changing;
	}

	async #changeSource(change: Partial<DownloadRecord>, source: DataSource): Promise<void> {
		let isTaken = false;
		try {
			const file = this.#state.file;
			const wasEmpty = file.present.size === 0;
			let place = change.url === undefined ? undefined : await this.#proveSource(source);
			await this.#scheduler.exclusively(async () => {
				// The old source went on: the first bytes may have come since, or another version.
				if (place && (file !== this.#state.file || (wasEmpty && file.present.size > 0))) {
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

	async #proveSource(source: DataSource): Promise<OriginResponse> {
		return verifyReplacement(
			this.#state.file,
			this.#scheduler.checked(source),
			this.#scheduler.cachedVersion,
			this.#state.ending,
		);
	}

	/** Nothing may be running. `place`: what the source has said of itself, where it is another one of the same file. */
	async #replaceSource(
		change: Partial<DownloadRecord>,
		source: DataSource,
		place?: OriginResponse,
	): Promise<void> {
		const {hasFileInfo} = this.#scheduler;
		await this.#scheduler.replaceSource(source);
		this.#state.retries.reset();
		if (
			place &&
			hasFileInfo &&
			place.info.size !== this.#state.file.size &&
			this.#state.file.present.size === 0
		) {
			await this.#forgetVersion(change);
		} else {
			const {validator, acceptsRanges} = (hasFileInfo && place) || this.#state.recordFile.record;
			const {hasUnstableValidator} = place ? {} : this.#state.recordFile.record;
			await this.#state.recordFile.save({
				...change,
				validator,
				hasUnstableValidator,
				acceptsRanges,
				error: undefined,
			});
			this.#scheduler.begin(place !== undefined);
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

		const newLink = this.#services.newLink(this.#state.recordFile.record);
		// The place may have been given to another file.
		const mayHelp = hasExpired(error) || error.code === 'origin-changed';
		if (!newLink || this.#fruitlessRenewals === maxRenewals || !mayHelp) {
			return false;
		}

		this.#isRenewing = true;
		this.#fruitlessRenewals++;
		this.#changed();
		void this.#takeNewLink(newLink);
		return true;
	}

	async #takeNewLink(newLink: NewLink): Promise<void> {
		try {
			await this.#scheduler.exclusively(async () => {
				const {change, source} = await newLink(this.#state.ending);
				// Where nothing is held any file fits, and a link may be good for one request.
				const place = this.#state.file.present.size > 0 ? await this.#provePlace(source) : undefined;
				await this.#replaceSource(change, source, place);
			});
			this.#isRenewing = false;
			this.#reevaluate();
		} catch (error) {
			this.#isRenewing = false;
			if (!this.#state.isClosed) {
				if (error instanceof DownStreamError && error.kind === 'transient') {
					this.#fruitlessRenewals--;
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
		if (this.#state.retries.permanentError?.code === 'checksum-mismatch') {
			this.#state.retries.reset();
		}

		this.#queue.abort(
			new DownStreamError('incomplete', 'The checksum was changed during the check'),
			'whole',
		);
		await this.#queue.find('whole')?.catch(() => undefined);
		await this.#state.recordFile.save({completedAt: undefined, error: this.#state.retries.permanentError});
	}

	/** Goes on with what is held if it proves to be the origin's file of now. Rejects with `origin-changed` if not. */
	async acceptChange(): Promise<void> {
		if (this.#state.file.present.size === 0) {
			await this.startOver();
			return;
		}

		await this.#scheduler.exclusively(async () => {
			const {validator, isUnstable} = await verifyAcceptance(
				this.#state.file,
				this.#scheduler.checked(),
				this.#scheduler.cachedVersion,
				this.#state.ending,
			);
			Logger.info(`${this.id}: goes on with the file of now`);
			this.#state.retries.reset();
			await this.#state.recordFile.save({
				validator,
				hasUnstableValidator: isUnstable || undefined,
				intent: 'run',
				error: undefined,
			});
			this.#scheduler.begin(true);
		});
		this.#reevaluate();
	}

	/** Drops the held bytes and all that is known of their version, and fetches what the origin has now. */
	async startOver(): Promise<void> {
		Logger.info(`${this.id}: starts over`);
		this.#fruitlessRenewals = 0;
		await this.#scheduler.exclusively(async () => {
			this.#state.retries.reset();
			await this.#forgetVersion({intent: 'run'});
		});
		this.#reevaluate();
	}

	async #fetchAnew(): Promise<void> {
		try {
			await this.#scheduler.exclusively(async () => this.#forgetVersion({}));
			this.#reevaluate();
		} catch (error) {
			if (!this.#state.isClosed) {
				this.#failed(error);
			}
		}
	}

	/** Nothing may be running. What was moved out of the store stays where it is. */
	async #forgetVersion(change: Partial<DownloadRecord>): Promise<void> {
		const {dataPath, record} = this.#state.recordFile;
		const reason = fetchedAnew();
		this.#queue.abort(reason);
		await this.#queue.settled();
		this.#state.version++;
		this.#recentBlocks = [];
		this.#state.readers.reject(reason);
		try {
			await this.#state.recordFile.save({
				...change,
				startedOver: (record.startedOver ?? 0) + 1,
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
			const old = this.#state.file;
			this.#state.file = await SparseFile.open(dataPath, Infinity, []);
			// Who came while that was saved was served the old bytes.
			this.#state.version++;
			this.#state.readers.reject(reason);
			this.#scheduler.begin(true);
			await old.retire();
			await this.#state.checks.clear();
			// Not cut to nothing: an exported file may be a second name of the same bytes.
			await rm(dataPath, {force: true}).catch((error: unknown) => {
				throw diskError(error, dataPath);
			});
		}
	}

	/** What is to be done may be another thing now. */
	#reevaluate(): void {
		this.#services.queueChanged();
		this.#scheduler.wake();
		this.#checkpointIfWhole();
	}

	/**
	 * Damaged blocks become holes; a complete file is also compared with the checksum that was given for it. Concurrent
	 * calls share one check. Where no checksum was given, a check in doubt finds the same.
	 */
	verify(): Promise<Range[]> {
		if (this.#state.isClosed) {
			return Promise.reject(ending());
		}

		const inDoubt =
			this.#state.recordFile.record.checksum === undefined ? this.#queue.find('doubt') : undefined;
		const done =
			inDoubt ??
			this.#queue.find('whole') ??
			this.#startCheck('whole', async signal => this.#checkAll(signal));
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
		await this.#settleDoubt();
	}

	async #settleDoubt(): Promise<void> {
		const {doubt} = this.#state.file;
		if (doubt) {
			await (this.#queue.find('doubt') ??
				this.#startCheck('doubt', async signal => this.#checkDoubt(doubt, signal)));
		}
	}

	async #lookForChange(): Promise<void> {
		if ((await this.#state.file.changeSince()) === undefined) {
			return;
		}

		// A check that runs reads all of it anyway.
		await this.#queue.settled();
		const change = await this.#state.file.changeSince();
		if (change === 'gone') {
			await this.#lostEnd({start: 0, end: Infinity});
		} else if (change === 'changed') {
			await this.#doubt();
		}
	}

	#startCheck(kind: CheckKind, check: Check): Promise<Range[]> {
		return this.#queue.add(kind, async signal => this.#runCheck(check, signal));
	}

	async #runCheck(look: Check, signal: AbortSignal): Promise<Range[]> {
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
		const file = this.#state.file;
		const {doubt} = file;
		const given = file.isComplete ? this.#state.recordFile.record.checksum : undefined;
		const expected = given === undefined ? undefined : parseChecksum(given);
		const {damaged, digest} = await this.#state.checks.check(file, {
			signal,
			algorithm: expected?.algorithm,
			onProgress: fraction => this.#showCheck(fraction),
		});
		if (damaged.length > 0) {
			await this.#makeHoles(damaged);
		} else if (expected && digest !== expected.digest) {
			await this.#state.recordFile.save({completedAt: undefined});
			throw new DownStreamError(
				'checksum-mismatch',
				`The ${expected.algorithm} of the file is ${digest}, not the one that was given`,
			);
		} else if (expected && !this.#state.isComplete) {
			await this.#completed();
		}

		// In doubt, parts of blocks are still to be proven; one that came up meanwhile is of later changes.
		if (file.doubt === doubt && (!doubt || file.isComplete)) {
			doubt?.end();
			file.trust();
		}

		return [...new RangeSet([...this.#untold, ...damaged])];
	}

	/**
	 * The data file is not as it was left, perhaps by its own last writes before a crash. Nothing of it is believed before
	 * its checksum fits. The check runs in the background; what players ask for comes first.
	 */
	async #doubt(): Promise<void> {
		const file = this.#state.file;
		const wasComplete = this.#state.isComplete;
		const checked = await this.#state.checks.checked(file);
		if (file !== this.#state.file || file.doubt) {
			return;
		}

		Logger.info(`${this.id}: ${file.path} is not as it was recorded; it is checked`);
		const doubt = new Doubt(
			file.present,
			async block => this.#state.checks.isIntact(file, block),
			checked,
			async range => this.#loseBlock(file, range),
		);
		file.doubt = doubt;
		await doubt.loseUnchecked();
		void this.#startCheck('doubt', async signal => {
			const damaged = await this.#checkDoubt(doubt, signal);
			if (wasComplete && this.#state.file.present.size === 0 && !this.#state.recordFile.refusal) {
				await this.#isNoLongerWhole();
			}

			return damaged;
		});
	}

	async #checkDoubt(doubt: Doubt, signal: AbortSignal): Promise<Range[]> {
		await doubt.proveAll(signal, fraction => this.#showCheck(fraction));
		if (this.#state.file.doubt === doubt) {
			this.#state.file.trust();
		}

		this.#untold = [...doubt.damaged];
		this.#reevaluate();
		return this.#untold;
	}

	/** The record of it follows with that of the whole check: a program that ends before doubts the same file again. */
	async #loseBlock(file: SparseFile, range: Range): Promise<void> {
		if (file !== this.#state.file) {
			return;
		}

		if (this.#state.recordFile.record.movedTo === undefined || this.#state.recordFile.refusal) {
			file.forget([range]);
			this.#changed();
		} else {
			await this.#isNoLongerWhole();
		}
	}

	/** Fetching a finished file again unasked would be a surprise; a player gets what it asks for. */
	async #isNoLongerWhole(): Promise<void> {
		const {path} = this.#state.file;
		this.#state.retries.note(
			new DownStreamError(
				'disk-failed',
				`${path} is no longer whole; what is missing is fetched when a player asks, or by resume`,
			),
		);
		await this.#leaveMovedFile();
		await this.#state.recordFile.save({completedAt: undefined, ...(this.#isAsked ? {} : {intent: 'pause'})});
		this.#changed();
	}

	/** That file is the user's: it may differ because they changed it, and is not written to. */
	async #leaveMovedFile(): Promise<void> {
		const {dataPath, record} = this.#state.recordFile;
		if (record.movedTo !== undefined) {
			const old = this.#state.file;
			this.#state.file = await SparseFile.open(dataPath, old.size, []);
			old.doubt?.end();
			await this.#state.recordFile.save({
				movedTo: undefined,
				ranges: [],
				pieces: undefined,
				dataFile: undefined,
			});
			await old.retire();
		}
	}

	async #makeHoles(ranges: readonly Range[]): Promise<void> {
		await this.#leaveMovedFile();
		this.#state.file.forget(ranges);
		if (this.#state.retries.permanentError?.code === 'checksum-mismatch') {
			this.#state.retries.reset();
			await this.#state.recordFile.save({error: undefined});
		}

		// Their checksums stay: that of what is missing harms nothing, and the same bytes come again.
		await this.checkpoint();
		this.#reevaluate();
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
				this.#state.isComplete && lost.end === Infinity ? this.#lostEnd(lost) : this.#makeHoles([lost]);
		} else {
			this.#mending = this.#lookForChange();
		}

		this.#mending.catch((error: unknown) => this.#failed(error));
		return true;
	}

	async #lostEnd(lost: Range): Promise<void> {
		await this.#isNoLongerWhole();
		await this.#makeHoles([lost]);
	}

	async #completed(): Promise<void> {
		// One connection brought what others were to bring: they need not go on, nor try again.
		this.#scheduler.segments.endAll();
		this.#state.retries.reset();
		this.#isAsked = false;
		await this.#state.recordFile.save({completedAt: Date.now(), error: undefined});
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
		this.#state.retries.note(new DownStreamError(error.code, `Not exported: ${error.message}`));
		void this.#state.recordFile.save({exportWhenComplete: undefined}).catch(() => undefined);
		this.#changed();
	}

	/** Looks again at what is to be done: a connection to the host has become free. */
	wake(): void {
		this.#scheduler.wake();
	}

	/** The storage folder may be written from here on. */
	mayWrite(): void {
		this.#reevaluate();
	}

	/** One connection ends for a player who waits. Returns false if players wait for the bytes of all of them. */
	yieldConnection(): boolean {
		return this.#scheduler.yieldConnection();
	}

	/** What was written is recorded; a download that is all there becomes complete. Calls run one after the other. */
	checkpoint(): Promise<void> {
		clearTimeout(this.#checkpointTimer);
		this.#checkpointTimer = undefined;
		this.#checkpointing = this.#checkpointing.then(async () => {
			if (this.#state.recordFile.refusal) {
				return;
			}

			const file = this.#state.file;
			const {isComplete: wasComplete} = file;
			if (wasComplete && !this.#state.isComplete && !this.#scheduler.isProven) {
				// A record of all of it would be believed after a crash.
				return;
			}

			try {
				// In the same tick as the ranges: what is recorded can be proven.
				const {pieces} = this.#state.checks;
				const {ranges, identity} = await file.checkpoint();
				// In this order: what is complete has all its checksums, but where the disk has no room for them.
				const recorded = await this.#state.checks.save(file).catch(noneIfFull);
				if (file !== this.#state.file || this.#state.recordFile.refusal) {
					return;
				}

				this.#recentBlocks = [...this.#recentBlocks, ...recorded].slice(-maxRecentBlocks);
				// What came during this one is synced and recorded by the next, what was lost is no longer there.
				const isComplete = wasComplete && file.isComplete;
				await this.#state.recordFile.save({
					error: this.#state.retries.permanentError,
					ranges: ranges.map(({start, end}) => [start, end]),
					unsettled: this.#state.isClosed || this.#recentBlocks.length === 0 ? undefined : this.#recentBlocks,
					pieces: pieces.length === 0 ? undefined : pieces.map(({start, end, crc}) => [start, end, crc]),
					...(identity && {dataFile: identity}),
					...(isComplete ? {} : {completedAt: undefined}),
				});
				const isProven = this.#scheduler.isProven && !file.doubt;
				if (isComplete && isProven && !this.#state.isComplete && !this.#state.retries.permanentError) {
					await this.#allIsThere();
				}
			} catch (error) {
				if (file === this.#state.file) {
					this.#failed(error);
				}
			}
		});
		return this.#checkpointing;
	}

	/** With a checksum it is complete once that fits. */
	async #allIsThere(): Promise<void> {
		const {checksum, intent} = this.#state.recordFile.record;
		if (checksum === undefined) {
			await this.#completed();
		} else if (!this.#state.isClosed && intent !== 'cancel') {
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
		const isWhole = this.#state.isComplete;
		const version = this.#state.version;
		const {size} = this.#state.file;
		this.#exportProgress = 0;
		this.#changed();
		try {
			const onProgress = (fraction: number) => {
				this.#exportProgress = fraction;
				this.#changed();
			};

			const path = await run(this.#state.file.path, onProgress, async movedTo => {
				const moved = await SparseFile.open(movedTo, size, [{start: 0, end: size}]);
				if (version !== this.#state.version) {
					return false;
				}

				await this.#state.recordFile.save({movedTo});
				// It may have been begun anew in between.
				if (version !== this.#state.version) {
					return false;
				}

				// Reads that are in the middle keep the old descriptor; the next one opens the new place.
				const old = this.#state.file;
				this.#state.file = moved;
				moved.trust();
				await old.retire();
				void this.checkpoint();
				return true;
			});
			const change =
				isWhole && version === this.#state.version
					? {exportedTo: path, exportWhenComplete: undefined}
					: {exportedPartTo: path};
			// The file is there, also where the store has no room to remember it.
			await this.#state.recordFile.save(change).catch((error: unknown) => {
				Logger.warn(`${this.id}: ${String(error)}`);
			});
			return path;
		} finally {
			this.#exportProgress = null;
			this.#changed();
		}
	}

	/** Ends everything at once and writes nothing more. `reason` is told to players, and as the error of the download. */
	abandon(reason: DownStreamError): void {
		this.#end();
		this.#state.recordFile.abandon(reason);
		clearTimeout(this.#checkpointTimer);
		this.#state.retries.reset();
		this.#state.retries.failed(reason);
		this.#state.readers.reject(reason);
		this.#scheduler.segments.endAll();
		void this.#state.file.retire();
		this.#changed();
	}

	/** Ends everything and saves. */
	async close(): Promise<void> {
		this.#end();
		this.#state.retries.cancel();
		this.#state.readers.reject(ending());
		await Promise.allSettled([this.#scheduler.stop(), this.#queue.settled()]);
		await this.checkpoint();
		await this.#state.file.retire();
		await this.#scheduler.dispose();
	}

	#end(): void {
		clearTimeout(this.#patienceTimer);
		this.#state.end(ending());
		this.#queue.abort(ending());
	}

	/** To the minute: it only says what was read before what. */
	#recordReading(): void {
		const now = Date.now();
		if (!this.#state.isClosed && now - (this.#state.recordFile.record.readAt ?? 0) >= minute) {
			void this.#state.recordFile.save({readAt: now}).catch(() => undefined);
		}
	}

	/** The same object until something has changed. */
	view(now: number): Download {
		const lively = this.changesOverTime;
		if (this.#view && !lively && !this.#viewIsLively) {
			return this.#view;
		}

		this.#viewIsLively = lively;

		const {record, folder} = this.#state.recordFile;
		this.#view = downloadView(
			{
				record,
				folder,
				streamUrl: this.#services.streamUrl(record.id, nameOf(record)),
				status: this.status,
				file: this.#state.file,
				meter: this.#state.meter,
				readers: this.#state.readers,
				segments: this.#scheduler.segments,
				retries: this.#state.retries,
				maxConnections: this.#scheduler.maxConnections,
				hostCeiling: this.status === 'queued' ? this.#scheduler.hostCeiling : null,
				lastByteAt: this.#scheduler.lastByteAt,
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
		if (this.#state.isClosed && this.#state.recordFile.refusal) {
			throw this.#state.recordFile.refusal;
		}

		if (
			this.#state.isClosed ||
			(this.#state.recordFile.record.intent === 'cancel' && !this.#state.file.isComplete)
		) {
			throw cancelled();
		}
	}

	/** Resolves with nothing where the file is to be looked at anew. */
	async #waitForBytes(
		reader: Reader,
		signal: AbortSignal,
		isRequest: boolean,
	): Promise<Uint8Array | undefined> {
		if (this.#state.recordFile.refusal) {
			await this.#services.access.obtain();
			return undefined;
		}

		return this.#state.readers.waitForBytes(reader, signal, () =>
			this.#askForPlayer(isRequest, () => this.#scheduler.readerBlockedAt(reader.offset)),
		);
	}

	/** A player waits from now on. A remembered error never answers its request: the origin is asked again. */
	#askForPlayer(isRequest: boolean, schedule: () => void): void {
		const hadFailed = this.#state.retries.permanentError !== undefined;
		this.#state.retries.retryNow(isRequest);
		schedule();
		if (hadFailed) {
			// A link that has expired is asked for once more.
			this.#fruitlessRenewals = Math.min(this.#fruitlessRenewals, maxRenewals - 1);
			this.#services.queueChanged();
		}

		this.#endOverdueWaits();
	}

	/** Players are told of a host that is away once their patience has ended. */
	#endOverdueWaits(): void {
		clearTimeout(this.#patienceTimer);
		const {lastError, retryAt} = this.#state.retries;
		const next = this.#state.readers.rejectOverdue(
			waiting => this.#state.retries.playerWaitsUntil(waiting),
			() =>
				new DownStreamError(lastError?.code ?? 'origin-unreachable', lastError?.message ?? 'no answer', {
					status: lastError?.status,
					retryAfterMs: retryAt && Math.max(0, retryAt - Date.now()),
				}),
		);
		if (next !== Infinity && !this.#state.isClosed) {
			this.#patienceTimer = setTimeout(() => this.#endOverdueWaits(), next - Date.now());
		}
	}

	// Errors

	#received(offset: number, bytes: Uint8Array): void {
		this.#fruitlessRenewals = 0;
		if (this.#state.retries.progressed(bytes.length)) {
			// It needs a place again.
			this.#services.queueChanged();
		}

		this.#state.meter.add(bytes.length, Date.now());
		this.#state.readers.wake(offset, bytes);
		this.#changed();
		if (!this.#state.isClosed) {
			this.#checkpointTimer ??= setTimeout(() => void this.checkpoint(), checkpointMs);
			this.#checkpointIfWhole();
		}
	}

	#checkpointIfWhole(): void {
		if (this.#state.file.isComplete && !this.#state.isComplete) {
			void this.checkpoint();
		}
	}

	#failed(cause: unknown, since?: number): void {
		if (cause instanceof DamagedFile && this.#mend(cause)) {
			return;
		}

		const explained = this.#services.access.explain(cause);
		const error =
			explained instanceof DownStreamError
				? explained
				: new DownStreamError('origin-misbehaved', `Unexpected: ${String(cause)}`, {cause});
		if (this.#state.recordFile.refusal) {
			// It goes on once the storage folder may be written, or has ended.
			return;
		}

		if (this.#renewLink(error)) {
			return;
		}

		if (
			error.code === 'origin-changed' &&
			this.#scheduler.hasFileInfo &&
			this.#state.file.present.size === 0
		) {
			// Of the old version nothing is left that could be kept.
			void this.#fetchAnew();
			return;
		}

		const line = `${this.id}: ${error.code}: ${error.message}`;
		if (this.#state.retries.failed(error, since)) {
			Logger.warn(line);
			this.#endOverdueWaits();
		} else {
			Logger.error(line);
			this.#scheduler.segments.endAll();
			this.#state.readers.reject(error);
			void this.#state.recordFile.save({error: this.#state.retries.permanentError}).catch(() => undefined);
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

function cancelled(): DownStreamError {
	return new DownStreamError('not-found', 'This download was cancelled; resume it to stream it again');
}

function fetchedAnew(): DownStreamError {
	return new DownStreamError('origin-changed', 'The file changed on the server and is fetched anew');
}

function ending(): DownStreamError {
	return new DownStreamError('not-found', 'The program is ending, or the download was removed');
}
