// The dialog for new downloads: URLs, or a pasted command, and their options.
import {connections, wholeNumber} from '../../schema.ts';
import type {AddRequest, DownloadId} from '../../downstream.ts';
import {parsePastedCommand} from '../../requests/pasted-command.ts';
import {
	choiceOf,
	createForm,
	fieldsOf,
	focused,
	note,
	pasteIntoForm,
	textItem,
	textOf,
	textsOf,
	withItem,
	withItems,
	withLabel,
	type Form,
	type Item,
	type TextItem,
} from '../form.ts';
import {counted} from '../../text/format.ts';
import {messageOf} from '../../text/message-of.ts';
import {cleanText} from '../../text/clean-text.ts';
import {fieldOf} from '../text-field.tsx';
import type {UiStore} from '../ui-store.ts';

const urlField = {lines: 4, placeholder: 'links, or a curl, wget, aria2c or PowerShell command'};
/** UTF-16 units of a word in a sentence about it. */
const mostQuoted = 200;

export class AddDialog {
	readonly #ui: UiStore;
	/** The form of a closed dialog with text that was not added. */
	#draft: Form | undefined;

	constructor(ui: UiStore) {
		this.#ui = ui;
	}

	/** Opens the draft, or a fresh form for pasted text. */
	open(pasted = ''): void {
		const form = pasted === '' ? (this.#draft ?? addForm('')) : pastedForm(pasted);
		this.#ui.openDialog({
			form: {...form, focus: 0},
			onChange: changed => updatedAddForm(changed),
			onPaste: pasteIntoAddForm,
			onClose: closed => {
				this.#draft = closed;
			},
			onButton: (button, answer) => {
				if (button === 'add') {
					this.#submit(answer);
				} else if (button === 'more') {
					this.#ui.showForm(withOptions(answer, !showsOptions(answer)));
				} else {
					this.#draft = answer;
					this.#ui.close();
				}
			},
		});
	}

	#submit(form: Form): void {
		const text = textOf(form, 'urls');
		const fromCommand = addFormFromCommand(text);
		if (fromCommand) {
			this.#ui.showForm(fromCommand);
			return;
		}

		const {urls, problem: urlProblem} = parseUrls(text);
		const {request, problem: optionProblem} = requestOf(form);
		const problem = optionProblem ?? (urls.length === 0 ? (urlProblem ?? 'Type or paste a link') : undefined);
		if (problem === undefined) {
			this.#addAll(form, urls, request);
		} else {
			this.#ui.showForm(updatedAddForm(form, problem));
		}
	}

	#addAll(form: Form, urls: readonly string[], request: Omit<AddRequest, 'url'>): void {
		const dialog = this.#ui.openedDialog();
		this.#ui.run(async () => {
			const isFirst = this.#ui.feed.frame.snapshot.downloads.length === 0;
			const added: string[] = [];
			const known: string[] = [];
			let firstId: DownloadId | undefined;
			// In sequence: the list keeps the order of the URLs.
			for (const url of urls) {
				try {
					const {download, existed} = await this.#ui.downstream.add({...request, url});
					firstId ??= download.id;
					(existed ? known : added).push(cleanText(download.name));
				} catch (error) {
					this.#reopen(form, urls.slice(urls.indexOf(url)), messageOf(error));
					return;
				}
			}

			const rest = textOf(form, 'urls')
				.split(/\s+/)
				.filter(word => word !== '' && !urls.includes(word));
			this.#draft = undefined;
			if (rest.length > 0) {
				this.#reopen(form, rest);
			} else {
				dialog.close();
			}

			this.#ui.feed.refresh();
			this.#ui.selectId(firstId);
			const hint = isFirst && added.length === 1 ? '. o plays it now, c copies its stream URL' : '';
			return addedWords(added, known) + hint;
		});
	}

	/** Opens the dialog with the words that were not added. */
	#reopen(form: Form, rest: readonly string[], problem?: string): void {
		this.#draft = undefined;
		this.open();
		this.#ui.showForm(
			updatedAddForm(
				{...withItem(form, textItem('urls', 'URLs', rest.join(' '), urlField)), focus: 0},
				problem,
			),
		);
	}
}

