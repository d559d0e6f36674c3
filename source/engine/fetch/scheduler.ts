// The connections of one download: the only place that opens them. Nothing they bring is written before it has proven
// to be of the version that is held.
import {DownStreamError, type DownloadId, type ErrorCode} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import {Bandwidth} from './bandwidth.ts';
import type {BlockPool} from '../memory/block-pool.ts';
import type {DataSource, OriginResponse} from '../origin/data-source.ts';
import type {DownloadRecord, RecordFile} from '../store/record-store.ts';
import {correctedType, fileName, sniffType} from '../origin/file-info.ts';
import type {HostLimits} from './host-limits.ts';
import {nextSegment, type SegmentPlan, type Demand} from './next-segment.ts';
import type {Range} from '../store/range-set.ts';
import type {Readers} from './readers.ts';
import type {RetryPolicy} from './retry-policy.ts';
import {Segments, type Segment} from './segments.ts';
import type {SparseFile} from '../store/sparse-file.ts';
import type {SpeedMeter} from './speed-meter.ts';
import type {StorageAccess} from '../store/storage-access.ts';
import {
	compareOneSample,
	compareWithCached,
	examineSuspicion,
	CachedVersionCheck,
	refuseOtherSize,
	refusePage,
	ShortResponse,
	suspicionOf,
	type CachedVersion,
	type Suspicion,
} from './version-check.ts';

const mebibyte = 1024 * 1024;
/** The first request of a download: it also tells size, validator, type and whether ranges work. */
const probeSize = {fill: mebibyte, onDemand: 64 * 1024};
/** What is asked for at once, by the time that it takes. */
const segmentSeconds = {filling: 4, playing: 1};
const segmentBounds = {smallest: mebibyte, largest: 32 * mebibyte};
/**
 * Bytes per second that one download cannot exceed by much: more connections would only share the processor, and what
 * they bring out of order is read from the disk again for the player.
 */
const fastEnough = 160 * mebibyte;
/** A connection that nobody needs lives on so long: players abort and come back near on each seek. */
const lingerMs = 5000;
/** An origin that gave parts and has answered so often with the whole gives parts no more. */
const maxWholeResponses = 3;
/** So much is fetched again at both ends of a request where no strong ETag names the version; it must be the same. */
const overlapBytes = 4096;
/** Short responses in a row that may be refusals in words. */
const maxShortResponses = 3;
/** Silence to one of several connections is a refusal after a multiple of the slowest answer, and at least so long. */
const silenceBeside = {factor: 4, leastMs: 5000};
/** Milliseconds without a byte after which held bytes are compared anew, whatever names their version. */
const trustMs = 60_000;

/** What of the record changes with the new link, and the source that fetches from it. Rejects as `resolveLink` does. */
export type NewLink = (signal: AbortSignal) => Promise<{change: Partial<DownloadRecord>; source: DataSource}>;

/** What all transfers share. */
export type TransferServices = {
	readonly bandwidth: Bandwidth;
	readonly blocks: BlockPool;
	readonly access: StorageAccess;
	readonly hosts: HostLimits;
	/** Connections for each file unless the download says otherwise. */
	readonly connections: number;
	/** Milliseconds for the first answer of an origin; more after each that was too few. */
	readonly answerTimeout: number;
	/** The most bytes to keep ready ahead of a reader. */
	readonly readAhead: number;
	streamUrl(id: DownloadId, name: string): string;
	/** How to get another link for an item whose link has expired; undefined where nothing gives links. */
	newLink(record: DownloadRecord): NewLink | undefined;
	/** Something that a snapshot shows has changed. */
	changed(): void;
	/** The transfer may have begun or ceased to want a place in the queue. */
	queueChanged(): void;
	/** A player needs a connection to a host that bears no more: end a fill there. */
	freeConnection(host: string): void;
	/** A connection has ended: others may have waited for it. */
	connectionClosed(host: string): void;
};

/** What the scheduler knows of the download that it fetches. */
export type FetchState = {
	readonly recordFile: RecordFile;
	readonly readers: Readers;
	readonly retries: RetryPolicy;
	readonly meter: SpeedMeter;
	/** Replaced when the download is moved or starts over: read it anew after each wait. */
	readonly file: SparseFile;
	/** Aborted when the download closes. */
	readonly ending: AbortSignal;
};

/** The download that is fetched. */
export type FetchTarget = {
	readonly state: FetchState;
	/** The bytes are in the file. */
	received(offset: number, bytes: Uint8Array): void;
	/** The name, type or size became known, or the version of the stored bytes was proven. */
	identified(): void;
	/** The bytes contradict, or have yet to match, the cached bytes after them: they become a hole. */
	disproved(range: Range): void;
	/** `silentSince`: start of the request or time of the last byte, in milliseconds since the epoch. */
	failed(error: unknown, silentSince: number): void;
	/** A fact that the snapshot shows has changed. */
	changed(): void;
};

