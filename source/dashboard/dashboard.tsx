// The screen: a function of the snapshot and of the little that the engine cannot know (selection, mode, typed text).
import {Box, Text, useInput, usePaste, useWindowSize} from 'ink';
import {useEffect, useRef, useState} from 'react';
import {DownStreamError, type Download, type DownloadId, type DownStream} from '../downstream.ts';
import {cleanText, fitName, fitText} from './clean-text.ts';
import {Details} from './details.tsx';
import {pressButton, settleMs} from './dialog.tsx';
import {
	AddDialog,
	clashButtons,
	ExportDialog,
	parseUrls,
	quitButtons,
	QuitDialog,
	removeButtons,
	RemoveDialog,
} from './dialogs.tsx';
import {connectedPlayers, DownloadTable} from './download-table.tsx';
import {Banners, EmptyList, Header, Tabs} from './header.tsx';
import {Help} from './help.tsx';
import {commandOf, footerText, keyPresses, type Command} from './keys.ts';
import {columnWidths, rowHeights, smallest} from './layout.ts';
import {list, type Mode} from './mode.ts';
import {PlainText} from './plain-text.tsx';
import {editField, fieldOf, insertText, type Field} from './text-field.tsx';
import {useSnapshot} from './use-snapshot.ts';

export type DashboardProps = {
	readonly downstream: DownStream;
	readonly ascii: boolean;
	/** Where exports go at first, with a separator at its end. */
	readonly exportDir: string;
	/** One row less is drawn where a full screen scrolls. */
	readonly spareRows?: number;
	/** Says what was done with the text: `none` if nothing could be. */
	readonly copy: (text: string) => Promise<'copied' | 'sent' | 'none'>;
	readonly redraw: () => void;
	readonly onQuit: () => void;
};

type Message = {readonly text: string; readonly isError: boolean};

const noticeMs = 4000;
const undoMs = 10_000;

