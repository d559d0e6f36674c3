// One request for one segment: sends it, verifies the response, and stores its bytes. No byte is written before the
// response is proven to be of the cached version.
import {DownStreamError} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import type {OriginResponse} from '../origin/data-source.ts';
import type {FetchContext} from './fetch-context.ts';
import {publish, reachedEnd, recordFacts, setSize, takeFirstBytes} from './file-description.ts';
import {afterRefusal, connectionTarget, isWorthMore} from './growth.ts';
import {isPlainRefusal, mayMeanTooMany} from './refusals.ts';
import type {Segment} from './segments.ts';
import {settleSize, withoutMisstatedSize} from './stated-size.ts';
import {overlapBytes, type ComparedWrites} from './compared-writes.ts';
import type {VersionGuard} from './version-guard.ts';

/** Consecutive whole responses after which an origin that has sent parts counts as one without ranges. */
const maxWholeResponses = 3;

export class SegmentRun {
	readonly #segment: Segment;
	readonly #context: FetchContext;
	readonly #guard: VersionGuard;
	readonly #writes: ComparedWrites;
	/** Bytes that the request repeats at each end. */
	#overlap = 0;
	/** The first rate has been counted. */
	#isMeasured = false;
	/** A pass has considered a split of the segment. */
	#isOffered = false;

	constructor(segment: Segment, context: FetchContext, guard: VersionGuard, writes: ComparedWrites) {
		this.#segment = segment;
		this.#context = context;
		this.#guard = guard;
		this.#writes = writes;
	}

