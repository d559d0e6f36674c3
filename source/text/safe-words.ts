// Pledges in words: how far a download is safe, and when it will be. Pure.
import type {Download, Pledge} from '../downstream.ts';
import {formatTime} from './film-words.ts';
import {formatBytes, formatClock} from './format.ts';

/** Marks a pledge, met or not. */
export function pledgeFlag(ascii: boolean): string {
	return ascii ? '!' : '⚑';
}

/** A sentence with flags, for a screen. */
export function withFlag(text: string, ascii: boolean): string {
	return ascii ? text.replaceAll(pledgeFlag(false), pledgeFlag(true)) : text;
}

/** The pledge to show for a download: of those that are not met the one due first, else the last one. */
export function shownPledge({pledges}: Pick<Download, 'pledges'>): Pledge | undefined {
	const dueAt = ({by}: Pledge) => by ?? Number.MAX_SAFE_INTEGER;
	const unmet = pledges.filter(({state}) => state !== 'safe').toSorted((a, b) => dueAt(a) - dueAt(b));
	return unmet[0] ?? pledges.at(-1);
}

/**
 * `safe to 1:21:00 of 1:47:10 ⚑ 18:31`, `⚑ safe to 1:47:10`, `⚑ all safe`, `⚑ cannot be made safe: …`. Empty without
 * pledges, and for a complete download. The time is the expected completion, followed by the delay if it misses the deadline.
 */
export function safeWords(
	download: Pick<Download, 'pledges' | 'size' | 'completedAt'>,
	ascii = false,
): string {
	const pledge = download.completedAt === null ? shownPledge(download) : undefined;
	return pledge ? pledgeWords(pledge, download, ascii) : '';
}

/**
 * The same for a row, longest first: `safe to 1:21:00 of 1:47:10 ⚑ 18:31`, `safe to 1:21:00 ⚑ 18:31`, `⚑→1:21:00`. Empty
 * without pledges, and where a minute more than those of a pledge can be watched.
 */
export function shortSafeWords(
	download: Pick<Download, 'pledges' | 'size' | 'film'>,
	ascii = false,
): readonly string[] {
	const pledge = shownPledge(download);
	const watchTo = download.film?.watchTo ?? 0;
	if (!pledge || (pledge.state === 'safe' && watchTo > (pledge.toMs ?? Infinity) + moreMs)) {
		return [];
	}

	const flag = pledgeFlag(ascii);
	const whole = pledgeWords(pledge, download, ascii);
	if (pledge.state === 'impossible') {
		return [whole, `${flag} cannot be made safe`, `${flag} failed`];
	}

	const {fromMs, toMs, safeToMs, safeTo, start, end, exact, state} = pledge;
	const ms = state === 'safe' ? toMs : (safeToMs ?? fromMs);
	const to =
		fromMs === null
			? end === null
				? undefined
				: formatBytes(state === 'safe' ? end : (safeTo ?? start ?? 0))
			: ms === null
				? undefined
				: `${exact ? '' : '~'}${formatTime(ms)}`;
	if (to === undefined) {
		return [whole, flag];
	}

	const arrow = `${flag}${ascii ? '>' : '→'}${to}`;
	return state === 'safe'
		? [whole, `${flag} safe to ${to}`, arrow]
		: [whole, `safe to ${to} ${flag}${arrival(pledge)}`, arrow];
}

/** Milliseconds. */
const moreMs = 60_000;

/** The same for one pledge; an impossible one with its reason. */
export function pledgeWords(pledge: Pledge, {size}: Pick<Download, 'size'>, ascii = false): string {
	const flag = pledgeFlag(ascii);
	switch (pledge.state) {
		case 'safe':
			return `${flag} ${safePart(pledge, {size})}`;
		case 'impossible':
			return `${flag} cannot be made safe: ${pledge.reason}`;
		default: {
			const {etaAt, by} = pledge;
			const isLate = by !== null && etaAt !== null && etaAt > by;
			return `${progress(pledge)} ${flag}${arrival(pledge)}${isLate ? `, late by ${delay(etaAt - by)}` : ''}`;
		}
	}
}

/** ` 18:31`, or nothing while the time of arrival is unknown. */
function arrival({etaAt}: Pledge): string {
	return etaAt === null ? '' : ` ${formatClock(etaAt).slice(0, 5)}`;
}

/** `safe to 1:47:10`, `safe to 200 MiB`, `all safe`. */
export function safePart(pledge: Pledge, {size}: Pick<Download, 'size'>): string {
	const {fromMs, toMs, exact, start, end} = pledge;
	if (fromMs !== null && toMs !== null) {
		const from = fromMs === 0 ? 'safe to' : `safe from ${formatTime(fromMs)} to`;
		return `${from} ${exact ? '' : '~'}${formatTime(toMs)}`;
	}

	return start === 0 && end === size ? 'all safe' : `safe to ${formatBytes(end ?? 0)}`;
}

/** `safe to 1:21:00 of 1:47:10`, `safe to 120 MiB of 200 MiB`, `to be made safe`. */
function progress({fromMs, toMs, safeToMs, exact, start, end, safeTo}: Pledge): string {
	const about = exact ? '' : '~';
	if (fromMs !== null) {
		return toMs === null
			? 'to be made safe'
			: `safe to ${about}${formatTime(Math.min(safeToMs ?? fromMs, toMs))} of ${formatTime(toMs)}`;
	}

	return end === null || start === null
		? 'to be made safe'
		: `safe to ${formatBytes(safeTo ?? start)} of ${formatBytes(end)}`;
}

/** `4m`, `2h05m`. */
function delay(ms: number): string {
	const minutes = Math.ceil(ms / 60_000);
	return minutes < 60
		? `${minutes}m`
		: `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`;
}

/** Limit of the named downloads: a longer list would hide the rest of the banner. */
const maxNamed = 6;

/**
 * `#1 to 1:47:10, #3 all`: the part of each download that needs no network, downloads with pledges first. Empty if there is
 * none.
 */
export function safeList(
	downloads: ReadonlyArray<Pick<Download, 'pledges' | 'size' | 'completedAt'>>,
): string {
	const safe = downloads.flatMap((download, index) => {
		const {pledges, completedAt} = download;
		const last = pledges.findLast(({state}) => state === 'safe');
		const part = completedAt === null ? last && safePart(last, download) : 'all';
		return part === undefined
			? []
			: [{hasPledge: pledges.length > 0, words: `#${index + 1} ${part.replace(/^safe | safe$/, '')}`}];
	});
	const words = safe.toSorted((a, b) => Number(b.hasPledge) - Number(a.hasPledge)).map(({words}) => words);
	const more = words.length - maxNamed;
	return [...words.slice(0, maxNamed), ...(more > 0 ? [`${more} more`] : [])].join(', ');
}
