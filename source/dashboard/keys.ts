// One table of keys for commands, footer and palette, so they cannot disagree.
import type {Key} from 'ink';
import {graphemesOf} from '../text/clean-text.ts';

export type Command =
	| 'up'
	| 'down'
	| 'page-up'
	| 'page-down'
	| 'half-up'
	| 'half-down'
	| 'first'
	| 'last'
	| 'open'
	| 'back'
	| 'pause'
	| 'pause-all'
	| 'resume'
	| 'remove'
	| 'undo'
	| 'export'
	| 'open-folder'
	| 'copy-stream'
	| 'copy-source'
	| 'play'
	| 'seek-back'
	| 'seek-forward'
	| 'minute-back'
	| 'minute-forward'
	| 'go-to'
	| 'pause-player'
	| 'plain-text'
	| 'mark'
	| 'mark-all'
	| 'filter'
	| 'tab'
	| 'next-tab'
	| 'previous-tab'
	| 'sort'
	| 'reverse'
	| 'queue-up'
	| 'queue-down'
	| 'queue-first'
	| 'previous'
	| 'next'
	| 'new-url'
	| 'limit'
	| 'verify'
	| 'take-over'
	| 'bytes'
	| 'frames'
	| 'mouse'
	| 'log'
	| 'safe'
	| 'safe-all'
	| 'add'
	| 'help'
	| 'redraw'
	| 'suspend'
	| 'quit';

export type Entry = {
	readonly command: Command;
	/** Names from `keyPresses`. */
	readonly keys: readonly string[];
	/** The key in palette and footer. */
	readonly shown: string;
	readonly help: string;
	/** Other words for it, which the palette finds. */
	readonly alias?: string;
	/** The word in the footer; without one the key is only in the palette. */
	readonly footer?: string;
};

/** In the order of the footer. */
export const keyTable: readonly Entry[] = [
	{command: 'pause', keys: ['p'], shown: 'p', help: 'pause or resume the download', footer: 'pause'},
	{command: 'pause-all', keys: ['P'], shown: 'P', help: 'pause all downloads, or resume them'},
	{command: 'resume', keys: ['r'], shown: 'r', help: 'resume, or retry now', footer: 'resume'},
	{
		command: 'remove',
		keys: ['x', 'd', 'delete'],
		shown: 'x',
		help: 'remove',
		alias: 'delete',
		footer: 'remove',
	},
	{command: 'undo', keys: ['u'], shown: 'u', help: 'undo the last removal (within 10 s)'},
	{
		command: 'safe',
		keys: ['w'],
		shown: 'w',
		help: 'make safe: fetch a part first, and keep it',
		alias: 'offline',
	},
	{
		command: 'safe-all',
		keys: ['W'],
		shown: 'W',
		help: 'make all starts safe, or stop',
		alias: 'offline',
	},
	{command: 'export', keys: ['e'], shown: 'e', help: 'export the file', footer: 'export'},
	{command: 'open-folder', keys: ['O'], shown: 'O', help: 'open the folder of the exported file'},
	{command: 'copy-stream', keys: ['c', 'y'], shown: 'c', help: 'copy the stream URL', footer: 'copy URL'},
	{command: 'copy-source', keys: ['C', 'Y'], shown: 'C', help: 'copy the source URL'},
	{command: 'play', keys: ['o'], shown: 'o', help: 'play in mpv, VLC or another player', footer: 'play'},
	{command: 'plain-text', keys: ['v'], shown: 'v', help: 'show URLs and path as plain text to select'},
	{
		command: 'open',
		keys: ['return', 'right', 'l'],
		shown: 'Enter',
		help: 'open the details',
		footer: 'details',
	},
	{
		command: 'back',
		keys: ['escape', 'left', 'h'],
		shown: 'Esc',
		help: 'go back; clear the filter or the marks',
	},
	{command: 'mark', keys: [' '], shown: 'Space', help: 'mark', footer: 'mark'},
	{command: 'mark-all', keys: ['*'], shown: '*', help: 'mark all, or none'},
	{command: 'filter', keys: ['/'], shown: '/', help: 'filter the list by words', footer: 'filter'},
	{
		command: 'tab',
		keys: ['1', '2', '3', '4', '5', '6', '7'],
		shown: '1…7',
		help: 'show all, running, queued, …',
	},
	{command: 'next-tab', keys: ['tab'], shown: 'Tab', help: 'next tab'},
	{command: 'previous-tab', keys: ['shift+tab'], shown: 'Shift+Tab', help: 'previous tab'},
	{command: 'sort', keys: ['s'], shown: 's', help: 'sort the list', footer: 'sort'},
	{command: 'reverse', keys: ['S'], shown: 'S', help: 'reverse the order'},
	{command: 'queue-up', keys: ['K'], shown: 'K', help: 'move up in the queue'},
	{command: 'queue-down', keys: ['J'], shown: 'J', help: 'move down in the queue'},
	{command: 'queue-first', keys: ['^'], shown: '^', help: 'move to the front of the queue'},
	{command: 'up', keys: ['up', 'k'], shown: '↑ k', help: 'up'},
	{command: 'down', keys: ['down', 'j'], shown: '↓ j', help: 'down'},
	{command: 'page-up', keys: ['pageUp', 'ctrl+b'], shown: 'PgUp', help: 'page up'},
	{command: 'page-down', keys: ['pageDown', 'ctrl+f'], shown: 'PgDn', help: 'page down'},
	{command: 'half-up', keys: ['ctrl+u'], shown: 'Ctrl+U', help: 'half a page up'},
	{command: 'half-down', keys: ['ctrl+d'], shown: 'Ctrl+D', help: 'half a page down'},
	{command: 'first', keys: ['g', 'home'], shown: 'g Home', help: 'first download'},
	{command: 'last', keys: ['G', 'end'], shown: 'G End', help: 'last download'},
	{command: 'previous', keys: ['['], shown: '[', help: 'previous download'},
	{command: 'next', keys: [']'], shown: ']', help: 'next download'},
	{command: 'new-url', keys: ['U'], shown: 'U', help: 'set a new link'},
	{command: 'verify', keys: ['V'], shown: 'V', help: 'check the stored data'},
	{command: 'take-over', keys: ['R'], shown: 'R', help: 'take over from an instance that has quit'},
	{command: 'bytes', keys: ['b'], shown: 'b', help: 'show the map in bytes or in minutes'},
	{command: 'frames', keys: ['i'], shown: 'i', help: 'show frames of the film in its details'},
	{command: 'limit', keys: ['t'], shown: 't', help: 'limit the speed of one download, or of all'},
	{command: 'mouse', keys: ['M'], shown: 'M', help: 'turn the mouse on or off'},
	{command: 'log', keys: ['L'], shown: 'L', help: 'show the messages'},
	{command: 'add', keys: ['a'], shown: 'a', help: 'add a link, or just paste it', footer: 'add'},
	{command: 'help', keys: ['?', 'f1'], shown: '?', help: 'find a command', footer: 'help'},
	{command: 'redraw', keys: ['ctrl+l'], shown: 'Ctrl+L', help: 'redraw'},
	{command: 'suspend', keys: ['ctrl+z'], shown: 'Ctrl+Z', help: 'suspend (fg resumes)'},
	{
		command: 'quit',
		keys: ['q', 'ctrl+c'],
		shown: 'q',
		help: 'quit; an attached dashboard detaches',
		footer: 'quit',
	},
];

