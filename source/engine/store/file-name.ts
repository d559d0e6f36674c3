// File names that are valid on every common file system.
import filenamify from 'filenamify';

const maxNameBytes = 255;
export const fallbackName = 'download';

/**
 * Control characters and zero-width or bidirectional controls are invisible and disguise names. Lone surrogates
 * (`\p{Cs}`) cannot occur in a URL.
 */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/**
 * Returns a name valid on every common file system: no path parts, no leading dots, no trailing dots or spaces, no
 * reserved names, no invisible characters, at most 255 bytes of UTF-8 with the extension kept, never empty.
 */
export function safeFileName(name: string): string {
	const visible = name
		.replaceAll(invisible, '')
		.normalize('NFC')
		.replace(/^[\s.]+/, '');
	const safe =
		visible === ''
			? ''
			: filenamify(visible, {replacement: '_', maxLength: maxNameBytes}).replace(/^[\s.]+|[\s.]+$/g, '');
	return safe === '' ? fallbackName : shorten(safe);
}

function shorten(name: string): string {
	if (Buffer.byteLength(name) <= maxNameBytes) {
		return name;
	}

	const [extension = ''] = /(?:\.tar)?\.[^.\s]{1,16}$/.exec(name) ?? [];
	return withEnding(name.slice(0, name.length - extension.length), extension);
}

/** Appends `ending`, and shortens `base` so that the result has at most 255 bytes. */
export function withEnding(base: string, ending: string): string {
	const room = maxNameBytes - Buffer.byteLength(ending);
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
