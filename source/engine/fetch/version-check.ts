// Whether a response is of the same version as the cached bytes. Two versions must never mix.
import {setTimeout as delay} from 'node:timers/promises';
import {DownStreamError} from '../../downstream.ts';
import type {DataSource, OriginResponse} from '../origin/data-source.ts';
import {correctedType, fileName, isPage} from '../origin/file-info.ts';
import type {Validator} from '../store/record.ts';
import type {PresentSet, Range} from '../store/range-set.ts';
import type {SparseFile} from '../store/sparse-file.ts';

/** Bytes of one sample. */
const sampleSize = 4096;
/** Samples between the ends of the cached bytes, by occasion. */
const sampleCounts = {newPlace: 1, suspicion: 6, acceptance: 32};
/** `deep`: the label is gone. `thorough`: a change was seen, and may have touched a few bytes alone. */
type CheckDepth = 'brief' | 'deep' | 'thorough';
const checkSamples: Readonly<Record<CheckDepth, number>> = {brief: 1, deep: 6, thorough: 32};
/** Samples that must match before a label that flips is unstable. */
const minAgreeing = 3;
/** Milliseconds before the last samples of a suspicion: dates have a resolution of one second. */
const datePauseMs = 1100;
const samplesAfterPause = 2;
/** Maximum bytes to read before a sample from an origin without ranges. */
const maxSkipped = 16 * 1024 * 1024;

const firstByte: Range = {start: 0, end: 1};
/** Enough to tell a page from a file. */
const firstPiece: Range = {start: 0, end: sampleSize};

const differingBytes = 'its bytes differ from those that are here';

export type CachedVersion = {
	/** MIME type; undefined while unknown. */
	readonly type: string | undefined;
	/** Bytes; Infinity while unknown. */
	readonly size: number;
	/** Bytes; where the size is unknown, the end of the last cached byte. */
	readonly minSize: number;
	readonly validator: Validator;
	/** The validator has proven to name nothing: only size and bytes count. */
	readonly isUnstable: boolean;
};

type LabelName = 'ETag' | 'date';

