// The small dialogs: what is asked before something is lost, and single values.
import type {Download} from '../downstream.ts';
import {maskUrl} from '../text/mask-url.ts';
import {cleanText, fitName} from '../text/clean-text.ts';
import {
	choiceOf,
	fieldsOf,
	textItem,
	withItems,
	type Button,
	type Form,
	type Item,
	type NoteItem,
} from './form.ts';
import {formatBytes} from '../text/format.ts';
import {sortKeys} from './list-view.ts';
import {amount, connectedPlayers} from '../text/status-words.ts';

const nameCells = 60;

/** A line of text; below the fields, `isProblem` says what is wrong. */
export function note(text: string, isProblem = false): NoteItem {
	return {kind: 'note', text, isProblem};
}

function form(
	title: string,
	items: readonly Item[],
	buttons: readonly Button[],
	more: Partial<Form> = {},
): Form {
	return {title, items, buttons, hint: '←→ choose   Enter   Esc close', focus: 0, standard: 0, ...more};
}

export function removeForm(downloads: readonly Download[]): Form {
	const [first] = downloads;
	const readers = [...new Set(downloads.flatMap(({players}) => players.filter(({connected}) => connected)))];
	const names = [...new Set(readers.map(({name}) => cleanText(name)))].join(', ');
	const here = downloads.reduce((sum, {present}) => sum + present, 0);
	return form(
		downloads.length === 1 ? 'Remove this download?' : `Remove ${downloads.length} downloads?`,
		[
			note(
				downloads.length === 1 && first
					? fitName(cleanText(first.name), nameCells)
					: `${formatBytes(here)} are here.`,
			),
			...(downloads.length === 1 && first ? [note(`${amount(first)} are here.`)] : []),
			...(readers.length > 0
				? [note(`${names} ${readers.length === 1 ? 'reads it' : 'read'} and will stop.`)]
				: []),
		],
		[
			{name: 'no', label: 'No'},
			{name: 'keep', label: 'remove, Keep data'},
			{name: 'delete', label: 'remove, Delete data'},
		],
		{hint: '←→ choose   Enter   Esc = No'},
	);
}

export function quitForm(downloads: readonly Download[], running: number): Form {
	const players = downloads.reduce((sum, download) => sum + connectedPlayers(download), 0);
	const facts = [
		running > 0 && (running === 1 ? '1 download runs' : `${running} downloads run`),
		players > 0 && (players === 1 ? '1 player is connected' : `${players} players are connected`),
	].filter(Boolean);
	return form(
		'Quit?',
		[
			note(`${facts.join(' and ')}.`),
			...(running > 0 ? [note('Downloads stop now and go on from here at the next start.')] : []),
			...(players > 0 ? [note('Players will stop: their URL is served by this program.')] : []),
		],
		[
			{name: 'stay', label: 'Stay'},
			{name: 'quit', label: 'Quit'},
		],
		{hint: 'q or Ctrl+C = quit   Esc = stay'},
	);
}

export function newUrlForm({name, url}: Download): Form {
	const hasSecret = maskUrl(url) !== url;
	return form(
		`New link for ${fitName(cleanText(name), 44)}`,
		[
			// The old one is a help to those who change a part of it, unless it would show what is to be hidden.
			textItem('url', 'URL', hasSecret ? '' : url),
			note('What is here is kept if size and version fit, or samples of it are the same there.'),
		],
		[
			{name: 'change', label: 'Change'},
			{name: 'close', label: 'Close'},
		],
		{hint: 'Enter change   Esc close'},
	);
}

export function changedForm(download: Download): Form {
	const bytesAgree = download.error?.bytesAgree === true;
	return form(
		'The file changed on the server',
		[
			note(fitName(cleanText(download.name), nameCells)),
			note(cleanText(download.error?.message ?? '')),
			note(
				bytesAgree
					? `Samples of the ${formatBytes(download.present)} we have agree with the new file.`
					: `The ${formatBytes(download.present)} we have cannot be mixed with the new file.`,
			),
		],
		[
			{name: 'stay', label: 'Stay as it is'},
			...(bytesAgree ? [{name: 'go-on', label: 'Go on'}] : []),
			{name: 'over', label: 'start Over'},
			{name: 'new', label: 'New entry for the new file'},
		],
		{hint: '←→ choose   Enter   Esc = stay as it is'},
	);
}

