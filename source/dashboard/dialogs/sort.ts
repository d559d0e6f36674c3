// The dialog for the order of the list.
import {createForm} from '../form.ts';
import {sortKeys} from '../list-view.ts';
import type {UiStore} from '../ui-store.ts';

export function openSortDialog(ui: UiStore): void {
	const {sort, isReversed} = ui.state.view;
	ui.openDialog({
		form: createForm(
			`Sort by${isReversed ? ' (reversed)' : ''}`,
			[],
			sortKeys.map(({name, label, key}) => ({name, label, key})),
			{focus: sort, isColumn: true, hint: '↑↓ or a letter   Enter   Esc close'},
		),
		onButton: button => {
			ui.close();
			ui.changeView({sort: sortKeys.findIndex(({name}) => name === button)});
		},
	});
}
