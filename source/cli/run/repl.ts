// The interactive commands of --plain on a terminal: the command table, one line at a time.
import {commands, takes, type Command} from '../commands.ts';
import {notes} from '../help.ts';
import {cleanText} from '../../text/clean-text.ts';
import {amount} from '../../text/status-words.ts';
import {DownStreamError, type DownloadEngine} from '../../downstream.ts';
import {withHint} from '../../text/hints.ts';
import {messageOf} from '../../text/message-of.ts';
import {nearestWord} from '../../text/nearest-word.ts';
import {isUnfinishedCommand, parsePastedCommand} from '../../requests/pasted-command.ts';
import type {CommandContext} from './command-context.ts';
import {findDownload, findDownloads, type Found} from './find-download.ts';
import {manageCommands, type ManageCommandName} from './manage.ts';

const managed = Object.keys(manageCommands) as ManageCommandName[];

/** Commands that differ from the command line's, or exist only here. */
const ownCommands = {
	add: {operands: 'URL…', description: 'add downloads; a URL or a pasted curl command alone does the same'},
	remove: {operands: 'ID…', description: 'remove downloads; asks whether to delete the data'},
	export: {operands: 'ID [PATH]', description: 'export the file once it is complete'},
	help: {operands: '', description: 'show this help'},
	quit: {operands: '', description: 'quit'},
} as const satisfies Readonly<Record<string, Command>>;

const replCommands: ReadonlyMap<string, Command> = new Map<string, Command>([
	...managed.map(name => [name, commands[name]] as const),
	...Object.entries(ownCommands),
]);

const usageColumn = 18;

export const replHelp: readonly string[] = [
	...Array.from(
		replCommands,
		([name, {operands, description}]) => `${`${name} ${operands}`.padEnd(usageColumn)}  ${description}`,
	),
	...notes.ids.split('\n'),
];

type Answer = {readonly lines: readonly string[]; readonly isOver?: boolean};

export class Repl {
	readonly #downstream: DownloadEngine;
	readonly #requestsOf: CommandContext['requestsOf'];
	/** Downloads to remove once the user has decided about their data. */
	#pendingRemoval: readonly Found[] = [];
	/** The lines so far of an unfinished pasted command. */
	#pasted = '';

	/** `requestsOf`: requests for a typed URL or a pasted command. */
	constructor(downstream: DownloadEngine, requestsOf: CommandContext['requestsOf']) {
		this.#downstream = downstream;
		this.#requestsOf = requestsOf;
	}

	/** The prompt for the next line. */
	get question(): string {
		const [first, ...others] = this.#pendingRemoval;
		if (!first) {
			return '';
		}

		const what = others.length === 0 ? cleanText(first.name) : `${others.length + 1} downloads`;
		return `Remove ${what}: [k]eep the data, [d]elete it, [c]ancel? `;
	}

	/** Never rejects: an error becomes a line of the answer. */
	async run(line: string): Promise<Answer> {
		try {
			return this.#pendingRemoval.length > 0 ? await this.#removePending(line) : await this.#run(line);
		} catch (error) {
			return {lines: [error instanceof DownStreamError ? withHint(error) : messageOf(error)]};
		}
	}

	async #run(line: string): Promise<Answer> {
		const typed = this.#pasted + (this.#pasted === '' ? line.replace(/^\s*add\s+/, '') : line);
		// An empty line ends an unfinished command.
		this.#pasted = line.trim() !== '' && isUnfinishedCommand(typed) ? `${typed}\n` : '';
		if (this.#pasted !== '') {
			return {lines: []};
		}

		if (parsePastedCommand(typed)) {
			return this.#manage('add', [typed]);
		}

		const words = line.trim().split(/\s+/);
		const [typedName = '', ...operands] = /^[a-z][\w+.-]*:\/\//i.test(words[0]!) ? ['add', ...words] : words;
		if (typedName === '') {
			return {lines: []};
		}

		const name = typedName === 'exit' ? 'quit' : typedName;
		const command = replCommands.get(name);
		if (!command) {
			const near = nearestWord(name, [...replCommands.keys()]);
			const help = near === undefined ? '"help" shows all commands' : `did you mean ${near}?`;
			return {lines: [`unknown command ${JSON.stringify(name)}; ${help}`]};
		}

		// The path of an export is optional, and may contain blanks.
		if (name === 'export' ? operands.length === 0 : !takes(command, operands)) {
			return {lines: [`usage: ${name} ${command.operands}`.trim()]};
		}

		switch (name) {
			case 'help':
				return {lines: replHelp};
			case 'quit':
				return {lines: [], isOver: true};
			case 'export':
				return this.#export(operands[0]!, line.trim().replace(/^\S+\s+\S+\s*/, '') || './');
			case 'remove':
				return this.#remove(operands);
			default:
				return this.#manage(name as ManageCommandName, operands);
		}
	}

	async #manage(
		name: ManageCommandName,
		words: readonly string[],
		{deleteData = false} = {},
	): Promise<Answer> {
		const lines: string[] = [];
		const push = (line: string) => lines.push(line);
		await manageCommands[name].run(this.#downstream, words, {
			settings: {json: false, port: 0, deleteData},
			// The event lines announce a new download.
			output: {result: name === 'add' ? () => undefined : push, error: push, note: push},
			requestsOf: this.#requestsOf,
		});
		return {lines};
	}

	async #export(word: string, path: string): Promise<Answer> {
		const {id, status} = findDownload(this.#downstream.snapshot.downloads, word);
		const result = await this.#downstream.export(id, {path, when: 'complete'});
		return {
			lines: [
				status === 'complete'
					? `exported to ${result.path}`
					: `will be exported to ${result.path} when complete`,
			],
		};
	}

	/** Asks first if there is data to keep or delete. */
	async #remove(words: readonly string[]): Promise<Answer> {
		const downloads = findDownloads(this.#downstream.snapshot.downloads, words);
		const withData = downloads.filter(({present}) => present > 0);
		if (withData.length === 0) {
			return this.#manage('remove', words, {deleteData: true});
		}

		this.#pendingRemoval = downloads;
		return {lines: withData.map(download => `${cleanText(download.name)}: ${amount(download)} downloaded`)};
	}

	async #removePending(answer: string): Promise<Answer> {
		// By ID: the list may have been renumbered since the question.
		const ids = this.#pendingRemoval.map(({id}) => id);
		this.#pendingRemoval = [];
		const letter = answer.trim().toLowerCase().slice(0, 1) || 'k';
		return letter === 'k' || letter === 'd'
			? this.#manage('remove', ids, {deleteData: letter === 'd'})
			: {lines: ['nothing removed']};
	}
}
