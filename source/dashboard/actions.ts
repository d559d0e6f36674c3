// The commands of keys.
import {continuedMs, isRunning, isStopped, type Download} from '../downstream.ts';
import {cleanText} from '../text/clean-text.ts';
import {openChangedDialog} from './dialogs/changed.ts';
import {openContinueDialog} from './dialogs/continue.ts';
import {openLimitDialog} from './dialogs/limit.ts';
import {openLinkDialog} from './dialogs/link.ts';
import {openQuitDialog} from './dialogs/quit.ts';
import {makeStartsSafe, openSafeDialog} from './dialogs/safe.ts';
import {openSortDialog} from './dialogs/sort.ts';
import type {AddDialog} from './dialogs/add.ts';
import type {ExportDialog} from './dialogs/export.ts';
import type {RemoveDialog} from './dialogs/remove.ts';
import {formatBytes} from '../text/format.ts';
import type {Command} from './keys.ts';
import {shownTabs, sortKeys} from './list-view.ts';
import {list} from './mode.ts';
import {connectedPlayers} from '../text/status-words.ts';
import {fieldOf} from './text-field.tsx';
import type {UiStore} from './ui-store.ts';

const suspendQuestion = 'Ctrl+Z again: downloads and players stand still until fg';

/** The dialogs that remember something. */
export type Dialogs = {readonly add: AddDialog; readonly export: ExportDialog; readonly remove: RemoveDialog};

export class Actions {
	readonly #ui: UiStore;
	readonly #dialogs: Dialogs;
	/** Ctrl+Z asked, and no other command came since. */
	#maySuspend = false;
	#hasHinted = false;

	constructor(ui: UiStore, dialogs: Dialogs) {
		this.#ui = ui;
		this.#dialogs = dialogs;
	}

	/** Runs a command other than cursor movement; `key` is the pressed key. */
	run(command: Command, key: string): void {
		const ui = this.#ui;
		const {view, marks, hasMouse} = ui.state;
		if (command !== 'suspend') {
			this.#maySuspend = false;
		}

		switch (command) {
			case 'add':
				this.#dialogs.add.open();
				break;
			case 'help':
			case 'log':
				ui.open({kind: 'page', page: command, top: command === 'log' ? Infinity : 0, find: ''});
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
				this.#pauseAll();
				break;
			case 'limit':
				openLimitDialog(ui);
				break;
			case 'safe-all':
				makeStartsSafe(ui);
				break;
			case 'bytes':
				ui.set({showsBytes: !ui.state.showsBytes});
				break;
			case 'mouse':
				ui.set({hasMouse: !hasMouse});
				ui.host.setMouse(!hasMouse);
				ui.say(
					hasMouse ? 'Mouse off' : 'Mouse on: click selects, Shift+drag selects text (Option in iTerm2)',
				);
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
				this.#pause(selected, targets);
				break;
			case 'resume':
				this.#resume(selected, targets);
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
					ui.say('O: it is not exported yet; e exports it');
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
				this.#moveInQueue(selected, command === 'queue-up' ? -1 : 1);
				break;
			default:
		}
	}

