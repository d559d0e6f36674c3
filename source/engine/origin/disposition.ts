// The file name of a Content-Disposition header (RFC 6266), parsed as leniently as browsers do.
import {parse} from 'content-disposition';
import {utf8OrLatin1} from '../http/header-text.ts';

/** Returns the name without a path, or undefined if there is none. `filename*` takes precedence over `filename`. */
export function dispositionName(header: string | undefined): string | undefined {
	if (header === undefined) {
		return undefined;
	}

	const {parameters} = parse(repaired(header), {extended: false});
	const {filename, 'filename*': extended} = parameters as {filename?: string; 'filename*'?: string};
	const name = extendedValue(extended) ?? plainValue(filename);
	return name?.split(/[/\\]/).at(-1) || undefined;
}

/** Adds a missing type, semicolon and closing quotation mark, and escapes each `\` of a path. */
function repaired(header: string): string {
	const escaped = header.replaceAll(/\\(["\\])|\\/g, (pair, character?: string) =>
		character === undefined ? String.raw`\\` : pair,
	);
	const quotes = escaped.replaceAll(/\\./g, '').split('"').length - 1;
	const closed = quotes % 2 === 0 ? escaped : `${escaped}"`;
	// After the type a comma, or white space alone, may stand for the semicolon.
	const separated = closed.replace(/^\s*([\w-]+)(?:\s*,|\s)\s*(?=[\w-]+\*?\s*=)/, '$1; ');
	return /^[^;"]*=/.test(separated) ? `attachment; ${separated}` : separated;
}

/** RFC 8187. Some servers omit the charset, or send only the text. */
function extendedValue(value: string | undefined): string | undefined {
	const [, charset, encoded] = /^([^']*)'[^']*'(.*)$/s.exec((value ?? '').replaceAll('"', '')) ?? [];
	if (encoded === undefined) {
		return plainValue(value);
	}

	return /%(?![\dA-F]{2})/i.test(encoded) ? undefined : inCharset(unescaped(encoded), charset || 'utf-8');
}

/** Decodes MIME encoded words (RFC 2047) or percent-encoded UTF-8; otherwise returns the text itself. */
function plainValue(value: string | undefined): string | undefined {
	const bare = value?.replace(/^'(.*)'$/s, '$1');
	if (bare === undefined) {
		return undefined;
	}

	const unfolded = bare.replaceAll(/\?=[ \t]+=\?/g, '?==?');
	const decoded = unfolded.replaceAll(
		/=\?([\w-]+)(?:\*[\w-]*)?\?([bq])\?([^? ]*)\?=/gi,
		(word, charset: string, encoding: string, text: string) => {
			const bytes =
				encoding.toLowerCase() === 'b'
					? Buffer.from(text, 'base64').toString('latin1')
					: unescaped(text.replaceAll('_', ' '), '=');
			return inCharset(bytes, charset) ?? word;
		},
	);
	if (decoded !== unfolded) {
		return decoded;
	}

	const isEncoded = /%[\dA-F]{2}/i.test(bare);
	return (isEncoded ? inCharset(unescaped(bare), 'utf-8') : undefined) ?? utf8OrLatin1(bare);
}

/** Returns bytes as Latin-1. */
function unescaped(text: string, mark: '%' | '=' = '%'): string {
	return text.replaceAll(new RegExp(`${mark}([\\dA-F]{2})`, 'gi'), (_code, digits: string) =>
		String.fromCharCode(Number.parseInt(digits, 16)),
	);
}

/** Returns undefined if the bytes are invalid in the charset, or the charset is unknown. */
function inCharset(bytes: string, charset: string): string | undefined {
	try {
		return new TextDecoder(charset, {fatal: true}).decode(Buffer.from(bytes, 'latin1'));
	} catch {
		return undefined;
	}
}
