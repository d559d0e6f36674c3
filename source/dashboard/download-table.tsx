// The list: one ink-table row for each download that is on the screen.
import {Text} from 'ink';
import {Table, type CellProps} from 'ink-table';
import {createContext, useContext, useMemo, type PropsWithChildren} from 'react';
import type {Download, DownloadId} from '../downstream.ts';
import {cleanText, fitName, fitText, padText} from './clean-text.ts';
import {formatBytes, formatDuration, formatPercent} from './format.ts';
import type {Columns} from './layout.ts';
import {rangeBar} from './range-bar.ts';
import {connectedPlayers, reason, secondsLeft, stateWords} from './state-words.ts';
import {tones} from './tones.ts';

export type DownloadTableProps = {
	/** Those on the screen. */
	readonly downloads: readonly Download[];
	readonly selected: DownloadId | undefined;
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
	readonly text: (download: Download, width: number, props: DownloadTableProps) => string;
};

type Shown = DownloadTableProps & {readonly shown: readonly Column[]};

const TableContext = createContext<Shown | undefined>(undefined);

/**
 * ink-table measures values by their length, remounts rows whose values change and gives a cell nothing but its
 * text. So the values are places in the list, padded to the column's width, and the cells look up what to draw.
 */
export function DownloadTable(props: DownloadTableProps) {
	const {downloads, columns} = props;
	const shown = useMemo(() => tableColumns(columns), [columns]);
	const rows = useMemo(
		() =>
			Array.from({length: downloads.length}, (_, row) =>
				// The table adds a blank on each side.
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

// The table passes the column to headings too, though its types do not say so.
function Heading({column = 0}: PropsWithChildren<{column?: number}>) {
	// ink-table reads its props once, so what changes comes by the context.
	const {shown, headings} = useContext(TableContext)!;
	if (!headings) {
		return null;
	}

	const {heading, width, align} = shown[column]!;
	return <Text>{padText(align === 'left' ? heading : `${heading} `, width, align)}</Text>;
}

function Cell({column, children}: CellProps) {
	const {shown, ...props} = useContext(TableContext)!;
	const place = typeof children === 'string' ? Number.parseInt(children, 10) : NaN;
	const download = props.downloads[place];
	const {key, width, align, text} = shown[column]!;
	if (!download) {
		return null;
	}

	const isSelected = download.id === props.selected;
	const {tone} = stateWords(download, props.now, props.ascii);
	const isToned = key === 'n' || key === 's' ? tones[tone] : {};
	return (
		<Text {...(isSelected ? {} : isToned)} inverse={isSelected} wrap="truncate">
			{padText(text(download, width, props), width, align)}
		</Text>
	);
}

/** Keys are one letter, because a column is at least as wide as its key. */
function tableColumns(columns: Columns): Column[] {
	const all: Column[] = [
		{key: 'n', width: columns.name, heading: '    Name', align: 'left', text: nameCell},
		{key: 'r', width: columns.ranges, heading: 'Ranges', align: 'left', text: rangesCell},
		{key: 'p', width: columns.players, heading: '', align: 'left', text: playersCell},
		{key: 'd', width: columns.done, heading: 'Done', align: 'right', text: doneCell},
		{key: 's', width: columns.speed, heading: 'Speed', align: 'right', text: speedCell},
		{key: 'l', width: columns.left, heading: 'Left', align: 'right', text: leftCell},
	];
	return all.filter(({width}) => width > 0);
}

function nameCell(
	download: Download,
	width: number,
	{selected, ascii, now, columns}: DownloadTableProps,
): string {
	const isSelected = download.id === selected;
	const hasHiddenPlayers = columns.players === 0 && connectedPlayers(download) > 0;
	const {symbol} = stateWords(download, now, ascii);
	const cursor = isSelected ? (ascii ? '>' : '▸') : ' ';
	const mark = hasHiddenPlayers ? (ascii ? '>' : '►') : ' ';
	return `${cursor}${mark}${symbol} ${fitName(cleanText(download.name), width - 5, {ascii})} `;
}

function rangesCell(download: Download, width: number, {ascii}: DownloadTableProps): string {
	const {size, acceptsRanges, ranges, players, segments, status} = download;
	const why = reason(download);
	if (size === null) {
		const isToldLater = status === 'asking' || status === 'queued' || status === 'paused';
		const words = isToldLater ? '' : width > 12 ? 'size unknown' : 'no size';
		return fitText(cleanText(why ?? words), width - 1, {ascii});
	}

	const bar = (cells: number) =>
		size === 0
			? (ascii ? '#' : '█').repeat(cells)
			: rangeBar({
					ranges,
					size,
					width: cells,
					players: players.filter(({connected}) => connected).map(({offset}) => offset),
					heads: segments.map(({offset}) => offset),
					ascii,
				});
	if (why !== undefined && width >= 24) {
		return `${bar(6)}  ${fitText(cleanText(why), width - 9, {ascii})} `;
	}

	if (acceptsRanges === false && status !== 'complete' && width >= 24) {
		return `${bar(width - 13)} cannot seek `;
	}

	return `${bar(width - 1)} `;
}

function playersCell(download: Download, _width: number, {ascii}: DownloadTableProps): string {
	const count = connectedPlayers(download);
	return count === 0 ? '' : `${ascii ? '>' : '►'}${Math.min(99, count)}`;
}

function doneCell({present, size}: Download): string {
	return size === null ? formatBytes(present) : formatPercent(present, size);
}

function speedCell(download: Download, _width: number, {ascii, now}: DownloadTableProps): string {
	return stateWords(download, now, ascii).word;
}

function leftCell(download: Download, _width: number, {ascii}: DownloadTableProps): string {
	const {status} = download;
	const text = status === 'active' ? formatDuration(secondsLeft(download)) : '';
	return ascii ? text.replace('–', '-') : text;
}
