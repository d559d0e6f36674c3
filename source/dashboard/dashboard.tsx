// The screen: a function of the snapshot and the controller's state.
import {Box, useApp, useInput, usePaste, useWindowSize} from 'ink';
import {useEffect, useMemo, useRef, useState, useSyncExternalStore} from 'react';
import {hasExpired, isResumable, isStopped, type Download, type DownloadId} from '../downstream.ts';
import {cellsOf, cleanText, firstFitting, fitName, fitStart} from '../text/clean-text.ts';
import {barPlaces} from './bar-places.ts';
import {Controller, type ControllerOptions} from './controller.ts';
import {dockedLines, pageLines} from './details.ts';
import {
	BoxView,
	dialogCells,
	dialogLayout,
	fillsScreen,
	wrapped,
	type DialogLayout,
	type Place,
} from './dialog-view.tsx';
import {DownloadTable, headingPlaces, longestOf} from './download-table.tsx';
import {dimmedFrame} from './frames.ts';
import {bannerLines, EmptyList, headerLine, mostBanners, tabsLayout} from './header.tsx';
import {hitTest, parseMouse, type Targets} from './hit-test.ts';
import {
	entryOf,
	footerKeys,
	keyPresses,
	plainArrows,
	playerKeys,
	type Command,
	type FooterKey,
} from './keys.ts';
import {rowHeights, scrollThumb, smallest} from './layout.ts';
import {listWindow, queueOf} from './list-view.ts';
import {logLine} from './messages.ts';
import {withFlag} from '../text/safe-words.ts';
import {details, list, type Mode} from './mode.ts';
import {paletteLayout} from './palette.ts';
import {SnapshotFeed, type Frame} from './snapshot-feed.ts';
import {fitLine, Lines, LineView, span, type Line} from './spans.tsx';
import {amount, reasons, stateWords} from '../text/status-words.ts';
import {fieldSpans} from './text-field.tsx';
import {dimmedTheme, ThemeContext, useTheme, type Theme} from './theme.ts';
import {TooSmall} from './too-small.tsx';
import type {Host, ScreenState} from './ui-store.ts';
import {useRedraw} from './use-redraw.ts';

/** What the terminal does for the host; leaving and redrawing the screen is Ink's. */
export type DashboardHost = Omit<Host, 'redraw' | 'showPlain' | 'suspend'> & {
	/** Runs while the screen is the shell's. */
	printPlain(lines: readonly string[]): Promise<void>;
	stopProcess(): Promise<void>;
	/** Calls back when another process stops this one, as Ctrl+Z does while no keys are read. */
	onStop(listener: () => void): () => void;
	/** The terminal has not taken the last frame: a new one would only wait. */
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

type Screen = Place & {
	readonly frame: Frame;
	readonly state: ScreenState;
	readonly manyColors: boolean;
	/** Downloads of the command line are on their way into the list. */
	readonly isAdding: boolean;
};

const doubleClickMs = 400;
/** Control sequences without their escape: late answers, releases of a mouse button, unknown keys. */
// oxlint-disable-next-line no-control-regex -- terminals end answers with BEL
const controlSequence = /^(?:\]?\d+;rgba?:[\da-f/]*(?:\u0007|\u001B?\\)?|\[[\d:;<=>?]+[ -/]*[@-~])/i;

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
	const clicked = useRef({x: -1, y: -1, at: 0});
	useInput((input, key) => {
		const event = parseMouse(input);
		if (event) {
			const {x, y, at} = clicked.current;
			const hit = isTooSmall ? undefined : hitTest(event, targetsOf(screen));
			const now = Date.now();
			clicked.current = {x: event.x, y: event.y, at: now};
			if (hit) {
				controller.click(hit, event.x === x && event.y === y && now - at < doubleClickMs);
			}

			return;
		}

		const answered = lateTheme?.(input);
		if (answered) {
			setTheme(answered);
		}

		const typed = input.replace(controlSequence, '');
		if (typed === '' && input !== '') {
			return;
		}

		const {names, pasted} = keyPresses(typed, key);
		if (pasted !== undefined) {
			controller.paste(pasted);
		}

		for (const name of names) {
			const isQuitting = state.mode.kind === 'dialog' && state.mode.dialog.isQuit;
			if (!isTooSmall || isQuitting || ['q', 'ctrl+c', 'ctrl+z'].includes(name)) {
				controller.press(name);
			}
		}
	});
	usePaste(text => controller.paste(text));
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
	const {list: listRows} = rowHeights(height, frame.snapshot.downloads.length, bannerCount(frame));
	const lastTop = scrollableLines(screen);
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
				<View {...screen} />
			)}
		</ThemeContext.Provider>
	);
}

