// The details of one download as lines: docked below the list, or as a page.
import {continuedMs, isFetching, type Download, type OpenSegment, type Player} from '../downstream.ts';
import {maskUrl} from '../text/mask-url.ts';
import {barLine, downloadCells, inRuns, unmet, type ByteRange} from './bar-spans.ts';
import {cellsOf, cleanText, fitName} from '../text/clean-text.ts';
import {wrapped} from './dialog-view.tsx';
import {barOf, filmFacts, timeMap} from './film-lines.ts';
import {frameLines, type FilmFrame} from './frames.ts';
import {
	formatBytes,
	formatClock,
	formatDuration,
	formatOffset,
	formatPercent,
	formatSpeed,
	listBytes,
} from '../text/format.ts';
import {cellStart} from '../text/range-bar.ts';
import {fitLine, lineCells, span, spread, type Line} from './spans.tsx';
import {isOfExport} from './messages.ts';
import {leftAt, otherPlayers, playbackWords} from './playback.ts';
import {safeFact} from '../text/safe-words.ts';
import {sparkline} from './sparkline.ts';
import {
	amount,
	connectedPlayers,
	reason,
	secondsLeft,
	stateWords,
	substituteOf,
} from '../text/status-words.ts';

export type DetailsProps = {
	readonly download: Download;
	/** Bytes per second of the last minute. */
	readonly speeds: readonly number[];
	/** The map of a film is in bytes, not in minutes. */
	readonly showsBytes: boolean;
	readonly width: number;
	/** The bytes written a moment ago. */
	readonly fresh: readonly ByteRange[];
	/** Lines, the title included. */
	readonly height: number;
	readonly ascii: boolean;
	readonly now: number;
};

/** `frames`: above the map, where they are wanted. */
export type PageProps = DetailsProps & {
	readonly frames: readonly FilmFrame[] | undefined;
	readonly manyColors: boolean;
};

/** A label with its text. */
type Fact = {readonly head: Line; readonly text: string};

const labelCells = 12;
/** Lines, the title included; fewer would show no positions. */
const smallestMap = 4;
/** Lines that a map of the bytes takes below one of the minutes. */
const roomyMap = 8;
/** Lines above the docked map. The number is fixed, so the map stays in its place when players come and go. */
const dockedFacts = {file: 9, film: 13};

