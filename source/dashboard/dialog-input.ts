// Keys, pastes and clicks for the open dialog.
import {cleanText} from '../text/clean-text.ts';
import {
	cycledFocus,
	focused,
	pasteIntoForm,
	pressForm,
	showsCompletions,
	withCompletions,
	withItem,
	withoutNotes,
	type Form,
} from './form.ts';
import type {Dialog} from './mode.ts';
import {fieldOf} from './text-field.tsx';
import type {UiStore} from './ui-store.ts';

export class DialogInput {
	readonly #ui: UiStore;

	constructor(ui: UiStore) {
		this.#ui = ui;
	}

	paste(dialog: Dialog, text: string): void {
		const filled = dialog.onPaste?.(text, dialog.form);
		if (filled) {
			this.#ui.showForm(filled);
		} else {
			this.#change(dialog, pasteIntoForm(dialog.form, text));
		}
	}

	press(dialog: Dialog, name: string): void {
		const {form} = dialog;
		if (dialog.isQuit && name === 'ctrl+c') {
			this.#ui.host.quit();
			return;
		}

		const field = focused(form);
		if (name === 'tab' && dialog.complete && field?.kind === 'text' && field.field.text !== '') {
			this.#complete(dialog, field.field.text);
			return;
		}

		const action = pressForm(form, name, this.#ui.viewport.dialog);
		switch (action?.kind) {
			case 'changed':
				this.#change(dialog, action.form);
				break;
			case 'closed':
				dialog.onClose?.(form);
				this.#ui.close();
				break;
			case 'pressed':
				this.pressButton(dialog, action.button);
				break;
			default:
		}
	}

	pressButton(dialog: Dialog, button: string): void {
		if (this.#ui.isSettled) {
			dialog.onButton(button, dialog.form);
		}
	}

	/** Shows the changed form. Notes go if a field or choice changed, not if the focus moved. */
	#change(dialog: Dialog, form: Form, completions: readonly string[] = []): void {
		if (form.items === dialog.form.items) {
			this.#ui.showForm(form);
			return;
		}

		const bare = withoutNotes(form);
		const changed = dialog.onChange?.(bare, dialog.form) ?? bare;
		this.#ui.showForm(completions.length > 0 ? withCompletions(changed, completions) : changed);
	}

	/** Completes the common start of all completions; else lists them; else moves to the next field. */
	#complete(dialog: Dialog, text: string): void {
		this.#ui.run(async () => {
			const completions = (await dialog.complete?.(text)) ?? [];
			if (this.#ui.dialog !== dialog) {
				return;
			}

			const {form} = dialog;
			const item = focused(form);
			const start = commonStart(completions);
			const names = completions.map(each => cleanText(/[^\\/]*[\\/]?$/.exec(each)![0])).slice(0, 8);
			if (item?.kind === 'text' && start.length > text.length) {
				const completed = withItem(form, {...item, field: fieldOf(start)});
				this.#change(dialog, completed, names.length > 1 ? names : []);
			} else if (names.length > 1 && !showsCompletions(form)) {
				this.#ui.showForm(withCompletions(form, names));
			} else {
				this.#ui.showForm(cycledFocus(form, 1));
			}
		});
	}
}

function commonStart(texts: readonly string[]): string {
	const [first = '', ...rest] = texts;
	let length = first.length;
	for (const text of rest) {
		while (!text.startsWith(first.slice(0, length))) {
			length--;
		}
	}

	return first.slice(0, length);
}