function View(screen: Screen) {
	const {mode} = screen.state;
	switch (mode.kind) {
		case 'list':
			return <List {...screen} />;
		case 'details':
			return <WholeDetails {...screen} />;
		case 'messages':
			return <Messages {...screen} mode={mode} />;
		default: {
			const layout = boxLayout(mode, screen);
			return fillsScreen(screen) ? (
				<BoxView {...screen} {...layout} />
			) : (
				<OverBase {...screen} layout={layout} />
			);
		}
	}
}

function boxLayout(mode: Extract<Mode, {kind: 'dialog' | 'palette'}>, place: Place): DialogLayout {
	return mode.kind === 'dialog' ? dialogLayout(mode.dialog.form, place) : paletteLayout(mode.palette, place);
}

/** A dialog or the palette over the dimmed list or details. */
function OverBase({layout, ...screen}: Screen & {readonly layout: DialogLayout}) {
	const dimmed = dimmedTheme(useTheme());
	const {state, width, height} = screen;
	const frames = useMemo(() => state.frames?.map(dimmedFrame), [state.frames]);
	const below = {...screen, state: {...state, frames, mode: state.isInDetails ? details : list}};
	return (
		<Box width={width} height={height}>
			<ThemeContext.Provider value={dimmed}>
				{state.isInDetails ? <WholeDetails {...below} /> : <List {...below} />}
			</ThemeContext.Provider>
			<Box position="absolute" width={width} height={height}>
				<BoxView {...screen} {...layout} />
			</Box>
		</Box>
	);
}

function List({frame, state, width, height, ascii, isAdding}: Screen) {
	const {snapshot, now} = frame;
	const layout = rowHeights(height, snapshot.downloads.length, bannerCount(frame));
	const visible = Math.max(1, layout.list);
	const {downloads, index, top} = listWindow(snapshot.downloads, state, visible);
	const selected = downloads[index];
	const place = {width, ascii};
	const placeWords = placeOf(index, downloads.length, visible);
	const hasScrollbar = downloads.length > visible;
	const queue = useMemo(() => queueOf(snapshot.downloads), [snapshot.downloads]);
	const longest = useMemo(() => longestOf(snapshot.downloads), [snapshot.downloads]);
	return (
		<Box flexDirection="column" width={width} height={height}>
			<LineView line={headerLine(frame, place)} />
			{layout.tabs ? (
				<LineView line={tabsLayout(frame, state.view, downloads.length, placeWords, place).line} />
			) : null}
			<LineView line={[span((ascii ? '-' : '─').repeat(width), 'rule')]} />
			<Lines lines={bannerLines(snapshot, now, place)} />
			<Box flexDirection="column" height={layout.list + (layout.headings ? 1 : 0)} overflowY="hidden">
				{downloads.length === 0 ? (
					<EmptyList {...place} height={layout.list} view={state.view} isAdding={isAdding} />
				) : (
					<Box>
						<Box flexDirection="column" width={width - (hasScrollbar ? 1 : 0)}>
							<DownloadTable
								downloads={downloads.slice(top, top + visible)}
								selected={selected?.id}
								marks={state.marks}
								width={width - (hasScrollbar ? 1 : 0)}
								longest={longest}
								headings={layout.headings}
								ascii={ascii}
								now={now}
								queue={queue}
								speedsOf={frame.speedsOf}
								freshOf={frame.freshOf}
							/>
						</Box>
						{hasScrollbar ? (
							<Box flexDirection="column" width={1}>
								<Lines
									lines={[
										...(layout.headings ? [[]] : []),
										...scrollbarLines(top, visible, downloads.length, ascii),
									]}
								/>
							</Box>
						) : null}
					</Box>
				)}
			</Box>
			{layout.details > 0 ? (
				<Box flexDirection="column" height={layout.details} overflowY="hidden">
					{selected ? (
						<Lines
							lines={dockedLines({
								...place,
								download: selected,
								speeds: frame.speedsOf(selected.id),
								fresh: frame.freshOf(selected.id),
								showsBytes: state.showsBytes,
								height: layout.details,
								now,
							})}
						/>
					) : null}
				</Box>
			) : null}
			<Bottom
				{...place}
				state={state}
				downloads={downloads}
				selected={selected}
				frame={frame}
				now={now}
				namesState={layout.details === 0}
				scrolls={false}
			/>
		</Box>
	);
}