export class Scheduler {
	readonly #target: FetchTarget;
	readonly #state: FetchState;
	readonly #services: TransferServices;
	/** Its own limit within that of all. */
	readonly #bandwidth: Bandwidth;
	readonly #running = new Set<Promise<void>>();
	readonly segments: Segments;
	/** A pass is due in this tick. */
	#isAwake = false;
	#source: DataSource;
	#hasFileInfo: boolean;
	/** How many connections may work: as many as are fast enough together, as far as they have shown their speed. */
	#connectionTarget = 1;
	/** Bytes per second of the connection that was judged last. */
	#lastRate = 0;
	#isBackgroundAllowed = false;
	/** Answers of the origin come without the ETag that the held bytes have, or it says nothing of their version. */
	#lacksEtag = false;
	/** Where the first answer came from, after redirects. */
	#place: string | undefined;
	/** So many answers in a row were the whole file. */
	#wholeResponses = 0;
	/** The origin gave the whole, and says that it accepts ranges: a cache may just have missed. */
	#mayAcceptRanges = false;
	/** Segments that have yet to show that their bytes go with those before and after them. */
	readonly #unproven = new Set<Segment>();
	/** Where held bytes begin that a response did not agree with, or that it ended before; and its error. */
	readonly #brokenSeams = new Map<number, unknown>();
	/** In progress. Bytes that come meanwhile for the same place wait, and are then compared. */
	readonly #writes = new Map<Range, Promise<void>>();
	#cachedCheck: CachedVersionCheck;
	/** When the held bytes were last known to be of the origin's version, in milliseconds since the epoch. */
	#checkedAt = Date.now();
	/** A sample beside a response was refused. */
	#refusesSamples = false;
	/** The source has brought bytes of the file in this run. */
	#hasWorked = false;
	/** Of a suspicion, while it is examined. */
	#examination: AbortController | undefined;
	/** Where a body without a length ended; a second one that ends there proves that it was the end. */
	#unprovenEnd: number | undefined;
	/** Where a part ended though more was asked for, and the size is unknown: a request from there tells. */
	#partsEnd: number | undefined;
	/** Parts state their own end as that of the file. */
	#misstatesSize = false;
	/** The last response that was too short to be the file, and how many there were in a row. */
	#shortResponse: {readonly error: ShortResponse; readonly count: number} | undefined;
	/** Milliseconds; 0 before the first answer. */
	#slowestResponse = 0;
	#lastByteAt: number | null = null;
	/** Changes of source or version run one after the other. */
	#exclusive: Promise<unknown> = Promise.resolve();
	/** Of these, how many are waiting or running. */
	#exclusiveCount = 0;

	constructor(target: FetchTarget, source: DataSource, services: TransferServices) {
		const {record} = target.state.recordFile;
		this.#target = target;
		this.#state = target.state;
		this.#source = source;
		this.#services = services;
		this.#bandwidth = new Bandwidth(record.limitRate, services.bandwidth);
		this.segments = new Segments(segment => {
			services.hosts.closed(this.host, segment);
			services.connectionClosed(this.host);
		});
		this.#hasFileInfo = record.info !== undefined;
		this.#cachedCheck = this.#newHeldCheck();
	}

	get source(): DataSource {
		return this.#source;
	}

	/** For samples: the source with the time that the download gives its origin for a response. */
	checked(source = this.#source, answerTimeout = () => this.#answerTimeout): DataSource {
		return {
			url: source.url,
			open: async request => {
				const response = await source.open({answerTimeout: answerTimeout(), ...request});
				const {info, acceptsRanges} = response;
				return this.#misstatesSize && acceptsRanges && info.size === request.range.end
					? {...response, info: {...info, size: Infinity}}
					: response;
			},
			closeIdle: () => source.closeIdle?.(),
			dispose: () => source.dispose(),
		};
	}

