// Characters that a terminal obeys, or that hide in a text, written out. Pure.

/** Control, bidirectional, invisible and line-ending characters become `\u….`, one for each UTF-16 unit. */
export function escapeControls(text: string): string {
	return /[^ -~]/.test(text) ? text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, unitsOf) : text;
}

/** JSON that a terminal can show: parsers read the same values from it. */
export function safeJson(value: unknown): string {
	return escapeControls(JSON.stringify(value));
}

function unitsOf(character: string): string {
	return character
		.split('')
		.map(unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
		.join('');
}