/**
 * The keys of the details while a linked player plays; they precede those of the table. Details that scroll keep the
 * vertical arrows.
 */
export function playerKeys({scrolls}: {readonly scrolls: boolean}): readonly Entry[] {
	return playerTable.filter(({keys}) => !(scrolls && (keys.includes('up') || keys.includes('down'))));
}

/** The keys of the linked player. */
export const playerTable: readonly Entry[] = [
	{command: 'seek-back', keys: ['left'], shown: '←', help: 'seek back 10 s', alias: 'jump'},
	{
		command: 'seek-forward',
		keys: ['right'],
		shown: '→',
		help: 'seek ahead 10 s',
		alias: 'jump',
		footer: '10s',
	},
	{
		command: 'minute-forward',
		keys: ['up'],
		shown: '↑',
		help: 'seek ahead a minute',
		alias: 'jump',
		footer: '1m',
	},
	{command: 'minute-back', keys: ['down'], shown: '↓', help: 'seek back a minute', alias: 'jump'},
	{
		command: 'go-to',
		keys: ['g'],
		shown: 'g',
		help: 'go to a time, or to 42% of the film',
		alias: 'jump seek watch from',
		footer: 'go to',
	},
	{
		command: 'pause-player',
		keys: [' '],
		shown: 'Space',
		help: 'pause or resume the player',
		footer: 'pause player',
	},
];

/** The footer names a key together with its opposite. */
const footerPairs: Partial<Record<Command, string>> = {'seek-forward': '←→', 'minute-forward': '↑↓'};

export function entryOf(command: Command): Entry {
	return [...keyTable, ...playerTable].find(entry => entry.command === command)!;
}

type Group = 'Watch' | 'Download' | 'Player started with o' | 'List' | 'Move' | 'Program';

