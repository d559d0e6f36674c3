// The running reads of one download: they wait here for bytes.
import type {Bandwidth} from './bandwidth.ts';
import {retain} from '../memory/buffers.ts';
import type {Demand} from './next-segment.ts';
import {Players, type Client, type TrackedPlayer} from './players.ts';
import type {Range} from '../store/range-set.ts';

/** Bytes to request: few after a seek, more for a reader that stays. */
const firstSegment = 512 * 1024;
const firstReadAhead = 1024 * 1024;

type Waiting<T> = {
	/** Milliseconds since the epoch. */
	readonly since: number;
	resolve(value: T): void;
	reject(error: unknown): void;
};

/** Milliseconds of read-ahead that precede pledges. */
export const firstAheadMs = 30_000;

/** Maximum bytes to keep ready ahead of a reader at the offset: in all, and before pledges are served. */
export type ReadAhead = {
	readonly all: (offset: number) => number;
	readonly beforePledges: (offset: number) => number;
};

export class Reader {
	/** Offset of the next byte that it reads. */
	offset: number;
	/** Bytes read without a seek. */
	consumed = 0;
	readonly end: number;
	readonly player: TrackedPlayer;
	/** Set while the reader waits for the byte at `offset`. Resolves with the bytes, or with undefined to recheck. */
	waiting: Waiting<Uint8Array | undefined> | undefined;

	constructor(range: Range, player: TrackedPlayer) {
		this.offset = range.start;
		this.end = range.end;
		this.player = player;
	}

	advance(bytes: number): void {
		this.offset += bytes;
		this.consumed += bytes;
		this.player.offset = this.offset;
	}
}

export class Readers {
	readonly #bandwidth: Bandwidth;
	readonly #players = new Players();
	readonly #readers = new Set<Reader>();
	readonly #fileInfoWaiters = new Set<Waiting<void>>();

	constructor(bandwidth: Bandwidth) {
		this.#bandwidth = bandwidth;
	}

	/** Number of running reads. */
	get size(): number {
		return this.#readers.size;
	}

	/** A reader waits for the first response of the origin. */
	get waitForFileInfo(): boolean {
		return this.#fileInfoWaiters.size > 0;
	}

	/** Offset of the newest reader; 0 without readers. */
	get playhead(): number {
		return [...this.#readers].at(-1)?.offset ?? 0;
	}

	players(now: number): TrackedPlayer[] {
		return this.#players.list(now);
	}

	open(range: Range, client: Client): Reader {
		const reader = new Reader(range, this.#players.join(client, range.start, Date.now()));
		this.#readers.add(reader);
		return reader;
	}

	close(reader: Reader): void {
		this.#readers.delete(reader);
		this.#players.leave(reader.player, Date.now());
	}

	/** The demands of the readers, newest first, limited by `limits` and `segmentSize` (both in bytes). */
	demands(limits: ReadAhead, segmentSize: number): Demand[] {
		return [...this.#readers].toReversed().map(({offset, end, waiting, consumed}) => {
			const ahead = Math.min(limits.all(offset), Math.max(firstReadAhead, 2 * consumed));
			const beforePledges = limits.beforePledges(offset);
			return {
				offset,
				end,
				blocked: waiting !== undefined,
				ahead,
				beforePledges: Math.min(ahead, beforePledges),
				segmentSize: Math.min(segmentSize, Math.max(firstSegment, consumed)),
				pace: (beforePledges * 1000) / firstAheadMs,
			};
		});
	}

	/** True if a reader waits for a byte of the range. */
	waitFor({offset, end}: {offset: number; end: number}): boolean {
		return [...this.#readers].some(
			reader => reader.waiting && reader.offset >= offset && reader.offset < end,
		);
	}

	/**
	 * Waits for the byte at the reader's offset. Registers the reader before it returns: call in the tick that found the
	 * byte missing. Resolves with bytes, or with undefined to recheck; rejects with the signal's reason, or the error
	 * passed to `reject`.
	 */
	async waitForBytes(reader: Reader, signal: AbortSignal): Promise<Uint8Array | undefined> {
		const served = this.#bandwidth.playerWaits();
		reader.player.blockedRequests++;
		try {
			return await settled<Uint8Array | undefined>(signal, waiting => {
				reader.waiting = waiting;
			});
		} finally {
			reader.waiting = undefined;
			reader.player.blockedRequests--;
			served();
		}
	}

	/** Waits for the first response of the origin, in the way of `waitForBytes`. */
	async fileInfo(signal: AbortSignal): Promise<void> {
		let waiter: Waiting<void> | undefined;
		try {
			await settled<void>(signal, waiting => {
				waiter = waiting;
				this.#fileInfoWaiters.add(waiting);
			});
		} finally {
			this.#fileInfoWaiters.delete(waiter!);
		}
	}

	/**
	 * Passes bytes that were just written to the readers that wait for them: each retains the network's own block.
	 * `isReadable`: whether a reader may continue at its offset; else it waits until `recheck`.
	 */
	wake(offset: number, bytes: Uint8Array, isReadable: (reader: Reader) => boolean): void {
		const end = offset + bytes.length;
		for (const reader of this.#readers) {
			if (reader.waiting && reader.offset >= offset && reader.offset < end && isReadable(reader)) {
				retain(bytes);
				reader.waiting.resolve(bytes.subarray(reader.offset - offset, Math.min(reader.end, end) - offset));
				reader.waiting = undefined;
			}
		}
	}

	/** The end of the file became known: readers recheck. */
	recheck(): void {
		for (const {waiting} of this.#readers) {
			waiting?.resolve(undefined);
		}
	}

	identified(): void {
		for (const waiter of this.#fileInfoWaiters) {
			waiter.resolve();
		}
	}

	/**
	 * Rejects the readers whose patience has ended. `waitsUntil`: in milliseconds since the epoch. Returns when the
	 * patience of the next one ends, or Infinity.
	 */
	rejectOverdue(
		waitsUntil: (waiting: {since: number; isAnswered: boolean}) => number,
		error: () => unknown,
	): number {
		const waits = [
			...[...this.#readers].flatMap(({waiting, consumed}) =>
				waiting ? [{waiting, isAnswered: consumed > 0}] : [],
			),
			...[...this.#fileInfoWaiters].map(waiting => ({waiting, isAnswered: false})),
		].map(({waiting, isAnswered}) => ({waiting, until: waitsUntil({since: waiting.since, isAnswered})}));
		const isOverdue = ({until}: {until: number}) => until <= Date.now();
		for (const {waiting} of waits.filter(wait => isOverdue(wait))) {
			waiting.reject(error());
		}

		return Math.min(Infinity, ...waits.filter(wait => !isOverdue(wait)).map(({until}) => until));
	}

	/** Rejects all waiting readers. */
	reject(error: unknown): void {
		for (const {waiting} of this.#readers) {
			waiting?.reject(error);
		}

		for (const waiter of this.#fileInfoWaiters) {
			waiter.reject(error);
		}
	}
}

function settled<T>(signal: AbortSignal, register: (waiting: Waiting<T>) => void): Promise<T> {
	return new Promise<T>((resolve, reject) => {
		const abort = () => reject(signal.reason);
		const release = () => signal.removeEventListener('abort', abort);
		signal.addEventListener('abort', abort, {once: true});
		register({
			since: Date.now(),
			resolve(value) {
				release();
				resolve(value);
			},
			reject(error) {
				release();
				reject(error);
			},
		});
	});
}
