// Expands the URLs of the command line: `@FILE` stands for the URLs in a file, `-` for those on standard input.
import {createReadStream} from 'node:fs';
import process from 'node:process';
import {DownStreamError} from '../downstream.ts';
import {maskUrl} from '../text/mask-url.ts';
import {isUnfinishedCommand, parsePastedCommand} from './pasted-command.ts';

/** A film in place of a list would fill the memory. */
const maxListBytes = 64 * 1024 * 1024;

/** Where lists name their URLs, for errors: `Standard input, line 3`, by URL. */
export type Places = Map<string, string>;

/** Records the `places` of URLs in lists. Rejects with `bad-request` for a file that is unreadable or too large. */
export async function expandUrls(
	words: readonly string[],
	input: AsyncIterable<Uint8Array> = process.stdin,
	places: Places = new Map(),
): Promise<string[]> {
	let urls: string[] = [];
	let isRead = false;
	const read = async (list: AsyncIterable<Uint8Array>, name: string) => {
		const entries = entriesIn(await textOf(list, name));
		for (const {url, line} of entries) {
			places.set(url, `${name}, line ${line}`);
		}

		urls = urls.concat(entries.map(({url}) => url));
	};
	for (const word of words) {
		if (word.startsWith('@')) {
			await read(createReadStream(word.slice(1)), word);
		} else if (word !== '-') {
			urls.push(word);
		} else if (!isRead) {
			isRead = true;
			await read(input, 'Standard input');
		}
	}

	return urls;
}

async function textOf(list: AsyncIterable<Uint8Array>, name: string): Promise<string> {
	const chunks: Uint8Array[] = [];
	let size = 0;
	try {
		for await (const chunk of list) {
			size += chunk.length;
			if (size > maxListBytes) {
				throw new DownStreamError('bad-request', `${name}: larger than 64 MiB, so not a list of URLs`);
			}

			chunks.push(chunk);
		}
	} catch (error) {
		throw error instanceof DownStreamError
			? error
			: new DownStreamError('bad-request', `${name}: the file cannot be read`, {cause: error});
	}

	return decodeText(Buffer.concat(chunks));
}

/** Decodes UTF-8, or UTF-16 with or without a byte order mark, which editors and shells of Windows write. */
export function decodeText(bytes: Uint8Array): string {
	const [first, second] = bytes;
	const isLittle = (first === 0xff && second === 0xfe) || second === 0;
	const isBig = (first === 0xfe && second === 0xff) || first === 0;
	return new TextDecoder(isBig ? 'utf-16be' : isLittle ? 'utf-16le' : 'utf-8').decode(bytes);
}

/**
 * Reads one URL per line; a pasted command may span several lines. A `#` starts a comment line. As in aria2's input files,
 * indented lines `name=value` are options of the URL above.
 */
export function urlsIn(text: string): string[] {
	return entriesIn(text).map(({url}) => url);
}

/** Each with the number of its first line. */
function entriesIn(text: string): Array<{url: string; readonly line: number}> {
	const entries: Array<{url: string; readonly line: number}> = [];
	let command = '';
	let first = 0;
	for (const [index, line] of text.split(/\r\n|[\r\n]/).entries()) {
		const trimmed = line.trim();
		const above = asCommand(entries.at(-1)?.url);
		if (command !== '') {
			command += `\n${line}`;
		} else if (above !== undefined && /^\s+[a-z][a-z\d-]*=/.test(line)) {
			entries.at(-1)!.url = `${above} ${quoted(`--${trimmed}`)}`;
		} else if (trimmed !== '' && !trimmed.startsWith('#')) {
			command = line;
			first = index + 1;
		}

		if (command !== '' && !isUnfinishedCommand(command)) {
			entries.push({url: command.trim(), line: first});
			command = '';
		}
	}

	return command === '' ? entries : [...entries, {url: command.trim(), line: first}];
}

/** Turns the URL into a command that can take options; undefined for anything else. */
function asCommand(url: string | undefined): string | undefined {
	if (url === undefined || url.startsWith('aria2c ')) {
		return url;
	}

	return /^https?:\S+$/i.test(url) ? `aria2c ${quoted(url)}` : undefined;
}

/** Quotes a word for a POSIX shell. */
function quoted(word: string): string {
	return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** Throws `bad-request` if no word is a URL. Otherwise adding the words reports each invalid one. */
export function checkUrls(words: readonly string[], places: Places = new Map()): void {
	const [first] = words;
	if (first !== undefined && !words.some(word => mayBeUrl(word))) {
		const meant = urlMeantBy(first);
		const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
		const problem = isWebUrl.test(first)
			? 'is not a valid URL, such as https://example.com/film.mkv'
			: 'is not a URL that begins with http:// or https://';
		const place = places.has(first) ? `${places.get(first)}: ` : '';
		throw new DownStreamError('bad-request', `${place}${JSON.stringify(shownUrl(first))} ${problem}${hint}`);
	}
}

/** The URL of `example.com/film.mkv`; undefined for a word that does not begin with a host, or may hold a password. */
export function urlMeantBy(word: string): string | undefined {
	const isHostAndPath = /^(?:localhost|(?:[a-z\d-]+\.)+[a-z\d-]+)(?::\d+)?\/[^@\s]*$/i.test(word);
	const url = `https://${word}`;
	return isHostAndPath && URL.canParse(url) ? maskUrl(url) : undefined;
}

const isWebUrl = /^https?:\/\//i;

/** A word with blanks may be an unknown command. */
function mayBeUrl(word: string): boolean {
	return isWebUrl.test(word) ? URL.canParse(word) : /\s/.test(word) || parsePastedCommand(word) !== undefined;
}

/** Masks passwords, also in a word that is not a URL. */
export function shownUrl(word: string): string {
	return maskUrl(word.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, '$1***@'));
}
