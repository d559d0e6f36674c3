// What keys and pastes do: the little that the engine cannot know (selection, mode, typed text), and the commands.
import {DownStreamError, type Download, type DownloadId, type DownStream} from '../downstream.ts';
import {parseRate} from '../text/rate.ts';
import {addForm, addFormFromCommand, addRequest, parseUrls, renewAddForm} from './add-form.ts';
import {cleanText} from '../text/clean-text.ts';
import {
	changedForm,
	exportForm,
	hasClash,
	limitForm,
	newUrlForm,
	quitForm,
	removeForm,
	sortForm,
	withClash,
	showsWays,
	withProblem,
	withWays,
	withoutClash,
	withoutRemarks,
} from './dialogs.ts';
import {choiceOf, focused, pasteIntoForm, pressForm, textOf, type Form} from './form.ts';
import {formatBytes, formatDuration} from '../text/format.ts';
import type {Hit} from './hit-test.ts';
import {commandOf, type Command} from './keys.ts';
import {shownDownloads, sortKeys, wholeList, type ListView} from './list-view.ts';
import {scrollTop, windowTop} from './layout.ts';
import {list, type Dialog, type Mode} from './mode.ts';
import type {SnapshotFeed} from './snapshot-feed.ts';
import {connectedPlayers, isRunning} from '../text/status-words.ts';
import {editField, fieldOf, insertText, type Field} from './text-field.tsx';

/** What the terminal and the system around it can do. */
export type Host = {
	/** Says what was done with the text: `none` if nothing could be. */
	copy(text: string): Promise<'copied' | 'sent' | 'none'>;
	/** Said once, with the first copy: how the URL is reached from the machine in front of the user. */
	readonly remoteHint?: string | undefined;
	/** Starts a player; resolves with its name. */
	play(download: Download): Promise<string>;
	openFolder(path: string): Promise<void>;
	/** Leaves the screen, prints the lines unbroken, and comes back after a key. */
	showPlain(lines: readonly string[]): Promise<void>;
	/** Stops until the shell lets the program go on. */
	suspend(): Promise<void>;
	/** Paths that begin with the text; folders end in a separator. */
	completePath(text: string): Promise<readonly string[]>;
	/** Size and date of the file at a path, to tell it from others; undefined if there is nothing to tell. */
	describeFile(path: string): Promise<string | undefined>;
	/** Switches clicks on or off. */
	setMouse(on: boolean): void;
	/** A download is done. */
	bell(): void;
	/** Draws the whole screen anew. */
	redraw(): void;
	quit(): void;
};

export type ControllerOptions = {
	readonly downstream: DownStream;
	readonly feed: SnapshotFeed;
	readonly host: Host;
	/** Where exports go at first, with a separator at its end. */
	readonly exportDir: string;
	/** Another program does the work: leaving stops nothing. */
	readonly isAttached?: boolean;
};

export type Message = {readonly text: string; readonly isError: boolean; readonly at: number};

export type ScreenState = {
	readonly mode: Mode;
	readonly view: ListView;
	/** The filter while it is typed. */
	readonly typing: Field | undefined;
	readonly selected: DownloadId | undefined;
	/** Where it was when it was selected: what comes there takes its place when it goes. */
	readonly index: number;
	/** The line of the list on which it stays, whatever comes before it. */
	readonly line: number;
	readonly marks: ReadonlySet<DownloadId>;
	/** Lines of the details that were scrolled away. */
	readonly scrolled: number;
	readonly hasMouse: boolean;
	/** The status line: notices go after a while, errors with the next key. */
	readonly message: Message | undefined;
	/** Newest last. */
	readonly log: readonly Message[];
};

/** Letters and Enter are ignored so long after a dialog opened: they were typed for what was there before. */
export const settleMs = 250;
const noticeMs = 4000;
const undoMs = 10_000;
const stopQuestion = 'Ctrl+Z again: downloads and players stand still until fg';
/** Until then the dialog waits for the answer; a copy to another disk takes longer. */
const longExportMs = 1000;
const logLength = 500;
/** The same words within so many milliseconds are one message. */
const sameMs = 1000;

