// The connections of one download: the only place that opens them.
import type {SegmentUse} from '../../downstream.ts';
import {coalesced, turns} from '../../turns.ts';
import type {DataSource} from '../origin/data-source.ts';
import {FetchContext, ResponseTraits} from './fetch-context.ts';
import type {FetchTarget, FetchServices} from './fetch-target.ts';
import {hasFreeConnection, isTooLong, segmentSize} from './growth.ts';
import type {Host, HostUser} from './host-limits.ts';
import {nextSegment, useOf, type Demand, type SegmentPlan} from './next-segment.ts';
import type {Reader} from './readers.ts';
import {SegmentRun} from './segment-run.ts';
import {mostExpendable, type Segment, type Segments} from './segments.ts';
import {ComparedWrites} from './compared-writes.ts';
import type {Comparison} from '../version/version-check.ts';
import {VersionGuard} from './version-guard.ts';

/** Bytes of the first request, which also reveals size, validator, type and range support. */
const probeSize = {background: 1024 * 1024, onDemand: 64 * 1024};
/** Grace period in milliseconds for an unneeded connection: players reconnect nearby after a seek. */
const lingerMs = 5000;

export class Scheduler implements HostUser {
	readonly #context: FetchContext;
	readonly #guard: VersionGuard;
	readonly #writes: ComparedWrites;
	readonly #running = new Set<Promise<void>>();
	/** Changes of source or version run one after the other. */
	readonly #inTurn = turns();
	/** Of these, the number waiting or running. */
	#exclusiveCount = 0;

	constructor(target: FetchTarget, source: DataSource, services: FetchServices) {
		this.#context = new FetchContext(target, source, services, this.wake);
		this.#guard = new VersionGuard(this.#context, act => this.exclusively(act));
		this.#writes = new ComparedWrites(this.#context);
		this.#context.host.join(this);
	}

	get segments(): Segments {
		return this.#context.segments;
	}

	get source(): DataSource {
		return this.#context.source;
	}

	get host(): Host {
		return this.#context.host;
	}

	/** All cached bytes are of one version, as far as that can be known. */
	get isProven(): boolean {
		return this.#context.state.hasFileInfo && this.#writes.areCompared;
	}

	get acceptsRanges(): boolean {
		return this.#context.acceptsRanges;
	}

	/** Bytes are requested without a waiting player. */
	get fetchesInBackground(): boolean {
		return this.#mayRequest && this.#context.runsInBackground;
	}

	/** Ranges of pledges are requested. */
	get fetchesPledges(): boolean {
		return this.#mayRequest && this.#context.servesPledges;
	}

	/** As `ComparedWrites.readableEnd`. */
	readableEnd(start: number, offset: number): number {
		return this.#writes.readableEnd(start, offset);
	}

	/** As `ComparedWrites.isReadable`. */
	isReadable(reader: Reader): boolean {
		return this.#writes.isReadable(reader.offset - reader.consumed, reader.offset);
	}

	/** As `VersionGuard.comparison`. */
	comparison(signal: AbortSignal, source?: DataSource): Comparison {
		return this.#guard.comparison(signal, source && this.#context.sampled(source));
	}

	/** The number of connections that the host accepts, if the download waits for one of them; else null. */
	get hostCeiling(): number | null {
		const {host, state} = this.#context;
		const {places} = state;
		const isWaiting =
			(places.background || places.pledges) && this.segments.size === 0 && !host.mayOpen(this);
		return isWaiting ? host.ceiling(this) || null : null;
	}

	/** Bytes per second of this download alone. */
	setRateLimit(limit: number | undefined): void {
		const {bandwidth} = this.#context;
		if (bandwidth.limit !== (limit ?? Infinity)) {
			bandwidth.limit = limit ?? Infinity;
		}
	}

	// Changes

