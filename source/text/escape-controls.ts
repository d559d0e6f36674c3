// Escapes characters that control a terminal or are invisible. Pure.

/** Replaces control, bidirectional, invisible and line-ending characters with `\u….`, one escape per UTF-16 unit. */
export function escapeControls(text: string): string {
	return /[^ -~]/.test(text) ? text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escapeUnits) : text;
}

/** Serializes to JSON that is safe to print on a terminal; it parses to the same value. */
export function safeJson(value: unknown): string {
	return escapeControls(JSON.stringify(value));
}

function escapeUnits(character: string): string {
	return character
		.split('')
		.map(unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
		.join('');
}
