// The list: one ink-table row per visible download.
import {Table, type CellProps} from 'ink-table';
import {createContext, useContext, useMemo} from 'react';
import type {Download, DownloadId} from '../downstream.ts';
import {barLine, type ByteRange} from './bar-spans.ts';
import {cellsOf, cleanText, firstFitting, fitName, fitStart, fitText, padText} from '../text/clean-text.ts';
import {formatBytes, formatDuration, formatSpeed, ordinal} from '../text/format.ts';
import {hintFor} from '../text/hints.ts';
import {watchCells, watchLine} from './film-lines.ts';
import {columnWidths, type Columns, type Longest} from './layout.ts';
import type {Origins} from './same-names.ts';
import {isBar, LineView, lineCells, span, type Line, type Span} from './spans.tsx';
import {
	connectedPlayers,
	queueReason,
	retryWords,
	secondsLeft,
	share,
	shortReason,
	stateWords,
	stillParts,
} from '../text/status-words.ts';
import type {HeadingPlace} from './hit-test.ts';
import {sortKeys, type Queue} from './list-view.ts';
import {playMark} from './playback.ts';
import {sparkline} from './sparkline.ts';
import {useTheme} from './theme.ts';

type DownloadTableProps = {
	/** The visible ones. */
	readonly downloads: readonly Download[];
	readonly selected: DownloadId | undefined;
	readonly marks: ReadonlySet<DownloadId>;
	readonly width: number;
	readonly longest: Longest;
	readonly origins: Origins;
	readonly headings: boolean;
	readonly ascii: boolean;
	readonly now: number;
	readonly queue: Queue;
	readonly speedsOf: (id: DownloadId) => readonly number[];
	readonly freshOf: (id: DownloadId) => readonly ByteRange[];
};

type Column = {
	readonly width: number;
	readonly heading: string;
	readonly align: 'left' | 'right';
	readonly line: (download: Download, width: number, props: Row) => Line;
};

type Row = DownloadTableProps & {
	readonly columns: Columns;
	/** The highest speed in the charts of all rows. */
	readonly highest: number;
};
type Shown = Row & {readonly shown: readonly Column[]};

const TableContext = createContext<Shown | undefined>(undefined);

/**
 * ink-table measures values by their length, remounts a row when its values change and passes a cell only its text. So
 * its one column has row numbers, padded to the width of the table, and a cell draws the row of its download: one text
 * takes less CPU time than a cell for each figure.
 */
export function DownloadTable(props: DownloadTableProps) {
	const {downloads, width, longest} = props;
	const columns = useMemo(() => columnWidths(width, longest), [width, longest]);
	const shown = useMemo(() => tableColumns(columns), [columns]);
	const rows = useMemo(
		// ink-table adds a blank on each side.
		() => Array.from({length: downloads.length}, (_, row) => ({row: String(row).padEnd(width - 2)})),
		[downloads.length, width],
	);
	const speeds = columns.chart === 0 ? [] : downloads.flatMap(({id}) => props.speedsOf(id));
	const highest = Math.max(1, ...speeds);
	// The same element in each frame: only rows draw again, not the whole table with its hashes of rows.
	const table = useMemo(
		() => <Table data={rows} columns={['row']} header={Heading} cell={TableRow} skeleton={Nothing} />,
		[rows],
	);
	return <TableContext.Provider value={{...props, columns, shown, highest}}>{table}</TableContext.Provider>;
}

function Nothing() {
	return null;
}

function Heading() {
	// ink-table reads its props once, so changing values come through the context.
	const {shown, headings, width} = useContext(TableContext)!;
	const words = shown.map(({heading, width, align}) => padText(heading, width, {align}));
	return headings ? <LineView line={[span(words.join(''), 'label')]} width={width} /> : null;
}

