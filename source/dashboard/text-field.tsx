// An editable line of text.
import {cellsOf, cleanText, graphemesOf} from '../text/clean-text.ts';
import {span, type Span} from './spans.tsx';

/** `cursor` is an index in UTF-16 units, between two graphemes. */
export type Field = {
	readonly text: string;
	readonly cursor: number;
	/** All of the text is selected: what is typed next replaces it. */
	readonly isSelected?: boolean;
};

/**
 * UTF-16 units on each side of the cursor that are split into graphemes: more than a screen shows, and far fewer than the
 * millions of a paste, which would stop players for minutes.
 */
const mostExamined = 500;

export function fieldOf(text: string): Field {
	return {text, cursor: text.length};
}

export function presetOf(text: string): Field {
	return {...fieldOf(text), isSelected: text !== ''};
}

const removals: ReadonlySet<string> = new Set(['backspace', 'delete', 'ctrl+u', 'ctrl+k', 'ctrl+w']);

/** The field after a key press; undefined for a key without a meaning in a field. */
export function editField(field: Field, name: string): Field | undefined {
	if (field.isSelected && removals.has(name)) {
		return fieldOf('');
	}

	const {text, cursor} = field;
	const before = cursor - (graphemesOf(unitsBefore(text, cursor)).at(-1)?.length ?? 0);
	switch (name) {
		case 'left':
			return {text, cursor: before};
		case 'right':
			return {text, cursor: cursor + (graphemesOf(unitsAfter(text, cursor))[0]?.length ?? 0)};
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
			return name.length === 1 || !/^[\w+]+$/.test(name) ? insertText(field, name) : undefined;
	}
}

function unitsBefore(text: string, cursor: number): string {
	return text.slice(Math.max(0, cursor - mostExamined), cursor);
}

function unitsAfter(text: string, cursor: number): string {
	return text.slice(cursor, cursor + mostExamined);
}

/** Words end at blanks and slashes. */
function wordStart(text: string, cursor: number): number {
	const isBreak = (at: number) => /[\s/]/.test(text[at]!);
	let at = cursor;
	while (at > 0 && isBreak(at - 1)) {
		at--;
	}

	while (at > 0 && !isBreak(at - 1)) {
		at--;
	}

	return at;
}

export function insertText(field: Field, more: string): Field {
	const {text, cursor} = field.isSelected ? fieldOf('') : field;
	const clean = more.replaceAll(/[\r\n\t]+/g, ' ').replaceAll(/\p{Cc}/gu, '');
	return {text: text.slice(0, cursor) + clean + text.slice(cursor), cursor: cursor + clean.length};
}

/** Keeps the cursor visible, with as much text before it as fits. */
export function fieldSpans({text, cursor, isSelected}: Field, width: number, isFocused: boolean): Span[] {
	if (isSelected && isFocused) {
		const graphemes = graphemesOf(cleanText(unitsBefore(text, text.length)));
		return [span(fitting(graphemes.toReversed(), width).toReversed().join(''), 'selected')];
	}

	const before = graphemesOf(cleanText(unitsBefore(text, cursor)));
	const [under = ' ', ...after] = graphemesOf(cleanText(unitsAfter(text, cursor)));
	const left = fitting(before.toReversed(), width - cellsOf(under))
		.toReversed()
		.join('');
	const right = fitting(after, width - cellsOf(left + under)).join('');
	return [span(left), span(under, isFocused ? 'selected' : 'plain'), span(right)];
}

/** The start and the end of a text that is too long for any screen. */
export function shortened(text: string): string {
	return text.length > 2 * mostExamined
		? `${text.slice(0, mostExamined)}…${text.slice(-mostExamined)}`
		: text;
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
