// The manual page, from the tables that the help is made of; written when the program is built. Pure.
import {commands, usageOf, type CommandName} from './commands.ts';
import {flagGroups, flags, optionOf, type Flag} from './flags.ts';
import {notes} from './help.ts';

/** In the macros of man(7). Without a date, so that the same sources make the same page. */
export function manPage(version: string): string {
	const usages = (Object.keys(commands) as CommandName[]).map(
		name => [usageOf(name), commands[name].description] as const,
	);
	return [
		`.TH DOWNSTREAM-TUI 1 "" "downstream-tui ${version}" "User Commands"`,
		'.SH NAME',
		`${text('downstream-tui')} \\- ${text('download manager whose downloads can be played and seeked while they download')}`,
		'.SH SYNOPSIS',
		`.B ${text('downstream-tui')}`,
		text('[COMMAND] [FLAG…] [URL…]'),
		'.SH COMMANDS',
		...[['downstream-tui [URL…]', notes.dashboard] as const, ...usages].flatMap(([usage, description]) =>
			entry(bold(usage), description),
		),
		...[notes.ids, notes.urls, notes.copies].flatMap(note => ['.PP', text(note)]),
		'.SH OPTIONS',
		...Object.entries(flagGroups).flatMap(([group, names]) => [
			`.SS ${text(group)}`,
			...names.flatMap(name => {
				const {short, value, description}: Flag = flags[name];
				const options = [...(short === undefined ? [] : [`-${short}`]), optionOf(name)].map(each =>
					bold(each),
				);
				return entry(
					options.join(', ') + (value === undefined ? '' : ` \\fI${text(value)}\\fR`),
					description,
				);
			}),
		]),
		'.SS Others',
		...entry(`${bold('-h')}, ${bold('--help')}`, notes.help),
		...entry(bold('--version'), notes.version),
		'.SH EXIT STATUS',
		text(notes.exitCodes),
		'',
	].join('\n');
}

function entry(term: string, description: string): string[] {
	return ['.TP', term, text(description)];
}

function bold(word: string): string {
	return `\\fB${text(word)}\\fR`;
}

/** As roff reads it: nothing is an escape, a hyphen of the language, a curled quote, or at the start of a line a request. */
function text(plain: string): string {
	return plain
		.replaceAll('\\', '\\e')
		.replaceAll('-', '\\-')
		.replaceAll("'", '\\(aq')
		.replaceAll('…', '...')
		.replaceAll(/^\./gm, '\\&.');
}