export function limitForm(limitRate: number | null, selected: Download | undefined): Form {
	const now = (rate: number | null) => (rate === null ? 'no limit' : `${formatBytes(rate)}/s`);
	return form(
		'Speed limit',
		[
			textItem('rate', 'At most', '', {placeholder: '500K or 5M a second; 0 for no limit'}),
			{
				kind: 'choice',
				name: 'for',
				label: 'For',
				options: [
					`all together (now ${now(limitRate)})`,
					...(selected ? [`${fitName(cleanText(selected.name), 24)} (now ${now(selected.limitRate)})`] : []),
				],
				chosen: 0,
			},
		],
		[
			{name: 'set', label: 'Set'},
			{name: 'close', label: 'Close'},
		],
		{hint: 'Enter set   Esc close'},
	);
}

export function sortForm(sort: number, isReversed: boolean): Form {
	return form(
		`Sort by${isReversed ? ' (reversed)' : ''}`,
		[],
		sortKeys.map(({name, label}) => ({name, label})),
		{focus: sort, isColumn: true, hint: '↑↓ or a letter   Enter   Esc close'},
	);
}

export function exportForm(downloads: readonly Download[], path: string, canMove: boolean): Form {
	const [only] = downloads;
	const isOne = downloads.length === 1 && only !== undefined;
	const complete = downloads.every(({status}) => status === 'complete');
	const items: Item[] = [textItem('to', 'To', path)];
	if (!complete) {
		const now = isOne ? ` (now ${amount(only)})` : '';
		const options = [`when complete${now}`, ...(isOne ? ['now, with zeros in the gaps'] : [])];
		items.push({kind: 'choice', name: 'when', label: 'When', options, chosen: 0});
	}

	if (canMove) {
		const options = ['copy, keep here too', 'move'];
		items.push({kind: 'choice', name: 'how', label: 'How', options, chosen: 0});
	}

	return form(
		isOne ? `Export ${fitName(cleanText(only.name), 52)}` : `Export ${downloads.length} downloads`,
		items,
		[
			{name: 'export', label: 'Export'},
			{name: 'close', label: 'Close'},
		],
		{hint: 'Tab complete or next   Enter export   Esc close'},
	);
}

/** It asks what becomes of the file that is there. */
export function hasClash(form: Form): boolean {
	return fieldsOf(form).some(({name}) => name === 'clash');
}

/**
 * A file of that name is there: asks what becomes of it, and says on the button what will happen. `facts` tell the file
 * from others.
 */
export function withClash(form: Form, facts?: string): Form {
	const asked = fieldsOf(form).find(({name}) => name === 'clash');
	const replace = facts === undefined ? 'replace it' : `replace it (${facts})`;
	const replaces = choiceOf(form, 'clash') === 1;
	const items = form.items.filter(item => item.kind !== 'note' && item.name !== 'clash');
	return {
		...form,
		focus: asked ? form.focus : items.length,
		items: [
			...items,
			note('A file of this name is there:', true),
			{
				kind: 'choice',
				name: 'clash',
				label: '',
				options: asked?.kind === 'choice' ? asked.options : ['keep both', replace],
				chosen: replaces ? 1 : 0,
			},
		],
		buttons: form.buttons.map(button =>
			button.name === 'export' ? {...button, label: replaces ? 'Replace' : 'Export'} : button,
		),
	};
}

/** For another name: what was said of the old one does not hold for it. */
export function withoutClash(form: Form): Form {
	const items = form.items.filter(item => item.kind === 'note' || item.name !== 'clash');
	return {
		...withItems(form, items),
		buttons: form.buttons.map(button => (button.name === 'export' ? {...button, label: 'Export'} : button)),
	};
}

export function withProblem(form: Form, problem: string): Form {
	return {...form, items: [...withoutRemarks(form).items, note(problem, true)]};
}

const waysStart = 'Tab: ';

/** How what is typed may go on. */
export function withWays(form: Form, ways: readonly string[]): Form {
	const text = waysStart + ways.join('  ');
	return {...form, items: [...withoutRemarks(form).items, {kind: 'note', text, isIndented: true}]};
}

export function showsWays({items}: Form): boolean {
	return items.some(item => item.kind === 'note' && item.text.startsWith(waysStart));
}

/** Without the notes below the fields: they are about what the fields said when they were added. */
export function withoutRemarks(form: Form): Form {
	return {
		...form,
		items: form.items.filter(item => item.kind !== 'note' || !(item.isProblem || item.isIndented)),
	};
}
