// Whether an answer is of the version of the file that is held: a mixture of two must never come about.
import {DownStreamError} from '../downstream.ts';
import type {DataSource, OriginAnswer, Validator} from './data-source.ts';
import type {Range} from './range-set.ts';
import type {SparseFile} from './sparse-file.ts';

/** How much is compared at each end of what is held, where no strong ETag names its version. */
const sampleSize = 4096;
/** An origin without ranges is not read further than this for the sake of a sample. */
const mostSkipped = 16 * 1024 * 1024;

const differingBytes = 'its bytes differ from those that are here';

export type HeldVersion = {
	/** Bytes; Infinity while unknown. */
	readonly size: number;
	/** Bytes; where the size is unknown, up to the last one that is held. */
	readonly leastSize: number;
	readonly validator: Validator;
};

/**
 * In words, how the answer's version differs from the held one; undefined if it does not. Strong ETags decide; where
 * one of the two has none, Last-Modified with the size does (RFC 9110 section 8.8).
 */
export function versionChange(held: HeldVersion, {info, validator}: OriginAnswer): string | undefined {
	if (held.size !== Infinity && info.size !== Infinity && info.size !== held.size) {
		return `it had ${held.size} bytes and has ${info.size} now`;
	}

	if (info.size < held.leastSize) {
		return `it had at least ${held.leastSize} bytes and has ${info.size} now`;
	}

	const {etag, lastModified} = held.validator;
	if (etag !== undefined && validator.etag !== undefined) {
		return etag === validator.etag ? undefined : `its ETag was ${etag} and is ${validator.etag} now`;
	}

	if (
		lastModified !== undefined &&
		validator.lastModified !== undefined &&
		lastModified !== validator.lastModified
	) {
		return `its date was ${lastModified} and is ${validator.lastModified} now`;
	}

	return undefined;
}

export function originChanged(change: string): DownStreamError {
	return new DownStreamError(
		'origin-changed',
		`The file changed on the server (${change}); what is here is kept`,
	);
}

/**
 * The held bytes may be of another version than the origin's: where no strong ETag names the version of bytes held
 * from an earlier run, samples of them are fetched again and compared before anything is added.
 */
export class HeldProof {
	readonly #ending: AbortSignal;
	#isNeeded: boolean;
	#running: Promise<void> | undefined;
	#abort = new AbortController();

	/** The proof is for all segments, and does not end with the one that began it, but with `ending` or by `stop`. */
	constructor(isNeeded: boolean, ending: AbortSignal) {
		this.#isNeeded = isNeeded;
		this.#ending = ending;
	}

	/** Rejects with `origin-changed`, what the origin rejects with, or the signal's reason. */
	async prove(file: SparseFile, source: DataSource, held: HeldVersion, signal: AbortSignal): Promise<void> {
		if (!this.#isNeeded) {
			return;
		}

		signal.throwIfAborted();
		this.#running ??= this.#prove(file, source, held);
		await orAborted(this.#running, signal);
	}

	/** Nobody waits for it now. */
	stop(): void {
		this.#abort.abort();
		this.#running = undefined;
	}

	async #prove(file: SparseFile, source: DataSource, held: HeldVersion): Promise<void> {
		const abort = new AbortController();
		this.#abort = abort;
		const signal = AbortSignal.any([this.#ending, abort.signal]);
		try {
			for (const range of await provenSamplesOf(file)) {
				const answer = await source.open({range, signal});
				const change = versionChange(held, answer);
				const isSame = await hasHeldBytes(change === undefined ? file : undefined, range, answer);
				if (!isSame) {
					throw originChanged(change ?? differingBytes);
				}
			}

			this.#isNeeded = false;
		} finally {
			if (this.#abort === abort) {
				this.#running = undefined;
			}
		}
	}
}

/**
 * Resolves with what a place that may have the held file says of itself, if its size and samples of the held bytes
 * fit; where nothing is held, any file fits. Rejects with `origin-changed`, or what the origin rejects with.
 */
export async function proveNewPlace(
	file: SparseFile,
	source: DataSource,
	held: HeldVersion,
	signal: AbortSignal,
): Promise<OriginAnswer> {
	const [first = {start: 0, end: 1}, ...others] = await provenSamplesOf(file);
	const place = await source.open({range: first, signal});
	const {info, acceptsRanges} = place;
	const isHeld = file.present.size > 0;
	if (isHeld && (held.size === Infinity ? info.size < held.leastSize : held.size !== info.size)) {
		await hasHeldBytes(undefined, first, place);
		const size = info.size === Infinity ? 'does not say its size' : `has ${info.size} bytes`;
		throw otherFile(
			`it ${size}, and this one has ${held.size === Infinity ? `at least ${held.leastSize}` : held.size}`,
		);
	}

	if (!isHeld) {
		await hasHeldBytes(undefined, first, place);
		return place;
	}

	// Also where the ETags are the same: they name versions of one URL, and say nothing of another one (RFC 9110
	// section 8.8.3). A place without ranges is compared byte by byte as it is read again.
	for (const range of acceptsRanges ? [first, ...others] : [first]) {
		const answer = range === first ? place : await source.open({range, signal});
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

/** Samples of bytes that are as they were written: damage on the disk must not look like another version. */
async function provenSamplesOf(file: SparseFile): Promise<Range[]> {
	for (;;) {
		const samples = samplesOf(file);
		const before = file.present.size;
		for (const range of samples) {
			await file.doubt?.prove(range);
		}

		if (file.present.size === before) {
			return samples;
		}
	}
}

/** The ends of what is held, and a piece of its middle. */
function samplesOf({present}: SparseFile): Range[] {
	const runs = [...present];
	const first = runs[0];
	const last = runs.at(-1);
	const middle = runs[Math.floor(runs.length / 2)];
	if (!first || !last || !middle) {
		return [];
	}

	const start = Math.floor((middle.start + middle.end) / 2);
	return [
		{start: first.start, end: Math.min(first.end, first.start + sampleSize)},
		{start, end: Math.min(middle.end, start + sampleSize)},
		{start: Math.max(last.start, last.end - sampleSize), end: last.end},
	];
}

/** Whether what comes of the range is what is held; without a file it is not read. Closes the connection. */
async function hasHeldBytes(
	file: SparseFile | undefined,
	range: Range,
	answer: OriginAnswer,
): Promise<boolean> {
	let position = answer.range.start;
	const isTooFar = range.start - position > mostSkipped;
	for await (const chunk of answer.body) {
		if (!file || isTooFar) {
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

/** Rejects with `origin-changed` if bytes that came again differ from the held ones. */
export async function compareWithHeld(file: SparseFile, offset: number, bytes: Uint8Array): Promise<void> {
	if (!(await isHeld(file, offset, bytes))) {
		throw originChanged(differingBytes);
	}
}

async function isHeld(file: SparseFile, offset: number, bytes: Uint8Array): Promise<boolean> {
	const held = Buffer.allocUnsafeSlow(bytes.length);
	// Less where damage has just become a hole, which is fetched anew.
	const length = await file.read(offset, held);
	return held.subarray(0, length).equals(bytes.subarray(0, length));
}

/** Rejects with the signal's reason as soon as it aborts; the promise goes on. */
async function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
	let abort!: () => void;
	const aborted = new Promise<never>((_, reject) => {
		abort = () => reject(signal.reason);
		signal.addEventListener('abort', abort, {once: true});
	});
	try {
		await Promise.race([promise, aborted]);
	} finally {
		signal.removeEventListener('abort', abort);
	}
}
