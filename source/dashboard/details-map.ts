// The map of the details: the minutes of a film, or the bytes of a file.
import {continuedMs, type Download} from '../downstream.ts';
import {timeMap} from './film-lines.ts';
import {cellsOf} from '../text/clean-text.ts';
import {formatBytes, formatOffset} from '../text/format.ts';
import {cellStart} from '../text/range-bar.ts';
import {connectedPlayers} from '../text/status-words.ts';
import {downloadCells, inRuns, unmet} from './bar-spans.ts';
import type {DetailsProps} from './details-facts.ts';
import {lineCells, span, spread, type Line} from './spans.tsx';

/** Lines, the title included; fewer would show no positions. */
export const smallestMap = 4;
/** Lines that a map of the bytes takes below one of the minutes. */
const roomyMap = 8;

/** A map of the bytes follows one of the minutes where it has room. */
export function dockedMap(props: DetailsProps, height: number): Line[] {
	const {download, showsBytes} = props;
	const map = mapLines(props, height);
	const rest = height - map.length - 1;
	const hasBoth = download.film && !showsBytes && hasByteMap(download);
	return hasBoth && map.length > 0 && rest >= roomyMap
		? [...map, [], ...mapLines({...props, showsBytes: true}, rest)]
		: map;
}

/** In a complete file, only the positions of players differ. */
export function hasByteMap(download: Download): boolean {
	return download.status !== 'complete' || connectedPlayers(download) > 0;
}

/** At most `height` lines, the title included; none where there is nothing to see. */
export function mapLines({download, fresh, showsBytes, width, ascii}: DetailsProps, height: number): Line[] {
	const {size, film} = download;
	if (!size || height < 2) {
		return [];
	}

	if (film && !(showsBytes && hasByteMap(download))) {
		const position = film.position > 0 ? film.position : continuedMs(download);
		return timeMap({...film, position}, unmet(download), width, ascii);
	}

	if (!hasByteMap(download)) {
		return [];
	}

	const cells = width - 10;
	const lines = Math.min(height - 1, Math.ceil(size / cells));
	const bar = downloadCells(download, cells * lines, ascii, fresh);
	const isPledged = unmet(download).length > 0;
	const legend = ascii
		? `# on disk  + - part  . missing  ${isPledged ? ': to be safe  ' : ''}> fetching  | player`
		: `█ on disk  ▌▓ part  · missing  ${isPledged ? '▒ to be safe  ' : ''}▸ fetching  ┃ player`;
	const scale: Line = [
		span(' Map', 'label'),
		span(`  1 cell = ${formatBytes(Math.max(1, Math.round(size / (cells * lines))))}`),
	];
	const hasRoom = lineCells(scale) + cellsOf(legend) + 3 <= width;
	return [
		hasRoom ? spread(scale, [span(legend, 'label')], width - 1) : scale,
		...Array.from({length: lines}, (_, line): Line => {
			const offset = formatOffset(cellStart(line * cells, size, cells * lines), size).padStart(8);
			return [span(`${offset} `, 'label'), ...inRuns(bar.slice(line * cells, (line + 1) * cells))];
		}),
	];
}
