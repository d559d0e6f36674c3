// The manual page, from the same tables as the help; the build writes it. Pure.
import {commands, usageOf, type CommandName} from './commands.ts';
import {describedFlag, flagGroups, flags, optionOf, type DefaultPaths, type Flag} from './flags.ts';
import {examples, notes} from './help.ts';

/** The page is read on a different machine from the one it is built on. */
const defaultPaths: DefaultPaths = {storage: 'see FILES', config: 'see FILES'};

const environment: ReadonlyArray<readonly [variable: string, meaning: string]> = [
	['DOWNSTREAM_TUI_*', notes.settings],
	['HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY', 'Upstream proxy, unless --proxy is given.'],
	['NETRC', 'File with logins for --netrc instead of ~/.netrc.'],
	['NO_COLOR, FORCE_COLOR', 'Turn colors off or on; --color wins.'],
	['CI, TERM=dumb', 'Print lines instead of drawing the dashboard.'],
	['ACCESSIBLE, INK_SCREEN_READER', 'The same as --plain.'],
	['NODE_DISABLE_COMPILE_CACHE=1', 'Keep no compiled code.'],
	['XDG_CACHE_HOME, XDG_CONFIG_HOME', 'Folders that hold the files below, on Linux.'],
];

const files: ReadonlyArray<readonly [file: string, meaning: string]> = [
	[
		'~/.cache/downstream-tui',
		'Storage folder: a folder per download, and key, the key of the API. On macOS ~/Library/Caches/downstream-tui, on Windows %LOCALAPPDATA%\\downstream-tui\\Cache.',
	],
	[
		'~/.config/downstream-tui/settings.json',
		'Settings file. On macOS ~/Library/Preferences/downstream-tui/settings.json, on Windows %APPDATA%\\downstream-tui\\Config\\settings.json.',
	],
	[
		'~/.cache/downstream-tui-program/compiled',
		'Compiled code of the program, for a faster start. It can be deleted. On macOS ~/Library/Caches/downstream-tui-program/compiled, on Windows %LOCALAPPDATA%\\downstream-tui-program\\Cache\\compiled.',
	],
];

/** In the macros of man(7). Without a date, so that builds are reproducible. */
export function manPage(version: string): string {
	const usages = (Object.keys(commands) as CommandName[]).map(
		name => [usageOf(name), commands[name].description] as const,
	);
	return [
		`.TH DOWNSTREAM-TUI 1 "" "downstream-tui ${version}" "User Commands"`,
		'.SH NAME',
		`${text('downstream-tui')} \\- ${text('download manager with a built-in streaming proxy')}`,
		'.SH SYNOPSIS',
		`.B ${text('downstream-tui')}`,
		text('[COMMAND] [OPTION…] [URL…]'),
		'.SH DESCRIPTION',
		text(notes.summary),
		...[notes.urls, notes.instances].flatMap(note => ['.PP', text(note)]),
		'.SH COMMANDS',
		...[['downstream-tui [URL…]', notes.dashboard] as const, ...usages].flatMap(([usage, description]) =>
			entry(bold(usage), description),
		),
		'.PP',
		text(notes.ids),
		'.SH OPTIONS',
		...Object.entries(flagGroups).flatMap(([group, names]) => [
			`.SS ${text(group)}`,
			...names.flatMap(name => {
				const {short, value}: Flag = flags[name];
				const options = [...(short === undefined ? [] : [`-${short}`]), optionOf(name)].map(each =>
					bold(each),
				);
				return entry(
					options.join(', ') + (value === undefined ? '' : ` \\fI${text(value)}\\fR`),
					describedFlag(name, defaultPaths),
				);
			}),
		]),
		'.SS Others',
		...entry(`${bold('-h')}, ${bold('--help')}`, notes.help),
		...entry(`${bold('-V')}, ${bold('--version')}`, notes.version),
		'.SH EXIT STATUS',
		text(notes.exitCodes),
		'.SH ENVIRONMENT',
		...environment.flatMap(([variable, meaning]) => entry(bold(variable), meaning)),
		'.SH FILES',
		...files.flatMap(([file, meaning]) => entry(`\\fI${text(file)}\\fR`, meaning)),
		'.SH EXAMPLES',
		...examples.flatMap(([command, purpose]) => entry(bold(command), purpose)),
		'',
	].join('\n');
}

function entry(term: string, description: string): string[] {
	return ['.TP', term, text(description)];
}

function bold(word: string): string {
	return `\\fB${text(word)}\\fR`;
}

/** Escapes text for roff: backslashes, hyphens, quotes, and dots at the start of a line. */
function text(plain: string): string {
	return plain
		.replaceAll('\\', '\\e')
		.replaceAll('-', '\\-')
		.replaceAll('~', '\\(ti')
		.replaceAll("'", '\\(aq')
		.replaceAll('…', '...')
		.replaceAll(/^\./gm, '\\&.');
}
