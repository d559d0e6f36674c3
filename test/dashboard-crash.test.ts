import assert from 'node:assert/strict';
import {readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import {spawn} from 'node-pty';
import {cleanEnvironment, CliProcess} from './support/cli.ts';
import {temporaryFolder} from './support/engines.ts';
import {modesLeft, TestTerminal} from './support/terminal.ts';

const program = path.join(import.meta.dirname, 'support/crashing-dashboard.tsx');

for (const way of ['timer', 'rejection', 'component']) {
	test(`an error in a ${way} restores the terminal, then is reported`, async t => {
		const pty = spawn(process.execPath, ['--import', 'tsx', program, way], {
			cols: 80,
			rows: 24,
			name: 'xterm-256color',
			env: cleanEnvironment({LANG: 'C.UTF-8'}),
		});
		let raw = '';
		let isOver = false;
		pty.onData(text => {
			const wasEmpty = !raw.includes('Nothing here yet');
			raw += text;
			if (wasEmpty && raw.includes('Nothing here yet')) {
				pty.write('z');
			}
		});
		const exitCode = await new Promise<number>(resolve => {
			pty.onExit(({exitCode}) => {
				isOver = true;
				resolve(exitCode);
			});
			t.after(() => isOver || pty.kill('SIGKILL'));
		});

		const told = raw.indexOf('downstream-tui crashed: broken.');
		const [, report] = /Report: (\S+)/.exec(raw) ?? [];
		assert.ok(report, raw);
		t.after(() => rm(report));
		assert.equal(exitCode, 70);
		assert.ok(
			told > raw.lastIndexOf('\u001B[?1049l'),
			'the report came before the end of the alternate screen',
		);
		assert.deepEqual(modesLeft(raw), []);

		assert.match(await readFile(report, 'utf8'), /Error: broken\n\s+at /);
	});
}

/** A module that fails after a while. */
async function faultIn(folder: string, statement: string): Promise<string> {
	const fault = path.join(folder, 'fault.cjs');
	await writeFile(
		fault,
		`const {isMainThread} = require('node:worker_threads');
		if (isMainThread) setTimeout(() => { ${statement} }, 1500);`,
	);
	return fault;
}

test('an error of the engine restores the terminal, then is reported', async t => {
	const folder = await temporaryFolder(t);
	const fault = await faultIn(folder, "throw new Error('a fault of the engine');");
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', path.join(folder, 'storage')], {
		columns: 80,
		rows: 24,
		env: {NODE_OPTIONS: `--require ${fault}`, TMPDIR: folder},
	});
	assert.equal(await terminal.exit(), 70);
	assert.equal(terminal.isAlternate, false);
	assert.match(terminal.screen, /downstream-tui crashed: a fault of the engine\./);
});

for (const statement of [
	"throw new Error('a\\u001B[31m fault')",
	"Promise.reject(new Error('a\\u001B[31m fault'))",
]) {
	test(`a command reports a fault: ${statement.slice(0, 7)}`, async t => {
		const folder = await temporaryFolder(t);
		const fault = await faultIn(folder, statement);
		const serve = await CliProcess.start(
			t,
			['serve', '--port', '0', '--storage', path.join(folder, 'storage')],
			{env: {NODE_OPTIONS: `--require ${fault}`, TMPDIR: folder}},
		);
		assert.equal(await serve.exit(), 70);
		const [, message, report] =
			/^downstream-tui crashed: (.+)\.\nYour downloads are kept\. Report: (\S+)\n$/.exec(serve.stderr) ?? [];
		assert.equal(message, String.raw`a\u001b[31m fault`, serve.stderr);
		assert.match(await readFile(report!, 'utf8'), /fault\n\s+at /);
	});
}
