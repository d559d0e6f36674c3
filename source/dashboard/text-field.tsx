// An editable line of text.
import {cellsOf, cleanText, graphemesOf} from '../text/clean-text.ts';
import {span, type Span} from './spans.tsx';

/** `cursor` is an index in UTF-16 units, between two graphemes. */
export type Field = {readonly text: string; readonly cursor: number};

export function fieldOf(text: string): Field {
	return {text, cursor: text.length};
}

/** The field after a key press; undefined for a key without a meaning in a field. */
export function editField({text, cursor}: Field, name: string): Field | undefined {
	const before = cursor - (graphemesOf(text.slice(0, cursor)).at(-1)?.length ?? 0);
	switch (name) {
		case 'left':
			return {text, cursor: before};
		case 'right':
			return {text, cursor: cursor + (graphemesOf(text.slice(cursor))[0]?.length ?? 0)};
		case 'home':
		case 'ctrl+a':
			return {text, cursor: 0};
		case 'end':
		case 'ctrl+e':
			return {text, cursor: text.length};
		case 'backspace':
		case 'delete':
			// Terminals send either one for Backspace.
			return {text: text.slice(0, before) + text.slice(cursor), cursor: before};
		case 'ctrl+u':
			return {text: text.slice(cursor), cursor: 0};
		case 'ctrl+k':
			return {text: text.slice(0, cursor), cursor};
		case 'ctrl+w': {
			const start = wordStart(text, cursor);
			return {text: text.slice(0, start) + text.slice(cursor), cursor: start};
		}

		case 'ctrl+left':
			return {text, cursor: wordStart(text, cursor)};
		case 'ctrl+right':
			return {text, cursor: cursor + /^[\s/]*[^\s/]*/.exec(text.slice(cursor))![0].length};

		default:
			return name.length === 1 || !/^[\w+]+$/.test(name) ? insertText({text, cursor}, name) : undefined;
	}
}

/** Words end at blanks and slashes. */
function wordStart(text: string, cursor: number): number {
	return text.slice(0, cursor).replace(/[^\s/]*[\s/]*$/, '').length;
}

export function insertText({text, cursor}: Field, more: string): Field {
	const clean = more.replaceAll(/[\r\n\t]+/g, ' ').replaceAll(/\p{Cc}/gu, '');
	return {text: text.slice(0, cursor) + clean + text.slice(cursor), cursor: cursor + clean.length};
}

/** Keeps the cursor visible, with as much text before it as fits. */
export function fieldSpans({text, cursor}: Field, width: number, isFocused: boolean): Span[] {
	const before = graphemesOf(cleanText(text.slice(0, cursor)));
	const [under = ' ', ...after] = graphemesOf(cleanText(text.slice(cursor)));
	const left = fitting(before.toReversed(), width - cellsOf(under))
		.toReversed()
		.join('');
	const right = fitting(after, width - cellsOf(left + under)).join('');
	return [span(left), span(under, isFocused ? 'selected' : 'plain'), span(right)];
}

/** Replaces the value of a header by one dot per UTF-16 unit, so the cursor keeps its place. */
export function withDots(text: string): string {
	const [name = ''] = /^[^:]*:?/.exec(text) ?? [];
	return name + text.slice(name.length).replaceAll(/[^ ]/g, '•');
}

/** The first graphemes that fit into `cells`. */
function fitting(graphemes: readonly string[], cells: number): string[] {
	let used = 0;
	const end = graphemes.findIndex(grapheme => (used += cellsOf(grapheme)) > cells);
	return graphemes.slice(0, end === -1 ? undefined : end);
}
