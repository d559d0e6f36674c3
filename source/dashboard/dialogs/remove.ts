// Removal of downloads: the question, if something would be lost, and the undo.
import type {Download, DownloadId} from '../../downstream.ts';
import {cleanText, fitName} from '../../text/clean-text.ts';
import {createForm, nameCells, note, type Form} from '../form.ts';
import {formatBytes} from '../../text/format.ts';
import {amount} from '../../text/status-words.ts';
import {playerNames, playingWords} from '../playback.ts';
import type {UiStore} from '../ui-store.ts';

const undoMs = 10_000;

export class RemoveDialog {
	readonly #ui: UiStore;
	#lastRemoval: {ids: readonly DownloadId[]; what: string; until: number} | undefined;

	constructor(ui: UiStore) {
		this.#ui = ui;
	}

	/** Removes at once if no data and no player would be lost. */
	open(targets: readonly Download[]): void {
		const isSafe = targets.every(
			download =>
				playerNames(download).length === 0 &&
				(download.present === 0 || (download.status === 'complete' && download.exportedTo !== null)),
		);
		if (isSafe) {
			this.#remove(targets, 'delete');
			return;
		}

		this.#ui.openDialog({
			form: removeForm(targets),
			onButton: button => {
				this.#ui.close();
				if (button !== 'no') {
					this.#remove(targets, button === 'keep' ? 'keep' : 'delete');
				}
			},
		});
	}

	/** Restores the last removal for 10 s after it. */
	undo(): void {
		const removal = this.#lastRemoval;
		if (!removal || Date.now() > removal.until) {
			this.#ui.say('Nothing to undo');
			return;
		}

		this.#lastRemoval = undefined;
		const {ids, what} = removal;
		this.#ui.run(async () => {
			// One failure does not stop the others.
			const results = await Promise.allSettled(ids.map(id => this.#ui.downstream.restore(id)));
			this.#ui.feed.refresh();
			this.#ui.selectId(ids[0]);
			const failed = results.find(result => result.status === 'rejected');
			if (failed) {
				throw failed.reason;
			}

			return `${what} ${ids.length === 1 ? 'is' : 'are'} back`;
		});
	}

	#remove(targets: readonly Download[], data: 'keep' | 'delete'): void {
		const ids = targets.map(({id}) => id);
		const what = targets.length === 1 ? cleanText(targets[0]!.name) : `${targets.length} downloads`;
		this.#ui.run(async () => {
			const {downloads, index} = this.#ui.window;
			const until = Date.now() + undoMs;
			for (const id of ids) {
				await this.#ui.downstream.remove(id, {data});
			}

			this.#ui.feed.refresh();
			this.#ui.set({marks: new Set([...this.#ui.state.marks].filter(id => !ids.includes(id)))});
			const isListed = ({id}: Download) => !ids.includes(id);
			const at = downloads[index];
			if (at && isListed(at)) {
				this.#ui.selectId(at.id);
			} else {
				// The next download moves to this index.
				this.#ui.select(downloads.slice(0, index).filter(isListed).length);
			}

			this.#lastRemoval = {ids, what, until};
			const text = `Removed ${what}${data === 'keep' ? '; the data is kept' : ''}. u undoes it`;
			this.#ui.say(text);
			this.#ui.countDown(text, until);
		});
	}
}

function removeForm(downloads: readonly Download[]): Form {
	const [first] = downloads;
	const only = downloads.length === 1 ? first : undefined;
	const players = downloads.flatMap(download => playerNames(download));
	const present = downloads.reduce((sum, {present}) => sum + present, 0);
	return createForm(
		downloads.length === 1 ? 'Remove this download?' : `Remove ${downloads.length} downloads?`,
		[
			...(only
				? [
						note(fitName(cleanText(only.name), nameCells)),
						note(`${only.present === only.size ? formatBytes(only.present) : amount(only)} downloaded.`),
					]
				: [note(`${formatBytes(present)} downloaded.`)]),
			...(players.length > 0
				? [note(`${playingWords(players)} ${only ? 'it' : 'them'} and will stop.`)]
				: []),
		],
		[
			{name: 'no', label: only ? 'Keep it' : 'Keep them'},
			{name: 'keep', label: 'Remove from the list', key: 'r'},
			{name: 'delete', label: `Remove and delete the ${only ? 'file' : 'files'}`, key: 'D'},
		],
		{hint: `↑↓ or j k   Enter   Esc keeps ${only ? 'it' : 'them'}`, isColumn: true},
	);
}
