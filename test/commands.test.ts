// The commands as a user types them: the bundled program beside a running instance.
import assert from 'node:assert/strict';
import {readdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {findDownload, findDownloads} from '../source/cli/run/find-download.ts';
import {DownStreamError} from '../source/downstream.ts';
import {CliProcess, startInstance} from './support/cli.ts';
import {content, firstWrongByte} from './support/content.ts';
import {startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';
import {download} from './support/memory-downstream.ts';
import {notFound} from './support/origin.ts';
import {TestTerminal} from './support/terminal.ts';

const MiB = 1024 * 1024;

type Finished = {code: number | string; stdout: string; stderr: string};

async function run(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
	const program = await CliProcess.start(t, args, {env});
	const code = await program.exit();
	return {code, stdout: program.stdout, stderr: program.stderr};
}

/** An instance without a screen on its own storage folder. */
async function serve(t: TestContext, ...args: string[]) {
	const storage = path.join(await temporaryFolder(t), 'storage');
	return {...(await startInstance(t, storage, ...args)), storage};
}

test('a number beyond the list finds no download by the start of its ID', () => {
	const list = [download({id: '9dd60000000000000000000000000000'})];
	assert.throws(() => findDownload(list, '9'), /no download 9/);
	assert.throws(() => findDownloads(list, ['9'], list), /no download 9/);
	assert.equal(findDownload(list, '9d'), list[0]);
});

test('a download is found by number, ID, prefix of its ID, or URL', () => {
	const list = [
		download({id: 'abcd0000000000000000000000000000', url: 'https://a.example/one?x=1'}),
		download({id: '2bcd0000000000000000000000000000', url: 'https://a.example/two'}),
		download({id: 'abce0000000000000000000000000000', url: 'https://a.example/two'}),
	];
	const index = (word: string) => list.indexOf(findDownload(list, word));
	assert.equal(index('1'), 0);
	assert.equal(index('3'), 2);
	// A number takes precedence over a prefix.
	assert.equal(index('2'), 1);
	assert.equal(index('2b'), 1);
	assert.equal(index('ABCE'), 2);
	assert.equal(index(list[0]!.id), 0);
	assert.equal(index('https://user:pw@a.example/one?x=1#there'), 0);
	assert.equal(index(list[0]!.streamUrl), 0);
	for (const [word, code, message] of [
		['abc', 'bad-request', /abc is ambiguous: abcd0000, abce0000/],
		['https://a.example/two', 'bad-request', /is ambiguous: /],
		['4', 'not-found', /no download 4/],
		['', 'not-found', /no download/],
		[
			'https://u:geheim@b.example/?token=geheim',
			'not-found',
			/no download https:\/\/\*\*\*@b\.example\/\?token=\*\*\*;/,
		],
	] as const) {
		assert.throws(
			() => findDownload(list, word),
			(error: unknown) =>
				error instanceof DownStreamError && error.code === code && message.test(error.message),
		);
	}
});

test('a running instance takes commands from other processes', async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag: '"v1"'});
	const {serve: instance, ready, storage} = await serve(t);
	const at = ['--storage', storage];
	const added = await run(t, ['add', ...at, origin.urlOf('/a.bin?token=geheim'), origin.urlOf('/b.bin')]);
	assert.equal(added.code, 0, added.stderr);
	assert.match(added.stdout, /^ {2}1 {2}[\da-f]{8} .* a\.bin\n {2}2 {2}[\da-f]{8} .* b\.bin\n$/);
	await instance.event('done');
	const list = await run(t, ['list', ...at]);
	assert.equal(list.stdout.split('\n').length, 3);
	const json = await run(t, ['list', '--json', ...at]);
	const downloads = JSON.parse(json.stdout) as Array<{id: string; url: string; streamUrl: string}>;
	assert.equal(downloads.length, 2);
	assert.match(downloads[0]!.url, /token=\*\*\*/);
	for (const text of [added, list, json].map(({stdout, stderr}) => stdout + stderr)) {
		assert.ok(!text.includes('geheim') && !text.includes(ready.key));
	}

	const url = await run(t, ['url', ...at, origin.urlOf('/b.bin')]);
	assert.deepEqual(url, {code: 0, stdout: `${downloads[1]!.streamUrl}\n`, stderr: ''});
	const bytes = Buffer.from(await (await fetch(url.stdout.trim())).arrayBuffer());
	assert.ok(bytes.equals(content(0, 4 * MiB)));

	const verified = await run(t, ['verify', ...at, '1', '2']);
	assert.deepEqual([verified.code, verified.stdout.split('\n').length], [0, 3]);
	const folder = await temporaryFolder(t);
	const exported = await run(t, ['export', ...at, downloads[1]!.id.slice(0, 12), folder]);
	assert.deepEqual(exported, {code: 0, stdout: `${path.join(folder, 'b.bin')}\n`, stderr: ''});
	assert.equal(firstWrongByte(await readFile(path.join(folder, 'b.bin')), 0), -1);
	const again = await run(t, ['export', ...at, '2', folder]);
	assert.equal(again.code, 1);
	assert.match(again.stderr, /b\.bin already exists; --overwrite replaces it, --keep-both keeps both\n$/);

	const deleted = await run(t, ['remove', ...at, '--delete-data', '2']);
	assert.deepEqual(deleted, {code: 0, stdout: '', stderr: ''});
	while ((await readdir(storage)).includes(downloads[1]!.id)) {
		await new Promise(resolve => setTimeout(resolve, 20));
	}

	const removed = await run(t, ['remove', ...at, '1', '1']);
	assert.deepEqual(removed, {code: 0, stdout: '', stderr: ''});
	assert.equal((await run(t, ['list', ...at])).stdout, '');
	assert.ok((await readdir(storage)).includes(downloads[0]!.id));
	assert.equal((await run(t, ['pause', ...at, '1'])).code, 1);
});

