// The queue: which downloads may fetch their pledges, and which in the background. Pure.

/** The attempts to fetch a download, as the queue judges them. */
type Attempts = {
	readonly host: string;
	/** Consecutive ones that failed. Until bytes arrive, the download delays no other. */
	readonly failures: number;
	/** One is under way, or its time after a failure is set. */
	readonly isTrying: boolean;
	/** The host has sent bytes in this run. */
	readonly hasWorked: boolean;
};

/** The demand of a download's pledges. */
type PledgeDemand = {
	/** When the first one is due, in milliseconds since the epoch; the largest safe integer without a deadline. */
	readonly by: number;
	/** Its host is too slow to delay the downloads from other hosts. */
	readonly isSlow: boolean;
	/** Its deadline has passed: it delays no other download. */
	readonly isLate: boolean;
};

export type Queued = {
	/** Lower ranks first. */
	readonly queueRank: number;
	readonly isComplete: boolean;
	/** Would fetch in the background if it had a place. */
	readonly wantsPlace: boolean;
	/** Undefined without a pledge to fetch. */
	readonly pledge: PledgeDemand | undefined;
	readonly attempts: Attempts;
};

/** Downloads that may fetch in the background: all, or the ones requested in this run, first or alone. */
export type Fill = 'all' | 'requested-first' | 'requested';

type Places<T> = {
	readonly background: Set<T>;
	readonly pledges: Set<T>;
	/** Not fetched in the background for now. */
	readonly yields: Set<T>;
};

type Pledging<T> = {readonly download: T; readonly pledge: PledgeDemand; readonly attempts: Attempts};

/** Pledges that probe a failing host at the same time. */
export const probesOfHost = 3;

/**
 * Pledges come before all background, and have `places` of their own, earliest deadline first. A late pledge, or one from a
 * failing host, delays no other download; one from a slow host delays only downloads from this host.
 */
export function placesOf<T extends Queued>(
	downloads: Iterable<T>,
	places: number,
	choice: {fill?: Fill | undefined; isRequested: (download: T) => boolean},
): Places<T> {
	const {fill, isRequested} = choice;
	const queue = inQueueOrder(downloads);
	const pledging = queue
		.flatMap((download): Array<Pledging<T>> => {
			const {pledge} = download;
			return pledge ? [{download, pledge, attempts: download.attempts}] : [];
		})
		.filter(({download}) => places > 0 && (fill !== 'requested' || isRequested(download)))
		.toSorted((a, b) => a.pledge.by - b.pledge.by);
	const failing = failingHosts(pledging);
	const isProbing = ({attempts}: Pledging<T>) => attempts.failures > 0 || failing.has(attempts.host);
	const served = pledging.filter(each => !isProbing(each));
	const fast = served.filter(({pledge}) => !pledge.isSlow);
	// Each has been measured: they are few, and take little.
	const slow = served.filter(({pledge}) => pledge.isSlow);
	const timely = ({pledge}: Pledging<T>) => !pledge.isLate;
	const slowHosts = new Set(slow.filter(timely).map(({attempts}) => attempts.host));
	const yields = new Set(
		fast.some(timely) ? queue : queue.filter(({attempts}) => slowHosts.has(attempts.host)),
	);
	const probes = withTurn(pledging.filter(isProbing), failing);
	return {
		pledges: new Set([...probes, ...fast.slice(0, places), ...slow].map(({download}) => download)),
		yields,
		background: withPlace(
			queue.filter(download => !yields.has(download)),
			places,
			choice,
		),
	};
}

/** Hosts that fail at least one download, and serve none. */
function failingHosts(pledging: ReadonlyArray<Pledging<Queued>>): Set<string> {
	const attempts = pledging.map(each => each.attempts);
	const failing = new Set(attempts.filter(({failures}) => failures > 0).map(({host}) => host));
	for (const {host, failures, hasWorked} of attempts) {
		if (hasWorked && failures === 0) {
			failing.delete(host);
		}
	}

	return failing;
}

/** `probesOfHost` of each failing host: each keeps its turn until its next attempt, then yields to the least tried one. */
function withTurn<T>(probing: ReadonlyArray<Pledging<T>>, failing: ReadonlySet<string>): Array<Pledging<T>> {
	const counts = new Map<string, number>();
	return probing
		.toSorted(
			({attempts: a}, {attempts: b}) => Number(b.isTrying) - Number(a.isTrying) || a.failures - b.failures,
		)
		.filter(({attempts: {host}}) => {
			const count = counts.get(host) ?? 0;
			counts.set(host, count + 1);
			return count < probesOfHost || !failing.has(host);
		});
}

/** The downloads that may fetch in the background while `places` of them may do so at the same time. */
export function withPlace<T extends Queued>(
	downloads: Iterable<T>,
	places: number,
	{fill = 'all', isRequested}: {fill?: Fill | undefined; isRequested: (download: T) => boolean},
): Set<T> {
	const queue = inQueueOrder(downloads);
	const ordered =
		fill === 'all' ? queue : queue.toSorted((a, b) => Number(isRequested(b)) - Number(isRequested(a)));
	const wanting = ordered.filter(
		download => download.wantsPlace && (fill !== 'requested' || isRequested(download)),
	);
	const isProbing = ({attempts}: T) => attempts.failures > 0;
	const working = wanting.filter(download => !isProbing(download)).slice(0, places);
	return new Set([...wanting.filter(isProbing), ...working]);
}

/**
 * The download to swap ranks with for one step up (-1) or down (1); undefined at the end of the queue. Complete ones are
 * skipped, since passing one would change nothing.
 */
export function neighborOf<T extends Queued>(downloads: Iterable<T>, moved: T, by: -1 | 1): T | undefined {
	const queue = inQueueOrder(downloads).filter(each => each === moved || !each.isComplete);
	return queue[queue.indexOf(moved) + by];
}

/** A crash between two saves may leave one rank to two downloads: these keep the order in which they are given. */
function inQueueOrder<T extends Queued>(downloads: Iterable<T>): T[] {
	return [...downloads].toSorted((a, b) => a.queueRank - b.queueRank);
}
