// Verifies bytes that another program may have changed: each block is checked against its checksum before it is
// trusted.
import {turns} from '../../turns.ts';
import type {Checked} from './block-checksums.ts';
import {RangeSet, type Range} from './range-set.ts';

/** Serializes background checks across all downloads, one block at a time. Players do not queue here. */
const inBackground = turns();

export class Doubt {
	readonly #present: Iterable<Range>;
	readonly #isIntact: (checked: Checked) => Promise<boolean>;
	readonly #onDamaged: (range: Range) => Promise<void>;
	/** In order. */
	readonly #checked: readonly Checked[];
	readonly #unproven: RangeSet;
	readonly #total: number;
	readonly #running = new Map<number, Promise<void>>();
	/** The lost ranges. */
	readonly damaged = new RangeSet();

	/** `checked` lists the verifiable ranges in order. `onDamaged` turns a range into a hole. */
	constructor(
		present: Iterable<Range>,
		isIntact: (checked: Checked) => Promise<boolean>,
		checked: readonly Checked[],
		onDamaged: (range: Range) => Promise<void>,
	) {
		this.#present = present;
		this.#isIntact = isIntact;
		this.#checked = checked;
		this.#unproven = new RangeSet(checked);
		this.#total = this.#unproven.size;
		this.#onDamaged = onDamaged;
	}

	/** Verifies the range. Rejects with `disk-failed`, or as `onDamaged` does. */
	async prove({start, end}: Range): Promise<void> {
		for (let at = this.#next(start); at < end; at = this.#next(at)) {
			await this.#proveAt(at);
		}
	}

	/** Verifies everything in the background. Rejects as `prove` does, or with the signal's reason. */
	async proveAll(signal: AbortSignal, onProgress: (fraction: number) => void): Promise<void> {
		for (let at = this.#next(0); at < Infinity; at = this.#next(at)) {
			signal.throwIfAborted();
			const offset = at;
			await inBackground(async () => (signal.aborted ? undefined : this.#proveAt(offset)));
			onProgress(1 - this.#unproven.size / this.#total);
		}
	}

	/** Discards all bytes without a checksum. Rejects as `onDamaged` does. */
	async loseUnchecked(): Promise<void> {
		for (const run of [...this.#present]) {
			for (const range of [...this.#unproven.holes(run)]) {
				await this.#discard(range);
			}
		}
	}

	/** Abandons the remaining checks. */
	end(): void {
		this.#unproven.remove({start: 0, end: Infinity});
	}

	#next(offset: number): number {
		return this.#unproven.nextPresent(offset);
	}

	async #proveAt(offset: number): Promise<void> {
		const index = this.#checked.findLastIndex(({start, end}) => start <= offset && offset < end);
		const checked = this.#checked[index]!;
		let running = this.#running.get(index);
		if (!running) {
			running = this.#proveOne(checked).finally(() => this.#running.delete(index));
			this.#running.set(index, running);
		}

		return running;
	}

	async #proveOne(checked: Checked): Promise<void> {
		const isIntact = await this.#isIntact(checked);
		this.#unproven.remove(checked);
		if (!isIntact) {
			await this.#discard({start: checked.start, end: checked.end});
		}
	}

	async #discard(range: Range): Promise<void> {
		this.damaged.add(range);
		await this.#onDamaged(range);
	}
}