test('pause, resume and cancel reach the running instance', async t => {
	const origin = await startOrigin(t, {size: 40 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const {serve: instance, storage} = await serve(t, origin.url);
	await instance.event('info');
	const status = async () => {
		const {stdout} = await run(t, ['list', '--json', '--storage', storage]);
		return (JSON.parse(stdout) as Array<{status: string}>)[0]!.status;
	};

	for (const [verb, expected] of [
		['pause', 'paused'],
		['cancel', 'cancelled'],
		['resume', 'active'],
	] as const) {
		assert.equal((await run(t, [verb, '--storage', storage, '1'])).code, 0);
		assert.match(await status(), new RegExp(`${expected}|queued`));
	}
});

test('export --when-complete exports at the end of the download', async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const {serve: instance, storage} = await serve(t, origin.url);
	await instance.event('info');
	const file = path.join(await temporaryFolder(t), 'film.bin');
	const planned = await run(t, ['export', '--storage', storage, '--when-complete', '1', file]);
	assert.deepEqual(planned, {code: 0, stdout: `${file}\n`, stderr: ''});
	await instance.event('exported');
	assert.equal(firstWrongByte(await readFile(file), 0), -1);
});

test('list, export and verify need no running instance, and fetch nothing', async t => {
	const origin = await startOrigin(t, {size: 400 * MiB, etag: '"v1"', bytesPerSecond: 4 * MiB});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const {engine, close} = await startEngine(t, {storageDir: storage});
	const whole = (await engine.add({url: origin.urlOf('/part.bin')})).download;
	await until(engine, whole.id, ({present}) => present > MiB);
	const done = (await engine.add({url: (await startOrigin(t, {size: MiB})).url})).download;
	await until(engine, done.id, ({status}) => status === 'complete');
	await close();
	const {length} = origin.requests;
	const at = ['--storage', storage];
	const list = await run(t, ['list', ...at]);
	assert.equal(list.code, 0, list.stderr);
	assert.match(list.stdout, /^ {2}1 .* part\.bin\n {2}2 .*done .* film\.bin\n$/);
	const json = await run(t, ['list', ...at, '--json', '--port', '8123']);
	assert.ok(json.stdout.includes(`"http://127.0.0.1:8123/stream/${done.id}/film.bin"`));
	const folder = await temporaryFolder(t);
	const exported = await run(t, ['export', ...at, '2', path.join(folder, 'here')]);
	assert.deepEqual(exported, {code: 0, stdout: `${path.join(folder, 'here')}\n`, stderr: ''});
	const early = await run(t, ['export', ...at, '1', folder]);
	assert.equal(early.code, 1);
	assert.match(
		early.stderr,
		/Only [\d.]+% of the file is downloaded; --when-complete exports it once it is complete\n$/,
	);
	assert.equal((await run(t, ['verify', ...at, '1', '2'])).code, 0);
	for (const [verb, operand] of [
		['add', origin.urlOf('/new')],
		['pause', '2'],
		['url', '2'],
	] as const) {
		const refused = await run(t, [verb, ...at, operand]);
		assert.deepEqual([refused.code, refused.stdout], [1, '']);
		assert.match(refused.stderr, /no instance is running on .*; start one with downstream-tui serve\n$/);
	}

	assert.equal(origin.requests.length, length);
});

test('remove needs no running instance, keeps or deletes the data, and fetches nothing', async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag: '"v1"'});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const {engine, close} = await startEngine(t, {storageDir: storage});
	const [kept, deleted, paused] = await Promise.all(
		['/kept', '/deleted', '/paused'].map(async name => {
			const {download} = await engine.add({url: origin.urlOf(name), paused: name === '/paused'});
			return download.id;
		}),
	);
	for (const id of [kept!, deleted!]) {
		await until(engine, id, ({status}) => status === 'complete');
	}

	await close();
	const {length} = origin.requests;
	const at = ['--storage', storage];
	const remove = (...args: string[]) => run(t, ['remove', ...at, ...args]);
	const unknown = await remove('0000');
	assert.equal(unknown.code, 1);
	assert.match(unknown.stderr, /no download 0000/);
	assert.deepEqual(await remove(kept!), {code: 0, stdout: '', stderr: ''});
	assert.deepEqual(await remove('--delete-data', deleted!, paused!), {code: 0, stdout: '', stderr: ''});
	assert.deepEqual(await run(t, ['list', ...at]), {code: 0, stdout: '', stderr: ''});
	const left = await readdir(storage);
	assert.deepEqual(
		[kept, deleted, paused].map(id => left.includes(id!)),
		[true, false, false],
	);
	assert.equal(origin.requests.length, length);

	// Adding the URL again finds the kept data.
	const {engine: again} = await startEngine(t, {storageDir: storage});
	const {download} = await again.add({url: origin.urlOf('/kept'), paused: true});
	assert.equal(download.present, 4 * MiB);
});

