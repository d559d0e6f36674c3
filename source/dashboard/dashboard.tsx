// The dashboard: a function of the snapshot and the controller's state.
import {useApp, useWindowSize} from 'ink';
import {useEffect, useState, useSyncExternalStore} from 'react';
import type {DownloadId} from '../downstream.ts';
import {Controller, type ControllerOptions} from './controller.ts';
import {dialogCells} from './dialog-view.tsx';
import {smallest} from './layout.ts';
import {rowsOf} from './list-page.tsx';
import {lastTopOf, Page, targetsOf} from './pages.tsx';
import {SnapshotFeed} from './snapshot-feed.ts';
import {ThemeContext, type Theme} from './theme.ts';
import {TooSmall} from './too-small.tsx';
import type {Host} from './ui-store.ts';
import {useInput} from './use-input.ts';
import {useRedraw} from './use-redraw.ts';

/** What the terminal does for the host; leaving and redrawing the screen is Ink's. */
type DashboardHost = Omit<Host, 'redraw' | 'showPlain' | 'suspend'> & {
	/** Runs while the screen is the shell's. */
	printPlain(lines: readonly string[]): Promise<void>;
	stopProcess(): Promise<void>;
	/** Calls back when another process stops this one, as Ctrl+Z does while no keys are read. */
	onStop(listener: () => void): () => void;
	/** The terminal has not accepted the last frame: a new one would only wait. */
	isBehind(): boolean;
};

export type DashboardProps = Omit<ControllerOptions, 'feed' | 'host'> & {
	readonly host: DashboardHost;
	readonly theme: Theme;
	/** The theme for a late answer of the terminal, which arrives among the keys. */
	readonly lateTheme?: (answer: string) => Theme | undefined;
	readonly ascii: boolean;
	/** At least 256. */
	readonly manyColors: boolean;
	/** Resolves with the download to select first, once the downloads of the command line are in the list. */
	readonly added?: Promise<DownloadId | undefined>;
	/** Reports clicks from the start. */
	readonly mouse?: boolean;
	/** Free rows at the bottom. */
	readonly spareRows?: number;
};

export function Dashboard({
	host,
	theme: firstTheme,
	lateTheme,
	ascii,
	manyColors,
	added,
	mouse = false,
	spareRows = 0,
	...options
}: DashboardProps) {
	const redraw = useRedraw();
	const [theme, setTheme] = useState(firstTheme);
	const {suspendTerminal} = useApp();
	// Ink draws its first frame where the other program left the cursor.
	const lendTerminal = async (action: () => Promise<void>) => suspendTerminal(action).finally(redraw);
	const [feed] = useState(
		() =>
			new SnapshotFeed(options.downstream, {
				isOrphan: () => options.attachment?.isConnected === false,
				isAttached: () => options.attachment?.isElsewhere === true,
				isBehind: () => host.isBehind(),
			}),
	);
	const [controller] = useState(
		() =>
			new Controller({
				...options,
				feed,
				host: {
					...host,
					redraw,
					showPlain: async lines => lendTerminal(() => host.printPlain(lines)),
					suspend: async () => lendTerminal(() => host.stopProcess()),
				},
			}),
	);
	const [subscribeToFeed] = useState(() => (listener: () => void) => feed.subscribe(listener));
	const [subscribeToState] = useState(() => (listener: () => void) => controller.subscribe(listener));
	const frame = useSyncExternalStore(subscribeToFeed, () => feed.frame);
	const state = useSyncExternalStore(subscribeToState, () => controller.state);
	const {columns, rows} = useWindowSize();
	const height = rows - spareRows;
	const isTooSmall = columns < smallest.columns || height < smallest.rows;
	// The last column stays free: erasing to the end of the line, which follows each line, would take its character.
	const [isAdding, setIsAdding] = useState(added !== undefined);
	const screen = {frame, state, width: columns - 1, height, ascii, manyColors, isAdding};
	useInput({
		controller,
		takeAnswer: answer => {
			const answered = lateTheme?.(answer);
			if (answered) {
				setTheme(answered);
			}
		},
		targets: isTooSmall ? undefined : () => targetsOf(screen),
	});
	useEffect(
		() =>
			host.onStop(() => {
				lendTerminal(() => host.stopProcess()).catch(() => undefined);
			}),
		// oxlint-disable-next-line react/exhaustive-deps -- the host never changes
		[],
	);
	useEffect(() => {
		void added?.then(id => {
			feed.refresh();
			controller.selectWhenAdded(id);
			setIsAdding(false);
		});
	}, [added, controller, feed]);
	useEffect(() => {
		if (mouse) {
			controller.press('M');
		}
	}, [controller, mouse]);
	const {list: listRows} = rowsOf(frame, height);
	const lastTop = lastTopOf(screen);
	const dialog = dialogCells(screen);
	useEffect(() => {
		const rows = Math.max(1, listRows);
		controller.setViewport({width: columns - 1, rows, page: height - 2, dialog, lastTop});
	}, [controller, columns, listRows, height, dialog, lastTop]);

	return (
		<ThemeContext.Provider value={theme}>
			{isTooSmall ? (
				<TooSmall
					columns={columns}
					rows={rows}
					bytesPerSecond={frame.snapshot.bytesPerSecond}
					isQuitting={state.mode.kind === 'dialog'}
				/>
			) : (
				<Page {...screen} />
			)}
		</ThemeContext.Provider>
	);
}
