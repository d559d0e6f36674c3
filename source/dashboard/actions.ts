// The effects of commands.
import {continuedMs, isAtWork, type Download} from '../downstream.ts';
import {cleanText} from '../text/clean-text.ts';
import {openContinueDialog} from './dialogs/continue.ts';
import {openLimitDialog} from './dialogs/limit.ts';
import {openLinkDialog} from './dialogs/link.ts';
import {openQuitDialog} from './dialogs/quit.ts';
import {openSafeDialog} from './dialogs/safe.ts';
import {openSafeStartsDialog} from './dialogs/safe-starts.ts';
import {openSortDialog} from './dialogs/sort.ts';
import {hasByteMap} from './details-map.ts';
import type {AddDialog} from './dialogs/add.ts';
import type {ExportDialog} from './dialogs/export.ts';
import type {RemoveDialog} from './dialogs/remove.ts';
import {formatBytes} from '../text/format.ts';
import type {FilmFrames} from './film-frames.ts';
import type {Command} from './keys.ts';
import {shownTabs} from './list-view.ts';
import {list} from './mode.ts';
import {Pausing} from './pausing.ts';
import {startPlayer} from './player-control.ts';
import {QueueMoves} from './queue-moves.ts';
import {connectedPlayers} from '../text/status-words.ts';
import {fieldOf} from './text-field.tsx';
import type {UiStore} from './ui-store.ts';

const suspendQuestion = 'Ctrl+Z again stops downloads and players until fg';

/** Nothing answers them once the program that ran the downloads has ended. */
const needsEngine: ReadonlySet<Command> = new Set([
	...(['add', 'pause', 'pause-all', 'resume', 'remove', 'undo', 'export', 'copy-stream', 'play'] as const),
	...(['new-url', 'verify', 'frames', 'limit', 'safe', 'safe-all'] as const),
	...(['queue-up', 'queue-down', 'queue-first'] as const),
]);

/** Dialogs with a memory: a draft, a folder, a removal. */
export type Dialogs = {readonly add: AddDialog; readonly export: ExportDialog; readonly remove: RemoveDialog};

export class Actions {
	readonly #ui: UiStore;
	readonly #dialogs: Dialogs;
	readonly #frames: FilmFrames;
	/** Ctrl+Z has asked for a second press, and no other command followed. */
	#maySuspend = false;
	readonly #queue: QueueMoves;
	readonly #pausing: Pausing;
	#hasHinted = false;

	constructor(ui: UiStore, dialogs: Dialogs, frames: FilmFrames) {
		this.#ui = ui;
		this.#dialogs = dialogs;
		this.#frames = frames;
		this.#queue = new QueueMoves(ui);
		this.#pausing = new Pausing(ui);
	}

