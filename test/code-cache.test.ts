// Compiled code of the program that is kept for the next start.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {chmod, chown, mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {promisify} from 'node:util';
import {builtCli, CliProcess} from './support/cli.ts';
import {temporaryFolder} from './support/engines.ts';

const skip = process.platform === 'win32' && 'Windows has no modes of files';
const planted = 'planted code\n';

async function setUp(t: TestContext) {
	const home = await temporaryFolder(t);
	const folder = path.join(home, 'downstream-tui-program/compiled');
	/** Runs the program; resolves with its output. */
	const start = async (env: NodeJS.ProcessEnv = {}, options: {cwd?: string} = {}) => {
		const run = await CliProcess.start(t, ['completion', 'bash'], {
			...options,
			env: {XDG_CACHE_HOME: home, ...env},
		});
		assert.equal(await run.exit(), 0, run.stderr);
		assert.equal(run.stderr, '');
		return run.stdout;
	};
	const only = async () => {
		const [name, ...others] = await readdir(folder);
		assert.deepEqual(others, []);
		return path.join(folder, name!);
	};

	return {home, folder, start, only};
}

/** Replaces the cached code by code of another program, which V8 takes for the code of a source of the same length. */
async function plant(file: string): Promise<void> {
	const source = await readFile(path.join(path.dirname(await builtCli()), 'program.cjs'), 'utf8');
	const text = `process.stdout.write(${JSON.stringify(planted)})`;
	const code = `
		const {Script} = require('node:vm');
		const {serialize} = require('node:v8');
		const {crc32} = require('node:zlib');
		const {wrap} = require('node:module');
		const script = new Script(wrap(${JSON.stringify(text)}.padEnd(${source.length})));
		script.runInThisContext();
		const content = serialize({'./program.cjs': script.createCachedData()});
		const checksum = Buffer.alloc(4);
		checksum.writeUInt32LE(crc32(content));
		require('node:fs').writeFileSync(${JSON.stringify(file)}, Buffer.concat([checksum, content]));`;
	await promisify(execFile)(process.execPath, ['--eval', code]);
}

test('the second start takes the code of the first', {skip}, async t => {
	const {home, folder, start, only} = await setUp(t);
	const text = await start();
	const file = await only();
	const modes = await Promise.all([folder, file].map(async place => (await stat(place)).mode & 0o777));
	assert.deepEqual(modes, [0o700, 0o600]);
	const {ino} = await stat(file);
	assert.equal(await start(), text);
	assert.equal((await stat(await only())).ino, ino, 'it is not written again');

	await plant(file);
	assert.equal(await start(), planted);
	assert.equal(await start({NODE_DISABLE_COMPILE_CACHE: '1'}), text);
	assert.deepEqual(await readdir(path.join(home, 'downstream-tui-program')), ['compiled']);
});

for (const [words, damage] of [
	[
		'with a changed byte',
		(bytes: Buffer) => Buffer.concat([bytes.subarray(0, -1), Buffer.of(bytes.at(-1)! ^ 1)]),
	],
	['cut off', (bytes: Buffer) => bytes.subarray(0, -100)],
	['empty', (bytes: Buffer) => bytes.subarray(0, 0)],
] as const) {
	test(`a file ${words} is replaced`, {skip}, async t => {
		const {start, only} = await setUp(t);
		const text = await start();
		const file = await only();
		await plant(file);
		await writeFile(file, damage(await readFile(file)));
		assert.equal(await start(), text);
		const {ino} = await stat(await only());
		assert.equal(await start(), text);
		assert.equal((await stat(await only())).ino, ino);
	});
}

test('a file or a folder that others can write is refused', {skip}, async t => {
	const {folder, start, only} = await setUp(t);
	const text = await start();
	const file = await only();
	for (const place of [file, folder]) {
		const {mode} = await stat(place);
		await plant(file);
		for (const more of [0o020, 0o002]) {
			await chmod(place, mode | more);
			assert.equal(await start(), text);
			// The file is replaced by one of the user, the folder is left alone.
			await plant(file);
		}

		await chmod(place, mode);
		assert.equal(await start(), planted);
	}
});

test(
	'a file or a folder of another user is refused',
	{skip: skip || (process.getuid!() !== 0 && 'only root can give files away')},
	async t => {
		const {folder, start, only} = await setUp(t);
		const text = await start();
		const file = await only();
		for (const place of [file, folder]) {
			await plant(file);
			await chown(place, 65_534, 65_534);
			assert.equal(await start(), text);
			await chown(place, 0, 0);
		}

		assert.equal(await start(), planted);
	},
);

test('a folder that cannot be made has no consequence', {skip}, async t => {
	const {home, start} = await setUp(t);
	const text = await start();
	assert.equal(await start({XDG_CACHE_HOME: '/dev/null'}), text);
	const file = path.join(home, 'file');
	await writeFile(file, '');
	assert.equal(await start({XDG_CACHE_HOME: file}), text);
	const folder = path.join(home, 'another/downstream-tui-program');
	await mkdir(folder, {recursive: true});
	await writeFile(path.join(folder, 'compiled'), '');
	assert.equal(await start({XDG_CACHE_HOME: path.dirname(folder)}), text);
	assert.equal(await start({XDG_CACHE_HOME: path.join(home, 'one/more')}), text);
	assert.equal((await readdir(path.join(home, 'one/more/downstream-tui-program/compiled'))).length, 1);
});

test(
	'the program ends where no folder can be made',
	{skip: !existsSync('/proc/self') && 'there is no /proc'},
	async t => {
		const {start} = await setUp(t);
		const text = await start();
		assert.equal(await start({XDG_CACHE_HOME: '/proc/downstream'}), text);
	},
);

test('nothing is read from the working folder', {skip}, async t => {
	const {home, start, only} = await setUp(t);
	const text = await start();
	await plant(await only());
	const inParent = {cwd: path.dirname(home)};
	assert.equal(await start({}, inParent), planted);
	assert.equal(await start({XDG_CACHE_HOME: path.basename(home)}, inParent), text);
});

test('several first starts at once leave one whole file', {skip}, async t => {
	const {start, only} = await setUp(t);
	const [text, ...others] = await Promise.all(Array.from({length: 4}, () => start()));
	assert.deepEqual(others, [text, text, text]);
	const {ino} = await stat(await only());
	assert.equal(await start(), text);
	assert.equal((await stat(await only())).ino, ino);
});