test('verify exits with 1 if it finds damage', async t => {
	const storage = path.join(await temporaryFolder(t), 'storage');
	const {engine, close} = await startEngine(t, {storageDir: storage});
	const {id} = (await engine.add({url: (await startOrigin(t, {size: MiB})).url})).download;
	const {folder} = await until(engine, id, ({status}) => status === 'complete');
	await close();
	const data = await readFile(path.join(folder, 'data'));
	data[5] = ~data[5]!;
	await writeFile(path.join(folder, 'data'), data);
	const {code, stderr} = await run(t, ['verify', '--storage', storage, '1']);
	assert.equal(code, 1);
	assert.match(stderr, /film\.bin: discarded \d+ damaged bytes/);
});

test('wrong usage is one sentence and exit code 2', async t => {
	for (const [args, usage] of [
		[['add'], /usage: downstream-tui add URL…/],
		[['export', '1'], /usage: downstream-tui export ID PATH/],
		[['list', 'all'], /usage: downstream-tui list; see downstream-tui list --help\n/],
		[['play'], /usage: downstream-tui play URL/],
		[['get', 'film'], /"film" is not a URL that begins with http:\/\/ or https:\/\//],
		[['serve', 'ftp://me:geheim@a/b'], /"ftp:\/\/\*\*\*@a\/b" is not a URL/],
		[['me:geheim@a/b'], /"\*\*\*@a\/b" is not a URL/],
		[['get', 'http://'], /: "http:\/\/" is not a valid URL, such as https:\/\/example\.com\/film\.mkv\n/],
		[['get', '-'], /: get: standard input contains no URL\n/],
	] as const) {
		const {code, stderr} = await run(t, args);
		assert.equal(code, 2);
		assert.match(stderr, usage);
	}
});

test('URLs go to the running instance with their flags', async t => {
	const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
	const {serve: instance, ready, storage} = await serve(t);
	const handed = await run(t, [
		'--storage',
		storage,
		...['-H', 'X-Api-Key: geheim', '--user-agent', 'Agent/9', origin.url, 'ftp://a/b'],
	]);
	assert.equal(handed.code, 1);
	assert.match(handed.stdout, /^ {2}1 {2}.* film\.bin\n$/);
	assert.match(handed.stderr, /ftp:\/\/a\/b: "ftp" is not http or https/);
	await instance.event('done');
	assert.equal(origin.requests[0]?.headers['x-api-key'], 'geheim');
	assert.equal(origin.requests[0].headers['user-agent'], 'Agent/9');
	const nothing = await run(t, ['--storage', storage]);
	assert.deepEqual(nothing, {
		code: 0,
		stdout: `downstream-tui is already running: ${ready.url}\n`,
		stderr: '',
	});
	const plain = await run(t, ['--plain', '--storage', storage]);
	assert.match(
		plain.stdout,
		/is already running: .*\nControl it with downstream-tui list, .* another --storage\.\n$/,
	);
	const second = await run(t, ['serve', '--port', '0', '--storage', storage]);
	assert.equal(second.code, 75);
	assert.match(
		second.stderr,
		/^downstream-tui: downstream-tui is already running \(pid \d+, http:[^)]*\) on .*; --storage DIR uses another folder\n$/,
	);
});

