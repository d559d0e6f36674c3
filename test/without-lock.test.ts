// An instance without the lock of its storage folder serves cached bytes, writes nothing and retries the lock.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {readdir, readFile, rename, rm, stat, truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {DownStreamError} from '../source/downstream.ts';
import type {Engine} from '../source/engine/engine.ts';
import {StorageLock} from '../source/engine/store/storage-lock.ts';
import {atEnd} from './support/cleanup.ts';
import {CliProcess, startInstance, startServe} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {
	downloadOf,
	startEngine,
	startOrigin,
	temporaryFolder,
	until,
	type TestEngine,
} from './support/engines.ts';
import type {TestOrigin} from './support/origin.ts';

const MiB = 1024 * 1024;
const size = 3 * MiB;
const etag = '"v1"';
const timeout = 120_000;
const isWindows = process.platform === 'win32';

/** Makes the creation of locks fail. Returns a function that ends the failure. */
function fillDisk(t: TestContext): () => void {
	const acquire = t.mock.method(StorageLock, 'acquire', async (storageDir: string) => {
		const cause = Object.assign(new Error('ENOSPC'), {code: 'ENOSPC', syscall: 'mkdir'});
		throw new DownStreamError('disk-full', `The disk that holds ${storageDir} is full`, {cause});
	});
	return () => acquire.mock.restore();
}

type Left = {storageDir: string; complete: string; half: string; origin: TestOrigin};

/** A complete download, a partial one, a removed one with its bytes kept, and one whose deletion is pending. */
async function leave(t: TestContext): Promise<Left> {
	const quick = await startOrigin(t, {size, etag});
	const origin = await startOrigin(t, {size, etag, bytesPerSecond: MiB});
	const {engine, storageDir, close} = await startEngine(t, {connections: 1});
	const records: string[] = [];
	for (let count = 0; count < 2; count++) {
		const {url} = await startOrigin(t, {size: MiB, etag});
		const {download} = await engine.add({url});
		await until(engine, download.id, ({status}) => status === 'complete');
		records.push(path.join(downloadOf(engine, download.id).folder, 'entry.json'));
	}

	const {download: complete} = await engine.add({url: quick.url});
	const {download: half} = await engine.add({url: origin.url});
	await until(engine, complete.id, ({status}) => status === 'complete');
	await until(engine, half.id, ({present}) => present > MiB);
	await close();
	await markRemoved(records[0]!, 'keep');
	await markRemoved(records[1]!, 'delete');
	origin.options.bytesPerSecond = undefined;
	return {storageDir, complete: complete.id, half: half.id, origin};
}

async function markRemoved(record: string, removed: 'keep' | 'delete'): Promise<void> {
	const entry = JSON.parse(await readFile(record, 'utf8')) as object;
	await writeFile(record, JSON.stringify({...entry, removed}));
}

/** Every file with its time and a sum of its bytes. */
async function stateOf(folder: string): Promise<Record<string, string>> {
	const state: Record<string, string> = {};
	for (const entry of await readdir(folder, {recursive: true, withFileTypes: true})) {
		const file = path.join(entry.parentPath, entry.name);
		const {mtimeMs} = await stat(file);
		const bytes = entry.isFile() ? await readFile(file) : '';
		state[file] = `${mtimeMs} ${createHash('sha256').update(bytes).digest('hex')}`;
	}

	return state;
}

async function ask(engine: Engine, id: string, start: number, end: number): Promise<Response> {
	return fetch(downloadOf(engine, id).streamUrl, {headers: {range: `bytes=${start}-${end - 1}`}});
}

async function servesWhatIsHeld({engine}: TestEngine, {complete, half}: Left): Promise<void> {
	for (const [id, end] of [
		[complete, size],
		[half, MiB],
	] as const) {
		const response = await ask(engine, id, 0, end);
		assert.equal(response.status, 206);
		assert.equal(firstWrongByte(Buffer.from(await response.arrayBuffer()), 0), -1);
	}
}

async function refuses(engine: Engine, id: string, status: number, sentence: RegExp): Promise<void> {
	const response = await ask(engine, id, size - MiB, size);
	assert.equal(response.status, status);
	const {detail} = (await response.json()) as {detail: string};
	assert.match(detail, sentence);
}

