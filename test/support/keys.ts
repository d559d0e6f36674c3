// Keys by name, as a terminal sends them.

const keys = {
	up: '\u001B[A',
	down: '\u001B[B',
	right: '\u001B[C',
	left: '\u001B[D',
	pageUp: '\u001B[5~',
	pageDown: '\u001B[6~',
	enter: '\r',
	esc: '\u001B',
	tab: '\t',
	'shift+tab': '\u001B[Z',
	backspace: '\u007F',
	space: ' ',
	'ctrl+c': '\u0003',
	'ctrl+l': '\u000C',
	'ctrl+u': '\u0015',
	'ctrl+z': '\u001A',
	wheelUp: '\u001B[<64;1;1M',
};

/** The name of a key, or the text of one read: `jjj` is three keys at once. */
export type Key = keyof typeof keys | (string & {});

/** The input a terminal sends for the key; text stands for itself. */
export function inputOf(key: Key): string {
	return Object.hasOwn(keys, key) ? keys[key as keyof typeof keys] : key;
}