	/** Resolves when the segment has ended; never rejects. */
	async run(): Promise<void> {
		const segment = this.#segment;
		const {signal} = segment.abort;
		try {
			const response = await this.#provenResponse(signal);
			if (response && (await this.#accept(response))) {
				await this.#receive(response);
			}
		} catch (error) {
			// An abort is not an error.
			if (!signal.aborted) {
				this.#writes.retract(segment, error);
				this.#failed(error);
			}
		} finally {
			this.#context.traits.sustainedRate = segment.sustainedRate ?? this.#context.traits.sustainedRate;
			this.#context.segments.end(segment);
			this.#writes.retract(segment);
			this.#writes.release(segment);
			this.#context.wake();
		}
	}

	/**
	 * Resolves with undefined while a suspicion is examined, or if the next pass repeats the request in another way.
	 */
	async #provenResponse(signal: AbortSignal): Promise<OriginResponse | undefined> {
		const context = this.#context;
		const guard = this.#guard;
		const segment = this.#segment;
		const asksForEnd = segment.offset === context.traits.partsEnd;
		this.#overlap = asksForEnd ? 0 : guard.overlap;
		const isIsland = guard.isIsland(segment, this.#overlap);
		const samplesBeside = isIsland && !context.samplesFirst;
		const doubt =
			(await guard.checkCachedBytes(signal)) ??
			(isIsland && !samplesBeside ? await guard.compareSample(signal) : undefined);
		if (doubt) {
			guard.suspect(doubt);
			return undefined;
		}

		if (this.#overlap > 0) {
			this.#writes.track(segment);
		}

		const response = await this.#open(signal);
		const suspicion =
			(await guard.suspicionOf(response)) ??
			(await guard.checkMissingEtag(response, signal)) ??
			(samplesBeside ? await guard.compareBeside(signal) : undefined);
		if (suspicion) {
			guard.suspect(suspicion);
			return undefined;
		}

		if (samplesBeside && context.samplesFirst) {
			// The next request follows a sample.
			return undefined;
		}

		guard.noteEtag(response);
		const isEmpty = response.range.start === response.range.end;
		if (guard.overlap > this.#overlap && response.acceptsRanges && !isEmpty) {
			if (asksForEnd) {
				context.traits.partsEnd = undefined;
				throw this.#tooShort();
			}

			// The next request has the overlap. Another response may have shown the need for it since.
			return undefined;
		}

		return response;
	}

	async #open(signal: AbortSignal): Promise<OriginResponse> {
		const context = this.#context;
		const segment = this.#segment;
		const {traits, host, file} = context;
		const {offset, end} = segment;
		Logger.debug(`${context.record.id}: asks ${host.name} for bytes ${offset} to ${end} (${segment.for})`);
		const isFurther = traits.slowestResponse > 0 && host.isFurther(segment);
		const silence = isFurther ? setTimeout(() => this.#fellSilent(), context.timeoutBeside) : undefined;
		const askedAt = performance.now();
		const range = {
			start: Math.max(0, offset - this.#overlap),
			end: Math.min(end + this.#overlap, Math.max(end, file.size)),
		};
		const opening = context.source.open({
			range,
			// Once in each run, even if ranges did not work before.
			ranged: context.acceptsRanges || traits.wholeResponses === 0,
			isBackground: () => context.state.readers.size === 0,
			connected() {
				segment.isConnected = true;
				context.wake();
			},
			responseTimeout: context.responseTimeout,
			signal,
		});
		const opened = await opening.finally(() => clearTimeout(silence));
		traits.slowestResponse = Math.max(traits.slowestResponse, performance.now() - askedAt);
		if (traits.misstatesSize) {
			return withoutMisstatedSize(opened, range);
		}

		const beside = context.samplesFirst ? undefined : context.sampledBeside;
		const {response, isMisstated} = await settleSize(opened, range, file.size, beside, signal);
		traits.misstatesSize = isMisstated;
		return response;
	}

	/** Resolves with true if the bytes of the response are to be read. */
	async #accept(response: OriginResponse): Promise<boolean> {
		const context = this.#context;
		const segment = this.#segment;
		const {traits, host} = context;
		const {info, range, acceptsRanges} = response;
		this.#guard.forgetShortResponses();
		if (context.file.size === Infinity && info.size !== Infinity) {
			await setSize(context, info.size);
		}

		// One server of several may not support ranges: the whole file is read again only if this repeats.
		traits.wholeResponses = acceptsRanges ? 0 : traits.wholeResponses + 1;
		traits.mayAcceptRanges = response.mayAcceptRanges === true && traits.wholeResponses < maxWholeResponses;
		if (!(await this.#isUseful(response))) {
			return false;
		}

		await recordFacts(context, response);
		Logger.debug(`${context.record.id}: ${host.name} sends bytes ${range.start} to ${range.end}`);
		segment.answered();
		host.answered(segment);
		if (acceptsRanges) {
			segment.end = Math.min(segment.end, range.end);
		} else {
			const {file, runsInBackground, state} = context;
			const {readers} = state;
			segment.offset = range.start;
			segment.isWhole = true;
			const isWanted = runsInBackground || readers.size > 0 || readers.waitForFileInfo;
			segment.end = isWanted ? file.size : Math.min(segment.end, file.size);
		}

		if (info.type !== undefined || range.start > 0 || range.start === range.end) {
			publish(context);
		}

		return true;
	}

	/**
	 * Resolves with false if the response has no byte of the segment, or another response delivers its bytes. Rejects with
	 * `origin-truncated` or `origin-misbehaved`, or with an error of the disk.
	 */
	async #isUseful({range, acceptsRanges}: OriginResponse): Promise<boolean> {
		const context = this.#context;
		const segment = this.#segment;
		const {traits, file, host, record} = context;
		const isRepeated = traits.wholeResponses >= maxWholeResponses;
		const inOrder = [...context.segments].find(other => other !== segment && other.isWhole);
		if (!acceptsRanges && inOrder) {
			// It delivers these bytes, too.
			inOrder.end = file.size;
			if (isRepeated && record.acceptsRanges) {
				await context.recordFile.save({acceptsRanges});
			}

			return false;
		}

		const isEmpty = range.start === range.end;
		const isBeyond = segment.offset >= file.size;
		if (isBeyond && !isEmpty) {
			// The size became known after the request.
			return false;
		}

		if (!acceptsRanges && record.acceptsRanges && segment.offset > 0 && !isRepeated) {
			// The host did not refuse the connection.
			segment.answered();
			throw new DownStreamError(
				'origin-truncated',
				`${host.name} sent the whole file although it has sent parts before`,
			);
		}

		if (isEmpty && !isBeyond) {
			throw new DownStreamError(
				'origin-misbehaved',
				`${host.name} sent no bytes from the middle of the file`,
			);
		}

		if (isBeyond || range.end > segment.offset) {
			return true;
		}

		if (file.size < Infinity || range.end < segment.offset) {
			throw this.#tooShort();
		}

		traits.partsEnd = range.end;
		return false;
	}

	async #receive(response: OriginResponse): Promise<void> {
		const context = this.#context;
		const segment = this.#segment;
		const {bandwidth} = context;
		const {signal} = segment.abort;
		const stop = {signal, urgency: segment.draining.signal};
		const servesPlayer = () => segment.for === 'player';
		let position = response.range.start;
		for await (const chunk of response.body) {
			for (let taken = 0; taken < chunk.length;) {
				const granted = await bandwidth.take(chunk.length - taken, servesPlayer, stop);
				const slice = chunk.subarray(taken, taken + granted);
				taken += granted;
				if (segment.isDraining && bandwidth.isLimited) {
					// The bytes that the origin has sent ahead would exceed the limit, and all connections would pay for them.
					return;
				}

				signal.throwIfAborted();
				const storedFrom = performance.now();
				const wanted = Math.max(0, this.#wantedEnd - position);
				await this.#writes.store(segment, position, slice.subarray(0, wanted));
				if (position === 0 || !context.state.hasFileInfo) {
					await takeFirstBytes(context, chunk);
				}

				segment.storing += performance.now() - storedFrom;
				position += slice.length;
				segment.received += slice.length;
				this.#measure();
				this.#offerToSplit();
				if (position >= this.#wantedEnd && this.#wantedEnd < response.range.end) {
					return;
				}

				await bandwidth.yieldToPlayers(servesPlayer, stop);
			}
		}

		segment.isRead = true;
		if (response.range.end === Infinity) {
			await reachedEnd(context, position, response.endIsProven ?? false);
		}
	}

	/** Another connection can take over the rest at any time. */
	get #wantedEnd(): number {
		return this.#segment.end + this.#overlap;
	}

	/** Decides once for each connection, when its rate is known, whether further ones are worthwhile. */
	#measure(): void {
		const context = this.#context;
		const segment = this.#segment;
		const rate = this.#isMeasured ? undefined : segment.firstRate;
		if (rate === undefined) {
			return;
		}

		this.#isMeasured = true;
		const connections = context.segments.size;
		const {traits, state} = context;
		context.lastRate = rate;
		traits.connectionTarget = connectionTarget(traits.connectionTarget, {
			rate,
			connections,
			max: state.maxConnections,
		});
		if (isWorthMore(rate, connections)) {
			context.wake();
		}
	}

