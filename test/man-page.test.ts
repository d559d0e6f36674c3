import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {readdir, readFile} from 'node:fs/promises';
import {homedir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import {commands, usageOf, type CommandName} from '../source/cli/commands.ts';
import {flags, optionOf, type FlagName} from '../source/cli/flags.ts';
import {manPage} from '../source/cli/man-page.ts';
import {builtCli} from './support/cli.ts';
import {missing} from './support/programs.ts';

/** Rendered at 400 columns, which keeps each entry on one line. */
function rendered(page: string): string {
	const {stdout} = spawnSync('mandoc', ['-T', 'utf8', '-O', 'width=400'], {input: page, encoding: 'utf8'});
	// Bold and underlined characters are overstruck.
	// oxlint-disable-next-line no-control-regex -- a backspace is between them
	return stdout.replaceAll(/.\u0008/g, '');
}

test('the build writes a valid page', {skip: missing('mandoc')}, async () => {
	// A list: npm 11 does not link a page given as a string.
	const {man} = JSON.parse(await readFile(path.join(import.meta.dirname, '../package.json'), 'utf8')) as {
		man: unknown;
	};
	assert.deepEqual(man, ['dist/downstream-tui.1']);
	const file = path.join(path.dirname(await builtCli()), 'downstream-tui.1');
	assert.ok(existsSync(file));
	const lint = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', file], {encoding: 'utf8'});
	assert.equal(lint.stdout.replace(/.*WARNING: missing date, using "": TH\n/, ''), '');
	assert.match(rendered(await readFile(file, 'utf8')), /^downstream-tui \d+\.\d+\.\d+ /m);
});

test('has each command and each flag as typed', {skip: missing('mandoc')}, () => {
	const lines = rendered(manPage('1.2.3'))
		.split('\n')
		.map(line => line.trim());
	for (const name of Object.keys(commands) as CommandName[]) {
		assert.ok(lines.includes(usageOf(name).replace('…', '...')), name);
		assert.ok(lines.includes(commands[name].description), name);
	}

	for (const name of Object.keys(flags) as FlagName[]) {
		const option = optionOf(name);
		const [first = ''] = flags[name].description.split('\n');
		const at = lines.findIndex(line => new RegExp(`^(?:-\\w, )?${option}(?: |$)`).test(line));
		assert.ok(at !== -1 && `${lines[at]} ${lines[at + 1]}`.includes(first), option);
	}
});

test('escapes every character that roff would interpret', () => {
	for (const line of manPage('1.2.3').split('\n').slice(1)) {
		assert.match(line, /^(?:\.(?:SH|SS|TP|PP|B)(?: |$))?(?:\\-|\\\((?:aq|ti)|\\e|\\f[BIR]|[^-'~\\])*$/);
		assert.match(line, /^[\x20-\x7E]*$/);
	}
});

test('has the standard sections of a manual page', () => {
	const page = manPage('1.2.3');
	for (const section of ['EXAMPLES', 'ENVIRONMENT', 'FILES', 'EXIT STATUS', 'DESCRIPTION']) {
		assert.match(page, new RegExp(`^\\.SH ${section}$`, 'm'));
	}

	// The page must not depend on the build machine.
	assert.doesNotMatch(page, new RegExp(homedir().replaceAll('-', String.raw`\\-`)));
});

test('is not in the files that the program loads', async () => {
	const folder = path.dirname(await builtCli());
	for (const file of await readdir(folder)) {
		assert.ok(
			!file.endsWith('.js') || !(await readFile(path.join(folder, file), 'utf8')).includes('.SH NAME'),
		);
	}
});