/** The groups of the palette, in its order. */
export const groups: Readonly<Record<Group, readonly Command[]>> = {
	Watch: [
		'play',
		'copy-stream',
		'copy-source',
		'plain-text',
		'open',
		'frames',
		'bytes',
		'export',
		'open-folder',
	],
	Download: [
		...(['pause', 'pause-all', 'resume', 'safe', 'safe-all'] as const),
		...(['new-url', 'limit', 'verify', 'remove', 'undo'] as const),
	],
	'Player started with o': playerTable.map(({command}) => command),
	List: [
		...(['filter', 'tab', 'next-tab', 'previous-tab', 'sort', 'reverse', 'mark', 'mark-all'] as const),
		...(['queue-up', 'queue-down', 'queue-first'] as const),
	],
	Move: [
		...(['up', 'down', 'page-up', 'page-down', 'half-up', 'half-down', 'first', 'last'] as const),
		...(['previous', 'next', 'back'] as const),
	],
	Program: ['add', 'take-over', 'log', 'mouse', 'redraw', 'suspend', 'quit'],
};

/** Typed text of this length may share a read on a slow line. */
const typedLength = 12;

/** Splits one read into key presses. A link, words or a long text at once are a paste. */
export function keyPresses(input: string, key: Key): {names: string[]; pasted?: string} {
	const special = specialName(key);
	// Esc and a letter in one read look like Alt with the letter. No command uses Alt, so this is Esc; the letter was
	// meant for the screen after it. Ink reports a double Esc as Alt+Esc.
	if (key.meta && !key.escape) {
		return {names: special === undefined ? ['escape'] : []};
	}

	if (special !== undefined) {
		return {names: [special]};
	}

	// Ink does not tell function keys apart. All of them do what F1 does everywhere.
	if (input === '') {
		return {names: ['f1']};
	}

	const characters = graphemesOf(input);
	const areAlike = characters.every(character => character === characters[0]);
	const isText = characters.length > typedLength || /:\/\/|\S \S/.test(input);
	if (characters.length > 3 && !areAlike && isText) {
		return {names: [], pasted: input};
	}

	return {names: characters.map(character => (key.ctrl ? `ctrl+${character}` : characterName(character)))};
}

/** Ink does not name control keys that share a read with other keys. */
function characterName(character: string): string {
	if (character === '\r' || character === '\n') return 'return';
	if (character === '\t') return 'tab';
	const code = character.codePointAt(0)!;
	return code < 32 ? `ctrl+${String.fromCodePoint(code + 96)}` : character;
}

function specialName(key: Key): string | undefined {
	if (key.upArrow) return 'up';
	if (key.downArrow) return 'down';
	if (key.leftArrow) return key.ctrl ? 'ctrl+left' : 'left';
	if (key.rightArrow) return key.ctrl ? 'ctrl+right' : 'right';
	if (key.pageUp) return 'pageUp';
	if (key.pageDown) return 'pageDown';
	if (key.home) return 'home';
	if (key.end) return 'end';
	if (key.return) return 'return';
	if (key.escape) return 'escape';
	if (key.tab) return key.shift ? 'shift+tab' : 'tab';
	if (key.backspace) return 'backspace';
	if (key.delete) return 'delete';
	return undefined;
}

export function commandOf(name: string): Command | undefined {
	return keyTable.find(({keys}) => keys.includes(name))?.command;
}

export type FooterKey = {readonly command: Command; readonly shown: string; readonly word: string};

/** The first keys here stay longest in a narrow footer: help, then keys that solve problems. */
const footerRanks: readonly Command[] = [
	'help',
	'take-over',
	'back',
	'seek-forward',
	'go-to',
	'pause-player',
	'minute-forward',
	'copy-stream',
	'new-url',
	'resume',
	'quit',
	'add',
	'pause',
	'play',
	'remove',
	'export',
	'frames',
];

/** As many keys as fit. `words` overrides words of the table; `false` omits a key. `special` keys come first. */
export function footerKeys(
	width: number,
	words: Partial<Record<Command, string | false>>,
	special: readonly Entry[] = [],
	ascii = false,
): FooterKey[] {
	const keys = [...special, ...keyTable].flatMap(({command, shown, footer}) => {
		const word = words[command] ?? footer;
		const key = footerPairs[command] ?? shown;
		return word ? [{command, shown: ascii ? plainArrows(key) : key, word}] : [];
	});
	const rank = ({command}: FooterKey) => footerRanks.indexOf(command) >>> 0;
	while (keys.length > 1 && footerCells(keys) > width - 1) {
		const lowest = keys.reduce((lowest, key) => (rank(key) >= rank(lowest) ? key : lowest));
		keys.splice(keys.indexOf(lowest), 1);
	}

	return keys;
}

/** The arrows of a text in ASCII. */
export function plainArrows(text: string): string {
	return text
		.replaceAll('←→', 'arrows')
		.replaceAll('↑↓', 'up, down')
		.replaceAll('←', 'left')
		.replaceAll('→', 'right')
		.replaceAll('↑', 'up')
		.replaceAll('↓', 'down');
}

/** Width of the keys with two blanks after each. */
export function footerCells(keys: readonly FooterKey[]): number {
	return keys.reduce((sum, {shown, word}) => sum + shown.length + 1 + word.length + 2, 0);
}
