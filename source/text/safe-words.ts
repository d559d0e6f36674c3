// Pledges in words: how far a download is safe, and when it will be. Pure.
import type {Download, Pledge} from '../downstream.ts';
import {formatTime} from './film-words.ts';
import {formatBytes, formatClock} from './format.ts';

/** Marks a pledge, met or not. */
export function pledgeFlag(ascii: boolean): string {
	return ascii ? '!' : '⚑';
}

/** A sentence with flags and dashes, for a screen. */
export function withFlag(text: string, ascii: boolean): string {
	return ascii ? text.replaceAll(pledgeFlag(false), pledgeFlag(true)).replaceAll('–', '-') : text;
}

/** The pledge to show for a download: of those that are not met the one due first, else the last one. */
export function shownPledge({pledges}: Pick<Download, 'pledges'>): Pledge | undefined {
	const dueAt = ({by}: Pledge) => by ?? Number.MAX_SAFE_INTEGER;
	const unmet = pledges.filter(({state}) => state !== 'safe').toSorted((a, b) => dueAt(a) - dueAt(b));
	return unmet[0] ?? pledges.at(-1);
}

/**
 * `safe 41:07–1:21:00; to 1:47:10 at 18:31`, `⚑ safe to 1:47:10`, `⚑ all safe`, `⚑ cannot be made safe: …`. Empty without
 * pledges, and for a complete download. The time is the expected completion, followed by the delay if it misses the deadline.
 */
export function safeWords(
	download: Pick<Download, 'pledges' | 'size' | 'completedAt'> & Partial<Pick<Download, 'error'>>,
	ascii = false,
): string {
	const pledge = download.completedAt === null ? shownPledge(download) : undefined;
	if (!pledge) {
		return '';
	}

	// Every place that shows the pledge shows the error of the download, too.
	const isOfDownload = pledge.state === 'impossible' && pledge.reason === download.error?.message;
	return isOfDownload ? impossibleWords(ascii) : pledgeWords(pledge, download, ascii);
}

function impossibleWords(ascii: boolean): string {
	return `${pledgeFlag(ascii)} cannot be made safe`;
}

/** The same beside the label `Safe`: `41:07–1:21:00; to 1:47:10 at 18:31`, `to 1:47:10`, `all`, `not possible: …`. */
export function safeFact(
	download: Pick<Download, 'pledges' | 'size' | 'completedAt'>,
	ascii = false,
): string {
	return safeWords(download, ascii)
		.replace(`${pledgeFlag(ascii)} `, '')
		.replace('cannot be made safe', 'not possible')
		.replace(/^safe |(?<=^all|^almost) safe| safe(?= at )/, '');
}

/**
 * The same for a row, longest first: `safe 41:07–1:21:00; to 1:47:10 at 18:31`, `safe 41:07–1:21:00; all at 18:31`,
 * `safe 41:07–1:21:00`, `⚑→1:21:00`. Empty without pledges, and where more can be watched: all of a complete film, or a minute more.
 */
export function shortSafeWords(
	download: Pick<Download, 'pledges' | 'size' | 'film' | 'completedAt'>,
	ascii = false,
): readonly string[] {
	const pledge = shownPledge(download);
	const {film, completedAt} = download;
	const hasMore =
		film !== null && (completedAt !== null || (film.watchTo ?? 0) > (pledge?.toMs ?? Infinity) + moreMs);
	if (!pledge || (pledge.state === 'safe' && hasMore)) {
		return [];
	}

	const flag = pledgeFlag(ascii);
	const whole = pledgeWords(pledge, download, ascii);
	if (pledge.state === 'impossible') {
		return [whole, impossibleWords(ascii), `${flag} failed`];
	}

	const {end, reached} = stretchOf(pledge);
	const to = pledge.state === 'safe' ? end : reached;
	if (to === undefined) {
		return [whole, flag];
	}

	const arrow = `${flag}${ascii ? '>' : '→'}${to}`;
	if (reached === undefined || pledge.state === 'safe' || reached === end) {
		return [whole, arrow];
	}

	const safe = `safe ${partWords(pledge, reached, ascii)}`;
	return [whole, ...(pledge.etaAt === null ? [] : [`${safe}; all${arrival(pledge)}`]), safe, arrow];
}

