// `list`, `add` and `export` on the command line.
import assert from 'node:assert/strict';
import {readdir, readFile, utimes, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {CliProcess, startInstance} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';
import {notFound} from './support/origin.ts';
import {TestTerminal} from './support/terminal.ts';

const MiB = 1024 * 1024;

async function run(t: TestContext, ...args: string[]) {
	const program = await CliProcess.start(t, args);
	const code = await program.exit();
	return {code, stdout: program.stdout, stderr: program.stderr};
}

test('without an instance, list shows percent, reasons of failures, and "stopped" for the others', async t => {
	const origin = await startOrigin(t, {size: 20 * MiB, etag: '"v1"', bytesPerSecond: 4 * MiB});
	const missing = await startOrigin(t, {
		size: 1,
		intercept: notFound(),
	});
	const {engine, close, storageDir} = await startEngine(t);
	const part = (await engine.add({url: origin.urlOf('/part')})).download;
	await until(engine, part.id, ({present}) => present > MiB);
	const failed = (await engine.add({url: missing.urlOf('/gone')})).download;
	await until(engine, failed.id, ({status}) => status === 'failed');
	await engine.add({url: origin.urlOf('/paused'), paused: true});
	await close();
	// Bytes of a changed file are checked before use, but not by a list.
	await utimes(path.join(storageDir, part.id, 'data'), 0, 0);
	const {code, stdout} = await run(t, 'list', '--storage', storageDir);
	assert.equal(code, 0);
	const [first, second, third] = stdout.split('\n');
	assert.match(first!, /^ {2}1 {2}[\da-f]{8} {2}stopped +\d+\.\d% {2}\S+ of 20\.0 MiB +part$/);
	assert.match(
		second!,
		/^ {2}2 {2}[\da-f]{8} {2}failed .* gone {2}404: no such file on the server 127\.0\.0\.1$/,
	);
	assert.match(third!, /^ {2}3 {2}[\da-f]{8} {2}paused .* paused$/);
});

test('an empty list is no output for a script, and a word for a person', async t => {
	const words = ['list', '--storage', path.join(await temporaryFolder(t), 'storage')];
	assert.deepEqual(await run(t, ...words), {code: 0, stdout: '', stderr: ''});
	assert.deepEqual(await run(t, ...words, '--json'), {code: 0, stdout: '[]\n', stderr: ''});
	const terminal = await TestTerminal.start(t, words, {columns: 80, rows: 24});
	assert.equal(await terminal.exit(), 0);
	assert.match(terminal.raw, /^no downloads\r?\n$/);
});

test('add accepts a name, and adds without starting', async t => {
	const origin = await startOrigin(t, {size: MiB});
	const storage = path.join(await temporaryFolder(t), 'storage');
	await startInstance(t, storage);
	const add = ['add', '--storage', storage, '--name', 'evening.mkv'];
	const added = await run(t, ...add, '--paused', origin.url);
	assert.equal(added.code, 0, added.stderr);
	assert.match(added.stdout, /paused .* evening\.mkv\n$/);
	assert.equal(origin.requests.length, 0);
	const two = await run(t, ...add, origin.urlOf('/a'), origin.urlOf('/b'));
	assert.equal(two.code, 2);
	assert.match(two.stderr, /--name: it applies to a single URL, but 2 were given/);
});

test('export replaces, keeps both or moves on request', async t => {
	const origin = await startOrigin(t, {size: MiB});
	const {engine, close, storageDir} = await startEngine(t);
	const {id} = (await engine.add({url: origin.url})).download;
	await until(engine, id, ({status}) => status === 'complete');
	await close();
	const folder = await temporaryFolder(t);
	const film = path.join(folder, 'film.bin');
	const second = path.join(folder, 'film (2).bin');
	await writeFile(film, 'precious');
	const at = ['export', '--storage', storageDir];
	const refused = await run(t, ...at, '1', folder);
	assert.equal(refused.code, 1);
	assert.match(refused.stderr, /film\.bin already exists/);
	assert.equal((await run(t, ...at, '--keep-both', '1', folder)).stdout, `${second}\n`);
	assert.equal(await readFile(film, 'utf8'), 'precious');
	assert.equal((await run(t, ...at, '--overwrite', '--move', '1', folder)).stdout, `${film}\n`);
	for (const file of [film, second]) {
		assert.equal(firstWrongByte(await readFile(file), 0), -1);
	}

	assert.ok(!(await readdir(path.join(storageDir, id))).includes('data'));
});
