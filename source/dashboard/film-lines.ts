// A film on the screen: the column of the list, the facts of the details, and the map in minutes.
import type {Download, DownloadFilm, Pledge} from '../downstream.ts';
import {firstFitting} from '../text/clean-text.ts';
import {
	filmWords,
	forecastWords,
	formatTime,
	playableWords,
	problemWords,
	shortWatchWords,
	waitWords,
	watchWords,
	willStall,
	withoutLength,
} from '../text/film-words.ts';
import {formatBytes} from '../text/format.ts';
import {barCells} from '../text/range-bar.ts';
import {pledgeFlag, shortSafeWords, shownPledge} from '../text/safe-words.ts';
import {connectedPlayers} from '../text/status-words.ts';
import {inRuns} from './bar-spans.ts';
import {span, type Line} from './spans.tsx';

/**
 * In full where the width allows, else without the length of the film, else the wait before it plays through, else `→1:02:10`. A pledge's safe part takes
 * precedence, unless a player stalls or more can be watched: then it is a flag.
 */
export function watchLine(download: Download, width: number, ascii: boolean): Line {
	const stalls = willStall(download);
	const isPlaying = download.playback !== null || connectedPlayers(download) > 0;
	const safe = stalls && isPlaying ? [] : shortSafeWords(download, ascii);
	if (safe.length > 0) {
		const isImpossible = shownPledge(download)?.state === 'impossible';
		return [span(firstFitting(safe, width), isImpossible ? 'failed' : 'plain')];
	}

	const flag = download.pledges.length === 0 ? '' : pledgeFlag(ascii);
	const wait = waitWords(download);
	const full = watchWords(download, ascii);
	const long = [full, withoutLength(full, download), ...(wait === undefined ? [] : [wait])];
	const words = [
		...long.map(each => (flag === '' ? each : `${flag} ${each}`)),
		flag + shortWatchWords(download, ascii),
	];
	return [span(firstFitting(words, width), stalls ? 'waiting' : 'plain')];
}

/** `stalls in 59m · wait 9m59s`; estimates have two marks more. */
const stallCells = 26;

/**
 * Cells of the longest minutes of a download with the blank before them, in full and in short. They follow from its length,
 * so they stay while it plays.
 */
export function watchCells(download: Download): {readonly full: number; readonly short: number} {
	const {film, pledges} = download;
	const isPledged = pledges.length > 0;
	if (film === null) {
		const short = isPledged ? ' ⚑→1023 MiB'.length : 0;
		return {full: isPledged ? ' safe to 1023 MiB; all at 18:31'.length : 0, short};
	}

	const time = formatTime(film.durationMs).length + (film.exact ? 0 : 1);
	const isFromStart = pledges.every(({fromMs}) => fromMs === 0);
	const pledged = isFromStart
		? ' safe to ; all at 18:31'.length + time
		: ' safe –; all at 18:31'.length + 2 * time;
	const full = Math.max(
		(isPledged ? ' ⚑ to  of ' : ' to  of ').length + 2 * time,
		isPledged ? pledged : 0,
		willStall(download) ? 1 + stallCells + (film.exact ? 0 : 2) : 0,
	);
	return {full, short: (isPledged ? ' ⚑→' : ' →').length + time};
}

/** Labels and texts for the details, with the times that fit in `cells`; none for a file that is no film. */
export function filmFacts(
	download: Download,
	cells: number,
	ascii: boolean,
): Array<[label: string, text: string]> {
	const {film, filmProblem} = download;
	if (film === null) {
		return filmProblem === null ? [] : [['Film', problemWords(filmProblem)]];
	}

	const forecast = forecastWords(download);
	return [
		['Film', `${filmWords(film, ascii)} ${ascii ? '-' : '·'} ${indexWords(film, download.size)}`],
		['Watch', playableWords(film, download, ascii, cells)],
		...(forecast === undefined ? [] : [['Forecast', forecast] as [string, string]]),
	];
}

function indexWords({exact, indexBytes, indexOffset}: DownloadFilm, size: number | null): string {
	if (!exact) {
		return 'times are estimates';
	}

	const isAtEnd = size !== null && indexOffset > size / 2;
	return `index on disk (${formatBytes(indexBytes)}${isAtEnd ? ', at the end' : ''})`;
}

const minuteMs = 60_000;
const tickMs = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].map(minutes => minutes * minuteMs);
/** Minimum distance of two ticks in cells: `╵10:00:00` and a blank. */
const tickCells = 12;

export type BarCells = {readonly left: number; readonly cells: number};

const start = ` ${formatTime(0)} `;

/** The place of the bar of minutes on a line of `width` cells. */
export function barOf({durationMs}: Pick<DownloadFilm, 'durationMs'>, width: number): BarCells {
	return {left: start.length, cells: width - start.length - formatTime(durationMs).length - 2};
}

/** The bar of the minutes that can be watched, and its axis. `pledges`: those that are not met. */
export function timeMap(
	film: DownloadFilm,
	pledges: readonly Pledge[],
	width: number,
	ascii: boolean,
): Line[] {
	const {durationMs, playable, position} = film;
	const {left, cells} = barOf(film, width);
	const bar = barCells({
		ranges: playable,
		size: durationMs,
		width: cells,
		players: position > 0 ? [{offset: position, ready: 0}] : [],
		heads: [],
		pledged: pledges.flatMap(({fromMs, toMs}) => (fromMs === null ? [] : [[fromMs, toMs ?? durationMs]])),
		ascii,
	});
	return [
		[span(start, 'label'), ...inRuns(bar), span(` ${formatTime(durationMs)}`, 'label')],
		[span(' '.repeat(left)), span(axis(durationMs, cells, ascii), 'label')],
	];
}

function axis(durationMs: number, cells: number, ascii: boolean): string {
	const step = tickMs.find(ms => (ms / durationMs) * cells >= tickCells) ?? durationMs;
	let line = '';
	for (let ms = step; ms < durationMs; ms += step) {
		const label = `${ascii ? '|' : '╵'}${formatTime(ms)}`;
		const cell = Math.floor((ms / durationMs) * cells);
		if (cell + label.length <= cells) {
			line = line.padEnd(cell) + label;
		}
	}

	return line;
}
