// Output of --help, for the program and for one command.
import path from 'node:path';
import {defaultStorageDir} from '../defaults.ts';
import {homeFolder} from '../home-folder.ts';
import {commands, flagsOf, usageOf, type Command, type CommandName} from './commands.ts';
import {allFlags, flagsHelp, type DefaultPaths} from './flags.ts';
import {defaultSettingsFile} from './settings-file.ts';

const usageColumn = 42;

/** Lines shared by the help and the manual page. */
export const notes = {
	summary: 'Watch a file while it downloads, and seek anywhere.',
	dashboard: 'open the dashboard; c copies the stream URL, ? shows all keys',
	ids: 'An ID is the one shown by list (a prefix is enough), its number there, or the URL.',
	urls: `
Among the URLs, @FILE reads a file of URLs and - reads standard input, one URL per line.
A curl command can replace a URL; its headers apply.`.trim(),
	instances: `
If an instance is already running on the storage folder, all commands use it. add, url, pause, resume,
cancel and safe need one; start it with downstream-tui or downstream-tui serve.
downstream-tui COMMAND --help shows the options of a command.`.trim(),
	settings: `
Most options can also be set in the settings file, by the same names, or in the environment:
DOWNSTREAM_TUI_EXPORT_DIR for --export-dir. The command line wins over the environment, the environment
over the file.`.trim(),
	help: 'show this help, or the help of a command',
	version: 'print the version',
	exitCodes: `
0 done, 1 something failed, 2 usage, 69 port taken, 70 crash,
75 the storage folder is in use by an instance that cannot be reached,
76 gave up without data (--give-up-after), 130 interrupted`.trim(),
} as const;

/** A command line and its purpose; the manual page has them too. */
export const examples: ReadonlyArray<readonly [command: string, purpose: string]> = [
	['downstream-tui https://example.com/film.mkv', 'download and watch, in the dashboard'],
	['downstream-tui get -o ~/Films/ https://example.com/film.mkv', 'download, save, exit'],
	['downstream-tui get -o - https://example.com/film.mkv | mpv -', 'stream to another program'],
	['mpv "$(downstream-tui url 1)"', 'play the first download of the list'],
];

export function help(): string {
	const usages = (Object.keys(commands) as CommandName[]).map(name => [
		usageOf(name),
		commands[name].description,
	]);
	const dashboard = ['downstream-tui [URL…]', notes.dashboard];
	return `
${notes.summary} A download manager with a built-in streaming proxy.

Examples
${examples.map(([command, purpose]) => `  ${command}\n      ${purpose}`).join('\n')}

Usage
${[dashboard, ...usages].map(([usage, description]) => `  ${usage!.padEnd(usageColumn)}  ${description}`).join('\n')}

${[notes.ids, notes.urls, notes.instances, notes.settings].map(note => indented(note)).join('\n')}

${flagsHelp(allFlags, defaultPaths())}

${end}
`;
}

export function commandHelp(name: CommandName): string {
	const {operands, description}: Command = commands[name];
	const parts = [
		`Usage\n  ${usageOf(name)}    ${description}`,
		operands.includes('ID') ? indented(notes.ids) : operands.includes('URL') ? indented(notes.urls) : '',
		flagsHelp(flagsOf(name), defaultPaths(), name),
		end,
	];
	return `\n${parts.filter(part => part !== '').join('\n\n')}\n`;
}

/** The paths of this user. */
function defaultPaths(): DefaultPaths {
	return {storage: shortened(defaultStorageDir()), config: shortened(defaultSettingsFile())};
}

/** `~` for the home folder. */
function shortened(file: string): string {
	const home = homeFolder() + path.sep;
	return file.startsWith(home) ? `~${path.sep}${file.slice(home.length)}` : file;
}

const end = `
  -h, --help                ${notes.help}
  -V, --version             ${notes.version}

Exit codes: ${notes.exitCodes}`.slice(1);

function indented(note: string): string {
	return note.replaceAll(/^/gm, '  ');
}
