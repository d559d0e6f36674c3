// The dialog that sends a linked player to a time in the film.
import type {Download} from '../../downstream.ts';
import {cleanText, fitName} from '../../text/clean-text.ts';
import {parseTime} from '../../text/film-time.ts';
import {formatTime} from '../../text/film-words.ts';
import {createForm, textItem, textOf, withProblem} from '../form.ts';
import type {UiStore} from '../ui-store.ts';

/** `seek` receives milliseconds within the film. */
export function openGoToDialog(ui: UiStore, download: Download, seek: (ms: number) => void): void {
	ui.openDialog({
		form: createForm(
			`Go to: ${fitName(cleanText(download.name), 44)}`,
			[textItem('time', 'Time', '', {placeholder: '41:07'})],
			[
				{name: 'go', label: 'Go', key: 'g'},
				{name: 'close', label: 'Close', key: 'c'},
			],
			{hint: 'Enter go   Esc close'},
		),
		onButton: (button, form) => {
			if (button === 'close') {
				ui.close();
				return;
			}

			const text = textOf(form, 'time');
			const ms = parseTime(text);
			const durationMs = download.playback?.durationMs ?? Infinity;
			if (ms === undefined) {
				ui.showForm(withProblem(form, `"${text}" is not a time. Try 41:07 or 1:02:10.`));
			} else if (ms > durationMs) {
				ui.showForm(withProblem(form, `${formatTime(ms)} is past the end, at ${formatTime(durationMs)}.`));
			} else {
				ui.close();
				seek(ms);
			}
		},
	});
}
