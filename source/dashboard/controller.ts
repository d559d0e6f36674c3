// Keys, pastes and clicks: their target (list, filter, palette, messages or dialog) and the movement of the cursor.
import type {Download, DownloadId} from '../downstream.ts';
import {Actions, type Dialogs} from './actions.ts';
import {AddDialog} from './dialogs/add.ts';
import {ExportDialog} from './dialogs/export.ts';
import {RemoveDialog} from './dialogs/remove.ts';
import {DialogInput} from './dialog-input.ts';
import {FilmFrames} from './film-frames.ts';
import type {Hit} from './hit-test.ts';
import {PlayerControl} from './player-control.ts';
import {commandOf, entryOf, playerTable, type Command, type Entry} from './keys.ts';
import {announcementsOf, logLine} from './messages.ts';
import type {Mode} from './mode.ts';
import {pressPalette, type Palette} from './palette.ts';
import {editField, fieldOf, insertText, type Field} from './text-field.tsx';
import {UiStore, type ScreenState, type UiStoreOptions, type Viewport} from './ui-store.ts';

export type ControllerOptions = UiStoreOptions & {
	/** The first export folder, with a separator at its end. */
	readonly exportDir: string;
};

/** Any other key leaves the messages open: it may be the start of a search. */
const closesMessages: ReadonlySet<Command> = new Set(['back', 'open', 'quit', 'help', 'log']);

/** UTF-16 units of a pasted filter or search. */
const longestSearch = 200;

export class Controller {
	readonly #ui: UiStore;
	readonly #dialogs: Dialogs;
	readonly #dialogInput: DialogInput;
	readonly #actions: Actions;
	readonly #player: PlayerControl;
	readonly #frames: FilmFrames;
	/** The download to select on its arrival. */
	#awaitedId: DownloadId | undefined;
	#seen = new Map<DownloadId, Download>();

	constructor(options: ControllerOptions) {
		this.#ui = new UiStore(options);
		this.#dialogs = {
			add: new AddDialog(this.#ui),
			export: new ExportDialog(this.#ui, options.exportDir),
			remove: new RemoveDialog(this.#ui),
		};
		this.#dialogInput = new DialogInput(this.#ui);
		this.#frames = new FilmFrames(this.#ui);
		this.#actions = new Actions(this.#ui, this.#dialogs, this.#frames);
		this.#player = new PlayerControl(this.#ui);
		this.#observe();
	}

	/** The same object until something changes. */
	get state(): ScreenState {
		return this.#ui.state;
	}

	subscribe(listener: () => void): () => void {
		const removeListener = this.#ui.subscribe(listener);
		const unsubscribe = this.#ui.feed.subscribe(() => this.#observe());
		const stopFrames = this.#ui.subscribe(() => this.#frames.update());
		return () => {
			this.#frames.stop();
			stopFrames();
			unsubscribe();
			removeListener();
		};
	}

	setViewport(viewport: Viewport): void {
		this.#ui.viewport = viewport;
		this.#frames.update();
	}

	/** Selects the download on its arrival, unless the user selects or presses something before. */
	selectWhenAdded(id: DownloadId | undefined): void {
		this.#awaitedId = this.state.selected === undefined ? id : undefined;
		this.#selectAwaited();
	}

	/** Handles one key press, by its name from `keyPresses`. */
	press(name: string): void {
		this.#awaitedId = undefined;
		const {mode, message, typing} = this.state;
		if (message?.isError) {
			this.#ui.set({message: undefined});
		}

		if (mode.kind === 'dialog') {
			this.#dialogInput.press(mode.dialog, name);
		} else if (mode.kind === 'palette') {
			this.#pressInPalette(mode.palette, name);
		} else if (mode.kind === 'messages') {
			this.#pressInMessages(mode, name);
		} else if (typing) {
			this.#pressInFilter(typing, name);
		} else {
			const command = this.#player.commandOf(name) ?? commandOf(name);
			if (command) {
				// Frames are part of the details.
				this.#command(command === 'frames' && !this.#ui.isInDetails ? 'open' : command, name);
			} else {
				this.#ui.say(`${name} does nothing here. ? finds every command`);
			}
		}
	}

	/** Pastes into the open field, or opens the add dialog. Pasted text never counts as keys. */
	paste(text: string): void {
		const {mode, typing} = this.state;
		const words = text.slice(0, longestSearch);
		if (mode.kind === 'dialog') {
			this.#dialogInput.paste(mode.dialog, text);
		} else if (mode.kind === 'palette') {
			const find = insertText(mode.palette.find, words);
			this.#ui.set({mode: {kind: 'palette', palette: {find, at: 0}}});
		} else if (mode.kind === 'messages') {
			this.#findInMessages(mode, insertText(mode.typing ?? fieldOf(''), words));
		} else if (typing) {
			this.#typeFilter(insertText(typing, words));
		} else {
			this.#dialogs.add.open(text.trim());
		}
	}

	/** Handles a click, a double click (`isDouble`) or a turn of the wheel. */
	click(hit: Hit, isDouble: boolean): void {
		const {dialog} = this.#ui;
		switch (hit.kind) {
			case 'row': {
				const {downloads, top} = this.#ui.window;
				this.#ui.select(top + hit.row);
				if (isDouble && downloads[top + hit.row]) {
					this.#ui.open({kind: 'details'});
				}

				break;
			}

			case 'tab':
				this.#ui.changeView({tab: hit.tab});
				break;
			case 'key':
				this.#command(hit.command, '');
				break;
			case 'heading':
				this.#ui.changeView({
					sort: hit.sort,
					isReversed: hit.sort === this.state.view.sort && !this.state.view.isReversed,
				});
				break;
			case 'outside':
				this.press('escape');
				break;
			case 'bar':
				this.#player.seekToShare(hit.share);
				break;
			case 'button':
				if (dialog) {
					this.#dialogInput.pressButton(dialog, hit.name);
				} else {
					this.#runFound(entryOf(hit.name as Command));
				}

				break;
			case 'wheel': {
				const name = hit.by < 0 ? 'up' : 'down';
				if (this.state.mode.kind === 'details') {
					// The key may seek.
					this.#command(name, name);
				} else {
					this.press(name);
				}
			}
		}
	}