/** At most `height` lines: the main facts with one bar, or from 16 lines on all facts with the map. */
export function dockedLines(props: DetailsProps): Line[] {
	const {download, fresh, width, height, ascii} = props;
	const title = titleLine(props);
	if (height >= 16) {
		const count = download.film ? dockedFacts.film : dockedFacts.file;
		const facts = allFacts(props, 2, oneLine).slice(0, count);
		const blanks = Array.from({length: count - facts.length}, (): Line => []);
		return [title, ...facts, ...blanks, ...dockedMap(props, height - 1 - count)];
	}

	const {size, acceptsRanges} = download;
	const bar: Line =
		size === null
			? [span(acceptsRanges === null ? notAsked : sizeUnknown)]
			: download.status === 'complete'
				? [span((ascii ? '=' : '━').repeat(width - 2), 'rest')]
				: barLine(download, width - 2, ascii, fresh);
	return [
		title,
		...[
			streamFact(props),
			{head: [span(' '), ...bar], text: ''},
			...haveFacts(download),
			...playbackFacts(download, ascii),
			...playerFacts(download, 1, ascii),
			...(download.error ? errorFacts(props) : []),
			...filmFacts(download, textCells(width), ascii).flatMap(([label, text]) =>
				label === 'Watch' ? labelled(label, text) : [],
			),
			...safeFacts(download, ascii),
			...exportFacts(download),
			...(download.error ? [] : fetchingFacts(download)),
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
export function pageLines(props: PageProps): Line[] {
	const {download, frames, width, height, ascii, manyColors} = props;
	const {exportedTo, folder, checksum, limitRate} = download;
	const more = [
		exportedTo === null
			? labelled('Folder', folder)
			: linked('Exported', cleanText(exportedTo), fileUrl(exportedTo)),
		...(checksum === null ? [] : [labelled('Checksum', checksum)]),
		...(limitRate === null ? [] : [labelled('Limit', formatSpeed(limitRate))]),
	].flatMap(fact => wholeText(fact, width, ascii));
	const facts = [...allFacts(props, Infinity, wholeText), ...more, []];
	const room = height - 1 - facts.length;
	const pictures =
		frames && download.film
			? frameLines(frames, barOf(download.film, width), {width, room: room - smallestMap, manyColors, ascii})
			: [];
	const map = mapLines(props, Math.max(smallestMap, room - pictures.length));
	return [titleLine(props), ...facts, ...pictures, ...map];
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
	const isMoving = download.bytesPerSecond > 0 || (isFetching(download) && download.bytesPerSecondLong > 0);
	const isKnown = download.size !== null || download.acceptsRanges !== null;
	return [
		streamFact(props),
		// A link would reveal the masked part.
		withKeys(
			linked('Source', cleanText(shownUrl), shownUrl === url ? url : undefined),
			'C copy  U new link',
			props,
		),
		...(isKnown ? [labelled('File', fileLine(download, width - labelCells - 1))] : []),
		...(substitute === undefined ? [] : [labelled('Note', `this is ${substitute}`)]),
		...haveFacts(download),
		...filmFacts(download, textCells(width), ascii).map(([label, text]) => labelled(label, text)),
		...safeFacts(download, ascii),
		...(isMoving ? [speedFact(props)] : []),
		...fetchingFacts(download),
		...playbackFacts(download, ascii),
		...playerFacts(download, maxPlayers, ascii),
		...errorFacts(props),
		...exportFacts(download),
	].flatMap(fact => toLines(fact, width, ascii));
}

function exportFacts({exportWhenComplete}: Download): Fact[] {
	return exportWhenComplete === null
		? []
		: [labelled('Export', `when it is finished, to ${exportWhenComplete}`)];
}

function streamFact(props: DetailsProps): Fact {
	const {streamUrl} = props.download;
	return withKeys(linked('Stream', streamUrl, streamUrl), 'c copy  o play', props);
}

/** Keys at the end of the line, where there is room. */
function withKeys({head}: Fact, keys: string, {width, ascii}: DetailsProps): Fact {
	const hasRoom = width >= 78;
	const fitted = fitLine(head, width - 1 - (hasRoom ? keys.length + 2 : 0), ascii);
	return {head: spread(fitted, hasRoom ? [span(keys, 'label')] : [], width - 1), text: ''};
}

/** The room beside a label. */
function textCells(width: number): number {
	return width - 1 - labelCells;
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
	const seeking =
		acceptsRanges === null
			? ''
			: acceptsRanges
				? ', can seek'
				: ', cannot seek: the server does not support it';
	const version = versionWords(download);
	const line = (length: string) => `${type}, ${length}${version}${seeking}`;
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

function haveFacts(download: Download): Fact[] {
	return download.size === null && download.present === 0 ? [] : [labelled('Have', haveLine(download))];
}

function haveLine(download: Download): string {
	const {present, size, status, addedAt, completedAt} = download;
	if (size === null) {
		return amount(download);
	}

	const gaps = countGaps(download);
	if (gaps > 0) {
		return `${amount(download)} (${formatPercent(present, size)}), ${gaps === 1 ? '1 gap' : `${gaps} gaps`}`;
	}

	const took =
		completedAt === null || status !== 'complete'
			? ''
			: `, took ${formatDuration((completedAt - addedAt) / 1000)}`;
	return `${formatBytes(size)}, complete${took}`;
}

function countGaps({ranges, size}: Download): number {
	if (ranges.length === 0) {
		return size === 0 ? 0 : 1;
	}

	return ranges.length - 1 + (ranges[0]![0] > 0 ? 1 : 0) + (ranges.at(-1)![1] < (size ?? 0) ? 1 : 0);
}

function speedFact({download, speeds, width, ascii}: DetailsProps): Fact {
	const {bytesPerSecond, bytesPerSecondLong} = download;
	const left = secondsLeft(download);
	const words = [
		`average ${formatSpeed(bytesPerSecondLong)}`,
		...(Number.isFinite(left) ? [`${formatDuration(left)} left`] : []),
	].join(', ');
	const now = formatSpeed(bytesPerSecond);
	const room = Math.min(60, width - labelCells - now.length - words.length - 15);
	const chart = room >= 6 ? sparkline(speeds, room, ascii) : '';
	const {head} = labelled('Speed', '');
	return chart === ''
		? {head, text: `${now}; ${words}`}
		: {
				head: [...head, span(`${now} `), span(chart, 'active'), span(' ')],
				text: `last ${chart.length} s; ${words}`,
			};
}

/** The connections with their offsets; none while none is expected. */
function fetchingFacts({connections, maxConnections, segments, status}: Download): Fact[] {
	if (connections === 0 && status !== 'active') {
		return [];
	}

	const count = `${connections} of ${maxConnections} connections`;
	const from = (purpose: OpenSegment['for'], words: string) => {
		const offsets = segments
			.filter(segment => segment.for === purpose)
			.map(({offset}) => offset)
			.toSorted((a, b) => a - b);
		return offsets.length === 0 ? [] : [`${words} from ${listBytes(offsets)}`];
	};
	const places = [
		...from('player', 'for a player'),
		...from('pledge', 'making safe'),
		...from('fill', 'filling'),
	];
	return [labelled('Fetching', places.length === 0 ? count : `${count}: ${places.join('; ')}`)];
}

/** The pledge that is shown for the download, and the number of others. */
function safeFacts(download: Download, ascii: boolean): Fact[] {
	const words = safeFact(download, ascii);
	const more = download.pledges.length - 1;
	return words === '' ? [] : [labelled('Safe', more > 0 ? `${words}, and ${more} more` : words)];
}

/** The linked player, or the last position in the film. */
function playbackFacts(download: Download, ascii: boolean): Fact[] {
	const playing = playbackWords(download, ascii);
	const left = leftAt(download);
	return playing !== undefined
		? [labelled('Player', playing)]
		: left !== undefined
			? [
					connectedPlayers(download) > 0
						? labelled('Playing', left)
						: labelled('Left off', `at ${left}; o continues there`),
				]
			: [];
}

/** One fact per player: connected ones first, in the order of their marks in the bar. Beyond `max` they are counted. */
function playerFacts(download: Download, max: number, ascii: boolean): Fact[] {
	const players = otherPlayers(download).toSorted(
		(a, b) => Number(b.connected) - Number(a.connected) || a.offset - b.offset,
	);
	if (players.length === 0 && (download.playback || download.players.length > 0)) {
		return [];
	}

	if (players.length === 0) {
		return [labelled('Players', 'none yet. Press o to play, or c to copy the stream URL')];
	}

	const shown = players.length > max ? players.slice(0, Math.max(1, max - 1)) : players;
	const facts = shown.map((player, index): Fact => {
		const mark = player.connected
			? [span(ascii ? '|' : '┃', 'player'), span(`${index + 1} `)]
			: [span('   ')];
		return {
			head: [...labelled(index === 0 ? 'Players' : '', '').head, ...mark],
			text: describePlayer(player, download.size),
		};
	});
	const more = players.length - shown.length;
	if (more > 0 && max > 1) {
		facts.push(labelled('', `and ${more} more`));
	} else if (more > 0) {
		facts[0] = {...facts[0]!, text: `${facts[0]!.text}; ${more} more`};
	}

	return facts;
}

/** The position is one in the file, not in the film. */
function describePlayer({name, offset, ready, readyMs, ...player}: Player, size: number | null): string {
	const place = size ? formatPercent(Math.min(offset, size - 1), size) : formatBytes(offset);
	const lasting = readyMs === null ? '' : ` (${formatDuration(Math.floor(readyMs / 1000))})`;
	const state = player.connected
		? `at ${place}, ${player.blocked ? 'waiting for data' : `${formatBytes(ready)} ready ahead${lasting}`}`
		: `disconnected, last at ${place}`;
	return `${cleanText(name)}  ${state}`;
}

/** The blocking error, or the last one. */
function errorFacts({download, now}: DetailsProps): Fact[] {
	const {error, lastError} = download;
	if (error) {
		return [labelled('Error', reason(download, now) ?? error.message)];
	}

	if (!lastError) {
		return [];
	}

	const outcome = isOfExport(download, lastError) ? '' : ', recovered';
	return [labelled('Last error', `${formatClock(lastError.at).slice(0, 5)} ${lastError.message}${outcome}`)];
}

/** A map of the bytes follows one of the minutes where it has room. */
function dockedMap(props: DetailsProps, height: number): Line[] {
	const {download, showsBytes} = props;
	const map = mapLines(props, height);
	const rest = height - map.length - 1;
	const hasBoth = download.film && !showsBytes && hasByteMap(download);
	return hasBoth && map.length > 0 && rest >= roomyMap
		? [...map, [], ...mapLines({...props, showsBytes: true}, rest)]
		: map;
}

/** In a complete file, only the positions of players differ. */
function hasByteMap(download: Download): boolean {
	return download.status !== 'complete' || connectedPlayers(download) > 0;
}

/** At most `height` lines, the title included; none where there is nothing to see. */
function mapLines({download, fresh, showsBytes, width, ascii}: DetailsProps, height: number): Line[] {
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
		? `# here  + - part  . missing  ${isPledged ? ': to be safe  ' : ''}> fetching  | player`
		: `█ here  ▌▓ part  · missing  ${isPledged ? '▒ to be safe  ' : ''}▸ fetching  ┃ player`;
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

function fileUrl(path: string): string {
	return `file://${path
		.split('/')
		.map(part => encodeURIComponent(part))
		.join('/')}`;
}