function TableRow({children}: CellProps) {
	const props = useContext(TableContext)!;
	const isInverse = useTheme().row.inverse === true;
	const place = typeof children === 'string' ? Number.parseInt(children, 10) : NaN;
	const download = props.downloads[place];
	if (!download) {
		return null;
	}

	const [name, ...figures] = rowLines(download, props);
	const isSelected = download.id === props.selected;
	const underCursor = (line: Line, isName: boolean) =>
		isSelected
			? line.map(piece => (isInverse ? inversePiece(piece, isName) : {...piece, cursor: 'row' as const}))
			: line;
	const line = [...underCursor(name!, true), ...figures.flatMap(each => underCursor(each, false))];
	return <LineView line={line} width={props.width} />;
}

/** The columns of a row, the name first; words in place of figures. */
function rowLines(download: Download, {shown, ...props}: Shown): Line[] {
	const words = wordsLine(download, props);
	const [name, watch] = [shown[0]!, shown.find(({line}) => line === watchCell)];
	const besideWords = watch && hasWatch(download) ? [name, watch] : [name];
	const lines = (words ? besideWords : shown).map(({width, align, line}) =>
		padded(line(download, width, props), width, align),
	);
	const used = besideWords.reduce((sum, {width}) => sum + width, 0);
	return words ? lines.toSpliced(1, 0, padded(words, props.width - used, 'left')) : lines;
}

function padded(line: Line, width: number, align: Column['align']): Line {
	const blanks = span(' '.repeat(Math.max(0, width - lineCells(line))));
	return align === 'left' ? [...line, blanks] : [blanks, ...line];
}

/** An inverse bar would show missing bytes as present ones. Inverse words in many colors are hard to read. */
function inversePiece(piece: Span, isName: boolean): Span {
	return isBar(piece) && piece.role !== 'rest'
		? piece
		: isName
			? {...piece, cursor: 'row'}
			: {text: piece.text, cursor: 'row'};
}

function tableColumns(columns: Columns): Column[] {
	const all: Column[] = [
		{width: columns.name, heading: '    Name', align: 'left', line: nameCell},
		{width: columns.ranges, heading: 'Progress', align: 'left', line: rangesCell},
		{width: columns.players, heading: '', align: 'left', line: playersCell},
		{width: columns.done, heading: 'Done', align: 'right', line: doneCell},
		{width: columns.speed, heading: 'Speed', align: 'right', line: speedCell},
		{width: columns.chart, heading: '', align: 'left', line: chartCell},
		{
			width: columns.left,
			heading: columns.left < 10 ? 'Left' : 'Time left',
			align: 'right',
			line: leftCell,
		},
		{width: columns.watch, heading: ' Watch', align: 'left', line: watchCell},
	];
	return all.filter(({width}) => width > 0);
}

/** Cells of a name beside the mark of a player. */
const smallestName = 12;

/** The longest texts of the whole list, so that the columns stay in their places in every tab. */
export function longestOf(downloads: readonly Download[], origins: Origins): Longest {
	let [name, watch, shortWatch] = [0, 0, 0];
	for (const download of downloads) {
		const {full, short} = watchCells(download);
		const mark = cellsOf(playMark(download, false));
		const origin = origins.get(download.id);
		const cells = cellsOf(cleanText(download.name)) + (origin === undefined ? 0 : cellsOf(origin) + 1);
		name = Math.max(name, mark === 0 ? cells : Math.max(smallestName, cells) + 1 + mark);
		watch = Math.max(watch, full);
		shortWatch = Math.max(shortWatch, short);
	}

	return {name, watch, shortWatch};
}

/** The headings that order the list by their column. */
export function headingPlaces(width: number, longest: Longest): HeadingPlace[] {
	const {name, ranges, players, done, speed, chart, left} = columnWidths(width, longest);
	const columns: Array<[cells: number, order: string]> = [
		[name, 'name'],
		[ranges + players + done, 'progress'],
		[speed + chart, 'speed'],
		[left, 'time left'],
	];
	let right = 0;
	return columns.map(([cells, order]) => {
		right += cells;
		return {left: right - cells, right, sort: sortKeys.findIndex(key => key.name === order)};
	});
}

