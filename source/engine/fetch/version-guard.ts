// Keeps two versions of the file apart: decides when cached bytes are compared with the origin's, and which responses
// are compared with the bytes around them.
import {DownStreamError} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import type {OriginResponse} from '../origin/data-source.ts';
import type {Range} from '../store/range-set.ts';
import type {FetchContext} from './fetch-context.ts';
import {mayMeanTooMany} from './refusals.ts';
import type {Segment} from './segments.ts';
import {CachedVersionCheck, compareOneSample, examineSuspicion, refusePage} from './version-check.ts';
import {
	refuseOtherSize,
	ShortResponse,
	suspicionOf,
	type CachedVersion,
	type Suspicion,
} from './version-labels.ts';

/** Bytes that a request without a strong ETag repeats at both ends, for comparison. */
export const overlapBytes = 4096;
/** Milliseconds without a byte after which cached bytes are compared again, even with a strong ETag. */
const trustMs = 60_000;
/** Consecutive short responses that may be refusals. */
const maxShortResponses = 3;

export class VersionGuard {
	readonly #context: FetchContext;
	readonly #exclusively: (act: () => Promise<void>) => Promise<void>;
	/** Segments that await a comparison with the bytes before and after them. */
	readonly #unproven = new Set<Segment>();
	/** Offsets of cached bytes that a response contradicted or did not reach, each with the error. */
	readonly #contradictions = new Map<number, unknown>();
	#cachedCheck: CachedVersionCheck;
	/** When the cached bytes last matched the origin's, in milliseconds since the epoch. */
	#checkedAt = Date.now();
	/** Ends the examination of a suspicion. */
	#examination: AbortController | undefined;
	/** The last short response, and the number of consecutive ones. */
	#short: {readonly error: ShortResponse; readonly count: number} | undefined;

	/** `exclusively` runs an action while no connection is open. */
	constructor(context: FetchContext, exclusively: (act: () => Promise<void>) => Promise<void>) {
		this.#context = context;
		this.#exclusively = exclusively;
		this.#cachedCheck = this.#newCheck();
	}

	/** Call when another source begins. */
	forgetResponses(): void {
		this.#contradictions.clear();
		this.#short = undefined;
	}

