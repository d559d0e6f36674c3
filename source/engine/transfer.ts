// One download: readers wait, segments write, one scheduler in between.
import {rm} from 'node:fs/promises';
import {
	DownStreamError,
	type Download,
	type DownloadError,
	type DownloadId,
	type DownloadStatus,
} from '../downstream.ts';
import {Bandwidth} from './bandwidth.ts';
import {BlockChecks, checkWhole, parseChecksum} from './block-checks.ts';
import type {DataSource, OriginAnswer} from './data-source.ts';
import type {Entry, EntryFile} from './entry-store.ts';
import {fileName, sniffType} from './file-info.ts';
import type {HostLimits} from './host-limits.ts';
import {nextSegment, type SegmentPlan, type Wish} from './next-segment.ts';
import {Readers, type Reader} from './readers.ts';
import {maxTries, Retries} from './retries.ts';
import {compareWithHeld, originChanged, proveSamples, versionChange, type HeldVersion} from './version.ts';
import type {Client} from './players.ts';
import type {Range} from './range-set.ts';
import {Segments, type Segment} from './segments.ts';
import {SparseFile} from './sparse-file.ts';
import {SpeedMeter} from './speed-meter.ts';

const mebibyte = 1024 * 1024;
/** The first request of a download: it also tells size, validator, type and whether ranges work. */
const probeSize = {fill: mebibyte, onDemand: 64 * 1024};
/** What is asked for at once, by the time that it takes. */
const segmentSeconds = {filling: 4, playing: 1};
const segmentBounds = {smallest: mebibyte, largest: 32 * mebibyte};
/** One read from the disk. */
const readBounds = {smallest: 64 * 1024, largest: 256 * 1024};
const checkpointMs = 500;
/** A connection that nobody needs lives on so long: players abort and come back near on each seek. */
const lingerMs = 5000;
/** So much is fetched again at both ends of a request where no strong ETag names the version; it must be the same. */
const seam = 4096;
/** A new place of a file has so long to prove that it is one. */
const proofMs = 30_000;
/** What all transfers share. */
export type TransferServices = {
	readonly bandwidth: Bandwidth;
	readonly hosts: HostLimits;
	/** Connections for each file unless the download says otherwise. */
	readonly connections: number;
	/** The most bytes to keep ready ahead of a reader. */
	readonly readAhead: number;
	streamUrl(id: DownloadId, name: string): string;
	/** Something that a snapshot shows has changed. */
	changed(): void;
	/** The transfer may have begun or ceased to want a place in the queue. */
	queueChanged(): void;
	/** A player needs a connection to a host that bears no more: end a fill there. */
	freeConnection(host: string): void;
	/** A connection has ended: others may have waited for it. */
	connectionClosed(host: string): void;
};

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
};

export class Transfer {
	readonly #entryFile: EntryFile;
	#source: DataSource;
	readonly #services: TransferServices;
	#host: string;
	#maxConnections: number;
	/** What this download alone may take. */
	readonly #ownBandwidth: Bandwidth;
	readonly #checks: BlockChecks;
	readonly #meter = new SpeedMeter();
	readonly #readers: Readers;
	readonly #segments: Segments;
	readonly #running = new Set<Promise<void>>();
	#file: SparseFile;
	#factsKnown: boolean;
	/** How many connections the fill may use: one more after each good answer. */
	#grown = 1;
	#fillAllowed = false;
	/** The held bytes may be of another version than the origin's: compared before anything is added to them. */
	#heldBytesProven: Promise<void> | undefined;
	#mustProveHeldBytes: boolean;
	/** Answers of the origin come without the ETag that the held bytes have. */
	#lacksEtags = false;
	/** Segments that have yet to show that their bytes go with those before and after them. */
	readonly #unproven = new Set<Segment>();
	/** Where a body without a length ended; a second one that ends there proves that it was the end. */
	#unprovenEnd: number | undefined;
	#failure: DownloadError | undefined;
	#lastError: DownloadError | undefined;
	readonly #retries = new Retries(() => this.#schedule());
	#checkpointTimer: NodeJS.Timeout | undefined;
	#checkpointing: Promise<void> = Promise.resolve();
	#lastByteAt: number | null = null;
	#exportProgress: number | null = null;
	#checkProgress: number | null = null;
	#view: Download | undefined;
	#viewIsLively = false;
	#closed = false;