function nameCell(download: Download, width: number, props: Row): Line {
	const {selected, marks, origins, ascii, now, columns} = props;
	const hasHiddenPlayers = columns.players === 0 && connectedPlayers(download) > 0;
	const {symbol, tone} = stateWords(download, now, ascii);
	const cursor = download.id === selected ? (ascii ? '>' : '▸') : ' ';
	const mark = marks.has(download.id) ? '*' : ' ';
	const shownSymbol = hasHiddenPlayers ? (ascii ? '>' : '►') : symbol;
	const playing = playMark(download, ascii);
	const hasRoom = playing !== '' && width - 6 - cellsOf(playing) >= smallestName;
	const cells = width - 5 - (hasRoom ? cellsOf(playing) + 1 : 0);
	const full = cleanText(download.name);
	const origin = originCell(origins.get(download.id), cellsOf(full), cells, ascii);
	const name = fitName(full, cells - cellsOf(origin), {ascii});
	const role = download.id === selected ? 'strong' : download.status === 'complete' ? 'label' : 'plain';
	return [
		span(`${cursor}${mark}`, 'strong'),
		span(shownSymbol, tone),
		...(hasRoom
			? [
					span(` ${name}`, role),
					span(padText(origin, cells + 1 - cellsOf(name), {ascii}), 'label'),
					span(playing, 'strong'),
				]
			: [span(` ${name}`, role), ...(origin === '' ? [] : [span(origin, 'label')])]),
	];
}

/** ` cdn.example.org`, in the room that the name leaves, at least half of the cells. */
function originCell(origin: string | undefined, name: number, cells: number, ascii: boolean): string {
	const room = Math.max(cells - name, Math.floor(cells / 2)) - 1;
	return origin === undefined ? '' : ` ${fitText(origin, room, {ascii})}`;
}

/** Bar, share and gaps before the words of a row. */
const barCells = 5;
const shareCells = 8;
const wordsStart = barCells + shareCells + 2;

/** Minutes can be watched, or were asked for: words leave their column free. */
function hasWatch({film, pledges}: Download): boolean {
	return film !== null || pledges.length > 0;
}

/**
 * The reason and the remedy of a row that does not run, in place of its figures. Undefined for a row with figures.
 */
function wordsLine(download: Download, props: Row): Line | undefined {
	const {ascii, now, columns, queue} = props;
	const {size, present, status, error} = download;
	const {tone} = stateWords(download, now, ascii);
	const found = rowWords(download, now, queue);
	if (!found) {
		return undefined;
	}

	const {texts} = found;
	const {ranges, players, done, speed, chart, left, watch} = columns;
	const usual = ranges + players + done + speed + chart + left;
	const action = usual >= 34 ? found.action : '';
	const actionCells = action === '' ? 0 : action.length + 2;
	const hasBar =
		(present > 0 || (size !== null && status !== 'queued')) &&
		usual >= wordsStart + cellsOf(texts.at(-1)!) + Math.max(10, actionCells);
	const cells = hasWatch(download) ? usual : usual + watch;
	const room = cells - (hasBar ? wordsStart : 0) - actionCells;
	const words = fitStart(cleanText(firstFitting(texts, room)), room, {ascii});
	const start: Line = hasBar
		? [
				...(size === null ? [span(' '.repeat(barCells))] : barLine(download, barCells, ascii, [])),
				span(share(download).padStart(shareCells)),
				span('  '),
			]
		: [];
	return action === ''
		? [...start, span(words, tone)]
		: [...start, span(padText(words, room + 2, {ascii}), tone), span(action, error ? 'strong' : tone)];
}

type RowWords = {
	/** Longest first. */
	readonly texts: readonly string[];
	/** The key of the remedy, or the time of the next retry. */
	readonly action: string;
};

