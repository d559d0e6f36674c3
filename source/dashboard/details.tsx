// Everything that is known of one download: docked below the list, or on the whole screen.
import {Box, Text} from 'ink';
import type {Download, OpenSegment, Player} from '../downstream.ts';
import {maskUrl} from '../mask-url.ts';
import {cellsOf, cleanText, fitName, fitText} from './clean-text.ts';
import {formatBytes, formatDuration, formatOffset, formatPercent, formatSpeed} from './format.ts';
import {cellStart, rangeBar} from './range-bar.ts';
import {amount, secondsLeft, stateWords} from './state-words.ts';

export type DetailsProps = {
	readonly download: Download;
	readonly width: number;
	/** Lines, with the title. */
	readonly height: number;
	/** Lines of the map; 0 for one bar over the whole width. */
	readonly map: number;
	readonly ascii: boolean;
	readonly now: number;
};

export function Details(props: DetailsProps) {
	const {download, width, height, map, ascii, now} = props;
	const facts = map > 0 || height > 8 ? allFacts(props) : mainFacts(props);
	const lines = [
		titleLine(download, width, now, ascii),
		...facts.map(line => fitText(line, width - 1, {ascii})),
	];
	if (map > 0) {
		lines.push(...mapLines(download, width, map, ascii));
	}

	return (
		<Box flexDirection="column" height={height} width={width}>
			{lines.slice(0, height).map((line, index) => (
				// oxlint-disable-next-line react/no-array-index-key -- lines have no other name than their place
				<Text key={index} bold={index === 0} wrap="truncate">
					{line}
				</Text>
			))}
		</Box>
	);
}

function titleLine(download: Download, width: number, now: number, ascii: boolean): string {
	const rule = ascii ? '-' : '─';
	const {state} = stateWords(download, now, ascii);
	const name = fitName(cleanText(download.name), Math.max(8, width - state.length - 12), {ascii});
	const start = `${rule.repeat(2)} ${name} `;
	const end = ` ${state} ${rule.repeat(2)}`;
	const filled = width - cellsOf(start) - cellsOf(end);
	return start + rule.repeat(Math.max(0, filled)) + end;
}

/** Seven lines: what there is room for below a short list. */
function mainFacts(props: DetailsProps): string[] {
	const {download, width, ascii} = props;
	return [
		`${label('Stream')}${download.streamUrl}`,
		`${label('Have')}${haveLine(download)}`,
		` ${wholeBar(download, width - 2, ascii)}`,
		`${label('Players')}${playersLine(download, ascii)}`,
		`${label('Conns')}${connectionsLine(download)}`,
		`${label('Error')}${errorLine(download)}`,
	];
}

function allFacts(props: DetailsProps): string[] {
	const {download} = props;
	const {size, type, validator, acceptsRanges, bytesPerSecond, bytesPerSecondLong, folder, exportedTo} =
		download;
	const ranges =
		acceptsRanges === null ? 'not known yet' : acceptsRanges ? 'yes' : 'no, so it cannot seek ahead';
	const exact =
		size === null
			? 'size unknown (the server sent no length)'
			: `${formatBytes(size)} (${size.toLocaleString('en')} bytes)`;
	const version = validator === null ? '' : `, ${validator.startsWith('"') ? 'ETag ' : ''}${validator}`;
	return [
		`${label('Stream')}${download.streamUrl}`,
		`${label('Source')}${maskUrl(download.url, '•••')}`,
		`${label('File')}${type}, ${exact}${version}, ranges: ${ranges}`,
		`${label('Have')}${haveLine(download)}`,
		`${label('Speed')}${formatSpeed(bytesPerSecond)}, average ${formatSpeed(bytesPerSecondLong)}, ${formatDuration(secondsLeft(download))} left`,
		`${label('Conns')}${connectionsLine(download)}`,
		`${label('Players')}${playersLine(download, props.ascii)}`,
		`${label('Error')}${errorLine(download)}`,
		exportedTo === null ? `${label('Folder')}${folder}` : `${label('Export')}${exportedTo}`,
	].map(line => cleanText(line));
}

