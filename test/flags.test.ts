// The visible effects of flags.
import assert from 'node:assert/strict';
import {execFile, spawn} from 'node:child_process';
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {readdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import {promisify} from 'node:util';
import {commands} from '../source/cli/commands.ts';
import {defaultStorageDir} from '../source/defaults.ts';
import {CliProcess, builtCli, cleanEnvironment, startGet, startInstance} from './support/cli.ts';
import {content} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';

const isWindows = process.platform === 'win32';

test('a file and standard input give one URL per line', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const folder = await temporaryFolder(t);
	const list = path.join(folder, 'list.txt');
	await writeFile(list, `# films\r\n\r\n  ${origin.urlOf('/a.bin')}  \r\n${origin.urlOf('/b.bin')}\r\n`);
	const out = path.join(folder, 'out') + path.sep;
	const get = await CliProcess.start(
		t,
		[
			...['get', '--port', '0', '--storage', path.join(folder, 'storage'), '-o', out],
			...[`@${list}`, '-', origin.urlOf('/d.bin')],
		],
		{input: `${origin.urlOf('/c.bin')}\n#${origin.urlOf('/none')}`},
	);
	assert.equal(await get.exit(), 0, get.stderr);
	assert.deepEqual(
		(await readdir(out)).toSorted((a, b) => a.localeCompare(b)),
		['a.bin', 'b.bin', 'c.bin', 'd.bin'],
	);
	const missing = await CliProcess.start(t, ['get', `@${folder}/none`]);
	assert.equal(await missing.exit(), 2);
	assert.match(missing.stderr, /@\S+none: the file cannot be read/);
});

test('a checksum needs a single URL, and a mismatch fails', async t => {
	const size = 100_000;
	const origin = await startOrigin(t, {size});
	const folder = await temporaryFolder(t);
	const run = async (storage: string, ...args: string[]) => {
		const get = await startGet(t, path.join(folder, storage), '--export-dir', folder, ...args);
		return {code: await get.exit(), stderr: get.stderr};
	};

	const right = `sha256:${createHash('sha256').update(content(0, size)).digest('hex')}`;
	assert.equal((await run('right', '--checksum', right, origin.url)).code, 0);
	const wrong = await run('wrong', '--checksum', `md5:${'0'.repeat(32)}`, origin.urlOf('/b'));
	assert.equal(wrong.code, 1);
	assert.match(
		wrong.stderr,
		/md5 of the file is [\da-f]{32}, but 0{32} is expected; another --checksum replaces it/,
	);
	const requests = origin.requests.length;
	const without = await run('wrong', origin.urlOf('/b'));
	assert.equal(without.code, 0, without.stderr);
	assert.equal(origin.requests.length, requests);
	const two = await run('two', '--checksum', right, origin.url, origin.urlOf('/b'));
	assert.equal(two.code, 2);
	assert.match(two.stderr, /--checksum: it applies to a single URL, but 2 were given/);
});

test('--allow-origin lets a web page play, --open-stream lets anyone play without the key', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const {
		ready: {url},
	} = await startInstance(
		t,
		storage,
		'--open-stream',
		'--allow-origin',
		'https://player.example',
		'--allow-origin',
		'https://other.example',
	);
	const stream = `${url}/stream?url=${encodeURIComponent(origin.url)}`;
	const from = async (page: string) => fetch(stream, {headers: {origin: page}});
	for (const page of ['https://player.example', 'https://other.example']) {
		const answer = await from(page);
		assert.deepEqual([answer.status, answer.headers.get('access-control-allow-origin')], [200, page]);
		await answer.arrayBuffer();
	}

	assert.equal((await from('https://evil.example')).status, 403);
	assert.equal((await fetch(`${url}/api/downloads`)).status, 401);
});

test('--keep continues the lines after the last download', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const plain = await CliProcess.start(t, [
		...['--json', '--keep', '--port', '0', '--storage', storage, origin.url],
	]);
	const {url, key} = await plain.event('ready');
	await plain.event('done');
	const added = await fetch(`${String(url)}/api/downloads`, {
		method: 'POST',
		headers: {authorization: `Bearer ${String(key)}`, 'content-type': 'application/json'},
		body: JSON.stringify({url: origin.urlOf('/second')}),
	});
	const {id} = (await added.json()) as {id: string};
	while (!plain.events.some(event => event.event === 'done' && event.id === id)) {
		await new Promise(resolve => plain.child.stdout.once('data', resolve));
	}

	plain.child.kill('SIGTERM');
	assert.equal(await plain.exit(), 130);
});

