// A line of text being typed.
import {Text} from 'ink';
import {cellsOf} from './clean-text.ts';

export type Field = {readonly text: string; readonly cursor: number};

export function fieldOf(text: string): Field {
	return {text, cursor: text.length};
}

/** What a key press makes of it; undefined if it is none of the field's keys. */
export function editField({text, cursor}: Field, name: string): Field | undefined {
	switch (name) {
		case 'left':
			return {text, cursor: Math.max(0, cursor - 1)};
		case 'right':
			return {text, cursor: Math.min(text.length, cursor + 1)};
		case 'home':
		case 'ctrl+a':
			return {text, cursor: 0};
		case 'end':
		case 'ctrl+e':
			return {text, cursor: text.length};
		case 'backspace':
		case 'delete':
			// Terminals send either for the key that deletes backwards.
			return {
				text: text.slice(0, Math.max(0, cursor - 1)) + text.slice(cursor),
				cursor: Math.max(0, cursor - 1),
			};
		case 'ctrl+u':
			return {text: text.slice(cursor), cursor: 0};
		case 'ctrl+w': {
			const start = text.slice(0, cursor).replace(/[^\s/]*[\s/]*$/, '');
			return {text: start + text.slice(cursor), cursor: start.length};
		}

		default:
			return name.length === 1 || !/^[\w+]+$/.test(name) ? insertText({text, cursor}, name) : undefined;
	}
}

export function insertText({text, cursor}: Field, more: string): Field {
	const clean = more.replaceAll(/[\r\n\t]+/g, ' ').replaceAll(/\p{Cc}/gu, '');
	return {text: text.slice(0, cursor) + clean + text.slice(cursor), cursor: cursor + clean.length};
}

/** Scrolls so that the cursor is seen. */
export function FieldText({field: {text, cursor}, width}: {field: Field; width: number}) {
	let start = 0;
	while (cellsOf(text.slice(start, cursor)) >= width) {
		start++;
	}

	let end = text.length;
	while (cellsOf(text.slice(start, end)) > Math.max(1, width - (cursor >= end ? 1 : 0))) {
		end--;
	}

	return (
		<Text>
			{text.slice(start, cursor)}
			<Text inverse>{text[cursor] ?? ' '}</Text>
			{text.slice(cursor + 1, end)}
		</Text>
	);
}
