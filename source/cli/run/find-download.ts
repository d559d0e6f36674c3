// Finds downloads by the words of the command line.
import {DownStreamError, type Download} from '../../downstream.ts';
import {withoutCredentials} from '../../engine/origin/http-source.ts';
import {cleanText} from '../../text/clean-text.ts';
import {shortId} from '../../text/format.ts';
import {maskUrl} from '../../text/mask-url.ts';

/** Each download once. Throws as `findDownload` does. */
export function findDownloads(downloads: readonly Download[], words: readonly string[]): Download[] {
	return [...new Set(words.map(word => findDownload(downloads, word)))];
}

/**
 * Finds a download by its ID, its number in the list, its URL, or an unambiguous prefix of its ID. Throws `not-found`,
 * or `bad-request` for an ambiguous word.
 */
export function findDownload(downloads: readonly Download[], word: string): Download {
	const numbered = /^[1-9]\d{0,5}$/.test(word) ? downloads[Number(word) - 1] : undefined;
	const url = urlOf(word);
	const exact = downloads.find(({id, streamUrl, item}) => [id, streamUrl, item].includes(word));
	const found = exact ?? numbered;
	if (found) {
		return found;
	}

	const matches = downloads.filter(download =>
		url === undefined ? word !== '' && download.id.startsWith(word.toLowerCase()) : download.url === url,
	);
	const [match] = matches;
	const shown = cleanText(maskUrl(word));
	if (!match) {
		throw new DownStreamError(
			'not-found',
			`no download ${shown || '""'}; the list command shows all downloads`,
		);
	}

	if (matches.length > 1) {
		const ids = matches.map(({id}) => shortId(id));
		throw new DownStreamError('bad-request', `${shown} is ambiguous: ${ids.join(', ')}`);
	}

	return match;
}

function urlOf(word: string): string | undefined {
	return /^https?:\/\//i.test(word) && URL.canParse(word) ? withoutCredentials(word).url.href : undefined;
}
