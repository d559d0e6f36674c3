// Rate limits: players have priority, and all connections together stay within `limit` bytes per second.
import {setTimeout as sleep} from 'node:timers/promises';

/** Background connections pause while a player waits, but not long enough for origins to close them. */
const longestYieldMs = 1000;
/** Milliseconds between two checks of a paused connection whether it serves a player now. */
const lookMs = 50;
/** Milliseconds of the limit: the length of a slice, and the most that accumulates while nothing is taken. */
const burstMs = 50;
/** Minimum bytes of a slice. */
const minSlice = 1024;

export type Stop = {
	readonly signal: AbortSignal;
	/** Aborted when a wait must end at once. */
	readonly urgency: AbortSignal;
};

/** The request of a connection for bytes of the limit. */
type Taking = {
	readonly bytes: number;
	readonly servesPlayer: () => boolean;
	/** Called with the number of bytes granted. */
	readonly taken: (bytes: number) => void;
};

export class Bandwidth {
	readonly #shared: Bandwidth | undefined;
	#limit: number;
	/** In the order of their requests. */
	readonly #takings = new Set<Taking>();
	/** Time at which the bytes taken so far are within the limit, in milliseconds of `performance.now()`. */
	#paidUntil = 0;
	#timer: NodeJS.Timeout | undefined;
	#waitingReaders = 0;
	#playersServed: PromiseWithResolvers<void> | undefined;

	/** Bytes also count against `shared`, and background bytes yield to its players. */
	constructor(limit = Infinity, shared?: Bandwidth) {
		this.#limit = limit;
		this.#shared = shared;
	}

	/** Bytes per second; Infinity for no limit. */
	get limit(): number {
		return this.#limit;
	}

	/** Takes effect at once, for waiting connections too; bytes taken before no longer count. */
	set limit(limit: number) {
		this.#limit = limit;
		this.#paidUntil = 0;
		this.#serve();
	}

	/** This limit or the shared one is finite. */
	get isLimited(): boolean {
		return this.slice < Infinity;
	}

	/** The largest number of bytes to take at once. */
	get slice(): number {
		return sliceAt(Math.min(this.#limit, this.#shared?.limit ?? Infinity));
	}

	/** A player waits for bytes until the returned function is called. */
	playerWaits(): () => void {
		if (this.#waitingReaders++ === 0) {
			this.#playersServed = withResolvers<void>();
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
	 * Call before bytes are stored. Resolves with the number of bytes granted, at most `slice`. Connections that serve
	 * players have priority. Rejects when `stop.signal` aborts; resolves at once when `stop.urgency` aborts.
	 */
	async take(bytes: number, servesPlayer: () => boolean, stop: Stop): Promise<number> {
		let granted = Math.min(bytes, this.slice);
		for (const each of [this, this.#shared]) {
			if (each && each.#limit < Infinity) {
				granted = await each.#take(granted, servesPlayer, stop);
			}
		}

		return granted;
	}

	/** Call after each slice. Resolves when no player waits, or the connection serves one. Stops as `take`. */
	async yieldToPlayers(servesPlayer: () => boolean, stop: Stop): Promise<void> {
		const shared = this.#shared ?? this;
		const until = performance.now() + longestYieldMs;
		while (
			shared.#waitingReaders > 0 &&
			!servesPlayer() &&
			!stop.urgency.aborted &&
			performance.now() < until
		) {
			await waitFor(lookMs, stop, shared.#playersServed?.promise);
		}
	}

	async #take(bytes: number, servesPlayer: () => boolean, {signal, urgency}: Stop): Promise<number> {
		signal.throwIfAborted();
		if (urgency.aborted) {
			return bytes;
		}

		const {promise, resolve} = withResolvers<number>();
		const taking = {bytes, servesPlayer, taken: resolve};
		const stopped = () => resolve(bytes);
		this.#takings.add(taking);
		signal.addEventListener('abort', stopped);
		urgency.addEventListener('abort', stopped);
		this.#serve();
		const granted = await promise;
		this.#takings.delete(taking);
		signal.removeEventListener('abort', stopped);
		urgency.removeEventListener('abort', stopped);
		signal.throwIfAborted();
		return granted;
	}

	/**
	 * A token bucket of `burstMs`. Order and slice are decided at the last moment: a player may have connected, or the
	 * limit may have fallen.
	 */
	#serve(): void {
		clearTimeout(this.#timer);
		while (this.#takings.size > 0) {
			const now = performance.now();
			const early = this.#limit === Infinity ? 0 : this.#paidUntil - now;
			if (early > 0) {
				this.#timer = setTimeout(() => this.#serve(), Math.ceil(early));
				return;
			}

			const first = this.#first;
			this.#takings.delete(first);
			const bytes = Math.min(first.bytes, sliceAt(this.#limit));
			this.#paidUntil = Math.max(this.#paidUntil, now - burstMs) + (bytes * 1000) / this.#limit;
			first.taken(bytes);
		}
	}

	/** The request of a connection that serves a player, else the oldest one. */
	get #first(): Taking {
		for (const taking of this.#takings) {
			if (taking.servesPlayer()) {
				return taking;
			}
		}

		const [first] = this.#takings;
		return first!;
	}
}

/** Bytes. */
function sliceAt(limit: number): number {
	return limit === Infinity ? Infinity : Math.max(minSlice, Math.floor((limit * burstMs) / 1000));
}

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
function withResolvers<T>(): PromiseWithResolvers<T> {
	let resolve!: (value: T) => void;
	const promise = new Promise<T>(settle => {
		resolve = settle;
	});
	return {promise, resolve};
}
