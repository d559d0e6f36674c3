// The content of a dialog (fields, choices and buttons) and the effect of keys on it; pure.
import {cellsOf} from '../text/clean-text.ts';
import {editField, fieldOf, insertText, presetOf, type Field} from './text-field.tsx';

export type TextItem = {
	readonly kind: 'text';
	readonly name: string;
	readonly label: string;
	readonly field: Field;
	/** Shows one word per line, in at most this many lines. */
	readonly lines?: number;
	/** `header` shows the value after `Name:` as dots; `url` masks the password while the field has no focus. */
	readonly secret?: 'header' | 'url';
	/** Shown while the field is empty. */
	readonly placeholder?: string;
};

export type ChoiceItem = {
	readonly kind: 'choice';
	readonly name: string;
	readonly label: string;
	readonly options: readonly string[];
	readonly chosen: number;
};

type NoteItem = {
	readonly kind: 'note';
	readonly text: string;
	/** Highlighted, below a field. */
	readonly isProblem?: boolean;
	/** Below a field. */
	readonly isIndented?: boolean;
};

export type Item = TextItem | ChoiceItem | NoteItem;

type Button = {
	readonly name: string;
	readonly label: string;
	/**
	 * Presses the button while a button has the focus: a letter of the label, never one of h, j, k, l. On a choice it might
	 * belong to a text that was meant for a field.
	 */
	readonly key?: string;
};

export type Form = {
	readonly title: string;
	readonly hint: string;
	readonly items: readonly Item[];
	/** Fields off the screen. Their text still counts. */
	readonly hidden?: readonly TextItem[];
	readonly buttons: readonly Button[];
	/** Index over fields and choices first, then buttons. */
	readonly focus: number;
	/** Index of the button for Enter in a field. */
	readonly defaultButton: number;
	/** Stacks the buttons. */
	readonly isColumn?: boolean;
};

type FormAction =
	| {readonly kind: 'changed'; readonly form: Form}
	| {readonly kind: 'pressed'; readonly button: string}
	| {readonly kind: 'closed'};

/** A form with the usual hint, the focus on its first item and its first button as the default. */
export function createForm(
	title: string,
	items: readonly Item[],
	buttons: readonly Button[],
	more: Partial<Form> = {},
): Form {
	return {title, items, buttons, hint: '←→ choose   Enter   Esc close', focus: 0, defaultButton: 0, ...more};
}

/** Fields and choices: the items that take the focus. */
export function fieldsOf({items}: Form): ReadonlyArray<TextItem | ChoiceItem> {
	return items.filter(item => item.kind !== 'note');
}

export function focused(form: Form): TextItem | ChoiceItem | undefined {
	return fieldsOf(form)[form.focus];
}

/** Cells of a label, and of the sign before an option. */
export const labelCells = 12;
const signCells = 4;
/** Cells between two options on one line. */
export const optionGap = 3;

/** The options do not fit one line, so each has its own. `cells`: inside the frame of the dialog. */
export function isVertical({options}: ChoiceItem, cells: number): boolean {
	const used = options.reduce((sum, option) => sum + signCells + cellsOf(option) + optionGap, -optionGap);
	return used > cells - labelCells;
}

/** Letters that move between buttons. */
const movements: Readonly<Record<string, string>> = {h: 'left', j: 'down', k: 'up', l: 'right'};

/** Undefined for a key without a meaning in this form. `cells`: inside the frame of the dialog. */
export function pressForm(form: Form, key: string, cells: number): FormAction | undefined {
	if (key === 'escape' || key === 'ctrl+c') {
		return {kind: 'closed'};
	}

	const item = focused(form);
	const option = item?.kind === 'choice' ? chosenBy(item, key, cells) : undefined;
	if (option) {
		return {kind: 'changed', form: withItem(form, option)};
	}

	const name = item ? key : (movements[key] ?? key);
	if (name === 'tab' || name === 'shift+tab') {
		return {kind: 'changed', form: cycledFocus(form, name === 'tab' ? 1 : -1)};
	}

	if (name === 'up' || name === 'down') {
		return {kind: 'changed', form: movedFocus(form, name === 'up' ? -1 : 1)};
	}

	if (key === 'return') {
		const index = item ? form.defaultButton : form.focus - fieldsOf(form).length;
		return {kind: 'pressed', button: form.buttons[index]!.name};
	}

	if (item) {
		const field = item.kind === 'text' ? editField(item.field, key) : undefined;
		return item.kind === 'text' && field
			? {kind: 'changed', form: withItem(form, {...item, field})}
			: undefined;
	}

	if (name === 'left' || name === 'right') {
		return {kind: 'changed', form: movedFocus(form, name === 'left' ? -1 : 1)};
	}

	// A capital key needs Shift; for the others it does not matter.
	const byKey = form.buttons.find(button => button.key === key || button.key === key.toLowerCase());
	return byKey && {kind: 'pressed', button: byKey.name};
}