test('an instance without the lock writes nothing and serves cached bytes', {timeout}, async t => {
	const left = await leave(t);
	const {storageDir, complete, half, origin} = left;
	// Findings of a check, the cleanup of a start and evictions of a cache limit.
	await rm(path.join(storageDir, complete, 'checks'));
	await writeFile(path.join(storageDir, half, 'entry.json.0.tmp'), '');
	const before = await stateOf(storageDir);
	const {requests} = origin;
	const {length} = requests;
	fillDisk(t);
	const running = await startEngine(t, {storageDir, cacheSize: 1});
	const {engine} = running;
	assert.match(
		engine.snapshot.banners.join('\n'),
		/is not writable \(ENOSPC\)\. Stored data can be played; nothing can be downloaded\./,
	);
	await servesWhatIsHeld(running, left);
	await refuses(engine, half, 507, /is not writable \(ENOSPC\)/);
	assert.deepEqual(await engine.verify(complete), {damaged: []});
	const refusal = {code: 'disk-full', message: /is not writable/};
	for (const act of [
		async () => engine.add({url: 'http://127.0.0.1:1/new'}),
		async () => engine.resume(half),
		async () => engine.pause(half),
		async () => engine.cancel(half),
		async () => engine.startOver(half),
		async () => engine.acceptChange(half),
		async () => engine.update(half, {name: 'new'}),
		async () => engine.moveInQueue(half, -1),
		async () => engine.remove(complete, {data: 'delete', undoMs: 0}),
		async () => engine.remove(complete, {data: 'keep'}),
		async () => engine.export(complete, {path: path.join(storageDir, '..', 'moved'), move: true}),
	]) {
		await assert.rejects(act(), refusal);
	}

	await engine.makeRoom(0);
	await servesWhatIsHeld(running, left);
	await running.close();
	assert.deepEqual(await stateOf(storageDir), before);
	assert.equal(requests.length, length, 'the origin was asked');
});

test('the first requested write takes a lock that is free again', {timeout}, async t => {
	const left = await leave(t);
	const {storageDir, half} = left;
	const makeRoom = fillDisk(t);
	const running = await startEngine(t, {storageDir, onDemand: true});
	await refuses(running.engine, half, 507, /is not writable/);
	makeRoom();
	const response = await ask(running.engine, half, size - MiB, size);
	assert.equal(firstWrongByte(Buffer.from(await response.arrayBuffer()), size - MiB), -1);
	assert.deepEqual(running.engine.snapshot.banners, []);
	await assert.rejects(startEngine(t, {storageDir}), {code: 'storage-locked'});
	await until(running.engine, half, ({status}) => status === 'complete');
	await running.close();
	const next = await startEngine(t, {storageDir, maxActive: 0});
	assert.equal(downloadOf(next.engine, half).status, 'complete');
});

test('the lock is retried without a request', {timeout}, async t => {
	const {storageDir, half} = await leave(t);
	const makeRoom = fillDisk(t);
	t.mock.timers.enable({apis: ['setInterval']});
	const {engine} = await startEngine(t, {storageDir});
	t.mock.timers.tick(10_000);
	await assert.rejects(engine.resume(half), {code: 'disk-full'});
	assert.equal(engine.snapshot.banners.length, 1);
	makeRoom();
	t.mock.timers.tick(10_000);
	await until(engine, half, ({status}) => status === 'complete');
	assert.deepEqual(engine.snapshot.banners, []);
});

test('downloads waiting for the lock resume once it is held', {timeout}, async t => {
	const {storageDir, half} = await leave(t);
	const makeRoom = fillDisk(t);
	const {engine} = await startEngine(t, {storageDir});
	assert.equal(downloadOf(engine, half).status, 'queued');
	makeRoom();
	const origin = await startOrigin(t, {size: MiB, etag});
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({status}) => status === 'complete');
	await until(engine, half, ({status}) => status === 'complete');
});

test(
	'an instance beaten to the lock stays without it and rereads the records of its owner',
	{timeout},
	async t => {
		const left = await leave(t);
		const {storageDir, complete, half} = left;
		const makeRoom = fillDisk(t);
		const first = await startEngine(t, {storageDir});
		makeRoom();
		const second = await startEngine(t, {storageDir});
		const other = await startOrigin(t, {size, etag});
		await refuses(first.engine, half, 503, /is already running/);
		assert.match(first.engine.snapshot.banners.join('\n'), /is already running .*Stored data can be played/);
		await until(second.engine, half, ({status}) => status === 'complete');
		const {download: added} = await second.engine.add({url: other.url});
		await until(second.engine, added.id, ({status}) => status === 'complete');
		await second.engine.remove(complete, {data: 'delete', undoMs: 0});
		await second.close();
		const player = await ask(first.engine, half, 0, MiB);
		assert.equal(firstWrongByte(Buffer.from(await player.arrayBuffer()), 0), -1);
		await first.engine.resume(half).catch(() => undefined);
		assert.deepEqual(first.engine.snapshot.banners, []);
		const shown = first.engine.snapshot.downloads.map(({id, status}) => ({id, status}));
		assert.deepEqual(shown, [
			{id: half, status: 'complete'},
			{id: added.id, status: 'complete'},
		]);
	},
);