test('a typing error is reported at once, with the nearest word', async t => {
	for (const [words, sentence] of [
		[['lsit'], /^downstream-tui: "lsit" is neither a command nor a URL .*; did you mean list\?\n$/],
		[['list', '--jsno'], /^downstream-tui: --jsno is not an option; did you mean --json\?\n$/],
		[['safe', '1', '-5m'], /^downstream-tui: "-5m": a time or size cannot be negative\n$/],
		[['url'], /^downstream-tui: usage: downstream-tui url ID; see downstream-tui url --help\n$/],
		[
			['get'],
			/usage: downstream-tui get URL…; - reads URLs from standard input; see downstream-tui get --help\n$/,
		],
		[['gt'], /did you mean get\?\n$/],
		[['get', 'example.com/a.mkv'], /did you mean https:\/\/example\.com\/a\.mkv\?\n$/],
		[['get', '--mouse', 'http://127.0.0.1:1/a'], /^downstream-tui: --mouse is not an option of get; see /],
		[['list', '-o', 'x'], /^downstream-tui: -o is not an option of list; see downstream-tui list --help\n$/],
		[['play', '-o', 'x', '1'], /-o is not an option of play/],
		[['--delete-data'], /--delete-data is not an option without a command; remove has it\n$/],
		[['get', '--port', '1', '--port', '2'], /^downstream-tui: --port: it can be given only once\n$/],
	] as const) {
		const typed = await CliProcess.start(t, words);
		assert.equal(await typed.exit(), 2);
		assert.match(typed.stderr, sentence);
	}
});

test('--help describes the program or one command, despite invalid settings', async t => {
	const env = {DOWNSTREAM_TUI_PORT: 'wrong'};
	const help = async (...words: string[]) => {
		const asked = await CliProcess.start(t, words, {env});
		assert.equal(await asked.exit(), 0, asked.stderr);
		return asked.stdout;
	};

	const all = await help('--help');
	for (const name of Object.keys(commands)) {
		assert.match(all, new RegExp(`^  downstream-tui ${name}\\b`, 'm'));
	}

	const remove = await help('remove', '--help');
	assert.match(remove, /^ {2}downstream-tui remove ID… .*\n/m);
	assert.match(remove, /--delete-data/);
	assert.doesNotMatch(remove, /--limit-rate/);
	assert.match(await help('get', '-h'), /--limit-rate/);
	assert.doesNotMatch(await help('get', '-h'), /--delete-data|--theme|--mouse|--bell|--paused/);
	assert.equal(await help('help'), all);
	assert.equal(await help('help', 'remove'), remove);
	for (const words of [['--version'], ['-V'], ['version']]) {
		assert.match(await help(...words), /^\d+\.\d+\.\d+\n$/);
	}

	assert.match(all, new RegExp(`\\(default: .*${path.basename(defaultStorageDir())}\\)`));
	assert.match(all, /\(default: \S*settings\.json\)/);
	assert.match(await help('completion', 'bash'), /complete -F _downstream_tui downstream-tui\n$/);
});

test(
	'a pipe brings URLs without a terminal and without an operand',
	{skip: isWindows && 'needs sh'},
	async t => {
		const origin = await startOrigin(t, {size: 1000});
		const storage = path.join(await temporaryFolder(t), 'storage');
		const command = [process.execPath, await builtCli(), '--port', '0', '--storage', storage];
		const {stdout} = await promisify(execFile)(
			'sh',
			['-c', 'printf "%s\\n" "$0" | "$@"', origin.url, ...command],
			{env: cleanEnvironment()},
		);
		assert.match(stdout, /\[1\] added {2}film\.bin/);
		assert.match(stdout, /\[1\] done/);
		assert.equal(origin.requests.length, 1);
	},
);

test('an open pipe without a line does not delay the program', async t => {
	const storage = path.join(await temporaryFolder(t), 'storage');
	const serve = spawn(process.execPath, [await builtCli(), '--json', '--port', '0', '--storage', storage], {
		env: cleanEnvironment(),
		stdio: ['pipe', 'pipe', 'inherit'],
	});
	const [line] = (await once(serve.stdout, 'data')) as [Buffer];
	assert.match(line.toString(), /^\{"event":"ready"/);
	const ended = once(serve, 'exit');
	serve.kill('SIGINT');
	assert.deepEqual(await ended, [130, null]);
});

test('--si shows units of 1000', async t => {
	const origin = await startOrigin(t, {size: 2_000_000});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const plain = await CliProcess.start(t, ['--si', '--port', '0', '--storage', storage, origin.url]);
	assert.equal(await plain.exit(), 0, plain.stderr);
	assert.match(plain.stdout, /size 2\.00 MB,/);
	const list = await CliProcess.start(t, ['list', '--storage', storage]);
	await list.exit();
	assert.match(list.stdout, /1\.90 of 1\.90 MiB/);
});
