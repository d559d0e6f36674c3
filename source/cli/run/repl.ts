// Typed commands for the plain mode on a terminal: everything can be done without a screen that is drawn.
import {addAll} from '../../requests/add-requests.ts';
import {cleanText} from '../../text/clean-text.ts';
import {amount, substituteOf, stateWords} from '../../text/status-words.ts';
import {withHint} from '../../text/hints.ts';
import {DownStreamError, type AddRequest, type Download, type DownloadEngine} from '../../downstream.ts';
import {isUnfinishedCommand, parsePastedCommand} from '../../requests/pasted-command.ts';

export const commandHelp = [
	'list                 the downloads with their numbers',
	'add URL...           add downloads; a URL or a pasted curl command alone does it too',
	'pause N, resume N    N is a number of the list',
	'url N                the stream URL',
	'export N PATH        when it is complete',
	'verify N             check what is on the disk',
	'remove N             asks what becomes of the data',
	'help, quit',
];

type Answer = {readonly lines: readonly string[]; readonly isOver?: boolean};

export class Repl {
	readonly #downstream: DownloadEngine;
	readonly #requestsOf: (word: string) => Promise<AddRequest[]>;
	/** The download that is to be removed, once it is said what becomes of its data. */
	#doomed: Download | undefined;
	/** The lines so far of a pasted command that goes on. */
	#pasted = '';

	/** `requestsOf`: what is added for a typed URL or a pasted command. */
	constructor(downstream: DownloadEngine, requestsOf: (word: string) => Promise<AddRequest[]>) {
		this.#downstream = downstream;
		this.#requestsOf = requestsOf;
	}

	/** What is asked before the next line is read. */
	get question(): string {
		return this.#doomed ? 'Keep data? [K]eep/[d]elete/[n]o ' : '';
	}

	/** Never rejects: what goes wrong is a line too. */
	async run(line: string): Promise<Answer> {
		try {
			return this.#doomed ? await this.#remove(this.#doomed, line) : await this.#run(line);
		} catch (error) {
			if (error instanceof DownStreamError) {
				return {lines: [withHint(error)]};
			}

			return {lines: [error instanceof Error ? error.message : String(error)]};
		}
	}

	async #run(line: string): Promise<Answer> {
		const typed = this.#pasted + (this.#pasted === '' ? line.replace(/^\s*add\s+/, '') : line);
		// An empty line ends what is still open.
		this.#pasted = line.trim() !== '' && isUnfinishedCommand(typed) ? `${typed}\n` : '';
		if (this.#pasted !== '') {
			return {lines: []};
		}

		if (parsePastedCommand(typed)) {
			return this.#add([typed]);
		}

		const [command = '', ...words] = line.trim().split(/\s+/);
		switch (command) {
			case '':
				return {lines: []};
			case 'help':
				return {lines: commandHelp};
			case 'quit':
			case 'exit':
				return {lines: [], isOver: true};
			case 'list':
				return {lines: this.#list()};
			case 'add':
				return words.length === 0 ? {lines: ['add: which URL?']} : this.#add(words);
			case 'pause':
				await this.#downstream.pause(this.#find(words[0]).id);
				return {lines: []};
			case 'resume':
				await this.#downstream.resume(this.#find(words[0]).id);
				return {lines: []};
			case 'url':
				return {lines: [this.#find(words[0]).streamUrl]};
			case 'verify': {
				const {damaged} = await this.#downstream.verify(this.#find(words[0]).id);
				return {
					lines: [
						damaged.length === 0
							? 'every byte is as it was written'
							: 'damaged parts were found; they are missing now',
					],
				};
			}

			case 'export': {
				const {id, status} = this.#find(words[0]);
				// A path may hold blanks.
				const path = line.trim().replace(/^\S+\s+\S+\s*/, '') || './';
				const result = await this.#downstream.export(id, {path, when: 'complete'});
				const said = status === 'complete' ? 'exported' : 'will be exported, once it is complete,';
				return {lines: [`${said} to ${result.path}`]};
			}

			case 'remove': {
				const download = this.#find(words[0]);
				if (download.present > 0) {
					this.#doomed = download;
					return {lines: [`${cleanText(download.name)}: ${amount(download)} are here.`]};
				}

				return this.#remove(download, 'd');
			}

			default:
				return /^[a-z][\w+.-]*:\/\//i.test(command)
					? this.#add([command, ...words])
					: {lines: [`There is no command ${JSON.stringify(command)}; help lists them`]};
		}
	}

	async #add(words: readonly string[]): Promise<Answer> {
		const problems: string[] = [];
		await addAll(this.#downstream, words, this.#requestsOf, error => problems.push(withHint(error)));
		return {lines: problems};
	}

	async #remove(download: Download, answer: string): Promise<Answer> {
		this.#doomed = undefined;
		const letter = answer.trim().toLowerCase().slice(0, 1) || 'k';
		if (letter !== 'k' && letter !== 'd') {
			return {lines: ['Nothing was removed.']};
		}

		await this.#downstream.remove(download.id, {data: letter === 'k' ? 'keep' : 'delete', undoMs: 0});
		return {lines: []};
	}

	#list(): string[] {
		const {downloads} = this.#downstream.snapshot;
		return downloads.length === 0
			? ['no downloads']
			: downloads.map((download, index) => {
					const {state} = stateWords(download, Date.now(), true);
					const why = download.error ? [cleanText(withHint(download.error))] : [];
					const substitute = substituteOf(download)?.words ?? [];
					const number = `[${index + 1}]`;
					return [`${number} ${cleanText(download.name)}`, state, amount(download), ...why]
						.concat(substitute)
						.join('  ');
				});
	}

	#find(word: string | undefined): Download {
		const download = /^\d+$/.test(word ?? '')
			? this.#downstream.snapshot.downloads[Number(word) - 1]
			: undefined;
		if (!download) {
			throw new DownStreamError('not-found', `There is no download ${word ?? ''}; list shows their numbers`);
		}

		return download;
	}
}
