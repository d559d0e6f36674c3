// The queue: which downloads may fetch their pledges, and which in the background. Pure.

export type Queued = {
	/** Lower ranks first. */
	readonly queueRank: number;
	readonly isComplete: boolean;
	/** Would fetch in the background if it had a place. */
	readonly wantsPlace: boolean;
	/** When its first pledge is due, in milliseconds since the epoch; undefined where it has none to fetch. */
	readonly pledgedBy: number | undefined;
	/** Retries a failing host, and takes no place until bytes arrive. */
	readonly isProbing: boolean;
};

/** Which downloads may fetch in the background: all, or those requested in this run, first or alone. */
export type Fill = 'all' | 'requested-first' | 'requested';

export type Places<T> = {
	readonly background: Set<T>;
	readonly pledges: Set<T>;
	/** Nothing is fetched in the background meanwhile. */
	readonly yields: boolean;
};

/**
 * Pledges come before all background, and have `places` of their own: those that are due first. A download that retries a
 * failing host delays no other.
 */
export function placesOf<T extends Queued>(
	downloads: Iterable<T>,
	places: number,
	choice: {fill?: Fill | undefined; isRequested: (download: T) => boolean},
): Places<T> {
	const {fill, isRequested} = choice;
	const pledging = inQueueOrder(downloads)
		.filter(({pledgedBy}) => pledgedBy !== undefined)
		.filter(download => places > 0 && (fill !== 'requested' || isRequested(download)))
		.toSorted((a, b) => a.pledgedBy! - b.pledgedBy!);
	const working = pledging.filter(({isProbing}) => !isProbing).slice(0, places);
	const yields = working.length > 0;
	return {
		pledges: new Set([...pledging.filter(({isProbing}) => isProbing), ...working]),
		yields,
		background: yields ? new Set() : withPlace(downloads, places, choice),
	};
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
	const working = wanting.filter(({isProbing}) => !isProbing).slice(0, places);
	return new Set([...wanting.filter(({isProbing}) => isProbing), ...working]);
}

/**
 * The download to swap ranks with for one step up (-1) or down (1); undefined at the end of the queue. Complete ones are
 * skipped, since passing one would change nothing.
 */
export function neighbourOf<T extends Queued>(downloads: Iterable<T>, moved: T, by: -1 | 1): T | undefined {
	const queue = inQueueOrder(downloads).filter(each => each === moved || !each.isComplete);
	return queue[queue.indexOf(moved) + by];
}

/** A crash between two saves may leave one rank to two downloads: these keep the order in which they are given. */
function inQueueOrder<T extends Queued>(downloads: Iterable<T>): T[] {
	return [...downloads].toSorted((a, b) => a.queueRank - b.queueRank);
}
