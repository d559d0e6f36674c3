// Finds downloads by the words of the command line.
import {DownStreamError, type Download, type DownloadId} from '../../downstream.ts';
import {withoutCredentials} from '../../engine/origin/http-source.ts';
import {cleanText} from '../../text/clean-text.ts';
import {shortId} from '../../text/format.ts';
import {maskUrl} from '../../text/mask-url.ts';

/** A download in the list, or one whose bytes were kept. */
export type Found = Pick<Download, 'id' | 'name' | 'present' | 'size'>;

/** Each download once. A word may be the start of an ID of the `unlisted`, too. Throws as `findDownload` does. */
export function findDownloads(
	downloads: readonly Download[],
	words: readonly string[],
	unlisted: readonly Found[] = [],
): Found[] {
	return [
		...new Set(
			words.map(word => {
				const others = unlisted.filter(({id}) => isIdOf(id, word));
				return others.length === 1 && !downloads.some(({id}) => isIdOf(id, word))
					? others[0]!
					: findDownload(downloads, word);
			}),
		),
	];
}

/**
 * Finds a download by its ID, its number in the list, its URL, or an unambiguous prefix of its ID. Throws `not-found`,
 * or `bad-request` for an ambiguous word.
 */
export function findDownload(downloads: readonly Download[], word: string): Download {
	const numbered = rowNumber.test(word) ? downloads[Number(word) - 1] : undefined;
	const url = urlOf(word);
	const exact = downloads.find(({id, streamUrl, item}) => [id, streamUrl, item].includes(word));
	const found = exact ?? numbered;
	if (found) {
		return found;
	}

	const matches = downloads.filter(download =>
		url === undefined ? isIdOf(download.id, word) : download.url === url,
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

/** Digits that no ID is shortened to are a number in the list: the number of no row must not find another download. */
const rowNumber = /^[1-9]\d{0,5}$/;

/** Shortened IDs suffice. */
function isIdOf(id: DownloadId, word: string): boolean {
	return word !== '' && !rowNumber.test(word) && id.startsWith(word.toLowerCase());
}

function urlOf(word: string): string | undefined {
	return /^https?:\/\//i.test(word) && URL.canParse(word) ? withoutCredentials(word).url.href : undefined;
}
