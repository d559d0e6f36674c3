// The checks of one download run one after the other: two at a time would read the same blocks twice.
import type {Range} from '../store/range-set.ts';

/** `whole`: every block, and the given checksum; `doubt`: the blocks that somebody else may have changed. */
export type CheckKind = 'whole' | 'doubt';

/** Resolves with what is damaged. Rejects with the signal's reason. */
export type Check = (signal: AbortSignal) => Promise<Range[]>;

type QueuedCheck = {
	readonly kind: CheckKind;
	readonly abort: AbortController;
	readonly done: Promise<Range[]>;
};

export class CheckQueue {
	/** In order; the first one runs. */
	#checks: readonly QueuedCheck[] = [];

	/** The outcome of the check of this kind that runs or waits, if there is one. */
	find(kind: CheckKind): Promise<Range[]> | undefined {
		return this.#checks.find(check => check.kind === kind)?.done;
	}

	/** Begins in the same tick where no other one runs. */
	add(kind: CheckKind, check: Check): Promise<Range[]> {
		const abort = new AbortController();
		const {signal} = abort;
		const before = this.#checks.at(-1)?.done;
		const done = this.#run(before, check, signal);
		// Many start one and look at the outcome in the snapshot.
		done.catch(() => undefined);
		this.#checks = [...this.#checks, {kind, abort, done}];
		return done;
	}

	/** Ends those that run or wait, of all kinds or of one. */
	abort(reason: Error, kind?: CheckKind): void {
		for (const check of this.#checks) {
			if (kind === undefined || check.kind === kind) {
				check.abort.abort(reason);
			}
		}
	}

	/** Resolves when those that run or wait now are over, whatever has come of them. */
	async settled(): Promise<void> {
		await Promise.allSettled(this.#checks.map(({done}) => done));
	}

	async #run(before: Promise<unknown> | undefined, check: Check, signal: AbortSignal): Promise<Range[]> {
		try {
			if (before) {
				await before.catch(() => undefined);
				signal.throwIfAborted();
			}

			return await check(signal);
		} finally {
			this.#checks = this.#checks.filter(({abort}) => abort.signal !== signal);
		}
	}
}