/** `Added film.mkv`, `Added 1, 2 were already in the list`. */
function addedWords(added: readonly string[], known: readonly string[]): string {
	if (known.length === 0) {
		return `Added ${added.length === 1 ? added[0] : added.length}`;
	}

	if (added.length === 0) {
		return `Already in the list: ${known.length === 1 ? known[0] : known.length}`;
	}

	return `Added ${added.length}, ${known.length} ${known.length === 1 ? 'was' : 'were'} already in the list`;
}

function pastedForm(text: string): Form {
	const {links, hasOthers} = linksIn(text);
	return (
		addFormFromCommand(text) ?? withFoundLinks(addForm(links.join(' ') || text), links.length, hasOthers)
	);
}

/** Links go to the field for URLs, whatever has the focus there; a command fills the whole form. */
function pasteIntoAddForm(text: string, form: Form): Form | undefined {
	const fromCommand = addFormFromCommand(text);
	const item = focused(form);
	const {links, hasOthers} = linksIn(text);
	if (fromCommand || links.length === 0 || (item?.kind === 'text' && item.name !== 'urls')) {
		return fromCommand;
	}

	const typed = textOf(form, 'urls');
	const separator = typed === '' || /\s$/.test(typed) ? '' : ' ';
	const filled = pasteIntoForm({...form, focus: 0}, separator + links.join(' '));
	return withFoundLinks(updatedAddForm(filled), links.length, hasOthers);
}

/** Says how many links a text with other words contained. */
function withFoundLinks(form: Form, count: number, hasOthers: boolean): Form {
	const items = form.items.map(item =>
		item.kind === 'note' && item.isIndented && count > 0 && hasOthers
			? {...item, text: `${counted(count, 'link')} in the pasted text`}
			: item,
	);
	return {...form, items};
}

