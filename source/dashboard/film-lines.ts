// A film on the screen: the column of the list, the facts of the details, and the map in minutes.
import type {Download, DownloadFilm} from '../downstream.ts';
import {cellsOf} from '../text/clean-text.ts';
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
} from '../text/film-words.ts';
import {formatBytes} from '../text/format.ts';
import {barCells} from '../text/range-bar.ts';
import {inRuns} from './bar-spans.ts';
import {span, type Line} from './spans.tsx';

/**
 * In full where the width allows, else the wait before it plays through, else `→1:02:10`; with a flag if the download has a
 * pledge.
 */
export function watchLine(download: Download, width: number, ascii: boolean): Line {
	const flag = download.pledges.length === 0 ? '' : ascii ? '! ' : '⚑ ';
	const variants = [watchWords(download, ascii), waitWords(download) ?? ''];
	const words =
		variants.find(each => each !== '' && cellsOf(flag + each) <= width) ?? shortWatchWords(download, ascii);
	return [span(flag + words, willStall(download) ? 'waiting' : 'plain')];
}

/** `stalls in 59m · wait 9m59s`; estimates have two marks more. */
const stallCells = 26;

/**
 * Cells of the longest minutes of a film with the blank before them, in full and in short. They follow from its length, so
 * they stay while it plays.
 */
export function watchCells(download: Download): {readonly full: number; readonly short: number} {
	const {film, pledges} = download;
	if (film === null) {
		return {full: 0, short: 0};
	}

	const time = formatTime(film.durationMs).length + (film.exact ? 0 : 1);
	const flag = pledges.length === 0 ? 0 : 2;
	const full = Math.max(
		'to  of '.length + 2 * time,
		willStall(download) ? stallCells + (film.exact ? 0 : 2) : 0,
	);
	return {full: 1 + flag + full, short: 1 + flag + '→'.length + time};
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
		['Watch', playableWords(film, ascii, cells)],
		...(forecast === undefined ? [] : [['Forecast', forecast] as [string, string]]),
	];
}

function indexWords({exact, indexBytes, indexOffset}: DownloadFilm, size: number | null): string {
	if (!exact) {
		return 'no index: times are estimates';
	}

	const isAtEnd = size !== null && indexOffset > size / 2;
	return `index here (${formatBytes(indexBytes)}${isAtEnd ? ', at the end' : ''})`;
}

const minuteMs = 60_000;
const tickMs = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].map(minutes => minutes * minuteMs);
/** Least distance of two ticks in cells: `╵10:00:00` and a blank. */
const tickCells = 12;

/** The bar of the minutes that can be watched, and its axis. */
export function timeMap(film: DownloadFilm, width: number, ascii: boolean): Line[] {
	const {durationMs, playable, position} = film;
	const [start, end] = [` ${formatTime(0)} `, ` ${formatTime(durationMs)}`];
	const cells = width - start.length - end.length - 1;
	const bar = barCells({
		ranges: playable,
		size: durationMs,
		width: cells,
		players: position > 0 ? [{offset: position, ready: 0}] : [],
		heads: [],
		ascii,
	});
	return [
		[span(start, 'label'), ...inRuns(bar), span(end, 'label')],
		[span(' '.repeat(start.length)), span(axis(durationMs, cells, ascii), 'label')],
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
