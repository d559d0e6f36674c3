// The screen: a function of the snapshot and the controller's state.
import {Box, Text, useInput, usePaste, useWindowSize} from 'ink';
import {useEffect, useState, useSyncExternalStore} from 'react';
import type {Download} from '../downstream.ts';
import {cleanText, fitName, fitText} from './clean-text.ts';
import {Controller, type ControllerOptions, type ScreenState} from './controller.ts';
import {Details} from './details.tsx';
import {AddDialog, ExportDialog, QuitDialog, RemoveDialog} from './dialogs.tsx';
import {DownloadTable} from './download-table.tsx';
import {Banners, EmptyList, Header, Tabs} from './header.tsx';
import {Help, helpLines} from './help.tsx';
import {footerText, keyPresses, type Command} from './keys.ts';
import {columnWidths, rowHeights, scrollTop, smallest} from './layout.ts';
import type {Mode} from './mode.ts';
import {PlainText} from './plain-text.tsx';
import {SnapshotFeed, type Frame} from './snapshot-feed.ts';
import {amount, connectedPlayers, isRunning, reason, stateWords} from './state-words.ts';
import {TooSmall} from './too-small.tsx';
import {useRedraw} from './use-redraw.ts';

export type DashboardProps = Omit<ControllerOptions, 'feed' | 'redraw'> & {
	readonly ascii: boolean;
	/** Rows at the bottom that are left free. */
	readonly spareRows?: number;
};

type Screen = {
	readonly frame: Frame;
	readonly state: ScreenState;
	readonly width: number;
	readonly height: number;
	readonly ascii: boolean;
};

export function Dashboard({ascii, spareRows = 0, ...options}: DashboardProps) {
	const redraw = useRedraw();
	const [feed] = useState(() => new SnapshotFeed(options.downstream));
	const [controller] = useState(() => new Controller({...options, feed, redraw}));
	const [subscribeToFeed] = useState(() => (listener: () => void) => feed.subscribe(listener));
	const [subscribeToState] = useState(() => (listener: () => void) => controller.subscribe(listener));
	const frame = useSyncExternalStore(subscribeToFeed, () => feed.frame);
	const state = useSyncExternalStore(subscribeToState, () => controller.state);
	const {columns, rows} = useWindowSize();
	const height = rows - spareRows;
	const isTooSmall = columns < smallest.columns || height < smallest.rows;
	useInput((input, key) => {
		const {names, pasted} = keyPresses(input, key);
		if (pasted !== undefined) {
			controller.paste(pasted);
		}

		for (const name of names) {
			if (!isTooSmall || state.mode.kind === 'quit' || name === 'q' || name === 'ctrl+c') {
				controller.press(name);
			}
		}
	});
	usePaste(text => controller.paste(text));
	// The last column stays free: erasing to the end of the line, which follows each line, would take its character.
	const screen = {frame, state, width: columns - 1, height, ascii};
	const visibleRows = listRows(frame, height);
	const lastHelpTop = Math.max(0, helpLines(screen).length - height);
	useEffect(() => {
		controller.fits(visibleRows, lastHelpTop);
	}, [controller, visibleRows, lastHelpTop]);

	if (isTooSmall) {
		return (
			<TooSmall
				columns={columns}
				rows={rows}
				bytesPerSecond={frame.snapshot.bytesPerSecond}
				isQuitting={state.mode.kind === 'quit'}
			/>
		);
	}

	switch (state.mode.kind) {
		case 'list':
			return <List {...screen} />;
		case 'details':
			return <WholeDetails {...screen} />;
		default:
			return <Dialogs {...screen} mode={state.mode} />;
	}
}

function List({frame: {snapshot, now}, state, width, height, ascii}: Screen) {
	const {downloads, banners} = snapshot;
	const layout = rowHeights(height, downloads.length, Math.min(2, banners.length));
	const visible = Math.max(1, layout.list);
	const index = selectedIndex(downloads, state);
	const selected = downloads[index];
	const top = scrollTop(state.top, index, visible, downloads.length);
	return (
		<Box flexDirection="column" width={width} height={height}>
			<Header snapshot={snapshot} width={width} ascii={ascii} />
			{layout.tabs ? <Tabs snapshot={snapshot} width={width} ascii={ascii} /> : null}
			<Text>{(ascii ? '-' : '─').repeat(width)}</Text>
			<Banners texts={banners.slice(0, 2)} width={width} ascii={ascii} />
			<Box flexDirection="column" height={layout.list + (layout.headings ? 1 : 0)}>
				{downloads.length === 0 ? (
					<EmptyList origin={snapshot.origin} width={width} height={layout.list} ascii={ascii} />
				) : (
					<DownloadTable
						downloads={downloads.slice(top, top + visible)}
						selected={selected?.id}
						columns={columnWidths(width)}
						headings={layout.headings}
						ascii={ascii}
						now={now}
					/>
				)}
			</Box>
			{layout.details > 0 && selected ? (
				<Details
					download={selected}
					width={width}
					height={layout.details}
					map={layout.map}
					ascii={ascii}
					now={now}
				/>
			) : null}
			<Bottom
				state={state}
				selected={selected}
				now={now}
				width={width}
				ascii={ascii}
				namesState={layout.details === 0}
			/>
		</Box>
	);
}