/** The links of a text, each once, without the punctuation of the sentence around them. */
function linksIn(text: string): {links: readonly string[]; hasOthers: boolean} {
	const words = text.split(/\s+/).filter(Boolean);
	if (words.every(word => /^[a-z][a-z\d+.-]*:\/\//i.test(word))) {
		return {links: [...new Set(words)], hasOthers: false};
	}

	const found = text.match(/[a-z][a-z\d+.-]*:\/\/[^\s<>"“”„«»]+/gi) ?? [];
	const links = found.map(link => link.replace(link.includes('(') ? /[.,;:!?'’]+$/ : /[.,;:!?'’)\]]+$/, ''));
	return {links: [...new Set(links)], hasOthers: true};
}

export function addForm(text: string): Form {
	return updatedAddForm(
		createForm(
			'Add downloads',
			[textItem('urls', 'URLs', text, urlField)],
			[
				{name: 'add', label: 'Add', key: 'a'},
				{name: 'more', label: moreLabel, key: 'm'},
				{name: 'close', label: 'Close', key: 'c'},
			],
			{hint: 'Tab next   Enter add   Esc close (keeps the draft)'},
		),
	);
}

/** Shows the fields that the current text and choices need. `problem` replaces the error about the URLs. */
function updatedAddForm(form: Form, problem?: string): Form {
	const {urls, problem: urlProblem} = parseUrls(textOf(form, 'urls'));
	const shown = problem ?? urlProblem;
	const items: Item[] = [
		textItem('urls', 'URLs', '', urlField),
		...(urls.length === 0
			? []
			: [{kind: 'note', text: counted(urls.length, 'link'), isIndented: true} as const]),
		...(shown === undefined ? [] : [note(shown, true)]),
		...(urls.length === 1 ? [textItem('name', 'Save as', '', {placeholder: '(name from the server)'})] : []),
		{kind: 'choice', name: 'start', label: 'Start', options: ['now', 'paused', 'when played'], chosen: 0},
	];
	const more = moreItems(form);
	const isShown = showsOptions(form);
	const updated = withItems(form, isShown ? [...items, ...more] : items, isShown ? [] : more);
	return withLabel(updated, 'add', urls.length > 1 ? `Add ${urls.length}` : 'Add');
}

const moreLabel = 'More options…';

/** The button's label follows whether the optional fields are shown. */
function showsOptions({buttons}: Form): boolean {
	return !buttons.some(({label}) => label === moreLabel);
}

/** Shows or hides the optional fields. */
export function withOptions(form: Form, isShown: boolean): Form {
	const changed = updatedAddForm(withLabel(form, 'more', isShown ? 'Fewer options' : moreLabel));
	const first = fieldsOf(changed).findIndex(({name}) => name === 'header0');
	return {...changed, focus: isShown ? first : 0};
}

/** The optional fields, with one empty header after the others. */
function moreItems(form: Form): TextItem[] {
	const headers = [...headerLines(form), ''].map((line, index) =>
		textItem(`header${index}`, index === 0 ? 'Headers' : '', line, {
			secret: 'header',
			placeholder: index === 0 ? 'Name: value' : '',
		}),
	);
	return [
		...headers,
		textItem('agent', 'User agent', '', {placeholder: '(the default)'}),
		textItem('proxy', 'Proxy', '', {
			placeholder: '(from the settings) http://, socks5:// or direct',
			secret: 'url',
		}),
		textItem('connections', 'Connections', '', {placeholder: '(from the settings) 1 to 16 per file'}),
		textItem('checksum', 'Checksum', '', {placeholder: 'sha256:… (optional)'}),
	];
}

/** A form filled in from a command, or with the error in it; undefined for any other text. */
export function addFormFromCommand(text: string): Form | undefined {
	const command = parsePastedCommand(text);
	if (!command) {
		return undefined;
	}

	const {urls, headers, userAgent, proxy, name, checksum, problem} = command;
	if (problem !== undefined) {
		return updatedAddForm(addForm(''), problem);
	}

	const texts: Record<string, string | undefined> = {
		name,
		agent: userAgent,
		proxy,
		connections: command.connections?.toString(),
		checksum,
		...Object.fromEntries(headers.map((line, index) => [`header${index}`, line])),
	};
	const hasMore =
		headers.length > 0 || [userAgent, proxy, command.connections, checksum].some(text => text !== undefined);
	let form = addForm(urls.join(' '));
	if (hasMore) {
		const hidden = headers.map((line, index) => textItem(`header${index}`, '', line));
		form = {...withOptions({...form, hidden}, true), focus: 0};
	}

	return updatedAddForm({
		...form,
		items: form.items.map(item => {
			const text = item.kind === 'text' ? texts[item.name] : undefined;
			return item.kind === 'text' && text !== undefined ? {...item, field: fieldOf(text)} : item;
		}),
	});
}

/** The http and https URLs in the text, each once, and an error about the first other word. */
function parseUrls(text: string): {urls: string[]; problem: string | undefined} {
	const urls: string[] = [];
	let problem: string | undefined;
	for (const word of text.split(/\s+/).filter(Boolean)) {
		const [, scheme] = /^([a-z][a-z\d+.-]*):/i.exec(word) ?? [];
		if (/^https?$/i.test(scheme ?? '') && URL.canParse(word)) {
			urls.push(word);
		} else {
			problem ??=
				scheme === undefined || /^https?$/i.test(scheme)
					? `Not a link: "${quotable(word)}"`
					: `"${quotable(scheme)}" is not http or https`;
		}
	}

	return {urls: [...new Set(urls)], problem};
}

function quotable(word: string): string {
	return word.length > mostQuoted ? `${word.slice(0, mostQuoted)}…` : word;
}

function headerLines(form: Form): string[] {
	return textsOf(form)
		.filter(({name, field}) => name.startsWith('header') && field.text.trim() !== '')
		.map(({field}) => field.text);
}

/** The options for every URL, or `problem`: one sentence about an invalid field. */
export function requestOf(form: Form): {request: Omit<AddRequest, 'url'>; problem?: string} {
	const headers: Record<string, string> = {};
	for (const line of headerLines(form)) {
		const [, name, value] = /^\s*([^\s:]+):\s*(.*)$/.exec(line) ?? [];
		if (name === undefined || value === undefined) {
			return {request: {}, problem: 'Write a header as Name: value'};
		}

		headers[name] = value.trim();
	}

	const typed = textOf(form, 'connections').trim();
	const count = typed === '' ? undefined : wholeNumber(typed);
	if (count !== undefined && !connections.accepts(count)) {
		return {request: {}, problem: `Connections must be ${connections.expected}, not "${typed}"`};
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