	/** Holds the entry against its data file; needs no network. */
	static async open(entryFile: EntryFile, source: DataSource, services: TransferServices): Promise<Transfer> {
		const {entry} = entryFile;
		const size = entry.info?.size ?? Infinity;
		const recorded = entry.ranges.map(([start, end]) => ({start, end}));
		const file = await SparseFile.open(entry.movedTo ?? entryFile.dataPath, size, recorded);
		if (entry.completedAt !== undefined && !file.isComplete) {
			// Somebody took the finished file away. Fetching it again unasked would be a surprise.
			await entryFile.save({
				completedAt: undefined,
				intent: 'pause',
				error: {
					code: 'disk-failed',
					message: `${file.path} is no longer whole; resume downloads what is missing`,
					at: Date.now(),
				},
			});
		}

		if (entry.movedTo !== undefined && !file.isComplete) {
			await entryFile.save({movedTo: undefined, ranges: []});
			return new Transfer(entryFile, source, services, await SparseFile.open(entryFile.dataPath, size, []));
		}

		const transfer = new Transfer(entryFile, source, services, file);
		if (file.isComplete && transfer.#factsKnown && !transfer.isComplete && !transfer.#failure) {
			// It ended between the last byte and the check of the whole.
			void transfer.checkpoint();
		}

		return transfer;
	}

	private constructor(
		entryFile: EntryFile,
		source: DataSource,
		services: TransferServices,
		file: SparseFile,
	) {
		const {entry} = entryFile;
		this.#entryFile = entryFile;
		this.#source = source;
		this.#services = services;
		this.#host = new URL(source.url).host;
		this.#maxConnections = entry.connections ?? services.connections;
		this.#ownBandwidth = new Bandwidth(entry.limitRate);
		this.#checks = new BlockChecks(entryFile.checksPath);
		this.#readers = new Readers(services.bandwidth);
		this.#segments = new Segments(() => {
			services.hosts.closed(this.#host);
			services.connectionClosed(this.#host);
		});
		this.#file = file;
		this.#factsKnown = entry.info !== undefined;
		this.#mustProveHeldBytes = file.present.size > 0 && entry.validator?.etag === undefined;
		this.#lastError = entry.error;
		this.#failure = entry.error && errorIsFatal(entry.error) ? entry.error : undefined;
	}

	get id(): DownloadId {
		return this.#entryFile.entry.id;
	}

	get host(): string {
		return this.#host;
	}

	get entryFile(): EntryFile {
		return this.#entryFile;
	}

	get queueRank(): number {
		const {queueRank, addedAt} = this.#entryFile.entry;
		return queueRank ?? addedAt;
	}

	/** What is on the disk. */
	get present(): Iterable<Range> {
		return this.#file.present;
	}

	/** Every byte is on the disk, and recorded. */
	get isComplete(): boolean {
		return this.#entryFile.entry.completedAt !== undefined;
	}

