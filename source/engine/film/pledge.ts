// Pledges: stretches of a download to keep on disk. Reads requests, merges pledges, and resolves them into bytes. Pure.
import {DownStreamError, type SafeRequest} from '../../downstream.ts';
import {formatTime} from '../../text/film-words.ts';
import {without, type Range} from '../store/range-set.ts';
import type {StoredPledge} from '../store/record.ts';
import type {FilmMap} from './film-map.ts';
import {marginMs, readsOf, startAt} from './playable.ts';

/** The facts that turn a pledge into bytes. */
export type PledgeFacts = {
	/** Bytes; Infinity while unknown. */
	readonly size: number;
	readonly map: FilmMap | undefined;
	/** The map may still become known. */
	readonly isMapAwaited: boolean;
};

/** The next byte of the newest player, and its time in the film. */
export type PlayerPlace = {readonly offset: number; readonly ms: number | undefined};

/** The bytes of a pledge in the order of fetching; or the reason why there are none, null while they are unknown. */
export type Resolved = {readonly ranges: readonly Range[]} | {readonly reason: string | null};

/** Of one download. */
export const maxPledges = 64;

/** Part of a stretch to add at each end if the times of the map are estimates. */
const estimateSlack = 0.1;

const onlyLong = (durationMs: number) => `The film is only ${formatTime(durationMs)} long`;
const onlyBytes = (size: number) => `The file has only ${size} bytes`;
const noMinutes =
	'The file has no readable video or audio index, so its times are unknown; give bytes instead';

/**
 * The pledge of a request, without its number. `now`: milliseconds since the epoch. Throws `bad-request`, or `incomplete`
 * while the position of the player in the film is unknown.
 */
export function pledgeOf(
	request: SafeRequest,
	facts: PledgeFacts,
	player: PlayerPlace | undefined,
	now: number,
): Omit<StoredPledge, 'n'> {
	const {from, fromMs, forMs, bytes, orBytes, by} = request;
	const isTimed = forMs !== undefined || fromMs !== undefined;
	for (const [isGiven, sentence] of [
		[forMs !== undefined && bytes !== undefined, 'forMs and bytes exclude each other'],
		[from !== undefined && fromMs !== undefined, 'from and fromMs exclude each other'],
		[fromMs !== undefined && bytes !== undefined, 'fromMs applies to forMs, not to bytes'],
		[orBytes !== undefined && forMs === undefined, 'orBytes requires forMs'],
		[by !== undefined && by <= now, 'by must be in the future'],
	] as const) {
		if (isGiven) {
			throw new DownStreamError('bad-request', sentence);
		}
	}

	const common = {...(by !== undefined && {by})};
	if (isTimed || (from === 'player' && bytes === undefined && player?.ms !== undefined)) {
		const begin = fromMs ?? (from === 'start' ? 0 : placeOf(player, facts));
		refuseBeyond(begin, facts.map?.durationMs ?? Infinity, onlyLong);
		if (!facts.map && !facts.isMapAwaited && orBytes === undefined) {
			throw new DownStreamError('bad-request', noMinutes);
		}

		const to = forMs === undefined ? null : begin + forMs;
		return {unit: 'ms', from: begin, to, ...(orBytes !== undefined && {orBytes}), ...common};
	}

	const begin = from === 'player' ? (player?.offset ?? 0) : 0;
	refuseBeyond(begin, facts.size, onlyBytes);
	return {unit: 'bytes', from: begin, to: bytes === undefined ? null : begin + bytes, ...common};
}

function placeOf(player: PlayerPlace | undefined, {isMapAwaited}: PledgeFacts): number {
	if (player && player.ms === undefined && isMapAwaited) {
		throw new DownStreamError(
			'incomplete',
			'The position of the player is unknown until the index of the film is read; try again in a moment',
		);
	}

	return player?.ms ?? 0;
}

function refuseBeyond(begin: number, end: number, words: (end: number) => string): void {
	if (begin > 0 && begin >= end) {
		throw new DownStreamError('bad-request', words(end));
	}
}

/**
 * Adds a pledge, and returns the pledges with the number of the one that includes it. Overlapping pledges with the same
 * deadline merge. A pledge inside another is dropped unless it is due earlier. Others stay separate, so that lifting
 * one leaves the other whole. Throws `bad-request` for too many.
 */
