// What --help prints: of the program, and of one command.
import {commands, usageOf, type Command, type CommandName} from './commands.ts';
import {flagsHelp} from './flags.ts';

const usageColumn = 42;

/** Lines that the help and the manual page share. */
export const notes = {
	dashboard: 'dashboard; c copies the stream URL, ? shows all keys',
	ids: 'An ID is that of the list, the beginning of it, the number in the list, or the URL.',
	urls: `
Among URLs, @FILE is those in a file and - those on standard input, one on each line;
a curl command may stand for a URL, with its headers.`.trim(),
	copies: `
add, pause, resume and cancel need a copy that runs; list, url, export, verify and remove work without one too.
downstream-tui COMMAND --help shows the flags of a command.`.trim(),
	help: 'this, or the help of a command',
	version: 'the version of the program',
	exitCodes: `
0 done, 1 something failed, 2 usage, 69 port taken, 70 crash,
75 another copy owns the storage folder, 76 gave up without data (--give-up-after), 130 interrupted`.trim(),
} as const;

export function help(): string {
	const usages = (Object.keys(commands) as CommandName[]).map(name => [
		usageOf(name),
		commands[name].description,
	]);
	const dashboard = ['downstream-tui [URL…]', notes.dashboard];
	return `
Download manager whose downloads can be played and seeked while they download.

Usage
${[dashboard, ...usages].map(([usage, description]) => `  ${usage!.padEnd(usageColumn)}  ${description}`).join('\n')}

${[notes.ids, notes.urls, notes.copies].map(note => indented(note)).join('\n')}

${flagsHelp()}

${end}
`;
}

export function commandHelp(name: CommandName): string {
	const {operands, description, flags}: Command = commands[name];
	const parts = [
		`Usage\n  ${usageOf(name)}    ${description}`,
		operands.includes('ID') ? indented(notes.ids) : operands.includes('URL') ? indented(notes.urls) : '',
		flagsHelp(flags),
		end,
	];
	return `\n${parts.filter(part => part !== '').join('\n\n')}\n`;
}

const end = `
  -h, --help                ${notes.help}
  --version                 ${notes.version}

Exit codes: ${notes.exitCodes}`.slice(1);

function indented(note: string): string {
	return note.replaceAll(/^/gm, '  ');
}
