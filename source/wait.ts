// Waits for snapshots of an engine.
import type {DownloadEngine, Snapshot} from './downstream.ts';

/**
 * Calls `find` with the current snapshot and each later one, and resolves with its first defined result. Rejects with the
 * signal's reason.
 */
export function until<Result>(
	downstream: Pick<DownloadEngine, 'snapshot' | 'subscribe'>,
	find: (snapshot: Snapshot) => Result | undefined,
	signal: AbortSignal,
): Promise<Result> {
	return new Promise((resolve, reject) => {
		const stop = () => {
			unsubscribe();
			signal.removeEventListener('abort', onAbort);
		};
		const onAbort = () => {
			stop();
			reject(signal.reason as Error);
		};
		const look = () => {
			const found = find(downstream.snapshot);
			if (found !== undefined) {
				stop();
				resolve(found);
			}
		};

		const unsubscribe = downstream.subscribe(look);
		signal.addEventListener('abort', onAbort);
		if (signal.aborted) {
			onAbort();
		} else {
			look();
		}
	});
}

/** Yields the current snapshot, then the newest one each time the consumer is ready. Ends when the signal aborts. */
export async function* snapshotsOf(
	downstream: Pick<DownloadEngine, 'snapshot' | 'subscribe'>,
	signal: AbortSignal,
): AsyncGenerator<Snapshot, void, undefined> {
	let wake = () => {};
	const look = () => wake();
	const unsubscribe = downstream.subscribe(look);
	signal.addEventListener('abort', look);
	try {
		let last: Snapshot | undefined;
		while (!signal.aborted) {
			const changed = new Promise<void>(resolve => {
				wake = resolve;
			});
			const {snapshot} = downstream;
			if (snapshot === last) {
				await changed;
			} else {
				last = snapshot;
				yield snapshot;
			}
		}
	} finally {
		signal.removeEventListener('abort', look);
		unsubscribe();
	}
}
