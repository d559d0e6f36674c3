// What keys and pastes do: the little that the engine cannot know (selection, mode, typed text), and the commands.
import {DownStreamError, type Download, type DownloadId, type DownStream} from '../downstream.ts';
import {cleanText} from './clean-text.ts';
import {pressButton, settleMs, type Button} from './dialog.tsx';
import {clashButtons, parseUrls, quitButtons, removeButtons} from './dialogs.tsx';
import {commandOf, type Command} from './keys.ts';
import {scrollTop} from './layout.ts';
import {list, type Mode, type ModeOf} from './mode.ts';
import type {SnapshotFeed} from './snapshot-feed.ts';
import {connectedPlayers, isRunning} from './state-words.ts';
import {editField, fieldOf, insertText} from './text-field.tsx';

export type ControllerOptions = {
	readonly downstream: DownStream;
	readonly feed: SnapshotFeed;
	/** Where exports go at first, with a separator at its end. */
	readonly exportDir: string;
	/** Says what was done with the text: `none` if nothing could be. */
	readonly copy: (text: string) => Promise<'copied' | 'sent' | 'none'>;
	readonly redraw: () => void;
	readonly onQuit: () => void;
};

export type Message = {readonly text: string; readonly isError: boolean};

export type ScreenState = {
	readonly mode: Mode;
	readonly selected: DownloadId | undefined;
	/** The first row of the list that is on the screen. */
	readonly top: number;
	/** The status line: notices go after a while, errors with the next key. */
	readonly message: Message | undefined;
};

const noticeMs = 4000;
const undoMs = 10_000;

export class Controller {
	readonly #options: ControllerOptions;
	readonly #listeners = new Set<() => void>();
	#state: ScreenState = {mode: list, selected: undefined, top: 0, message: undefined};
	/** Where closing a dialog leads back to. */
	#page: Mode = list;
	#visibleRows = 1;
	#lastHelpTop = 0;
	#modeSince = 0;
	#messageTimer: NodeJS.Timeout | undefined;
	/** What was typed in the add dialog and not added. */
	#draft = '';
	#removed: {id: DownloadId; name: string; until: number} | undefined;

	constructor(options: ControllerOptions) {
		this.#options = options;
	}

	/** The same object until something has changed. */
	get state(): ScreenState {
		return this.#state;
	}

	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => {
			this.#listeners.delete(listener);
			clearTimeout(this.#messageTimer);
		};
	}

	/** How many rows of the list are on the screen, and how far the help can be scrolled. */
	fits(visibleRows: number, lastHelpTop: number): void {
		this.#visibleRows = visibleRows;
		this.#lastHelpTop = lastHelpTop;
	}

	/** One key press, as `keyPresses` names it. */
	press(name: string): void {
		const {mode, message} = this.#state;
		if (message?.isError) {
			this.#set({message: undefined});
		}

		switch (mode.kind) {
			case 'help':
				this.#pressInHelp(name, mode.top);
				break;
			case 'plain-text':
				this.#close();
				break;
			case 'add':
				this.#pressInField(name, mode, () => this.#addAll(mode));
				break;
			case 'export':
				if (mode.clash === undefined) {
					this.#pressInField(name, mode, () => this.#exportTo(mode));
				} else {
					this.#pressButton(name, clashButtons, mode.clash, clash => ({...mode, clash}), [
						() => this.#exportTo(mode, {keepBoth: true}),
						() => this.#exportTo(mode, {overwrite: true}),
						() => this.#close(),
					]);
				}

