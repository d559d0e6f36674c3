// The palette: finds a command by words and runs it; below the commands, the meaning of the symbols.
import {padText} from '../text/clean-text.ts';
import {dialogCells, framed, type ButtonPlace, type DialogLayout, type Place} from './dialog-view.tsx';
import {entryOf, groups, plainArrows, type Entry} from './keys.ts';
import {lineCells, selectedLine, span, type Line} from './spans.tsx';
import type {Role} from './theme.ts';
import {editField, fieldSpans, type Field} from './text-field.tsx';

export type Palette = {
	readonly find: Field;
	/** Index of the marked command among the matching ones. */
	readonly at: number;
};

type PaletteAction =
	| {readonly kind: 'changed'; readonly palette: Palette}
	| {readonly kind: 'closed'}
	| {readonly kind: 'run'; readonly entry: Entry};

type Row = {readonly line: Line} | {readonly entry: Entry};

const keyCells = 11;
/** Commands that a page key skips. */
const page = 8;
const title = 'What do you want to do?';
const hint = '↑↓ move   Enter runs it   Esc close';

const words = (text: string) => span(text, 'label');
const sign = (glyphs: string, role: Role, meaning: string): Line => [
	span(glyphs, role),
	words(` ${meaning}`),
];

type Signs = {readonly heading: string; readonly items: readonly Line[]};

/** The marks and colors of the screen. The palette finds them by their words, too. */
const signs: readonly Signs[] = [
	{
		heading: 'Row symbols',
		items: [
			...['↓ downloading', '… connecting', '· queued', '~ waiting', '‖ paused', '✓ done', '✗ failed'],
			...['– stopped', '= checking', '» exporting', '! not the file, but a web page or a playlist'],
			...['▸ selected', '* marked', '►2 two players', '► 41:07 now playing', '~41:00 an estimate'],
			...['⚑ safe, or to be made safe (w)', 'by: added: the order of the list (s)'],
		].map(text => [words(text)]),
	},
	{
		heading: 'Bar colors',
		items: [
			sign('█', 'have', 'on disk'),
			sign('█', 'fresh', 'just arrived'),
			sign('█', 'ready', 'green: ready ahead of a player'),
			sign('┃', 'player', 'a player reads here'),
			sign('▌▓░', 'have', 'partly on disk'),
			sign('·', 'missing', 'missing'),
			sign('▸', 'head', 'being fetched'),
			sign('▒', 'pledged', 'purple: missing, to be made safe'),
			sign('━━', 'rest', 'complete'),
		],
	},
];
const plainSigns: readonly Signs[] = [
	{
		heading: 'Row symbols',
		items: [
			...['D downloading', '. connecting', 'Q queued', '~ waiting', 'P paused', 'C done', 'F failed'],
			...['X stopped', '= checking', 'E exporting', '! not the file, but a web page or a playlist'],
			...['> selected', '* marked', '>2 two players', '> 41:07 now playing', '~41:00 an estimate'],
			...['! safe, or to be made safe (w)', 'by: added: the order of the list (s)'],
		].map(text => [words(text)]),
	},
	{
		heading: 'Bar symbols',
		items: [
			...['# on disk', '+ - partly on disk', '. missing', '> being fetched', '| a player reads here'],
			...[': missing, to be made safe', '== complete'],
		].map(text => [words(text)]),
	},
];

function textOf(line: Line): string {
	return line.map(({text}) => text).join('');
}

/** As many per line as fit. */
function flowed(items: readonly Line[], cells: number): Line[] {
	const gap = words('   ');
	const lines: Line[] = [];
	for (const item of items) {
		const last = lines.at(-1);
		if (last && lineCells(last) + gap.text.length + lineCells(item) <= cells) {
			lines[lines.length - 1] = [...last, gap, ...item];
		} else {
			lines.push(item);
		}
	}

	return lines;
}

/** The commands whose key, group, description or alias contains all words, in the order of the groups; first one with that key. */
function matchingEntries(find: string): readonly Entry[] {
	const found = Object.entries(groups).flatMap(([group, commands]) =>
		commands.flatMap(command => {
			const entry = entryOf(command);
			const text = `${group} ${entry.shown} ${entry.help} ${entry.alias ?? ''}`;
			return hasWords(text, find) ? [entry] : [];
		}),
	);
	const isKey = (entry: Entry) => Number(entry.keys.includes(find));
	return found.toSorted((a, b) => isKey(b) - isKey(a));
}

function hasWords(text: string, find: string): boolean {
	const lower = text.toLowerCase();
	return find
		.toLowerCase()
		.split(/\s+/)
		.every(word => lower.includes(word));
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

/** Headings only without a search. */
function rowsOf(find: string, cells: number, ascii: boolean): readonly Row[] {
	const entries = matchingEntries(find);
	const shown = ascii ? plainSigns : signs;
	if (find !== '') {
		const items = shown.flatMap(({items}) => items).filter(item => hasWords(textOf(item), find));
		const found = flowed(items, cells);
		const rows: Row[] = [...entries.map(entry => ({entry})), ...found.map(line => ({line}))];
		return rows.length === 0 ? [{line: [words('No matches.')]}] : rows;
	}

	return [
		...Object.entries(groups).flatMap(([group, commands]): Row[] => [
			{line: [words(group)]},
			...entries.filter(({command}) => commands.includes(command)).map(entry => ({entry})),
		]),
		{line: []},
		...shown.flatMap(({heading, items}) => [[words(heading)], ...flowed(items, cells)].map(line => ({line}))),
	];
}

export function paletteLayout({find, at}: Palette, place: Place): DialogLayout {
	const {width, height, ascii} = place;
	const cells = dialogCells(place);
	const rows = rowsOf(find.text, cells, ascii);
	const marked = matchingEntries(find.text)[at];
	const markedRow = rows.findIndex(row => 'entry' in row && row.entry === marked);
	const isLast = rows.slice(markedRow + 1).every(row => 'line' in row);
	const room = height - 2;
	const wanted = isLast ? rows.length : markedRow + 2;
	// The marked row stays visible even if the symbols after it do not fit.
	const start = Math.max(0, Math.min(wanted - room, rows.length - room, markedRow === -1 ? 0 : markedRow));
	const visible = rows.slice(start, start + room);
	const below = rows.length - start - visible.length;
	// The box grows and shrinks at its lower edge.
	const top = Math.max(0, Math.floor((height - rowsOf('', cells, ascii).length - 2) / 2));
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
	if ('line' in row) {
		return row.line;
	}

	const {shown, help} = row.entry;
	const keys = ascii ? plainArrows(shown).replace('…', '-') : shown;
	const words = ascii ? help.replace('…', '...') : help;
	const line = [span(keys.padEnd(keyCells), 'strong'), span(padText(words, cells - keyCells - 2, {ascii}))];
	return row.entry === marked
		? [span(ascii ? '> ' : '▸ ', 'strong'), ...selectedLine(line)]
		: [span('  '), ...line];
}
