// File names that every common file system takes.
import filenamify from 'filenamify';

const longestName = 255;
export const fallbackName = 'download';

/**
 * Control characters, zero-width and bidirectional controls: invisible, and they make names lie. Halves of characters
 * (`\p{Cs}`) can be in no URL.
 */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/**
 * A name that every common file system takes: no path parts, no leading dots or trailing dots and spaces, no
 * reserved names, nothing invisible, at most 255 bytes of UTF-8 with the extension kept, never empty.
 */
export function safeFileName(name: string): string {
	const visible = name
		.replaceAll(invisible, '')
		.normalize('NFC')
		.replace(/^[\s.]+/, '');
	const safe =
		visible === ''
			? ''
			: filenamify(visible, {replacement: '_', maxLength: longestName}).replace(/^[\s.]+|[\s.]+$/g, '');
	return safe === '' ? fallbackName : shorten(safe);
}

function shorten(name: string): string {
	if (Buffer.byteLength(name) <= longestName) {
		return name;
	}

	const [extension = ''] = /(?:\.tar)?\.[^.\s]{1,16}$/.exec(name) ?? [];
	return withEnding(name.slice(0, name.length - extension.length), extension);
}

/** `base` with `ending`, and so much shorter that both are at most 255 bytes. */
export function withEnding(base: string, ending: string): string {
	const room = longestName - Buffer.byteLength(ending);
	if (Buffer.byteLength(base) <= room) {
		return base + ending;
	}

	let short = '';
	for (const {segment} of new Intl.Segmenter().segment(base)) {
		if (Buffer.byteLength(short) + Buffer.byteLength(segment) > room) {
			break;
		}

		short += segment;
	}

	return short.replace(/[\s.]+$/, '') + ending;
}
