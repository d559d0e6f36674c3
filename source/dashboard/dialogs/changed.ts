// The dialog for a file that changed on the server: keep, resume or start over.
import type {Download} from '../../downstream.ts';
import {cleanText, fitName} from '../../text/clean-text.ts';
import {createForm, nameCells, note, type Form} from '../form.ts';
import {formatBytes} from '../../text/format.ts';
import type {UiStore} from '../ui-store.ts';

export function openChangedDialog(ui: UiStore, download: Download): void {
	ui.openDialog({
		form: changedForm(download),
		onButton: button => {
			ui.close();
			if (button === 'go-on') {
				ui.run(async () => {
					await ui.downstream.acceptChange(download.id);
					return 'The bytes agree; going on from what is here';
				});
			} else if (button !== 'stay') {
				const keepOld = button === 'new';
				ui.run(async () => {
					await ui.downstream.startOver(download.id, {keepOld});
					return keepOld ? 'The new version is a download of its own' : 'Starting over';
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
					? `Samples of the ${formatBytes(present)} we have agree with the new file.`
					: `The ${formatBytes(present)} we have cannot be mixed with the new file.`,
			),
		],
		[
			{name: 'stay', label: 'Stay as it is', key: 's'},
			...(bytesAgree ? [{name: 'go-on', label: 'Go on', key: 'g'}] : []),
			{name: 'over', label: 'Start over', key: 'o'},
			{name: 'new', label: 'New entry for the new file', key: 'n'},
		],
		{hint: '←→ choose   Enter   Esc stays as it is'},
	);
}