/** Weak comparison of ETags (RFC 9110 section 8.8.3.2). */
const labels: Readonly<Record<LabelName, (validator: Validator) => string | undefined>> = {
	ETag: ({etag, weakEtag}) => etag ?? weakEtag?.replace(/^W\//, ''),
	date: ({lastModified}) => lastModified,
};

/** A label that differs behind the same size. It proves a change only if the new value stays. */
export type Suspicion = {readonly label: LabelName; readonly was: string; readonly is: string};

/** Throws `origin-sent-page` for a page in place of the file: a login, an error or a portal is no version of it. */
export async function refusePage(
	held: CachedVersion,
	answer: OriginResponse,
	{url}: DataSource,
): Promise<void> {
	const {isPage, info, range} = answer;
	if (isPage && info.type !== held.type && info.size !== held.size) {
		// Closes the connection.
		await hasHeldBytes(undefined, range, answer);
		throw new DownStreamError(
			'origin-sent-page',
			`${new URL(url).host} sent a web page instead of the file; the link may have expired`,
		);
	}
}

/** Bytes: so short a response in place of a longer file may be a refusal in words. */
const longestRefusal = 4096;

/** A whole response of another size, so short that it may be no version of the file. */
export class ShortResponse extends DownStreamError {
	readonly bytes: number;

	constructor(change: string, bytes: number) {
		super('origin-changed', changeMessage(change));
		this.bytes = bytes;
	}
}

/** Throws `origin-changed` where the size contradicts the cached version. */
export function refuseOtherSize(held: CachedVersion, response: OriginResponse): void {
	const change = sizeChange(held, response);
	if (change !== undefined) {
		const {info, acceptsRanges} = response;
		throw !acceptsRanges && info.size < longestRefusal
			? new ShortResponse(change, info.size)
			: originChanged(change);
	}
}

/** How the size contradicts the cached version, in words; undefined if it does not. */
function sizeChange(held: CachedVersion, {info}: OriginResponse): string | undefined {
	if (held.size !== Infinity && info.size !== Infinity && info.size !== held.size) {
		return `it had ${held.size} bytes and has ${info.size} now`;
	}

	return info.size < held.minSize
		? `it had at least ${held.minSize} bytes and has ${info.size} now`
		: undefined;
}

/** Equal strong ETags suffice; otherwise every label that both have must be equal (RFC 9110 section 8.8). */
export function suspicionOf(held: CachedVersion, {validator}: OriginResponse): Suspicion | undefined {
	if (held.isUnstable) {
		return undefined;
	}

	const areStrong = held.validator.etag !== undefined && validator.etag !== undefined;
	for (const label of areStrong ? (['ETag'] as const) : (['ETag', 'date'] as const)) {
		const was = labels[label](held.validator);
		const is = labels[label](validator);
		if (was !== undefined && is !== undefined && was !== is) {
			return {label, was, is};
		}
	}

	return undefined;
}

function inWords({label, was, is}: Suspicion): string {
	return `its ${label} was ${was} and is ${is} now`;
}

/** Describes a response whose bytes differ. */
function differenceOf(held: CachedVersion, response: OriginResponse): string {
	const suspicion = suspicionOf(held, response);
	return suspicion ? `${inWords(suspicion)}, and ${differingBytes}` : differingBytes;
}

/** `bytesAgree`: samples of the cached bytes match the origin's. */
export function originChanged(change: string, bytesAgree = false): DownStreamError {
	const samples = bytesAgree ? '; samples of the bytes agree' : '';
	return new DownStreamError('origin-changed', changeMessage(`${change}${samples}`), {bytesAgree});
}

function changeMessage(change: string): string {
	return `The file changed on the server (${change}); what is here is kept`;
}

/**
 * Examines a suspicion by several requests, each on a new connection, which may lead to another server of the origin.
 * Resolves if the label does not keep its value while samples of the cached bytes match: it names nothing. Rejects with
 * `origin-changed` if the new value stays or bytes differ, with the errors of the source, or with the signal's reason.
 */
export async function examineSuspicion(
	file: SparseFile,
	source: DataSource,
	held: CachedVersion,
	suspicion: Suspicion,
	signal: AbortSignal,
): Promise<void> {
	const {label, was, is} = suspicion;
	const samples = await provenSamplesOf(file, present => samplesOf(present, sampleCounts.suspicion));
	// Without cached bytes, only labels can be compared.
	const isHeld = samples.length > 0;
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
	for await (const [{validator}] of agreeingResponses(file, source, held, ranges, signal, prepare)) {
		agreeing++;
		flips ||= labels[label](validator) !== is;
		othersAgree ||= labels[label](validator) !== was;
		if (flips && othersAgree && agreeing >= minAgreeing) {
			return;
		}
	}

	if (!flips) {
		throw originChanged(inWords(suspicion), isHeld);
	}
}

/**
 * Yields the origin's response to each sample of the cached bytes once its size and bytes match. Throws `origin-changed`
 * where they do not. An origin without ranges is read for the first sample only, and not at all if that is far.
 */
async function* agreeingResponses(
	file: SparseFile,
	source: DataSource,
	held: CachedVersion,
	samples: readonly Range[],
	signal: AbortSignal,
	prepare?: (index: number) => Promise<void>,
): AsyncGenerator<[response: OriginResponse, isCompared: boolean], void, undefined> {
	let acceptsRanges = true;
	for (const [index, sample] of samples.entries()) {
		await prepare?.(index);
		const range = acceptsRanges ? sample : samples[0]!;
		const response = await source.open({range, ranged: true, signal});
		await refusePage(held, response, source);
		const change = sizeChange(held, response);
		const isComparable = change === undefined && file.present.size > 0;
		const agrees = await hasHeldBytes(isComparable ? file : undefined, range, response);
		refuseOtherSize(held, response);
		if (isComparable && !agrees) {
			throw response.acceptsRanges && response.range.end < range.end
				? new DownStreamError(
						'origin-truncated',
						`${new URL(source.url).host} answers with less than was asked for`,
					)
				: originChanged(differenceOf(held, response));
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
	file: SparseFile,
	source: DataSource,
	held: CachedVersion,
	samples: readonly Range[],
	signal: AbortSignal,
): Promise<{suspicion?: Suspicion; areCompared: boolean}> {
	let areCompared = true;
	for await (const [response, isCompared] of agreeingResponses(file, source, held, samples, signal)) {
		areCompared &&= isCompared;
		const suspicion = suspicionOf(held, response);
		if (suspicion) {
			return {suspicion, areCompared};
		}
	}

	return {areCompared};
}

/** Whether the source responds with a web page or JSON document now. Rejects with its errors, or the signal's reason. */
export async function sendsPage(source: DataSource, signal: AbortSignal): Promise<boolean> {
	const {info, body} = await source.open({range: firstPiece, ranged: true, signal});
	let type = info.type;
	for await (const bytes of body) {
		type = (await correctedType(fileName({url: new URL(source.url)}), type, bytes)) ?? type;
		break;
	}

	return isPage(type, info.size);
}

/** Compares one sample at a random place: no place stays unseen. */
export async function compareOneSample(
	file: SparseFile,
	source: DataSource,
	held: CachedVersion,
	signal: AbortSignal,
): Promise<Suspicion | undefined> {
	const samples = await provenSamplesOf(file, present =>
		present.size > 0 ? [sampleAt(present, Math.random())] : [],
	);
	const {suspicion} = await compareSamples(file, source, held, samples, signal);
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
		this.#samples = Math.max(this.#samples ?? 0, checkSamples[depth]);
	}

	/** Rejects with `origin-changed`, the errors of the source, or the signal's reason. */
	async run(
		file: SparseFile,
		source: DataSource,
		held: CachedVersion,
		signal: AbortSignal,
	): Promise<Suspicion | undefined> {
		if (this.#samples === undefined) {
			return undefined;
		}

		signal.throwIfAborted();
		this.#running ??= this.#run(file, source, held, this.#samples);
		return orAborted(this.#running, signal);
	}

	/** Ends the running check: no segment waits for it. */
	stop(): void {
		this.#abort.abort();
		this.#running = undefined;
	}

	async #run(
		file: SparseFile,
		source: DataSource,
		held: CachedVersion,
		between: number,
	): Promise<Suspicion | undefined> {
		const abort = new AbortController();
		this.#abort = abort;
		const signal = AbortSignal.any([this.#ending, abort.signal]);
		try {
			const samples = await provenSamplesOf(file, present => samplesOf(present, between));
			const {suspicion, areCompared} = await compareSamples(file, source, held, samples, signal);
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

/**
 * Resolves with the current validator of the file if 32 samples and both ends of the cached bytes match it, and whether
 * its labels flip. Rejects with `origin-changed` if not, or with the errors of the source.
 */
export async function verifyAcceptance(
	file: SparseFile,
	source: DataSource,
	held: CachedVersion,
	signal: AbortSignal,
): Promise<{readonly validator: Validator; readonly isUnstable: boolean}> {
	let first: Validator | undefined;
	let isUnstable = false;
	const samples = await provenSamplesOf(file, present => samplesOf(present, sampleCounts.acceptance));
	for await (const [response, isCompared] of agreeingResponses(file, source, held, samples, signal)) {
		if (!isCompared || (!response.acceptsRanges && samples.length > 1)) {
			throw originChanged('the server gives no parts of it to compare');
		}

		first ??= response.validator;
		isUnstable ||= suspicionOf({...held, validator: first, isUnstable: false}, response) !== undefined;
	}

	return {validator: first ?? {}, isUnstable};
}

/**
 * Resolves with the response of a candidate for the source if its size and samples of the cached bytes match; without
 * cached bytes any file matches. Rejects with `origin-changed`, or with the errors of the source.
 */
export async function verifyReplacement(
	file: SparseFile,
	source: DataSource,
	held: CachedVersion,
	signal: AbortSignal,
): Promise<OriginResponse> {
	const [first = firstByte, ...others] = await provenSamplesOf(file, present =>
		samplesOf(present, sampleCounts.newPlace),
	);
	const place = await source.open({range: first, ranged: true, signal});
	const {info, acceptsRanges} = place;
	const isHeld = file.present.size > 0;
	if (isHeld) {
		await refusePage(held, place, source);
	}

	if (isHeld && (held.size === Infinity ? info.size < held.minSize : held.size !== info.size)) {
		await hasHeldBytes(undefined, first, place);
		const size = info.size === Infinity ? 'does not say its size' : `has ${info.size} bytes`;
		throw otherFile(
			`it ${size}, and this one has ${held.size === Infinity ? `at least ${held.minSize}` : held.size}`,
		);
	}

	if (!isHeld) {
		await hasHeldBytes(undefined, first, place);
		return place;
	}

	// Equal ETags prove nothing: they name versions of one URL (RFC 9110 section 8.8.3). A candidate without ranges is
	// compared byte by byte as it is read again.
	for (const range of acceptsRanges ? [first, ...others] : [first]) {
		const answer = range === first ? place : await source.open({range, ranged: true, signal});
		if (!(await hasHeldBytes(file, range, answer))) {
			throw otherFile(differingBytes);
		}
	}

	return place;
}

function otherFile(difference: string): DownStreamError {
	return new DownStreamError(
		'origin-changed',
		`The file at the new URL is another one (${difference}); nothing is changed`,
	);
}

/** Samples of bytes that are proven to be as written: damage on disk must not look like another version. */
async function provenSamplesOf(file: SparseFile, choose: (present: PresentSet) => Range[]): Promise<Range[]> {
	for (;;) {
		const before = file.present.size;
		const samples = choose(file.present);
		for (const range of samples) {
			await file.doubt?.prove(range);
		}

		if (file.present.size === before) {
			return samples;
		}
	}
}

/** Both ends of the cached bytes, and `between` pieces spread evenly over them, without duplicates. */
function samplesOf(present: PresentSet, between: number): Range[] {
	const samples = new Map<number, Range>();
	for (let index = 0; index <= between + 1 && present.size > 0; index++) {
		const sample = sampleAt(present, index / (between + 1));
		samples.set(sample.start, sample);
	}

	return [...samples.values()];
}

/** The piece at `fraction` (0 to 1) of the cached bytes, which must not be empty. */
function sampleAt(present: PresentSet, fraction: number): Range {
	let before = Math.floor(fraction * (present.size - 1));
	for (const {start, end} of present) {
		if (before < end - start) {
			// Full size where the run is long enough: the last byte is the end of the last sample.
			const from = Math.max(start, Math.min(start + before, end - sampleSize));
			return {start: from, end: Math.min(end, from + sampleSize)};
		}

		before -= end - start;
	}

	throw new RangeError('Nothing is held');
}

function isTooFar({start}: Range, {range}: OriginResponse): boolean {
	return start - range.start > maxSkipped;
}

/** Whether the bytes of the range match the cached ones; without a file none is read. Closes the connection. */
async function hasHeldBytes(
	file: SparseFile | undefined,
	range: Range,
	answer: OriginResponse,
): Promise<boolean> {
	let position = answer.range.start;
	const skips = isTooFar(range, answer);
	for await (const chunk of answer.body) {
		if (!file || skips) {
			break;
		}

		const end = Math.min(position + chunk.length, range.end);
		const start = Math.max(position, range.start);
		if (end > start && !(await isHeld(file, start, chunk.subarray(start - position, end - position)))) {
			return false;
		}

		position += chunk.length;
		if (position >= range.end) {
			break;
		}
	}

	return file !== undefined;
}

/** Rejects with `origin-changed` if the bytes differ from the cached ones. */
export async function compareWithCached(file: SparseFile, offset: number, bytes: Uint8Array): Promise<void> {
	if (!(await isHeld(file, offset, bytes))) {
		throw originChanged(differingBytes);
	}
}

async function isHeld(file: SparseFile, offset: number, bytes: Uint8Array): Promise<boolean> {
	const held = Buffer.allocUnsafeSlow(bytes.length);
	// Fewer where damage has just become a hole, which is fetched again.
	const length = await file.read(offset, held);
	return held.subarray(0, length).equals(bytes.subarray(0, length));
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
