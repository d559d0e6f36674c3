import assert from 'node:assert/strict';
import {createServer, type AddressInfo} from 'node:net';
import {once} from 'node:events';
import {readFile, stat} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {settingsFrom} from '../source/cli/settings.ts';
import {CliProcess, startGet, startInstance} from './support/cli.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {notFound} from './support/origin.ts';
import {TestTerminal} from './support/terminal.ts';

const MiB = 1024 * 1024;

test('rates use units of 1024, and 0 means no limit', () => {
	const rates = ['500K', '5M', '1.5MiB', '2g', '65536', '0'].map(
		limitRate => settingsFrom({limitRate}, {}).limitRate,
	);
	assert.deepEqual(rates, [512_000, 5 * MiB, 1.5 * MiB, 2048 * MiB, 65_536, Infinity]);
});

test('a bad value or an unknown flag exits with 2', async t => {
	const bad = await CliProcess.start(t, ['serve', '--connections', '99']);
	assert.equal(await bad.exit(), 2);
	assert.match(bad.stderr, /--connections "99"/);
	const unknown = await CliProcess.start(t, ['serve', '--conections', '9']);
	assert.equal(await unknown.exit(), 2);
	assert.match(unknown.stderr, /--conections/);
});

test('a requested port that is in use exits with 69', async t => {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.after(() => server.close());
	const {port} = server.address() as AddressInfo;
	const storage = await temporaryFolder(t);
	const serve = await CliProcess.start(t, ['serve', '--port', String(port), '--storage', storage]);
	assert.equal(await serve.exit(), 69);
	assert.match(serve.stderr, new RegExp(`Port ${port} .*taken or reserved; --port 0 takes any free port\n$`));
});

test('version and help need nothing else', async t => {
	const version = await CliProcess.start(t, ['--version']);
	assert.equal(await version.exit(), 0);
	assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
	const help = await CliProcess.start(t, ['--help']);
	assert.equal(await help.exit(), 0);
	assert.match(help.stdout, /--limit-rate/);
});

