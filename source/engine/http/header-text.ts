// Repairs header values that servers send in irregular forms.

/**
 * Reduces a header that was sent twice with the same value, and so was joined by a comma (RFC 9110 section 5.2), to
 * that value.
 */
export function withoutDuplicate(text: string): string {
	const half = (text.length - 2) / 2;
	return text.slice(half, half + 2) === ', ' && text.slice(0, half) === text.slice(half + 2)
		? text.slice(0, half)
		: text;
}

/** Header values are parsed as Latin-1, but many servers send UTF-8: valid UTF-8 is decoded as such. */
export function utf8OrLatin1(text: string): string {
	try {
		return new TextDecoder('utf-8', {fatal: true}).decode(Buffer.from(text, 'latin1'));
	} catch {
		return text;
	}
}
