// The dialog for a time in a film: a linked player seeks there, or a player starts there.
import type {Download} from '../../downstream.ts';
import {cleanText, fitName} from '../../text/clean-text.ts';
import {parsePercent, parseTime} from '../../text/film-time.ts';
import {formatTime} from '../../text/film-words.ts';
import {createForm, textItem, textOf, withProblem} from '../form.ts';
import type {UiStore} from '../ui-store.ts';

/** `go` receives milliseconds within the film. */
export function openGoToDialog(ui: UiStore, download: Download, go: (ms: number) => void): void {
	const name = fitName(cleanText(download.name), 44);
	ui.openDialog({
		form: createForm(
			download.playback ? `Go to: ${name}` : `Watch from: ${name}`,
			[textItem('time', 'Time', '', {placeholder: '41:07, or 42% of the film'})],
			[
				{name: 'go', label: download.playback ? 'Go' : 'Watch', key: download.playback ? 'g' : 'w'},
				{name: 'close', label: 'Close', key: 'c'},
			],
			{hint: `Enter ${download.playback ? 'go' : 'watch'}   Esc close`},
		),
		onButton: (button, form) => {
			if (button === 'close') {
				ui.close();
				return;
			}

			const place = placeOf(textOf(form, 'time'), download);
			if (typeof place === 'string') {
				ui.showForm(withProblem(form, place));
			} else {
				ui.close();
				go(place);
			}
		},
	});
}

/** Milliseconds, or the error in the text. */
function placeOf(text: string, {playback, film}: Download): number | string {
	const durationMs = playback?.durationMs ?? film?.durationMs;
	const percent = parsePercent(text);
	if (percent !== undefined && durationMs === undefined) {
		return 'The length of the film is not known yet. Type a time, such as 41:07.';
	}

	const ms = percent === undefined ? parseTime(text) : Math.round((percent / 100) * durationMs!);
	if (ms === undefined) {
		return text.trim() === ''
			? 'No time yet. Try 41:07, 1:02:10 or 42%.'
			: `"${text}" is not a time. Try 41:07, 1:02:10 or 42%.`;
	}

	return durationMs !== undefined && ms > durationMs
		? `${percent === undefined ? formatTime(ms) : text.trim()} is past the end, at ${formatTime(durationMs)}.`
		: ms;
}
