// The facts of the details, each a label with its text.
import {isFetching, type Download, type OpenSegment, type Player} from '../downstream.ts';
import {maskUrl} from '../text/mask-url.ts';
import {barLine, type ByteRange} from './bar-spans.ts';
import {cellsOf, cleanText} from '../text/clean-text.ts';
import {filmFacts} from './film-lines.ts';
import {
	counted,
	formatBytes,
	formatClock,
	formatDuration,
	formatPercent,
	formatSpeed,
	listBytes,
} from '../text/format.ts';
import {fitLine, span, spread, type Line} from './spans.tsx';
import {isOfExport} from './messages.ts';
import {leftAt, otherPlayers, playbackWords} from './playback.ts';
import {safeFact} from '../text/safe-words.ts';
import {sparkline} from './sparkline.ts';
import {amount, connectedPlayers, reason, secondsLeft, substituteOf} from '../text/status-words.ts';

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

/** A label with its text. */
export type Fact = {readonly head: Line; readonly text: string};

const labelCells = 12;
/** Beyond `maxPlayers`, players are counted. */
export function allFacts(props: DetailsProps, maxPlayers: number): Fact[] {
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
	];
}

/** The main facts, with one bar. */
export function shortFacts(props: DetailsProps): Fact[] {
	const {download, width, ascii} = props;
	return [
		streamFact(props),
		barFact(props),
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
	];
}

/** The facts that only the page has room for. */
export function pageFacts({exportedTo, folder, checksum, limitRate}: Download): Fact[] {
	return [
		exportedTo === null
			? labelled('Folder', folder)
			: linked('Exported', cleanText(exportedTo), fileUrl(exportedTo)),
		...(checksum === null ? [] : [labelled('Checksum', checksum)]),
		...(limitRate === null ? [] : [labelled('Limit', formatSpeed(limitRate))]),
	];
}

function barFact({download, fresh, width, ascii}: DetailsProps): Fact {
	const {size, acceptsRanges, status} = download;
	const bar: Line =
		size === null
			? [span(acceptsRanges === null ? notAsked : sizeUnknown)]
			: status === 'complete'
				? [span((ascii ? '=' : '━').repeat(width - 2), 'rest')]
				: barLine(download, width - 2, ascii, fresh);
	return {head: [span(' '), ...bar], text: ''};
}

function exportFacts({exportWhenComplete}: Download): Fact[] {
	return exportWhenComplete === null ? [] : [labelled('Export', `when complete, to ${exportWhenComplete}`)];
}

function streamFact(props: DetailsProps): Fact {
	const {streamUrl} = props.download;
	return withKeys(linked('Stream', streamUrl, streamUrl), 'c copy  o play', props);
}

/** Keys at the end of the line, if they fit. */
function withKeys({head}: Fact, keys: string, {width, ascii}: DetailsProps): Fact {
	const hasRoom = width >= 78;
	const fitted = fitLine(head, width - 1 - (hasRoom ? keys.length + 2 : 0), ascii);
	return {head: spread(fitted, hasRoom ? [span(keys, 'label')] : [], width - 1), text: ''};
}

/** The width beside a label. */
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
		return `${amount(download)} (${formatPercent(present, size)}), ${counted(gaps, 'gap')}`;
	}

	const after =
		completedAt === null || status !== 'complete'
			? ''
			: ` ${formatDuration((completedAt - addedAt) / 1000)} after it was added`;
	return `${formatBytes(size)}, complete${after}`;
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

/** The connections with their offsets. */
function fetchingFacts({connections, maxConnections, segments}: Download): Fact[] {
	if (connections === 0) {
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
	const {error, lastError, lastByteAt, completedAt} = download;
	if (error) {
		return [labelled('Error', reason(download, now) ?? error.message)];
	}

	if (!lastError) {
		return [];
	}

	const hasProgressed = Math.max(lastByteAt ?? 0, completedAt ?? 0) > lastError.at;
	const outcome = hasProgressed && !isOfExport(download, lastError) ? ', recovered' : '';
	return [labelled('Last error', `${formatClock(lastError.at).slice(0, 5)} ${lastError.message}${outcome}`)];
}

function fileUrl(path: string): string {
	return `file://${path
		.split('/')
		.map(part => encodeURIComponent(part))
		.join('/')}`;
}
