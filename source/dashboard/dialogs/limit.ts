// The dialog for the speed limit of all downloads or of the selected one.
import type {Download} from '../../downstream.ts';
import {parseRate} from '../../text/rate.ts';
import {cleanText, fitName} from '../../text/clean-text.ts';
import {choiceOf, createForm, textItem, textOf, withNotice, withProblem, type Form} from '../form.ts';
import {formatSpeed} from '../../text/format.ts';
import type {UiStore} from '../ui-store.ts';

export function openLimitDialog(ui: UiStore): void {
	const {selected} = ui;
	ui.openDialog({
		form: withDuration(limitForm(ui.feed.frame.snapshot.limitRate, selected)),
		onChange: withDuration,
		onButton: (button, form) => {
			if (button === 'close') {
				ui.close();
				return;
			}

			const text = textOf(form, 'rate');
			const rate = parseRate(text);
			if (rate === undefined) {
				const problem = text === '' ? 'No speed yet.' : `"${text}" is not a speed.`;
				ui.showForm(withProblem(form, `${problem} Try 500K, 5M, or 0 for no limit.`));
				return;
			}

			ui.close();
			const isForSelected = choiceOf(form, 'for') === 1;
			ui.run(() => setLimit(ui, rate === Infinity ? null : rate, isForSelected ? selected : undefined));
		},
	});
}

/** Sets the limit of one download, or the common limit of all. */
async function setLimit(ui: UiStore, limitRate: number | null, download?: Download): Promise<string> {
	const words = limitRate === null ? 'no limit' : `limited to ${formatSpeed(limitRate)}`;
	if (download) {
		await ui.downstream.update(download.id, {limitRate});
		return `${cleanText(download.name)}: ${words}`;
	}

	await ui.downstream.setLimitRate(limitRate);
	return `All downloads: ${words}`;
}

/** Says how long the limit holds: that of a download is in its record, that of all is an option of the run. */
function withDuration(form: Form): Form {
	return withNotice(
		form,
		choiceOf(form, 'for') === 1
			? 'Saved with the download.'
			: 'Lasts until you quit. To keep it, use --limit-rate.',
	);
}

function limitForm(limitRate: number | null, selected: Download | undefined): Form {
	const now = (rate: number | null) => (rate === null ? 'no limit' : formatSpeed(rate));
	return createForm(
		'Speed limit',
		[
			textItem('rate', 'Limit', '', {placeholder: '500K or 5M a second; 0 for no limit'}),
			{
				kind: 'choice',
				name: 'for',
				label: 'For',
				options: [
					`all downloads (now ${now(limitRate)})`,
					...(selected ? [`${fitName(cleanText(selected.name), 24)} (now ${now(selected.limitRate)})`] : []),
				],
				chosen: 0,
			},
		],
		[
			{name: 'set', label: 'Set', key: 's'},
			{name: 'close', label: 'Close', key: 'c'},
		],
		{hint: 'Enter set   Esc close'},
	);
}
