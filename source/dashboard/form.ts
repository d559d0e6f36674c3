// What a dialog asks: fields, choices and buttons, and what keys make of them; pure.
import {editField, fieldOf, insertText, type Field} from './text-field.tsx';

export type TextItem = {
	readonly kind: 'text';
	readonly name: string;
	readonly label: string;
	readonly field: Field;
	/** One word on each line, at most so many lines. */
	readonly lines?: number;
	/** The value after `Name:` is shown as dots; a URL's password too, while it is not typed. */
	readonly secret?: 'header' | 'url';
	/** Shown while it is empty. */
	readonly placeholder?: string;
};

export type ChoiceItem = {
	readonly kind: 'choice';
	readonly name: string;
	readonly label: string;
	readonly options: readonly string[];
	readonly chosen: number;
};

export type NoteItem = {
	readonly kind: 'note';
	readonly text: string;
	/** Below a field, and to be seen. */
	readonly isProblem?: boolean;
	/** Below a field. */
	readonly isIndented?: boolean;
};

export type Item = TextItem | ChoiceItem | NoteItem;

export type Button = {readonly name: string; readonly label: string};

export type Form = {
	readonly title: string;
	readonly hint: string;
	readonly items: readonly Item[];
	/** Fields that are not shown now: what was typed in them stays, and still counts. */
	readonly hidden?: readonly TextItem[];
	/** The capital letter of a label presses it where no text is typed. */
	readonly buttons: readonly Button[];
	/** Counts the fields and choices, then the buttons. */
	readonly focus: number;
	/** The button that Enter presses in a field. */
	readonly standard: number;
	/** Below each other. */
	readonly isColumn?: boolean;
};

export type FormAction =
	| {readonly kind: 'changed'; readonly form: Form}
	| {readonly kind: 'pressed'; readonly button: string}
	| {readonly kind: 'closed'};

/** Fields and choices: what can have the focus before the buttons. */
export function fieldsOf({items}: Form): ReadonlyArray<TextItem | ChoiceItem> {
	return items.filter(item => item.kind !== 'note');
}

export function focused(form: Form): TextItem | ChoiceItem | undefined {
	return fieldsOf(form)[form.focus];
}

/** Undefined for a key that means nothing here. */
export function pressForm(form: Form, key: string): FormAction | undefined {
	if (key === 'escape' || key === 'ctrl+c') {
		return {kind: 'closed'};
	}

	const item = focused(form);
	if (key === 'tab' || key === 'down') {
		return moved(form, 1);
	}

	if (key === 'shift+tab' || key === 'up') {
		return moved(form, -1);
	}

	if (item?.kind === 'text') {
		if (key === 'return') {
			return {kind: 'pressed', button: form.buttons[form.standard]!.name};
		}

		const field = editField(item.field, key);
		return field && {kind: 'changed', form: withItem(form, {...item, field})};
	}

	if (item && (key === 'left' || key === 'right' || key === ' ')) {
		const {length} = item.options;
		const chosen = (item.chosen + (key === 'left' ? length - 1 : 1)) % length;
		return {kind: 'changed', form: withItem(form, {...item, chosen})};
	}

	if (key === 'return') {
		const index = item ? form.standard : form.focus - fieldsOf(form).length;
		return {kind: 'pressed', button: form.buttons[index]!.name};
	}

	if (key === 'left' || key === 'right') {
		return moved(form, key === 'left' ? -1 : 1);
	}

	const byLetter = form.buttons.find(({label}) => letterOf(label) === key.toLowerCase());
	return byLetter && {kind: 'pressed', button: byLetter.name};
}

/** A paste goes into the field that has the focus, else into the first. */
export function pasteIntoForm(form: Form, text: string): Form {
	const item = focused(form);
	const target = item?.kind === 'text' ? item : form.items.find(each => each.kind === 'text');
	return target ? withItem(form, {...target, field: insertText(target.field, text)}) : form;
}

/** Moves in a circle. */
function moved(form: Form, by: 1 | -1): FormAction {
	const count = fieldsOf(form).length + form.buttons.length;
	return {kind: 'changed', form: {...form, focus: (form.focus + by + count) % count}};
}

function withItem(form: Form, item: TextItem | ChoiceItem): Form {
	return {
		...form,
		items: form.items.map(each => (each.kind !== 'note' && each.name === item.name ? item : each)),
	};
}

export function letterOf(label: string): string | undefined {
	return /\p{Lu}/u.exec(label)?.[0].toLowerCase();
}

/** All fields with text, the hidden ones too. */
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

/** The same form with these items; what was typed or chosen in items of the same name stays. */
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
	// A button keeps the focus when fields come or go before it.
	const shift = form.focus - fieldsOf(form).length;
	return {...next, focus: name === undefined ? fields.length + shift : Math.max(0, at)};
}
