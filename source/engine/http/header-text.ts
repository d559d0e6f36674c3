// What servers do to the text of a header.

/** The value of a header that came twice with the same value: the two are joined (RFC 9110 section 5.2). */
export function onlyValue(text: string): string {
	const half = (text.length - 2) / 2;
	return text.slice(half, half + 2) === ', ' && text.slice(0, half) === text.slice(half + 2)
		? text.slice(0, half)
		: text;
}

/** Headers are read as Latin-1, and many servers write UTF-8: what is valid UTF-8 is taken for it. */
export function utf8OrLatin1(text: string): string {
	try {
		return new TextDecoder('utf-8', {fatal: true}).decode(Buffer.from(text, 'latin1'));
	} catch {
		return text;
	}
}
