// Bytes that no strong ETag identifies, from their write until the response has repeated the cached bytes after them.
import type {Range} from '../store/range-set.ts';
import type {FetchContext} from './fetch-context.ts';
import type {Segment} from './segments.ts';
import {isChange} from './version-labels.ts';

/** Bytes that a request without a strong ETag repeats at both ends, for comparison. */
export const overlapBytes = 4096;

export class UncomparedBytes {
	readonly #context: Pick<FetchContext, 'file' | 'state' | 'target'>;
	/** Segments that await a comparison, each with the bytes added since it last matched cached ones. */
	readonly #added = new Map<Segment, Range | undefined>();
	/** Offsets of cached bytes that a response contradicted or did not reach, each with the error. */
	readonly #contradictions = new Map<number, unknown>();

	constructor(context: Pick<FetchContext, 'file' | 'state' | 'target'>) {
		this.#context = context;
	}

	/** No response awaits a comparison with the cached bytes. */
	get areNone(): boolean {
		return this.#added.size === 0;
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
		const ends = [...this.#added.values()].flatMap(added => (added ? [added.end] : []));
		return Math.min(Infinity, ...ends.filter(end => start < end && offset <= end));
	}

	/** The segment awaits a comparison with the bytes around it. */
	track(segment: Segment): void {
		this.#added.set(segment, this.#added.get(segment));
	}

	/** The segment has ended: no further byte can contradict it. */
	release(segment: Segment): void {
		if (this.#added.delete(segment)) {
			this.#context.target.identified();
		}
	}

	/** Call before a write of bytes that begin at `offset`: a reader must not pass their end before the comparison. */
	adding(segment: Segment, offset: number): void {
		this.#added.set(segment, this.#added.get(segment) ?? {start: offset, end: offset});
	}

	/** Call after the write, with its end. */
	added(segment: Segment, end: number): void {
		const added = this.#added.get(segment);
		if (added) {
			this.#added.set(segment, {start: added.start, end});
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
		const added = this.#added.get(segment);
		if (added && (end - added.end >= overlapBytes || end === file.present.runEnd(added.end))) {
			this.#added.set(segment, undefined);
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
		const added = this.#added.get(segment);
		if (!added) {
			return;
		}

		this.#added.set(segment, undefined);
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