/** Milliseconds. */
const moreMs = 60_000;

/** The same for one pledge; an impossible one with its reason. */
export function pledgeWords(pledge: Pledge, {size}: Pick<Download, 'size'>, ascii = false): string {
	const flag = pledgeFlag(ascii);
	switch (pledge.state) {
		case 'safe':
			return `${flag} ${safePart(pledge, {size}, ascii)}`;
		case 'impossible':
			return `${impossibleWords(ascii)}: ${pledge.reason}`;
		default: {
			const {etaAt, by} = pledge;
			const isLate = by !== null && etaAt !== null && etaAt > by;
			return `${progress(pledge, ascii)}${isLate ? `, late by ${delay(etaAt - by)}` : ''}`;
		}
	}
}

/** ` at 18:31`, or nothing while the time of arrival is unknown. */
function arrival({etaAt}: Pledge): string {
	return etaAt === null ? '' : ` at ${formatClock(etaAt).slice(0, 5)}`;
}

/** The ends of a stretch, and of its safe part, in minutes or bytes; undefined where unknown, or where nothing is safe. */
type Stretch = {
	readonly begin: string | undefined;
	readonly end: string | undefined;
	readonly reached: string | undefined;
};

function stretchOf({fromMs, toMs, safeToMs, exact, start, end, safeTo}: Pledge): Stretch {
	const words = (place: number | null) =>
		place === null
			? undefined
			: fromMs === null
				? formatBytes(place)
				: `${exact || place === fromMs ? '' : '~'}${formatTime(place)}`;
	const [first, last, safe] = fromMs === null ? [start, end, safeTo] : [fromMs, toMs, safeToMs];
	const reached = last === null || safe === null || safe <= (first ?? 0) ? null : Math.min(safe, last);
	const begin = words(first);
	// Less than a second shows as nothing.
	const isNothing = words(reached)?.replace('~', '') === begin;
	return {begin, end: words(last), reached: isNothing ? undefined : words(reached)};
}

/** `to 1:47:10` from the start on, else `41:07–1:47:10`. */
function partWords(pledge: Pledge, end: string, ascii: boolean): string {
	return isFromStart(pledge) ? `to ${end}` : rangeWords(pledge, end, ascii);
}

function rangeWords(pledge: Pledge, end: string, ascii: boolean): string {
	return `${stretchOf(pledge).begin ?? ''}${ascii ? '-' : '–'}${end}`;
}

function isFromStart({fromMs, start}: Pledge): boolean {
	return (fromMs ?? start) === 0;
}

/** `safe to 1:47:10`, `safe 41:07–1:47:10`, `safe to 200 MiB`, `all safe`. */
function safePart(pledge: Pledge, {size}: Pick<Download, 'size'>, ascii = false): string {
	const {fromMs, start, end} = pledge;
	return fromMs === null && start === 0 && end === size
		? 'all safe'
		: `safe ${partWords(pledge, stretchOf(pledge).end ?? formatBytes(0), ascii)}`;
}

/**
 * `safe 41:07–1:21:00; to 1:47:10 at 18:31`; without the time `safe 41:07–1:21:00; to 1:47:10 pending`. Before anything is
 * safe: `41:07–1:47:10 safe at 18:31`, `first 200 MiB to be made safe`. Where less than a second is missing: `almost safe to
 * 1:47:10`.
 */
function progress(pledge: Pledge, ascii: boolean): string {
	const {end, reached} = stretchOf(pledge);
	if (end === undefined) {
		return 'to be made safe';
	}

	const at = arrival(pledge);
	if (reached === end) {
		return `almost safe ${partWords(pledge, end, ascii)}${at === '' ? '' : `; all${at}`}`;
	}

	if (reached !== undefined) {
		return `safe ${partWords(pledge, reached, ascii)}; to ${end}${at === '' ? ' pending' : at}`;
	}

	const isFirstBytes = pledge.fromMs === null && isFromStart(pledge);
	const whole = isFirstBytes ? `first ${end}` : rangeWords(pledge, end, ascii);
	return `${whole} ${at === '' ? 'to be made safe' : `safe${at}`}`;
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
