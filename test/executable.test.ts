// The program as one file, run without an installed Node.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {rmSync} from 'node:fs';
import {mkdtemp, readdir, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import {promisify} from 'node:util';
import {CliProcess} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {TestTerminal} from './support/terminal.ts';

const root = path.resolve(import.meta.dirname, '..');
const isSupported = process.platform === 'linux' && process.arch === 'x64';
const folder = await mkdtemp(path.join(tmpdir(), 'downstream-executable-'));
process.on('exit', () => rmSync(folder, {recursive: true, force: true}));
const executable = path.join(folder, 'downstream-tui');
const skip = await reasonToSkip();

/** Builds the executable. Rejects in CI if the build fails. */
async function reasonToSkip(): Promise<string | false> {
	if (!isSupported) {
		return 'it is built on Linux x64';
	}

	try {
		const script = path.join(root, 'scripts/build-executable.mjs');
		await promisify(execFile)(process.execPath, [script, '--outfile', executable]);
		return false;
	} catch (error) {
		if (process.env.CI) {
			throw error;
		}

		const [reason] = /^\w*Error.*$/m.exec((error as Error).message) ?? [error];
		return `it cannot be built here: ${String(reason)}`;
	}
}

test('the executable serves the bytes of a stream URL', {skip}, async t => {
	const size = 3_000_000;
	const origin = await startOrigin(t, {size, etag: '"v1"'});
	const cache = await temporaryFolder(t);
	const serve = CliProcess.run(
		t,
		[executable, 'serve', '--json', '--port', '0', '--storage', path.join(cache, 'storage'), origin.url],
		{PATH: '', XDG_CACHE_HOME: cache},
	);
	const {streamUrl} = await serve.event('added');
	const stream = await fetch(String(streamUrl), {headers: {range: 'bytes=1000000-'}});
	assert.equal(stream.status, 206);
	const bytes = new Uint8Array(await stream.arrayBuffer());
	assert.deepEqual([bytes.length, firstWrongByte(bytes, 1_000_000)], [size - 1_000_000, -1]);
});

test('the executable draws the dashboard', {skip}, async t => {
	const origin = await startOrigin(t, {size: 1000});
	const cache = await temporaryFolder(t);
	const command = [executable, '--port', '0', '--storage', path.join(cache, 'storage'), origin.url];
	const terminal = TestTerminal.run(t, command, {
		columns: 80,
		rows: 24,
		env: {PATH: '', XDG_CACHE_HOME: cache},
	});
	await terminal.shows(/✓ film\.bin/);
	terminal.press('q');
	assert.equal(await terminal.exit(), 0);
});

test('the executable unpacks its own complete files, for its user alone', {skip}, async t => {
	const cache = await temporaryFolder(t);
	const env = {XDG_CACHE_HOME: cache};
	const version = async () => {
		const asked = CliProcess.run(t, [executable, '--version'], env);
		assert.equal(await asked.exit(), 0, asked.stderr);
		assert.match(asked.stdout, /^\d+\.\d+\.\d+\n$/);
	};

	await Promise.all([version(), version(), version()]);
	const parent = path.join(cache, 'downstream-tui-program');
	const [unpacked, ...more] = (await readdir(parent)).filter(name => name !== 'compiled');
	assert.deepEqual(more, []);
	const program = path.join(parent, unpacked!);
	assert.equal((await stat(program)).mode & 0o777, 0o700);
	await writeFile(path.join(program, 'start.cjs'), 'console.log("damaged")');
	await version();

	const blocked = CliProcess.run(t, [executable, '--version'], {XDG_CACHE_HOME: '/dev/null'});
	assert.equal(await blocked.exit(), 1);
	assert.match(blocked.stderr, /^downstream-tui: the program cannot be unpacked into .* \(ENOTDIR\); .*\n$/);
});
