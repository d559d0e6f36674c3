// What the keys mean now: the list, or one thing on top of it.
import type {Form} from './form.ts';
import type {Field} from './text-field.tsx';

/** A form on the screen and what becomes of it. */
export type Dialog = {
	readonly form: Form;
	/** The form after a change of what it says, with the notes and fields that follow from that. */
	readonly renew?: (form: Form, before: Form) => Form;
	/** The form that a pasted text fills in as a whole; undefined for text of one field. */
	readonly pasted?: (text: string) => Form | undefined;
	readonly press: (button: string, form: Form) => void;
	/** It was closed without a button, or by one that closes. */
	readonly closed?: (form: Form) => void;
	/** Ways in which the text of the focused field may go on. */
	readonly complete?: (text: string) => Promise<readonly string[]>;
	/** Quit also closes it. */
	readonly isQuit?: boolean;
};

export type Mode =
	| {readonly kind: 'list'}
	| {readonly kind: 'details'}
	| {readonly kind: 'dialog'; readonly dialog: Dialog}
	/** Text to be scrolled, and searched. */
	| {
			readonly kind: 'page';
			readonly page: 'help' | 'log';
			/** Lines that were scrolled away. */
			readonly top: number;
			readonly find: string;
			readonly typing?: Field;
	  };

export const list: Mode = {kind: 'list'};