	get host(): string {
		return new URL(this.#source.url).host;
	}

	/** The origin has said what the file is. */
	get hasFileInfo(): boolean {
		return this.#hasFileInfo;
	}

	/** What is held is one version of the file as far as that is to be known. */
	get isProven(): boolean {
		return this.#hasFileInfo && this.#unproven.size === 0;
	}

	get maxConnections(): number {
		return this.#recordFile.record.connections ?? this.#services.connections;
	}

	/**
	 * How far a reader that began at `start` and is at `offset` may read: not on from a response into held bytes that the
	 * response has yet to agree with. Throws its error if it did not.
	 */
	readableEnd(start: number, offset: number): number {
		if (start < offset && this.#brokenSeams.has(offset)) {
			throw this.#brokenSeams.get(offset);
		}

		const ends = [...this.#unproven].flatMap(({added}) => (added ? [added.end] : []));
		return Math.min(Infinity, ...ends.filter(end => start < end && offset <= end));
	}

	/** Milliseconds since the epoch. */
	get lastByteAt(): number | null {
		return this.#lastByteAt;
	}

	get cachedVersion(): CachedVersion {
		const {size, minSize} = this.#file;
		const {info, validator = {}, hasUnstableValidator = false} = this.#recordFile.record;
		return {
			type: info?.type,
			size,
			minSize,
			validator,
			isUnstable: hasUnstableValidator,
			lacksEtag: this.#lacksEtag,
		};
	}

	/** The queue gives or takes the place. */
	setBackgroundAllowed(allowed: boolean): void {
		if (this.#isBackgroundAllowed !== allowed) {
			this.#isBackgroundAllowed = allowed;
			this.wake();
		}
	}

	/** How many connections its host takes at a time, if it waits for one of them; else null. */
	get hostCeiling(): number | null {
		const {hosts} = this.#services;
		const isWaiting =
			this.#isBackgroundAllowed && this.segments.size === 0 && !hosts.mayOpen(this.host, this);
		return isWaiting ? hosts.ceiling(this.host, this) || null : null;
	}

	/** The origin has given nothing yet that was asked of it now. */
	get isUnanswered(): boolean {
		return [...this.segments].every(({isAnswered}) => !isAnswered);
	}

	/** Bytes per second of this download alone. */
	setRateLimit(limit: number | undefined): void {
		if (this.#bandwidth.limit !== (limit ?? Infinity)) {
			this.#bandwidth.limit = limit ?? Infinity;
		}
	}

	/** Ends every connection; resolves when nothing more is written. */
	async stop(): Promise<void> {
		this.segments.endAll();
		await Promise.allSettled([...this.#running, this.#exclusive]);
	}

	/** Ends every connection, the idle ones too. */
	cancel(): void {
		this.segments.endAll();
		this.#cachedCheck.stop();
		this.#examination?.abort();
		this.#source.closeIdle?.();
	}

	/** Every connection has ended before `act`, and none is opened until it is over. */
	async exclusively(act: () => Promise<void>): Promise<void> {
		this.#exclusiveCount++;
		const standstill = this.#exclusive.then(async () => {
			try {
				this.#state.ending.throwIfAborted();
				this.segments.endAll();
				await Promise.allSettled(this.#running);
				await act();
			} finally {
				this.#exclusiveCount--;
				this.wake();
			}
		});
		this.#exclusive = standstill.catch(() => undefined);
		await standstill;
	}

	/** Nothing may be running. Resolves when the old one is disposed of. */
	async replaceSource(source: DataSource): Promise<void> {
		const old = this.#source;
		this.#source = source;
		this.#lastRate = 0;
		this.#hasWorked = false;
		this.#forgetOrigin();
		await old.dispose();
	}

	/** Nothing may be running. What is held is `proven` to be of the source's version, or nothing is held. */
	begin(proven: boolean): void {
		this.#hasFileInfo = this.#recordFile.record.info !== undefined;
		this.#forgetOrigin();
		this.#cachedCheck.stop();
		this.#cachedCheck = proven ? new CachedVersionCheck(undefined, this.#state.ending) : this.#newHeldCheck();
		this.#checkedAt = Date.now();
	}

	/** Samples of the held bytes are compared before anything is added. */
	requireCheck(): void {
		if (this.#file.present.size > 0) {
			this.#cachedCheck.require('brief');
		}
	}

	/** How its responses were. */
	#forgetOrigin(): void {
		this.#connectionTarget = 1;
		this.#unprovenEnd = undefined;
		this.#partsEnd = undefined;
		this.#misstatesSize = false;
		this.#shortResponse = undefined;
		this.#wholeResponses = 0;
		this.#mayAcceptRanges = false;
		this.#lacksEtag = false;
		this.#place = undefined;
		this.#brokenSeams.clear();
		this.#refusesSamples = false;
		this.#slowestResponse = 0;
	}

	async dispose(): Promise<void> {
		await this.#source.dispose();
	}

	/**
	 * One connection ends for a player who waits: a fill, else one that reads ahead. Returns false if players wait
	 * for what all of them bring.
	 */
	yieldConnection(): boolean {
		const {readers} = this.#state;
		// Also for the first answer: two players would take each other's only connection for ever.
		const least = this.segments.mostExpendable(
			segment => readers.waitForFileInfo || readers.waitFor(segment),
		);
		if (least && (this.maxConnections === 1 || this.#services.hosts.isLimited(this.host))) {
			this.segments.end(least);
		} else if (least) {
			this.segments.drain(least);
		}

		return least !== undefined;
	}

	/** A player waits for the byte there. */
	readerBlockedAt(offset: number): void {
		const isNext = [...this.segments].some(
			segment => segment.offset === offset && segment.for === 'player' && !segment.isDraining,
		);
		if (!isNext) {
			this.wake();
		}
	}

	/** Requests a pass over the plan: the only way in. Calls of one tick share a pass. Never throws. */
	wake(): void {
		if (!this.#isAwake) {
			this.#isAwake = true;
			queueMicrotask(() => {
				this.#isAwake = false;
				try {
					this.#pass();
				} catch (error) {
					this.#target.failed(error, Date.now());
				}
			});
		}
	}

	/** Starts the segments that are wanted and allowed now. */
	#pass(): void {
		if (this.#state.ending.aborted || this.#exclusiveCount > 0) {
			return;
		}

		const wishes = this.#wishes();
		for (const segment of this.segments) {
			this.#classify(segment, wishes);
		}

		while (this.#mayAsk) {
			const plan = this.#plan();
			if (!plan || this.#lacksWitness || !this.#hasConnectionFor(plan)) {
				break;
			}

			this.#start(plan);
		}

		this.#prepareForSeek();
		this.#target.changed();
	}

	/** Nothing stands in the way of a request. */
	get #mayAsk(): boolean {
		const {record, refusal} = this.#recordFile;
		return !this.#state.retries.blockingError && record.intent !== 'cancel' && !refusal;
	}

	/** Nothing names the version, and no byte has come yet that another response could be compared with. */
	get #lacksWitness(): boolean {
		return this.#overlap > 0 && this.#file.present.size === 0 && this.segments.size > 0;
	}

