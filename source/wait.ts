// Waits for snapshots of an engine.
import {byId, type DownloadEngine, type DownloadId, type Pledge, type Snapshot} from './downstream.ts';

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

export function aborted(signal: AbortSignal): Promise<void> {
	return new Promise(resolve => {
		if (signal.aborted) {
			resolve();
		}

		signal.addEventListener('abort', () => resolve(), {once: true});
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

/** The final state of a pledge, or the reason why there is none. */
export type Decision =
	| {readonly pledge: Pledge; readonly failure?: undefined}
	| {readonly failure: string; readonly pledge?: undefined};

/** Resolves once the pledge is safe or impossible, at its deadline, or when the signal aborts. */
export async function whenDecided(
	downstream: Pick<DownloadEngine, 'snapshot' | 'subscribe'>,
	id: DownloadId,
	{n, by}: Pledge,
	signal: AbortSignal = new AbortController().signal,
): Promise<Decision> {
	const look = (): Decision | undefined => {
		const found = byId(downstream.snapshot.downloads, id);
		const pledge = found?.pledges.find(each => each.n === n);
		if (!pledge) {
			return {failure: found ? 'the pledge was lifted' : 'it was removed from the list'};
		}

		return pledge.state === 'pending' ? undefined : {pledge};
	};
	const limit = new AbortController();
	// A late wake-up after the computer slept does no harm. Timers are limited to 24 days.
	const timer =
		by === null
			? undefined
			: setTimeout(() => limit.abort(), Math.min(0x7f_ff_ff_ff, Math.max(0, by - Date.now())));
	try {
		return await until(downstream, look, AbortSignal.any([signal, limit.signal]));
	} catch {
		return (
			look() ?? {failure: limit.signal.aborted ? 'not safe in time; fetching continues' : 'not safe yet'}
		);
	} finally {
		clearTimeout(timer);
	}
}

/** Limit of the actions of `settleEach` under way. */
const mostAtOnce = 8;

/** Acts on all items, a few at a time; yields the results in their order. One failure does not stop the others. */
export async function* settleEach<T, R>(
	items: readonly T[],
	act: (item: T) => Promise<R>,
): AsyncGenerator<PromiseSettledResult<R> & {readonly item: T}> {
	const start = async (item: T) => {
		const [result] = await Promise.allSettled([act(item)]);
		return {...result, item};
	};
	const started = items.slice(0, mostAtOnce).map(start);
	for (const [index, item] of items.slice(mostAtOnce).entries()) {
		yield await started[index]!;
		started.push(start(item));
	}

	for (const last of started.slice(-mostAtOnce)) {
		yield await last;
	}
}