	/** Ends every connection; resolves when nothing more is written. */
	async stop(): Promise<void> {
		this.segments.endAll();
		await Promise.allSettled([...this.#running, this.#inTurn(() => Promise.resolve())]);
	}

	/** Ends every connection, idle ones included. */
	cancel(): void {
		this.segments.endAll();
		this.#guard.stop();
		this.source.closeIdle?.();
	}

	/** Ends every connection before `act`, and opens none until it is over. */
	async exclusively(act: () => Promise<void>): Promise<void> {
		this.#exclusiveCount++;
		await this.#inTurn(async () => {
			try {
				this.#context.state.ending.throwIfAborted();
				this.segments.endAll();
				await Promise.allSettled(this.#running);
				await act();
			} finally {
				this.#exclusiveCount--;
				this.wake();
			}
		});
	}

	/** Nothing may be running. Resolves when the old source is disposed of. */
	async replaceSource(source: DataSource): Promise<void> {
		const old = this.source;
		const host = this.#context.services.hosts.of(source.url);
		if (host !== this.host) {
			this.host.leave(this);
			host.join(this);
		}

		this.#context.source = source;
		this.#context.host = host;
		this.#context.lastRate = 0;
		this.#context.hasWorked = false;
		this.#context.traits = new ResponseTraits();
		this.#guard.forgetShortResponses();
		this.#writes.forgetContradictions();
		await old.dispose();
	}

	/** Nothing may be running. The cached bytes are `proven` to be of the source's version, or there are none. */
	begin(proven: boolean): void {
		this.#context.state.hasFileInfo = this.#context.record.info !== undefined;
		this.#context.traits = new ResponseTraits();
		this.#guard.begin(proven);
		this.#writes.forgetContradictions();
	}

	/** Requires a comparison of samples before any byte is added. */
	requireCheck(): void {
		this.#guard.requireCheck();
	}

	async dispose(): Promise<void> {
		this.host.leave(this);
		await this.source.dispose();
	}

	/**
	 * Ends one connection for a player that waits: one of `among`, a background one first, then one that reads ahead.
	 * Returns false if players wait for the bytes of all of them.
	 */
	yieldConnection(among: Iterable<Segment> = this.segments): boolean {
		const {maxConnections, readers} = this.#context.state;
		// A first response counts as awaited: two players would take each other's only connection endlessly.
		const expendable = mostExpendable(
			[...among].filter(segment => !readers.waitForFileInfo && !readers.waitFor(segment)),
		);
		if (expendable && (maxConnections === 1 || this.host.isLimited)) {
			this.segments.end(expendable);
		} else if (expendable) {
			this.segments.drain(expendable);
		}

		return expendable !== undefined;
	}

	// Passes

	/** A player waits for the byte at `offset`, or for the first response. */
	playerWaits(offset?: number): void {
		const isNext = [...this.segments].some(
			segment =>
				segment.offset === offset &&
				segment.for === 'player' &&
				!segment.isDraining &&
				!isTooLong(segment.end - segment.offset, segment.rate ?? Infinity),
		);
		if (!isNext) {
			this.wake();
		}
	}

	/** Requests a pass over the plan: the only way in. Calls of one tick share a pass. Never throws. */
	readonly wake = coalesced(() => {
		try {
			this.#pass();
		} catch (error) {
			this.#context.target.failed(error, Date.now());
		}
	});

	/** Starts the segments that are wanted and allowed now. */
	#pass(): void {
		if (this.#context.state.ending.aborted || this.#exclusiveCount > 0) {
			return;
		}

		this.#context.target.pledges.update();
		const demands = this.#demands();
		for (const segment of this.segments) {
			this.#classify(segment, demands);
		}

		while (this.#mayRequest) {
			const plan = this.#plan();
			if (!plan || this.#guard.lacksWitness || !this.#hasConnectionFor(plan)) {
				break;
			}

			this.#start(plan);
		}

		this.#prepareForSeek();
		this.#context.state.changed();
	}

