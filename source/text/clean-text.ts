// Sanitizes untrusted text for terminals, and fits it to display cells.
import stringWidth from 'string-width';

/** Fast path: nearly all text on the screen consists of these characters. */
const oneCellEach = /^[ -~·░▒▓█▁-▏─━│┃╭╮╰╯▸►↓‖✓✗»…•–↑→←]*$/;

/** Created on first use: this takes 20 ms. */
let graphemes: Intl.Segmenter | undefined;

/**
 * Returns NFC text without control characters (replaced by `�`), invisible or bidirectional characters, or graphemes
 * whose width differs between terminals: joined emoji become their first code point, flags two letters.
 */
export function cleanText(text: string): string {
	if (oneCellEach.test(text)) {
		return text;
	}

	let clean = '';
	for (const grapheme of graphemesOf(text.normalize('NFC'))) {
		clean += cleanGrapheme(grapheme);
	}

	return clean;
}

/** User-perceived characters. */
export function graphemesOf(text: string): string[] {
	graphemes ??= new Intl.Segmenter(undefined, {granularity: 'grapheme'});
	return Array.from(graphemes.segment(text), ({segment}) => segment);
}

function cleanGrapheme(segment: string): string {
	const flag = /^[\u{1F1E6}-\u{1F1FF}]+$/u.test(segment);
	if (flag) {
		return Array.from(segment, letter => String.fromCodePoint(letter.codePointAt(0)! - 0x1_f1_e6 + 65)).join(
			'',
		);
	}

	const visible = segment
		.replaceAll(/\p{Cc}/gu, '�')
		.replaceAll(/\p{Cf}|\p{Co}|\p{Cs}|\p{Zl}|\p{Zp}|\p{Variation_Selector}/gu, '');
	const joined = visible !== segment || /\p{Emoji_Modifier}/u.test(visible);
	const isEmoji = /^\p{Emoji}/u.test(visible);
	return joined && isEmoji ? String.fromCodePoint(visible.codePointAt(0)!) : visible;
}

/** Display width in columns. */
export function cellsOf(text: string): number {
	return oneCellEach.test(text) ? text.length : stringWidth(text);
}

/** The first of the texts, longest first, that fits; else the last one. */
export function firstFitting(texts: readonly string[], cells: number): string {
	return texts.find(text => cellsOf(text) <= cells) ?? texts.at(-1)!;
}

/**
 * Truncates in the middle to at most `cells` columns. The tail gets 40 % of the room, and at least `tail` columns.
 */
export function fitText(text: string, cells: number, {ascii = false, tail = 0} = {}): string {
	if (cellsOf(text) <= cells) {
		return text;
	}

	const mark = ascii ? '~' : '…';
	const room = cells - 1;
	if (room <= 0) {
		return mark.slice(0, Math.max(0, cells));
	}

	const parts = graphemesOf(text);
	const tailCells = Math.min(room - 1, Math.max(tail, Math.floor(room * 0.4)));
	let end = '';
	while (parts.length > 0 && cellsOf(parts.at(-1)! + end) <= tailCells) {
		end = parts.pop()! + end;
	}

	let start = '';
	for (const part of parts) {
		if (cellsOf(start + part) + cellsOf(end) > room) {
			break;
		}

		start += part;
	}

	return start + mark + end;
}

/** Truncates at the end to at most `cells` columns. */
export function fitStart(text: string, cells: number, {ascii = false} = {}): string {
	if (cellsOf(text) <= cells) {
		return text;
	}

	let start = '';
	for (const part of graphemesOf(text)) {
		if (cellsOf(start + part) >= cells) {
			break;
		}

		start += part;
	}

	return start.trimEnd() + (ascii ? '~' : '…');
}

/** Truncates a file name in the middle; keeps its extension and the two characters before it. */
export function fitName(name: string, cells: number, options: {ascii?: boolean} = {}): string {
	const [extension = ''] = /(?:\.tar)?\.[^.\s]{1,8}$/.exec(name) ?? [];
	return fitText(name, cells, {...options, tail: cellsOf(extension) + 2});
}

/** Truncates or pads to exactly `cells` columns. */
export function padText(
	text: string,
	cells: number,
	{align = 'left', ascii = false}: {align?: 'left' | 'right'; ascii?: boolean} = {},
): string {
	const fitted = fitText(text, cells, {ascii});
	const blanks = ' '.repeat(Math.max(0, cells - cellsOf(fitted)));
	return align === 'left' ? fitted + blanks : blanks + fitted;
}
