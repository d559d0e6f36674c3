// The rate of the forecast: the bytes that playback from the position gets, or would get.
import {soonSeconds, type Demand} from '../fetch/next-segment.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import {SpeedMeter} from '../fetch/speed-meter.ts';
import type {FilmMap} from '../film/film-map.ts';
import {without, type PresentSet, type Range} from '../store/range-set.ts';
import type {DownloadState} from './download-state.ts';
import {playerPlace} from './player-place.ts';
import type {Pledges} from './pledges.ts';

/** Milliseconds of the average. */
const averageMs = 20_000;
/** Milliseconds between two looks at the demands. */
const lookMs = 250;
/** Seconds of the film by which the interpolated place of a picture may exceed the bytes that were read for it. */
const slackSeconds = 5;

type Parts = {
	readonly scheduler: Scheduler;
	readonly pledges: Pledges;
	readonly map: () => FilmMap | undefined;
};

export class ForecastRate {
	readonly #state: DownloadState;
	readonly #parts: Parts;
	/** Bytes for others while the player lacked data. */
	readonly #taken = new SpeedMeter();
	#takenRanges: readonly Range[] = [];
	/** Milliseconds since the epoch. */
	#lookedAt = -Infinity;

	constructor(state: DownloadState, parts: Parts) {
		this.#state = state;
		this.#parts = parts;
	}

	/** `bytes` at `offset` are in the file. `now`: milliseconds since the epoch. */
	received(offset: number, bytes: number, now: number): void {
		if (Math.abs(now - this.#lookedAt) >= lookMs) {
			this.#lookedAt = now;
			this.#takenRanges = this.#look(now);
		}

		if (this.#takenRanges.some(({start, end}) => start <= offset && offset < end)) {
			this.#taken.add(bytes, now);
		}
	}

	/**
	 * Bytes per second, at most the speed limit. 0 while nothing arrives, and while only the requests of players are served:
	 * then the rate is that of their reads, and nothing arrives during a wait. `now`: milliseconds since the epoch.
	 */
	at(now: number): number {
		const {meter, record, rateLimit} = this.#state;
		const {scheduler} = this.#parts;
		const isUnasked =
			scheduler.fetchesInBackground ||
			(scheduler.fetchesPledges && record.intent === 'run' && !record.onDemand);
		return isUnasked
			? rateFor({
					total: meter.rate(averageMs, now),
					taken: this.#taken.rate(averageMs, now),
					limit: rateLimit,
				})
			: 0;
	}

	#look(now: number): Range[] {
		const {file, readAhead, readers} = this.#state;
		const {map, pledges} = this.#parts;
		const known = readers.size > 0 ? map() : undefined;
		const place = known && playerPlace(this.#state, known, now);
		return place ? takenRanges(place.offset, readers.demands(readAhead, Infinity), pledges.ranges, file) : [];
	}
}

/** Bytes per second that are left of the `total`, which may have arrived before the limit. Pure. */
export function rateFor({
	total,
	taken,
	limit,
}: {
	readonly total: number;
	readonly taken: number;
	readonly limit: number;
}): number {
	return total === 0 ? 0 : Math.round(Math.min(total, limit) * Math.max(0, 1 - taken / total));
}

/**
 * The ranges whose bytes go to other players and to pledges elsewhere while the player at the byte `offset` lacks data: it does
 * not get those bytes. With some seconds ready, it leaves bytes to the others, and gets them once it lacks data.
 * The background yields to it. Pure.
 */
export function takenRanges(
	offset: number,
	wanted: readonly Demand[],
	pledged: readonly Range[],
	{present, size}: {readonly present: PresentSet; readonly size: number},
): Range[] {
	// A player reads ahead of its picture.
	const [own] = wanted
		.filter(({offset: next, pace}) => next >= offset - pace * slackSeconds)
		.toSorted((a, b) => a.offset - b.offset);
	if (!own) {
		return [];
	}

	const window = windowOf(own, size);
	const ready = present.runEnd(window.start) - window.start;
	if (ready >= Math.min(own.pace * soonSeconds, window.end - window.start)) {
		return [];
	}

	const elsewhere = pledged
		.map(({start, end}) => ({start, end: Math.max(start, Math.min(end, size))}))
		.filter(({start, end}) => end <= window.start || window.end <= start);
	const others = wanted.filter(demand => demand !== own).map(demand => windowOf(demand, size));
	return without([window], [...others, ...elsewhere]);
}

function windowOf({offset, end, ahead}: Demand, size: number): Range {
	return {start: offset, end: Math.max(offset, Math.min(end, offset + ahead, size))};
}