	/** No error, cancellation or lost lock blocks requests. */
	get #mayRequest(): boolean {
		const {recordFile, retries} = this.#context.state;
		const {record, refusal} = recordFile;
		return !retries.blockingError && record.intent !== 'cancel' && !refusal;
	}

	/**
	 * Keeps a connection ready for the next seek. A player that has just left counts, since players disconnect before
	 * they seek. So does a player that waits for the first response: it reads the end of many films right after. The
	 * host must have accepted a connection by then: a server of one connection at a time would wait for a request on the
	 * idle one.
	 */
	#prepareForSeek(): void {
		const {state, file, acceptsRanges} = this.#context;
		const maySeek = state.hasFileInfo
			? !file.isComplete && acceptsRanges && state.readers.players(Date.now()).length > 0
			: state.readers.waitForFileInfo && this.segments.areConnected;
		if (this.#mayRequest && maySeek && !this.host.isLimited) {
			this.source.preconnect?.();
		}
	}

	/** Notes what the segment serves now. A segment that serves nothing lingers, then ends. */
	#classify(segment: Segment, demands: readonly Demand[]): void {
		if (segment.isDraining) {
			return;
		}

		const {places} = this.#context.state;
		segment.for = this.#useOf(segment, demands);
		// A whole response would begin at byte 0 again.
		if (segment.for !== 'fill' || places.background || (places.yields && segment.isWhole)) {
			clearTimeout(segment.linger);
			segment.linger = undefined;
			return;
		}

		if (places.yields) {
			this.segments.drain(segment);
			return;
		}

		segment.linger ??= setTimeout(() => {
			this.segments.end(segment);
			this.wake();
		}, lingerMs);
	}

	#useOf(segment: Segment, demands: readonly Demand[]): SegmentUse {
		const {state, servesPledges, pledged} = this.#context;
		const {hasFileInfo} = state;
		const use = state.readers.waitForFileInfo
			? 'player'
			: useOf(segment, demands, hasFileInfo ? pledged : []);
		// The ranges of pledges are unknown before the first response.
		return use === 'fill' && !hasFileInfo && servesPledges ? 'pledge' : use;
	}

	#plan(): SegmentPlan | undefined {
		const {file, record, state, acceptsRanges, runsInBackground} = this.#context;
		const {present, size, isComplete} = file;
		if (isComplete) {
			return undefined;
		}

		if (!state.hasFileInfo) {
			return this.segments.size === 0 ? this.#probe() : undefined;
		}

		const plan = nextSegment({
			present,
			size,
			acceptsRanges,
			claimed: [...this.segments],
			wanted: this.#demands(),
			index: state.wantedIndex,
			connections: state.maxConnections,
			pledged: this.#context.pledged,
			background: runsInBackground,
			playhead: state.readers.playhead,
			segmentSize: this.#segmentSize,
			rate: this.#context.sustainedRate,
		});
		// A whole response in progress delivers every byte: only a waiting player is worth another attempt at ranges.
		const isComing = record.acceptsRanges === false && [...this.segments].some(({isWhole}) => isWhole);
		return isComing && !plan?.urgent ? undefined : plan;
	}

	#probe(): SegmentPlan | undefined {
		const {state, runsInBackground, servesPledges} = this.#context;
		const {waitForFileInfo} = state.readers;
		return state.places.background || servesPledges || waitForFileInfo
			? {
					start: 0,
					end: runsInBackground ? probeSize.background : probeSize.onDemand,
					for: servesPledges ? 'pledge' : 'fill',
					urgent: waitForFileInfo,
				}
			: undefined;
	}

	#demands(): Demand[] {
		const {state} = this.#context;
		return state.readers.demands(state.readAhead, this.#segmentSize);
	}

	get #segmentSize(): number {
		const {state, file, traits, lastRate} = this.#context;
		const current = state.meter.rate(3000, Date.now()) / Math.max(1, this.segments.size);
		return segmentSize({
			rate: Math.max(current, lastRate),
			isPlaying: state.readers.size > 0,
			missing: file.size - file.present.size,
			connections: traits.connectionTarget,
		});
	}

	#hasConnectionFor(plan: SegmentPlan): boolean {
		if (!plan.urgent) {
			return this.#isFree(plan) || (plan.isLate === true && this.#yieldBackground() && this.#isFree(plan));
		}

		if (this.segments.size >= this.#context.state.maxConnections && !this.yieldConnection()) {
			return false;
		}

		if (this.host.isFull(this, true)) {
			this.host.freeConnection();
		}

		return this.host.mayOpen(this, true);
	}

	/** A connection is free for a plan that is not urgent. */
	#isFree(plan: SegmentPlan): boolean {
		const {state, file, traits} = this.#context;
		const connections = {
			open: this.segments.size,
			background: [...this.segments].filter(segment => segment.for !== 'player').length,
			max: state.maxConnections,
			target: traits.connectionTarget,
			readers: state.readers.size,
			awaitsIndex: state.awaitsIndex,
			isSingle: state.retries.failures > 0 || file.size === Infinity,
		};
		return hasFreeConnection(plan, connections) && this.host.mayOpen(this);
	}

	/** Ends a background connection, except those for the index of a film. */
	#yieldBackground(): boolean {
		const {wantedIndex: index} = this.#context.state;
		const background = [...this.segments].filter(
			segment =>
				segment.for === 'fill' && !(index && segment.offset < index.end && index.start < segment.end),
		);
		return this.yieldConnection(background);
	}

	#start(plan: SegmentPlan): void {
		const segment = this.segments.add(plan);
		this.host.opened(segment, this);
		const run = new SegmentRun(segment, this.#context, this.#guard, this.#writes);
		const running = run.run().finally(() => this.#running.delete(running));
		this.#running.add(running);
	}
}
