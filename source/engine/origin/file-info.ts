// Derives a file's name and type from the response, the URL and the first bytes.
import mime from 'mime';
import {decoded} from '../../text/decoded.ts';
import {fallbackName, safeFileName} from '../store/file-name.ts';
import {dispositionName} from './disposition.ts';

/** Types that servers send for unknown files. */
const uninformativeTypes = new Set([
	'application/octet-stream',
	'binary/octet-stream',
	'application/x-download',
	'application/force-download',
]);

/**
 * Returns a safe name from Content-Disposition (RFC 6266, RFC 8187), else the URL's last segment, else `download`.
 */
export function fileName(from: {contentDisposition?: string; url: URL; type?: string}): string {
	const stated = dispositionName(from.contentDisposition) ?? nameOfPath(from.url);
	const name = stated === undefined ? '' : safeFileName(stated);
	if (name !== '' && name !== fallbackName) {
		return name;
	}

	const type = typeOf({contentType: from.type, name: fallbackName});
	const extension = type === undefined ? null : mime.getExtension(type);
	return extension === null ? fallbackName : `${fallbackName}.${extension}`;
}

function nameOfPath({pathname}: URL): string | undefined {
	const last = pathname.split('/').findLast(segment => segment !== '');
	return last === undefined ? undefined : decoded(last);
}

/** Bytes; a larger JSON document counts as a file. */
const maxMessageBytes = 1024 * 1024;

/** True for a web page, or a short JSON document. Takes the type without parameters, and the size in bytes. */
export function isPage(type: string | undefined, size: number): boolean {
	return isWebPage(type) || (isJson(type) && size < maxMessageBytes);
}

function isWebPage(type: string | undefined): boolean {
	return type === 'text/html' || type === 'application/xhtml+xml';
}

function isJson(type: string | undefined): boolean {
	return /^(?:application|text)\/(?:[\w.-]+\+)?json$/.test(type ?? '');
}

/** True if the extension is known and not used for pages or other text. */
export function namesNoPage(name: string): boolean {
	const type = mime.getType(name) ?? '';
	const isText = isJson(type) || isWebPage(type) || /^text\/|[/+]xml$|javascript|php/.test(type);
	return type !== '' && !isText && !/\.(?:aspx?|cfm|cgi|do|jspx?|php\d?|pl)$/i.test(name);
}

/** Returns the actual type of the file `name` if its first bytes contradict `type`, else undefined. */
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

/** Detects HLS (RFC 8216 section 4.3.1.1), or DASH after an XML declaration and comments; undefined for other files. */
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

/** The type without parameters, in lower case. */
export function baseType(contentType: string | undefined): string {
	return contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** The type without parameters, in lower case. Falls back to the extension if the origin's type is uninformative. */
export function typeOf({contentType, name}: {contentType?: string; name: string}): string | undefined {
	const declared = baseType(contentType);
	const byName = mime.getType(name) ?? '';
	const isWrongText = declared === 'text/plain' && /^(?:video|audio|image)\//.test(byName);
	return [isWrongText ? '' : declared, byName].find(isInformative);
}

function isInformative(type: string): boolean {
	return /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(type) && !uninformativeTypes.has(type);
}

/** Detects the type from the first bytes (about 4 KiB suffice); undefined if unknown. */
export async function sniffType(firstBytes: Uint8Array): Promise<string | undefined> {
	const playlist = playlistType(firstBytes);
	if (playlist !== undefined) {
		return playlist;
	}

	// Loaded on demand: most origins send the type.
	const {fileTypeFromBuffer} = await import('file-type/core');
	const found = await fileTypeFromBuffer(firstBytes);
	return found?.mime;
}
