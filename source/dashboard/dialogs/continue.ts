// Asks whether a partly watched film resumes or starts over.
import type {Download} from '../../downstream.ts';
import {cleanText, fitName} from '../../text/clean-text.ts';
import {createForm} from '../form.ts';
import {leftAt} from '../playback.ts';
import type {UiStore} from '../ui-store.ts';

/** `play` receives the start in milliseconds. */
export function openContinueDialog(ui: UiStore, download: Download, play: (startMs: number) => void): void {
	ui.openDialog({
		form: createForm(
			`Play ${fitName(cleanText(download.name), 44)}`,
			[],
			[
				{name: 'continue', label: `Continue at ${leftAt(download)}`, key: 'c'},
				{name: 'start', label: 'From the start', key: 's'},
			],
		),
		onButton: button => {
			ui.close();
			play(button === 'continue' ? download.position!.ms : 0);
		},
	});
}
