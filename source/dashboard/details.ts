// Everything that is known of one download, as lines: docked below the list, or on the whole screen.
import type {Download, OpenSegment, Player} from '../downstream.ts';
import {maskUrl} from '../mask-url.ts';
import {barSpans, barText, inRuns} from './bar-spans.ts';
import {cellsOf, cleanText, fitName} from './clean-text.ts';
import {formatBytes, formatDuration, formatOffset, formatPercent, formatSpeed} from './format.ts';
import {cellStart} from './range-bar.ts';
import {fitLine, lineCells, span, spread, type Line} from './spans.tsx';
import {sparkline} from './sparkline.ts';
import {amount, reason, secondsLeft, stateWords} from './state-words.ts';

export type DetailsProps = {
	readonly download: Download;
	/** Bytes per second of the last minute. */
	readonly speeds: readonly number[];
	readonly width: number;
	/** Lines, with the title. */
	readonly height: number;
	readonly ascii: boolean;
	readonly now: number;
};

const labelCells = 9;
/** With its title; fewer would not show where anything is. */
const smallestMap = 4;

/** At most `height` lines for what is docked: the main facts and one bar, or all of them and the map. */
export function dockedLines(props: DetailsProps): Line[] {
	const {download, width, height, ascii} = props;
	const title = titleLine(props);
	if (height >= 16) {
		const facts = allFacts(props, 3);
		return [title, ...facts, ...mapLines(download, width, height - 1 - facts.length, ascii)];
	}

	return [
		title,
		...[
			labelled('Have', haveLine(download)),
			[span(' '), ...barSpans(download, width - 2, ascii)],
			...playerLines(download, 1, ascii),
			labelled('Conns', connectionsLine(download)),
			labelled('Error', errorLine(download)),
		].map(line => fitLine(line, width - 1, ascii)),
	].slice(0, height);
}

/** As many lines as it takes. */
export function pageLines(props: DetailsProps): Line[] {
	const {download, width, height, ascii} = props;
	const {exportedTo, exportWhenComplete, folder, checksum, limitRate} = download;
	const more = [
		exportedTo === null
			? labelled('Folder', folder)
			: [...labelled('Export', ''), {text: cleanText(exportedTo), link: fileUrl(exportedTo)}],
		...(exportWhenComplete === null ? [] : [labelled('Then', `exported to ${exportWhenComplete}`)]),
		...(checksum === null ? [] : [labelled('Check', checksum)]),
		...(limitRate === null ? [] : [labelled('Limit', formatSpeed(limitRate))]),
	].map(line => fitLine(line, width - 1, ascii));
	const facts = [...allFacts(props, Infinity), ...more, []];
	const map = mapLines(download, width, Math.max(smallestMap, height - 1 - facts.length), ascii);
	return [titleLine(props), ...facts, ...map];
}

function titleLine({download, width, now, ascii}: DetailsProps): Line {
	const rule = ascii ? '-' : '─';
	const {state, tone} = stateWords(download, now, ascii);
	const name = fitName(cleanText(download.name), Math.max(8, width - state.length - 12), {ascii});
	const filled = width - cellsOf(name) - state.length - 8;
	return [
		span(`${rule.repeat(2)} `, 'rule'),
		span(name, 'strong'),
		span(` ${rule.repeat(Math.max(0, filled))} `, 'rule'),
		span(state, tone),
		span(` ${rule.repeat(2)}`, 'rule'),
	];
}

function allFacts(props: DetailsProps, mostPlayers: number): Line[] {
	const {download, width, ascii} = props;
	const {streamUrl, url} = download;
	const shownUrl = maskUrl(url, ascii ? '***' : '•••');
	const keys = (text: string): Line => (width >= 78 ? [span(text, 'label')] : []);
	const room = width - 1 - (width >= 78 ? 18 : 0);
	const withKeys = (line: Line, text: string) => spread(fitLine(line, room, ascii), keys(text), width - 1);
	return [
		withKeys([...labelled('Stream', ''), {text: streamUrl, link: streamUrl}], 'c copy  o play'),
		withKeys(
			// A link would tell what is masked.
			[...labelled('Source', ''), {text: cleanText(shownUrl), ...(shownUrl === url ? {link: url} : {})}],
			'C copy  U change',
		),
		labelled('File', fileLine(download, width - labelCells - 1)),
		labelled('Have', haveLine(download)),
		speedLine(props),
		labelled('Conns', connectionsLine(download)),
		...playerLines(download, mostPlayers, ascii),
		labelled('Error', errorLine(download)),
	].map(line => fitLine(line, width - 1, ascii));
}

function labelled(label: string, text: string): Line {
	return [span(` ${label}`.padEnd(labelCells), 'label'), ...(text === '' ? [] : [span(cleanText(text))])];
}

