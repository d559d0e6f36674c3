// The examples, run unchanged by their programs.
import assert from 'node:assert/strict';
import {execFile, spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {chmod, cp, readFile, writeFile} from 'node:fs/promises';
import http from 'node:http';
import type {AddressInfo} from 'node:net';
import path from 'node:path';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {test, type TestContext} from 'node:test';
import {promisify} from 'node:util';
import type {Page, Worker} from 'playwright-core';
import {startExtension} from './support/chromium.ts';
import {atEnd} from './support/cleanup.ts';
import {builtCli, cleanEnvironment, CliProcess} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {installPackage} from './support/installed-package.ts';
import {missing} from './support/programs.ts';

const run = promisify(execFile);
const examples = path.resolve(import.meta.dirname, '../examples');

type Ready = {readonly url: string; readonly key: string; readonly storage: string};

async function startServe(t: TestContext, ...flags: string[]): Promise<{serve: CliProcess; ready: Ready}> {
	const storage = path.join(await temporaryFolder(t), 'storage');
	const serve = await CliProcess.start(t, [
		...['serve', '--json', '--port', '0', '--proxy', 'direct', '--storage', storage],
		...flags,
	]);
	return {serve, ready: (await serve.event('ready')) as unknown as Ready};
}

/** The badge of the extension after `send`. */
async function send(worker: Worker, url: string): Promise<[text: string, title: string]> {
	return worker.evaluate(async address => {
		const scope = globalThis as unknown as {
			send(url: string): Promise<void>;
			chrome: {action: {getBadgeText(of: object): Promise<string>; getTitle(of: object): Promise<string>}};
		};
		await scope.send(address);
		const {action} = scope.chrome;
		return [await action.getBadgeText({}), await action.getTitle({})] as [string, string];
	}, url);
}

async function saveOptions(page: Page, {url, key}: Ready): Promise<void> {
	await page.fill('input[name=address]', url);
	await page.fill('input[name=key]', key);
	await page.click('button');
	await page.getByText('Saved').waitFor();
}

test(
	'the browser extension adds links to an instance that allows it',
	{skip: missing('chromium')},
	async t => {
		const origin = await startOrigin(t, {size: 1000});
		const {worker, openPage} = await startExtension(t, path.join(examples, 'browser-extension'));
		const {origin: extension} = new URL(worker.url().replace('chrome-extension:', 'http:'));
		const id = extension.replace('http:', 'chrome-extension:');

		const strict = await startServe(t);
		const options = await openPage('options.html');
		await saveOptions(options, strict.ready);
		const [refused, sentence] = await send(worker, origin.url);
		assert.deepEqual([refused, /--allow-origin/.test(sentence)], ['!', true], sentence);

		const {serve, ready} = await startServe(t, '--allow-origin', id);
		await saveOptions(options, ready);
		assert.deepEqual(await send(worker, origin.url), ['✓', 'Added film.bin']);
		assert.equal((await serve.event('added')).url, origin.url);
		await saveOptions(options, {...ready, key: 'wrong'});
		assert.deepEqual(await send(worker, origin.url), ['!', 'The key is missing or wrong.']);
		await serve.kill();
		const [badge] = await send(worker, origin.url);
		assert.equal(badge, '!');
	},
);

test('mpv plays media through the running instance', {skip: missing('mpv', 'ffmpeg')}, async t => {
	const folder = await temporaryFolder(t);
	const film = path.join(folder, 'tone.wav');
	await run('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'sine=frequency=440', '-t', '2', film]);
	const bytes = await readFile(film);
	const agents: string[] = [];
	const origin = http.createServer((request, response) => {
		agents.push(request.headers['user-agent'] ?? '');
		response.writeHead(200, {'content-type': 'audio/wav', 'content-length': bytes.length, etag: '"1"'});
		response.end(bytes);
	});
	await once(origin.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => void origin.close());
	const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}/tone.wav`;
	const {serve, ready} = await startServe(t);
	const program = path.join(folder, 'downstream-tui');
	await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${await builtCli()}' "$@"\n`);
	await chmod(program, 0o755);
	const play = (storage: string) =>
		run(
			'mpv',
			[
				...['--no-config', '--vo=null', '--ao=null', '--untimed', '--no-video'],
				`--script=${path.join(examples, 'downstream.lua')}`,
				`--script-opts=downstream-command=${program},downstream-storage=${storage}`,
				url,
			],
			{env: cleanEnvironment({HOME: folder})},
		);
	const {stdout} = await play(ready.storage);
	const {streamUrl, url: added} = await serve.event('added');
	assert.equal(added, url);
	assert.ok(stdout.includes(`playing ${String(streamUrl)}`), stdout);
	assert.doesNotMatch(agents.join(), /mpv|lavf/i);

	const alone = await play(path.join(folder, 'elsewhere'));
	assert.match(alone.stdout, /playing without downstream-tui: .*add: no /);
	assert.match(agents.join(), /mpv|lavf/i);
});