export function withPledge(
	pledges: readonly StoredPledge[],
	added: Omit<StoredPledge, 'n'>,
): {pledges: readonly StoredPledge[]; n: number} {
	const n = Math.max(0, ...pledges.map(each => each.n)) + 1;
	let joined: StoredPledge = {...added, n};
	const others: StoredPledge[] = [];
	for (const each of pledges) {
		const orBytes = Math.max(each.orBytes ?? 0, joined.orBytes ?? 0);
		if (!overlaps(each, joined)) {
			others.push(each);
		} else if (each.by === joined.by) {
			joined = {
				...joined,
				n: Math.min(each.n, joined.n),
				from: Math.min(each.from, joined.from),
				to: each.to === null || joined.to === null ? null : Math.max(each.to, joined.to),
				...(orBytes > 0 && {orBytes}),
			};
		} else if (includes(each, joined)) {
			return {pledges, n: each.n};
		} else if (!includes(joined, each)) {
			others.push(each);
		}
	}

	if (others.length >= maxPledges) {
		throw new DownStreamError(
			'bad-request',
			`The download has ${maxPledges} pledges already; lift some first`,
		);
	}

	return {pledges: [...others, joined].toSorted((a, b) => a.n - b.n), n: joined.n};
}

/** They touch, and are both of minutes or both of bytes. */
function overlaps(a: StoredPledge, b: StoredPledge): boolean {
	return a.unit === b.unit && a.from <= (b.to ?? Infinity) && b.from <= (a.to ?? Infinity);
}

/** `outer` includes `inner`, and is due no later. */
function includes(outer: StoredPledge, inner: StoredPledge): boolean {
	return (
		outer.from <= inner.from &&
		(outer.to ?? Infinity) >= (inner.to ?? Infinity) &&
		(outer.orBytes ?? 0) >= (inner.orBytes ?? 0) &&
		(outer.by ?? Infinity) <= (inner.by ?? Infinity)
	);
}

/** The bytes of a pledge in this version of the file. */
export function resolvePledge(
	{unit, from, to, orBytes}: Omit<StoredPledge, 'n'>,
	{size, map, isMapAwaited}: PledgeFacts,
): Resolved {
	if (unit === 'bytes') {
		return from > 0 && from >= size
			? {reason: onlyBytes(size)}
			: {ranges: [{start: from, end: Math.min(to ?? size, size)}]};
	}

	if (!map) {
		if (isMapAwaited) {
			return {reason: null};
		}

		return orBytes === undefined ? {reason: noMinutes} : {ranges: [{start: 0, end: Math.min(orBytes, size)}]};
	}

	const {durationMs, exact} = map;
	if (from >= durationMs) {
		return {reason: onlyLong(durationMs)};
	}

	const end = to ?? durationMs;
	const slack = exact ? 0 : (end - from) * estimateSlack;
	return {ranges: stretchRanges(map, from - slack, end + slack)};
}

/**
 * The bytes that a player needs for the stretch: first those of the index, then those of the tracks, sorted and merged.
 * `playable` claims the stretch exactly if they are all present. Times are milliseconds.
 */
export function stretchRanges(map: FilmMap, fromMs: number, toMs: number): Range[] {
	const {times, index} = map;
	const last = times.length - 1;
	const first = Math.max(
		0,
		Math.min(
			last - 1,
			times.findLastIndex((_, point) => startAt(map, point) <= fromMs),
		),
	);
	const {starts, steps} = readsOf(map);
	const reaching = times.findIndex((time, point) => point > first && time - marginMs >= toMs);
	const end = reaching === -1 ? last : reaching;
	return [...index, ...without(index, [...starts[first]!, ...steps.slice(first, end).flat()])];
}

/** Bytes of the ranges that are not in the set; each counts once. */
export function missingOf(
	ranges: readonly Range[],
	present: {holes(within: Range): Iterable<Range>},
): number {
	let missing = 0;
	for (const range of ranges) {
		for (const {start, end} of present.holes(range)) {
			missing += end - start;
		}
	}

	return missing;
}
