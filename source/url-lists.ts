// URLs of the command line, where `@FILE` stands for those in a file and `-` for those on standard input.
import {readFile} from 'node:fs/promises';
import process from 'node:process';
import {text} from 'node:stream/consumers';
import {DownStreamError} from './downstream.ts';
import {maskUrl} from './mask-url.ts';

/** Rejects with `bad-request` for a file that cannot be read. */
export async function expandUrls(
	words: readonly string[],
	input: AsyncIterable<Uint8Array> & NodeJS.ReadableStream = process.stdin,
): Promise<string[]> {
	const urls: string[] = [];
	let isRead = false;
	for (const word of words) {
		if (word.startsWith('@')) {
			const file = word.slice(1);
			const lines = await readFile(file, 'utf8').catch((error: unknown) => {
				throw new DownStreamError('bad-request', `@${file}: the file cannot be read`, {cause: error});
			});
			urls.push(...urlsIn(lines));
		} else if (word !== '-') {
			urls.push(word);
		} else if (!isRead) {
			isRead = true;
			urls.push(...urlsIn(await text(input)));
		}
	}

	return urls;
}

/** One on each line, which may be a curl command and go on after a `\\`; lines that begin with `#` are none. */
function urlsIn(lines: string): string[] {
	return lines
		.replace(/^\uFEFF/, '')
		.replaceAll(/\\\r?\n/g, ' ')
		.split(/\r?\n/)
		.map(line => line.trim())
		.filter(line => line !== '' && !line.startsWith('#'));
}

/** Throws `bad-request` if nothing can be fetched of what was given; where something can, the others are told later. */
export function checkUrls(words: readonly string[]): void {
	const [first] = words;
	if (first !== undefined && !words.some(word => mayBeUrl(word))) {
		throw new DownStreamError(
			'bad-request',
			`${JSON.stringify(shownUrl(first))} is not a URL that begins with http:// or https://`,
		);
	}
}

/** A word with blanks may be a curl command. */
function mayBeUrl(word: string): boolean {
	return /^https?:\/\//i.test(word) ? URL.canParse(word) : /\s/.test(word);
}

/** Without passwords, also where the word is no URL. */
export function shownUrl(word: string): string {
	return maskUrl(word.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, '$1***@'));
}
