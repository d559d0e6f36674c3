// The dialog for exports: target, time, copy or move, and an existing file of the same name.
import {DownStreamError, type Download} from '../../downstream.ts';
import {cleanText, fitName} from '../../text/clean-text.ts';
import {
	choiceOf,
	createForm,
	fieldsOf,
	note,
	textItem,
	textOf,
	withItems,
	withLabel,
	withProblem,
	type Form,
	type Item,
} from '../form.ts';
import {messageOf} from '../../text/message-of.ts';
import {amount} from '../../text/status-words.ts';
import type {UiStore} from '../ui-store.ts';

/** The dialog closes after this long; a copy to another disk takes longer, and the rows show its progress. */
const longExportMs = 1000;

export class ExportDialog {
	readonly #ui: UiStore;
	/** The folder of the last export, with a separator at its end. */
	#folder: string;

	constructor(ui: UiStore, folder: string) {
		this.#ui = ui;
		this.#folder = folder;
	}

	open(targets: readonly Download[]): void {
		/** Exports that succeeded before another target met a clash. */
		const exported = new Set<string>();
		this.#ui.openDialog({
			form: exportForm(targets, this.#defaultTarget(targets)),
			onChange: (form, before) => {
				if (!hasClash(form)) {
					return form;
				}

				return textOf(form, 'to') === textOf(before, 'to') ? withClash(form) : withoutClash(form);
			},
			complete: text => this.#ui.host.completePath(text),
			onButton: (button, form) => {
				if (button === 'close') {
					this.#ui.close();
				} else {
					this.#export(targets, form, exported);
				}
			},
		});
	}

	#defaultTarget(targets: readonly Download[]): string {
		const [only] = targets;
		return this.#folder + (targets.length === 1 && only ? only.name : '');
	}

	/** Adds to `exported` and skips the downloads in it. */
	#export(targets: readonly Download[], form: Form, exported: Set<string>): void {
		const to = textOf(form, 'to').trim();
		const path = this.#pathOf(targets, to);
		const isKnownClash = hasClash(form);
		const isPartial = choiceOf(form, 'when') === 1;
		const request = {
			path,
			when: isPartial ? ('now' as const) : ('complete' as const),
			...(isPartial ? {partial: true} : {}),
			...(choiceOf(form, 'how') === 1 ? {move: true} : {}),
			...(isKnownClash ? (choiceOf(form, 'clash') === 1 ? {overwrite: true} : {keepBoth: true}) : {}),
		};
		const dialog = this.#ui.openedDialog();
		this.#ui.run(async () => {
			let last = '';
			const closing = setTimeout(() => dialog.close(), longExportMs);
			try {
				for (const {id} of targets) {
					const key = `${id} ${path}`;
					if (!exported.has(key)) {
						last = (await this.#ui.downstream.export(id, request)).path;
						exported.add(key);
					}
				}
			} catch (error) {
				const isClash = error instanceof DownStreamError && error.code === 'target-exists';
				const shown =
					isClash && !isKnownClash
						? withClash(form, await this.#ui.host.describeFile(to))
						: withProblem(form, messageOf(error));
				dialog.show(shown, error);
				return undefined;
			} finally {
				clearTimeout(closing);
			}

			dialog.close();
			this.#folder = path.slice(0, Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
			const isPlanned = !isPartial && targets.some(({status}) => status !== 'complete');
			const where = targets.length === 1 ? last : path;
			return isPlanned
				? `Will be exported when complete, to ${where}`
				: `Exported to ${where}${isPartial ? ', gaps filled with zeros' : ''}`;
		});
	}

	/** Folders end in a separator, and the engine creates them: the default folder, and any target of several files. */
	#pathOf(targets: readonly Download[], to: string): string {
		if (this.#folder !== '' && to === this.#defaultTarget(targets)) {
			return this.#folder;
		}

		const isFilePath = targets.length === 1;
		return isFilePath || /^$|[\\/]$/.test(to) ? to : `${to}/`;
	}
}

function exportForm(downloads: readonly Download[], path: string): Form {
	const [only] = downloads;
	const isOne = downloads.length === 1 && only !== undefined;
	const isComplete = downloads.every(({status}) => status === 'complete');
	const items: Item[] = [textItem('to', 'To', path)];
	if (!isComplete) {
		const now = isOne ? ` (${amount(only)} now)` : '';
		const options = [`when complete${now}`, ...(isOne ? ['now, gaps filled with zeros'] : [])];
		items.push({kind: 'choice', name: 'when', label: 'When', options, chosen: 0});
	}

	items.push({
		kind: 'choice',
		name: 'how',
		label: 'How',
		options: ['copy, and keep the download', 'move'],
		chosen: 0,
	});
	return createForm(
		isOne ? `Export ${fitName(cleanText(only.name), 52)}` : `Export ${downloads.length} downloads`,
		items,
		[
			{name: 'export', label: 'Export', key: 'e'},
			{name: 'close', label: 'Close', key: 'c'},
		],
		{hint: 'Tab completes the path   Enter export   Esc close'},
	);
}

function hasClash(form: Form): boolean {
	return fieldsOf(form).some(({name}) => name === 'clash');
}

/** Adds the choice for an existing file and names the effect on the button. `facts` identify that file. */
function withClash(form: Form, facts?: string): Form {
	const asked = fieldsOf(form).find(({name}) => name === 'clash');
	const replace = facts === undefined ? 'replace it' : `replace it (${facts})`;
	const isReplacing = choiceOf(form, 'clash') === 1;
	const items = form.items.filter(item => item.kind !== 'note' && item.name !== 'clash');
	const withChoice: Form = {
		...form,
		focus: asked ? form.focus : items.length,
		items: [
			...items,
			note('A file of this name exists:', true),
			{
				kind: 'choice',
				name: 'clash',
				label: '',
				options: asked?.kind === 'choice' ? asked.options : ['keep both', replace],
				chosen: isReplacing ? 1 : 0,
			},
		],
	};
	return withLabel(withChoice, 'export', isReplacing ? 'Replace' : 'Export');
}

/** Removes the choice: it was about another name. */
function withoutClash(form: Form): Form {
	const items = form.items.filter(item => item.kind === 'note' || item.name !== 'clash');
	return withLabel(withItems(form, items), 'export', 'Export');
}