	/** It would fetch in the background if the queue let it. */
	get wantsPlace(): boolean {
		const {intent, onDemand} = this.#entryFile.entry;
		return (
			intent === 'run' &&
			!this.#failure &&
			!this.#file.isComplete &&
			(!onDemand || !this.#factsKnown) &&
			!this.#closed
		);
	}

	/** Something of it changes without an event: a speed that falls, a player that is forgotten. */
	get isLively(): boolean {
		const now = Date.now();
		return (
			this.#segments.size > 0 || this.#meter.rate(20_000, now) > 0 || this.#readers.players(now).length > 0
		);
	}

	/** The queue gives or takes the place. */
	set mayFill(allowed: boolean) {
		if (this.#fillAllowed !== allowed) {
			this.#fillAllowed = allowed;
			this.#schedule();
		}
	}

	get status(): DownloadStatus {
		const {intent} = this.#entryFile.entry;
		if (this.#checkProgress !== null) {
			return 'checking';
		}

		if (this.#exportProgress !== null) {
			return 'exporting';
		}

		if (this.isComplete) {
			return 'complete';
		}

		if (intent === 'cancel') {
			return 'cancelled';
		}

		if (this.#failure) {
			return 'failed';
		}

		if (intent === 'pause') {
			return 'paused';
		}

		if (this.#segments.size > 0) {
			return this.#factsKnown ? 'active' : 'asking';
		}

		return this.#retries.dueAt === undefined ? 'queued' : 'waiting';
	}

	/**
	 * Waits for the first answer of the origin if nothing is known yet. Rejects with the `DownStreamError` that
	 * stands in the way, or the signal's reason.
	 */
	async facts(signal: AbortSignal): Promise<StreamFacts> {
		if (!this.#factsKnown) {
			this.#refuseIfCancelled();
			this.#tryAgainForPlayer();
			this.#refuseIfHopeless();
			try {
				await this.#readers.waitForFacts(signal, () => this.#schedule());
			} finally {
				this.#schedule();
			}
		}

		const {validator, acceptsRanges, id} = this.#entryFile.entry;
		const {size, isComplete} = this.#file;
		return {
			name: this.#name,
			type: this.#type,
			size,
			etag: size === Infinity ? undefined : (validator?.etag ?? `"${id}-${size}"`),
			lastModified: validator?.lastModified,
			acceptsRanges: acceptsRanges !== false,
			complete: isComplete,
		};
	}

	/**
	 * The bytes of `range` in order, as they come to be present; `end` may be Infinity for an unknown size. Throws
	 * the `DownStreamError` that stands in the way, or the signal's reason. The buffers are the caller's.
	 */
	async *read(request: {
		range: Range;
		player: Client;
		signal: AbortSignal;
	}): AsyncGenerator<Uint8Array, void, undefined> {
		const {range, signal} = request;
		this.#refuseIfCancelled();
		const reader = this.#readers.open(range, request.player);
		let scheduledAt = 0;
		this.#schedule();
		try {
			while (reader.offset < Math.min(range.end, this.#file.size)) {
				signal.throwIfAborted();
				this.#refuseIfCancelled();
				// The look and the registering happen in one tick: a write in between would be missed.
				const ready = Math.min(this.#file.present.runEnd(reader.offset), range.end) - reader.offset;
				const bytes =
					ready > 0 ? await this.#readPresent(reader, ready) : await this.#waitForBytes(reader, signal);
				if (!bytes) {
					continue;
				}

				reader.advance(bytes.length);
				if (!this.#file.isComplete && reader.consumed - scheduledAt >= readBounds.largest) {
					scheduledAt = reader.consumed;
					this.#schedule();
				}

				yield bytes;
			}
		} finally {
			this.#readers.close(reader);
			if (this.isComplete && this.#readers.size === 0 && this.#segments.size === 0) {
				void this.#file.close();
			}

			this.#schedule();
		}
	}

	/** Ends what no player needs. */
	async pause(): Promise<void> {
		await this.#entryFile.save({intent: 'pause'});
		this.#retries.cancel();
		this.#services.queueChanged();
		this.#schedule();
		this.#segments.endAll(segment => segment.for === 'fill');
		await this.checkpoint();
	}

	/** Goes on; after an error, tries again at once. */
	async resume(): Promise<void> {
		this.#clearFailure();
		await this.#entryFile.save({intent: 'run', error: undefined});
		this.#services.queueChanged();
		this.#schedule();
		if (this.#file.isComplete && !this.isComplete) {
			void this.checkpoint();
		}
	}

	/** Takes what was changed of the entry; with another source, what was running by the old one ends. */
	async change(change: Partial<Entry>, source?: DataSource): Promise<void> {
		if (source && change.url !== undefined) {
			await this.#proveSource(source, change);
		}

		await this.#entryFile.save(change);
		const {limitRate, connections} = this.#entryFile.entry;
		this.#ownBandwidth.limit = limitRate ?? Infinity;
		this.#maxConnections = connections ?? this.#services.connections;
		if (source) {
			this.#segments.endAll();
			await Promise.allSettled(this.#running);
			const old = this.#source;
			this.#source = source;
			this.#host = new URL(source.url).host;
			await old.dispose();
			this.#clearFailure();
			await this.#entryFile.save({error: undefined});
			this.#services.queueChanged();
			this.#schedule();
		}

		this.#changed();
	}

	/** Held bytes must be those of the new place: by their samples, and by the size. */
	async #proveSource(source: DataSource, change: Partial<Entry>): Promise<void> {
		const held = {size: this.#file.size, validator: {}};
		const signal = AbortSignal.timeout(proofMs);
		const sampled = await proveSamples(this.#file, source, held, signal);
		if (sampled) {
			Object.assign(change, {validator: sampled.validator, acceptsRanges: sampled.acceptsRanges});
			return;
		}

		const answer = await source.open({range: {start: 0, end: 1}, signal});
		for await (const _ of answer.body) {
			break;
		}

		// Nothing is held: the new place says what the file is.
		await this.#forgetVersion();
	}

	/** Drops the held bytes and all that is known of their version, and fetches what the origin has now. */
	async startOver(): Promise<void> {
		this.#segments.endAll();
		await Promise.allSettled(this.#running);
		await this.#forgetVersion();
		await this.resume();
	}

	async #forgetVersion(): Promise<void> {
		const {dataPath, checksPath} = this.#entryFile;
		this.#readers.reject(originChanged('it is fetched anew'));
		await this.#entryFile.save({
			ranges: [],
			info: undefined,
			validator: undefined,
			acceptsRanges: undefined,
			completedAt: undefined,
			movedTo: undefined,
		});
		await this.#file.close();
		await this.#checks.close();
		await rm(dataPath, {force: true});
		await rm(checksPath, {force: true});
		this.#file = await SparseFile.open(dataPath, Infinity, []);
		this.#factsKnown = false;
		this.#grown = 1;
		this.#mustProveHeldBytes = false;
		this.#unprovenEnd = undefined;
		this.#changed();
	}

	/** Damaged blocks become holes; a complete file is also held against the checksum that was given for it. */
	async verify(): Promise<Range[]> {
		return this.#checking(async progress => {
			await this.checkpoint();
			const damaged = await this.#checks.damaged(this.#file, progress);
			if (damaged.length > 0) {
				await this.#checks.forget(damaged);
				this.#file.forget(damaged);
				await this.#entryFile.save({completedAt: undefined, ranges: rangesOf(this.#file)});
				this.#services.queueChanged();
				this.#schedule();
			} else if (this.isComplete) {
				await this.#checkWhole(progress);
			}

			return damaged;
		});
	}

	async #checkWhole(progress: (fraction: number) => void): Promise<void> {
		const {checksum} = this.#entryFile.entry;
		if (checksum === undefined) {
			return;
		}

		try {
			await checkWhole(this.#file, parseChecksum(checksum), progress);
		} catch (error) {
			await this.#entryFile.save({completedAt: undefined});
			this.#failed(error);
			throw error;
		}
	}

	/** Shows how far a check has come; closing ends it. */
	async #checking<T>(check: (progress: (fraction: number) => void) => Promise<T>): Promise<T> {
		this.#checkProgress = 0;
		this.#changed();
		try {
			return await check(fraction => {
				if (this.#closed) {
					throw new DownStreamError('not-found', 'The program is ending');
				}

				this.#checkProgress = fraction;
				this.#changed();
			});
		} finally {
			this.#checkProgress = null;
			this.#changed();
		}
	}

