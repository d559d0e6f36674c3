// Waits for the end of a pledge.
import type {DownloadEngine, DownloadId, Pledge} from '../../downstream.ts';
import {until} from '../../wait.ts';

/** The pledge, or why there is none to tell of. */
export type Decision =
	| {readonly pledge: Pledge; readonly failure?: undefined}
	| {readonly failure: string; readonly pledge?: undefined};

/** Resolves once it is safe or cannot be, or once its time has passed or the signal aborts. */
export async function whenDecided(
	downstream: DownloadEngine,
	id: DownloadId,
	{n, by}: Pledge,
	signal: AbortSignal = new AbortController().signal,
): Promise<Decision> {
	const look = (): Decision | undefined => {
		const found = downstream.snapshot.downloads.find(download => download.id === id);
		const pledge = found?.pledges.find(each => each.n === n);
		if (!pledge) {
			return {failure: found ? 'the pledge was lifted' : 'it was removed from the list'};
		}

		return pledge.state === 'pending' ? undefined : {pledge};
	};
	const limit = new AbortController();
	// A late wake-up after the sleep of the computer is no matter. The longest delay of a timer is 24 days.
	const timer =
		by === null
			? undefined
			: setTimeout(() => limit.abort(), Math.min(0x7f_ff_ff_ff, Math.max(0, by - Date.now())));
	try {
		return await until(downstream, look, AbortSignal.any([signal, limit.signal]));
	} catch {
		return look() ?? {failure: limit.signal.aborted ? 'not safe in time; it goes on' : 'not safe yet'};
	} finally {
		clearTimeout(timer);
	}
}