	/** Runs a command other than cursor movement; `key` is the pressed key. */
	run(command: Command, key: string): void {
		const ui = this.#ui;
		const {view, marks, hasMouse} = ui.state;
		if (command !== 'suspend') {
			this.#maySuspend = false;
		}

		if (command !== 'queue-up' && command !== 'queue-first') {
			this.#queue.forgetQuestion();
		}

		if (ui.isOrphan && needsEngine.has(command)) {
			ui.refuseAsOrphan();
			return;
		}

		switch (command) {
			case 'add':
				this.#dialogs.add.open();
				break;
			case 'help':
				ui.open({kind: 'palette', palette: {find: fieldOf(''), at: 0}});
				break;
			case 'log':
				ui.open({kind: 'messages', top: Infinity, find: ''});
				break;
			case 'back':
				this.#back();
				break;
			case 'redraw':
				ui.host.redraw();
				break;
			case 'quit':
				openQuitDialog(ui);
				break;
			case 'suspend':
				this.#suspend();
				break;
			case 'undo':
				this.#dialogs.remove.undo();
				break;
			case 'mark-all': {
				const {downloads} = ui.window;
				const areMarked = downloads.every(({id}) => marks.has(id));
				ui.set({marks: new Set(areMarked ? [] : downloads.map(({id}) => id))});
				break;
			}

			case 'filter':
				ui.open(list);
				ui.set({typing: fieldOf(view.filter)});
				break;
			case 'tab':
				ui.changeView({tab: Number(key) - 1});
				break;
			case 'next-tab':
			case 'previous-tab':
				this.#changeTab(command === 'next-tab' ? 1 : -1);
				break;
			case 'sort':
				openSortDialog(ui);
				break;
			case 'reverse':
				ui.changeView({isReversed: !view.isReversed});
				break;
			case 'pause-all':
				this.#pausing.toggleAll();
				break;
			case 'limit':
				openLimitDialog(ui);
				break;
			case 'safe-all':
				openSafeStartsDialog(ui);
				break;
			case 'take-over':
				this.#takeOver();
				break;
			case 'bytes':
				this.#toggleBytes();
				break;
			case 'mouse':
				ui.set({hasMouse: !hasMouse});
				ui.host.setMouse(!hasMouse);
				ui.say(hasMouse ? 'Mouse off' : 'Mouse on: Shift+drag selects text (Option in iTerm2)');
				break;
			default: {
				const {selected} = ui;
				if (selected) {
					this.#runOn(selected, command);
				} else {
					ui.say('Nothing is selected: paste a link, or press a');
				}
			}
		}
	}

