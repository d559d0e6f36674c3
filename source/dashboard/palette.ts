// The palette: finds a command by words and runs it; below the commands, the meaning of the symbols.
import {padText} from '../text/clean-text.ts';
import {dialogCells, framed, type ButtonPlace, type DialogLayout, type Place} from './dialog-view.tsx';
import {entryOf, groups, plainArrows, type Entry} from './keys.ts';
import {selectedLine, span, type Line} from './spans.tsx';
import {editField, fieldSpans, type Field} from './text-field.tsx';

export type Palette = {
	readonly find: Field;
	/** Index of the marked command among the matching ones. */
	readonly at: number;
};

export type PaletteAction =
	| {readonly kind: 'changed'; readonly palette: Palette}
	| {readonly kind: 'closed'}
	| {readonly kind: 'run'; readonly entry: Entry};

type Row = {readonly text: string} | {readonly entry: Entry};

const keyCells = 11;
/** Commands that a page key skips. */
const page = 8;
const title = 'What do you want to do?';
const hint = '↑↓ move   Enter runs it   Esc close';

const signs = [
	'↓ downloading   ‖ paused   · queued   ~ waiting   » exporting',
	'= checking   ✓ done   ✗ failed   ►n players   * marked',
	'█ here   ▌▓ part of it   · missing   ▸ being fetched',
	'┃ a player reads here; green: ready ahead of it',
	'▒ missing, to be made safe   ⚑ safe, or to be made safe',
];
const plainSigns = [
	'D downloading   P paused   Q queued   W waiting   E exporting',
	'= checking   C done   F failed   >n players   * marked',
	'# here   + - part of it   . missing   > being fetched',
	'| a player reads here',
	': missing, to be made safe   ! safe, or to be made safe',
];

/** The commands whose key, group, description or alias contains all words, in the order of the groups; first one with that key. */
export function matchingEntries(find: string): readonly Entry[] {
	const words = find.toLowerCase().split(/\s+/).filter(Boolean);
	const found = Object.entries(groups).flatMap(([group, commands]) =>
		commands.flatMap(command => {
			const entry = entryOf(command);
			const text = `${group} ${entry.shown} ${entry.help} ${entry.alias ?? ''}`.toLowerCase();
			return words.every(word => text.includes(word)) ? [entry] : [];
		}),
	);
	const isKey = (entry: Entry) => Number(entry.keys.includes(find));
	return found.toSorted((a, b) => isKey(b) - isKey(a));
}

/** Undefined for a key without a meaning here. */
export function pressPalette({find, at}: Palette, name: string): PaletteAction | undefined {
	const entries = matchingEntries(find.text);
	const to = (index: number): PaletteAction => ({
		kind: 'changed',
		palette: {find, at: Math.max(0, Math.min(index, entries.length - 1))},
	});
	switch (name) {
		case 'escape':
		case 'ctrl+c':
		case 'f1':
			return {kind: 'closed'};
		case 'up':
			return to(at === 0 ? Infinity : at - 1);
		case 'down':
			return to(at === entries.length - 1 ? 0 : at + 1);
		case 'pageUp':
			return to(at - page);
		case 'pageDown':
			return to(at + page);
		case 'return': {
			const entry = entries[at];
			return entry && {kind: 'run', entry};
		}

		default: {
			const field = editField(find, name);
			return field && {kind: 'changed', palette: {find: field, at: 0}};
		}
	}
}

/** Headings and symbols only without a search. */
function rowsOf(find: string, ascii: boolean): readonly Row[] {
	const entries = matchingEntries(find);
	if (find !== '') {
		return entries.length === 0 ? [{text: 'No matches.'}] : entries.map(entry => ({entry}));
	}

	return [
		...Object.entries(groups).flatMap(([group, commands]): Row[] => [
			{text: group},
			...entries.filter(({command}) => commands.includes(command)).map(entry => ({entry})),
		]),
		{text: ''},
		...(ascii ? plainSigns : signs).map(text => ({text})),
	];
}

export function paletteLayout({find, at}: Palette, place: Place): DialogLayout {
	const {width, height, ascii} = place;
	const cells = dialogCells(place);
	const rows = rowsOf(find.text, ascii);
	const marked = matchingEntries(find.text)[at];
	const markedRow = rows.findIndex(row => 'entry' in row && row.entry === marked);
	const isLast = rows.slice(markedRow + 1).every(row => 'text' in row);
	const room = height - 2;
	const wanted = isLast ? rows.length : markedRow + 2;
	// The marked row stays visible even if the symbols after it do not fit.
	const start = Math.max(0, Math.min(wanted - room, rows.length - room, markedRow === -1 ? 0 : markedRow));
	const visible = rows.slice(start, start + room);
	const below = rows.length - start - visible.length;
	// The box grows and shrinks at its lower edge.
	const top = Math.max(0, Math.floor((height - rowsOf('', ascii).length - 2) / 2));
	const left = Math.floor((width - cells - 4) / 2);
	const heading = [span(`${title}  `, 'strong'), ...fieldSpans(find, cells - title.length - 4, true)];
	return {
		lines: framed(
			heading,
			visible.map(row => rowLine(row, marked, cells, ascii)),
			(ascii ? plainArrows(hint) : hint) + (below > 0 ? `   ${below} more below` : ''),
			cells,
			ascii,
		),
		top,
		left,
		cells: cells + 4,
		buttons: visible.flatMap((row, index): ButtonPlace[] =>
			'entry' in row ? [{name: row.entry.command, row: top + 1 + index, left, right: left + cells + 4}] : [],
		),
	};
}

function rowLine(row: Row, marked: Entry | undefined, cells: number, ascii: boolean): Line {
	if ('text' in row) {
		return [span(row.text, 'label')];
	}

	const {shown, help} = row.entry;
	const keys = ascii ? plainArrows(shown).replace('…', '-') : shown;
	const words = ascii ? help.replace('…', '...') : help;
	const line = [span(keys.padEnd(keyCells), 'strong'), span(padText(words, cells - keyCells - 2, {ascii}))];
	return row.entry === marked
		? [span(ascii ? '> ' : '▸ ', 'strong'), ...selectedLine(line)]
		: [span('  '), ...line];
}
