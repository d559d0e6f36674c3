// `get` beside an earlier run's list, and beside a running instance.
import assert from 'node:assert/strict';
import {mkdir, readdir, readFile, realpath} from 'node:fs/promises';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Download} from '../source/downstream.ts';
import {CliProcess, startGet, startInstance} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';
import {notFound, type TestOrigin} from './support/origin.ts';

const MiB = 1024 * 1024;

async function listed(t: TestContext, storage: string): Promise<Download[]> {
	const list = await CliProcess.start(t, ['list', '--json', '--storage', storage]);
	assert.equal(await list.exit(), 0, list.stderr);
	return JSON.parse(list.stdout) as Download[];
}

async function sentBy(origin: TestOrigin, bytes: number): Promise<void> {
	while (origin.bytesSent < bytes) {
		await sleep(20);
	}
}

test('get fetches only its own URLs and leaves the list unchanged', async t => {
	const old = await startOrigin(t, {size: 20 * MiB, etag: '"v1"', bytesPerSecond: 64 * 1024});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const {engine, close} = await startEngine(t, {storageDir: storage});
	for (const name of ['a', 'b', 'c']) {
		const {download} = await engine.add({url: old.urlOf(`/${name}`)});
		await until(engine, download.id, ({present}) => present > 0);
	}

	await close();
	const before = await listed(t, storage);
	const {length} = old.requests;
	const origin = await startOrigin(t, {size: MiB});
	const folder = await temporaryFolder(t);
	const get = await startGet(t, storage, '--export-dir', folder, origin.url);
	assert.equal(await get.exit(), 0, get.stderr);
	assert.equal(get.stdout, `${path.join(folder, 'film.bin')}\n`);
	assert.equal(old.requests.length, length);
	const after = await listed(t, storage);
	assert.deepEqual(
		after.map(({id, present, status}) => [id, present, status]),
		before.map(({id, present}) => [id, present, 'queued']),
	);
});

test('get sends its URLs to the running instance, which exports into the folder of get', async t => {
	const origin = await startOrigin(t, {size: 3 * MiB, etag: '"v1"'});
	const folder = await realpath(await temporaryFolder(t));
	const storage = path.join(folder, 'storage');
	await startInstance(t, storage);
	await mkdir(path.join(folder, 'here'));
	const get = await CliProcess.start(
		t,
		[
			'get',
			'--storage',
			storage,
			'-H',
			'X-Mark: mine',
			'-o',
			'films/',
			origin.urlOf('/a'),
			origin.urlOf('/b'),
		],
		{cwd: path.join(folder, 'here')},
	);
	assert.equal(await get.exit(), 0, get.stderr);
	const films = path.join(folder, 'here', 'films');
	assert.deepEqual(get.stdout.split('\n').toSorted(), ['', path.join(films, 'a'), path.join(films, 'b')]);
	assert.equal(firstWrongByte(await readFile(path.join(films, 'a')), 0), -1);
	assert.ok(origin.requests.every(({headers}) => headers['x-mark'] === 'mine'));
	assert.deepEqual(await listed(t, storage), []);

	const missing = await startOrigin(t, {
		size: 1,
		intercept: notFound(),
	});
	const failed = await CliProcess.start(t, ['get', '--storage', storage, '-o', films, missing.url]);
	assert.equal(await failed.exit(), 1);
	assert.match(failed.stderr, /film\.bin: 404: no such file on the server/);
	assert.deepEqual(await listed(t, storage), []);
});

test('concurrent runs of get on one storage folder all write their file', async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag: '"v1"', bytesPerSecond: 2 * MiB});
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const names = ['a', 'b', 'c', 'd'];
	const runs = await Promise.all(
		names.map(name => startGet(t, storage, '-o', `${folder}/films/`, origin.urlOf(`/${name}`))),
	);
	for (const [index, run] of runs.entries()) {
		assert.equal(await run.exit(), 0, run.stderr);
		const file = path.join(folder, 'films', names[index]!);
		assert.equal(run.stdout, `${file}\n`);
		assert.equal(firstWrongByte(await readFile(file), 0), -1);
	}

	assert.deepEqual(await listed(t, storage), []);
});

test('two runs of get for the same URL both succeed', async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag: '"v1"', bytesPerSecond: 2 * MiB});
	const folder = await temporaryFolder(t);
	const runs = await Promise.all(
		['one', 'two'].map(name =>
			startGet(t, path.join(folder, 'storage'), '-o', path.join(folder, name), origin.url),
		),
	);
	for (const run of runs) {
		assert.equal(await run.exit(), 0, run.stderr);
		assert.equal(firstWrongByte(await readFile(run.stdout.trim()), 0), -1);
	}
});

