// Who may take bytes from the network: players first, all together at most `limit` a second.
import {setTimeout as sleep} from 'node:timers/promises';

/** The fill stands still while a player waits, but never so long that origins close its connections. */
const longestYieldMs = 1000;

export class Bandwidth {
	readonly #shared: Bandwidth | undefined;
	#limit: number;
	/** Those who wait because of the limit. */
	readonly #waiting = new Set<() => void>();
	#waitingReaders = 0;
	#playersServed: PromiseWithResolvers<void> | undefined;
	/** Until when what was taken so far uses up the limit, in milliseconds of `performance.now()`. */
	#playersUntil = 0;
	#allUntil = 0;

	/** What is taken of this one is taken of `shared` too, whose players it makes way for. */
	constructor(limit = Infinity, shared?: Bandwidth) {
		this.#limit = limit;
		this.#shared = shared;
	}

	/** Bytes per second; Infinity for no limit. */
	get limit(): number {
		return this.#limit;
	}

	/** Holds at once, also for those that wait; what was taken before is forgiven. */
	set limit(limit: number) {
		this.#limit = limit;
		this.#playersUntil = 0;
		this.#allUntil = 0;
		for (const goOn of this.#waiting) {
			goOn();
		}
	}

	/** A player waits for bytes from now on, until the function that this returns is called. */
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
	 * To be awaited after each chunk that came, before the next one is read. Rejects when `signal` aborts; once `hurry`
	 * does, nothing is waited for.
	 */
	async throttle(bytes: number, by: 'player' | 'fill', stop: Stop): Promise<void> {
		const shared = this.#shared ?? this;
		// The longer of the two waits, not one after the other: together they would be slower than either limit.
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

	/** Milliseconds until that much could be taken within the limit. */
	#pay(bytes: number, by: 'player' | 'fill'): number {
		if (this.#limit === Infinity) {
			return 0;
		}

		const now = performance.now();
		const cost = (bytes * 1000) / this.#limit;
		// Players pay only for what players took; the fill pays for everything.
		this.#allUntil = Math.max(this.#allUntil, now) + cost;
		if (by === 'player') {
			this.#playersUntil = Math.max(this.#playersUntil, now) + cost;
		}

		return (by === 'player' ? this.#playersUntil : this.#allUntil) - now;
	}
}

type Stop = {readonly signal: AbortSignal; readonly urgency: AbortSignal};

/** Until the time is over, or what is waited for came, or hurry is asked for. Rejects when the signal aborts. */
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