	/** Players end one connection before they open the next: one that has just left counts too. */
	#prepareForSeek(): void {
		const {readers} = this.#state;
		if (
			this.#mayAsk &&
			this.#hasFileInfo &&
			!this.#file.isComplete &&
			this.#asksForParts &&
			readers.players(Date.now()).length > 0 &&
			!this.#services.hosts.isLimited(this.host)
		) {
			this.#source.preconnect?.();
		}
	}

	/** Whom the segment serves now; one that serves nobody lingers, then ends. */
	#classify(segment: Segment, wishes: readonly Demand[]): void {
		const needed =
			this.#state.readers.waitForFileInfo ||
			wishes.some(
				({offset, end, ahead}) => offset < segment.end && segment.offset < Math.min(end, offset + ahead),
			);
		if (segment.isDraining) {
			return;
		}

		segment.for = needed ? 'player' : 'fill';
		if (needed || this.#isBackgroundAllowed) {
			clearTimeout(segment.linger);
			segment.linger = undefined;
			return;
		}

		segment.linger ??= setTimeout(() => {
			this.segments.end(segment);
			this.wake();
		}, lingerMs);
	}

	#plan(): SegmentPlan | undefined {
		const {present, size, isComplete} = this.#file;
		if (!this.#hasFileInfo) {
			const wanted = this.#isBackgroundAllowed || this.#state.readers.waitForFileInfo;
			const fill = this.#runsInBackground;
			return wanted && this.segments.size === 0
				? {
						start: 0,
						end: fill ? probeSize.fill : probeSize.onDemand,
						for: 'fill',
						urgent: this.#state.readers.waitForFileInfo,
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
			acceptsRanges: this.#asksForParts,
			claimed: [...this.segments],
			wanted: this.#wishes(),
			background: this.#runsInBackground,
			playhead: this.#state.readers.playhead,
			segmentSize,
		});
	}

	get #asksForParts(): boolean {
		return this.#recordFile.record.acceptsRanges !== false || this.#mayAcceptRanges;
	}

	#wishes(): Demand[] {
		return this.#state.readers.wishes(this.#services.readAhead, this.#segmentSize);
	}

	get #runsInBackground(): boolean {
		return this.#isBackgroundAllowed && !this.#recordFile.record.onDemand;
	}

	/** Short ones while somebody plays: a seek often lands inside one, which then ends early. */
	get #segmentSize(): number {
		const perConnection = Math.max(
			this.#state.meter.rate(3000, Date.now()) / Math.max(1, this.segments.size),
			this.#lastRate,
		);
		const isPlaying = this.#state.readers.size > 0;
		const wanted = perConnection * (isPlaying ? segmentSeconds.playing : segmentSeconds.filling);
		// All that work are to come to the end together: who begins anew there waits for an answer.
		const share = isPlaying ? Infinity : (this.#file.size - this.#file.present.size) / this.#connectionTarget;
		return Math.max(segmentBounds.smallest, Math.min(segmentBounds.largest, wanted, share));
	}

	#hasConnectionFor(plan: SegmentPlan): boolean {
		const {hosts} = this.#services;
		if (!plan.urgent) {
			// Each player keeps its own, and one more is free for the next seek: one that is taken away wastes what is
			// on its way.
			const players = this.#state.readers.size;
			const room = Math.max(1, this.maxConnections - (players > 0 ? players + 1 : 0));
			const fills = [...this.segments].filter(segment => segment.for === 'fill').length;
			// One is enough to find out whether the trouble is over.
			const most = this.#state.retries.isProbing ? 1 : this.#connectionTarget;
			// Bytes beyond an unknown end may not be there.
			const isKnown = this.#file.size < Infinity || this.segments.size === 0;
			return isKnown && fills < room && this.segments.size < most && hosts.mayOpen(this.host, this);
		}

		if (this.segments.size >= this.maxConnections && !this.yieldConnection()) {
			return false;
		}

		if (hosts.isFull(this.host, this, true)) {
			this.#services.freeConnection(this.host);
		}

		return hosts.mayOpen(this.host, this, true);
	}

	#start(plan: SegmentPlan): void {
		const segment = this.segments.add(plan);
		this.#services.hosts.opened(this.host, segment, this);
		const running = this.#run(segment).finally(() => this.#running.delete(running));
		this.#running.add(running);
	}

	// Segments

	async #run(segment: Segment): Promise<void> {
		const {signal} = segment.abort;
		try {
			const asksForEnd = segment.offset === this.#partsEnd;
			const margin = asksForEnd ? 0 : this.#overlap;
			const isIsland = this.#isIsland(segment, margin);
			const samplesBeside = isIsland && !this.#samplesFirst;
			const doubt =
				(await this.#checkCachedBytes(signal)) ??
				(isIsland && !samplesBeside ? await this.#compareSample(signal) : undefined);
			if (doubt) {
				this.#suspect(doubt);
				return;
			}

			if (margin > 0) {
				this.#unproven.add(segment);
			}

			const {id} = this.#recordFile.record;
			Logger.debug(`${id}: asks ${this.host} for bytes ${segment.offset} to ${segment.end} (${segment.for})`);
			const isFurther = this.#slowestResponse > 0 && this.#services.hosts.isFurther(this.host, segment);
			const silence = isFurther
				? setTimeout(() => this.#fellSilent(segment), this.#timeoutBeside)
				: undefined;
			const askedAt = performance.now();
			const range = {
				start: Math.max(0, segment.offset - margin),
				end: Math.min(segment.end + margin, Math.max(segment.end, this.#file.size)),
			};
			const asked = this.#source.open({
				range,
				// Once in each run also where there were no ranges before.
				ranged: this.#asksForParts || this.#wholeResponses === 0,
				isBackground: () => this.#state.readers.size === 0,
				answerTimeout: this.#answerTimeout,
				signal,
			});
			const response = await asked.finally(() => clearTimeout(silence));
			this.#slowestResponse = Math.max(this.#slowestResponse, performance.now() - askedAt);
			const answer = await this.#withSettledSize(response, range, signal);
			const suspicion =
				(await this.#suspicionOf(answer)) ?? (samplesBeside ? await this.#compareBeside(signal) : undefined);
			if (suspicion) {
				this.#suspect(suspicion);
				return;
			}

			if (samplesBeside && this.#samplesFirst) {
				// Asked again at once, after a sample.
				return;
			}

			this.#lacksEtag ||= this.#lacksName(answer);
			const isEmpty = answer.range.start === answer.range.end;
			if (this.#overlap > margin && answer.acceptsRanges && !isEmpty) {
				// Asked again at once, with a margin; also where another response has shown meanwhile that one is needed.
				if (asksForEnd) {
					this.#partsEnd = undefined;
					throw this.#tooShort();
				}

				return;
			}

			Logger.debug(`${id}: ${this.host} sends bytes ${answer.range.start} to ${answer.range.end}`);
			if (await this.#accept(answer, segment)) {
				await this.#receive(answer, segment, margin);
			}
		} catch (error) {
			// An abort is not an error.
			if (!signal.aborted) {
				this.#forgetAdded(segment, error);
				this.#segmentFailed(error, segment);
			}
		} finally {
			this.segments.end(segment);
			this.#forgetAdded(segment);
			if (this.#unproven.delete(segment)) {
				this.#target.identified();
			}

			this.wake();
		}
	}

	/**
	 * An ETag names versions of one URL (RFC 9110 section 8.8.3). One that stays over another date does not keep its word.
	 */
	#lacksName({validator: {etag, lastModified}, range, place}: OriginResponse): boolean {
		if (range.start === range.end) {
			// Beyond the end it says nothing of the file.
			return false;
		}

		const heldDate = this.#recordFile.record.validator?.lastModified;
		const isOtherDate = heldDate !== undefined && lastModified !== undefined && lastModified !== heldDate;
		this.#place ??= place;
		return etag === undefined || isOtherDate || place !== this.#place;
	}

	/** A strong ETag names the version. */
	get #isNamed(): boolean {
		const {validator, hasUnstableValidator = false} = this.#recordFile.record;
		return validator?.etag !== undefined && !this.#lacksEtag && !hasUnstableValidator;
	}

	/** Answers without a strong ETag are compared with what is held around them. */
	get #overlap(): number {
		return this.#isNamed || !this.#hasFileInfo || !this.#asksForParts ? 0 : overlapBytes;
	}

	/**
	 * Nothing of an answer is written before it has proven to be of the version that is held. Resolves with whether its
	 * bytes are wanted.
	 */
	async #accept(answer: OriginResponse, segment: Segment): Promise<boolean> {
		const {info, range, validator, acceptsRanges} = answer;
		this.#shortResponse = undefined;
		if (this.#file.size === Infinity && info.size !== Infinity) {
			await this.#becomeSized(info.size);
		}

		const {record} = this.#recordFile;
		// One server of several may know no ranges: the whole is read again only if that is no exception.
		this.#wholeResponses = acceptsRanges ? 0 : this.#wholeResponses + 1;
		this.#mayAcceptRanges = answer.mayAcceptRanges === true && this.#wholeResponses < maxWholeResponses;
		const inOrder = [...this.segments].find(other => other !== segment && other.isWhole);
		if (!acceptsRanges && inOrder) {
			// It brings these bytes too.
			inOrder.end = this.#file.size;
			if (this.#wholeResponses >= maxWholeResponses && record.acceptsRanges) {
				await this.#recordFile.save({acceptsRanges});
			}

			return false;
		}

		if (segment.offset >= this.#file.size && range.start < range.end) {
			// The size became known after the request: it was for bytes beyond the end.
			return false;
		}

		if (
			!acceptsRanges &&
			record.acceptsRanges &&
			segment.offset > 0 &&
			this.#wholeResponses < maxWholeResponses
		) {
			// No refusal of a connection.
			segment.answeredAt = performance.now();
			throw new DownStreamError(
				'origin-truncated',
				`${this.host} answers with the whole file though it gave parts of it before`,
			);
		}

		if (range.start === range.end && segment.offset < this.#file.size) {
			throw new DownStreamError('origin-misbehaved', `${this.host} has no bytes where the file has some`);
		}

		if (range.end <= segment.offset && segment.offset < this.#file.size) {
			if (this.#file.size < Infinity || range.end < segment.offset) {
				throw this.#tooShort();
			}

			this.#partsEnd = range.end;
			return false;
		}

		const size = finite(this.#file.size);
		if (!record.info || record.info.size !== size || record.acceptsRanges !== acceptsRanges) {
			await this.#recordFile.save({
				info: {...(record.info ?? {name: info.name, type: info.type}), size},
				validator: record.validator ?? validator,
				acceptsRanges,
			});
		}

		segment.answeredAt = performance.now();
		this.#services.hosts.answered(this.host, segment);
		if (acceptsRanges) {
			segment.end = Math.min(segment.end, range.end);
		} else {
			segment.offset = range.start;
			segment.isWhole = true;
			const wanted =
				this.#runsInBackground || this.#state.readers.size > 0 || this.#state.readers.waitForFileInfo;
			segment.end = wanted ? this.#file.size : Math.min(segment.end, this.#file.size);
		}

		if (info.type !== undefined || range.start > 0 || range.start === range.end) {
			this.#identify();
		}

		return true;
	}

	/** The size has become known. */
	async #becomeSized(size: number): Promise<void> {
		await this.#file.resize(size);
		const {info} = this.#recordFile.record;
		if (info) {
			await this.#recordFile.save({info: {...info, size}});
		}

		this.segments.clip(size);
		this.#state.readers.recheck();
		if (this.#hasFileInfo) {
			this.#identify();
		}
	}

	#tooShort(): DownStreamError {
		return new DownStreamError(
			'origin-truncated',
			`${this.host} answers with less than ${overlapBytes} bytes`,
		);
	}

	/**
	 * A size that ends where the request ended may be that of the part: a request beyond it tells. Where that may be one
	 * connection too many, or fails, the size stays unknown until the download comes to its end.
	 */
	async #withSettledSize(
		response: OriginResponse,
		asked: Range,
		signal: AbortSignal,
	): Promise<OriginResponse> {
		const {info, range} = response;
		const {size} = info;
		const mayBeOfPart = response.acceptsRanges && size === asked.end && range.start < range.end;
		if (!mayBeOfPart || size === this.#file.size) {
			return response;
		}

		if (!this.#misstatesSize) {
			const beyond = this.#samplesFirst ? undefined : await this.#openBeside(size, signal);
			if (beyond?.info.size === size || (!beyond && this.#file.size < Infinity)) {
				return response;
			}

			this.#misstatesSize = beyond !== undefined && beyond.range.end > size;
		}

		return {...response, info: {...info, size: Infinity}};
	}

	/** What the origin responds to a request for one byte; undefined where it fails. */
	async #openBeside(offset: number, signal: AbortSignal): Promise<OriginResponse | undefined> {
		const closing = new AbortController();
		try {
			return await this.#source.open({
				range: {start: offset, end: offset + 1},
				answerTimeout: Math.min(this.#answerTimeout, this.#timeoutBeside),
				signal: AbortSignal.any([signal, closing.signal]),
			});
		} catch {
			signal.throwIfAborted();
			return undefined;
		} finally {
			closing.abort();
		}
	}

	#identify(): void {
		if (!this.#hasFileInfo) {
			this.#hasFileInfo = true;
			this.#state.readers.identified();
			this.#services.queueChanged();
		}

		this.#target.identified();
		this.wake();
	}

	async #receive(answer: OriginResponse, segment: Segment, margin: number): Promise<void> {
		const {signal} = segment.abort;
		let position = answer.range.start;
		for await (const chunk of answer.body) {
			signal.throwIfAborted();
			await this.#store(segment, position, chunk, margin);
			if (!this.#hasFileInfo) {
				await this.#sniff(chunk);
			} else if (position === 0) {
				await this.#correctType(chunk);
			}

			position += chunk.length;
			segment.received += chunk.length;
			this.#grow(segment);
			this.#offerToSplit(segment);
			const wantedEnd = segment.end + margin;
			if (position >= wantedEnd && wantedEnd < answer.range.end) {
				return;
			}

			await this.#bandwidth.throttle(chunk.length, segment.for, {signal, urgency: segment.retirement.signal});
		}

		segment.isRead = true;
		if (answer.range.end === Infinity) {
			await this.#reachedEnd(position, answer.endIsProven);
		}
	}

	/** Each connection says once, as soon as it can be judged, whether others are worth while. */
	#grow(segment: Segment): void {
		const rate = segment.firstRate;
		if (rate === undefined || segment.isWorthMore !== undefined) {
			return;
		}

		const {size} = this.segments;
		this.#lastRate = rate;
		segment.isWorthMore = rate * size < fastEnough;
		if (segment.isWorthMore) {
			const like = Math.ceil(fastEnough / Math.max(1, rate));
			this.#connectionTarget = Math.min(this.maxConnections, Math.max(this.#connectionTarget + 2, like));
			this.wake();
		} else if (rate * (size - 1) >= fastEnough) {
			this.#connectionTarget = Math.max(1, Math.min(this.#connectionTarget, size) - 1);
		}
	}

	/** Each connection says once, as soon as its rate is known, that another may take over a part of what is to come. */
	#offerToSplit(segment: Segment): void {
		if (!segment.wasOfferedForSplit && segment.rate !== undefined && segment.offset < segment.end) {
			segment.wasOfferedForSplit = true;
			this.wake();
		}
	}

	/** Writes what is missing of the chunk; what is held of it must be the same. */
	async #store(segment: Segment, position: number, chunk: Uint8Array, margin: number): Promise<void> {
		const end = Math.min(position + chunk.length, segment.end + margin);
		for (let at = position; at < end;) {
			// Another set takes its place once the size is known.
			const {present} = this.#file;
			const isFirst = present.size === 0;
			const held = Math.min(present.runEnd(at), end);
			if (held > at) {
				await compareWithCached(this.#file, at, chunk.subarray(at - position, held - position));
				this.#agreed(segment, {start: at, end: held});
				at = held;
			} else {
				const [hole = {start: at, end}] = present.holes({start: at, end});
				const rival = [...this.#writes.keys()].find(({start, end}) => start < hole.end && hole.start < end);
				if (rival) {
					await this.#writes.get(rival);
					continue;
				}

				const part = chunk.subarray(at - position, hole.end - position);
				if (!this.#isNamed) {
					// Before the write: a reader must not pass its end meanwhile.
					this.#unproven.add(segment);
					segment.added ??= {start: at, end: at};
				}

				await this.#write(hole, part);
				segment.added &&= {start: segment.added.start, end: hole.end};
				this.#lastByteAt = Date.now();
				this.#hasWorked = true;
				this.#target.received(at, part);
				at = hole.end;
				if (isFirst) {
					// Others waited for bytes to be compared with.
					this.wake();
				}
			}

			segment.offset = Math.max(segment.offset, Math.min(at, segment.end));
		}
	}

	/** The response has brought held bytes again. */
	#agreed(segment: Segment, {start, end}: Range): void {
		for (const broken of this.#brokenSeams.keys()) {
			if (start <= broken && broken < end) {
				this.#brokenSeams.delete(broken);
			}
		}

		const {added} = segment;
		if (added && (end - added.end >= overlapBytes || end === this.#file.present.runEnd(added.end))) {
			segment.added = undefined;
			this.#state.readers.recheck();
			// Of a part the seam at the other end is still to come; the rest of a whole is not waited for.
			if (segment.isWhole && this.#unproven.delete(segment)) {
				this.#target.identified();
			}
		}
	}

	/** A response leaves no bytes beside held ones that it contradicts, or ended before. */
	#forgetAdded(segment: Segment, error?: unknown): void {
		const {added} = segment;
		segment.added = undefined;
		if (added && this.#file.present.runEnd(added.end) > added.end) {
			if (error !== undefined) {
				this.#brokenSeams.set(added.end, error);
			}

			const start = isChange(error) ? added.start : Math.max(added.start, added.end - overlapBytes);
			this.#target.disproved({start, end: added.end});
			this.#state.readers.recheck();
		}
	}

	async #write(hole: Range, bytes: Uint8Array): Promise<void> {
		const writing = this.#file.write(hole.start, bytes);
		this.#writes.set(
			hole,
			writing.catch(() => undefined),
		);
		try {
			await writing;
		} finally {
			this.#writes.delete(hole);
		}
	}

	async #sniff(firstBytes: Uint8Array): Promise<void> {
		const {info} = this.#recordFile.record;
		const type = await sniffType(firstBytes);
		if (info && type) {
			await this.#recordFile.save({info: {...info, type}});
		}

		this.#identify();
	}

	async #correctType(firstBytes: Uint8Array): Promise<void> {
		const {info, url} = this.#recordFile.record;
		const type = info && (await correctedType(fileName({url: new URL(url)}), info.type, firstBytes));
		if (info && type !== undefined) {
			await this.#recordFile.save({info: {...info, type}});
			this.#target.identified();
		}
	}

	/** A body of unknown length ended. Closing proves nothing (RFC 9112 section 8), ending twice at the same byte does. */
	async #reachedEnd(end: number, proven: boolean): Promise<void> {
		const {info} = this.#recordFile.record;
		const {size} = this.#file;
		if (!info) {
			return;
		}

		if (size !== Infinity) {
			throw new DownStreamError(
				'origin-truncated',
				`${this.host} sent ${size - end} bytes less than the file has`,
			);
		}

		if (!proven && this.#unprovenEnd !== end) {
			this.#unprovenEnd = end;
			throw new DownStreamError(
				'origin-truncated',
				`${this.host} closed the connection without saying how long the file is; reading it again to be sure`,
			);
		}

		const missing = this.#file.minSize - end;
		if (missing > 0) {
			throw new DownStreamError('origin-truncated', `${this.host} sent ${missing} bytes less than are here`);
		}

		await this.#becomeSized(end);
		this.#identify();
	}

	/**
	 * Compares samples of held bytes with the origin of now where they may be of another version: after a restart, a long
	 * silence or a change. An origin without ranges is compared as it is read again. Resolves with the suspicion that they
	 * raise, if any.
	 */
	async #checkCachedBytes(signal: AbortSignal): Promise<Suspicion | undefined> {
		if (this.#file.present.size === 0 || !this.#asksForParts) {
			return undefined;
		}

		const lastSign = Math.max(this.#checkedAt, this.#lastByteAt ?? 0);
		if (Date.now() - lastSign > trustMs) {
			this.#cachedCheck.require('brief');
		}

		if (!this.#cachedCheck.isNeeded) {
			return undefined;
		}

		const suspicion = await this.#cachedCheck.run(this.#file, this.checked(), this.cachedVersion, signal);
		this.#checkedAt = Date.now();
		return suspicion;
	}

	/** No strong ETag names the version, and the segment begins with bytes that touch no held ones. */
	#isIsland({offset}: Segment, margin: number): boolean {
		const {present} = this.#file;
		const touches = offset > 0 && present.covers({start: Math.max(0, offset - margin), end: offset});
		return margin > 0 && present.size > 0 && this.#asksForParts && !touches;
	}

	/** Where a second request beside the first may be refused. A change between the sample and the request stays unseen. */
	get #samplesFirst(): boolean {
		return this.#refusesSamples || this.maxConnections === 1 || this.#services.hosts.isLimited(this.host);
	}

	#compareSample(signal: AbortSignal, source = this.checked()): Promise<Suspicion | undefined> {
		return compareOneSample(this.#file, source, this.cachedVersion, signal);
	}

	/** While a response has begun and none of its bytes is stored: if held bytes agree now, it began with them. */
	async #compareBeside(signal: AbortSignal): Promise<Suspicion | undefined> {
		try {
			const timeout = Math.min(this.#answerTimeout, this.#timeoutBeside);
			return await this.#compareSample(
				signal,
				this.checked(this.#source, () => timeout),
			);
		} catch (error) {
			const isRefusal =
				error instanceof ShortResponse || (error instanceof DownStreamError && mayMeanTooMany(error, true));
			if (!isRefusal) {
				throw error;
			}

			this.#refusesSamples = true;
			return undefined;
		}
	}

	/** Throws `origin-sent-page`, and `origin-changed` where the size has changed. */
	async #suspicionOf(answer: OriginResponse): Promise<Suspicion | undefined> {
		if (!this.#hasFileInfo) {
			return undefined;
		}

		const held = this.cachedVersion;
		await refusePage(held, answer, this.#source);
		refuseOtherSize(held, answer);
		return suspicionOf(held, answer);
	}

	/** Every connection ends, and none is opened until it is known whether the label or the file has changed. */
	#suspect(suspicion: Suspicion): void {
		if (this.#examination) {
			return;
		}

		const abort = new AbortController();
		this.#examination = abort;
		const signal = AbortSignal.any([abort.signal, this.#state.ending]);
		this.exclusively(() => this.#examine(suspicion, signal))
			// It rejects only as the download closes.
			.catch(() => undefined)
			.finally(() => {
				this.#examination = undefined;
			});
	}

	async #examine(suspicion: Suspicion, signal: AbortSignal): Promise<void> {
		const beganAt = Date.now();
		const {id} = this.#recordFile.record;
		Logger.info(
			`${id}: ${suspicion.label} ${suspicion.was} is ${suspicion.is ?? 'gone'} now; samples are compared`,
		);
		try {
			await examineSuspicion(this.#file, this.checked(), this.cachedVersion, suspicion, signal);
			Logger.info(`${id}: the ${suspicion.label} does not keep its value; bytes are compared instead`);
			await this.#recordFile.save({hasUnstableValidator: true});
		} catch (error) {
			if (!signal.aborted) {
				const cause = this.#withoutRefusal(error);
				this.#requireCheckAfter(cause);
				this.#target.failed(this.#passing(cause), Math.max(beganAt, this.#lastByteAt ?? 0));
			}
		}
	}

	/**
	 * A short response is a refusal in words, which goes away with the connections beside it or with time. The file has
	 * changed if the response is the same time and again, and not empty.
	 */
	#withoutRefusal(error: unknown, segment?: Segment): unknown {
		if (!(error instanceof ShortResponse)) {
			return error;
		}

		const {count = 0} = this.#shortResponse ?? {};
		if (error !== this.#shortResponse?.error) {
			// Segments share a check and its error.
			this.#shortResponse = {error, count: count + 1};
		}

		const othersWork = segment !== undefined && this.#othersWork(segment);
		return error.bytes === 0 || othersWork || count < maxShortResponses
			? new DownStreamError(
					'origin-truncated',
					`${this.host} answers with ${error.bytes} bytes in place of the file`,
					{cause: error},
				)
			: error;
	}

	/**
	 * A page from a source that has brought bytes in this run will go away again, unless a new link can be had. So will a
	 * response without content.
	 */
	#passing(error: unknown): unknown {
		const isPage =
			error instanceof DownStreamError &&
			(error.code === 'origin-sent-page' || error.status === 204 || error.status === 205);
		return isPage && this.#hasWorked && !this.#services.newLink(this.#recordFile.record)
			? new DownStreamError('origin-busy', error.message, {cause: error})
			: error;
	}

	/** The next attempt must meet a change again, also one that touched a few bytes alone. */
	#requireCheckAfter(error: unknown): void {
		if (isChange(error)) {
			this.#cachedCheck.require('thorough');
		}
	}

	#newHeldCheck(): CachedVersionCheck {
		const hasChanged = this.#recordFile.record.error?.code === 'origin-changed';
		return new CachedVersionCheck(
			this.#file.present.size > 0 ? (hasChanged ? 'thorough' : 'brief') : undefined,
			this.#state.ending,
		);
	}

	/** An origin that takes few connections may leave further ones without an answer. One that is alone is waited for. */
	#fellSilent(segment: Segment): void {
		this.#connectionTarget = Math.max(1, this.segments.size - 1);
		if (!this.#services.hosts.refused(this.host, segment)) {
			// It may need that long.
			this.#slowestResponse = this.#timeoutBeside;
		}

		this.segments.end(segment);
	}

	#othersWork(segment: Segment): boolean {
		return [...this.segments].some(other => other !== segment && other.isAnswered);
	}

	#segmentFailed(cause: unknown, segment: Segment): void {
		const error = this.#withoutRefusal(cause, segment);
		this.#requireCheckAfter(error);
		const isOneTooMany =
			error instanceof DownStreamError &&
			!segment.isAnswered &&
			mayMeanTooMany(error, this.#hasFileInfo) &&
			this.#services.hosts.refused(this.host, segment, {
				retryAfterMs: error.retryAfterMs,
				isPlain: !oddResponses.has(error.code),
			});
		if (isOneTooMany) {
			this.#connectionTarget = Math.max(1, this.segments.size - 1);
			if (this.isUnanswered) {
				this.#state.retries.note(error);
			}
		} else {
			this.#target.failed(this.#passing(error), Math.max(segment.openedAt, this.#lastByteAt ?? 0));
		}
	}

	get #answerTimeout(): number {
		return this.#state.retries.answerTimeout(this.#services.answerTimeout);
	}

	/** Milliseconds for an answer beside other connections. */
	get #timeoutBeside(): number {
		return Math.max(silenceBeside.leastMs, silenceBeside.factor * this.#slowestResponse);
	}

	get #recordFile(): RecordFile {
		return this.#state.recordFile;
	}

	get #file(): SparseFile {
		return this.#state.file;
	}
}

function isChange(error: unknown): boolean {
	return error instanceof DownStreamError && error.code === 'origin-changed';
}

/** Answers that say nothing of connections. */
const oddResponses = new Set<ErrorCode>(['origin-truncated', 'origin-misbehaved', 'origin-sent-page']);

/**
 * Origins say in many ways that they take no more connections. What one says of a file that it has not given yet is more
 * likely meant as it is said.
 */
function mayMeanTooMany({code, status}: DownStreamError, isGiven: boolean): boolean {
	return (
		code === 'origin-busy' ||
		code === 'origin-unreachable' ||
		code === 'origin-truncated' ||
		(code === 'origin-refused' && (isGiven || status === 403)) ||
		(oddResponses.has(code) && isGiven)
	);
}

function finite(size: number): number | null {
	return size === Infinity ? null : size;
}
