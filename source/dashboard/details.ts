// The details of one download as lines: docked below the list, or as a page.
import type {Download, OpenSegment, Player} from '../downstream.ts';
import {maskUrl} from '../text/mask-url.ts';
import {barSpans, barText, inRuns} from './bar-spans.ts';
import {cellsOf, cleanText, fitName} from '../text/clean-text.ts';
import {wrapped} from './dialog-view.tsx';
import {filmFacts, timeMap} from './film-lines.ts';
import {
	formatBytes,
	formatClock,
	formatDuration,
	formatOffset,
	formatPercent,
	formatSpeed,
} from '../text/format.ts';
import {cellStart} from '../text/range-bar.ts';
import {fitLine, lineCells, span, spread, type Line} from './spans.tsx';
import {leftAt, playbackWords} from './playback.ts';
import {sparkline} from './sparkline.ts';
import {amount, reason, secondsLeft, stateWords, substituteOf} from '../text/status-words.ts';

export type DetailsProps = {
	readonly download: Download;
	/** Bytes per second of the last minute. */
	readonly speeds: readonly number[];
	/** The map of a film is in bytes, not in minutes. */
	readonly showsBytes: boolean;
	readonly width: number;
	/** Lines, the title included. */
	readonly height: number;
	readonly ascii: boolean;
	readonly now: number;
};

/** A label with its text. */
type Fact = {readonly head: Line; readonly text: string};

const labelCells = 9;
/** Lines, the title included; fewer would show no positions. */
const smallestMap = 4;

/** At most `height` lines: the main facts with one bar, or from 16 lines on all facts with the map. */
export function dockedLines(props: DetailsProps): Line[] {
	const {download, width, height, ascii} = props;
	const title = titleLine(props);
	if (height >= 16) {
		const facts = allFacts(props, 3, oneLine);
		return [title, ...facts, ...mapLines(props, height - 1 - facts.length)];
	}

	const {size, acceptsRanges} = download;
	const bar: Line =
		size === null
			? [span(acceptsRanges === null ? notAsked : sizeUnknown)]
			: barSpans(download, width - 2, ascii);
	return [
		title,
		...[
			streamFact(props),
			{head: [span(' '), ...bar], text: ''},
			labelled('Have', haveLine(download)),
			...playbackFacts(download, ascii),
			...playerFacts(download, 1, ascii),
			...errorFacts(download),
			...filmFacts(download, ascii).flatMap(([label, text]) =>
				label === 'Watch' ? labelled(label, text) : [],
			),
			labelled('Conns', connectionsLine(download)),
		].flatMap(fact => oneLine(fact, width, ascii)),
	].slice(0, height);
}

/** Shortens the text in the middle to fit one line. */
function oneLine({head, text}: Fact, width: number, ascii: boolean): Line[] {
	return [fitLine(text === '' ? head : [...head, span(text)], width - 1, ascii)];
}

/** Wraps the text. */
function wholeText({head, text}: Fact, width: number, ascii: boolean): Line[] {
	const cells = lineCells(head);
	const [first, ...rest] = wrapped(text, width - 1 - cells);
	return text === ''
		? oneLine({head, text}, width, ascii)
		: [[...head, span(first!)], ...rest.map(line => [span(' '.repeat(cells)), span(line)])];
}

