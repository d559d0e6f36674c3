// The range bar in color.
import type {Download, Pledge} from '../downstream.ts';
import {barCells, type BarCell} from '../text/range-bar.ts';
import {barPlayers} from './playback.ts';
import {span, type Line, type Span} from './spans.tsx';

export type ByteRange = readonly [start: number, end: number];

/** The download's bar of `width` cells. `fresh`: the bytes written a moment ago. */
export function barLine(
	download: Download,
	width: number,
	ascii: boolean,
	fresh: readonly ByteRange[],
): Line {
	return inRuns(downloadCells(download, width, ascii, fresh));
}

export function downloadCells(
	download: Download,
	width: number,
	ascii: boolean,
	fresh: readonly ByteRange[],
): readonly BarCell[] {
	const {ranges, size, segments} = download;
	if (size === 0) {
		return Array.from({length: width}, () => ({glyph: ascii ? '#' : '█', kind: 'have'}));
	}

	return barCells({
		ranges,
		size: size ?? 1,
		width,
		players: barPlayers(download).map(({offset}) => ({offset, ready: readyAt(ranges, offset)})),
		heads: segments.map(({offset}) => offset),
		fresh,
		pledged: unmet(download).flatMap(({start, end}) =>
			start === null ? [] : [[start, end ?? size ?? start]],
		),
		ascii,
	});
}

/** The unmet pledges. Bytes between the ranges of a met pledge may stay missing. */
export function unmet({pledges}: Download): readonly Pledge[] {
	return pledges.filter(({state}) => state !== 'safe');
}

/** Cells of one kind as one piece. */
export function inRuns(cells: readonly BarCell[]): Span[] {
	const runs: Array<{kind: BarCell['kind']; text: string}> = [];
	for (const {glyph, kind} of cells) {
		const last = runs.at(-1);
		if (last?.kind === kind) {
			last.text += glyph;
		} else {
			runs.push({kind, text: glyph});
		}
	}

	return runs.map(({kind, text}) => span(text, kind));
}

/** Present bytes from an offset on, up to the first gap. */
function readyAt(ranges: readonly ByteRange[], offset: number): number {
	const around = ranges.find(([start, end]) => start <= offset && offset < end);
	return around ? around[1] - offset : 0;
}
