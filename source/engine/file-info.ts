// Name and type of a file, from what the origin says of it, its URL and its first bytes.
import filenamify from 'filenamify';
import mime from 'mime';
import {dispositionName} from './disposition.ts';

const longestName = 255;
/** What servers say of files that they know nothing of. */
const useless = new Set([
	'application/octet-stream',
	'binary/octet-stream',
	'application/x-download',
	'application/force-download',
]);

/** A safe name: from Content-Disposition (RFC 6266, RFC 8187), else the URL's last segment, else `download`. */
export function fileName(from: {contentDisposition?: string; url: URL; type?: string}): string {
	const given = dispositionName(from.contentDisposition) ?? nameOfPath(from.url);
	const name = given === undefined ? '' : safeFileName(given);
	if (name !== '' && name !== fallbackName) {
		return name;
	}

	const type = typeOf({contentType: from.type, name: fallbackName});
	const extension = type === undefined ? null : mime.getExtension(type);
	return extension === null ? fallbackName : `${fallbackName}.${extension}`;
}

const fallbackName = 'download';

function nameOfPath({pathname}: URL): string | undefined {
	const last = pathname.split('/').findLast(segment => segment !== '');
	if (last === undefined) {
		return undefined;
	}

	try {
		return decodeURIComponent(last);
	} catch {
		return last;
	}
}

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

/** By its type, without parameters and in lower case. */
export function isWebPage(type: string | undefined): boolean {
	return type === 'text/html' || type === 'application/xhtml+xml';
}

/** Whether the extension of a name is known, and none of those that web pages have. */
export function namesOtherThanPage(name: string): boolean {
	const type = mime.getType(name);
	return type !== null && !isWebPage(type) && !/\.(?:aspx?|cfm|cgi|do|jspx?|php\d?|pl)$/i.test(name);
}

/** Without parameters, in lower case; where the origin says nothing useful, what the extension says, if anything. */
export function typeOf({contentType, name}: {contentType?: string; name: string}): string | undefined {
	const said = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
	const byName = mime.getType(name) ?? '';
	const isWrongText = said === 'text/plain' && /^(?:video|audio|image)\//.test(byName);
	return [isWrongText ? '' : said, byName].find(isUseful);
}

function isUseful(type: string): boolean {
	return /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(type) && !useless.has(type);
}

/** What the first bytes of a file show it to be (about 4 KiB are enough); undefined if nothing is known of them. */
export async function sniffType(firstBytes: Uint8Array): Promise<string | undefined> {
	// Loaded when it is needed: most origins tell the type.
	const {fileTypeFromBuffer} = await import('file-type');
	const found = await fileTypeFromBuffer(firstBytes);
	return found?.mime;
}
