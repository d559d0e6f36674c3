// The table of commands: operands, flags and help. Completion and the manual page read it too. Pure.
import {allFlags, type FlagName} from './flags.ts';

export type Command = {
	/** `…`: one or several; `[…]`: optional; `|`: one of these words. */
	readonly operands: string;
	readonly description: string;
};

type CommandWithFlags = Command & {
	/** Accepted flags; all others are refused. */
	readonly flags: readonly FlagName[];
};

/** Locates the running instance or the stored data. */
const found: readonly FlagName[] = ['storage', 'config'];
/** Options of each URL. */
const forRequests: readonly FlagName[] = [
	...(['header', 'userAgent', 'netrc', 'proxy', 'resolveWith', 'checksum', 'connections'] as const),
];
/** Settings of a new instance. */
const forInstance: readonly FlagName[] = [
	...[...found, ...forRequests],
	...(['ca', 'insecure', 'timeout', 'maxActive', 'limitRate', 'readAhead', 'film', 'cacheSize'] as const),
	...(['keepAhead', 'next'] as const),
	...(['port', 'allowOrigin', 'openStream', 'log', 'logLevel'] as const),
];
const forScreen: readonly FlagName[] = [
	...([
		'exportDir',
		'player',
		'continue',
		'ascii',
		'si',
		'color',
		'theme',
		'mouse',
		'bell',
		'title',
		'tabProgress',
	] as const),
];
const forPlainRun: readonly FlagName[] = ['plain', 'json', 'keep', 'giveUpAfter'];
const forTarget: readonly FlagName[] = ['overwrite', 'keepBoth', 'move'];

export const commands = {
	serve: {
		operands: '[URL…]',
		description: 'run without a dashboard: plain lines, or JSON events with --json',
		flags: [...forInstance, 'onDemand', 'json', 'si'],
	},
	get: {
		operands: 'URL…',
		description: 'download, save, print each path, exit',
		flags: [
			...[...forInstance, ...forTarget],
			...(['exportDir', 'output', 'keep', 'giveUpAfter', 'onChange', 'allowHtml', 'first'] as const),
			...(['json', 'ascii', 'si'] as const),
		],
	},
	play: {
		operands: 'URL',
		description: 'add a URL and start a player on its stream',
		flags: [...forInstance, 'onDemand', 'player', 'whenSafe', 'continue', 'giveUpAfter'],
	},
	demo: {
		operands: '',
		description: 'try all features without a network',
		flags: [
			...forInstance.filter(name => !['storage', 'proxy'].includes(name)),
			...forScreen,
			'plain',
			'json',
		],
	},
	add: {
		operands: 'URL…',
		description: 'add URLs to the running instance',
		flags: [...found, ...forRequests, 'onDemand', 'name', 'paused', 'json', 'si'],
	},
	list: {
		operands: '',
		description: 'print the downloads, one per line',
		flags: [...found, 'all', 'json', 'port', 'si'],
	},
	url: {operands: 'ID', description: 'print the stream URL', flags: found},
	pause: {operands: 'ID…', description: 'pause downloads', flags: found},
	resume: {operands: 'ID…', description: 'resume downloads', flags: found},
	cancel: {operands: 'ID…', description: 'cancel downloads', flags: found},
	remove: {operands: 'ID…', description: 'remove downloads from the list', flags: [...found, 'deleteData']},
	export: {
		operands: 'ID PATH',
		description: 'save the file to PATH',
		flags: [...found, ...forTarget, 'whenComplete'],
	},
	safe: {
		operands: '[ID] AMOUNT',
		description: 'fetch 45m, 200M or all of a download first and keep it; off stops keeping it',
		flags: [...found, 'all', 'from', 'by', 'wait', 'si'],
	},
	verify: {operands: 'ID…', description: 'check stored data against its checksums', flags: found},
	completion: {operands: 'bash|zsh|fish', description: 'print a shell completion script', flags: []},
} as const satisfies Readonly<Record<string, CommandWithFlags>>;

export type CommandName = keyof typeof commands;

/** Flags without a command: the dashboard, or plain lines where it cannot be drawn. */
const forDashboard: readonly FlagName[] = [...forInstance, 'onDemand', ...forScreen, ...forPlainRun];

export function isCommand(word: string): word is CommandName {
	return Object.hasOwn(commands, word);
}

/** In the order of the table of flags. */
export function flagsOf(name: CommandName | undefined): FlagName[] {
	const own: readonly FlagName[] = name === undefined ? forDashboard : commands[name].flags;
	return allFlags.filter(flag => own.includes(flag));
}

export function usageOf(name: CommandName): string {
	return `downstream-tui ${name} ${commands[name].operands}`.trim();
}

/** The operands by position: `ID`, `PATH`. With `…` the last one repeats. */
export function operandsOf({operands}: Command): {
	readonly names: readonly string[];
	readonly isEndless: boolean;
} {
	return {names: operands.match(/[\w|]+/g) ?? [], isEndless: operands.includes('…')};
}

/** Whether the command accepts this number of words. */
export function takes(command: Command, words: readonly string[]): boolean {
	const {names, isEndless} = operandsOf(command);
	const required = command.operands.replaceAll(/\[[^\]]*\]/g, '').match(/[\w|]+/g) ?? [];
	return words.length >= required.length && (isEndless || words.length <= names.length);
}