/** `412/1000`; empty if the whole list is on the screen. */
function placeOf(index: number, count: number, visible: number): string {
	return count > visible ? `${index + 1}/${count}` : '';
}

function scrollbarLines(top: number, visible: number, count: number, ascii: boolean): Line[] {
	const {start, length} = scrollThumb(top, visible, count);
	return Array.from({length: visible}, (_, row) =>
		row >= start && row < start + length ? [span(ascii ? '#' : '▐', 'label')] : [],
	);
}

function WholeDetails(screen: Screen) {
	const {frame, state, width, height, ascii} = screen;
	const {downloads, index} = listWindow(frame.snapshot.downloads, state, 1);
	const selected = downloads[index];
	const lines = selected ? detailLines(screen, selected) : [];
	const room = height - 3;
	const top = Math.min(state.scrolled, Math.max(0, lines.length - room));
	const visible = lines.slice(top, top + room);
	const hidden = lines.length - top - room;
	if (hidden > 0) {
		visible.splice(-1, 1, [span(` ${ascii ? 'down:' : '↓'} ${hidden + 1} more lines`, 'label')]);
	}

	return (
		<Box flexDirection="column" width={width} height={height}>
			<LineView line={headerLine(frame, screen)} />
			<Box flexDirection="column" height={room} overflowY="hidden">
				<Lines lines={visible} />
			</Box>
			<Bottom
				width={width}
				ascii={ascii}
				state={state}
				downloads={downloads}
				selected={selected}
				frame={frame}
				now={frame.now}
				namesState={false}
				scrolls={lines.length > room}
			/>
		</Box>
	);
}

function detailLines({frame, state, width, height, ascii, manyColors}: Screen, download: Download): Line[] {
	const {showsBytes, frames} = state;
	const speeds = frame.speedsOf(download.id);
	const fresh = frame.freshOf(download.id);
	return pageLines({
		...{download, speeds, fresh, showsBytes, width, ascii},
		...{frames, manyColors, height: height - 3, now: frame.now},
	});
}

function Messages({state, width, height, ascii, mode}: Screen & {mode: Extract<Mode, {kind: 'messages'}>}) {
	const lines = messageLines({width, height, ascii}, state, mode);
	const room = height - 2;
	const top = Math.min(mode.top, Math.max(0, lines.length - room));
	const more = lines.length > room ? '↑↓ scroll   ' : '';
	const hint = `${more}/ find   v plain text   Esc close`;
	return (
		<Box flexDirection="column" width={width} height={height}>
			<LineView
				line={fitLine(
					[span(' Messages', 'strong'), span(`   ${ascii ? plainArrows(hint) : hint}`, 'label')],
					width,
					ascii,
				)}
			/>
			<Box flexDirection="column" height={room} overflowY="hidden">
				<Lines lines={lines.slice(top, top + room).map(line => fitLine([span(` ${line}`)], width, ascii))} />
			</Box>
			<LineView
				line={mode.typing ? [span(' / ', 'strong'), ...fieldSpans(mode.typing, width - 4, true)] : []}
			/>
		</Box>
	);
}

function messageLines(place: Place, {log}: ScreenState, {find}: Extract<Mode, {kind: 'messages'}>): string[] {
	const lines = log
		.map(message => logLine(message, place.ascii))
		.filter(line => line.toLowerCase().includes(find.toLowerCase()))
		.flatMap(line => wrapped(line, place.width - 2));
	return lines.length === 0 ? [find === '' ? 'No messages yet.' : 'No matches.'] : lines;
}

/** The largest scroll offset, in lines. */
function scrollableLines(screen: Screen): number {
	const {frame, state, height} = screen;
	const {mode} = state;
	if (mode.kind === 'messages') {
		return Math.max(0, messageLines(screen, state, mode).length - height + 2);
	}

	const {downloads, index} = listWindow(frame.snapshot.downloads, state, 1);
	const selected = downloads[index];
	return mode.kind === 'details' && selected
		? Math.max(0, detailLines(screen, selected).length - height + 3)
		: 0;
}

