// Writes the bytes of responses. Bytes that no strong ETag identifies must not meet cached ones of another version: until
// their response has repeated the cached bytes after them, readers stop before these.
import type {Range} from '../store/range-set.ts';
import {compareWithCached} from '../version/cached-samples.ts';
import type {FetchContext} from './fetch-context.ts';
import type {Segment} from './segments.ts';
import {isChange} from '../version/version-labels.ts';

/** Bytes that a request without a strong ETag repeats at both ends, for comparison. */
export const overlapBytes = 4096;

export class ComparedWrites {
	readonly #context: FetchContext;
	/** Segments that await a comparison, each with the bytes added since it last matched cached ones. */
	readonly #uncompared = new Map<Segment, Range | undefined>();
	/** Offsets of cached bytes that a response contradicted or did not reach, each with the error. */
	readonly #contradictions = new Map<number, unknown>();
	/** Writes in progress. Bytes that arrive for the same place wait, then are compared. */
	readonly #writes = new Map<Range, Promise<void>>();

	constructor(context: FetchContext) {
		this.#context = context;
	}

	/** No response awaits a comparison with the cached bytes. */
	get areCompared(): boolean {
		return this.#uncompared.size === 0;
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

	/** Whether such a reader may continue at `offset`. */
	isReadable(start: number, offset: number): boolean {
		return !(start < offset && this.#contradictions.has(offset)) && this.#comparedEnd(start, offset) > offset;
	}

	#comparedEnd(start: number, offset: number): number {
		const ends = [...this.#uncompared.values()].flatMap(added => (added ? [added.end] : []));
		return Math.min(Infinity, ...ends.filter(end => start < end && offset <= end));
	}

	/** The segment awaits a comparison with the bytes around it. */
	track(segment: Segment): void {
		this.#uncompared.set(segment, this.#uncompared.get(segment));
	}

	/** The segment has ended: no further byte can contradict it. */
	release(segment: Segment): void {
		if (this.#uncompared.delete(segment)) {
			this.#context.target.identified();
		}
	}

	/**
	 * Stores bytes of the segment's response: writes the missing ones, and compares the others. Rejects with
	 * `origin-changed` if these differ, with `disk-full` or `disk-failed`.
	 */
	async store(segment: Segment, position: number, bytes: Uint8Array): Promise<void> {
		const context = this.#context;
		const end = position + bytes.length;
		for (let at = position; at < end;) {
			const {file} = context;
			// Replaced once the size is known.
			const {present} = file;
			const cachedEnd = Math.min(present.runEnd(at), end);
			if (cachedEnd > at) {
				await compareWithCached(file, at, bytes.subarray(at - position, cachedEnd - position));
				this.#matched(segment, {start: at, end: cachedEnd});
				at = cachedEnd;
			} else {
				const [hole = {start: at, end}] = present.holes({start: at, end});
				const rival = [...this.#writes.keys()].find(({start, end}) => start < hole.end && hole.start < end);
				if (rival) {
					await this.#writes.get(rival);
					continue;
				}

				await this.#write(segment, hole, bytes.subarray(at - position, hole.end - position));
				at = hole.end;
			}

			segment.offset = Math.max(segment.offset, Math.min(at, segment.end));
		}
	}

	async #write(segment: Segment, hole: Range, bytes: Uint8Array): Promise<void> {
		const context = this.#context;
		const {file} = context;
		const isFirst = file.present.size === 0;
		if (!context.isNamed) {
			// A reader must not pass these bytes before the comparison.
			const added = this.#uncompared.get(segment) ?? {start: hole.start, end: hole.start};
			this.#uncompared.set(segment, added);
		}

		const writing = file.write(hole.start, bytes);
		this.#writes.set(
			hole,
			writing.catch(() => undefined),
		);
		try {
			await writing;
		} finally {
			this.#writes.delete(hole);
		}

		const added = this.#uncompared.get(segment);
		if (added) {
			this.#uncompared.set(segment, {start: added.start, end: hole.end});
		}

		context.state.lastByteAt = Date.now();
		context.hasWorked = true;
		context.target.received(hole.start, bytes);
		if (isFirst) {
			// Others waited for bytes to compare with.
			context.wake();
		}
	}

	/** The response has repeated cached bytes. */
	#matched(segment: Segment, {start, end}: Range): void {
		for (const offset of this.#contradictions.keys()) {
			if (start <= offset && offset < end) {
				this.#contradictions.delete(offset);
			}
		}

		const {file, state} = this.#context;
		const added = this.#uncompared.get(segment);
		if (added && (end - added.end >= overlapBytes || end === file.present.runEnd(added.end))) {
			this.#uncompared.set(segment, undefined);
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
		const added = this.#uncompared.get(segment);
		if (!added) {
			return;
		}

		this.#uncompared.set(segment, undefined);
		if (file.present.runEnd(added.end) > added.end) {
			if (error !== undefined) {
				this.#contradictions.set(added.end, error);
			}

			const start = isChange(error) ? added.start : Math.max(added.start, added.end - overlapBytes);
			target.disproved({start, end: added.end});
			state.readers.recheck();
		}
	}

	/** Call when another source or version begins. */
	forgetContradictions(): void {
		this.#contradictions.clear();
	}
}
