// One download: readers wait, segments write, one scheduler in between.
import {rm} from 'node:fs/promises';
import {DownStreamError, type Download, type DownloadId, type DownloadStatus} from '../downstream.ts';
import {Bandwidth} from './bandwidth.ts';
import {BlockChecks, parseChecksum} from './block-checks.ts';
import type {DataSource, OriginAnswer} from './data-source.ts';
import {diskError} from './disk-error.ts';
import {downloadView, nameOf, queueRankOf, typeOf} from './download-view.ts';
import type {Entry, EntryFile} from './entry-store.ts';
import {sniffType} from './file-info.ts';
import type {HostLimits} from './host-limits.ts';
import {nextSegment, type SegmentPlan, type Wish} from './next-segment.ts';
import {Readers, type Reader} from './readers.ts';
import {Retries} from './retries.ts';
import {
	compareWithHeld,
	HeldProof,
	originChanged,
	proveNewPlace,
	versionChange,
	type HeldVersion,
} from './version.ts';
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
/** How many of the blocks that were recorded last are looked at again after an unclean end. */
const mostUnsettled = 64;

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
	/** Its own limit within that of all. */
	readonly #bandwidth: Bandwidth;
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
	/** Answers of the origin come without the ETag that the held bytes have. */
	#lacksEtags = false;
	/** Segments that have yet to show that their bytes go with those before and after them. */
	readonly #unproven = new Set<Segment>();
	/** Grows by one with each `startOver`: who reads an older one must not get bytes of this one. */
	#version = 0;
	#heldProof: HeldProof;
	/** Where a body without a length ended; a second one that ends there proves that it was the end. */
	#unprovenEnd: number | undefined;
	readonly #retries: Retries;
	#checkpointTimer: NodeJS.Timeout | undefined;
	#checkpointing: Promise<void> = Promise.resolve();
	#lastByteAt: number | null = null;
	#exportProgress: number | null = null;
	#check: {readonly done: Promise<Range[]>; readonly abort: AbortController} | undefined;
	#checkProgress: number | null = null;
	/** Changes of source or version run one after the other, and nothing is fetched meanwhile. */
	#standstill: Promise<unknown> = Promise.resolve();
	#standsStill = false;
	/** Aborted when it closes. */
	readonly #ending = new AbortController();
	#view: Download | undefined;
	#viewIsLively = false;
	#closed = false;

	/** Holds the entry against its data file; needs no network. */
	static async open(entryFile: EntryFile, source: DataSource, services: TransferServices): Promise<Transfer> {
		const {entry} = entryFile;
		const size = entry.info?.size ?? Infinity;
		const recorded = entry.ranges.map(([start, end]) => ({start, end}));
		const file = await SparseFile.open(entry.movedTo ?? entryFile.dataPath, size, recorded);
		if (entry.unsettled) {
			// It did not end by itself: what the disk was given last is what it may have lost.
			const checks = new BlockChecks(entryFile.checksPath);
			file.forget(await checks.damagedOf(file, entry.unsettled));
		}

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
		if (file.isComplete && transfer.#factsKnown && !transfer.isComplete && !transfer.#retries.failure) {
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
		this.#bandwidth = new Bandwidth(entry.limitRate, services.bandwidth);
		this.#checks = new BlockChecks(entryFile.checksPath);
		this.#retries = new Retries(() => this.#schedule(), entry.error);
		this.#readers = new Readers(services.bandwidth);
		this.#segments = new Segments(() => {
			services.hosts.closed(this.host);
			services.connectionClosed(this.host);
		});
		this.#file = file;
		this.#factsKnown = entry.info !== undefined;
		this.#heldProof = this.#newHeldProof();
	}

	get id(): DownloadId {
		return this.#entryFile.entry.id;
	}

	get host(): string {
		return new URL(this.#source.url).host;
	}

	get entryFile(): EntryFile {
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
		return this.#entryFile.entry.completedAt !== undefined;
	}

	/** It would fetch in the background if the queue let it. */
	get wantsPlace(): boolean {
		const {intent, onDemand} = this.#entryFile.entry;
		return (
			intent === 'run' &&
			!this.#retries.failure &&
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

		if (this.#retries.failure) {
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

		const {entry} = this.#entryFile;
		const {validator, acceptsRanges, id, startedOver = 0} = entry;
		const {size, isComplete} = this.#file;
		return {
			name: nameOf(entry),
			type: typeOf(entry),
			size,
			etag: size === Infinity ? undefined : (validator?.etag ?? `"${id}-${size}-${startedOver}"`),
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
		const version = this.#version;
		const reader = this.#readers.open(range, request.player);
		let scheduledAt = 0;
		this.#schedule();
		try {
			while (reader.offset < Math.min(range.end, this.#file.size)) {
				signal.throwIfAborted();
				this.#refuseIfCancelled();
				if (version !== this.#version) {
					throw fetchedAnew();
				}

				// The look and the registering happen in one tick: a write in between would be missed.
				const ready = Math.min(this.#file.present.runEnd(reader.offset), range.end) - reader.offset;
				const bytes =
					ready > 0 ? await this.#readPresent(reader, ready) : await this.#waitForBytes(reader, signal);
				if (!bytes?.length) {
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
		this.#retries.forgive();
		await this.#entryFile.save({intent: 'run', error: undefined});
		this.#lookAround();
	}

	/** Ends readers, then segments. */
	async cancel(): Promise<void> {
		await this.#entryFile.save({intent: 'cancel'});
		this.#readers.reject(cancelled());
		this.#retries.cancel();
		this.#segments.endAll();
		this.#check?.abort.abort(cancelled());
		this.#services.queueChanged();
		await this.checkpoint();
	}

	/**
	 * Takes what was changed of the entry. With another source, what was running by the old one ends; one of another
	 * URL must have the same file (`origin-changed`). Nothing is changed if this rejects for that, or because that
	 * place cannot be reached.
	 */
	async change(change: Partial<Entry>, source?: DataSource): Promise<void> {
		if (source) {
			try {
				await this.#changeSource(change, source);
			} finally {
				if (this.#source !== source) {
					await source.dispose();
				}
			}
		} else {
			await this.#entryFile.save(change);
		}

		this.#bandwidth.limit = this.#entryFile.entry.limitRate ?? Infinity;
		if (change.checksum !== undefined) {
			await this.#changedChecksum();
		}

		this.#lookAround();
	}

	async #changeSource(change: Partial<Entry>, source: DataSource): Promise<void> {
		const place =
			change.url === undefined
				? undefined
				: await proveNewPlace(this.#file, source, this.#heldVersion, this.#ending.signal);
		await this.#whileNothingRuns(async () => {
			const old = this.#source;
			this.#source = source;
			this.#retries.forgive();
			this.#grown = 1;
			this.#unprovenEnd = undefined;
			if (place && place.info.size !== this.#file.size && this.#file.present.size === 0) {
				await this.#forgetVersion(change);
			} else {
				const {validator, acceptsRanges} = place ?? this.#entryFile.entry;
				await this.#entryFile.save({...change, validator, acceptsRanges, error: undefined});
			}

			this.#heldProof = place ? new HeldProof(false, this.#ending.signal) : this.#newHeldProof();
			await old.dispose();
		});
	}

	/** A file that is all there is held against its new checksum. */
	async #changedChecksum(): Promise<void> {
		if (this.#retries.failure?.code === 'checksum-mismatch') {
			this.#retries.forgive();
		}

		this.#check?.abort.abort(new DownStreamError('incomplete', 'The checksum was changed during the check'));
		await this.#check?.done.catch(() => undefined);
		await this.#entryFile.save({completedAt: undefined, error: this.#retries.failure});
	}

	/** Drops the held bytes and all that is known of their version, and fetches what the origin has now. */
	async startOver(): Promise<void> {
		await this.#whileNothingRuns(async () => {
			this.#retries.forgive();
			await this.#forgetVersion({intent: 'run'});
		});
		this.#lookAround();
	}

	/** Nothing may be running. What was moved out of the store stays where it is. */
	async #forgetVersion(change: Partial<Entry>): Promise<void> {
		const {dataPath, entry} = this.#entryFile;
		const reason = fetchedAnew();
		this.#check?.abort.abort(reason);
		await this.#check?.done.catch(() => undefined);
		this.#version++;
		this.#readers.reject(reason);
		await this.#entryFile.save({
			...change,
			startedOver: (entry.startedOver ?? 0) + 1,
			ranges: [],
			unsettled: undefined,
			info: undefined,
			validator: undefined,
			acceptsRanges: undefined,
			completedAt: undefined,
			movedTo: undefined,
			exportedTo: undefined,
			exportedPartTo: undefined,
			error: undefined,
		});
		await this.#checks.clear();
		await this.#file.close();
		// Not cut to nothing: an exported file may be a second name of the same bytes.
		await rm(dataPath, {force: true}).catch((error: unknown) => {
			throw diskError(error, dataPath);
		});
		this.#file = await SparseFile.open(dataPath, Infinity, []);
		this.#factsKnown = false;
		this.#grown = 1;
		this.#unprovenEnd = undefined;
		this.#heldProof = this.#newHeldProof();
	}

	/** Every segment has ended before `act`, and none begins until it is over. */
	async #whileNothingRuns(act: () => Promise<void>): Promise<void> {
		const standstill = this.#standstill.then(async () => {
			if (this.#closed) {
				throw ending();
			}

			this.#standsStill = true;
			try {
				this.#segments.endAll();
				await Promise.allSettled(this.#running);
				await act();
			} finally {
				this.#standsStill = false;
			}
		});
		this.#standstill = standstill.catch(() => undefined);
		await standstill;
	}

	/** What is to be done may be another thing now. */
	#lookAround(): void {
		this.#services.queueChanged();
		this.#schedule();
		if (this.#file.isComplete && !this.isComplete) {
			void this.checkpoint();
		}
	}

	/**
	 * Damaged blocks become holes; a complete file is also held against the checksum that was given for it. Who asks
	 * while a check runs gets what that one finds.
	 */
	verify(): Promise<Range[]> {
		if (this.#closed) {
			return Promise.reject(ending());
		}

		if (!this.#check) {
			const abort = new AbortController();
			const done = this.#runCheck(abort.signal);
			// Many start one and look at the outcome in the snapshot.
			done.catch(() => undefined);
			this.#check = {done, abort};
		}

		return this.#check.done;
	}

	async #runCheck(signal: AbortSignal): Promise<Range[]> {
		this.#checkProgress = 0;
		this.#changed();
		try {
			// What was written so far is checked too.
			await this.checkpoint();
			const file = this.#file;
			const given = file.isComplete ? this.#entryFile.entry.checksum : undefined;
			const expected = given === undefined ? undefined : parseChecksum(given);
			const {damaged, digest} = await this.#checks.check(file, {
				signal,
				algorithm: expected?.algorithm,
				onProgress: fraction => {
					this.#checkProgress = fraction;
					this.#changed();
				},
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

			return damaged;
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

	async #makeHoles(ranges: readonly Range[]): Promise<void> {
		const {dataPath, entry} = this.#entryFile;
		if (entry.movedTo === undefined) {
			this.#file.forget(ranges);
		} else {
			// That file is the user's: it may differ because they changed it, and is not written to.
			const {size} = this.#file;
			await this.#file.close();
			this.#file = await SparseFile.open(dataPath, size, []);
			await this.#entryFile.save({movedTo: undefined, ranges: []});
		}

		if (this.#retries.failure?.code === 'checksum-mismatch') {
			this.#retries.forgive();
			await this.#entryFile.save({error: undefined});
		}

		// The record first: a checksum of what is recorded as missing harms nothing.
		await this.checkpoint();
		await this.#checks.forget(ranges);
		this.#lookAround();
	}

	async #completed(): Promise<void> {
		await this.#entryFile.save({completedAt: Date.now(), error: undefined});
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
		this.#retries.note(new DownStreamError(error.code, `Not exported: ${error.message}`));
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
		if (least && (this.#maxConnections === 1 || this.#services.hosts.isLimited(this.host))) {
			this.#segments.end(least);
		} else if (least) {
			this.#segments.retire(least);
		}

		return least !== undefined;
	}

	/** What was written is recorded; a download that is all there becomes complete. Calls run one after the other. */
	checkpoint(): Promise<void> {
		clearTimeout(this.#checkpointTimer);
		this.#checkpointTimer = undefined;
		this.#checkpointing = this.#checkpointing.then(async () => {
			try {
				const version = this.#version;
				const ranges = await this.#file.checkpoint();
				const recorded = await this.#checks.save(this.#file);
				if (version !== this.#version) {
					return;
				}

				const {isComplete} = this.#file;
				await this.#entryFile.save({
					ranges: ranges.map(({start, end}) => [start, end]),
					unsettled: this.#closed || recorded.length === 0 ? undefined : recorded.slice(-mostUnsettled),
					...(isComplete ? {} : {completedAt: undefined}),
				});
				const isProven = this.#factsKnown && this.#unproven.size === 0;
				if (isComplete && isProven && !this.isComplete && !this.#retries.failure) {
					await this.#allIsThere();
				}
			} catch (error) {
				this.#failed(error);
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

	/** Runs an export and shows its progress. `move` gives the new place of the data. */
	async exporting(
		run: (dataPath: string, onProgress: (fraction: number) => void) => Promise<string>,
		move: boolean,
	): Promise<string> {
		// What goes out with gaps is not the file, even if the last ones are filled meanwhile.
		const isWhole = this.isComplete;
		this.#exportProgress = 0;
		this.#changed();
		try {
			const path = await run(this.#file.path, fraction => {
				this.#exportProgress = fraction;
				this.#changed();
			});
			await this.#entryFile.save(
				isWhole
					? {exportedTo: path, exportWhenComplete: undefined, ...(move ? {movedTo: path} : {})}
					: {exportedPartTo: path},
			);
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
		this.#end();
		clearTimeout(this.#checkpointTimer);
		this.#retries.cancel();
		this.#readers.reject(
			new DownStreamError('storage-locked', 'Another copy has taken the storage folder over'),
		);
		this.#segments.endAll();
	}

	/** Ends everything and saves. */
	async close(): Promise<void> {
		this.#end();
		this.#retries.cancel();
		this.#readers.reject(ending());
		this.#segments.endAll();
		await Promise.allSettled([...this.#running, this.#standstill, this.#check?.done]);
		await this.checkpoint();
		await this.#file.close();
		await this.#source.dispose();
	}

	#end(): void {
		this.#closed = true;
		this.#ending.abort(ending());
		this.#check?.abort.abort(ending());
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
				segments: this.#segments,
				retries: this.#retries,
				maxConnections: this.#maxConnections,
				lastByteAt: this.#lastByteAt,
				checkProgress: this.#checkProgress,
				exportProgress: this.#exportProgress,
			},
			now,
		);
		return this.#view;
	}

	get #maxConnections(): number {
		return this.#entryFile.entry.connections ?? this.#services.connections;
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
		const {hopeless} = this.#retries;
		if (hopeless) {
			throw new DownStreamError(hopeless.code, hopeless.message);
		}
	}

	// The scheduler: the only place that opens connections

	#schedule(): void {
		if (this.#closed || this.#standsStill) {
			return;
		}

		const wishes = this.#wishes();
		for (const segment of this.#segments) {
			this.#judge(segment, wishes);
		}

		while (!this.#retries.obstacle && this.#entryFile.entry.intent !== 'cancel') {
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
			return fills < room && this.#segments.size < this.#grown && hosts.mayOpen(this.host);
		}

		if (this.#segments.size >= this.#maxConnections && !this.giveUpConnection()) {
			return false;
		}

		if (!hosts.mayOpen(this.host)) {
			this.#services.freeConnection(this.host);
		}

		return hosts.mayOpen(this.host);
	}

	#start(plan: SegmentPlan): void {
		const segment = this.#segments.add(plan);
		this.#services.hosts.opened(this.host);
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
			throw new DownStreamError('origin-misbehaved', `${this.host} has no bytes where the file has some`);
		} else if (range.end <= segment.offset && this.#file.size > 0) {
			throw new DownStreamError('origin-misbehaved', `${this.host} answers with less than ${seam} bytes`);
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

			await this.#bandwidth.took(chunk.length, segment.for, {signal, hurry: segment.retirement.signal});
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
				`${this.host} closed the connection without saying how long the file is; reading it again to be sure`,
			);
		}

		await this.#file.resize(end);
		await this.#entryFile.save({info: {...info, size: end}});
		this.#clipSegments();
		this.#learnFacts();
	}

	/** (An origin without ranges is compared as it is read again.) */
	async #proveHeldBytes(signal: AbortSignal): Promise<void> {
		if (this.#entryFile.entry.acceptsRanges !== false) {
			await this.#heldProof.prove(this.#file, this.#source, this.#heldVersion, signal);
		}
	}

	#newHeldProof(): HeldProof {
		const isNamed = this.#entryFile.entry.validator?.etag !== undefined;
		return new HeldProof(this.#file.present.size > 0 && !isNamed, this.#ending.signal);
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
		if (!refused || !othersWork || !this.#services.hosts.refused(this.host)) {
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
		if (this.#retries.failed(error)) {
			if (this.#retries.isLong) {
				this.#readers.reject(error);
			}

			this.#changed();
			return;
		}

		this.#segments.endAll();
		this.#readers.reject(error);
		void this.#entryFile.save({error: this.#retries.failure}).catch(() => undefined);
		this.#services.queueChanged();
		this.#changed();
	}

	#tryAgainForPlayer(): void {
		if (this.#retries.hurry()) {
			this.#services.queueChanged();
		}
	}
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

function finite(size: number): number | null {
	return size === Infinity ? null : size;
}