type BottomProps = {
	readonly state: ScreenState;
	readonly downloads: readonly Download[];
	readonly selected: Download | undefined;
	readonly frame: Pick<Frame, 'isOrphan' | 'isAttached'>;
	readonly now: number;
	readonly width: number;
	readonly ascii: boolean;
	/** The details are not on the screen. */
	readonly namesState: boolean;
	/** The details do not fit the screen. */
	readonly scrolls: boolean;
};

/** Status line and keys. */
function Bottom(props: BottomProps) {
	const {state, downloads, selected, frame, width, ascii} = props;
	const footer = state.typing
		? typingHint(ascii)
		: footerLine(
				shownKeys(
					{width, ascii},
					footerWords(state, downloads, selected, frame),
					state.mode,
					selected,
					props.scrolls,
				),
			);
	return (
		<>
			<LineView line={fitLine(statusLine(props), width, ascii)} />
			<LineView line={footer} />
		</>
	);
}

/** The keys while a filter is typed: letters are text. */
function typingHint(ascii: boolean): Line {
	const move = '↑↓';
	return footerLine([
		{shown: 'Enter', word: 'keep'},
		{shown: 'Esc', word: 'clear'},
		{shown: ascii ? plainArrows(move) : move, word: 'move'},
	]);
}

/** The typed filter, the newest message, the marks, or without details on the screen the state of the selected row. */
function statusLine({state, downloads, selected, now, width, ascii, namesState}: BottomProps): Line {
	const {typing, message, marks} = state;
	if (typing) {
		return [span(' / ', 'strong'), ...fieldSpans(typing, width - 4, true)];
	}

	if (message) {
		const text = withFlag(cleanText(message.text), ascii);
		return [span(` ${fitStart(text, width - 1, {ascii})}`, message.isError ? 'waiting' : 'plain')];
	}

	const marked = state.isInDetails ? [] : downloads.filter(({id}) => marks.has(id));
	if (marked.length > 0) {
		return [
			span(` ${marked.length} marked; p, x, e, c act on ${marked.length === 1 ? 'it' : 'them'}, Esc clears`),
		];
	}

	return namesState && selected ? [span(` ${stateLine(selected, now, width, ascii)}`)] : [];
}

function stateLine(download: Download, now: number, width: number, ascii: boolean): string {
	const found = reasons(download, now);
	const state = `${stateWords(download, now, ascii).state}, ${amount(download)}`;
	const leastName = 12;
	const words = cleanText(firstFitting(found.length > 0 ? found : [state], width - leastName - 3));
	const room = Math.max(leastName, width - cellsOf(words) - 3);
	return `${fitName(cleanText(download.name), room, {ascii})}: ${words}`;
}

function footerLine(keys: ReadonlyArray<Pick<FooterKey, 'shown' | 'word'>>): Line {
	return [
		span(' '),
		...keys.flatMap(({shown, word}, index) => [
			...(index === 0 ? [] : [span('  ')]),
			span(shown, 'strong'),
			span(` ${word}`, 'label'),
		]),
	];
}

/** Narrower footers keep their room for other keys than `g`. */
const roomyFooter = 110;

/** The keys of the footer. */
function shownKeys(
	{width, ascii}: Pick<Place, 'width' | 'ascii'>,
	words: Partial<Record<Command, string | false>>,
	mode: Mode,
	selected: Download | undefined,
	scrolls: boolean,
): FooterKey[] {
	const watching = selected?.playback
		? playerKeys({scrolls})
		: selected?.film && width >= roomyFooter
			? [entryOf('go-to')]
			: [];
	const special = mode.kind === 'details' ? watching : [];
	return footerKeys(width, words, special, ascii);
}

