// The question before quitting, if downloads or players would be interrupted.
import {isAtWork} from '../../downstream.ts';
import {createForm, note, type Form} from '../form.ts';
import {connectedPlayers} from '../../text/status-words.ts';
import type {UiStore} from '../ui-store.ts';

/** Quits at once if nothing would be interrupted. */
export function openQuitDialog(ui: UiStore): void {
	const {downloads} = ui.feed.frame.snapshot;
	const running = downloads.filter(download => isAtWork(download)).length;
	const players = downloads.reduce((sum, download) => sum + connectedPlayers(download), 0);
	if (ui.isAttached || (running === 0 && players === 0)) {
		ui.host.quit();
		return;
	}

	ui.openDialog({
		form: quitForm(running, players),
		isQuit: true,
		onButton: button => (button === 'quit' ? ui.host.quit() : ui.close()),
	});
}

function quitForm(running: number, players: number): Form {
	const facts = [
		running > 0 && (running === 1 ? '1 download is running' : `${running} downloads are running`),
		players > 0 && (players === 1 ? '1 player is connected' : `${players} players are connected`),
	].filter(Boolean);
	return createForm(
		'Quit?',
		[
			note(`${facts.join(' and ')}.`),
			...(running > 0 ? [note('Downloads stop now and continue next time.')] : []),
			...(players > 0 ? [note('Players will stop too: they play from this program.')] : []),
		],
		[
			{name: 'stay', label: 'Stay', key: 's'},
			{name: 'quit', label: 'Quit', key: 'q'},
		],
		{hint: 'q or Ctrl+C quits   Esc stays'},
	);
}