	/** At the place where it was left, unless the user is to be asked or wants the start. */
	#play(selected: Download): void {
		const ui = this.#ui;
		const play = (startMs: number) => ui.run(async () => `Started ${await ui.host.play(selected, startMs)}`);
		const left = continuedMs(selected);
		if (left > 0 && ui.host.continues === 'ask') {
			openContinueDialog(ui, selected, play);
		} else {
			play(ui.host.continues === 'never' ? 0 : left);
		}
	}

	#openSafe(selected: Download): void {
		if (selected.status === 'cancelled') {
			this.#ui.say('w: it is cancelled; r resumes it');
		} else {
			openSafeDialog(this.#ui, selected);
		}
	}

	/** In sequence, up to the first failure. */
	#forEach(
		downloads: readonly Download[],
		action: (download: Download) => Promise<unknown>,
		result?: string,
	): void {
		this.#ui.run(async () => {
			for (const download of downloads) {
				await action(download);
			}

			return result;
		});
	}

	/** Pauses the running targets; resumes them if none runs. */
	#pause(selected: Download, targets: readonly Download[]): void {
		const {downstream} = this.#ui;
		const pausable = targets.filter(download => canPause(download));
		const running = pausable.filter(download => !isStopped(download));
		if (pausable.length === 0) {
			this.#ui.say(`p: it is ${selected.status === 'exporting' ? 'being exported' : 'complete'}`);
		} else if (running.length > 0) {
			this.#forEach(queuedFirst(running), ({id}) => downstream.pause(id));
		} else {
			this.#forEach(pausable, ({id}) => downstream.resume(id));
		}
	}

	#resume(selected: Download, targets: readonly Download[]): void {
		const {downstream} = this.#ui;
		const resumable = targets.filter(
			download => isStopped(download) || download.status === 'waiting' || download.isPageForFile,
		);
		if (selected.error?.code === 'origin-changed' && !selected.isPageForFile) {
			openChangedDialog(this.#ui, selected);
		} else if (resumable.length === 0) {
			this.#ui.say(`r: it ${whyNotResumed(selected)}`);
		} else {
			this.#forEach(resumable, ({id}) => downstream.resume(id));
		}
	}

	/** Pauses all downloads; resumes the paused and failed ones if none runs. */
	#pauseAll(): void {
		const {downstream, feed} = this.#ui;
		const pausable = feed.frame.snapshot.downloads.filter(download => canPause(download));
		const running = pausable.filter(download => !isStopped(download));
		const stopped = pausable.filter(({status}) => status === 'paused' || status === 'failed');
		if (running.length > 0) {
			this.#forEach(queuedFirst(running), ({id}) => downstream.pause(id), `Paused ${running.length}`);
		} else if (stopped.length === 0) {
			this.#ui.say('P: nothing runs, and nothing is paused');
		} else {
			this.#forEach(stopped, ({id}) => downstream.resume(id), `Resumed ${stopped.length}`);
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

	/** Switches to the order of the queue, to show the move. */
	#moveInQueue(selected: Download, by: -1 | 1): void {
		const {feed, downstream, state} = this.#ui;
		const key = by === -1 ? 'K' : 'J';
		if (selected.status === 'complete') {
			this.#ui.say(`${key}: it is complete, and in no queue`);
			return;
		}

		const queue = feed.frame.snapshot.downloads
			.filter(({status}) => status !== 'complete')
			.toSorted((a, b) => a.queueRank - b.queueRank);
		const end = by === -1 ? queue[0] : queue.at(-1);
		if (end?.id === selected.id) {
			this.#ui.say(`${key}: it is the ${by === -1 ? 'first' : 'last'} in the queue`);
			return;
		}

		const sort = sortKeys.findIndex(({name}) => name === 'queue');
		if (state.view.sort !== sort || state.view.isReversed) {
			this.#ui.changeView({sort, isReversed: false});
		}

		this.#ui.run(() => downstream.moveInQueue(selected.id, by));
	}

	#verify(targets: readonly Download[]): void {
		const name = targets.length === 1 ? ` ${cleanText(targets[0]!.name)}` : '';
		if (targets.every(({present}) => present === 0)) {
			this.#ui.say(`V: nothing of${name || ' them'} is here yet`);
			return;
		}

		this.#ui.run(async () => {
			let damaged = 0;
			for (const {id} of targets) {
				const result = await this.#ui.downstream.verify(id);
				damaged += result.damaged.reduce((sum, [start, end]) => sum + end - start, 0);
			}

			return damaged === 0
				? `Checked${name}: every byte is as it was written`
				: `Checked${name}: ${formatBytes(damaged)} were damaged and are missing now`;
		});
	}

	/** Asks for a second Ctrl+Z if downloads or players would stop. */
	#suspend(): void {
		const {feed, host, isAttached, state} = this.#ui;
		const {downloads} = feed.frame.snapshot;
		const isBusy = downloads.some(download => isRunning(download) || connectedPlayers(download) > 0);
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
				return 'No clipboard can be reached: select the URL by hand (v)';
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

/** A complete download has nothing to pause, and an export cannot pause. */
function canPause({status}: Download): boolean {
	return status !== 'complete' && status !== 'exporting';
}

/** Puts queued downloads first: pausing a running one would start the next in the queue. */
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