	/** Announces the changes since the last snapshot. */
	#observe(): void {
		const {downloads} = this.#ui.feed.frame.snapshot;
		const before = this.#seen;
		this.#seen = new Map(downloads.map(download => [download.id, download]));
		this.#selectAwaited();
		this.#frames.update();
		for (const {text, isError, at, isQuiet, rings} of announcementsOf(downloads, before)) {
			if (isQuiet) {
				this.#ui.log(text, at);
			} else {
				this.#ui.say(text, isError);
			}

			if (rings) {
				this.#ui.host.bell();
			}
		}
	}

	#selectAwaited(): void {
		const index = this.#ui.window.downloads.findIndex(({id}) => id === this.#awaitedId);
		if (index !== -1) {
			this.#awaitedId = undefined;
			this.#ui.select(index);
		}
	}

	// List and details

	/** Scrolls, moves the cursor or runs the command. */
	#command(command: Command, key: string): void {
		const {viewport, window, isInDetails, state} = this.#ui;
		const {lastTop, rows} = viewport;
		if (isInDetails && (command === 'up' || command === 'down') && lastTop > 0) {
			const scrolled = Math.min(lastTop, state.scrolled) + (command === 'up' ? -1 : 1);
			this.#ui.set({scrolled: Math.max(0, Math.min(lastTop, scrolled))});
			return;
		}

		const to = moveOf(command, window.index, window.downloads.length - 1, rows);
		if (this.#ui.selected && isPlayerCommand(command)) {
			this.#player.run(command, this.#ui.selected);
		} else if (to === undefined) {
			this.#actions.run(command, key);
		} else {
			this.#ui.select(to);
		}
	}

	#pressInFilter(typing: Field, name: string): void {
		if (name === 'escape' || name === 'ctrl+c') {
			this.#ui.changeView({filter: ''});
			this.#ui.set({typing: undefined});
		} else if (name === 'return') {
			this.#ui.set({typing: undefined});
		} else if (name === 'up' || name === 'down') {
			this.#ui.select(this.#ui.window.index + (name === 'up' ? -1 : 1));
		} else {
			const field = editField(typing, name);
			if (field) {
				this.#typeFilter(field);
			}
		}
	}

	#typeFilter(typing: Field): void {
		this.#ui.set({typing});
		this.#ui.changeView({filter: typing.text});
	}

	// Palette and messages

	#pressInPalette(palette: Palette, name: string): void {
		const action = pressPalette(palette, name);
		switch (action?.kind) {
			case 'changed':
				this.#ui.set({mode: {kind: 'palette', palette: action.palette}});
				break;
			case 'closed':
				this.#ui.close();
				break;
			case 'run':
				this.#runFound(action.entry);
				break;
			default:
		}
	}

	#runFound({command, keys}: Entry): void {
		this.#ui.close();
		this.#command(command, keys[0]!);
	}

	#pressInMessages(mode: Extract<Mode, {kind: 'messages'}>, name: string): void {
		const {typing} = mode;
		if (typing) {
			if (name === 'escape' || name === 'ctrl+c') {
				this.#ui.set({mode: {...mode, typing: undefined, find: '', top: 0}});
			} else if (name === 'return') {
				this.#ui.set({mode: {...mode, typing: undefined}});
			} else {
				this.#findInMessages(mode, editField(typing, name) ?? typing);
			}

			return;
		}

		const command = commandOf(name);
		const {lastTop, page: lines} = this.#ui.viewport;
		const to = moveOf(command, Math.min(mode.top, lastTop), lastTop, lines);
		if (to !== undefined) {
			this.#ui.set({mode: {...mode, top: to}});
		} else if (command === 'filter') {
			this.#ui.set({mode: {...mode, typing: fieldOf(''), find: '', top: 0}});
		} else if (command === 'plain-text') {
			const lines = this.state.log.map(message => logLine(message));
			this.#ui.run(() => this.#ui.host.showPlain(lines));
		} else if (command && closesMessages.has(command)) {
			this.#ui.close();
		}
	}

	#findInMessages(mode: Extract<Mode, {kind: 'messages'}>, typing: Field): void {
		this.#ui.set({mode: {...mode, typing, find: typing.text, top: 0}});
	}
}

function isPlayerCommand(command: Command): boolean {
	return playerTable.some(entry => entry.command === command);
}

/** The line a movement leads to; undefined for any other command. `page` is in lines. */
function moveOf(command: Command | undefined, from: number, last: number, page: number): number | undefined {
	const moves: Partial<Record<Command, number>> = {
		up: from - 1,
		previous: from - 1,
		down: from + 1,
		next: from + 1,
		'page-up': from - page,
		'page-down': from + page,
		'half-up': from - Math.ceil(page / 2),
		'half-down': from + Math.ceil(page / 2),
		first: 0,
		last,
	};
	const to = command && moves[command];
	return to === undefined ? undefined : Math.max(0, Math.min(last, to));
}
