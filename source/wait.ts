// The snapshots of an engine, one after the other: always the newest, none twice.
import type {DownStream, Snapshot} from './downstream.ts';

/** The one that is there, then each that the reader has time for; ends when the signal aborts. */
export async function* snapshotsOf(
	downstream: Pick<DownStream, 'snapshot' | 'subscribe'>,
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
