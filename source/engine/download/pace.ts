// Policy for slow pledges: when they stop delaying the downloads from other hosts. Pure.

/** Milliseconds within which a pledge without a deadline is expected. */
const longestMs = 60 * 60_000;
/** Milliseconds of an insufficient rate before other hosts get a turn. */
const slowMs = 20_000;
/** Milliseconds after which the effect of other hosts on the rate is measured. */
const trialMs = 30_000;
/** Minimum fraction of its rate that a pledge keeps during a trial if its own host is the limit. */
const keptPart = 0.7;
/** Milliseconds until the next trial after a trial that has slowed the pledge. */
const holdMs = 10 * 60_000;

/** Times are milliseconds since the epoch, rates bytes per second. */
export type Pace = {
	/** Time since which the rate is too low. */
	readonly lateSince?: number;
	/** Other hosts got a turn at this time and rate. */
	readonly trial?: {readonly at: number; readonly rate: number};
	/** Earliest time of the next trial. */
	readonly heldUntil?: number;
};

type Measurement = {
	/** Bytes; Infinity while unknown. */
	readonly missing: number;
	/** The deadline; the largest safe integer without one. */
	readonly by: number;
	readonly rate: number;
	readonly now: number;
};

/** Other hosts are not delayed. */
export function isSlow({trial}: Pace): boolean {
	return trial !== undefined;
}

/**
 * A pledge that cannot be met in time at its rate gives other hosts a turn. If that slows it, the network was the limit
 * rather than its host, and it has priority again.
 */
export function afterRate(pace: Pace, {missing, by, rate, now}: Measurement): Pace {
	const {trial, heldUntil = -Infinity, lateSince = now} = pace;
	const arrival = now + (missing * 1000) / rate;
	const isLate = missing < Infinity && arrival > Math.min(by, now + longestMs);
	if (!isLate) {
		return now < heldUntil ? {heldUntil} : {};
	}

	if (trial) {
		const isSlowed = now - trial.at >= trialMs && rate < trial.rate * keptPart;
		return isSlowed ? {heldUntil: now + holdMs} : pace;
	}

	return now >= heldUntil && now - lateSince >= slowMs ? {trial: {at: now, rate}} : {...pace, lateSince};
}