/** The words for the selected row; keys that would do nothing are left out. */
function footerWords(
	{mode, marks}: ScreenState,
	downloads: readonly Download[],
	selected: Download | undefined,
	{isOrphan, isAttached}: Pick<Frame, 'isOrphan' | 'isAttached'>,
): Partial<Record<Command, string | false>> {
	const quit = isAttached && !isOrphan ? {quit: 'detach'} : {};
	const commands = ['pause', 'resume', 'remove', 'export', 'copy-stream', 'play'] as const;
	const none = Object.fromEntries(commands.map(command => [command, false]));
	if (!selected) {
		return {
			...quit,
			...none,
			open: false,
			mark: false,
			filter: false,
			sort: false,
			...(isOrphan && orphanWords),
		};
	}

	const inDetails: Partial<Record<Command, string | false>> =
		mode.kind === 'details'
			? {
					open: false,
					back: 'back',
					next: 'next',
					'plain-text': 'plain text',
					mark: false,
					filter: false,
					sort: false,
					...(selected.film && {frames: 'frames'}),
					...(!selected.playback && {'go-to': 'watch from'}),
					...(selected.playback?.paused && {'pause-player': 'resume player'}),
				}
			: {};
	if (isOrphan) {
		return {...inDetails, ...none, ...orphanWords};
	}

	const marked = mode.kind === 'details' ? [] : downloads.filter(({id}) => marks.has(id));
	const targets = marked.length > 0 ? marked : [selected];
	const stopped = targets.find(each => isResumable(each));
	const {status, error, isPageForFile} = selected;
	return {
		...quit,
		...inDetails,
		pause: targets.some(each => !isStopped(each) && each.status !== 'complete') ? 'pause' : false,
		resume: stopped ? resumeWord(stopped) : false,
		'new-url': isPageForFile || (status === 'failed' && error && hasExpired(error)) ? 'new link' : false,
		...(marked.length > 0 && {back: 'clear marks', open: false, play: false, 'new-url': false}),
	};
}

const orphanWords = {'take-over': 'continue here', add: false} as const;

function resumeWord({status, error, isPageForFile}: Download): string {
	return error?.code === 'origin-changed' && !isPageForFile
		? 'decide'
		: status === 'paused'
			? 'resume'
			: 'retry';
}

function bannerCount({snapshot}: Frame): number {
	return Math.min(mostBanners, snapshot.banners.length);
}

/** The areas of the screen that take clicks. */
function targetsOf(screen: Screen): Targets {
	const {frame, state, width, height, ascii} = screen;
	const {mode} = state;
	const nothing: Targets = {
		list: undefined,
		tabs: undefined,
		headings: undefined,
		order: undefined,
		box: undefined,
		footer: undefined,
		buttons: [],
		bars: [],
	};
	if (mode.kind === 'dialog' || mode.kind === 'palette') {
		const {buttons, lines, top, left, cells} = boxLayout(mode, {width, height, ascii});
		return {...nothing, buttons, box: {top, bottom: top + lines.length, left, right: left + cells}};
	}

	if (mode.kind === 'messages') {
		return nothing;
	}

	const {snapshot} = frame;
	const layout = rowHeights(height, snapshot.downloads.length, bannerCount(frame));
	const visible = Math.max(1, layout.list);
	const {downloads, index, top} = listWindow(snapshot.downloads, state, visible);
	const selected = downloads[index];
	const lines = mode.kind === 'details' && selected ? detailLines(screen, selected) : [];
	const hidden = Math.max(0, lines.length - height + 3);
	const footer = state.typing
		? undefined
		: {
				row: height - 1,
				keys: shownKeys(
					{width, ascii},
					footerWords(state, downloads, selected, frame),
					mode,
					selected,
					hidden > 0,
				),
			};
	if (mode.kind === 'details') {
		// Below the header.
		const row = 1 - Math.min(state.scrolled, hidden);
		const bars = barPlaces(lines, row).filter(place => place.row > 0 && place.row < height - 2);
		return {...nothing, footer, bars: selected?.playback ? bars : []};
	}

	const first = 2 + (layout.tabs ? 1 : 0) + bannerCount(frame) + (layout.headings ? 1 : 0);
	const placeWords = placeOf(index, downloads.length, visible);
	const {places, order} = tabsLayout(frame, state.view, downloads.length, placeWords, {width, ascii});
	const tableWidth = width - (downloads.length > visible ? 1 : 0);
	return {
		...nothing,
		list: {row: first, count: Math.min(visible, downloads.length - top)},
		tabs: layout.tabs ? {row: 1, places} : undefined,
		headings: layout.headings
			? {row: first - 1, places: headingPlaces(tableWidth, longestOf(snapshot.downloads))}
			: undefined,
		order: layout.tabs && order ? {top: 1, bottom: 2, left: order[0], right: order[1]} : undefined,
		footer,
	};
}