test('taking the lock does not disturb players of unchanged downloads', {timeout}, async t => {
	const left = await leave(t);
	const {storageDir, complete, half} = left;
	const makeRoom = fillDisk(t);
	const {engine} = await startEngine(t, {storageDir});
	const response = await fetch(downloadOf(engine, complete).streamUrl);
	const reader = response.body!.getReader();
	const chunks = [(await reader.read()).value!];
	makeRoom();
	await engine.pause(half);
	for (;;) {
		const {value} = await reader.read();
		if (!value) {
			break;
		}

		chunks.push(value);
	}

	const bytes = Buffer.concat(chunks);
	assert.equal(bytes.length, size);
	assert.equal(firstWrongByte(bytes, 0), -1);
});

/** A file system that, like those on disks, cannot create a folder when full. */
async function smallExt4(t: TestContext): Promise<string | undefined> {
	const folder = await temporaryFolder(t);
	const image = path.join(await temporaryFolder(t), 'image');
	await writeFile(image, '');
	await truncate(image, 16 * MiB);
	const run = (command: string, ...args: string[]) => spawnSync(command, args).status === 0;
	if (!run('mkfs.ext4', '-q', '-m', '0', image) || !run('mount', '-o', 'loop', image, folder)) {
		t.skip('a file system in a file can be mounted by the superuser of Linux alone');
		return undefined;
	}

	atEnd(t, () => spawnSync('umount', ['-l', folder]));
	return path.join(folder, 'storage');
}

/** Writes files of `bytes` until no space is left for another. */
async function fill(folder: string, bytes: number): Promise<void> {
	for (let name = 0; ; name++) {
		try {
			await writeFile(path.join(folder, `${bytes}-${name}`), Buffer.alloc(bytes));
		} catch {
			return;
		}
	}
}

test('the lock is taken on a disk too full for a folder, and remove frees space', {timeout}, async t => {
	const storageDir = await smallExt4(t);
	if (storageDir === undefined) {
		return;
	}

	const origin = await startOrigin(t, {size, etag});
	const first = await startEngine(t, {storageDir});
	const {download} = await first.engine.add({url: origin.url});
	await until(first.engine, download.id, ({status}) => status === 'complete');
	await first.close();
	for (const bytes of [MiB, 64 * 1024, 4096, 512]) {
		await fill(path.join(storageDir, '..'), bytes);
	}

	const {serve} = await startInstance(t, storageDir);
	const second = await startServe(t, storageDir);
	assert.equal(await second.exit(), 75);
	const remove = await CliProcess.start(t, ['remove', '1', '--delete-data', '--storage', storageDir]);
	assert.equal(await remove.exit(), 0, remove.stderr);
	await serve.kill('SIGTERM');
	const {engine} = await startEngine(t, {storageDir});
	const small = await startOrigin(t, {size: MiB, etag});
	const {download: again} = await engine.add({url: small.url});
	await until(engine, again.id, ({status}) => status === 'complete');
});

test('a removed storage folder is also the error of its downloads', {timeout, skip: isWindows}, async t => {
	const origin = await startOrigin(t, {size: 16 * MiB, etag, bytesPerSecond: 2 * MiB});
	const {engine, storageDir} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({present}) => present > 0);
	await rename(storageDir, `${storageDir}.gone`);
	atEnd(t, () => rm(`${storageDir}.gone`, {recursive: true, force: true}));
	const sentence = `The storage folder ${storageDir} was removed`;
	const {error} = await until(engine, download.id, ({status}) => status === 'failed');
	assert.equal(error?.message, sentence);
	assert.deepEqual(engine.snapshot.banners, [`${sentence}; quit this instance.`]);
	const response = await fetch(download.streamUrl, {headers: {range: 'bytes=0-99'}});
	assert.equal(response.status, 500);
	await assert.rejects(engine.resume(download.id), {code: 'disk-failed', message: sentence});
});

test(
	'a player gets the error of a removed storage folder, as the rows show it',
	{timeout, skip: isWindows},
	async t => {
		const origin = await startOrigin(t, {size, etag});
		const {engine, storageDir} = await startEngine(t);
		const {download} = await engine.add({url: origin.url});
		await until(engine, download.id, ({status}) => status === 'complete');
		await rename(storageDir, `${storageDir}.gone`);
		atEnd(t, () => rm(`${storageDir}.gone`, {recursive: true, force: true}));
		const sentence = `The storage folder ${storageDir} was removed`;
		const response = await ask(engine, download.id, 0, 100);
		assert.equal(response.status, 500);
		const {detail} = (await response.json()) as {detail: string};
		assert.equal(detail, sentence);
		assert.equal(downloadOf(engine, download.id).error?.message, sentence);
		await assert.rejects(engine.resume(download.id), {message: sentence});
	},
);