/** A player that records its arguments and reads the stream of the last one. */
async function fakePlayer(t: TestContext): Promise<{command: string; started: () => Promise<string>}> {
	const folder = await temporaryFolder(t);
	const script = path.join(folder, 'player.mjs');
	await writeFile(
		script,
		`import {renameSync, writeFileSync} from 'node:fs';
const body = await (await fetch(process.argv.at(-1))).arrayBuffer();
writeFileSync(${JSON.stringify(`${script}.part`)}, process.argv.slice(2).join(' ') + ' ' + body.byteLength);
renameSync(${JSON.stringify(`${script}.part`)}, ${JSON.stringify(`${script}.started`)});
`,
	);
	return {
		command: `"${process.execPath}" "${script}" --fs`,
		async started() {
			for (;;) {
				const text = await readFile(`${script}.started`, 'utf8').catch(() => '');
				if (text !== '') {
					return text;
				}

				await new Promise(resolve => setTimeout(resolve, 20));
			}
		},
	};
}

test('play starts a player on the stream of the running instance', async t => {
	const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
	const {ready, storage} = await serve(t);
	const {command, started} = await fakePlayer(t);
	const played = await run(t, ['play', '--storage', storage, '--player', command, origin.url]);
	assert.equal(played.code, 0, played.stderr);
	const [, stream = ''] = / is playing film\.bin from (\S+)\n$/.exec(played.stdout) ?? [];
	assert.ok(stream.startsWith(`${ready.url}/stream/`));
	assert.equal(await started(), `--fs ${stream} ${MiB}`);
	const missing = await run(t, ['play', '--storage', storage, '--player', '/does/not/exist', origin.url]);
	assert.equal(missing.code, 1);
	assert.match(missing.stderr, /\/does\/not\/exist cannot be started: is it installed\?\n$/);
	const none = await run(t, ['play', '--storage', storage, origin.url], {PATH: storage});
	assert.equal(none.code, 1);
	assert.match(none.stderr, /no player found/);
});

test('play starts an instance, and a signal ends it', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB, etag: '"v1"'});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const {command, started} = await fakePlayer(t);
	const program = await CliProcess.start(t, [
		'play',
		...['--storage', storage, '--port', '0', '--player', command, origin.url],
	]);
	assert.match(await started(), new RegExp(` ${2 * MiB}$`));
	program.child.kill('SIGINT');
	assert.equal(await program.exit(), 130);
	assert.match(program.stdout, /is playing film\.bin from .*\nRunning until .*; Ctrl\+C quits\n$/);
	await assert.rejects(stat(path.join(storage, 'owner.json')), {code: 'ENOENT'});
});

test('play reports why a download cannot be played', async t => {
	const origin = await startOrigin(t, {
		size: 1,
		intercept: notFound(),
	});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const {code, stderr} = await run(t, ['play', '--storage', storage, '--port', '0', origin.url]);
	assert.equal(code, 1);
	assert.match(stderr, /film\.bin: .*404/);
});

test('the dashboard attaches to the running instance and leaves it running', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB, etag: '"v1"'});
	const {serve: instance, storage} = await serve(t);
	const dashboard = await TestTerminal.start(t, ['--storage', storage, origin.url], {columns: 100, rows: 30});
	await dashboard.shows(/film\.bin.*done/);
	dashboard.press('q');
	assert.equal(await dashboard.exit(), 0);
	const list = await run(t, ['list', '--storage', storage]);
	assert.match(list.stdout, /done .* film\.bin/);
	const again = await TestTerminal.start(t, ['--storage', storage], {columns: 100, rows: 30});
	await again.shows('film.bin');
	await instance.kill('SIGTERM');
	await again.shows('The other instance has quit');
	again.press('q');
	assert.equal(await again.exit(), 0);
});

test('commands report an unreadable record', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const {engine, close, storageDir} = await startEngine(t);
	const {download: damaged} = await engine.add({url: origin.urlOf('/damaged.bin'), paused: true});
	await close();
	await writeFile(path.join(storageDir, damaged.id, 'entry.json'), '{"version":1}');
	const common = ['--storage', storageDir, '--port', '0', '-o', path.join(storageDir, 'out')];
	for (const words of [['list'], ['get', origin.url, ...common.slice(2)]]) {
		const {code, stderr} = await run(t, [...words, ...common.slice(0, 2)]);
		assert.equal(code, 0, stderr);
		assert.ok(stderr.includes(path.join(storageDir, damaged.id)), stderr);
	}
});
