// Keeps two versions of the file apart: decides when cached bytes are compared with the origin's, and what a difference
// means.
import {DownStreamError} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import type {OriginResponse} from '../origin/data-source.ts';
import type {FetchContext} from './fetch-context.ts';
import {mayMeanTooMany} from './refusals.ts';
import type {Segment} from './segments.ts';
import {
	CachedVersionCheck,
	compareOneSample,
	examineSuspicion,
	refusePage,
	type Comparison,
} from '../version/version-check.ts';
import {overlapBytes} from './compared-writes.ts';
import {
	isChange,
	refuseOtherSize,
	ShortResponse,
	suspicionOf,
	type CachedVersion,
	type Suspicion,
} from '../version/version-labels.ts';

/** Milliseconds without a byte after which cached bytes are compared again, even with a strong ETag. */
const trustMs = 60_000;
/** Consecutive short responses that may be refusals. */
const maxShortResponses = 3;

export class VersionGuard {
	readonly #context: FetchContext;
	readonly #exclusively: (act: () => Promise<void>) => Promise<void>;
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

	/** Call for each response with the file, and when another source begins. */
	forgetShortResponses(): void {
		this.#short = undefined;
	}

	/** Call when another version begins. Its cached bytes are `proven` to be the source's, or there are none. */
	begin(proven: boolean): void {
		this.forgetShortResponses();
		this.#cachedCheck.stop();
		this.#cachedCheck = this.#newCheck(proven);
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

	get #cachedVersion(): CachedVersion {
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

	/** The cached bytes and their version now, to compare with samples of a source. */
	comparison(signal: AbortSignal, source = this.#context.sampled()): Comparison {
		return {file: this.#context.file, source, cached: this.#cachedVersion, signal};
	}

	/** Bytes that a request repeats at each end, to compare a response without a strong ETag. */
	get overlap(): number {
		const {state, acceptsRanges, isNamed} = this.#context;
		return isNamed || !state.hasFileInfo || !acceptsRanges ? 0 : overlapBytes;
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
		const {file, acceptsRanges, state} = this.#context;
		if (file.present.size === 0 || !acceptsRanges) {
			return undefined;
		}

		const lastSign = Math.max(this.#checkedAt, state.lastByteAt ?? 0);
		if (Date.now() - lastSign > trustMs) {
			this.#cachedCheck.require('brief');
		}

		if (!this.#cachedCheck.isNeeded) {
			return undefined;
		}

		const suspicion = await this.#cachedCheck.run(this.comparison(signal));
		this.#checkedAt = Date.now();
		return suspicion;
	}

	compareSample(signal: AbortSignal): Promise<Suspicion | undefined> {
		return compareOneSample(this.comparison(signal));
	}

	/**
	 * Compares a sample while a response is open and none of its bytes is stored: if the cached bytes match now, the response
	 * began with the same version.
	 */
	compareBeside(signal: AbortSignal): Promise<Suspicion | undefined> {
		return this.#beside(() => compareOneSample(this.comparison(signal, this.#context.sampledBeside)));
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
		if (!this.#context.state.hasFileInfo) {
			return undefined;
		}

		const cached = this.#cachedVersion;
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
		const {record, recordFile, target} = this.#context;
		const {label, was, is} = suspicion;
		const beganAt = Date.now();
		Logger.info(`${record.id}: ${label} ${was} is ${is} now; comparing samples`);
		try {
			await examineSuspicion(this.comparison(signal), suspicion);
			Logger.info(`${record.id}: the ${label} does not keep its value; comparing bytes instead`);
			await recordFile.save({hasUnstableValidator: true});
		} catch (error) {
			if (!signal.aborted) {
				target.failed(this.asTransient(this.classify(error)), beganAt);
			}
		}
	}

	// Errors

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
		const {hasWorked, state} = this.#context;
		const isPage =
			error instanceof DownStreamError &&
			(error.code === 'origin-sent-page' || error.status === 204 || error.status === 205);
		return isPage && hasWorked && !state.hasNewLinks
			? new DownStreamError('origin-busy', error.message, {cause: error})
			: error;
	}

	#newCheck(proven = false): CachedVersionCheck {
		const {file, record, state} = this.#context;
		const depth = record.error?.code === 'origin-changed' ? 'thorough' : 'brief';
		return new CachedVersionCheck(proven || file.present.size === 0 ? undefined : depth, state.ending);
	}
}