function label(text: string): string {
	return ` ${text.padEnd(8)}`;
}

function haveLine(download: Download): string {
	const {present, size, ranges} = download;
	if (size === null) {
		return amount(download);
	}

	const pieces = ranges.length === 1 ? '1 piece' : `${ranges.length} pieces`;
	const gaps = countGaps(download);
	const missing =
		gaps === 0
			? 'nothing is missing'
			: `missing ${formatBytes(size - present)} in ${gaps === 1 ? '1 gap' : `${gaps} gaps`}`;
	return `${amount(download)} (${formatPercent(present, size)}) in ${pieces}; ${missing}`;
}

function countGaps({ranges, size}: Download): number {
	if (ranges.length === 0) {
		return size === 0 ? 0 : 1;
	}

	return ranges.length - 1 + (ranges[0]![0] > 0 ? 1 : 0) + (ranges.at(-1)![1] < (size ?? 0) ? 1 : 0);
}

function connectionsLine({connections, maxConnections, segments, status}: Download): string {
	if (connections === 0) {
		return status === 'complete' ? 'none, all is here' : `none of ${maxConnections}`;
	}

	const fills = segments.map(segment => describeSegment(segment)).join(', ');
	return `${connections} of ${maxConnections}: ${fills}`;
}

function describeSegment({offset, for: purpose}: OpenSegment): string {
	return `${purpose === 'player' ? 'for a player' : 'fills'} at ${formatOffset(offset)}`;
}

function playersLine({players, size}: Download, ascii: boolean): string {
	if (players.length === 0) {
		return 'none; press c and paste the URL into mpv, VLC or a browser';
	}

	return players.map(player => describePlayer(player, size, ascii)).join('; ');
}

function describePlayer(
	{name, offset, ready, blocked, connected}: Player,
	size: number | null,
	ascii: boolean,
): string {
	const place = size ? ` (${formatPercent(Math.min(offset, size - 1), size)})` : '';
	const state = connected
		? blocked
			? 'waits for data'
			: `${formatBytes(ready)} ready ahead`
		: 'not connected now';
	return `${ascii ? '|' : '┃'}${cleanText(name)} reads at ${formatBytes(offset)}${place}, ${state}`;
}

function errorLine({error, lastError}: Download): string {
	if (error) {
		return cleanText(error.message);
	}

	return lastError ? `none now (${timeOf(lastError.at)} ${cleanText(lastError.message)})` : 'none';
}

function timeOf(milliseconds: number): string {
	return new Date(milliseconds).toTimeString().slice(0, 5);
}

function barInput({ranges, size, players, segments}: Download) {
	return {
		ranges,
		size: size ?? 1,
		players: players.filter(({connected}) => connected).map(({offset}) => offset),
		heads: segments.map(({offset}) => offset),
	};
}

function wholeBar(download: Download, width: number, ascii: boolean): string {
	if (download.size === null) {
		return 'size unknown (the server sent no length)';
	}

	return download.size === 0
		? (ascii ? '#' : '█').repeat(width)
		: rangeBar({...barInput(download), width, ascii});
}

/** The same bar, cut into lines, each with the offset at which it begins. */
function mapLines(download: Download, width: number, height: number, ascii: boolean): string[] {
	const {size} = download;
	if (!size) {
		return [];
	}

	const cells = width - 10;
	const lines = Math.min(height - 1, Math.ceil(size / cells));
	const bar = rangeBar({...barInput(download), width: cells * lines, ascii});
	const legend = ascii
		? '# have  + - part  . missing  > fetching  | player'
		: '█ have  ▓▒░ part  · missing  ▸ fetching  ┃ player';
	const scale = ` Map  1 cell = ${formatBytes(Math.max(1, Math.round(size / (cells * lines))))}`;
	const gap = width - 1 - scale.length - legend.length;
	return [
		gap > 1 ? scale + ' '.repeat(gap) + legend : scale,
		...Array.from({length: lines}, (_, line) => {
			const offset = formatOffset(cellStart(line * cells, size, cells * lines)).padStart(8);
			return `${offset} ${bar.slice(line * cells, (line + 1) * cells)}`;
		}),
	];
}