	/** Call when another version begins. Its cached bytes are `proven` to be the source's, or there are none. */
	begin(proven: boolean): void {
		this.forgetResponses();
		this.#cachedCheck.stop();
		this.#cachedCheck = proven
			? new CachedVersionCheck(undefined, this.#context.state.ending)
			: this.#newCheck();
		this.#checkedAt = Date.now();
	}

	/** Ends running checks. */
	stop(): void {
		this.#cachedCheck.stop();
		this.#examination?.abort();
	}

	/** Requires a comparison of samples before any byte is added. */
	requireCheck(): void {
		if (this.#context.file.present.size > 0) {
			this.#cachedCheck.require('brief');
		}
	}

	/** No response awaits a comparison with the cached bytes. */
	get isProven(): boolean {
		return this.#unproven.size === 0;
	}

	/**
	 * The end of the readable bytes for a reader that began at `start` and is at `offset`: it may not pass from a
	 * response into cached bytes before the two were compared. Throws the response's error if they differ.
	 */
	readableEnd(start: number, offset: number): number {
		if (start < offset && this.#contradictions.has(offset)) {
			throw this.#contradictions.get(offset);
		}

		return this.#comparedEnd(start, offset);
	}

	/** Whether such a reader may go on at `offset`. */
	isReadable(start: number, offset: number): boolean {
		return !(start < offset && this.#contradictions.has(offset)) && this.#comparedEnd(start, offset) > offset;
	}

	#comparedEnd(start: number, offset: number): number {
		const ends = [...this.#unproven].flatMap(({added}) => (added ? [added.end] : []));
		return Math.min(Infinity, ...ends.filter(end => start < end && offset <= end));
	}

	get cachedVersion(): CachedVersion {
		const {file, record} = this.#context;
		const {info, validator = {}, hasUnstableValidator = false} = record;
		return {
			type: info?.type,
			size: file.size,
			minSize: file.minSize,
			validator,
			isUnstable: hasUnstableValidator,
		};
	}

	/** A strong ETag identifies the version. */
	get isNamed(): boolean {
		const {record, traits} = this.#context;
		const {validator, hasUnstableValidator = false} = record;
		return validator?.etag !== undefined && !traits.lacksEtag && !hasUnstableValidator;
	}

	/** Bytes that a request repeats at each end, to compare a response without a strong ETag. */
	get overlap(): number {
		const {hasFileInfo, acceptsRanges} = this.#context;
		return this.isNamed || !hasFileInfo || !acceptsRanges ? 0 : overlapBytes;
	}

	/** Nothing identifies the version, and no byte is cached for a comparison. */
	get lacksWitness(): boolean {
		const {file, segments} = this.#context;
		return this.overlap > 0 && file.present.size === 0 && segments.size > 0;
	}

	/** No strong ETag identifies the version, and the segment begins with bytes that touch no cached ones. */
	isIsland({offset}: Segment, overlap: number): boolean {
		const {file, acceptsRanges} = this.#context;
		const {present} = file;
		const touches = offset > 0 && present.covers({start: Math.max(0, offset - overlap), end: offset});
		return overlap > 0 && present.size > 0 && acceptsRanges && !touches;
	}

	// Checks

	/**
	 * Compares samples of cached bytes that may be of another version: after a restart, a long silence or a change. An
	 * origin without ranges is compared as it is read again. Resolves with the suspicion that the samples raise.
	 */
	async checkCachedBytes(signal: AbortSignal): Promise<Suspicion | undefined> {
		const {file, acceptsRanges, lastByteAt} = this.#context;
		if (file.present.size === 0 || !acceptsRanges) {
			return undefined;
		}

		const lastSign = Math.max(this.#checkedAt, lastByteAt ?? 0);
		if (Date.now() - lastSign > trustMs) {
			this.#cachedCheck.require('brief');
		}

		if (!this.#cachedCheck.isNeeded) {
			return undefined;
		}

		const source = this.#context.sampled();
		const suspicion = await this.#cachedCheck.run(file, source, this.cachedVersion, signal);
		this.#checkedAt = Date.now();
		return suspicion;
	}

	compareSample(signal: AbortSignal, source = this.#context.sampled()): Promise<Suspicion | undefined> {
		return compareOneSample(this.#context.file, source, this.cachedVersion, signal);
	}

	/**
	 * Compares a sample while a response is open and none of its bytes is stored: if the cached bytes match now, the response
	 * began with the same version.
	 */
	compareBeside(signal: AbortSignal): Promise<Suspicion | undefined> {
		const {responseTimeout, timeoutBeside, source} = this.#context;
		const timeout = Math.min(responseTimeout, timeoutBeside);
		return this.#beside(() =>
			this.compareSample(
				signal,
				this.#context.sampled(source, () => timeout),
			),
		);
	}

	/**
	 * Compares samples of all cached bytes when a second response lacks the strong ETag: beside that response, or
	 * before the next request if a second connection may be refused.
	 */
	async checkMissingEtag(
		{validator, range}: OriginResponse,
		signal: AbortSignal,
	): Promise<Suspicion | undefined> {
		const {record, traits, samplesFirst} = this.#context;
		const isMissing =
			record.validator?.etag !== undefined &&
			validator.etag === undefined &&
			validator.weakEtag === undefined &&
			range.start < range.end;
		if (!isMissing || !traits.lacksEtag || traits.missesEtag || record.hasUnstableValidator) {
			return undefined;
		}

		traits.missesEtag = true;
		this.#cachedCheck.require('deep');
		return samplesFirst ? undefined : this.#beside(() => this.checkCachedBytes(signal));
	}

	/** Gives up samples beside an open response if the host may refuse a second connection. */
	async #beside<T>(compare: () => Promise<T>): Promise<T | undefined> {
		try {
			return await compare();
		} catch (error) {
			const isRefusal =
				error instanceof ShortResponse || (error instanceof DownStreamError && mayMeanTooMany(error, true));
			if (!isRefusal) {
				throw error;
			}

			this.#context.traits.refusesSamples = true;
			return undefined;
		}
	}

	/** Throws `origin-sent-page`, and `origin-changed` where the size has changed. */
	async suspicionOf(response: OriginResponse): Promise<Suspicion | undefined> {
		if (!this.#context.hasFileInfo) {
			return undefined;
		}

		const cached = this.cachedVersion;
		await refusePage(cached, response, this.#context.source);
		refuseOtherSize(cached, response);
		return suspicionOf(cached, response);
	}

	/**
	 * Notes whether ETags identify the version. They identify versions of one URL (RFC 9110 section 8.8.3), and nothing
	 * if an ETag stays while the date differs. A response beyond the end of the file may lack its ETag.
	 */
	noteEtag({validator: {etag, lastModified}, range, place}: OriginResponse): void {
		const {traits, record} = this.#context;
		if (range.start === range.end) {
			return;
		}

		const cachedDate = record.validator?.lastModified;
		const isOtherDate = cachedDate !== undefined && lastModified !== undefined && lastModified !== cachedDate;
		traits.place ??= place;
		traits.lacksEtag ||= etag === undefined || isOtherDate || place !== traits.place;
	}

	/** Ends every connection, and opens none until it is known whether the label or the file has changed. */
	suspect(suspicion: Suspicion): void {
		if (this.#examination) {
			return;
		}

		const abort = new AbortController();
		this.#examination = abort;
		const signal = AbortSignal.any([abort.signal, this.#context.state.ending]);
		this.#exclusively(() => this.#examine(suspicion, signal))
			// Rejects only as the download closes.
			.catch(() => undefined)
			.finally(() => {
				this.#examination = undefined;
			});
	}

	async #examine(suspicion: Suspicion, signal: AbortSignal): Promise<void> {
		const {file, record, recordFile, target, lastByteAt} = this.#context;
		const {label, was, is} = suspicion;
		const beganAt = Date.now();
		Logger.info(`${record.id}: ${label} ${was} is ${is} now; comparing samples`);
		try {
			await examineSuspicion(file, this.#context.sampled(), this.cachedVersion, suspicion, signal);
			Logger.info(`${record.id}: the ${label} does not keep its value; comparing bytes instead`);
			await recordFile.save({hasUnstableValidator: true});
		} catch (error) {
			if (!signal.aborted) {
				target.failed(this.asTransient(this.classify(error)), Math.max(beganAt, lastByteAt ?? 0));
			}
		}
	}

	// Bytes of a response

	/** The segment awaits a comparison with the bytes around it. */
	track(segment: Segment): void {
		this.#unproven.add(segment);
	}

	/** The segment has ended: no further byte can contradict it. */
	release(segment: Segment): void {
		if (this.#unproven.delete(segment)) {
			this.#context.target.identified();
		}
	}

	/** Call before a write of bytes that begin at `offset`: a reader must not pass their end before the comparison. */
	adding(segment: Segment, offset: number): void {
		if (!this.isNamed) {
			this.track(segment);
			segment.added ??= {start: offset, end: offset};
		}
	}

	/** Call when the response has repeated cached bytes. */
	matched(segment: Segment, {start, end}: Range): void {
		for (const offset of this.#contradictions.keys()) {
			if (start <= offset && offset < end) {
				this.#contradictions.delete(offset);
			}
		}

		const {file, state} = this.#context;
		const {added} = segment;
		if (added && (end - added.end >= overlapBytes || end === file.present.runEnd(added.end))) {
			segment.added = undefined;
			state.readers.recheck();
			// A part is still to be compared at its other end; a whole response is not read to its end.
			if (segment.isWhole) {
				this.release(segment);
			}
		}
	}

	/** Removes the bytes of a response before cached bytes that it contradicted or did not reach. */
	retract(segment: Segment, error?: unknown): void {
		const {file, state, target} = this.#context;
		const {added} = segment;
		segment.added = undefined;
		if (added && file.present.runEnd(added.end) > added.end) {
			if (error !== undefined) {
				this.#contradictions.set(added.end, error);
			}

			const start = isChange(error) ? added.start : Math.max(added.start, added.end - overlapBytes);
			target.disproved({start, end: added.end});
			state.readers.recheck();
		}
	}

	// Errors

	/** Call for each response with the file. */
	accepted(): void {
		this.#short = undefined;
	}

	/**
	 * A short response may be a refusal, which passes with the connections beside it or with time. The file has changed if
	 * the response repeats and is not empty. After a change, the next attempt must meet it again, however small it is.
	 */
	classify(error: unknown, segment?: Segment): unknown {
		if (error instanceof ShortResponse && this.#mayPass(error, segment)) {
			return new DownStreamError(
				'origin-truncated',
				`${this.#context.host.name} responds with ${error.bytes} bytes in place of the file`,
				{cause: error},
			);
		}

		if (isChange(error)) {
			this.#cachedCheck.require('thorough');
		}

		return error;
	}

	#mayPass(error: ShortResponse, segment: Segment | undefined): boolean {
		const {count = 0} = this.#short ?? {};
		// Segments share a check and its error.
		if (error !== this.#short?.error) {
			this.#short = {error, count: count + 1};
		}

		const othersWork = segment !== undefined && this.#context.othersWork(segment);
		return error.bytes === 0 || othersWork || count < maxShortResponses;
	}

	/** A page or an empty response is transient if the source has worked in this run and no new link is available. */
	asTransient(error: unknown): unknown {
		const {hasWorked, services, record} = this.#context;
		const isPage =
			error instanceof DownStreamError &&
			(error.code === 'origin-sent-page' || error.status === 204 || error.status === 205);
		return isPage && hasWorked && !services.newLink(record)
			? new DownStreamError('origin-busy', error.message, {cause: error})
			: error;
	}

	#newCheck(): CachedVersionCheck {
		const {file, record, state} = this.#context;
		const hasChanged = record.error?.code === 'origin-changed';
		return new CachedVersionCheck(
			file.present.size > 0 ? (hasChanged ? 'thorough' : 'brief') : undefined,
			state.ending,
		);
	}
}

function isChange(error: unknown): boolean {
	return error instanceof DownStreamError && error.code === 'origin-changed';
}