/** All details, on any number of lines. */
export function pageLines(props: DetailsProps): Line[] {
	const {download, width, height, ascii} = props;
	const {exportedTo, exportWhenComplete, folder, checksum, limitRate} = download;
	const more = [
		exportedTo === null
			? labelled('Folder', folder)
			: linked('Export', cleanText(exportedTo), fileUrl(exportedTo)),
		...(exportWhenComplete === null ? [] : [labelled('Then', `exported to ${exportWhenComplete}`)]),
		...(checksum === null ? [] : [labelled('Check', checksum)]),
		...(limitRate === null ? [] : [labelled('Limit', formatSpeed(limitRate))]),
	].flatMap(fact => wholeText(fact, width, ascii));
	const facts = [...allFacts(props, Infinity, wholeText), ...more, []];
	const map = mapLines(props, Math.max(smallestMap, height - 1 - facts.length));
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

function allFacts(props: DetailsProps, maxPlayers: number, toLines: typeof oneLine): Line[] {
	const {download, width, ascii} = props;
	const {url} = download;
	const shownUrl = maskUrl(url, ascii ? '***' : '•••');
	const substitute = substituteOf(download)?.words;
	return [
		streamFact(props),
		// A link would reveal the masked part.
		withKeys(
			linked('Source', cleanText(shownUrl), shownUrl === url ? url : undefined),
			'C copy  U change',
			props,
		),
		labelled('File', fileLine(download, width - labelCells - 1)),
		...(substitute === undefined ? [] : [labelled('Note', `this is ${substitute}`)]),
		labelled('Have', haveLine(download)),
		...filmFacts(download, ascii).map(([label, text]) => labelled(label, text)),
		speedFact(props),
		labelled('Conns', connectionsLine(download)),
		...playbackFacts(download, ascii),
		...playerFacts(download, maxPlayers, ascii),
		...errorFacts(download),
	].flatMap(fact => toLines(fact, width, ascii));
}

function streamFact(props: DetailsProps): Fact {
	const {streamUrl} = props.download;
	return withKeys(linked('Stream', streamUrl, streamUrl), 'c copy  o play', props);
}

/** Keys at the end of the line, where there is room. */
function withKeys({head}: Fact, keys: string, {width, ascii}: DetailsProps): Fact {
	const hasRoom = width >= 78;
	const fitted = fitLine(head, width - 1 - (hasRoom ? 18 : 0), ascii);
	return {head: spread(fitted, hasRoom ? [span(keys, 'label')] : [], width - 1), text: ''};
}

function labelled(label: string, text: string): Fact {
	return {head: [span(` ${label}`.padEnd(labelCells), 'label')], text: cleanText(text)};
}

function linked(label: string, text: string, link: string | undefined): Fact {
	const {head} = labelled(label, '');
	return {head: [...head, link === undefined ? {text} : {text, link}], text: ''};
}

const notAsked = 'size not known yet';
const sizeUnknown = 'size unknown (the server sent no length)';

/** With the exact size if it fits. */
function fileLine(download: Download, cells: number): string {
	const {type, size, acceptsRanges} = download;
	if (size === null && acceptsRanges === null) {
		return 'not known yet';
	}

	const ranges =
		acceptsRanges === null ? 'not known yet' : acceptsRanges ? 'yes' : 'no, so it cannot seek ahead';
	const version = versionWords(download);
	const line = (length: string) => `${type}, ${length}${version}, ranges: ${ranges}`;
	const [long, short] =
		size === null
			? [line(sizeUnknown), line('size unknown')]
			: [line(`${formatBytes(size)} (${size.toLocaleString('en')} bytes)`), line(formatBytes(size))];
	return cellsOf(long) <= cells ? long : short;
}

function versionWords({validator, hasUnstableValidator}: Download): string {
	if (validator === null) {
		return '';
	}

	const isEtag = /^(?:W\/)?"/.test(validator);
	if (hasUnstableValidator) {
		return `, its ${isEtag ? 'ETag' : 'date'} changes from response to response, so bytes are compared`;
	}

	return `, ${isEtag ? 'ETag ' : ''}${validator}`;
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

function speedFact({download, speeds, width, ascii}: DetailsProps): Fact {
	const {bytesPerSecond, bytesPerSecondLong, addedAt, completedAt} = download;
	if (completedAt !== null) {
		return labelled('Took', formatDuration((completedAt - addedAt) / 1000));
	}

	const left = secondsLeft(download);
	const words = [
		`average ${formatSpeed(bytesPerSecondLong)}`,
		...(Number.isFinite(left) ? [`${formatDuration(left)} left`] : []),
	].join(', ');
	const now = formatSpeed(bytesPerSecond);
	const room = Math.min(60, width - labelCells - now.length - words.length - 9);
	const chart = room >= 6 ? sparkline(speeds, room, ascii) : '';
	const {head} = labelled('Speed', '');
	return chart === ''
		? {head, text: `${now}, ${words}`}
		: {
				head: [...head, span(`${now} `), span(chart, 'active'), span(' ')],
				text: `${chart.length} s, ${words}`,
			};
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

/** The linked player, or where the film was left. */
function playbackFacts(download: Download, ascii: boolean): Fact[] {
	const playing = playbackWords(download, ascii);
	const left = leftAt(download);
	return playing !== undefined
		? [labelled('Player', playing)]
		: left !== undefined
			? [labelled('Left at', left)]
			: [];
}

/** One fact per player, connected ones first; a count stands for those beyond `max`. */
function playerFacts(download: Download, max: number, ascii: boolean): Fact[] {
	const players = download.players.toSorted((a, b) => Number(b.connected) - Number(a.connected));
	if (players.length === 0) {
		return [labelled('Players', 'none; press c and paste the URL into mpv, VLC or a browser')];
	}

	const shown = players.length > max ? players.slice(0, Math.max(1, max - 1)) : players;
	const facts = shown.map((player, index): Fact => ({
		head: [...labelled(index === 0 ? 'Players' : '', '').head, span(ascii ? '|' : '┃', 'player')],
		text: describePlayer(player, download.size),
	}));
	const more = players.length - shown.length;
	if (more > 0 && max > 1) {
		facts.push(labelled('', `and ${more} more`));
	} else if (more > 0) {
		facts[0] = {...facts[0]!, text: `${facts[0]!.text}; ${more} more`};
	}

	return facts;
}

/** The position is in bytes: the time in the film is unknown. */
function describePlayer({name, offset, ready, blocked, connected}: Player, size: number | null): string {
	const place = size ? ` (${formatPercent(Math.min(offset, size - 1), size)})` : '';
	const state = connected
		? blocked
			? 'waits for data'
			: `${formatBytes(ready)} ready ahead`
		: 'not connected now';
	return `${cleanText(name)}  reads at ${formatBytes(offset)}${place}, ${state}`;
}

/** The error in the way, or the last one; nothing if there was none. */
function errorFacts(download: Download): Fact[] {
	const {error, lastError} = download;
	if (error) {
		return [labelled('Error', reason(download) ?? error.message)];
	}

	return lastError
		? [labelled('Error', `last at ${formatClock(lastError.at).slice(0, 5)}: ${lastError.message}, recovered`)]
		: [];
}

/** At most `height` lines, the title included; none if the size is unknown or 0. */
function mapLines({download, showsBytes, width, ascii}: DetailsProps, height: number): Line[] {
	const {size, film} = download;
	if (!size || height < 2) {
		return [];
	}

	if (film && !showsBytes) {
		return timeMap(film, width, ascii);
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