	/** Ends readers, then segments. */
	async cancel(): Promise<void> {
		await this.#entryFile.save({intent: 'cancel'});
		this.#readers.reject(cancelled());
		this.#retries.cancel();
		this.#segments.endAll();
		this.#services.queueChanged();
		await this.checkpoint();
	}

	/** What `view` shows of outside has changed. */
	forgetView(): void {
		this.#view = undefined;
	}

	/** An export that was to follow the download did not work out; it is not tried again by itself. */
	exportFailed(cause: unknown): void {
		const error =
			cause instanceof DownStreamError ? cause : new DownStreamError('disk-failed', String(cause), {cause});
		this.#lastError = {code: error.code, message: `Not exported: ${error.message}`, at: Date.now()};
		void this.#entryFile.save({exportWhenComplete: undefined}).catch(() => undefined);
		this.#changed();
	}

	/** Looks again at what is to be done: a connection to the host has become free. */
	lookAgain(): void {
		this.#schedule();
	}

	/**
	 * One connection ends for a player who waits: a fill, else one that reads ahead. Returns false if players wait
	 * for the bytes of all of them.
	 */
	giveUpConnection(): boolean {
		const least = this.#segments.leastNeeded(segment => this.#readers.waitFor(segment));
		if (least && (this.#maxConnections === 1 || this.#services.hosts.isLimited(this.#host))) {
			this.#segments.end(least);
		} else if (least) {
			this.#segments.retire(least);
		}

		return least !== undefined;
	}

	/** The segments that were running have ended, what was written is recorded. Calls run one after the other. */
	checkpoint(): Promise<void> {
		clearTimeout(this.#checkpointTimer);
		this.#checkpointTimer = undefined;
		this.#checkpointing = this.#checkpointing.then(async () => {
			try {
				const ranges = await this.#file.checkpoint();
				await this.#checks.save(this.#file);
				const complete =
					this.#file.isComplete &&
					this.#unproven.size === 0 &&
					this.#factsKnown &&
					!this.isComplete &&
					!this.#failure &&
					!this.#closed;
				if (complete && this.#entryFile.entry.checksum !== undefined) {
					await this.#entryFile.save({ranges: rangesOf(this.#file)});
					await this.#checking(progress => this.#checkWhole(progress));
				}

				await this.#entryFile.save({
					ranges: ranges.map(({start, end}) => [start, end]),
					...(complete ? {completedAt: Date.now(), error: undefined} : {}),
				});
				if (complete) {
					this.#services.queueChanged();
					this.#changed();
				}
			} catch (error) {
				if (!this.#closed && this.#failure?.code !== 'checksum-mismatch') {
					this.#failed(error);
				}
			}
		});
		return this.#checkpointing;
	}

	/** Runs an export and shows its progress. `move` gives the new place of the data. */
	async exporting(
		run: (dataPath: string, onProgress: (fraction: number) => void) => Promise<string>,
		move: boolean,
	): Promise<string> {
		this.#exportProgress = 0;
		this.#changed();
		try {
			const path = await run(this.#file.path, fraction => {
				this.#exportProgress = fraction;
				this.#changed();
			});
			// What went out with gaps is not the file.
			if (this.isComplete) {
				await this.#entryFile.save({
					exportedTo: path,
					exportWhenComplete: undefined,
					...(move ? {movedTo: path} : {}),
				});
			}

			if (move) {
				// Readers that are in the middle keep the old descriptor's bytes; the next read opens the new place.
				const {size} = this.#file;
				const old = this.#file;
				this.#file = await SparseFile.open(path, size, [{start: 0, end: size}]);
				await old.close();
			}

			return path;
		} finally {
			this.#exportProgress = null;
			this.#changed();
		}
	}

	/** Ends everything at once and writes nothing more. */
	abandon(): void {
		this.#closed = true;
		clearTimeout(this.#checkpointTimer);
		this.#retries.cancel();
		this.#readers.reject(
			new DownStreamError('storage-locked', 'Another copy has taken the storage folder over'),
		);
		this.#segments.endAll();
	}

	/** Ends everything and saves. */
	async close(): Promise<void> {
		this.#closed = true;
		this.#retries.cancel();
		this.#readers.reject(new DownStreamError('not-found', 'The program is ending'));
		this.#segments.endAll();
		await Promise.allSettled(this.#running);
		await this.checkpoint();
		await this.#file.close();
		await this.#checks.close();
		await this.#source.dispose();
	}

	/** The same object until something has changed. */
	view(now: number): Download {
		const lively = this.isLively;
		if (this.#view && !lively && !this.#viewIsLively) {
			return this.#view;
		}

		this.#viewIsLively = lively;

		const {entry, folder} = this.#entryFile;
		const {present, size} = this.#file;
		this.#view = {
			id: entry.id,
			url: entry.url,
			streamUrl: this.#services.streamUrl(entry.id, this.#name),
			name: this.#name,
			size: size === Infinity ? null : size,
			type: this.#type,
			status: this.status,
			present: present.size,
			ranges: Array.from(present, ({start, end}) => [start, end] as const),
			bytesPerSecond: Math.round(this.#meter.rate(3000, now)),
			bytesPerSecondLong: Math.round(this.#meter.rate(20_000, now)),
			connections: this.#segments.size,
			maxConnections: this.#maxConnections,
			segments: Array.from(this.#segments, segment => ({
				start: segment.start,
				offset: segment.offset,
				end: segment.end === Infinity ? null : segment.end,
				for: segment.for,
			})),
			players: this.#readers.players(now).map(player => ({
				id: player.id,
				name: player.name,
				offset: player.offset,
				ready: present.runEnd(player.offset) - player.offset,
				blocked: player.blockedRequests > 0,
				connected: player.openRequests > 0,
			})),
			error: this.#failure ?? (this.#retries.dueAt === undefined ? null : (this.#lastError ?? null)),
			lastError: this.#lastError ?? null,
			retryAt: this.#retries.dueAt ?? null,
			lastByteAt: this.#lastByteAt,
			addedAt: entry.addedAt,
			completedAt: entry.completedAt ?? null,
			acceptsRanges: entry.acceptsRanges ?? null,
			validator: entry.validator?.etag ?? entry.validator?.lastModified ?? null,
			onDemand: entry.onDemand,
			queueRank: this.queueRank,
			limitRate: entry.limitRate ?? null,
			checksum: entry.checksum ?? null,
			checkProgress: this.#checkProgress,
			exportProgress: this.#exportProgress,
			exportedTo: entry.exportedTo ?? null,
			exportWhenComplete: entry.exportWhenComplete?.path ?? null,
			folder,
		};
		return this.#view;
	}

	get #name(): string {
		const {givenName, info, url} = this.#entryFile.entry;
		return givenName ?? info?.name ?? fileName({url: new URL(url)});
	}

	get #type(): string {
		return this.#entryFile.entry.info?.type ?? 'application/octet-stream';
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

	async #readPresent(reader: Reader, ready: number): Promise<Uint8Array> {
		const step = Math.min(readBounds.largest, Math.max(readBounds.smallest, reader.consumed / 4));
		const buffer = Buffer.allocUnsafeSlow(Math.min(ready, step));
		const length = await this.#file.read(reader.offset, buffer);
		return buffer.subarray(0, length);
	}

	#waitForBytes(reader: Reader, signal: AbortSignal): Promise<Uint8Array | undefined> {
		this.#tryAgainForPlayer();
		this.#refuseIfHopeless();
		return this.#readers.waitForBytes(reader, signal, () => this.#schedule());
	}

	#refuseIfHopeless(): void {
		const hopeless = this.#failure ?? (this.#retries.isLong ? this.#lastError : undefined);
		if (hopeless) {
			throw new DownStreamError(hopeless.code, hopeless.message);
		}
	}

	// The scheduler: the only place that opens connections

	#schedule(): void {
		if (this.#closed) {
			return;
		}

		const wishes = this.#wishes();
		for (const segment of this.#segments) {
			this.#judge(segment, wishes);
		}

		while (!this.#failure && this.#retries.dueAt === undefined && this.#entryFile.entry.intent !== 'cancel') {
			const plan = this.#plan();
			if (!plan || !this.#hasConnectionFor(plan)) {
				break;
			}

			this.#start(plan);
		}

		this.#changed();
	}

	/** Whom the segment serves now; one that serves nobody lingers, then ends. */
	#judge(segment: Segment, wishes: readonly Wish[]): void {
		const needed =
			this.#readers.askForFacts ||
			wishes.some(
				({offset, end, ahead}) => offset < segment.end && segment.offset < Math.min(end, offset + ahead),
			);
		if (segment.isRetired) {
			return;
		}

		segment.for = needed ? 'player' : 'fill';
		if (needed || this.#fillAllowed) {
			clearTimeout(segment.linger);
			segment.linger = undefined;
			return;
		}

		segment.linger ??= setTimeout(() => {
			this.#segments.end(segment);
			this.#schedule();
		}, lingerMs);
	}

	#plan(): SegmentPlan | undefined {
		const {present, size, isComplete} = this.#file;
		if (!this.#factsKnown) {
			const wanted = this.#fillAllowed || this.#readers.askForFacts;
			const fill = this.#mayFillNow;
			return wanted && this.#segments.size === 0
				? {
						start: 0,
						end: fill ? probeSize.fill : probeSize.onDemand,
						for: 'fill',
						urgent: this.#readers.askForFacts,
					}
				: undefined;
		}

		if (isComplete) {
			return undefined;
		}

		const segmentSize = this.#segmentSize;
		return nextSegment({
			present,
			size,
			acceptsRanges: this.#entryFile.entry.acceptsRanges !== false,
			claimed: [...this.#segments],
			wanted: this.#wishes(),
			fill: this.#mayFillNow,
			playhead: this.#readers.playhead,
			segmentSize,
			splitFrom: Math.max(4 * mebibyte, segmentSize),
		});
	}

	#wishes(): Wish[] {
		return this.#readers.wishes(this.#services.readAhead, this.#segmentSize);
	}

	get #mayFillNow(): boolean {
		return this.#fillAllowed && !this.#entryFile.entry.onDemand;
	}

	/** Short ones while somebody plays: a seek often lands inside one, which then ends early. */
	get #segmentSize(): number {
		const perConnection = this.#meter.rate(3000, Date.now()) / Math.max(1, this.#segments.size);
		const seconds = this.#readers.size > 0 ? segmentSeconds.playing : segmentSeconds.filling;
		return Math.min(segmentBounds.largest, Math.max(segmentBounds.smallest, perConnection * seconds));
	}

	#hasConnectionFor(plan: SegmentPlan): boolean {
		const {hosts} = this.#services;
		if (!plan.urgent) {
			// Each player keeps its own, and one more is free for the next seek: one that is taken away wastes what is
			// on its way.
			const players = this.#readers.size;
			const room = Math.max(1, this.#maxConnections - (players > 0 ? players + 1 : 0));
			const fills = [...this.#segments].filter(segment => segment.for === 'fill').length;
			return fills < room && this.#segments.size < this.#grown && hosts.mayOpen(this.#host);
		}

		if (this.#segments.size >= this.#maxConnections && !this.giveUpConnection()) {
			return false;
		}

		if (!hosts.mayOpen(this.#host)) {
			this.#services.freeConnection(this.#host);
		}

		return hosts.mayOpen(this.#host);
	}

	#start(plan: SegmentPlan): void {
		const segment = this.#segments.add(plan);
		this.#services.hosts.opened(this.#host);
		const running = this.#run(segment).finally(() => this.#running.delete(running));
		this.#running.add(running);
	}

	// Segments

	async #run(segment: Segment): Promise<void> {
		const {signal} = segment.abort;
		try {
			await this.#proveHeldBytes(signal);
			const margin = this.#margin;
			if (margin > 0) {
				this.#unproven.add(segment);
			}

			const answer = await this.#source.open({
				range: {
					start: Math.max(0, segment.offset - margin),
					end: Math.min(segment.end + margin, Math.max(segment.end, this.#file.size)),
				},
				ranged: this.#entryFile.entry.acceptsRanges !== false,
				signal,
			});
			if (answer.validator.etag === undefined && !this.#lacksEtags) {
				this.#lacksEtags = true;
				if (this.#margin > margin && answer.acceptsRanges) {
					// Asked again at once, with a margin.
					return;
				}
			}

			await this.#accept(answer, segment);
			await this.#receive(answer, segment, margin);
		} catch (error) {
			// An abort is not an error.
			if (!signal.aborted && !this.#hasTooManyConnections(error, segment)) {
				this.#failed(error);
			}
		} finally {
			this.#segments.end(segment);
			if (this.#unproven.delete(segment) && this.#file.isComplete && !this.isComplete) {
				void this.checkpoint();
			}

			this.#schedule();
		}
	}

	/** Answers without a strong ETag are compared with what is held around them. */
	get #margin(): number {
		const {validator, acceptsRanges} = this.#entryFile.entry;
		const isNamed = validator?.etag !== undefined && !this.#lacksEtags;
		return isNamed || !this.#factsKnown || acceptsRanges === false ? 0 : seam;
	}

	/** Nothing of an answer is written before it has proven to be of the version that is held. */
	async #accept(answer: OriginAnswer, segment: Segment): Promise<void> {
		const {info, range, validator, acceptsRanges} = answer;
		const {entry} = this.#entryFile;
		if (this.#factsKnown) {
			const change = versionChange(this.#heldVersion, answer);
			if (change) {
				throw originChanged(change);
			}
		}

		if (this.#file.size === Infinity && info.size !== Infinity) {
			await this.#file.resize(info.size);
			this.#clipSegments();
		} else if (range.start === range.end && this.#file.size > 0) {
			throw new DownStreamError('origin-misbehaved', `${this.#host} has no bytes where the file has some`);
		} else if (range.end <= segment.offset && this.#file.size > 0) {
			throw new DownStreamError('origin-misbehaved', `${this.#host} answers with less than ${seam} bytes`);
		}

		const size = finite(this.#file.size);
		if (!entry.info || entry.info.size !== size || entry.acceptsRanges !== acceptsRanges) {
			await this.#entryFile.save({
				info: {...(entry.info ?? {name: info.name, type: info.type}), size},
				validator: entry.validator ?? validator,
				acceptsRanges,
			});
		}

		segment.isAnswered = true;
		if (acceptsRanges) {
			segment.end = Math.min(segment.end, range.end);
			this.#grown = Math.min(this.#maxConnections, this.#grown + 1);
		} else {
			segment.offset = range.start;
			const wanted = this.#mayFillNow || this.#readers.size > 0 || this.#readers.askForFacts;
			segment.end = wanted ? this.#file.size : Math.min(segment.end, this.#file.size);
		}

		if (info.type !== undefined || range.start > 0 || range.start === range.end) {
			this.#learnFacts();
		}
	}

	get #heldVersion(): HeldVersion {
		return {size: this.#file.size, validator: this.#entryFile.entry.validator ?? {}};
	}

	/** The size has become known. */
	#clipSegments(): void {
		this.#segments.clip(this.#file.size);
		this.#readers.lookAgain();
	}

	#learnFacts(): void {
		if (!this.#factsKnown) {
			this.#factsKnown = true;
			this.#readers.factsAreKnown();
			this.#services.queueChanged();
		}

		if (this.#file.isComplete) {
			void this.checkpoint();
		}

		this.#schedule();
	}

	async #receive(answer: OriginAnswer, segment: Segment, margin: number): Promise<void> {
		const {signal} = segment.abort;
		let position = answer.range.start;
		for await (const chunk of answer.body) {
			signal.throwIfAborted();
			await this.#store(segment, position, chunk, margin);
			if (!this.#factsKnown) {
				await this.#sniff(chunk);
			}

			position += chunk.length;
			const wantedEnd = segment.end + margin;
			if (position >= wantedEnd && wantedEnd < answer.range.end) {
				return;
			}

			const stop = {signal, hurry: segment.retirement.signal};
			await this.#services.bandwidth.took(chunk.length, segment.for, stop);
			await this.#ownBandwidth.took(chunk.length, segment.for, stop);
		}

		if (answer.range.end === Infinity) {
			await this.#reachedEnd(position, answer.endIsProven);
		}
	}

	/** Writes what is missing of the chunk; what is held of it must be the same. */
	async #store(segment: Segment, position: number, chunk: Uint8Array, margin: number): Promise<void> {
		const {present} = this.#file;
		const end = Math.min(position + chunk.length, segment.end + margin);
		for (let at = position; at < end;) {
			const held = Math.min(present.runEnd(at), end);
			if (held > at) {
				await compareWithHeld(this.#file, at, chunk.subarray(at - position, held - position));
				at = held;
			} else {
				const [hole] = present.holes({start: at, end});
				const stop = hole?.end ?? end;
				const part = chunk.subarray(at - position, stop - position);
				await this.#file.write(at, part);
				this.#wrote(at, part);
				at = stop;
			}

			segment.offset = Math.max(segment.offset, Math.min(at, segment.end));
		}
	}

	#wrote(offset: number, bytes: Uint8Array): void {
		const now = Date.now();
		this.#lastByteAt = now;
		this.#retries.succeeded();
		this.#meter.add(bytes.length, now);
		this.#checks.wrote(offset, bytes, this.#file.size);
		this.#readers.wake(offset, bytes);
		this.#changed();
		if (this.#file.isComplete) {
			void this.checkpoint();
		} else {
			this.#checkpointTimer ??= setTimeout(() => void this.checkpoint(), checkpointMs);
		}
	}

	async #sniff(firstBytes: Uint8Array): Promise<void> {
		const {info} = this.#entryFile.entry;
		const type = await sniffType(firstBytes);
		if (info && type) {
			await this.#entryFile.save({info: {...info, type}});
		}

		this.#learnFacts();
	}

	/** A body of unknown length ended. Closing proves nothing (RFC 9112 section 8), ending twice at the same byte does. */
	async #reachedEnd(end: number, proven: boolean): Promise<void> {
		const {info} = this.#entryFile.entry;
		if (this.#file.size !== Infinity || !info) {
			return;
		}

		if (!proven && this.#unprovenEnd !== end) {
			this.#unprovenEnd = end;
			throw new DownStreamError(
				'origin-truncated',
				`${this.#host} closed the connection without saying how long the file is; reading it again to be sure`,
			);
		}

		await this.#file.resize(end);
		await this.#entryFile.save({info: {...info, size: end}});
		this.#clipSegments();
		this.#learnFacts();
	}

	/**
	 * Where no strong ETag names the version of bytes held from an earlier run, samples of them are fetched again
	 * and compared before anything is added. (An origin without ranges is compared as it is read again.)
	 */
	#proveHeldBytes(signal: AbortSignal): Promise<void> {
		if (!this.#mustProveHeldBytes || this.#entryFile.entry.acceptsRanges === false) {
			return Promise.resolve();
		}

		this.#heldBytesProven ??= proveSamples(this.#file, this.#source, this.#heldVersion, signal).then(
			() => {
				this.#mustProveHeldBytes = false;
			},
			error => {
				this.#heldBytesProven = undefined;
				throw error;
			},
		);
		return this.#heldBytesProven;
	}

	// Errors

	/**
	 * The origin refused this connection while others to it work: there are fewer from now on, and the segment is
	 * fetched when one of them is through.
	 */
	#hasTooManyConnections(error: unknown, segment: Segment): boolean {
		if (!(error instanceof DownStreamError) || segment.isAnswered || error.retryAfterMs !== undefined) {
			return false;
		}

		const refused =
			error.code === 'origin-busy' || error.code === 'origin-refused' || error.code === 'origin-unreachable';
		const othersWork = (this.#lastByteAt ?? 0) >= segment.openedAt;
		if (!refused || !othersWork || !this.#services.hosts.refused(this.#host)) {
			return false;
		}

		this.#grown = Math.max(1, this.#segments.size - 1);
		return true;
	}

	#failed(cause: unknown): void {
		const error =
			cause instanceof DownStreamError
				? cause
				: new DownStreamError('origin-misbehaved', `Unexpected: ${String(cause)}`, {cause});
		const now = Date.now();
		const triesAgain = this.#retries.failed(error);
		this.#lastError = {
			code: error.code,
			message: error.message,
			at: now,
			tries: this.#retries.failures,
			maxTries,
		};
		if (triesAgain) {
			if (this.#retries.isLong) {
				this.#readers.reject(error);
			}

			this.#changed();
			return;
		}

		this.#failure = this.#lastError;
		this.#retries.cancel();
		this.#segments.endAll();
		this.#readers.reject(error);
		void this.#entryFile.save({error: this.#failure}).catch(() => undefined);
		this.#services.queueChanged();
		this.#changed();
	}

	/** A player asks anew: what failed a while ago is tried again, unless the origin asked to wait. */
	#tryAgainForPlayer(): void {
		const since = Date.now() - (this.#lastError?.at ?? 0);
		if (this.#failure && since > 10_000 && this.#failure.code !== 'origin-changed') {
			this.#clearFailure();
			this.#services.queueChanged();
		} else if (since > 1000) {
			this.#retries.hurry();
		}
	}

	#clearFailure(): void {
		this.#failure = undefined;
		this.#retries.succeeded();
		this.#retries.cancel();
	}
}

function errorIsFatal({code}: DownloadError): boolean {
	return new DownStreamError(code, '').kind === 'fatal';
}

function cancelled(): DownStreamError {
	return new DownStreamError('not-found', 'This download was cancelled; resume it to stream it again');
}

function rangesOf(file: SparseFile): Array<[number, number]> {
	return Array.from(file.present, ({start, end}) => [start, end]);
}

function finite(size: number): number | null {
	return size === Infinity ? null : size;
}
