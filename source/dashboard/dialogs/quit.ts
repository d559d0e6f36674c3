// The question before quitting, if downloads or players would be interrupted.
import {isAtWork} from '../../downstream.ts';
import {counted} from '../../text/format.ts';
import {createForm, note, type Form} from '../form.ts';
import {playerNames, playingWords} from '../playback.ts';
import type {UiStore} from '../ui-store.ts';

/** Quits at once if nothing would be interrupted. */
export function openQuitDialog(ui: UiStore): void {
	// The frame is old while the terminal takes no output.
	const {downloads} = ui.downstream.snapshot;
	const running = downloads.filter(download => isAtWork(download)).length;
	const players = downloads.flatMap(download => playerNames(download));
	if (ui.isAttached || (running === 0 && players.length === 0)) {
		ui.host.quit();
		return;
	}

	ui.openDialog({
		form: quitForm(running, players),
		isQuit: true,
		onButton: button => (button === 'quit' ? ui.host.quit() : ui.close()),
	});
}

function quitForm(running: number, players: readonly string[]): Form {
	return createForm(
		'Quit?',
		[
			...(running > 0
				? [
						note(`${counted(running, 'download')} ${running === 1 ? 'is' : 'are'} running.`),
						note('Downloads stop now and continue next time.'),
					]
				: []),
			...(players.length > 0 ? [note(`${playingWords(players)} and will stop.`)] : []),
		],
		[
			{name: 'stay', label: 'Stay', key: 's'},
			{name: 'quit', label: 'Quit', key: 'q'},
		],
		{hint: 'q or Ctrl+C quits   Esc stays'},
	);
}