/** Arrows and Space choose, the vertical arrows where the options are below each other; undefined for any other key. */
function chosenBy(item: ChoiceItem, key: string, cells: number): ChoiceItem | undefined {
	const arrows = isVertical(item, cells) ? ['left', 'right', 'up', 'down'] : ['left', 'right'];
	if (key !== ' ' && !arrows.includes(key)) {
		return undefined;
	}

	const {length} = item.options;
	const isBack = key === 'left' || key === 'up';
	return {...item, chosen: (item.chosen + (isBack ? length - 1 : 1)) % length};
}

/** Pastes into the focused field. A choice or a button takes no text. */
export function pasteIntoForm(form: Form, text: string): Form {
	const item = focused(form);
	return item?.kind === 'text' ? withItem(form, {...item, field: insertText(item.field, text)}) : form;
}

function stopsOf(form: Form): number {
	return fieldsOf(form).length + form.buttons.length;
}

/** Moves the focus; it stops at both ends, the last of which may delete. */
function movedFocus(form: Form, by: 1 | -1): Form {
	return {...form, focus: Math.min(Math.max(form.focus + by, 0), stopsOf(form) - 1)};
}

/** Moves the focus and wraps around. */
export function cycledFocus(form: Form, by: 1 | -1): Form {
	const count = stopsOf(form);
	return {...form, focus: (form.focus + by + count) % count};
}

/** Replaces the field or choice of the same name. */
export function withItem(form: Form, item: TextItem | ChoiceItem): Form {
	return {
		...form,
		items: form.items.map(each => (each.kind !== 'note' && each.name === item.name ? item : each)),
	};
}

/** Relabels one button. */
export function withLabel(form: Form, name: string, label: string): Form {
	return {
		...form,
		buttons: form.buttons.map(button => (button.name === name ? {...button, label} : button)),
	};
}

/** All text fields, hidden ones included. */
export function textsOf(form: Form): readonly TextItem[] {
	return [...form.items.filter(item => item.kind === 'text'), ...(form.hidden ?? [])];
}

export function textOf(form: Form, name: string): string {
	return textsOf(form).find(each => each.name === name)?.field.text ?? '';
}

export function choiceOf(form: Form, name: string): number {
	const item = fieldsOf(form).find(each => each.name === name);
	return item?.kind === 'choice' ? item.chosen : 0;
}

export function textItem(
	name: string,
	label: string,
	text: string,
	more: Partial<Omit<TextItem, 'kind' | 'name' | 'label' | 'field'>> = {},
): TextItem {
	return {kind: 'text', name, label, field: fieldOf(text), ...more};
}

/** A text that the first typed character replaces. */
export function presetItem(name: string, label: string, text: string, placeholder = ''): TextItem {
	return {...textItem(name, label, text, {placeholder}), field: presetOf(text)};
}

/** Replaces the items. Items of the same name keep their text or choice, and the focus stays on its item or button. */
export function withItems(form: Form, items: readonly Item[], hidden: readonly TextItem[] = []): Form {
	const typed = new Map(textsOf(form).map(({name, field}) => [name, field]));
	const withTyped = (item: TextItem): TextItem => ({...item, field: typed.get(item.name) ?? item.field});
	const before = new Map(fieldsOf(form).map(item => [item.name, item]));
	const kept = items.map(item => {
		if (item.kind === 'text') {
			return withTyped(item);
		}

		const old = item.kind === 'choice' ? before.get(item.name) : undefined;
		return old?.kind === 'choice' && item.kind === 'choice'
			? {...item, chosen: Math.min(old.chosen, item.options.length - 1)}
			: item;
	});
	const name = focused(form)?.name;
	const next = {...form, items: kept, hidden: hidden.map(item => withTyped(item))};
	const fields = fieldsOf(next);
	const at = fields.findIndex(item => item.name === name);
	const buttonIndex = form.focus - fieldsOf(form).length;
	return {...next, focus: name === undefined ? fields.length + buttonIndex : Math.max(0, at)};
}

/** Width of a name in a note. */
export const nameCells = 60;

/** A line of text, or with `isProblem` an error below the fields. */
export function note(text: string, isProblem = false): NoteItem {
	return {kind: 'note', text, isProblem};
}

/** Shows one error below the fields in place of the notes there. */
export function withProblem(form: Form, problem: string): Form {
	return {...form, items: [...withoutNotes(form).items, note(problem, true)]};
}

/** Shows a line below the fields in place of the notes there. */
export function withNotice(form: Form, text: string): Form {
	return {...form, items: [...withoutNotes(form).items, {...note(text), isIndented: true}]};
}

const completionsStart = 'Tab: ';

/** Lists possible completions below the fields in place of the notes there. */
export function withCompletions(form: Form, completions: readonly string[]): Form {
	return withNotice(form, completionsStart + completions.join('  '));
}

export function showsCompletions({items}: Form): boolean {
	return items.some(item => item.kind === 'note' && item.text.startsWith(completionsStart));
}

/** Removes the notes below the fields: they are about the old text. */
export function withoutNotes(form: Form): Form {
	return {
		...form,
		items: form.items.filter(item => item.kind !== 'note' || !(item.isProblem || item.isIndented)),
	};
}
