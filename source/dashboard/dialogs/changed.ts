// The dialog for a file that changed on the server: keep, resume or start over.
import type {Download} from '../../downstream.ts';
import {cleanText, fitName} from '../../text/clean-text.ts';
import {createForm, nameCells, note, type Form} from '../form.ts';
import {formatBytes} from '../../text/format.ts';
import {share} from '../../text/status-words.ts';
import type {UiStore} from '../ui-store.ts';

export function openChangedDialog(ui: UiStore, download: Download): void {
	ui.openDialog({
		form: changedForm(download),
		onButton: button => {
			ui.close();
			if (button === 'go-on') {
				ui.run(async () => {
					await ui.downstream.acceptChange(download.id);
					return `Same bytes: continuing from ${share(download)}`;
				});
			} else if (button !== 'stay') {
				const keepOld = button === 'new';
				ui.run(async () => {
					await ui.downstream.startOver(download.id, {keepOld});
					return keepOld ? 'Added the new version as another download' : 'Starting over';
				});
			}
		},
	});
}

function changedForm({name, error, present}: Download): Form {
	const bytesAgree = error?.bytesAgree === true;
	return createForm(
		'The file changed on the server',
		[
			note(fitName(cleanText(name), nameCells)),
			note(cleanText(error?.message ?? '')),
			note(
				bytesAgree
					? `Samples of the ${formatBytes(present)} you have match the new file.`
					: `The ${formatBytes(present)} you have cannot be mixed with the new file.`,
			),
		],
		[
			{name: 'stay', label: 'Leave it stopped', key: 's'},
			...(bytesAgree ? [{name: 'go-on', label: 'Continue', key: 'c'}] : []),
			{name: 'over', label: 'Start over', key: 'o'},
			{name: 'new', label: 'Add the new file', key: 'n'},
		],
		{hint: '←→ choose   Enter   Esc leaves it stopped'},
	);
}
