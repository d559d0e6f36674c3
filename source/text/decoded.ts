// Percent-decoding of any text. Pure.

/** Returns a malformed text as it is. */
export function decoded(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}
