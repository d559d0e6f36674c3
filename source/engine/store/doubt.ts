// Bytes that somebody else may have changed: each block is held against its checksum before it is believed.
import type {Checked} from './block-checksums.ts';
import {RangeSet, type Range} from './range-set.ts';

/** Of all downloads together one block is read in the background at a time; players do not queue here. */
let turn: Promise<unknown> = Promise.resolve();

export class Doubt {
	readonly #present: Iterable<Range>;
	readonly #isIntact: (checked: Checked) => Promise<boolean>;
	readonly #onDamaged: (range: Range) => Promise<void>;
	/** In order. */
	readonly #checked: readonly Checked[];
	readonly #unproven: RangeSet;
	readonly #total: number;
	readonly #running = new Map<number, Promise<void>>();
	/** What was lost. */
	readonly damaged = new RangeSet();

	/** `checked` is what can be proven, in order. `onDamaged` makes a hole. */
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

	/** Rejects with `disk-failed`, or what `onDamaged` rejects with. */
	async prove({start, end}: Range): Promise<void> {
		for (let at = this.#next(start); at < end; at = this.#next(at)) {
			await this.#proveAt(at);
		}
	}

	/** Proves all of it, in the background. Rejects as `prove` does, or with the signal's reason. */
	async proveAll(signal: AbortSignal, onProgress: (fraction: number) => void): Promise<void> {
		for (let at = this.#next(0); at < Infinity; at = this.#next(at)) {
			signal.throwIfAborted();
			const offset = at;
			const mine = turn.then(() => (signal.aborted ? undefined : this.#proveAt(offset)));
			turn = mine.catch(() => undefined);
			await mine;
			onProgress(1 - this.#unproven.size / this.#total);
		}
	}

	/** Loses what has no checksum. Rejects as `onDamaged` does. */
	async loseUnchecked(): Promise<void> {
		for (const run of [...this.#present]) {
			for (const range of [...this.#unproven.holes(run)]) {
				await this.#lose(range);
			}
		}
	}

	/** What is left of it does not matter any more. */
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
			await this.#lose({start: checked.start, end: checked.end});
		}
	}

	async #lose(range: Range): Promise<void> {
		this.damaged.add(range);
		await this.#onDamaged(range);
	}
}
