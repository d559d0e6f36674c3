// The dashboard's own state: mode, cursor and marks of the list, messages. Everything else comes from snapshots.
import type {Download, DownloadId, DownloadEngine} from '../downstream.ts';
import type {Form} from './form.ts';
import type {FilmFrame} from './frames.ts';
import {scrollTop} from './layout.ts';
import {listWindow, wholeList, type ListView, type ListWindow} from './list-view.ts';
import {messageOf} from '../text/message-of.ts';
import {appended, isRepeated, type Message} from './messages.ts';
import {details, list, type Dialog, type Mode} from './mode.ts';
import type {SnapshotFeed} from './snapshot-feed.ts';
import type {Field} from './text-field.tsx';

/** The terminal and the system around it. */
export type Host = {
	/** `sent`: handed to the terminal, which does not confirm; `none`: there is no clipboard. */
	copy(text: string): Promise<'copied' | 'sent' | 'none'>;
	/** How the user's machine reaches the URL; shown once, with the first copy. */
	readonly remoteHint?: string | undefined;
	/** Whether a film resumes at its last position. */
	readonly continues: 'always' | 'ask' | 'never';
	/** Starts a player at a time in milliseconds; resolves with its name. */
	play(download: Download, startMs: number): Promise<string>;
	/**
	 * The picture of a film at a time in milliseconds, as `frameSize` says; undefined if there is none. Fetches nothing.
	 * Rejects with the reason if no picture can be made.
	 */
	filmFrame(streamUrl: string, ms: number, signal: AbortSignal): Promise<Uint8Array | undefined>;
	openFolder(path: string): Promise<void>;
	/** Leaves the screen, prints the lines unbroken and returns after a key. */
	showPlain(lines: readonly string[]): Promise<void>;
	/** Stops the process until the shell continues it. */
	suspend(): Promise<void>;
	/** Paths that begin with the text; folders end in a separator. */
	completePath(text: string): Promise<readonly string[]>;
	/** Size and date of the file at a path, to tell it from others; undefined if it has neither. */
	describeFile(path: string): Promise<string | undefined>;
	/** Turns mouse reports on or off. */
	setMouse(on: boolean): void;
	/** Signals a complete download. */
	bell(): void;
	/** Redraws the whole screen. */
	redraw(): void;
	quit(): void;
};

/** The program that runs the downloads, if it is another one: leaving the dashboard then stops nothing. */
export type Attachment = {
	/** False once that program has ended, until another one runs the downloads. */
	readonly isConnected: boolean;
	/** After `takeOver`: this process runs the downloads. */
	readonly isOwn: boolean;
	/** That program is another process; in the demo it is this one. */
	readonly isElsewhere: boolean;
	/** Runs the downloads in this process. Rejects if another program was faster. */
	takeOver(): Promise<void>;
};

export type UiStoreOptions = {
	readonly downstream: DownloadEngine;
	readonly feed: SnapshotFeed;
	readonly host: Host;
	readonly attachment: Attachment | undefined;
};

export type ScreenState = {
	readonly mode: Mode;
	/** The details, not the list, are below a dialog, the palette or the messages. */
	readonly isInDetails: boolean;
	readonly view: ListView;
	/** The filter while it is typed. */
	readonly typing: Field | undefined;
	readonly selected: DownloadId | undefined;
	/** The selected row's last index: the next download at this index is selected when the row goes. */
	readonly index: number;
	/** The selected row's line on the screen, kept while rows before it come and go. */
	readonly line: number;
	readonly marks: ReadonlySet<DownloadId>;
	/** Scroll offset of the details, in lines. */
	readonly scrolled: number;
	readonly hasMouse: boolean;
	/** The details map a film by bytes, not by minutes. */
	readonly showsBytes: boolean;
	/** The frames above the map in the details, where they are wanted. */
	readonly frames: readonly FilmFrame[] | undefined;
	/** The status line. A notice expires; an error stays until the next key. */
	readonly message: Message | undefined;
	/** Newest last. */
	readonly log: readonly Message[];
};

/** Sizes that depend on the terminal. */
export type Viewport = {
	/** Cells of a line. */
	readonly width: number;
	/** Visible rows of the list. */
	readonly rows: number;
	/** Visible lines of the messages. */
	readonly page: number;
	/** Cells inside the frame of a dialog. */
	readonly dialog: number;
	/** The largest scroll offset of the messages or details, in lines. */
	readonly lastTop: number;
};

/** A reference to one opened dialog, for answers that arrive later. */
type DialogHandle = {
	readonly isOpen: boolean;
	/** Shows the form if the dialog is still open; otherwise reports the error. */
	show(form: Form, error?: unknown): void;
	/** Closes the dialog if it is still open. */
	close(): void;
};

/** Buttons and letters are ignored for this long after a dialog opens: those keys were meant for the old screen. */
export const settleMs = 250;
const noticeMs = 4000;

