// The mode decides the meaning of keys: the list or the details, or one thing above them.
import type {Form} from './form.ts';
import type {Palette} from './palette.ts';
import type {Field} from './text-field.tsx';

/** A form on the screen with its behavior. */
export type Dialog = {
	readonly form: Form;
	/** Updates notes and dependent fields after a change of fields or choices. */
	readonly onChange?: (form: Form, before: Form) => Form;
	/** The form with the pasted text; undefined if the text belongs in the focused field. */
	readonly onPaste?: (text: string, form: Form) => Form | undefined;
	readonly onButton: (button: string, form: Form) => void;
	/** Called on Esc or Ctrl+C, not for a button. */
	readonly onClose?: (form: Form) => void;
	/** Completions of the focused field's text. */
	readonly complete?: (text: string) => Promise<readonly string[]>;
	/** Ctrl+C quits instead of closing the dialog. */
	readonly isQuit?: boolean;
};

export type Mode =
	| {readonly kind: 'list'}
	| {readonly kind: 'details'}
	| {readonly kind: 'dialog'; readonly dialog: Dialog}
	| {readonly kind: 'palette'; readonly palette: Palette}
	/** The messages, to scroll and search. */
	| {
			readonly kind: 'messages';
			/** Scroll offset in lines. */
			readonly top: number;
			readonly find: string;
			readonly typing?: Field;
	  };

export const list: Mode = {kind: 'list'};
export const details: Mode = {kind: 'details'};