	#toggleBytes(): void {
		const {selected, state} = this.#ui;
		const {showsBytes} = state;
		if (selected && !selected.film) {
			this.#ui.say('b: only films have a map in minutes');
		} else if (selected && !showsBytes && !hasByteMap(selected)) {
			this.#ui.say('b: the download is complete, so there is no map in bytes');
		} else {
			this.#ui.set({showsBytes: !showsBytes});
		}
	}

	#takeOver(): void {
		const {attachment, isOrphan} = this.#ui;
		if (!attachment || !isOrphan) {
			this.#ui.say(
				`Nothing to continue: ${attachment ? 'the other instance' : 'this instance'} already runs the downloads`,
			);
			return;
		}

		this.#ui.say('Continuing the downloads here…');
		this.#ui.run(async () => {
			await attachment.takeOver();
			return 'The downloads continue here';
		});
	}

	/** Skips the tabs that are not on the screen. */
	#changeTab(by: 1 | -1): void {
		const {view} = this.#ui.state;
		const shown = shownTabs(this.#ui.feed.frame.snapshot.downloads, view.tab);
		const at = shown.indexOf(view.tab);
		this.#ui.changeView({tab: shown.at((at + by) % shown.length)!});
	}

	#runOn(selected: Download, command: Command): void {
		const ui = this.#ui;
		const {targets, host} = ui;
		switch (command) {
			case 'mark': {
				const marks = new Set(ui.state.marks);
				if (!marks.delete(selected.id)) {
					marks.add(selected.id);
				}

				ui.set({marks});
				ui.select(ui.window.index + 1);
				break;
			}

			case 'pause':
				this.#pausing.toggle(selected, targets);
				break;
			case 'resume':
				this.#pausing.resume(selected, targets);
				break;
			case 'remove':
				this.#dialogs.remove.open(targets);
				break;
			case 'export':
				this.#dialogs.export.open(targets);
				break;
			case 'open-folder': {
				const {exportedTo} = selected;
				if (exportedTo === null) {
					ui.say('Not exported yet. Press e.');
				} else {
					ui.run(() => host.openFolder(exportedTo));
				}

				break;
			}

			case 'copy-stream':
				this.#copy(targets, 'stream URL', ({streamUrl}) => streamUrl);
				break;
			case 'copy-source':
				this.#copy(targets, 'source URL', ({url}) => url);
				break;
			case 'play':
				this.#play(selected);
				break;
			case 'plain-text':
				this.#showPlain(targets);
				break;
			case 'frames':
				this.#frames.toggle(selected);
				break;
			case 'open':
				ui.open({kind: 'details'});
				break;
			case 'safe':
				this.#openSafe(selected);
				break;
			case 'new-url':
				openLinkDialog(ui, selected);
				break;
			case 'verify':
				this.#verify(targets);
				break;
			case 'queue-up':
			case 'queue-down':
				this.#queue.move(selected, command === 'queue-up' ? -1 : 1);
				break;
			case 'queue-first':
				this.#queue.move(selected, 'front');
				break;
			default:
		}
	}

	/** Plays from the last position, unless the settings say to ask or to start over. */
	#play(selected: Download): void {
		const ui = this.#ui;
		const play = (startMs: number) => startPlayer(ui, selected, startMs);
		const left = continuedMs(selected);
		if (left > 0 && ui.host.continues === 'ask') {
			openContinueDialog(ui, selected, play);
		} else {
			play(ui.host.continues === 'never' ? 0 : left);
		}
	}

	#openSafe(selected: Download): void {
		if (selected.status === 'cancelled') {
			this.#ui.say('w: the download is stopped; r resumes it');
		} else {
			openSafeDialog(this.#ui, selected);
		}
	}

	/** Leaves the details, clears the filter or clears the marks. */
	#back(): void {
		const {view, marks} = this.#ui.state;
		if (this.#ui.isInDetails) {
			this.#ui.open(list);
		} else if (view.filter !== '') {
			this.#ui.changeView({filter: ''});
		} else if (marks.size > 0) {
			this.#ui.set({marks: new Set()});
		}
	}

	#verify(targets: readonly Download[]): void {
		const name = targets.length === 1 ? ` ${cleanText(targets[0]!.name)}` : '';
		if (targets.every(({present}) => present === 0)) {
			this.#ui.say(`No data to check yet${name && ` in${name}`}`);
			return;
		}

		this.#ui.run(async () => {
			let damaged = 0;
			for (const {id} of targets) {
				const result = await this.#ui.downstream.verify(id);
				damaged += result.damaged.reduce((sum, [start, end]) => sum + end - start, 0);
			}

			return damaged === 0
				? `Checked${name}: no damage`
				: `Checked${name}: ${formatBytes(damaged)} was damaged and will be fetched again`;
		});
	}

	/** Asks for a second Ctrl+Z if downloads or players would stop. */
	#suspend(): void {
		const {feed, host, isAttached, state} = this.#ui;
		const {downloads} = feed.frame.snapshot;
		const isBusy = downloads.some(download => isAtWork(download) || connectedPlayers(download) > 0);
		if (isBusy && !this.#maySuspend && !isAttached) {
			this.#maySuspend = true;
			this.#ui.say(suspendQuestion);
			return;
		}

		this.#maySuspend = false;
		if (state.message?.text === suspendQuestion) {
			this.#ui.set({message: undefined});
		}

		this.#ui.run(() => host.suspend());
	}

	/** Shows the URLs as plain text if there is no clipboard. */
	#copy(targets: readonly Download[], what: string, urlOf: (download: Download) => string): void {
		const {host} = this.#ui;
		this.#ui.run(async () => {
			const result = await host.copy(targets.map(target => urlOf(target)).join('\n'));
			const words = targets.length === 1 ? `the ${what}` : `${targets.length} ${what}s`;
			if (result === 'none') {
				this.#showPlain(targets);
				return 'No clipboard available: select the URL by hand (v)';
			}

			const hint = this.#hasHinted || host.remoteHint === undefined ? '' : `. ${host.remoteHint}`;
			this.#hasHinted = true;
			return result === 'copied'
				? `Copied ${words}${hint}`
				: `Sent ${words} to the terminal's clipboard (v shows it)${hint}`;
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
		this.#ui.run(() => this.#ui.host.showPlain(lines));
	}
}