function WholeDetails({frame: {snapshot, now}, state, width, height, ascii}: Screen) {
	const {downloads} = snapshot;
	const selected = downloads[selectedIndex(downloads, state)];
	return (
		<Box flexDirection="column" width={width} height={height}>
			<Header snapshot={snapshot} width={width} ascii={ascii} />
			{selected ? (
				<Details
					download={selected}
					width={width}
					height={height - 3}
					map={Math.max(0, height - 13)}
					ascii={ascii}
					now={now}
				/>
			) : null}
			<Bottom state={state} selected={selected} now={now} width={width} ascii={ascii} namesState={false} />
		</Box>
	);
}

/** Status line and keys. Where no details are seen, the status line names the state of the selected row. */
function Bottom(props: {
	state: ScreenState;
	selected: Download | undefined;
	now: number;
	width: number;
	ascii: boolean;
	namesState: boolean;
}) {
	const {state, selected, now, width, ascii, namesState} = props;
	const {message, mode} = state;
	const text = message?.text ?? (namesState && selected ? stateLine(selected, now, width, ascii) : '');
	return (
		<>
			<Text bold={message?.isError} wrap="truncate">
				{fitText(` ${cleanText(text)}`, width, {ascii})}
			</Text>
			<Text wrap="truncate">{footerText(width, footerWords(mode, selected))}</Text>
		</>
	);
}

function Dialogs({
	frame: {snapshot},
	mode,
	...place
}: Screen & {mode: Exclude<Mode, {kind: 'list' | 'details'}>}) {
	const {downloads} = snapshot;
	const download = 'id' in mode ? downloads.find(({id}) => id === mode.id) : undefined;
	switch (mode.kind) {
		case 'help':
			return <Help {...place} top={mode.top} />;
		case 'add':
			return <AddDialog {...place} field={mode.field} problem={mode.problem} />;
		case 'quit': {
			const players = downloads.reduce((sum, each) => sum + connectedPlayers(each), 0);
			const running = downloads.filter(each => isRunning(each)).length;
			return <QuitDialog {...place} focus={mode.focus} running={running} players={players} />;
		}

		case 'remove':
			return download ? <RemoveDialog {...place} download={download} focus={mode.focus} /> : null;
		case 'export':
			return download ? (
				<ExportDialog
					{...place}
					download={download}
					field={mode.field}
					clash={mode.clash}
					problem={mode.problem}
				/>
			) : null;
		default:
			return download ? <PlainText {...place} download={download} /> : null;
	}
}

function listRows({snapshot: {downloads, banners}}: Frame, height: number): number {
	return Math.max(1, rowHeights(height, downloads.length, Math.min(2, banners.length)).list);
}

function selectedIndex(downloads: readonly Download[], {selected}: ScreenState): number {
	return Math.max(
		0,
		downloads.findIndex(({id}) => id === selected),
	);
}

function stateLine(download: Download, now: number, width: number, ascii: boolean): string {
	const name = fitName(cleanText(download.name), Math.max(16, Math.floor(width / 2)), {ascii});
	return `${name}: ${reason(download) ?? `${stateWords(download, now, ascii).state}, ${amount(download)}`}`;
}

/** The words for the selected row; keys that would do nothing are left out. */
function footerWords(mode: Mode, selected: Download | undefined): Partial<Record<Command, string | false>> {
	if (!selected) {
		return {pause: false, resume: false, remove: false, export: false, 'copy-stream': false, open: false};
	}

	const {status} = selected;
	const isStopped = status === 'paused' || status === 'cancelled' || status === 'failed';
	const isComplete = status === 'complete';
	const canRetry = isStopped || status === 'waiting';
	return {
		...(mode.kind === 'details' ? {open: false, back: 'back', 'plain-text': 'plain text'} : {}),
		pause: isStopped || isComplete ? false : 'pause',
		resume: canRetry ? (status === 'paused' ? 'resume' : 'retry') : false,
		remove: isComplete ? 'remove' : 'cancel',
	};
}
