// Completion in the shells themselves.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {promisify} from 'node:util';
import {completionScript} from '../source/cli/completion.ts';
import {builtCli, CliProcess, cleanEnvironment} from './support/cli.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {missing} from './support/programs.ts';
import {TestTerminal} from './support/terminal.ts';

/** A folder with the program on the path, two files, and a copy that runs with one download. */
async function prepare(t: TestContext): Promise<{folder: string; env: NodeJS.ProcessEnv; id: string}> {
	const origin = await startOrigin(t, {size: 1000});
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const serve = await CliProcess.start(t, [
		'serve',
		'--json',
		'--port',
		'0',
		'--storage',
		storage,
		origin.url,
	]);
	const {id} = await serve.event('done');
	await mkdir(path.join(folder, 'bin'));
	const program = `#!/bin/sh\nexec "${process.execPath}" "${await builtCli()}" "$@"\n`;
	await writeFile(path.join(folder, 'bin', 'downstream-tui'), program, {mode: 0o755});
	await writeFile(path.join(folder, 'urls list.txt'), '');
	for (const shell of ['bash', 'zsh', 'fish']) {
		await writeFile(path.join(folder, `completion.${shell}`), completionScript(shell));
	}

	return {
		folder,
		env: {PATH: `${path.join(folder, 'bin')}:${process.env.PATH}`, HOME: folder},
		id: String(id).slice(0, 8),
	};
}

/** What is typed before the tab, and what stands there after it. */
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
	['get --log ur', String.raw`--log urls\ list.txt`],
	['get @ur', String.raw`@urls\ list.txt`],
	['export 1 ur', String.raw`export 1 urls\ list.txt`],
];

const shells = {
	bash: {start: ['bash', '--norc', '--noprofile', '-i'], prompt: 'PS1="ready> "'},
	zsh: {start: ['zsh', '-f', '-i'], prompt: 'autoload -U compinit && compinit -u -D; PROMPT="ready> "'},
};

for (const [shell, {start, prompt}] of Object.entries(shells)) {
	test(`${shell} completes commands, flags, their values, ids and files`, {skip: missing(shell)}, async t => {
		const prepared = await prepare(t);
		const terminal = TestTerminal.run(t, start, {columns: 180, rows: 40, env: prepared.env});
		terminal.press(`cd ${prepared.folder}; ${prompt}; source completion.${shell}; clear\r`);
		await terminal.shows(/^ready> *$/m);
		for (const [typed, after] of completed(prepared)) {
			terminal.press(`downstream-tui ${typed}\t`);
			await terminal.shows(
				new RegExp(`^ready> downstream-tui .*${after.trimEnd().replaceAll(/[\\.]/g, String.raw`\$&`)}`, 'm'),
			);
			// Both take the line and the screen away.
			terminal.press('\u0015\u000C');
			await terminal.shows(screen => /^ready> *$/m.test(screen) && !screen.includes('downstream-tui'));
		}
	});
}

test('fish completes commands, flags, their values, ids and files', {skip: missing('fish')}, async t => {
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

test('another shell is refused in a sentence', () => {
	assert.throws(() => completionScript('tcsh'), /completion "tcsh": it must be one of bash, zsh, fish/);
});