/** To the byte where that has room. */
function fileLine({type, size, validator, acceptsRanges}: Download, cells: number): string {
	const ranges =
		acceptsRanges === null ? 'not known yet' : acceptsRanges ? 'yes' : 'no, so it cannot seek ahead';
	const version = validator === null ? '' : `, ${/^(?:W\/)?"/.test(validator) ? 'ETag ' : ''}${validator}`;
	const line = (length: string) => `${type}, ${length}${version}, ranges: ${ranges}`;
	if (size === null) {
		return line('size unknown (the server sent no length)');
	}

	const exact = line(`${formatBytes(size)} (${size.toLocaleString('en')} bytes)`);
	return cellsOf(exact) <= cells ? exact : line(formatBytes(size));
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

function speedLine({download, speeds, width, ascii}: DetailsProps): Line {
	const {bytesPerSecond, bytesPerSecondLong, addedAt, completedAt} = download;
	if (completedAt !== null) {
		return labelled('Took', formatDuration((completedAt - addedAt) / 1000));
	}

	const left = secondsLeft(download);
	const words = [
		`average ${formatSpeed(bytesPerSecondLong)}`,
		...(Number.isFinite(left) ? [`${formatDuration(left)} left`] : []),
	].join(', ');
	const now = `${formatSpeed(bytesPerSecond)} `;
	const room = Math.min(60, width - labelCells - now.length - words.length - 8);
	const chart = room >= 6 ? sparkline(speeds, room, ascii) : '';
	return [
		...labelled('Speed', now),
		...(chart === '' ? [] : [span(chart, 'active'), span(` ${chart.length} s, `)]),
		span(words),
	];
}

function connectionsLine({connections, maxConnections, segments, status}: Download): string {
	if (connections === 0) {
		return status === 'complete' ? 'none, all is here' : `none of ${maxConnections}`;
	}

	const places = (purpose: OpenSegment['for'], words: string) => {
		const own = segments.filter(segment => segment.for === purpose);
		return own.length === 0 ? [] : `${words} at ${own.map(({offset}) => formatOffset(offset)).join(', ')}`;
	};

	const all = [places('player', 'for a player'), places('fill', 'fills')].flat();
	return `${connections} of ${maxConnections}: ${all.join('; ')}`;
}

/** One line for each player; those beyond `most` are counted. */
function playerLines({players, size}: Download, most: number, ascii: boolean): Line[] {
	if (players.length === 0) {
		return [labelled('Players', 'none; press c and paste the URL into mpv, VLC or a browser')];
	}

	const shown = players.length > most ? players.slice(0, Math.max(1, most - 1)) : players;
	const lines = shown.map((player, index): Line => [
		span((index === 0 ? ' Players' : '').padEnd(labelCells), 'label'),
		span(ascii ? '|' : '┃', 'player'),
		span(describePlayer(player, size)),
	]);
	const more = players.length - shown.length;
	if (more > 0 && most > 1) {
		lines.push([span(' '.repeat(labelCells)), span(`and ${more} more`)]);
	} else if (more > 0) {
		lines[0] = [...lines[0]!, span(`; ${more} more`)];
	}

	return lines;
}

/** A place in the file, not a time in the film. */
function describePlayer({name, offset, ready, blocked, connected}: Player, size: number | null): string {
	const place = size ? ` (${formatPercent(Math.min(offset, size - 1), size)})` : '';
	const state = connected
		? blocked
			? 'waits for data'
			: `${formatBytes(ready)} ready ahead`
		: 'not connected now';
	return `${cleanText(name)}  reads at ${formatBytes(offset)}${place}, ${state}`;
}

function errorLine(download: Download): string {
	const {error, lastError} = download;
	if (error) {
		return reason(download) ?? error.message;
	}

	return lastError ? `none now (${clock(lastError.at)} ${lastError.message})` : 'none';
}

function clock(milliseconds: number): string {
	return new Date(milliseconds).toTimeString().slice(0, 5);
}

/** At most `height` lines with the title; none where there is no size to map. */
function mapLines(download: Download, width: number, height: number, ascii: boolean): Line[] {
	const {size} = download;
	if (!size || height < 2) {
		return [];
	}

	const cells = width - 10;
	const lines = Math.min(height - 1, Math.ceil(size / cells));
	const bar = barText(download, cells * lines, ascii);
	const legend = ascii
		? '# have  + - part  . missing  > fetching  | player'
		: '█ have  ▓▒░ part  · missing  ▸ fetching  ┃ player';
	const scale: Line = [
		span(' Map', 'label'),
		span(`  1 cell = ${formatBytes(Math.max(1, Math.round(size / (cells * lines))))}`),
	];
	const hasRoom = lineCells(scale) + cellsOf(legend) + 3 <= width;
	return [
		hasRoom ? spread(scale, [span(legend, 'label')], width - 1) : scale,
		...Array.from({length: lines}, (_, line): Line => {
			const offset = formatOffset(cellStart(line * cells, size, cells * lines)).padStart(8);
			return [span(`${offset} `, 'label'), ...inRuns(bar.slice(line * cells, (line + 1) * cells))];
		}),
	];
}

function fileUrl(path: string): string {
	return `file://${path
		.split('/')
		.map(part => encodeURIComponent(part))
		.join('/')}`;
}