test('an interruption that arrives twice at once saves everything', async t => {
	const origin = await startOrigin(t, {size: 60 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const folder = await temporaryFolder(t);
	const get = await startGet(t, path.join(folder, 'storage'), '-o', path.join(folder, 'film'), origin.url);
	while (origin.bytesSent < MiB) {
		await sleep(20);
	}

	// Two signals of one kind would count as one.
	get.child.kill('SIGTERM');
	get.child.kill('SIGINT');
	assert.equal(await get.exit(), 130);
	assert.match(get.stderr, /^downstream-tui: kept [^\n]*; the same command resumes\n$/);
});

test('a closed output ends the program like a signal', async t => {
	const origin = await startOrigin(t, {size: 60 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const storage = await temporaryFolder(t);
	const {serve} = await startInstance(t, storage);
	serve.child.stdout.destroy();
	const add = await CliProcess.start(t, ['add', '--storage', storage, origin.url]);
	assert.equal(await add.exit(), 0);
	assert.equal(await serve.exit(), 130);
	assert.equal(serve.stderr, '');

	const list = await CliProcess.start(t, ['list', '--storage', storage]);
	list.child.stdout.destroy();
	assert.equal(await list.exit(), 0);
	assert.equal(list.stderr, '');
});

test(
	'one Ctrl+C ends a program that waits for URLs on standard input',
	{skip: process.platform === 'linux' ? false : 'needs /proc'},
	async t => {
		const storage = await temporaryFolder(t);
		const terminal = await TestTerminal.start(t, ['get', '--storage', storage, '-'], {columns: 80, rows: 24});
		const hearsSignals = async () => {
			const status = await readFile(`/proc/${terminal.pid}/status`, 'utf8');
			// A hexadecimal mask. Node handles SIGINT itself; SIGHUP is the first bit. Before it has its name it is
			// still a copy of this process.
			const [, last = '0'] = /^SigCgt:.*([\da-f])$/m.exec(status) ?? [];
			return /^Name:\tdownstream-tui$/m.test(status) && (Number.parseInt(last, 16) & 1) !== 0;
		};
		while (!(await hearsSignals())) {
			await sleep(20);
		}

		terminal.press('\u0003');
		assert.equal(await terminal.exit(), 130);
	},
);

test("serve --json prints one object per event, and its key is the folder's", async t => {
	const origin = await startOrigin(t, {size: 2 * MiB, etag: '"v1"'});
	const storage = path.join(await temporaryFolder(t), 'new');
	const {serve, ready} = await startInstance(t, storage, `${origin.url}?token=geheim`);
	assert.deepEqual(Object.keys(ready), ['event', 'url', 'key', 'viewKey', 'storage', 'pid']);
	assert.equal(ready.pid, serve.child.pid);
	for (const [key, file] of [
		[ready.key, 'key'],
		[ready.viewKey, 'view-key'],
	] as const) {
		assert.equal(key, (await readFile(path.join(storage, file), 'utf8')).trim());
		assert.equal((await stat(path.join(storage, file))).mode & 0o777, 0o600);
	}

	assert.notEqual(ready.viewKey, ready.key);
	assert.equal((await stat(storage)).mode & 0o777, 0o700);
	const done = await serve.event('done');
	assert.equal(done.size, 2 * MiB);
	const any = await fetch(
		`${ready.url}/stream?url=${encodeURIComponent(origin.urlOf('/other'))}&key=${ready.key}`,
	);
	assert.equal((await any.arrayBuffer()).byteLength, 2 * MiB);
	assert.equal((await fetch(`${ready.url}/stream?url=${encodeURIComponent(origin.url)}`)).status, 401);
	assert.ok(!serve.stdout.includes('geheim'));
});

test('without a terminal a plain run ends when everything is done', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB, etag: '"v1"'});
	const storage = await temporaryFolder(t);
	const plain = await CliProcess.start(t, ['--port', '0', '--storage', storage, origin.url]);
	assert.equal(await plain.exit(), 0, plain.stderr);
	assert.match(plain.stdout, /^\d\d:\d\d:\d\d serving http:\/\/127\.0\.0\.1:\d+\n/);
	assert.match(plain.stdout, /\[1\] added {2}film\.bin {2}http:/);
	assert.match(plain.stdout, /\[1\] size 2\.00 MiB, ranges yes, stream http:/);
	assert.match(plain.stdout, /\[1\] done {2}2\.00 MiB/);
});

test('the log has no secrets', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const folder = await temporaryFolder(t);
	const log = path.join(folder, 'log');
	const get = await startGet(
		t,
		path.join(folder, 'storage'),
		'--log',
		log,
		'--log-level',
		'debug',
		'-H',
		'Authorization: Bearer geheim',
		'-o',
		path.join(folder, 'out'),
		`${origin.url}?key=geheim`,
	);
	assert.equal(await get.exit(), 0, get.stderr);
	const text = await readFile(log, 'utf8');
	assert.match(text, /info [\da-f]{32}: added http/);
	assert.match(text, /debug [\da-f]{32}: asks 127\.0\.0\.1:\d+ for bytes 0 to/);
	assert.match(text, /info [\da-f]{32}: complete\n/);
	assert.match(text, /info [\da-f]{32}: exported to /);
	assert.doesNotMatch(text, /geheim/);
	assert.equal(origin.requests[0]?.headers.authorization, 'Bearer geheim');
});

test('the log has failures, and an unwritable log is an error', async t => {
	const origin = await startOrigin(t, {
		size: 1000,
		intercept: notFound(),
	});
	const folder = await temporaryFolder(t);
	const common = [
		'get',
		'--port',
		'0',
		'--storage',
		path.join(folder, 'storage'),
		'-o',
		path.join(folder, 'out'),
	];
	const log = path.join(folder, 'log');
	const failed = await CliProcess.start(t, [...common, '--log', log, origin.url]);
	assert.equal(await failed.exit(), 1);
	assert.match(
		await readFile(log, 'utf8'),
		/error [\da-f]{32}: origin-refused: 404: no such file on the server/,
	);

	const nowhere = path.join(folder, 'none', 'log');
	const refused = await CliProcess.start(t, [...common, '--log', nowhere, origin.url]);
	assert.equal(await refused.exit(), 2);
	assert.ok(refused.stderr.includes(`--log ${nowhere}: it is not writable (ENOENT)`), refused.stderr);
});
