// The range bar in colour.
import type {Download} from '../downstream.ts';
import {rangeBar} from '../text/range-bar.ts';
import {barPlayers} from './playback.ts';
import {span, type Span} from './spans.tsx';
import type {Role} from './theme.ts';

const roles: Record<string, Role> = {
	'·': 'missing',
	'.': 'missing',
	'▸': 'head',
	'>': 'head',
	'┃': 'player',
	'|': 'player',
};

/** The download's bar of `width` cells, as runs of cells with one role. */
export function barSpans(download: Download, width: number, ascii: boolean): Span[] {
	return inRuns(barText(download, width, ascii));
}

export function barText(download: Download, width: number, ascii: boolean): string {
	const {ranges, size, segments} = download;
	if (size === 0) {
		return (ascii ? '#' : '█').repeat(width);
	}

	return rangeBar({
		ranges,
		size: size ?? 1,
		width,
		players: barPlayers(download).map(({offset}) => offset),
		heads: segments.map(({offset}) => offset),
		ascii,
	});
}

export function inRuns(cells: string): Span[] {
	return Array.from(cells.matchAll(/([·.]+)|([▸>]+)|([┃|]+)|[^·.▸>┃|]+/g), ([run]) =>
		span(run, roles[run[0]!] ?? 'have'),
	);
}
