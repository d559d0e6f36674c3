// One table: key → command → footer → help, so that they cannot disagree.
import type {Key} from 'ink';
import {graphemesOf} from './clean-text.ts';

export type Command =
	| 'up'
	| 'down'
	| 'page-up'
	| 'page-down'
	| 'first'
	| 'last'
	| 'open'
	| 'back'
	| 'pause'
	| 'resume'
	| 'remove'
	| 'undo'
	| 'export'
	| 'copy-stream'
	| 'copy-source'
	| 'plain-text'
	| 'add'
	| 'help'
	| 'redraw'
	| 'quit';

type Entry = {
	readonly command: Command;
	/** As a key press is called by `keyName`. */
	readonly keys: readonly string[];
	/** How help and footer call the keys. */
	readonly shown: string;
	readonly help: string;
	/** Word in the footer; those without are in the help alone. */
	readonly footer?: string;
};

export const keyTable: readonly Entry[] = [
	{command: 'up', keys: ['up', 'k'], shown: '↑ k', help: 'one up'},
	{command: 'down', keys: ['down', 'j'], shown: '↓ j', help: 'one down'},
	{command: 'page-up', keys: ['pageUp'], shown: 'PgUp', help: 'a page up'},
	{command: 'page-down', keys: ['pageDown'], shown: 'PgDn', help: 'a page down'},
	{command: 'first', keys: ['g', 'home'], shown: 'g Home', help: 'to the first'},
	{command: 'last', keys: ['G', 'end'], shown: 'G End', help: 'to the last'},
	{command: 'pause', keys: ['p'], shown: 'p', help: 'pause or resume', footer: 'pause'},
	{command: 'resume', keys: ['r'], shown: 'r', help: 'resume, or try again now', footer: 'resume'},
	{command: 'remove', keys: ['x'], shown: 'x', help: 'cancel and remove', footer: 'cancel'},
	{command: 'undo', keys: ['u'], shown: 'u', help: 'undo the removal (for 10 s)'},
	{command: 'export', keys: ['e'], shown: 'e', help: 'export the file', footer: 'export'},
	{
		command: 'copy-stream',
		keys: ['c', 'y'],
		shown: 'c',
		help: 'copy the stream URL',
		footer: 'copy URL',
	},
	{command: 'copy-source', keys: ['C', 'Y'], shown: 'C', help: 'copy the source URL'},
	{command: 'plain-text', keys: ['v'], shown: 'v', help: 'URLs and path as plain text'},
	{command: 'open', keys: ['return', 'right', 'l'], shown: 'Enter', help: 'details', footer: 'details'},
	{command: 'back', keys: ['escape', 'left', 'h'], shown: 'Esc', help: 'back'},
	{command: 'add', keys: ['a'], shown: 'a', help: 'add a URL; or just paste one', footer: 'add'},
	{command: 'help', keys: ['?'], shown: '?', help: 'these keys', footer: 'help'},
	{command: 'redraw', keys: ['ctrl+l'], shown: 'Ctrl+L', help: 'draw again'},
	{command: 'quit', keys: ['q', 'ctrl+c'], shown: 'q', help: 'quit', footer: 'quit'},
];

/** What went in by one read, as single key presses; text that is longer than fast typing is a paste. */
export function keyPresses(input: string, key: Key): {names: string[]; pasted?: string} {
	const special = specialName(key);
	if (special !== undefined) {
		return {names: [special]};
	}

	const characters = graphemesOf(input);
	const areAlike = characters.every(character => character === characters[0]);
	if (characters.length > 3 && !areAlike) {
		return {names: [], pasted: input};
	}

	return {names: characters.map(character => (key.ctrl ? `ctrl+${character}` : characterName(character)))};
}

/** Control keys that came in one read with others are not named by Ink. */
function characterName(character: string): string {
	if (character === '\r' || character === '\n') return 'return';
	if (character === '\t') return 'tab';
	const code = character.codePointAt(0)!;
	return code < 32 ? `ctrl+${String.fromCodePoint(code + 96)}` : character;
}

function specialName(key: Key): string | undefined {
	if (key.upArrow) return 'up';
	if (key.downArrow) return 'down';
	if (key.leftArrow) return 'left';
	if (key.rightArrow) return 'right';
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

/** `p pause  x cancel …`, as many as fit; what comes first in the table goes first. */
export function footerText(width: number, words: Partial<Record<Command, string | false>>): string {
	const shown = keyTable.flatMap(({command, shown, footer}) => {
		const word = words[command] ?? footer;
		return word ? [{command, text: `${shown} ${word}`}] : [];
	});
	// When it is narrow, the way to all other keys stays longest.
	const rank = (command: Command) => ['help', 'copy-stream', 'quit', 'add', 'pause'].indexOf(command) >>> 0;
	while (shown.length > 1 && shown.reduce((sum, {text}) => sum + text.length + 2, 0) > width - 1) {
		const least = shown.reduce((worst, item) => (rank(item.command) >= rank(worst.command) ? item : worst));
		shown.splice(shown.indexOf(least), 1);
	}

	return ` ${shown.map(({text}) => text).join('  ')}`;
}