test('the route of an HTTP server sends the requested ranges', async t => {
	const folder = await installPackage(t);
	const size = 3_000_000;
	const origin = await startOrigin(t, {size, etag: '"1"'});
	await cp(path.join(examples, 'http-route.mjs'), path.join(folder, 'http-route.mjs'));
	const server = spawn(process.execPath, ['http-route.mjs', origin.url, '0'], {
		cwd: folder,
		env: cleanEnvironment({TMPDIR: await temporaryFolder(t)}),
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const exited = once(server, 'exit');
	atEnd(t, async () => {
		server.kill('SIGKILL');
		await exited;
	});
	const [line] = (await once(createInterface({input: server.stdout}), 'line')) as [string];
	const address = line.replace(/^mpv /, '');
	const head = await fetch(address, {method: 'HEAD'});
	assert.deepEqual([head.status, head.headers.get('content-length')], [200, String(size)]);
	const part = await fetch(address, {headers: {range: 'bytes=2000000-2000099'}});
	assert.deepEqual([part.status, part.headers.get('content-range')], [206, `bytes 2000000-2000099/${size}`]);
	assert.equal(firstWrongByte(new Uint8Array(await part.arrayBuffer()), 2_000_000), -1);
	assert.equal((await fetch(new URL('/other', address))).status, 404);
	server.kill('SIGINT');
	const [code] = (await exited) as [number | null];
	assert.equal(code, 0);
});

const hasYtDlp = spawnSync('yt-dlp', ['--version']).status === 0;
for (const [program, skip] of [
	['a stand-in for yt-dlp', process.platform === 'win32' && 'needs sh'],
	['yt-dlp', !hasYtDlp && 'needs yt-dlp'],
] as const) {
	test(`the resolver script gets the link and the headers of a film from ${program}`, {skip}, async t => {
		const origin = await startOrigin(t, {size: 100_000, headers: {'content-type': 'video/mp4'}});
		const page = origin.urlOf('/film.mp4');
		const folder = await temporaryFolder(t);
		const output = path.join(folder, 'out.mp4');
		if (program !== 'yt-dlp') {
			const film = JSON.stringify({url: page, http_headers: {'User-Agent': 'stand-in'}});
			// The page follows the end of the options, so that none can be injected.
			const script = `#!/bin/sh\n[ "$*" = "\${*% -- *} -- ${page}" ] && echo '${film}'\n`;
			await writeFile(path.join(folder, 'yt-dlp'), script, {mode: 0o755});
		}

		const get = await CliProcess.start(
			t,
			[
				...['get', '--port', '0', '--proxy', 'direct', '--storage', path.join(folder, 'storage')],
				...['--resolve-with', path.join(examples, 'yt-dlp.sh'), '-o', output, page],
			],
			{env: {PATH: `${folder}:${process.env.PATH}`, HOME: folder}},
		);
		assert.equal(await get.exit(), 0, get.stderr);
		assert.equal(firstWrongByte(await readFile(output), 0), -1);
		const agent = origin.requests.at(-1)!.headers['user-agent'];
		assert.match(agent ?? '', program === 'yt-dlp' ? /Mozilla/ : /^stand-in$/);
	});
}

test('the systemd unit is valid', {skip: missing('systemd-analyze')}, async t => {
	const folder = await temporaryFolder(t);
	const unit = path.join(folder, 'downstream-tui.service');
	await cp(path.join(examples, 'downstream-tui.service'), unit);
	// `man:` refers to pages of this computer.
	const text = await readFile(unit, 'utf8');
	await writeFile(unit, text.replace(/^Documentation=.*\n/m, ''));
	const {stderr} = await run('systemd-analyze', ['--user', 'verify', unit], {
		env: cleanEnvironment({XDG_RUNTIME_DIR: folder}),
	});
	assert.doesNotMatch(stderr, /downstream-tui/);
});

test('the launchd property list is valid', {skip: missing('python3')}, async () => {
	const program = 'import plistlib, sys, json; print(json.dumps(plistlib.load(open(sys.argv[1], "rb"))))';
	const {stdout} = await run('python3', ['-c', program, path.join(examples, 'downstream-tui.plist')]);
	const {ProgramArguments} = JSON.parse(stdout) as {ProgramArguments: string[]};
	assert.deepEqual(ProgramArguments.slice(-2), ['downstream-tui', 'serve']);
});
