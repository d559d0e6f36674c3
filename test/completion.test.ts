// Completion in the shells themselves.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {promisify} from 'node:util';
import {completionFor, completionScript} from '../source/cli/completion.ts';
import {builtCli, cleanEnvironment, startServe} from './support/cli.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {missing} from './support/programs.ts';
import {TestTerminal} from './support/terminal.ts';

/** A folder with the program on the path, a file, a subfolder, and a running instance with one download. */
async function prepare(t: TestContext): Promise<{folder: string; env: NodeJS.ProcessEnv; id: string}> {
	const origin = await startOrigin(t, {size: 1000});
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const serve = await startServe(t, storage, origin.url);
	const {id} = await serve.event('done');
	await mkdir(path.join(folder, 'bin'));
	const program = `#!/bin/sh\nexec "${process.execPath}" "${await builtCli()}" "$@"\n`;
	await writeFile(path.join(folder, 'bin', 'downstream-tui'), program, {mode: 0o755});
	await writeFile(path.join(folder, 'urls list.txt'), '');
	await mkdir(path.join(folder, 'url folder'));
	for (const shell of ['bash', 'zsh', 'fish']) {
		await writeFile(path.join(folder, `completion.${shell}`), completionScript(shell));
	}

	return {
		folder,
		env: {PATH: `${path.join(folder, 'bin')}:${process.env.PATH}`, HOME: folder},
		id: String(id).slice(0, 8),
	};
}

/** The typed text, and the end of the line after Tab. */
const completed = ({folder, id}: {folder: string; id: string}): Array<[typed: string, after: string]> => [
	['pau', 'pause '],
	['--resol', '--resolve-with '],
	['--no-t', '--no-title '],
	['--color al', '--color always '],
	['list --log-level=w', '--log-level=warn'],
	['completion z', 'completion zsh '],
	[`pause --storage ${folder}/storage ${id.slice(0, 2)}`, id],
	[`--storage ${folder}/storage export ${id.slice(0, 2)}`, id],
	[`--storage ${folder}/storage url `, id],
	['get --log urls', String.raw`--log urls\ list.txt`],
	['get --log=urls', String.raw`--log=urls\ list.txt`],
	['--export-dir ur', String.raw`--export-dir url\ folder/`],
	['--export-dir=ur', String.raw`--export-dir=url\ folder/`],
	['get @urls', String.raw`@urls\ list.txt`],
	['@urls', String.raw`@urls\ list.txt`],
	['export 1 urls', String.raw`export 1 urls\ list.txt`],
	["--storage 'no folder' completion f", 'completion fish '],
];

const shells = {
	bash: {start: ['bash', '--norc', '--noprofile', '-i'], prompt: 'PS1="ready> "'},
	zsh: {start: ['zsh', '-f', '-i'], prompt: 'autoload -U compinit && compinit -u -D; PROMPT="ready> "'},
};

for (const [shell, {start, prompt}] of Object.entries(shells)) {
	test(`${shell} completes commands, flags, values, IDs and files`, {skip: missing(shell)}, async t => {
		const prepared = await prepare(t);
		const terminal = TestTerminal.run(t, start, {columns: 180, rows: 40, env: prepared.env});
		terminal.press(`cd ${prepared.folder}; ${prompt}; source completion.${shell}; clear\r`);
		await terminal.shows(/^ready> *$/m);
		for (const [typed, after] of completed(prepared)) {
			terminal.press(`downstream-tui ${typed}\t`);
			await terminal.shows(
				new RegExp(`^ready> downstream-tui .*${after.trimEnd().replaceAll(/[\\.]/g, String.raw`\$&`)}`, 'm'),
			);
			// Clears the line and the screen.
			terminal.press('\u0015\u000C');
			await terminal.shows(screen => /^ready> *$/m.test(screen) && !screen.includes('downstream-tui'));
		}
	});
}

test('fish completes commands, flags, values, IDs and files', {skip: missing('fish')}, async t => {
	const prepared = await prepare(t);
	for (const [typed, after] of completed(prepared)) {
		const {stdout} = await promisify(execFile)(
			'fish',
			['--no-config', '-c', 'source completion.fish; complete -C $argv[1]', `downstream-tui ${typed}`],
			{cwd: prepared.folder, env: cleanEnvironment(prepared.env)},
		);
		const candidates = stdout.split('\n').map(line => line.split('\t')[0]!);
		const wanted = after
			.trimEnd()
			.split(/(?<!\\) /)
			.at(-1)!
			.replaceAll('\\', '');
		assert.ok(candidates.includes(wanted), `${typed}: ${stdout}`);
	}
});

test('fish offers no files where none are expected', {skip: missing('fish')}, async t => {
	const prepared = await prepare(t);
	for (const typed of ['--player ur', '--color ur', 'list ur', 'completion ur', 'get ur']) {
		const {stdout} = await promisify(execFile)(
			'fish',
			['--no-config', '-c', 'source completion.fish; complete -C $argv[1]', `downstream-tui ${typed}`],
			{cwd: prepared.folder, env: cleanEnvironment(prepared.env)},
		);
		assert.doesNotMatch(stdout, /url/, typed);
	}
});

/** The completions of a command line. */
function wordsFor(line: string): string[] {
	return completionFor(`downstream-tui ${line}`).candidates.map(({word}) => word);
}

test('a command is completed with its own flags, each once unless it may be repeated', () => {
	const flags = wordsFor('list --');
	assert.ok(flags.includes('--json') && flags.includes('--storage') && flags.includes('--help'));
	assert.ok(!flags.includes('--checksum') && !flags.includes('--mouse'));
	assert.ok(!wordsFor('list --json --').includes('--json'));
	assert.ok(wordsFor("get -H 'A: b' --").includes('--header'));
	assert.ok(wordsFor('--').includes('--mouse'));
});

test('the position of a word decides how it is completed', () => {
	for (const [line, expects] of [
		['pause ', 'ID'],
		['pause 1 ', 'ID'],
		['url 1 ', 'word'],
		['export 1 ', 'file'],
		['export 1 there ', 'word'],
		['--storage ', 'folder'],
		['--storage=', 'folder'],
		['list --config ', 'file'],
		['get -o ', 'file'],
		['get --player ', 'word'],
		['get @', 'file'],
		['list @', 'word'],
		['https://a.example/f @', 'file'],
		['pause --json ', 'ID'],
		['pause --color auto ', 'ID'],
		['-- --storage ', 'word'],
		["--storage 'a b", 'folder'],
	] as const) {
		assert.equal(completionFor(`downstream-tui ${line}`).expects, expects, line);
	}

	assert.deepEqual(wordsFor('--color '), ['auto', 'always', 'never']);
	assert.deepEqual(wordsFor('--color=n'), ['auto', 'always', 'never']);
	assert.deepEqual(wordsFor('https://a.example/f '), []);
	assert.deepEqual(wordsFor('pause -- --'), []);
	assert.ok(wordsFor('').includes('serve'));
});

test('IDs are looked up in the storage folder of the command line', () => {
	const lookup = (line: string) => completionFor(`downstream-tui ${line}`).lookup;
	assert.equal(lookup('--storage /a url ').storage, '/a');
	assert.equal(lookup('url --storage="/a b" ').storage, '/a b');
	assert.equal(lookup(String.raw`url --config /a\ b `).config, '/a b');
});

test('an unknown shell is an error', () => {
	assert.throws(() => completionScript('tcsh'), /completion "tcsh": it must be one of bash, zsh, fish/);
});
