// The dialog that adds downloads: URLs, or a pasted command, and what goes with them.
import type {AddRequest} from '../downstream.ts';
import {parsePastedCommand} from '../requests/pasted-command.ts';
import {connections, wholeNumber} from '../schema.ts';
import {note} from './dialogs.ts';
import {choiceOf, textItem, textOf, textsOf, withItems, type Form, type Item, type TextItem} from './form.ts';
import {fieldOf} from './text-field.tsx';

/** What of the typed text can be added, and what is wrong with the rest. */
export function parseUrls(text: string): {urls: string[]; problem: string | undefined} {
	const urls: string[] = [];
	let problem: string | undefined;
	const words = text.split(/\s+/).filter(Boolean);
	for (const [index, word] of words.entries()) {
		const [, scheme] = /^([a-z][a-z\d+.-]*):/i.exec(word) ?? [];
		if (/^https?$/i.test(scheme ?? '') && URL.canParse(word)) {
			urls.push(word);
		} else {
			// The field shows each word on a line of its own.
			const where = words.length > 1 ? `Line ${index + 1}: ` : '';
			problem ??=
				scheme === undefined || /^https?$/i.test(scheme)
					? `${where}"${word}" is not a URL`
					: `${where}"${scheme}" is not http or https`;
		}
	}

	return {urls, problem};
}

export function addForm(text: string): Form {
	return renewAddForm({
		title: 'Add downloads',
		hint: 'Tab next   Enter add   Esc close (draft is kept)',
		items: [textItem('urls', 'URLs', text, {lines: 4})],
		buttons: [
			{name: 'add', label: 'Add'},
			{name: 'close', label: 'Close'},
		],
		focus: 0,
		standard: 0,
	});
}

/** Fields that follow from what is typed; `problem` takes the place of what is wrong with the URLs. */
export function renewAddForm(form: Form, problem?: string): Form {
	const {urls, problem: wrong} = parseUrls(textOf(form, 'urls'));
	const shown = problem ?? wrong;
	const items: Item[] = [
		textItem('urls', 'URLs', '', {lines: 4}),
		{kind: 'note', text: `${urls.length} ready`, isIndented: true},
		...(shown === undefined ? [] : [note(shown, true)]),
		...(urls.length === 1 ? [textItem('name', 'Save as', '', {placeholder: '(name from the server)'})] : []),
		{kind: 'choice', name: 'start', label: 'Start', options: ['now', 'paused', 'when played'], chosen: 0},
		{
			kind: 'choice',
			name: 'more',
			label: 'More',
			options: ['no', 'headers, user agent, proxy, connections'],
			chosen: 0,
		},
	];
	const more = moreItems(form);
	const isShown = choiceOf(form, 'more') === 1;
	const renewed = withItems(form, isShown ? [...items, ...more] : items, isShown ? [] : more);
	return {
		...renewed,
		buttons: renewed.buttons.map(button =>
			button.name === 'add' ? {...button, label: urls.length > 1 ? `Add ${urls.length}` : 'Add'} : button,
		),
	};
}

/** One header more than there are. */
function moreItems(form: Form): TextItem[] {
	const headers = [...headerLines(form), ''].map((line, index) =>
		textItem(`header${index}`, index === 0 ? 'Headers' : '', line, {
			secret: 'header',
			placeholder: index === 0 ? 'Name: value' : '',
		}),
	);
	return [
		...headers,
		textItem('agent', 'Agent', '', {placeholder: '(our own)'}),
		textItem('proxy', 'Proxy', '', {
			placeholder: '(from the settings) http:// socks5:// or direct',
			secret: 'url',
		}),
		textItem('connections', 'Conns', '', {placeholder: '(from the settings) 1 to 16 for each file'}),
		textItem('checksum', 'Check', '', {placeholder: 'sha256:… (optional)'}),
	];
}

/** A pasted command fills the fields in; one that cannot be added fills in nothing but the reason; undefined for any other text. */
export function addFormFromCommand(text: string): Form | undefined {
	const command = parsePastedCommand(text);
	if (!command) {
		return undefined;
	}

	const {urls, headers, userAgent, proxy, name, connections, checksum, problem} = command;
	if (problem !== undefined) {
		return renewAddForm(addForm(''), problem);
	}

	const texts: Record<string, string | undefined> = {
		name,
		agent: userAgent,
		proxy,
		connections: connections?.toString(),
		checksum,
		...Object.fromEntries(headers.map((line, index) => [`header${index}`, line])),
	};
	const hasMore =
		headers.length > 0 || [userAgent, proxy, connections, checksum].some(text => text !== undefined);
	let form = addForm(urls.join(' '));
	if (hasMore) {
		form = renewAddForm({
			...form,
			items: form.items.map(item =>
				item.kind === 'choice' && item.name === 'more' ? {...item, chosen: 1} : item,
			),
			hidden: headers.map((line, index) => textItem(`header${index}`, '', line)),
		});
	}

	return renewAddForm({
		...form,
		items: form.items.map(item => {
			const text = item.kind === 'text' ? texts[item.name] : undefined;
			return item.kind === 'text' && text !== undefined ? {...item, field: fieldOf(text)} : item;
		}),
	});
}

function headerLines(form: Form): string[] {
	return textsOf(form)
		.filter(({name, field}) => name.startsWith('header') && field.text.trim() !== '')
		.map(({field}) => field.text);
}

/** What every URL is added with; `problem` is one sentence on what cannot be. */
export function addRequest(form: Form): {request: Omit<AddRequest, 'url'>; problem?: string} {
	const headers: Record<string, string> = {};
	for (const line of headerLines(form)) {
		const [, name, value] = /^\s*([^\s:]+):\s*(.*)$/.exec(line) ?? [];
		if (name === undefined || value === undefined) {
			return {request: {}, problem: 'A header is written as Name: value'};
		}

		headers[name] = value.trim();
	}

	const typed = textOf(form, 'connections').trim();
	const count = typed === '' ? undefined : wholeNumber(typed);
	if (count !== undefined && !connections.accepts(count)) {
		return {request: {}, problem: `Conns is "${typed}"; it must be ${connections.expected}`};
	}

	const filled = (name: string) => textOf(form, name).trim() || undefined;
	const start = choiceOf(form, 'start');
	const given = {
		headers: Object.keys(headers).length > 0 ? headers : undefined,
		userAgent: filled('agent'),
		proxy: filled('proxy'),
		name: filled('name'),
		checksum: filled('checksum'),
		connections: count,
		paused: start === 1 ? true : undefined,
		onDemand: start === 2 ? true : undefined,
	};
	return {request: Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))};
}
