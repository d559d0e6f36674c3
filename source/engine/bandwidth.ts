// Who may take bytes from the network: players first, all together at most `limit` a second.
import {setTimeout as sleep} from 'node:timers/promises';

/** The fill stands still while a player waits, but never so long that origins close its connections. */
const longestYieldMs = 1000;

export class Bandwidth {
	/** Bytes per second; Infinity for no limit. */
	limit: number;
	#waitingReaders = 0;
	#playersServed: PromiseWithResolvers<void> | undefined;
	/** Until when what was taken so far uses up the limit, in milliseconds of `performance.now()`. */
	#playersUntil = 0;
	#allUntil = 0;

	constructor(limit = Infinity) {
		this.limit = limit;
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

	/** To be awaited after each chunk that came, before the next one is read. Rejects when the signal aborts. */
	async took(bytes: number, by: 'player' | 'fill', signal: AbortSignal): Promise<void> {
		if (this.limit !== Infinity) {
			const now = performance.now();
			const cost = (bytes * 1000) / this.limit;
			// Players pay only for what players took; the fill pays for everything.
			this.#allUntil = Math.max(this.#allUntil, now) + cost;
			if (by === 'player') {
				this.#playersUntil = Math.max(this.#playersUntil, now) + cost;
			}

			const pause = (by === 'player' ? this.#playersUntil : this.#allUntil) - now;
			if (pause >= 1) {
				await sleep(pause, undefined, {signal});
			}
		}

		if (by === 'fill' && this.#waitingReaders > 0) {
			const timer = new AbortController();
			const longest = sleep(longestYieldMs, undefined, {signal: AbortSignal.any([signal, timer.signal])});
			try {
				await Promise.race([this.#playersServed?.promise, longest]);
			} finally {
				longest.catch(() => undefined);
				timer.abort();
			}
		}
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
