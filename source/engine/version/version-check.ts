// Compares samples of the cached bytes with the origin's: before bytes are added, and when labels differ.
import {setTimeout as delay} from 'node:timers/promises';
import type {Range} from '../store/range-set.ts';
import {
	closeResponse,
	firstByte,
	isTooFar,
	provenSamplesOf,
	responseMatches,
	sampleAt,
	samplesOf,
	sampleSize,
} from './cached-samples.ts';
import {
	bytesChanged,
	labelChanged,
	labels,
	refuseOtherSize,
	sizeChange,
	suspicionOf,
	type CachedVersion,
	type Suspicion,
} from './version-labels.ts';
import type {OriginResponse, DataSource} from '../origin/data-source.ts';
import {isPage, correctedType, fileName} from '../origin/file-info.ts';
import {DownStreamError} from '../../downstream.ts';
import type {Validator} from '../store/record.ts';
import type {SparseFile} from '../store/sparse-file.ts';

/** `deep`: the label has disappeared. `thorough`: a change was seen, perhaps of a few bytes. */
type CheckDepth = 'brief' | 'deep' | 'thorough';
/** Samples between the ends of the cached bytes. */
const sampleCounts: Readonly<Record<CheckDepth, number>> = {brief: 1, deep: 6, thorough: 32};
/** Minimum samples that must match before a label that flips counts as unstable. */
const minAgreeing = 3;
/** Milliseconds before the last samples of a suspicion: dates have a resolution of one second. */
const datePauseMs = 1100;
const samplesAfterPause = 2;

/** Enough to tell a page from a file. */
const firstPiece: Range = {start: 0, end: sampleSize};

/** Cached bytes, and the source that they are compared with. */
export type Comparison = {
	readonly file: SparseFile;
	readonly source: DataSource;
	readonly cached: CachedVersion;
	readonly signal: AbortSignal;
};

/** Throws `origin-sent-page` for a page in place of the file: a login, an error or a portal is no version of it. */
export async function refusePage(
	cached: CachedVersion,
	response: OriginResponse,
	{url}: DataSource,
): Promise<void> {
	const {isPage, info} = response;
	if (isPage && info.type !== cached.type && info.size !== cached.size) {
		await closeResponse(response);
		throw new DownStreamError(
			'origin-sent-page',
			`${new URL(url).host} sent a web page instead of the file; the link may have expired`,
		);
	}
}

/**
 * Examines a suspicion by several requests, each on a new connection, which may lead to another server of the origin.
 * Resolves if the label does not keep its value while samples of the cached bytes match: it identifies no version.
 * Rejects with `origin-changed` if the new value stays, everywhere or where it was found, or if bytes differ, with the
 * errors of the source, or with the signal's reason.
 */
export async function examineSuspicion(comparison: Comparison, suspicion: Suspicion): Promise<void> {
	const {file, source, signal} = comparison;
	const {label, was, is, at} = suspicion;
	const samples = await provenSamplesOf(file, present => samplesOf(present, sampleCounts.deep));
	// Without cached bytes, only labels can be compared.
	const hasCached = samples.length > 0;
	const ranges = Array.from(
		{length: Math.max(samples.length, minAgreeing + samplesAfterPause)},
		(_, index) => samples[index % samples.length] ?? firstByte,
	);
	const pauseAt = Math.max(1, ranges.length - samplesAfterPause);
	let flips = false;
	const prepare = async (index: number) => {
		if (index === pauseAt && !flips) {
			await delay(datePauseMs, undefined, {signal});
		}

		source.closeIdle?.();
	};
	let agreeing = 0;
	// A server that has not been asked may have another file behind its label.
	let othersAgree = false;
	for await (const [{validator}] of agreeingResponses(comparison, ranges, prepare)) {
		agreeing++;
		flips ||= labels[label](validator) !== is;
		othersAgree ||= labels[label](validator) !== was;
		if (flips && othersAgree && agreeing >= minAgreeing) {
			return;
		}
	}

	if (flips && hasCached && !othersAgree) {
		// The other label may belong to other bytes, such as old parts in a cache beside new ones.
		flips = await isOnceOther(
			comparison,
			{start: at, end: at + 1},
			validator => labels[label](validator) === is,
		);
	}

	if (!flips) {
		throw labelChanged(suspicion, hasCached);
	}
}

/** Whether any of several responses for the range does not meet the condition, each on a new connection. */
async function isOnceOther(
	{source, cached, signal}: Comparison,
	range: Range,
	condition: (validator: Validator) => boolean,
): Promise<boolean> {
	for (let count = 0; count < minAgreeing + samplesAfterPause; count++) {
		source.closeIdle?.();
		const response = await source.open({range, ranged: true, signal});
		await refusePage(cached, response, source);
		await closeResponse(response);
		refuseOtherSize(cached, response);
		if (!condition(response.validator)) {
			return true;
		}
	}

	return false;
}

/**
 * Yields the origin's response to each sample of the cached bytes once its size and bytes match. Throws `origin-changed`
 * where they do not. An origin without ranges is read for the first sample only, and not at all if that is far.
 */