test('get takes over from an instance that exits, and resumes from cached bytes', async t => {
	const size = 24 * MiB;
	const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: 2 * MiB});
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const {serve: instance} = await startInstance(t, storage);
	const target = path.join(folder, 'film.bin');
	const get = await startGet(t, storage, '-o', target, origin.url);
	await sentBy(origin, 4 * MiB);
	origin.options.bytesPerSecond = undefined;
	await instance.kill('SIGTERM');
	assert.equal(await get.exit(), 0, get.stderr);
	assert.equal(firstWrongByte(await readFile(target), 0), -1);
	assert.deepEqual(await listed(t, storage), []);
});

test('Ctrl+C in get leaves the running instance unchanged and reports the kept bytes', async t => {
	const origin = await startOrigin(t, {size: 40 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const storage = path.join(await temporaryFolder(t), 'storage');
	await startInstance(t, storage);
	const add = await CliProcess.start(t, ['add', '--paused', '--storage', storage, origin.urlOf('/listed')]);
	assert.equal(await add.exit(), 0, add.stderr);
	assert.equal(origin.requests.length, 0);
	const get = await CliProcess.start(t, [
		...[
			'get',
			'--storage',
			storage,
			'-o',
			`${storage}-films/`,
			origin.urlOf('/listed'),
			origin.urlOf('/new'),
		],
	]);
	while (!origin.requests.some(({url, sent}) => url === '/new' && sent.end - sent.start > MiB / 2)) {
		await sleep(20);
	}

	get.child.kill('SIGINT');
	assert.equal(await get.exit(), 130);
	assert.match(get.stderr, /^downstream-tui: kept \S+ [KM]iB of 2 files; the same command resumes\n$/);
	const after = await listed(t, storage);
	assert.deepEqual(
		after.map(({name, status}) => [name, status]),
		[['listed', 'paused']],
	);
	assert.deepEqual(await readdir(`${storage}-films`), []);
});

test('Ctrl+C in get without an instance leaves a paused download paused', async t => {
	const origin = await startOrigin(t, {size: 40 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const {engine, close} = await startEngine(t, {storageDir: storage});
	await engine.add({url: origin.urlOf('/listed'), paused: true});
	await close();
	const common = ['--port', '0', '--storage', storage, '-o', `${storage}-films/`];
	const get = await CliProcess.start(t, ['get', ...common, origin.urlOf('/listed')]);
	await sentBy(origin, MiB / 2);
	get.child.kill('SIGINT');
	assert.equal(await get.exit(), 130);
	assert.deepEqual(
		(await listed(t, storage)).map(({status}) => status),
		['paused'],
	);
});

test('a listed download stays in the list, and every download with --keep', async t => {
	const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const {engine, close} = await startEngine(t, {storageDir: storage});
	await engine.add({url: origin.urlOf('/listed'), paused: true});
	await close();
	const common = ['--port', '0', '--storage', storage, '-o', `${folder}/films/`];
	const get = await CliProcess.start(t, ['get', ...common, origin.urlOf('/listed'), origin.urlOf('/new')]);
	assert.equal(await get.exit(), 0, get.stderr);
	const kept = await CliProcess.start(t, ['get', '--keep', ...common, origin.urlOf('/kept')]);
	assert.equal(await kept.exit(), 0, kept.stderr);
	assert.deepEqual(
		(await listed(t, storage)).map(({name, status}) => [name, status]),
		[
			['listed', 'complete'],
			['kept', 'complete'],
		],
	);
	for (const name of ['listed', 'new', 'kept']) {
		assert.equal(firstWrongByte(await readFile(path.join(folder, 'films', name)), 0), -1);
	}
});

test('commands exit with 75 if the instance is unreachable', async t => {
	const storage = path.join(await temporaryFolder(t), 'storage');
	const {serve: instance} = await startInstance(t, storage);
	instance.child.kill('SIGSTOP');
	await Promise.all(
		[['get', 'http://127.0.0.1:9/x'], ['list']].map(async words => {
			const command = await CliProcess.start(t, [...words, '--storage', storage]);
			assert.equal(await command.exit(), 75);
			assert.match(command.stderr, /; --storage DIR uses another folder\n$/);
		}),
	);
	instance.child.kill('SIGCONT');
});
