// Rate limits: players come first, and all connections together stay within `limit` bytes per second.
import {setTimeout as sleep} from 'node:timers/promises';

/** Background connections pause while a player waits, but not long enough for origins to close them. */
const longestYieldMs = 1000;

export class Bandwidth {
	readonly #shared: Bandwidth | undefined;
	#limit: number;
	/** Connections that wait because of the limit. */
	readonly #waiting = new Set<() => void>();
	#waitingReaders = 0;
	#playersServed: PromiseWithResolvers<void> | undefined;
	/** When the consumed bytes are within the limit again, in milliseconds of `performance.now()`. */
	#playersUntil = 0;
	#allUntil = 0;

	/** Bytes also count against `shared`, and background bytes yield to its players. */
	constructor(limit = Infinity, shared?: Bandwidth) {
		this.#limit = limit;
		this.#shared = shared;
	}

	/** Bytes per second; Infinity for no limit. */
	get limit(): number {
		return this.#limit;
	}

	/** Takes effect at once, for waiting connections too; bytes consumed before no longer count. */
	set limit(limit: number) {
		this.#limit = limit;
		this.#playersUntil = 0;
		this.#allUntil = 0;
		for (const goOn of this.#waiting) {
			goOn();
		}
	}

	/** This limit holds, or the shared one. */
	get isLimited(): boolean {
		return Math.min(this.#limit, this.#shared?.limit ?? Infinity) < Infinity;
	}

	/** A player waits for bytes until the returned function is called. */
	playerWaits(): () => void {
		if (this.#waitingReaders++ === 0) {
			this.#playersServed = withResolvers();
		}

		let over = false;
		return () => {
			if (!over && --this.#waitingReaders === 0) {
				this.#playersServed?.resolve();
			}

			over = true;
		};
	}

	/**
	 * Call after each chunk, before reading the next. Rejects when `signal` aborts; resolves at once when `urgency`
	 * aborts.
	 */
	async throttle(bytes: number, by: 'player' | 'fill', stop: Stop): Promise<void> {
		const shared = this.#shared ?? this;
		// The longer of the two waits: in sequence they would be slower than either limit.
		const pause = Math.max(this.#pay(bytes, by), shared === this ? 0 : shared.#pay(bytes, by));
		if (pause >= 1) {
			const {promise, resolve} = withResolvers();
			this.#waiting.add(resolve);
			shared.#waiting.add(resolve);
			try {
				await waitFor(pause, stop, promise);
			} finally {
				this.#waiting.delete(resolve);
				shared.#waiting.delete(resolve);
			}
		}

		if (by === 'fill' && shared.#waitingReaders > 0) {
			await waitFor(longestYieldMs, stop, shared.#playersServed?.promise);
		}
	}

	/** Milliseconds until the bytes are within the limit. */
	#pay(bytes: number, by: 'player' | 'fill'): number {
		if (this.#limit === Infinity) {
			return 0;
		}

		const now = performance.now();
		const cost = (bytes * 1000) / this.#limit;
		// Players pay for the bytes of players, the background pays for all bytes.
		this.#allUntil = Math.max(this.#allUntil, now) + cost;
		if (by === 'player') {
			this.#playersUntil = Math.max(this.#playersUntil, now) + cost;
		}

		return (by === 'player' ? this.#playersUntil : this.#allUntil) - now;
	}
}

type Stop = {readonly signal: AbortSignal; readonly urgency: AbortSignal};

/** Resolves after the time, on the event, or when `urgency` aborts. Rejects when `signal` aborts. */
async function waitFor(milliseconds: number, {signal, urgency}: Stop, event?: Promise<void>): Promise<void> {
	const over = new AbortController();
	const timer = sleep(milliseconds, undefined, {signal: AbortSignal.any([signal, urgency, over.signal])});
	try {
		await Promise.race([event ?? timer, timer]);
	} catch {
		signal.throwIfAborted();
	} finally {
		timer.catch(() => undefined);
		over.abort();
	}
}

// Promise.withResolvers is not in Node 20.
type PromiseWithResolvers<T> = {promise: Promise<T>; resolve: (value: T) => void};
function withResolvers(): PromiseWithResolvers<void> {
	let resolve!: () => void;
	const promise = new Promise<void>(settle => {
		resolve = settle;
	});
	return {promise, resolve};
}