export class Controller {
	readonly #options: ControllerOptions;
	readonly #listeners = new Set<() => void>();
	#state: ScreenState = {
		mode: list,
		view: wholeList,
		typing: undefined,
		selected: undefined,
		index: 0,
		line: 0,
		marks: new Set(),
		scrolled: 0,
		hasMouse: false,
		message: undefined,
		log: [],
	};
	/** Where closing a dialog or page leads back to. */
	#page: Mode = list;
	#fits = {rows: 1, page: 1, lastTop: 0};
	#modeSince = 0;
	#messageTimer: NodeJS.Timeout | undefined;
	/** What was typed in the add dialog and not added. */
	#draft: Form | undefined;
	#removed: {ids: readonly DownloadId[]; what: string; until: number} | undefined;
	/** Selected when it appears. */
	#expected: DownloadId | undefined;
	#mayStopAll = false;
	#hasHinted = false;
	#seen = new Map<DownloadId, Download>();
	#exportDir: string;

	constructor(options: ControllerOptions) {
		this.#options = options;
		this.#exportDir = options.exportDir;
		this.#observe();
	}

	/** The same object until something has changed. */
	get state(): ScreenState {
		return this.#state;
	}

	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		const unsubscribe = this.#options.feed.subscribe(() => this.#observe());
		return () => {
			unsubscribe();
			this.#listeners.delete(listener);
			clearTimeout(this.#messageTimer);
		};
	}

	/** How many rows of the list and of a page are on the screen, and how far page or details can be scrolled. */
	fits(fits: {rows: number; page: number; lastTop: number}): void {
		this.#fits = fits;
	}

	/** Selects it as soon as it is there, unless something is selected or a key is pressed before. */
	expect(id: DownloadId | undefined): void {
		this.#expected = this.#state.selected === undefined ? id : undefined;
		this.#selectExpected();
	}

	/** One key press, as `keyPresses` names it. */
	press(name: string): void {
		this.#expected = undefined;
		const {mode, message, typing} = this.#state;
		if (message?.isError) {
			this.#set({message: undefined});
		}

		if (mode.kind === 'dialog') {
			this.#pressInDialog(mode.dialog, name);
		} else if (mode.kind === 'page') {
			this.#pressInPage(mode, name);
		} else if (typing) {
			this.#pressInFilter(typing, name);
		} else {
			const command = commandOf(name);
			if (command) {
				this.#command(command, name);
			}
		}
	}

	/** Text is never taken for keys: it goes into the field that is open, or opens the add dialog. */
	paste(text: string): void {
		const {mode, typing} = this.#state;
		if (mode.kind === 'dialog') {
			const {dialog} = mode;
			const filled = dialog.pasted?.(text);
			if (filled) {
				this.#show({...dialog, form: filled});
			} else {
				this.#changeForm(dialog, pasteIntoForm(dialog.form, text));
			}
		} else if (mode.kind === 'page') {
			this.#set({mode: {...mode, typing: insertText(mode.typing ?? fieldOf(''), text)}});
		} else if (typing) {
			this.#typeFilter(insertText(typing, text));
		} else {
			this.#openAdd(text.trim());
		}
	}

	/** A click, a double click (`isDouble`), or a turn of the wheel. */
	click(hit: Hit, isDouble: boolean): void {
		const {mode} = this.#state;
		switch (hit.kind) {
			case 'row': {
				const {downloads, top} = this.window;
				this.#select(top + hit.row);
				if (isDouble && downloads[top + hit.row]) {
					this.#open({kind: 'details'});
				}

				break;
			}

			case 'tab':
				this.#changeView({tab: hit.tab});
				break;
			case 'key':
				this.#command(hit.command, '');
				break;
			case 'button':
				if (mode.kind === 'dialog' && this.#isSettled) {
					mode.dialog.press(hit.name, mode.dialog.form);
				}

				break;
			case 'wheel':
				this.press(hit.by < 0 ? 'up' : 'down');
		}
	}

	/** What the list shows and the selected row of it; `top` is the first row that is on the screen. */
	get window(): {downloads: readonly Download[]; index: number; top: number} {
		const {snapshot} = this.#options.feed.frame;
		return listWindow(snapshot.downloads, this.#state, this.#fits.rows);
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

		this.#set({mode, scrolled: 0});
	}

	#show(dialog: Dialog): void {
		this.#set({mode: {kind: 'dialog', dialog}});
	}

	#openDialog(dialog: Dialog): void {
		this.#open({kind: 'dialog', dialog});
	}

	#close(): void {
		this.#open(this.#page);
	}

	#say(text: string, isError = false): void {
		const message = {text, isError, at: Date.now()};
		clearTimeout(this.#messageTimer);
		// What a command answers, a snapshot may have told already.
		const {log} = this.#state;
		const isTold = log.at(-1)?.text === text && message.at - log.at(-1)!.at < sameMs;
		this.#set({message, log: isTold ? log : [...log.slice(1 - logLength), message]});
		if (!isError) {
			this.#messageTimer = setTimeout(() => this.#set({message: undefined}), noticeMs);
		}
	}

	/** Tells how long something can be done, unless another message comes. */
	#countDown(said: string, until: number): void {
		clearTimeout(this.#messageTimer);
		const seconds = Math.ceil((until - Date.now()) / 1000);
		if (seconds <= 0) {
			this.#set({message: undefined});
			return;
		}

		this.#set({message: {text: `${said} (${seconds} s)`, isError: false, at: Date.now()}});
		this.#messageTimer = setTimeout(() => this.#countDown(said, until), 1000);
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

	#selectExpected(): void {
		const index = this.window.downloads.findIndex(({id}) => id === this.#expected);
		if (index !== -1) {
			this.#expected = undefined;
			this.#select(index);
		}
	}

	/** Tells what has ended since the last look. */
	#observe(): void {
		const {snapshot} = this.#options.feed.frame;
		const before = this.#seen;
		this.#seen = new Map(snapshot.downloads.map(download => [download.id, download]));
		this.#selectExpected();
		for (const download of snapshot.downloads) {
			const old = before.get(download.id);
			const name = cleanText(download.name);
			if (old && download.completedAt !== null && old.completedAt === null) {
				const took = formatDuration((download.completedAt - download.addedAt) / 1000);
				this.#say(`Done: ${name} (${formatBytes(download.size ?? 0)} in ${took})`);
				this.#options.host.bell();
			}

			if (download.lastError && download.lastError.at !== old?.lastError?.at) {
				const {message, at} = download.lastError;
				// After the end: it could not be exported.
				const isEnd = download.status === 'failed' || (download.completedAt ?? Infinity) <= at;
				if (old && isEnd) {
					this.#say(`${name}: ${message}`, true);
				} else {
					this.#log(`${name}: ${message}`);
				}
			}

			if (old && download.exportedTo !== old.exportedTo && download.exportedTo !== null) {
				this.#say(`Exported to ${download.exportedTo}`);
			}
		}
	}

	#log(text: string): void {
		const message = {text, isError: true, at: Date.now()};
		this.#set({log: [...this.#state.log.slice(1 - logLength), message]});
	}

	// The list

	/** The marked ones that are shown, else the selected one. */
	get #targets(): readonly Download[] {
		const {downloads, index} = this.window;
		const marked = downloads.filter(({id}) => this.#state.marks.has(id));
		return marked.length > 0 ? marked : downloads.slice(index, index + 1);
	}

	#select(index: number): void {
		const {downloads, top} = this.window;
		if (downloads.length === 0) {
			// It may be in the tab that is shown next.
			this.#set({index: 0, scrolled: 0});
			return;
		}

		const to = Math.max(0, Math.min(downloads.length - 1, index));
		const nextTop = scrollTop(top, to, this.#fits.rows, downloads.length);
		this.#set({selected: downloads[to]?.id, index: to, line: to - nextTop, scrolled: 0});
	}

	#changeView(change: Partial<ListView>): void {
		const {selected} = this.#state;
		this.#set({view: {...this.#state.view, ...change}});
		// What is selected stays so where it is still shown.
		const {downloads} = this.window;
		this.#select(
			Math.max(
				0,
				downloads.findIndex(({id}) => id === selected),
			),
		);
	}

	/** Where a command that moves leads to from a line of a list or text. */
	#moveOf(command: Command | undefined, from: number, last: number, page: number): number | undefined {
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

	#command(command: Command, key: string): void {
		const {host} = this.#options;
		const {downloads, index} = this.window;
		const isDetails = this.#page.kind === 'details';
		if (isDetails && (command === 'up' || command === 'down') && this.#fits.lastTop > 0) {
			const scrolled = this.#state.scrolled + (command === 'up' ? -1 : 1);
			this.#set({scrolled: Math.max(0, Math.min(this.#fits.lastTop, scrolled))});
			return;
		}

		const to = this.#moveOf(command, index, downloads.length - 1, this.#fits.rows);
		if (to !== undefined) {
			this.#select(to);
			return;
		}

		if (command !== 'suspend') {
			this.#mayStopAll = false;
		}

		switch (command) {
			case 'add':
				this.#openAdd('');
				break;
			case 'help':
			case 'log':
				this.#open({kind: 'page', page: command, top: command === 'log' ? Infinity : 0, find: ''});
				break;
			case 'back':
				this.#back();
				break;
			case 'redraw':
				host.redraw();
				break;
			case 'quit':
				this.#quit();
				break;
			case 'suspend':
				this.#suspend();
				break;
			case 'undo':
				this.#undo();
				break;
			case 'mark-all': {
				const all = downloads.every(({id}) => this.#state.marks.has(id));
				this.#set({marks: new Set(all ? [] : downloads.map(({id}) => id))});
				break;
			}

			case 'filter':
				this.#open(list);
				this.#set({typing: fieldOf(this.#state.view.filter)});
				break;
			case 'tab':
				this.#changeView({tab: Number(key) - 1});
				break;
			case 'sort':
				this.#openSort();
				break;
			case 'reverse':
				this.#changeView({isReversed: !this.#state.view.isReversed});
				break;
			case 'pause-all':
				this.#pauseAll();
				break;
			case 'limit':
				this.#openLimit();
				break;
			case 'mouse':
				this.#set({hasMouse: !this.#state.hasMouse});
				host.setMouse(this.#state.hasMouse);
				this.#say(
					this.#state.hasMouse
						? 'Mouse on: click selects, Shift+drag selects text (Option in iTerm2)'
						: 'Mouse off',
				);
				break;
			default: {
				const selected = downloads[index];
				if (selected) {
					this.#commandOn(selected, command);
				} else {
					this.#say('Nothing is selected: paste a link, or press a');
				}
			}
		}
	}

	#commandOn(selected: Download, command: Command): void {
		const {downstream, host} = this.#options;
		const {id} = selected;
		const targets = this.#targets;
		switch (command) {
			case 'mark': {
				const marks = new Set(this.#state.marks);
				if (!marks.delete(id)) {
					marks.add(id);
				}

				this.#set({marks});
				this.#select(this.window.index + 1);
				break;
			}

			case 'pause': {
				const able = targets.filter(download => canPause(download));
				const running = able.filter(download => !isStopped(download));
				if (able.length === 0) {
					this.#say(`p: it is ${selected.status === 'exporting' ? 'being exported' : 'complete'}`);
				} else if (running.length > 0) {
					this.#each(queuedFirst(running), download => downstream.pause(download.id));
				} else {
					this.#each(able, download => downstream.resume(download.id));
				}

				break;
			}

			case 'resume': {
				const able = targets.filter(
					download => isStopped(download) || download.status === 'waiting' || download.isPageForFile,
				);
				if (selected.error?.code === 'origin-changed' && !selected.isPageForFile) {
					this.#openChanged(selected);
				} else if (able.length === 0) {
					this.#say(`r: it ${whyNotResumed(selected)}`);
				} else {
					this.#each(able, download => downstream.resume(download.id));
				}

				break;
			}

			case 'remove':
				this.#askToRemove(targets);
				break;
			case 'export':
				this.#openExport(targets);
				break;
			case 'open-folder':
				if (selected.exportedTo === null) {
					this.#say('O: it is not exported yet; e exports it');
				} else {
					const {exportedTo} = selected;
					this.#run(() => host.openFolder(exportedTo));
				}

				break;
			case 'copy-stream':
				this.#copy(targets, 'stream URL', ({streamUrl}) => streamUrl);
				break;
			case 'copy-source':
				this.#copy(targets, 'source URL', ({url}) => url);
				break;
			case 'play':
				this.#run(async () => `Started ${await host.play(selected)}`);
				break;
			case 'plain-text':
				this.#showPlain(targets);
				break;
			case 'open':
				this.#open({kind: 'details'});
				break;
			case 'new-url':
				this.#openNewUrl(selected);
				break;
			case 'verify':
				this.#verify(targets);
				break;
			case 'queue-up':
			case 'queue-down':
				this.#moveInQueue(selected, command === 'queue-up' ? -1 : 1);
				break;
			default:
		}
	}

	/** One after the other; the first that goes wrong is told. */
	#each(
		downloads: readonly Download[],
		action: (download: Download) => Promise<unknown>,
		said?: string,
	): void {
		this.#run(async () => {
			for (const download of downloads) {
				await action(download);
			}

			return said;
		});
	}

	#back(): void {
		const {view, marks} = this.#state;
		if (this.#page.kind === 'details') {
			this.#open(list);
		} else if (view.filter !== '') {
			this.#changeView({filter: ''});
		} else if (marks.size > 0) {
			this.#set({marks: new Set()});
		}
	}

	#pressInFilter(typing: Field, name: string): void {
		if (name === 'escape' || name === 'ctrl+c') {
			this.#changeView({filter: ''});
			this.#set({typing: undefined});
		} else if (name === 'return') {
			this.#set({typing: undefined});
		} else if (name === 'up' || name === 'down') {
			this.#select(this.window.index + (name === 'up' ? -1 : 1));
		} else {
			const field = editField(typing, name);
			if (field) {
				this.#typeFilter(field);
			}
		}
	}

	#typeFilter(typing: Field): void {
		this.#set({typing});
		this.#changeView({filter: typing.text});
	}

	#moveInQueue(selected: Download, by: -1 | 1): void {
		const key = by === -1 ? 'K' : 'J';
		if (selected.status === 'complete') {
			this.#say(`${key}: it is complete, and in no queue`);
			return;
		}

		const waiting = this.#options.feed.frame.snapshot.downloads
			.filter(({status}) => status !== 'complete')
			.toSorted((a, b) => a.queueRank - b.queueRank);
		const end = by === -1 ? waiting[0] : waiting.at(-1);
		if (end?.id === selected.id) {
			this.#say(`${key}: it is the ${by === -1 ? 'first' : 'last'} in the queue`);
			return;
		}

		const queue = sortKeys.findIndex(({name}) => name === 'queue');
		if (this.#state.view.sort !== queue || this.#state.view.isReversed) {
			this.#changeView({sort: queue, isReversed: false});
		}

		this.#run(() => this.#options.downstream.moveInQueue(selected.id, by));
	}

	#pauseAll(): void {
		const {downstream, feed} = this.#options;
		const able = feed.frame.snapshot.downloads.filter(download => canPause(download));
		const running = able.filter(download => !isStopped(download));
		const stopped = able.filter(({status}) => status === 'paused' || status === 'failed');
		if (running.length > 0) {
			this.#each(queuedFirst(running), ({id}) => downstream.pause(id), `Paused ${running.length}`);
		} else if (stopped.length === 0) {
			this.#say('P: nothing runs, and nothing is paused');
		} else {
			this.#each(stopped, ({id}) => downstream.resume(id), `Resumed ${stopped.length}`);
		}
	}

	#verify(targets: readonly Download[]): void {
		const whose = targets.length === 1 ? ` ${cleanText(targets[0]!.name)}` : '';
		if (targets.every(({present}) => present === 0)) {
			this.#say(`V: nothing of${whose || ' them'} is here yet`);
			return;
		}

		this.#run(async () => {
			let damaged = 0;
			for (const {id} of targets) {
				const result = await this.#options.downstream.verify(id);
				damaged += result.damaged.reduce((sum, [start, end]) => sum + end - start, 0);
			}

			return damaged === 0
				? `Checked${whose}: every byte is as it was written`
				: `Checked${whose}: ${formatBytes(damaged)} were damaged and are missing now`;
		});
	}

	#suspend(): void {
		const {downloads} = this.#options.feed.frame.snapshot;
		const isBusy = downloads.some(download => isRunning(download) || connectedPlayers(download) > 0);
		if (isBusy && !this.#mayStopAll && !this.#options.isAttached) {
			this.#mayStopAll = true;
			this.#say(stopQuestion);
			return;
		}

		this.#mayStopAll = false;
		if (this.#state.message?.text === stopQuestion) {
			this.#set({message: undefined});
		}

		this.#run(() => this.#options.host.suspend());
	}

	#quit(): void {
		const {host, feed, isAttached} = this.#options;
		const {downloads} = feed.frame.snapshot;
		const running = downloads.filter(download => isRunning(download)).length;
		const isUsed = downloads.some(download => connectedPlayers(download) > 0);
		if (isAttached || (running === 0 && !isUsed)) {
			host.quit();
			return;
		}

		this.#openDialog({
			form: quitForm(downloads, running),
			isQuit: true,
			press: button => (button === 'quit' ? host.quit() : this.#close()),
		});
	}

	#copy(targets: readonly Download[], what: string, textOf: (download: Download) => string): void {
		this.#run(async () => {
			const result = await this.#options.host.copy(targets.map(target => textOf(target)).join('\n'));
			const whats = targets.length === 1 ? `the ${what}` : `${targets.length} ${what}s`;
			if (result === 'none') {
				this.#showPlain(targets);
				return 'No clipboard can be reached: select the URL by hand (v)';
			}

			const {remoteHint} = this.#options.host;
			const hint = this.#hasHinted || remoteHint === undefined ? '' : `. ${remoteHint}`;
			this.#hasHinted = true;
			return result === 'copied'
				? `Copied ${whats}${hint}`
				: `Sent ${whats} to the terminal's clipboard (v shows it)${hint}`;
		});
	}

	#showPlain(targets: readonly Download[]): void {
		const lines = targets.flatMap(({name, streamUrl, url, exportedTo, folder}) => [
			cleanText(name),
			streamUrl,
			cleanText(url),
			cleanText(exportedTo ?? folder),
			'',
		]);
		this.#run(() => this.#options.host.showPlain(lines));
	}

	// Pages

	#pressInPage(mode: Extract<Mode, {kind: 'page'}>, name: string): void {
		const {typing, page} = mode;
		if (typing) {
			if (name === 'escape' || name === 'ctrl+c') {
				this.#set({mode: {...mode, typing: undefined, find: '', top: 0}});
			} else if (name === 'return') {
				this.#set({mode: {...mode, typing: undefined}});
			} else {
				const field = editField(typing, name) ?? typing;
				this.#set({mode: {...mode, typing: field, find: field.text, top: 0}});
			}

			return;
		}

		const command = commandOf(name);
		const to = this.#moveOf(
			command,
			Math.min(mode.top, this.#fits.lastTop),
			this.#fits.lastTop,
			this.#fits.page,
		);
		if (to !== undefined) {
			this.#set({mode: {...mode, top: to}});
		} else if (command === 'filter') {
			this.#set({mode: {...mode, typing: fieldOf(''), find: '', top: 0}});
		} else if (command === 'plain-text' && page === 'log') {
			const lines = this.#state.log.map(({at, text}) => `${clock(at)} ${cleanText(text)}`);
			this.#run(() => this.#options.host.showPlain(lines));
		} else {
			this.#close();
		}
	}

	// Dialogs

	/** What is typed right after a dialog opened was meant for what was there before. */
	get #isSettled(): boolean {
		return Date.now() - this.#modeSince >= settleMs;
	}

	#pressInDialog(dialog: Dialog, name: string): void {
		const {form} = dialog;
		if (dialog.isQuit && name === 'ctrl+c') {
			this.#options.host.quit();
			return;
		}

		const field = focused(form);
		if (name === 'tab' && dialog.complete && field?.kind === 'text' && field.field.text !== '') {
			this.#complete(dialog, field.field.text);
			return;
		}

		const action = pressForm(form, name);
		switch (action?.kind) {
			case 'changed':
				this.#changeForm(dialog, action.form);
				break;
			case 'closed':
				dialog.closed?.(form);
				this.#close();
				break;
			case 'pressed':
				if (this.#isSettled) {
					dialog.press(action.button, form);
				}

				break;
			default:
		}
	}

	/** What was said of the fields goes with what they said. */
	#changeForm(dialog: Dialog, form: Form, ways: readonly string[] = []): void {
		if (form.items === dialog.form.items) {
			this.#show({...dialog, form});
			return;
		}

		const bare = withoutRemarks(form);
		const renewed = dialog.renew?.(bare, dialog.form) ?? bare;
		this.#show({...dialog, form: ways.length > 0 ? withWays(renewed, ways) : renewed});
	}

	/** As far as all ways agree, then which there are, then the next field. */
	#complete(dialog: Dialog, text: string): void {
		this.#run(async () => {
			const ways = (await dialog.complete?.(text)) ?? [];
			const common = commonStart(ways);
			const {mode} = this.#state;
			if (mode.kind !== 'dialog' || mode.dialog !== dialog) {
				return;
			}

			const {form} = dialog;
			const item = focused(form);
			const names = ways.map(way => cleanText(/[^\\/]*[\\/]?$/.exec(way)![0])).slice(0, 8);
			if (item?.kind === 'text' && common.length > text.length) {
				const items = form.items.map(each => (each === item ? {...item, field: fieldOf(common)} : each));
				this.#changeForm(dialog, {...form, items}, names.length > 1 ? names : []);
			} else if (names.length > 1 && !showsWays(form)) {
				this.#show({...dialog, form: withWays(form, names)});
			} else {
				const action = pressForm(form, 'down');
				if (action?.kind === 'changed') {
					this.#show({...dialog, form: action.form});
				}
			}
		});
	}

	#openAdd(text: string): void {
		const command = addFormFromCommand(text);
		const typed = this.#draft ? textOf(this.#draft, 'urls') : '';
		const draft =
			command ??
			(text === '' || !this.#draft
				? (this.#draft ?? addForm(text))
				: renewAddForm(pasteIntoForm({...this.#draft, focus: 0}, typed === '' ? text : ` ${text}`)));
		this.#openDialog({
			form: {...draft, focus: 0},
			renew: form => renewAddForm(form),
			pasted: addFormFromCommand,
			closed: form => {
				this.#draft = form;
			},
			press: (button, form) => {
				if (button === 'add') {
					this.#addAll(form);
				} else {
					this.#draft = form;
					this.#close();
				}
			},
		});
	}

	#addAll(form: Form): void {
		const {urls} = parseUrls(textOf(form, 'urls'));
		const {request, problem} = addRequest(form);
		const {mode} = this.#state;
		const typedCommand = addFormFromCommand(textOf(form, 'urls'));
		if (typedCommand && mode.kind === 'dialog') {
			this.#show({...mode.dialog, form: typedCommand});
			return;
		}

		const shown = problem ?? (urls.length === 0 ? 'Type or paste a URL' : undefined);
		if (shown !== undefined && mode.kind === 'dialog') {
			const {problem: wrong} = parseUrls(textOf(form, 'urls'));
			this.#show({...mode.dialog, form: renewAddForm(form, problem ?? wrong ?? shown)});
			return;
		}

		const {downstream, feed} = this.#options;
		const dialog = this.#openedDialog();
		this.#run(async () => {
			let known = 0;
			let firstId: DownloadId | undefined;
			// One after the other: the list is in the order in which they were added.
			for (const url of urls) {
				try {
					const {download, existed} = await downstream.add({...request, url});
					firstId ??= download.id;
					known += existed ? 1 : 0;
				} catch (error) {
					this.#reopenAdd(form, urls.slice(urls.indexOf(url)), sentence(error));
					return;
				}
			}

			const rest = textOf(form, 'urls')
				.split(/\s+/)
				.filter(word => word !== '' && !urls.includes(word));
			this.#draft = undefined;
			if (rest.length > 0) {
				this.#reopenAdd(form, rest);
			} else {
				dialog.close();
			}

			feed.refresh();
			this.#select(this.window.downloads.findIndex(({id}) => id === firstId));
			const count = urls.length - known;
			return known === 0 ? `Added ${count}` : `Added ${count}; already in the list: ${known}`;
		});
	}

	/** With what could not be added. */
	#reopenAdd(form: Form, rest: readonly string[], problem?: string): void {
		this.#draft = undefined;
		this.#openAdd('');
		const {mode} = this.#state;
		if (mode.kind === 'dialog') {
			const items = form.items.map(item =>
				item.kind === 'text' && item.name === 'urls' ? {...item, field: fieldOf(rest.join(' '))} : item,
			);
			this.#show({...mode.dialog, form: renewAddForm({...form, items, focus: 0}, problem)});
		}
	}

	#askToRemove(targets: readonly Download[]): void {
		// Nothing can be lost: no question.
		const isSafe = targets.every(
			download =>
				connectedPlayers(download) === 0 &&
				(download.present === 0 || (download.status === 'complete' && download.exportedTo !== null)),
		);
		if (isSafe) {
			this.#remove(targets, 'delete');
			return;
		}

		this.#openDialog({
			form: removeForm(targets),
			press: button => {
				this.#close();
				if (button !== 'no') {
					this.#remove(targets, button === 'keep' ? 'keep' : 'delete');
				}
			},
		});
	}

	#remove(targets: readonly Download[], data: 'keep' | 'delete'): void {
		const {downstream, feed} = this.#options;
		const ids = targets.map(({id}) => id);
		const what = targets.length === 1 ? cleanText(targets[0]!.name) : `${targets.length} downloads`;
		this.#run(async () => {
			const {index} = this.window;
			const until = Date.now() + undoMs;
			for (const id of ids) {
				await downstream.remove(id, {data});
			}

			feed.refresh();
			// The next one takes its place.
			this.#set({marks: new Set([...this.#state.marks].filter(id => !ids.includes(id)))});
			this.#select(index);
			this.#removed = {ids, what, until};
			const said = `Removed ${what}${data === 'keep' ? '; the data is kept' : ''}, u = undo`;
			this.#say(said);
			this.#countDown(said, until);
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
			// One that cannot be brought back takes none of the others with it.
			const results = await Promise.allSettled(removed.ids.map(id => this.#options.downstream.restore(id)));
			this.#options.feed.refresh();
			this.#select(this.window.downloads.findIndex(({id}) => id === removed.ids[0]));
			const failed = results.find(result => result.status === 'rejected');
			if (failed) {
				throw failed.reason;
			}

			return `${removed.what} ${removed.ids.length === 1 ? 'is' : 'are'} back`;
		});
	}

	#openSort(): void {
		const {sort, isReversed} = this.#state.view;
		this.#openDialog({
			form: sortForm(sort, isReversed),
			press: button => {
				this.#close();
				this.#changeView({sort: sortKeys.findIndex(({name}) => name === button)});
			},
		});
	}

	#openLimit(): void {
		const {downstream, feed} = this.#options;
		const {downloads, index} = this.window;
		const selected = downloads[index];
		const open = (form: Form) =>
			this.#openDialog({
				form,
				press: (button, answer) => {
					if (button === 'close') {
						this.#close();
						return;
					}

					const rate = parseRate(textOf(answer, 'rate'));
					if (rate === undefined) {
						const text = textOf(answer, 'rate');
						const problem = `"${text}" is no rate: write 500K or 5M, or 0 for no limit`;
						this.#openedDialog().show(withProblem(answer, problem));
						return;
					}

					const limit = rate === Infinity ? null : rate;
					this.#close();
					this.#run(async () => {
						const words = limit === null ? 'no limit' : `at most ${formatBytes(limit)}/s`;
						if (choiceOf(answer, 'for') === 1 && selected) {
							await downstream.update(selected.id, {limitRate: limit});
							return `${cleanText(selected.name)}: ${words}`;
						}

						await downstream.setLimitRate(limit);
						return `All together: ${words}`;
					});
				},
			});
		open(limitForm(feed.frame.snapshot.limitRate, selected));
	}

	#openNewUrl(download: Download): void {
		this.#openDialog({
			form: newUrlForm(download),
			press: (button, form) => {
				if (button === 'close') {
					this.#close();
					return;
				}

				const dialog = this.#openedDialog();
				dialog.show(withProblem(form, 'Asking the server…'));
				this.#run(async () => {
					try {
						await this.#options.downstream.update(download.id, {url: textOf(form, 'url').trim()});
					} catch (error) {
						dialog.show(withProblem(form, sentence(error)), error);
						return undefined;
					}

					dialog.close();
					return 'The new link fits; going on from what is here';
				});
			},
		});
	}

	#openChanged(download: Download): void {
		this.#openDialog({
			form: changedForm(download),
			press: button => {
				this.#close();
				if (button === 'go-on') {
					this.#run(async () => {
						await this.#options.downstream.acceptChange(download.id);
						return 'The bytes agree; going on from what is here';
					});
				} else if (button !== 'stay') {
					const keepOld = button === 'new';
					this.#run(async () => {
						await this.#options.downstream.startOver(download.id, {keepOld});
						return keepOld ? 'The new version is a download of its own' : 'Starting over';
					});
				}
			},
		});
	}

	#openExport(targets: readonly Download[]): void {
		const placed = new Set<string>();
		this.#openDialog({
			form: exportForm(targets, this.#exportTarget(targets), true),
			renew: (form, before) =>
				!hasClash(form)
					? form
					: textOf(form, 'to') === textOf(before, 'to')
						? withClash(form)
						: withoutClash(form),
			complete: text => this.#options.host.completePath(text),
			press: (button, form) => {
				if (button === 'close') {
					this.#close();
				} else {
					this.#export(targets, form, placed);
				}
			},
		});
	}

	/** Where an export goes unless another place is given. */
	#exportTarget(targets: readonly Download[]): string {
		const [only] = targets;
		return this.#exportDir + (targets.length === 1 && only ? only.name : '');
	}

	/** `placed`: what this dialog has exported already, before another one of several met a clash. */
	#export(targets: readonly Download[], form: Form, placed: Set<string>): void {
		const to = textOf(form, 'to').trim();
		// The folder of the settings is given as a folder, which is made if it is not there yet; so is that of several.
		const isWhole = targets.length === 1 || /^$|[\\/]$/.test(to);
		const path =
			this.#exportDir !== '' && to === this.#exportTarget(targets)
				? this.#exportDir
				: to + (isWhole ? '' : '/');
		const isKnownClash = hasClash(form);
		const overwrite = isKnownClash && choiceOf(form, 'clash') === 1;
		const isPartial = choiceOf(form, 'when') === 1;
		const request = {
			path,
			when: isPartial ? ('now' as const) : ('complete' as const),
			...(isPartial ? {partial: true} : {}),
			...(choiceOf(form, 'how') === 1 ? {move: true} : {}),
			...(isKnownClash ? (overwrite ? {overwrite: true} : {keepBoth: true}) : {}),
		};
		const dialog = this.#openedDialog();
		this.#run(async () => {
			let last = '';
			// The rows show how far copies are.
			const isLong = setTimeout(() => dialog.close(), longExportMs);
			try {
				for (const {id} of targets) {
					const key = `${id} ${path}`;
					if (!placed.has(key)) {
						last = (await this.#options.downstream.export(id, request)).path;
						placed.add(key);
					}
				}
			} catch (error) {
				const isClash = error instanceof DownStreamError && error.code === 'target-exists';
				const shown =
					isClash && !isKnownClash
						? withClash(form, await this.#options.host.describeFile(to))
						: withProblem(form, sentence(error));
				dialog.show(shown, error);
				return undefined;
			} finally {
				clearTimeout(isLong);
			}

			dialog.close();
			this.#exportDir = path.slice(0, Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
			const waits = !isPartial && targets.some(({status}) => status !== 'complete');
			const where = targets.length === 1 ? last : path;
			return waits ? `Will be exported, once it is complete, to ${where}` : `Exported to ${where}`;
		});
	}

	/** The dialog that is open now, for when its answer is known: by then it may be gone, and another one be open. */
	#openedDialog(): {show: (form: Form, error?: unknown) => void; close: () => void} {
		const opened = this.#dialog;
		const ifOpen = (action: (dialog: Dialog) => void, otherwise?: () => void) => {
			const dialog = this.#dialog;
			if (dialog && dialog.press === opened?.press) {
				action(dialog);
			} else {
				otherwise?.();
			}
		};
		return {
			/** An error is told in any case. */
			show: (form, error) =>
				ifOpen(
					dialog => this.#show({...dialog, form}),
					() => error !== undefined && this.#say(sentence(error), true),
				),
			close: () => ifOpen(() => this.#close()),
		};
	}

	get #dialog(): Dialog | undefined {
		const {mode} = this.#state;
		return mode.kind === 'dialog' ? mode.dialog : undefined;
	}
}