export class UiStore {
	readonly downstream: DownloadEngine;
	readonly feed: SnapshotFeed;
	readonly host: Host;
	readonly attachment: Attachment | undefined;
	viewport: Viewport = {width: 1, rows: 1, page: 1, dialog: 1, lastTop: 0};
	readonly #listeners = new Set<() => void>();
	#state: ScreenState = {
		mode: list,
		isInDetails: false,
		view: wholeList,
		typing: undefined,
		selected: undefined,
		index: 0,
		line: 0,
		marks: new Set(),
		scrolled: 0,
		hasMouse: false,
		showsBytes: false,
		frames: undefined,
		message: undefined,
		log: [],
	};
	#modeSince = 0;
	#messageTimer: NodeJS.Timeout | undefined;

	constructor({downstream, feed, host, attachment}: UiStoreOptions) {
		this.downstream = downstream;
		this.feed = feed;
		this.host = host;
		this.attachment = attachment;
	}

	/** Another program runs the downloads. */
	get isAttached(): boolean {
		return this.attachment !== undefined && !this.attachment.isOwn;
	}

	/** The program that ran the downloads has ended. */
	get isOrphan(): boolean {
		return this.attachment?.isConnected === false;
	}

	/** Says so in place of a command that only that program carries out. */
	refuseAsOrphan(): void {
		this.say('The other instance has quit. R continues the downloads here.', true);
	}

	/** The same object until something changes. */
	get state(): ScreenState {
		return this.#state;
	}

	set(change: Partial<ScreenState>): void {
		this.#state = {...this.#state, ...change};
		for (const listener of this.#listeners) {
			listener();
		}
	}

	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => {
			this.#listeners.delete(listener);
			clearTimeout(this.#messageTimer);
		};
	}

	// Modes

	get isInDetails(): boolean {
		return this.#state.isInDetails;
	}

	open(mode: Mode): void {
		this.#modeSince = Date.now();
		const isBase = mode.kind === 'list' || mode.kind === 'details';
		const isInDetails = isBase ? mode.kind === 'details' : this.#state.isInDetails;
		this.set({mode, isInDetails, scrolled: 0});
	}

	openDialog(dialog: Dialog): void {
		this.open({kind: 'dialog', dialog});
	}

	/** Returns to the list or details. */
	close(): void {
		this.open(this.#state.isInDetails ? details : list);
	}

	/** False right after a dialog opens. */
	get isSettled(): boolean {
		return Date.now() - this.#modeSince >= settleMs;
	}

	get dialog(): Dialog | undefined {
		const {mode} = this.#state;
		return mode.kind === 'dialog' ? mode.dialog : undefined;
	}

	/** Replaces the form of the open dialog. */
	showForm(form: Form): void {
		const {dialog} = this;
		if (dialog) {
			this.set({mode: {kind: 'dialog', dialog: {...dialog, form}}});
		}
	}

	openedDialog(): DialogHandle {
		const opened = this.dialog;
		const isOpen = () => this.dialog !== undefined && this.dialog.onButton === opened?.onButton;
		return {
			get isOpen() {
				return isOpen();
			},
			show: (form, error) => {
				if (isOpen()) {
					this.showForm(form);
				} else if (error !== undefined) {
					this.say(messageOf(error), true);
				}
			},
			close: () => {
				if (isOpen()) {
					this.close();
				}
			},
		};
	}

	// The list

	/** The listed downloads, the index of the selected one and the first visible row. */
	get window(): ListWindow {
		return listWindow(this.feed.frame.snapshot.downloads, this.#state, this.viewport.rows);
	}

	get selected(): Download | undefined {
		const {downloads, index} = this.window;
		return downloads[index];
	}

	/** The marked downloads in the list, or the selected one if none is marked; in the details, the one on the screen. */
	get targets(): readonly Download[] {
		const {downloads, index} = this.window;
		const marked = this.isInDetails ? [] : downloads.filter(({id}) => this.#state.marks.has(id));
		return marked.length > 0 ? marked : downloads.slice(index, index + 1);
	}

	/** Selects the row closest to the index. */
	select(index: number): void {
		const {downloads, top} = this.window;
		if (downloads.length === 0) {
			// `selected` stays: another tab may list the download.
			this.set({index: 0, scrolled: 0});
			return;
		}

		const to = Math.max(0, Math.min(downloads.length - 1, index));
		const nextTop = scrollTop(top, to, this.viewport.rows, downloads.length);
		this.set({selected: downloads[to]?.id, index: to, line: to - nextTop, scrolled: 0});
	}

	/** Selects a download, or the first row if the list does not show it. */
	selectId(id: DownloadId | undefined): void {
		this.select(this.window.downloads.findIndex(download => download.id === id));
	}

	/** Changes tab, filter or order; the selection stays if the list still shows it. */
	changeView(change: Partial<ListView>): void {
		const {selected} = this.#state;
		this.set({view: {...this.#state.view, ...change}});
		this.selectId(selected);
	}

	// Messages

	say(text: string, isError = false): void {
		const message = {text, isError, at: Date.now()};
		clearTimeout(this.#messageTimer);
		const {log} = this.#state;
		this.set({message, log: isRepeated(log, message) ? log : appended(log, message)});
		if (!isError) {
			this.#messageTimer = setTimeout(() => this.set({message: undefined}), noticeMs);
		}
	}

	/** Shows the seconds left until a time in milliseconds since the epoch; another message ends the count. */
	countDown(text: string, until: number): void {
		clearTimeout(this.#messageTimer);
		const seconds = Math.ceil((until - Date.now()) / 1000);
		if (seconds <= 0) {
			this.set({message: undefined});
			return;
		}

		this.set({message: {text: `${text} (${seconds} s)`, isError: false, at: Date.now()}});
		this.#messageTimer = setTimeout(() => this.countDown(text, until), 1000);
	}

	/** Records an error without showing it in the status line. */
	log(text: string, at = Date.now()): void {
		this.set({log: appended(this.#state.log, {text, isError: true, at})});
	}

	/** Runs an action, then shows its result or error in the status line. */
	run(action: () => Promise<string | void>): void {
		action()
			.then(
				text => text && this.say(text),
				(error: unknown) => this.say(messageOf(error), true),
			)
			.finally(() => this.feed.refresh())
			.catch(() => undefined);
	}
}
