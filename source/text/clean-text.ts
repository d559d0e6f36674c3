// Text that comes from outside, made harmless, and cut to display cells.
import stringWidth from 'string-width';

/** What nearly all of the screen is made of, so that it need not be taken apart. */
const oneCellEach = /^[ -~·░▒▓█▁-▇─│┃╭╮╰╯▸►↓‖✓✗»…•–↑→←]*$/;

/** Made when it is needed: that takes 20 ms. */
let graphemes: Intl.Segmenter | undefined;

/**
 * NFC, no control character (they become `�`), nothing invisible or bidirectional, and no grapheme whose width
 * terminals disagree on: joined emoji become their first code point, flags two letters.
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

/** What people take for characters. */
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

/** Columns on the screen. */
export function cellsOf(text: string): number {
	return oneCellEach.test(text) ? text.length : stringWidth(text);
}

/** Cut in the middle to at most `cells` columns; the tail gets 40 % of the room, and at least `tail` characters. */
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

/** Cut at the end to at most `cells` columns. */
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

/** A file name cut in the middle: its extension and two characters before it stay. */
export function fitName(name: string, cells: number, options: {ascii?: boolean} = {}): string {
	const [extension = ''] = /(?:\.tar)?\.[^.\s]{1,8}$/.exec(name) ?? [];
	return fitText(name, cells, {...options, tail: cellsOf(extension) + 2});
}

/** Exactly `cells` columns: cut or filled with blanks. */
export function padText(
	text: string,
	cells: number,
	{align = 'left', ascii = false}: {align?: 'left' | 'right'; ascii?: boolean} = {},
): string {
	const fitted = fitText(text, cells, {ascii});
	const blanks = ' '.repeat(Math.max(0, cells - cellsOf(fitted)));
	return align === 'left' ? fitted + blanks : blanks + fitted;
}
