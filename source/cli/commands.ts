// The one table of commands: what each is given, in the help and in completion. Pure.
import type {FlagName} from './flags.ts';

export type Command = {
	/** What comes after its name. `…`: one or several; `[…]`: none too; `|`: one of these words. */
	readonly operands: string;
	readonly description: string;
	/** The flags that it heeds, where it does not heed most of them. */
	readonly flags?: readonly FlagName[];
};

/** Where the copy that runs, or what is stored, is found. */
const found: readonly FlagName[] = ['storage', 'config'];
/** What goes with each URL. */
const forRequests: readonly FlagName[] = [
	...(['header', 'userAgent', 'netrc', 'proxy', 'resolveWith', 'checksum'] as const),
	...(['connections', 'onDemand'] as const),
];

export const commands = {
	serve: {operands: '[URL…]', description: 'no dashboard: plain lines (--json: one object per line)'},
	get: {operands: 'URL…', description: 'download to the end, export, exit'},
	play: {operands: 'URL', description: 'add it and start a player on its stream'},
	demo: {operands: '', description: 'try everything without a network'},
	add: {
		operands: 'URL…',
		description: 'hand URLs to the copy that runs',
		flags: [...found, ...forRequests, 'json'],
	},
	list: {operands: '', description: 'print the downloads, one a line', flags: [...found, 'json', 'port']},
	url: {operands: 'ID', description: 'print the stream URL', flags: [...found, 'port']},
	pause: {operands: 'ID…', description: 'pause downloads', flags: found},
	resume: {operands: 'ID…', description: 'resume downloads', flags: found},
	cancel: {operands: 'ID…', description: 'cancel downloads', flags: found},
	remove: {operands: 'ID…', description: 'take downloads off the list', flags: [...found, 'deleteData']},
	export: {operands: 'ID PATH', description: 'write the file of a download', flags: found},
	verify: {operands: 'ID…', description: 'check the bytes that are stored', flags: found},
	completion: {
		operands: 'bash|zsh|fish',
		description: 'print what completes the words of a shell',
		flags: [],
	},
} as const satisfies Readonly<Record<string, Command>>;

export type CommandName = keyof typeof commands;

export function isCommand(word: string): word is CommandName {
	return Object.hasOwn(commands, word);
}

export function usageOf(name: CommandName): string {
	return `downstream-tui ${name} ${commands[name].operands}`.trim();
}

/** What stands at each place after the name: `ID`, `PATH`. The last of a `…` is that of all further places. */
export function operandsOf({operands}: Command): {
	readonly names: readonly string[];
	readonly isEndless: boolean;
} {
	return {names: operands.match(/[\w|]+/g) ?? [], isEndless: operands.includes('…')};
}

/** Are there as many words as the command is given? */
export function takes(command: Command, words: readonly string[]): boolean {
	const {names, isEndless} = operandsOf(command);
	const least = command.operands.startsWith('[') ? 0 : names.length;
	return words.length >= least && (isEndless || words.length <= names.length);
}