export function Dashboard(props: DashboardProps) {
	const {downstream, ascii, exportDir, spareRows = 0} = props;
	const {columns, rows} = useWindowSize();
	// The last column stays free: erasing to the end of the line, which follows each line, would take its character.
	const width = columns - 1;
	const height = rows - spareRows;
	const {snapshot, refresh} = useSnapshot(downstream);
	const {downloads} = snapshot;
	const [mode, setModeAlone] = useState<Mode>(list);
	const [selectedId, select] = useState<DownloadId | undefined>(undefined);
	const [message, setMessage] = useState<Message | undefined>(undefined);
	const openedAt = useRef(0);
	const draft = useRef('');
	const top = useRef(0);
	const removed = useRef<{id: DownloadId; name: string; until: number} | undefined>(undefined);

	const index = Math.max(
		0,
		downloads.findIndex(({id}) => id === selectedId),
	);
	const selected = downloads[index];
	const layout = rowHeights(height, downloads.length, Math.min(2, snapshot.banners.length));
	const visible = Math.max(1, layout.list);
	top.current = Math.min(
		Math.max(0, downloads.length - visible),
		clamp(top.current, index - visible + 1, index),
	);

	useEffect(() => {
		if (!message || message.isError) {
			return undefined;
		}

		const timer = setTimeout(() => setMessage(undefined), noticeMs);
		return () => clearTimeout(timer);
	}, [message]);

	const setMode = (next: Mode) => {
		openedAt.current = Date.now();
		setModeAlone(next);
	};

	const say = (text: string, isError = false) => setMessage({text, isError});

	/** Runs a command of the engine; what goes wrong is told in the status line. */
	const run = (action: () => Promise<string | undefined | void>) => {
		action()
			.then(text => text && say(text))
			.catch((error: unknown) => say(sentence(error), true))
			.finally(refresh);
	};

	const openAdd = (text: string) => setMode({kind: 'add', field: fieldOf(text)});

	const addAll = (field: Field, mode: Mode & {kind: 'add'}) => {
		const {urls, problem} = parseUrls(field.text);
		if (urls.length === 0) {
			setModeAlone({...mode, problem: problem ?? 'Type or paste a URL'});
			return;
		}

		run(async () => {
			const added = await Promise.all(urls.map(url => downstream.add({url})));
			select(added[0]!.download.id);
			const known = added.filter(({existed}) => existed).length;
			return known === 0
				? `Added ${added.length}`
				: `Added ${added.length - known}; already in the list: ${known}`;
		});
		draft.current =
			problem === undefined
				? ''
				: field.text
						.split(/\s+/)
						.filter(word => !urls.includes(word))
						.join(' ');
		setMode(problem === undefined ? list : {kind: 'add', field: fieldOf(draft.current), problem});
	};

	const remove = (download: Download, data: 'keep' | 'delete') => {
		run(async () => {
			await downstream.remove(download.id, {data});
			removed.current = {id: download.id, name: download.name, until: Date.now() + undoMs};
			return `Removed ${cleanText(download.name)}, ${data === 'keep' ? 'its data is kept, ' : ''}u = undo`;
		});
		setMode(list);
	};

	const exportTo = (
		mode: Mode & {kind: 'export'},
		choice: {overwrite?: boolean; keepBoth?: boolean} = {},
	) => {
		const path = mode.field.text.trim();
		setMode(list);
		run(async () => {
			try {
				const isDone = downloads.find(({id}) => id === mode.id)?.status === 'complete';
				const {path: written} = await downstream.export(mode.id, {path, when: 'complete', ...choice});
				return `${isDone ? 'Exported to' : 'Will be exported, once it is complete, to'} ${written}`;
			} catch (error) {
				const isClash = error instanceof DownStreamError && error.code === 'target-exists';
				setMode({...mode, ...(isClash ? {clash: 0} : {problem: sentence(error)})});
				return undefined;
			}
		});
	};

	const copy = (text: string, what: string, download: Download) => {
		run(async () => {
			const result = await props.copy(text);
			if (result === 'none') {
				setMode({kind: 'plain-text', id: download.id});
				return 'No clipboard can be reached: select the URL here';
			}

			return result === 'copied'
				? `Copied the ${what}`
				: `Sent the ${what} to the terminal's clipboard (v shows it)`;
		});
	};

	const quit = () => {
		const running = downloads.filter(({status}) =>
			['active', 'asking', 'exporting', 'waiting'].includes(status),
		);
		const players = downloads.reduce((sum, download) => sum + connectedPlayers(download), 0);
		if (running.length === 0 && players === 0) {
			props.onQuit();
		} else {
			setMode({kind: 'quit', focus: 0});
		}
	};

	const command = (name: Command) => {
		const move = (to: number) => select(downloads[clamp(to, 0, downloads.length - 1)]?.id);
		switch (name) {
			case 'up':
				return move(index - 1);
			case 'down':
				return move(index + 1);
			case 'page-up':
				return move(index - visible);
			case 'page-down':
				return move(index + visible);
			case 'first':
				return move(0);
			case 'last':
				return move(downloads.length - 1);
			case 'add':
				return openAdd(draft.current);
			case 'help':
				return setMode({kind: 'help'});
			case 'back':
				return mode.kind === 'details' ? setMode(list) : undefined;
			case 'redraw':
				return props.redraw();
			case 'quit':
				return quit();
			case 'undo':
				return undo();
			default:
				return selected ? commandOn(name, selected) : say('Nothing is selected: paste a link, or press a');
		}
	};

	const undo = () => {
		const last = removed.current;
		if (!last || Date.now() > last.until) {
			return say('u: nothing to undo');
		}

		removed.current = undefined;
		return run(async () => {
			await downstream.restore(last.id);
			select(last.id);
			return `${cleanText(last.name)} is back`;
		});
	};

	const commandOn = (name: Command, download: Download) => {
		const {id, status} = download;
		switch (name) {
			case 'pause': {
				if (status === 'complete' || status === 'exporting') {
					return say(`p: it is ${status === 'complete' ? 'complete' : 'being exported'}`);
				}

				const isStopped = status === 'paused' || status === 'cancelled' || status === 'failed';
				return run(() => (isStopped ? downstream.resume(id) : downstream.pause(id)));
			}

			case 'resume':
				return status === 'complete' ? say('r: it is complete') : run(() => downstream.resume(id));
			case 'remove': {
				const isSafe = download.present === 0 || (status === 'complete' && download.exportedTo !== null);
				return isSafe && connectedPlayers(download) === 0
					? remove(download, 'delete')
					: setMode({kind: 'remove', id, focus: 0});
			}

			case 'export':
				return setMode({kind: 'export', id, field: fieldOf(exportDir + download.name)});
			case 'copy-stream':
				return copy(download.streamUrl, 'stream URL', download);
			case 'copy-source':
				return copy(download.url, 'source URL', download);
			case 'plain-text':
				return setMode({kind: 'plain-text', id});
			case 'open':
				return setMode({kind: 'details'});
			default:
				return undefined;
		}
	};

	const typed = (name: string, mode: Mode & {kind: 'add' | 'export'}) => {
		const settled = Date.now() - openedAt.current >= settleMs;
		if (name === 'escape' || name === 'ctrl+c') {
			draft.current = mode.kind === 'add' ? mode.field.text : draft.current;
			return setMode(list);
		}

		if (name === 'return') {
			if (!settled) {
				return undefined;
			}

			return mode.kind === 'add' ? addAll(mode.field, mode) : exportTo(mode);
		}

		const field = editField(mode.field, name);
		return field && setModeAlone({...mode, field, problem: undefined});
	};

	const press = (name: string) => {
		if (message?.isError) {
			setMessage(undefined);
		}

		const settled = Date.now() - openedAt.current >= settleMs;
		switch (mode.kind) {
			case 'help':
			case 'plain-text':
				return setMode(list);
			case 'add':
				return typed(name, mode);
			case 'export': {
				if (mode.clash === undefined) {
					return typed(name, mode);
				}

				return pressed(
					name,
					clashButtons,
					mode.clash,
					settled,
					focus => setModeAlone({...mode, clash: focus}),
					[
						() => exportTo({...mode, clash: undefined}, {keepBoth: true}),
						() => exportTo({...mode, clash: undefined}, {overwrite: true}),
						() => setMode(list),
					],
				);
			}

			case 'remove': {
				const download = downloads.find(({id}) => id === mode.id);
				return pressed(name, removeButtons, mode.focus, settled, focus => setModeAlone({...mode, focus}), [
					() => setMode(list),
					() => download && remove(download, 'keep'),
					() => download && remove(download, 'delete'),
				]);
			}

			case 'quit':
				return name === 'ctrl+c'
					? props.onQuit()
					: pressed(name, quitButtons, mode.focus, settled, focus => setModeAlone({...mode, focus}), [
							() => setMode(list),
							props.onQuit,
						]);
			default: {
				const known = commandOf(name);
				return known && command(known);
			}
		}
	};

	const pressed = (
		name: string,
		buttons: Parameters<typeof pressButton>[0],
		focus: number,
		settled: boolean,
		move: (focus: number) => void,
		actions: ReadonlyArray<() => void>,
	) => {
		if (name === 'escape' || name === 'ctrl+c') {
			return setMode(list);
		}

		const result = pressButton(buttons, focus, name);
		if (!result) {
			return undefined;
		}

		if ('focus' in result) {
			return move(result.focus);
		}

		return settled ? actions[result.press]?.() : undefined;
	};

	const paste = (text: string) => {
		if (mode.kind === 'add' || (mode.kind === 'export' && mode.clash === undefined)) {
			setModeAlone({...mode, field: insertText(mode.field, text)});
		} else if (mode.kind === 'list' || mode.kind === 'details') {
			openAdd(insertText(fieldOf(draft.current ? `${draft.current} ` : ''), text.trim()).text);
		}
	};

	const tooSmall = columns < smallest.columns || height < smallest.rows;
	// Several presses in one read act one after the other, each on what the one before has made.
	const queue = useRef<string[]>([]);
	const [, continueQueue] = useState(0);
	useInput((input, key) => {
		const {names, pasted} = keyPresses(input, key);
		if (pasted !== undefined) {
			paste(pasted);
			return;
		}

		const [first, ...rest] = names;
		if (first !== undefined && (!tooSmall || first === 'q' || first === 'ctrl+c')) {
			press(first);
			queue.current.push(...rest);
			continueQueue(count => count + (rest.length > 0 ? 1 : 0));
		}
	});
	useEffect(() => {
		const next = queue.current.shift();
		if (next !== undefined) {
			press(next);
			continueQueue(count => count + 1);
		}
	});
	usePaste(paste);

	if (tooSmall) {
		return (
			<Text>{`${columns}x${rows}: too small\nDownloads go on.\nMake it ${smallest.columns}x${smallest.rows} or larger, or q to quit.`}</Text>
		);
	}

	const place = {width, height, ascii};
	const now = Date.now();
	const target = 'id' in mode ? downloads.find(({id}) => id === mode.id) : undefined;
	switch (mode.kind) {
		case 'help':
			return <Help {...place} />;
		case 'add':
			return <AddDialog {...place} field={mode.field} problem={mode.problem} />;
		case 'quit': {
			const running = downloads.filter(({status}) =>
				['active', 'asking', 'exporting', 'waiting'].includes(status),
			);
			const players = downloads.reduce((sum, download) => sum + connectedPlayers(download), 0);
			return <QuitDialog {...place} focus={mode.focus} running={running.length} players={players} />;
		}

		case 'remove':
			return target ? <RemoveDialog {...place} download={target} focus={mode.focus} /> : null;
		case 'export':
			return target ? (
				<ExportDialog
					{...place}
					download={target}
					field={mode.field}
					clash={mode.clash}
					problem={mode.problem}
				/>
			) : null;
		case 'plain-text':
			return target ? <PlainText {...place} download={target} /> : null;
		default:
	}

	const status =
		message ??
		(selected && layout.details === 0
			? {text: stateLine(selected, width, ascii), isError: false}
			: undefined);
	const isDetails = mode.kind === 'details' && selected !== undefined;
	return (
		<Box flexDirection="column" width={width} height={height}>
			<Header snapshot={snapshot} width={width} ascii={ascii} />
			{isDetails ? (
				<Details
					download={selected}
					width={width}
					height={height - 3}
					map={Math.max(0, height - 13)}
					ascii={ascii}
					now={now}
				/>
			) : (
				<>
					{layout.tabs ? <Tabs snapshot={snapshot} width={width} ascii={ascii} /> : null}
					<Text>{(ascii ? '-' : '─').repeat(width)}</Text>
					<Banners texts={snapshot.banners.slice(0, 2)} width={width} />
					<Box flexDirection="column" height={layout.list + (layout.headings ? 1 : 0)}>
						{downloads.length === 0 ? (
							<EmptyList origin={snapshot.origin} width={width} ascii={ascii} />
						) : (
							<DownloadTable
								downloads={downloads.slice(top.current, top.current + visible)}
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
				</>
			)}
			<Text bold={status?.isError} wrap="truncate">
				{fitText(` ${cleanText(status?.text ?? '')}`, width, {ascii})}
			</Text>
			<Text wrap="truncate">{footerText(width, footerWords(mode, selected))}</Text>
		</Box>
	);
}

/** Where no details are docked, the status line names the state of the selected row. */
function stateLine(download: Download, width: number, ascii: boolean): string {
	const name = fitName(cleanText(download.name), Math.max(16, Math.floor(width / 2)), {ascii});
	return `${name}: ${download.error ? download.error.message : download.status}`;
}

/** The words for the selected row; keys that would do nothing are left out. */
function footerWords(mode: Mode, selected: Download | undefined): Partial<Record<Command, string | false>> {
	const words: Partial<Record<Command, string | false>> =
		mode.kind === 'details' ? {open: false, back: 'back', 'plain-text': 'plain text'} : {};
	if (!selected) {
		return {
			...words,
			pause: false,
			resume: false,
			remove: false,
			export: false,
			'copy-stream': false,
			open: false,
		};
	}

	const isStopped = ['paused', 'cancelled', 'failed'].includes(selected.status);
	const isComplete = selected.status === 'complete';
	return {
		...words,
		pause: isStopped || isComplete ? false : 'pause',
		resume:
			isStopped || selected.status === 'waiting'
				? selected.status === 'paused'
					? 'resume'
					: 'retry'
				: false,
		remove: isComplete ? 'remove' : 'cancel',
	};
}

function sentence(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}

function clamp(value: number, least: number, most: number): number {
	return Math.max(least, Math.min(most, value));
}
