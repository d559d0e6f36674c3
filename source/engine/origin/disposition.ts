// The file name of a Content-Disposition header (RFC 6266), as browsers find it in what servers send.
import {parse} from 'content-disposition';
import {utf8OrLatin1} from '../http/header-text.ts';

/** Without a path; undefined where the header gives none. `filename*` comes before `filename`. */
export function dispositionName(header: string | undefined): string | undefined {
	if (header === undefined) {
		return undefined;
	}

	const {parameters} = parse(completed(header), {extended: false});
	const {filename, 'filename*': extended} = parameters as {filename?: string; 'filename*'?: string};
	const name = extendedValue(extended) ?? plainValue(filename);
	return name?.split(/[/\\]/).at(-1) || undefined;
}

/** With the type, the semicolon after it and the last quotation mark that are missing, and with each `\` of a path escaped. */
function completed(header: string): string {
	const escaped = header.replaceAll(/\\(["\\])|\\/g, (pair, character?: string) =>
		character === undefined ? String.raw`\\` : pair,
	);
	const quotes = escaped.replaceAll(/\\./g, '').split('"').length - 1;
	const closed = quotes % 2 === 0 ? escaped : `${escaped}"`;
	// After the type a comma, or white space alone, may stand for the semicolon.
	const separated = closed.replace(/^\s*([\w-]+)(?:\s*,|\s)\s*(?=[\w-]+\*?\s*=)/, '$1; ');
	return /^[^;"]*=/.test(separated) ? `attachment; ${separated}` : separated;
}

/** RFC 8187. Some servers leave out the charset, or all but the text. */
function extendedValue(value: string | undefined): string | undefined {
	const [, charset, encoded] = /^([^']*)'[^']*'(.*)$/s.exec((value ?? '').replaceAll('"', '')) ?? [];
	if (encoded === undefined) {
		return plainValue(value);
	}

	return /%(?![\dA-F]{2})/i.test(encoded) ? undefined : inCharset(unescaped(encoded), charset || 'utf-8');
}

/** Encoded words of mail (RFC 2047), percent-encoded UTF-8, or the bytes as they are. */
function plainValue(value: string | undefined): string | undefined {
	const bare = value?.replace(/^'(.*)'$/s, '$1');
	if (bare === undefined) {
		return undefined;
	}

	const joined = bare.replaceAll(/\?=[ \t]+=\?/g, '?==?');
	const decoded = joined.replaceAll(
		/=\?([\w-]+)(?:\*[\w-]*)?\?([bq])\?([^? ]*)\?=/gi,
		(word, charset: string, encoding: string, text: string) => {
			const bytes =
				encoding.toLowerCase() === 'b'
					? Buffer.from(text, 'base64').toString('latin1')
					: unescaped(text.replaceAll('_', ' '), '=');
			return inCharset(bytes, charset) ?? word;
		},
	);
	if (decoded !== joined) {
		return decoded;
	}

	const isEncoded = /%[\dA-F]{2}/i.test(bare);
	return (isEncoded ? inCharset(unescaped(bare), 'utf-8') : undefined) ?? utf8OrLatin1(bare);
}

/** Bytes as Latin-1. */
function unescaped(text: string, mark: '%' | '=' = '%'): string {
	return text.replaceAll(new RegExp(`${mark}([\\dA-F]{2})`, 'gi'), (_code, digits: string) =>
		String.fromCharCode(Number.parseInt(digits, 16)),
	);
}

/** Undefined where the bytes are none of the charset, or nobody knows it. */
function inCharset(bytes: string, charset: string): string | undefined {
	try {
		return new TextDecoder(charset, {fatal: true}).decode(Buffer.from(bytes, 'latin1'));
	} catch {
		return undefined;
	}
}
