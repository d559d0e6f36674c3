// Assigns the places of the queue, and starts planned exports that are due.
import type {Catalog} from './catalog.ts';
import type {Exports} from './exports.ts';
import type {EngineOptions} from './options.ts';
import {placesOf} from './queue.ts';
import type {StorageAccess} from './store/storage-access.ts';

/** The rest after a slow balance, of thousands of downloads, as a multiple of its duration. */
const restFactor = 9;
/** Milliseconds: a shorter balance needs no rest, and no rest is longer. */
const rest = {from: 1, most: 100};

type Parts = {
	readonly catalog: Catalog;
	readonly exports: Exports;
	readonly access: StorageAccess;
	/** Called after each balance. */
	readonly done: () => void;
};

export class Balance {
	readonly #options: EngineOptions;
	readonly #parts: Parts;
	#isAwake = false;
	/** By `performance.now()`. */
	#restsUntil = -Infinity;
	#timer: NodeJS.Timeout | undefined;
	#hasEnded = false;

	constructor(options: EngineOptions, parts: Parts) {
		this.#options = options;
		this.#parts = parts;
	}

	/** Requests a balance: calls of one tick share it. */
	wake(): void {
		if (this.#isAwake) {
			return;
		}

		this.#isAwake = true;
		const restMs = this.#restsUntil - performance.now();
		if (restMs > 0) {
			this.#timer = setTimeout(() => this.settle(), restMs);
		} else {
			queueMicrotask(() => this.settle());
		}
	}

	/** Runs a requested balance now: a command shows its effect when its promise resolves. */
	settle(): void {
		if (this.#isAwake) {
			clearTimeout(this.#timer);
			this.run();
		}
	}

	end(): void {
		this.#hasEnded = true;
		clearTimeout(this.#timer);
	}

	/** Balances now. */
	run(): void {
		this.#isAwake = false;
		const {catalog, exports, access, done} = this.#parts;
		if (this.#hasEnded || catalog.isOpening) {
			return;
		}

		const began = performance.now();
		const transfers = [...catalog.transfers.values()];
		const {background, pledges, yields} = placesOf(transfers, this.#options.maxActive ?? 3, {
			fill: this.#options.fill,
			isRequested: ({id}) => catalog.isRequested(id),
		});
		for (const transfer of transfers) {
			transfer.setPlaces({
				background: background.has(transfer),
				pledges: pledges.has(transfer),
				yields: yields.has(transfer),
			});
			if (!access.refusal) {
				exports.startPlanned(transfer);
			}
		}

		done();
		const now = performance.now();
		const tookMs = now - began;
		this.#restsUntil = tookMs < rest.from ? -Infinity : now + Math.min(rest.most, restFactor * tookMs);
	}
}