	/** Offers a part of the segment to another connection, once, when its rate is known. */
	#offerToSplit(): void {
		const segment = this.#segment;
		if (!this.#isOffered && segment.rate !== undefined && segment.offset < segment.end) {
			this.#isOffered = true;
			this.#context.wake();
		}
	}

	// Failures

	/** Hosts may ignore further connections. A single connection keeps waiting. */
	#fellSilent(): void {
		const {traits, segments, host, timeoutBeside} = this.#context;
		traits.connectionTarget = afterRefusal(segments.size);
		if (!host.refused(this.#segment)) {
			// The origin may need this long.
			traits.slowestResponse = timeoutBeside;
		}

		segments.end(this.#segment);
	}

	#failed(cause: unknown): void {
		const context = this.#context;
		const segment = this.#segment;
		const {traits, segments, host, state, target} = context;
		const error = this.#guard.classify(cause, segment);
		const isOneTooMany =
			error instanceof DownStreamError &&
			!segment.isAnswered &&
			mayMeanTooMany(error, state.hasFileInfo) &&
			host.refused(segment, {
				retryAfterMs: error.retryAfterMs,
				isPlain: isPlainRefusal(error),
			});
		if (isOneTooMany) {
			traits.connectionTarget = afterRefusal(segments.size);
			if (segments.areUnanswered) {
				state.retries.note(error);
			}
		} else {
			target.failed(this.#guard.asTransient(error), Math.max(segment.openedAt, state.lastByteAt ?? 0));
		}
	}

	#tooShort(): DownStreamError {
		return new DownStreamError(
			'origin-truncated',
			`${this.#context.host.name} sent less than ${overlapBytes} bytes`,
		);
	}
}
