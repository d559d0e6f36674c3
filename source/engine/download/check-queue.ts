// Runs the checks of one download in series: concurrent checks would read the same blocks twice.
import type {Range} from '../store/range-set.ts';

/** `whole`: every block, and the checksum of the download; `doubt`: the blocks that another program may have changed. */
export type CheckKind = 'whole' | 'doubt';

/** Resolves with the damage. Rejects with the signal's reason, among others. */
export type Check = (signal: AbortSignal) => Promise<Range[]>;

type QueuedCheck = {
	readonly kind: CheckKind;
	readonly abort: AbortController;
	readonly done: Promise<Range[]>;
};

export class CheckQueue {
	/** The first one runs. */
	#checks: readonly QueuedCheck[] = [];

	/** The outcome of a running or queued check of this kind. */
	find(kind: CheckKind): Promise<Range[]> | undefined {
		return this.#checks.find(check => check.kind === kind)?.done;
	}

	/** Begins in the same tick if the queue is empty. The outcome is that of `check`, or the reason of an abort. */
	add(kind: CheckKind, check: Check): Promise<Range[]> {
		const abort = new AbortController();
		const {signal} = abort;
		const before = this.#checks.at(-1)?.done;
		const done = this.#run(before, check, signal);
		// Not every caller awaits the outcome: the snapshot shows it, too.
		done.catch(() => undefined);
		this.#checks = [...this.#checks, {kind, abort, done}];
		return done;
	}

	/** Ends running and queued checks, of all kinds or of one. */
	abort(reason: Error, kind?: CheckKind): void {
		for (const check of this.#checks) {
			if (kind === undefined || check.kind === kind) {
				check.abort.abort(reason);
			}
		}
	}

	/** Resolves when the current checks have ended, whatever their outcome. */
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
