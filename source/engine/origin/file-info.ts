// Name and type of a file, from what the origin says of it, its URL and its first bytes.
import mime from 'mime';
import {fallbackName, safeFileName} from '../store/file-name.ts';
import {dispositionName} from './disposition.ts';

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

/** Bytes; a larger JSON document is a file. */
const longestMessage = 1024 * 1024;

/** A web page, or a short JSON document, by its type without parameters and its size in bytes. */
export function isPage(type: string | undefined, size: number): boolean {
	return isWebPage(type) || (isJson(type) && size < longestMessage);
}

function isWebPage(type: string | undefined): boolean {
	return type === 'text/html' || type === 'application/xhtml+xml';
}

export function isJson(type: string | undefined): boolean {
	return /^(?:application|text)\/(?:[\w.-]+\+)?json$/.test(type ?? '');
}

/** Whether the extension of a name is known, and none that pages or other text have. */
export function namesNoPage(name: string): boolean {
	const type = mime.getType(name) ?? '';
	const isText = isJson(type) || isWebPage(type) || /^text\/|[/+]xml$|javascript|php/.test(type);
	return type !== '' && !isText && !/\.(?:aspx?|cfm|cgi|do|jspx?|php\d?|pl)$/i.test(name);
}

/** What a file named `name` is where its first bytes contradict `type`; undefined where they do not. */
export async function correctedType(
	name: string,
	type: string | undefined,
	firstBytes: Uint8Array,
): Promise<string | undefined> {
	const playlist = playlistType(firstBytes);
	if (playlist !== undefined) {
		return type?.endsWith('mpegurl') ? undefined : playlist;
	}

	if (!namesNoPage(name)) {
		return undefined;
	}

	const text = Buffer.from(firstBytes.subarray(0, 512)).toString('latin1');
	if (!isWebPage(type)) {
		return /^(?:\xEF\xBB\xBF)?\s*<(?:!doctype html|html|head|body)\b/i.test(text) ? 'text/html' : undefined;
	}

	// oxlint-disable-next-line no-control-regex -- these are in no text
	return /[\0-\x08\x0E-\x1A\x1C-\x1F]/.test(text)
		? ((await sniffType(firstBytes)) ?? mime.getType(name) ?? undefined)
		: undefined;
}

/** HLS (RFC 8216 section 4.3.1.1) or DASH, behind a declaration and comments of XML; undefined for any other file. */
function playlistType(firstBytes: Uint8Array): string | undefined {
	const text = Buffer.from(firstBytes.subarray(0, 4096))
		.toString('latin1')
		.replace(/^\xEF\xBB\xBF/, '');
	if (/^\s*#EXTM3U(?:\s|$)/.test(text)) {
		return 'application/vnd.apple.mpegurl';
	}

	return /^\s*(?:<\?(?:(?!\?>)[^])*\?>\s*|<!--(?:(?!-->)[^])*-->\s*)*<(?:\w+:)?MPD[\s>]/.test(text)
		? 'application/dash+xml'
		: undefined;
}

/** Without parameters, in lower case. */
export function baseType(contentType: string | undefined): string {
	return contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** Without parameters, in lower case; where the origin says nothing useful, what the extension says, if anything. */
export function typeOf({contentType, name}: {contentType?: string; name: string}): string | undefined {
	const said = baseType(contentType);
	const byName = mime.getType(name) ?? '';
	const isWrongText = said === 'text/plain' && /^(?:video|audio|image)\//.test(byName);
	return [isWrongText ? '' : said, byName].find(isUseful);
}

function isUseful(type: string): boolean {
	return /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(type) && !useless.has(type);
}

/** What the first bytes of a file show it to be (about 4 KiB are enough); undefined if nothing is known of them. */
export async function sniffType(firstBytes: Uint8Array): Promise<string | undefined> {
	const playlist = playlistType(firstBytes);
	if (playlist !== undefined) {
		return playlist;
	}

	// Loaded when it is needed: most origins tell the type.
	const {fileTypeFromBuffer} = await import('file-type');
	const found = await fileTypeFromBuffer(firstBytes);
	return found?.mime;
}