				break;
			case 'remove':
				this.#pressButton(name, removeButtons, mode.focus, focus => ({...mode, focus}), [
					() => this.#close(),
					() => this.#remove(mode.id, 'keep'),
					() => this.#remove(mode.id, 'delete'),
				]);
				break;
			case 'quit':
				if (name === 'ctrl+c') {
					this.#options.onQuit();
				} else {
					this.#pressButton(name, quitButtons, mode.focus, focus => ({...mode, focus}), [
						() => this.#close(),
						this.#options.onQuit,
					]);
				}

				break;
			case 'list':
			case 'details': {
				const command = commandOf(name);
				if (command) {
					this.#command(command);
				}
			}
		}
	}

	/** Text is never taken for keys: it goes into the field that is open, or opens the add dialog. */
	paste(text: string): void {
		const {mode} = this.#state;
		if (mode.kind === 'add' || (mode.kind === 'export' && mode.clash === undefined)) {
			this.#set({mode: {...mode, field: insertText(mode.field, text), problem: undefined}});
		} else if (mode.kind === 'list' || mode.kind === 'details') {
			const draft = this.#draft === '' ? '' : `${this.#draft} `;
			this.#open({kind: 'add', field: insertText(fieldOf(draft), text.trim())});
		}
	}

	get #downloads(): readonly Download[] {
		return this.#options.feed.frame.snapshot.downloads;
	}

	get #index(): number {
		return Math.max(
			0,
			this.#downloads.findIndex(({id}) => id === this.#state.selected),
		);
	}

	#set(change: Partial<ScreenState>): void {
		this.#state = {...this.#state, ...change};
		for (const listener of this.#listeners) {
			listener();
		}
	}

	#open(mode: Mode): void {
		this.#modeSince = Date.now();
		if (mode.kind === 'list' || mode.kind === 'details') {
			this.#page = mode;
		}

		this.#set({mode});
	}

	#close(): void {
		this.#open(this.#page);
	}

	#say(text: string, isError = false): void {
		clearTimeout(this.#messageTimer);
		this.#set({message: {text, isError}});
		if (!isError) {
			this.#messageTimer = setTimeout(() => this.#set({message: undefined}), noticeMs);
		}
	}

	/** Runs a command of the engine. What it resolves with, or what goes wrong, is told in the status line. */
	#run(action: () => Promise<string | void>): void {
		action()
			.then(
				text => text && this.#say(text),
				(error: unknown) => this.#say(sentence(error), true),
			)
			.finally(() => this.#options.feed.refresh())
			.catch(() => undefined);
	}

	/** Where a command that moves leads to from a line of a list or text. */
	#moveOf(command: Command | undefined, from: number, last: number): number | undefined {
		const moves: Partial<Record<Command, number>> = {
			up: from - 1,
			down: from + 1,
			'page-up': from - this.#visibleRows,
			'page-down': from + this.#visibleRows,
			first: 0,
			last,
		};
		const to = command && moves[command];
		return to === undefined ? undefined : Math.max(0, Math.min(last, to));
	}

	#select(index: number): void {
		const {length} = this.#downloads;
		const to = Math.max(0, Math.min(length - 1, index));
		this.#set({
			selected: this.#downloads[to]?.id,
			top: scrollTop(this.#state.top, to, this.#visibleRows, length),
		});
	}

	#command(command: Command): void {
		const {downstream, redraw} = this.#options;
		const selected = this.#downloads[this.#index];
		const to = this.#moveOf(command, this.#index, this.#downloads.length - 1);
		if (to !== undefined) {
			this.#select(to);
		} else if (command === 'add') {
			this.#open({kind: 'add', field: fieldOf(this.#draft)});
		} else if (command === 'help') {
			this.#open({kind: 'help', top: 0});
		} else if (command === 'back') {
			this.#open(list);
		} else if (command === 'redraw') {
			redraw();
		} else if (command === 'quit') {
			this.#quit();
		} else if (command === 'undo') {
			this.#undo();
		} else if (!selected) {
			this.#say('Nothing is selected: paste a link, or press a');
		} else if (command === 'resume' && selected.status !== 'complete') {
			this.#run(() => downstream.resume(selected.id));
		} else {
			this.#commandOn(selected, command);
		}
	}

	#commandOn(download: Download, command: Command): void {
		const {downstream, exportDir} = this.#options;
		const {id, status} = download;
		const isComplete = status === 'complete';
		switch (command) {
			case 'pause':
				if (isComplete || status === 'exporting') {
					this.#say(`p: it is ${isComplete ? 'complete' : 'being exported'}`);
				} else {
					const isStopped = status === 'paused' || status === 'cancelled' || status === 'failed';
					this.#run(() => (isStopped ? downstream.resume(id) : downstream.pause(id)));
				}

				break;
			case 'resume':
				this.#say('r: it is complete');
				break;
			case 'remove': {
				// Nothing can be lost: no question.
				const isSafe = download.present === 0 || (isComplete && download.exportedTo !== null);
				if (isSafe && connectedPlayers(download) === 0) {
					this.#remove(id, 'delete');
				} else {
					this.#open({kind: 'remove', id, focus: 0});
				}

				break;
			}

			case 'export':
				this.#open({kind: 'export', id, field: fieldOf(exportDir + download.name)});
				break;
			case 'copy-stream':
				this.#copy(download.streamUrl, 'stream URL', id);
				break;
			case 'copy-source':
				this.#copy(download.url, 'source URL', id);
				break;
			case 'plain-text':
				this.#open({kind: 'plain-text', id});
				break;
			case 'open':
				this.#open({kind: 'details'});
				break;
			default:
		}
	}

	#pressInHelp(name: string, top: number): void {
		const to = this.#moveOf(commandOf(name), top, this.#lastHelpTop);
		if (to === undefined || this.#lastHelpTop === 0) {
			this.#close();
		} else {
			this.#set({mode: {kind: 'help', top: to}});
		}
	}

	#pressInField(name: string, mode: ModeOf<'add' | 'export'>, accept: () => void): void {
		if (name === 'escape' || name === 'ctrl+c') {
			this.#draft = mode.kind === 'add' ? mode.field.text : this.#draft;
			this.#close();
		} else if (name === 'return') {
			if (this.#isSettled) {
				accept();
			}
		} else {
			const field = editField(mode.field, name);
			if (field) {
				this.#set({mode: {...mode, field, problem: undefined}});
			}
		}
	}

	#pressButton(
		name: string,
		buttons: readonly Button[],
		focus: number,
		focused: (focus: number) => Mode,
		actions: ReadonlyArray<() => void>,
	): void {
		if (name === 'escape' || name === 'ctrl+c') {
			this.#close();
			return;
		}

		const result = pressButton(buttons, focus, name);
		if (result && 'focus' in result) {
			this.#set({mode: focused(result.focus)});
		} else if (result && this.#isSettled) {
			actions[result.press]?.();
		}
	}

	/** What is typed right after a dialog opened was meant for what was there before. */
	get #isSettled(): boolean {
		return Date.now() - this.#modeSince >= settleMs;
	}

	#addAll(mode: ModeOf<'add'>): void {
		const {urls, problem} = parseUrls(mode.field.text);
		if (urls.length === 0) {
			this.#set({mode: {...mode, problem: problem ?? 'Type or paste a URL'}});
			return;
		}

		this.#run(async () => {
			// One after the other: the list is in the order in which they were added.
			const added: Array<Awaited<ReturnType<DownStream['add']>>> = [];
			for (const url of urls) {
				added.push(await this.#options.downstream.add({url}));
			}

			this.#options.feed.refresh();
			this.#select(this.#downloads.findIndex(({id}) => id === added[0]?.download.id));
			const known = added.filter(({existed}) => existed).length;
			const count = added.length - known;
			return known === 0 ? `Added ${count}` : `Added ${count}; already in the list: ${known}`;
		});
		const rest = mode.field.text.split(/\s+/).filter(word => word !== '' && !urls.includes(word));
		this.#draft = rest.join(' ');
		if (rest.length === 0) {
			this.#close();
		} else {
			this.#open({kind: 'add', field: fieldOf(this.#draft), problem});
		}
	}

	#remove(id: DownloadId, data: 'keep' | 'delete'): void {
		this.#close();
		const index = this.#downloads.findIndex(download => download.id === id);
		const name = cleanText(this.#downloads[index]?.name ?? '');
		this.#run(async () => {
			await this.#options.downstream.remove(id, {data});
			if (this.#state.selected === id) {
				// The next one takes its place.
				this.#options.feed.refresh();
				this.#select(index);
			}

			this.#removed = {id, name, until: Date.now() + undoMs};
			return `Removed ${name}${data === 'keep' ? '; its data is kept' : ''}, u = undo`;
		});
	}

	#undo(): void {
		const removed = this.#removed;
		if (!removed || Date.now() > removed.until) {
			this.#say('u: nothing to undo');
			return;
		}

		this.#removed = undefined;
		this.#run(async () => {
			await this.#options.downstream.restore(removed.id);
			this.#set({selected: removed.id});
			return `${removed.name} is back`;
		});
	}

	#exportTo(mode: ModeOf<'export'>, choice: {overwrite?: boolean; keepBoth?: boolean} = {}): void {
		const path = mode.field.text.trim();
		const isDone = this.#downloads.find(({id}) => id === mode.id)?.status === 'complete';
		this.#close();
		this.#run(async () => {
			try {
				const result = await this.#options.downstream.export(mode.id, {path, when: 'complete', ...choice});
				return `${isDone ? 'Exported to' : 'Will be exported, once it is complete, to'} ${result.path}`;
			} catch (error) {
				const isClash = error instanceof DownStreamError && error.code === 'target-exists';
				this.#open(
					isClash
						? {...mode, clash: 0, problem: undefined}
						: {...mode, clash: undefined, problem: sentence(error)},
				);
				return undefined;
			}
		});
	}

	#copy(text: string, what: string, id: DownloadId): void {
		this.#run(async () => {
			const result = await this.#options.copy(text);
			if (result === 'none') {
				this.#open({kind: 'plain-text', id});
				return 'No clipboard can be reached: select the URL by hand (v)';
			}

			return result === 'copied'
				? `Copied the ${what}`
				: `Sent the ${what} to the terminal's clipboard (v shows it)`;
		});
	}

	#quit(): void {
		const players = this.#downloads.reduce((sum, download) => sum + connectedPlayers(download), 0);
		if (players === 0 && !this.#downloads.some(download => isRunning(download))) {
			this.#options.onQuit();
		} else {
			this.#open({kind: 'quit', focus: 0});
		}
	}
}

function sentence(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
