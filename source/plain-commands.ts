// Typed commands for the plain mode on a terminal: everything can be done without a screen that is drawn.
import {cleanText} from './dashboard/clean-text.ts';
import {amount, stateWords} from './dashboard/state-words.ts';
import {DownStreamError, type Download, type DownStream} from './downstream.ts';
import type {PlainLines} from './plain-lines.ts';

export const commandHelp = [
	'list                 the downloads with their numbers',
	'add URL...           add downloads',
	'pause N, resume N    N is a number of the list',
	'url N                the stream URL',
	'export N PATH        when it is complete',
	'verify N             check what is on the disk',
	'remove N             asks what becomes of the data',
	'help, quit',
];

type Answer = {readonly lines: readonly string[]; readonly isOver?: boolean};

export class PlainCommands {
	readonly #downstream: DownStream;
	readonly #lines: PlainLines;
	/** The download that is to be removed, once it is said what becomes of its data. */
	#doomed: Download | undefined;

	constructor(downstream: DownStream, lines: PlainLines) {
		this.#downstream = downstream;
		this.#lines = lines;
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
			return {lines: [error instanceof Error ? error.message : String(error)]};
		}
	}

	async #run(line: string): Promise<Answer> {
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
				for (const url of words) {
					await this.#downstream.add({url});
				}

				return {lines: words.length === 0 ? ['add: which URL?'] : []};
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
				return {lines: [`There is no command ${JSON.stringify(command)}; help lists them`]};
		}
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
			: downloads.map(download => {
					const {state} = stateWords(download, Date.now(), true);
					const why = download.error ? [cleanText(download.error.message)] : [];
					const number = `[${this.#lines.numberOf(download.id)}]`;
					return [`${number} ${cleanText(download.name)}`, state, amount(download), ...why].join('  ');
				});
	}

	#find(word: string | undefined): Download {
		const id = /^\d+$/.test(word ?? '') ? this.#lines.idOf(Number(word)) : undefined;
		const download = this.#downstream.snapshot.downloads.find(each => each.id === id);
		if (!download) {
			throw new DownStreamError('not-found', `There is no download ${word ?? ''}; list shows their numbers`);
		}

		return download;
	}
}
