// The dialog for a new source URL of a download.
import type {Download} from '../../downstream.ts';
import {maskUrl} from '../../text/mask-url.ts';
import {cleanText, fitName} from '../../text/clean-text.ts';
import {createForm, note, presetItem, textOf, withNotice, withProblem, type Form} from '../form.ts';
import {messageOf} from '../../text/message-of.ts';
import {share} from '../../text/status-words.ts';
import type {UiStore} from '../ui-store.ts';

export function openLinkDialog(ui: UiStore, download: Download): void {
	ui.openDialog({
		form: linkForm(download),
		onButton: (button, form) => {
			if (button === 'close') {
				ui.close();
				return;
			}

			const dialog = ui.openedDialog();
			dialog.show(withNotice(form, 'Asking the server…'));
			ui.run(async () => {
				try {
					await ui.downstream.update(download.id, {url: textOf(form, 'url').trim()});
				} catch (error) {
					dialog.show(withProblem(form, messageOf(error)), error);
					return undefined;
				}

				dialog.close();
				return download.present === 0 ? 'The link is set' : `Same file: continuing from ${share(download)}`;
			});
		},
	});
}

function linkForm({name, url, present}: Download): Form {
	const hasSecret = maskUrl(url) !== url;
	return createForm(
		`New link for ${fitName(cleanText(name), 44)}`,
		[
			// A paste replaces the old link, and an edit keeps most of it. A URL with a secret is not shown.
			presetItem('url', 'URL', hasSecret ? '' : url),
			...(present > 0 ? [note('Keeps the downloaded data if the file is the same.')] : []),
		],
		[
			{name: 'set', label: 'Set link', key: 's'},
			{name: 'close', label: 'Close', key: 'c'},
		],
		{hint: 'Enter set link   Esc close'},
	);
}
