// The list: one ink-table row per visible download.
import {Table, type CellProps} from 'ink-table';
import {createContext, useContext, useMemo, type PropsWithChildren} from 'react';
import type {Download, DownloadId} from '../downstream.ts';
import {barSpans} from './bar-spans.ts';
import {cellsOf, cleanText, fitName, fitStart, padText} from '../text/clean-text.ts';
import {formatBytes, formatDuration, formatPercent} from '../text/format.ts';
import type {Columns} from './layout.ts';
import {LineView, lineCells, span, type Line} from './spans.tsx';
import {connectedPlayers, reason, secondsLeft, stateWords} from '../text/status-words.ts';

export type DownloadTableProps = {
	/** The visible ones. */
	readonly downloads: readonly Download[];
	readonly selected: DownloadId | undefined;
	readonly marks: ReadonlySet<DownloadId>;
	readonly columns: Columns;
	readonly headings: boolean;
	readonly ascii: boolean;
	readonly now: number;
};

type Column = {
	readonly key: string;
	readonly width: number;
	readonly heading: string;
	readonly align: 'left' | 'right';
	readonly line: (download: Download, width: number, props: DownloadTableProps) => Line;
};

type Shown = DownloadTableProps & {readonly shown: readonly Column[]};

const TableContext = createContext<Shown | undefined>(undefined);

/**
 * ink-table measures values by their length, remounts a row when its values change and passes a cell only its text.
 * So the values are row numbers, padded to the column's width, and the cells look up their download.
 */
export function DownloadTable(props: DownloadTableProps) {
	const {downloads, columns} = props;
	const shown = useMemo(() => tableColumns(columns), [columns]);
	const rows = useMemo(
		() =>
			Array.from({length: downloads.length}, (_, row) =>
				// ink-table adds a blank on each side.
				Object.fromEntries(shown.map(({key, width}) => [key, String(row).padEnd(width - 2)])),
			),
		[downloads.length, shown],
	);
	return (
		<TableContext.Provider value={{...props, shown}}>
			<Table
				data={rows}
				columns={shown.map(({key}) => key)}
				header={Heading}
				cell={Cell}
				skeleton={Nothing}
			/>
		</TableContext.Provider>
	);
}

function Nothing() {
	return null;
}

// ink-table passes `column` to headings too; its types omit it.
function Heading({column = 0}: PropsWithChildren<{column?: number}>) {
	// ink-table reads its props once, so changing values come through the context.
	const {shown, headings} = useContext(TableContext)!;
	if (!headings) {
		return null;
	}

	const {heading, width, align} = shown[column]!;
	return <LineView line={[span(padText(heading, width, {align}), 'label')]} />;
}

function Cell({column, children}: CellProps) {
	const {shown, ...props} = useContext(TableContext)!;
	const place = typeof children === 'string' ? Number.parseInt(children, 10) : NaN;
	const download = props.downloads[place];
	const {key, width, align, line} = shown[column]!;
	if (!download) {
		return null;
	}

	const pieces = line(download, width, props);
	const blanks = span(' '.repeat(Math.max(0, width - lineCells(pieces))));
	const padded = align === 'left' ? [...pieces, blanks] : [blanks, ...pieces];
	// An inverse bar would show missing bytes as present ones.
	return download.id === props.selected && key !== 'r' ? (
		<LineView line={[span(padded.map(({text}) => text).join(''), 'selected')]} />
	) : (
		<LineView line={padded} />
	);
}

/** One-letter keys: ink-table makes a column at least as wide as its key. */
function tableColumns(columns: Columns): Column[] {
	const all: Column[] = [
		{key: 'n', width: columns.name, heading: '    Name', align: 'left', line: nameCell},
		{key: 'r', width: columns.ranges, heading: 'Ranges', align: 'left', line: rangesCell},
		{key: 'p', width: columns.players, heading: '', align: 'left', line: playersCell},
		{key: 'd', width: columns.done, heading: 'Done', align: 'right', line: doneCell},
		{key: 's', width: columns.speed, heading: 'Speed', align: 'right', line: speedCell},
		{key: 'l', width: columns.left, heading: 'Left', align: 'right', line: leftCell},
	];
	return all.filter(({width}) => width > 0);
}

function nameCell(download: Download, width: number, props: DownloadTableProps): Line {
	const {selected, marks, ascii, now, columns} = props;
	const hasHiddenPlayers = columns.players === 0 && connectedPlayers(download) > 0;
	const {symbol, tone} = stateWords(download, now, ascii);
	const cursor = download.id === selected ? (ascii ? '>' : '▸') : ' ';
	const mark = marks.has(download.id) ? '*' : ' ';
	const shownSymbol = hasHiddenPlayers ? (ascii ? '>' : '►') : symbol;
	return [
		span(`${cursor}${mark}`, 'strong'),
		span(shownSymbol, tone),
		span(` ${fitName(cleanText(download.name), width - 5, {ascii})}`),
	];
}

/** Drops the server's name and keeps the key with its hint: the details name the server. */
function fitReason(why: string, cells: number, ascii: boolean): string {
	const short = cleanText(why).replace(/^[\w-]+(?:\.[\w-]+)+(?:: | is )| from [^\s:]+(?::\d+)?(?=:)/, '');
	const [key = ''] = /\w = [^.]+$/.exec(short) ?? [];
	if (key === '' || cellsOf(short) <= cells) {
		return fitStart(short, cells, {ascii});
	}

	const room = cells - key.length - 1;
	return room < 8
		? fitStart(key, cells, {ascii})
		: `${fitStart(short.slice(0, -key.length), room, {ascii})} ${key}`;
}

function rangesCell(download: Download, width: number, {ascii, now}: DownloadTableProps): Line {
	const {size, acceptsRanges, status} = download;
	const {tone} = stateWords(download, now, ascii);
	const why = reason(download);
	if (size === null) {
		const words = acceptsRanges === null ? '' : width > 12 ? 'size unknown' : 'no size';
		return [why === undefined ? span(words, 'label') : span(fitReason(why, width - 1, ascii), tone)];
	}

	if (why !== undefined && width >= 24) {
		return [...barSpans(download, 6, ascii), span('  '), span(fitReason(why, width - 9, ascii), tone)];
	}

	if (acceptsRanges === false && status !== 'complete' && width >= 24) {
		return [...barSpans(download, width - 13, ascii), span(' cannot seek', 'label')];
	}

	return barSpans(download, width - 1, ascii);
}

function playersCell(download: Download, _width: number, {ascii}: DownloadTableProps): Line {
	const count = connectedPlayers(download);
	return count === 0 ? [] : [span(`${ascii ? '>' : '►'}${Math.min(99, count)}`, 'strong')];
}

function doneCell({present, size}: Download): Line {
	return [span(size === null ? formatBytes(present) : formatPercent(present, size))];
}

function speedCell(download: Download, _width: number, {ascii, now}: DownloadTableProps): Line {
	const {word, tone} = stateWords(download, now, ascii);
	return [span(word, tone === 'active' ? 'plain' : tone)];
}

function leftCell(download: Download, _width: number, {ascii}: DownloadTableProps): Line {
	const text = download.status === 'active' ? formatDuration(secondsLeft(download)) : '';
	return [span(ascii ? text.replace('–', '-') : text)];
}