/** The downloads that are listed, and which of them are on the screen. */
export function listWindow(
	downloads: readonly Download[],
	{view, selected, index, line}: ScreenState,
	rows: number,
): {downloads: readonly Download[]; index: number; top: number} {
	const shown = shownDownloads(downloads, view);
	const found = shown.findIndex(({id}) => id === selected);
	const at = found === -1 ? Math.max(0, Math.min(index, shown.length - 1)) : found;
	return {downloads: shown, index: at, top: windowTop(at, line, rows, shown.length)};
}

function isStopped({status}: Download): boolean {
	return status === 'paused' || status === 'cancelled' || status === 'failed';
}

/** What is complete has nothing to pause, and an export goes on. */
function canPause({status}: Download): boolean {
	return status !== 'complete' && status !== 'exporting';
}

/** Pausing one that runs lets the next of the queue begin, unless that is paused already. */
function queuedFirst(downloads: readonly Download[]): readonly Download[] {
	return downloads.toSorted((a, b) => Number(b.status === 'queued') - Number(a.status === 'queued'));
}

function whyNotResumed({status, onDemand, size}: Download): string {
	switch (status) {
		case 'complete':
			return 'is complete';
		case 'queued':
			return onDemand && size !== null ? 'fetches what players ask for' : 'waits in the queue; K moves it up';
		default:
			return 'runs already';
	}
}

function commonStart(texts: readonly string[]): string {
	const [first = '', ...rest] = texts;
	let length = first.length;
	for (const text of rest) {
		while (!text.startsWith(first.slice(0, length))) {
			length--;
		}
	}

	return first.slice(0, length);
}

function sentence(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}

export function clock(milliseconds: number): string {
	return new Date(milliseconds).toTimeString().slice(0, 8);
}