function rowWords(download: Download, now: number, queue: Queue): RowWords | undefined {
	const {error, status} = download;
	if (status === 'queued') {
		const place = queue.get(download.id);
		const reason = queueReason(download);
		return place === undefined
			? undefined
			: {
					texts: reason ? [reason, 'queued'] : [`queued, ${ordinal(place)} of ${queue.size}`, 'queued'],
					action: '',
				};
	}

	return error && (status === 'failed' || status === 'waiting')
		? {
				texts:
					error.code === 'origin-busy'
						? [shortReason(error)]
						: [withoutServer(error.message), shortReason(error)],
				action:
					status === 'failed' ? (hintFor(error, 'dashboard') ?? '') : `retry ${retryWords(download, now)}`,
			}
		: undefined;
}

/** The details name the server. */
function withoutServer(message: string): string {
	return message.replace(/^[\w-]+(?:\.[\w-]+)+(?:: | is )| from [^\s:]+(?::\d+)?(?=:)/, '');
}

/** Cells of a bar beside words, and of the blanks around these. */
const barBesideWords = 14;

/** The activity of a paused download: beside its bar, or abbreviated in place of its speed. */
function stillCells(download: Download, {ranges, left}: Columns): {beside?: string; short?: string} {
	const [beside] = download.status === 'paused' ? stillParts(download) : [];
	return beside === undefined
		? {}
		: ranges >= beside.length + barBesideWords
			? {beside}
			: left > 0
				? {short: connectedPlayers(download) > 0 ? 'serving' : beside}
				: {};
}

function rangesCell(download: Download, width: number, {ascii, freshOf, columns}: Row): Line {
	const {id, size, acceptsRanges, status} = download;
	if (size === null) {
		return [span(acceptsRanges === null ? '' : width > 12 ? 'size unknown' : 'no size', 'label')];
	}

	if (status === 'complete') {
		return [span((ascii ? '=' : '━').repeat(width - 1), 'rest')];
	}

	const words = stillCells(download, columns).beside ?? (acceptsRanges === false ? 'cannot seek' : '');
	if (words !== '' && width >= words.length + barBesideWords) {
		return [...barLine(download, width - words.length - 2, ascii, freshOf(id)), span(` ${words}`, 'label')];
	}

	return barLine(download, width - 1, ascii, freshOf(id));
}

function playersCell(download: Download, _width: number, {ascii}: DownloadTableProps): Line {
	const count = connectedPlayers(download);
	return count === 0 ? [] : [span(`${ascii ? '>' : '►'}${Math.min(99, count)}`, 'strong')];
}

/** The size, once all of it is there. */
function doneCell(download: Download): Line {
	const {status, size} = download;
	return status === 'complete' ? [span(formatBytes(size ?? 0), 'label')] : [span(share(download))];
}

function speedCell(download: Download, _width: number, {ascii, now, columns}: Row): Line {
	const {word, tone} = stateWords(download, now, ascii);
	const {status, bytesPerSecond} = download;
	const {short} = stillCells(download, columns);
	const shown = short ?? (status === 'paused' && bytesPerSecond > 0 ? formatSpeed(bytesPerSecond) : word);
	return [span(shown, tone === 'active' ? 'plain' : tone)];
}

function chartCell({id}: Download, width: number, {ascii, speedsOf, highest}: Row): Line {
	const shown = width - 2;
	const speeds = speedsOf(id).slice(-shown);
	return speeds.every(speed => speed === 0)
		? []
		: [span(`  ${sparkline(speeds, shown, ascii, highest)}`, 'active')];
}

function watchCell(download: Download, width: number, {ascii}: DownloadTableProps): Line {
	return [span(' '), ...watchLine(download, width - 1, ascii)];
}

function leftCell(download: Download, _width: number, {ascii, columns}: Row): Line {
	const {status, bytesPerSecond} = download;
	if (status === 'paused' && (bytesPerSecond > 0 || stillCells(download, columns).short)) {
		return [span('paused')];
	}

	const text = status === 'active' ? formatDuration(secondsLeft(download)) : '';
	return [span(ascii ? text.replace('–', '-') : text)];
}
