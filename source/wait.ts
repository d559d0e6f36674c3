// Waiting for snapshots of an engine.
import type {DownloadEngine, Snapshot} from './downstream.ts';

/**
 * The first defined result of `find`, which is called with the current snapshot and with each later one. Rejects with the
 * signal's reason.
 */
export function until<Result>(
	downstream: Pick<DownloadEngine, 'snapshot' | 'subscribe'>,
	find: (snapshot: Snapshot) => Result | undefined,
	signal: AbortSignal,
): Promise<Result> {
	return new Promise((resolve, reject) => {
		const end = () => {
			unsubscribe();
			signal.removeEventListener('abort', onAbort);
		};
		const onAbort = () => {
			end();
			reject(signal.reason as Error);
		};
		const look = () => {
			const found = find(downstream.snapshot);
			if (found !== undefined) {
				end();
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

/** The current snapshot, then the newest one whenever the consumer is ready. Ends when the signal aborts. */
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