export async function* agreeingResponses(
	{file, source, cached, signal}: Comparison,
	samples: readonly Range[],
	prepare?: (index: number) => Promise<void>,
): AsyncGenerator<[response: OriginResponse, isCompared: boolean], void, undefined> {
	let acceptsRanges = true;
	for (const [index, sample] of samples.entries()) {
		await prepare?.(index);
		const range = acceptsRanges ? sample : samples[0]!;
		const response = await source.open({range, ranged: true, signal});
		await refusePage(cached, response, source);
		const change = sizeChange(cached, response);
		const isComparable = change === undefined && file.present.size > 0;
		const agrees = isComparable && (await responseMatches(file, range, response));
		if (!isComparable) {
			await closeResponse(response);
		}

		refuseOtherSize(cached, response);
		if (isComparable && !agrees) {
			throw response.acceptsRanges && response.range.end < range.end
				? new DownStreamError('origin-truncated', `${new URL(source.url).host} sent less than requested`)
				: bytesChanged(cached, response);
		}

		acceptsRanges &&= response.acceptsRanges;
		yield [response, isComparable && !isTooFar(range, response)];
	}
}

/**
 * Resolves with the first suspicion that the responses raise, and whether all samples were compared. Rejects as
 * `agreeingResponses` throws.
 */
async function compareSamples(
	comparison: Comparison,
	samples: readonly Range[],
): Promise<{suspicion?: Suspicion; areCompared: boolean}> {
	let areCompared = true;
	for await (const [response, isCompared] of agreeingResponses(comparison, samples)) {
		areCompared &&= isCompared;
		const suspicion = suspicionOf(comparison.cached, response);
		if (suspicion) {
			return {suspicion, areCompared};
		}
	}

	return {areCompared};
}

/**
 * Resolves with whether the source sends a web page or JSON document now. Rejects with its errors, or the signal's
 * reason.
 */
export async function sendsPage(source: DataSource, signal: AbortSignal): Promise<boolean> {
	const {info, body} = await source.open({range: firstPiece, ranged: true, signal});
	let type = info.type;
	for await (const bytes of body) {
		type = (await correctedType(fileName({url: new URL(source.url)}), type, bytes)) ?? type;
		break;
	}

	return isPage(type, info.size);
}

/** Compares one sample at a random place: repeated calls leave no place unseen. */
export async function compareOneSample(comparison: Comparison): Promise<Suspicion | undefined> {
	const samples = await provenSamplesOf(comparison.file, present =>
		present.size > 0 ? [sampleAt(present, Math.random())] : [],
	);
	const {suspicion} = await compareSamples(comparison, samples);
	return suspicion;
}

/**
 * Cached bytes of an earlier run, or from before a long pause, may be of another version than the origin's: samples are
 * compared before any byte is added. Concurrent calls share one check.
 */
export class CachedVersionCheck {
	readonly #ending: AbortSignal;
	/** Number of samples between the ends; undefined while no check is needed. */
	#samples: number | undefined;
	#running: Promise<Suspicion | undefined> | undefined;
	#abort = new AbortController();

	/** A running check ends with `ending` or by `stop`, not with its first caller. */
	constructor(needed: CheckDepth | undefined, ending: AbortSignal) {
		this.#ending = ending;
		if (needed) {
			this.require(needed);
		}
	}

	get isNeeded(): boolean {
		return this.#samples !== undefined;
	}

	require(depth: CheckDepth): void {
		this.#samples = Math.max(this.#samples ?? 0, sampleCounts[depth]);
	}

	/** Rejects with `origin-changed`, the errors of the source, or the signal's reason. */
	async run(comparison: Comparison): Promise<Suspicion | undefined> {
		const {signal} = comparison;
		if (this.#samples === undefined) {
			return undefined;
		}

		signal.throwIfAborted();
		this.#running ??= this.#run(comparison, this.#samples);
		return orAborted(this.#running, signal);
	}

	/** Ends the running check: no segment waits for it. */
	stop(): void {
		this.#abort.abort();
		this.#running = undefined;
	}

	async #run(comparison: Comparison, between: number): Promise<Suspicion | undefined> {
		const abort = new AbortController();
		this.#abort = abort;
		const signal = AbortSignal.any([this.#ending, abort.signal]);
		try {
			const samples = await provenSamplesOf(comparison.file, present => samplesOf(present, between));
			const {suspicion, areCompared} = await compareSamples({...comparison, signal}, samples);
			// Meanwhile, a deeper check may have been required.
			if (suspicion === undefined && areCompared && this.#samples === between) {
				this.#samples = undefined;
			}

			return suspicion;
		} finally {
			if (this.#abort === abort) {
				this.#running = undefined;
			}
		}
	}
}

/** Rejects with the signal's reason as soon as it aborts; the promise keeps running. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	let abort!: () => void;
	const aborted = new Promise<never>((_, reject) => {
		abort = () => reject(signal.reason);
		signal.addEventListener('abort', abort, {once: true});
	});
	try {
		return await Promise.race([promise, aborted]);
	} finally {
		signal.removeEventListener('abort', abort);
	}
}
