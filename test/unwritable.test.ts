// Storage folders on a full or read-only disk, open to others, or removed while in use.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {
	chmod,
	mkdir,
	readdir,
	readFile,
	rename,
	rm,
	stat,
	statfs,
	symlink,
	writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {Engine} from '../source/engine/engine.ts';
import {StorageLock, storageOwner} from '../source/engine/store/storage-lock.ts';
import {atEnd} from './support/cleanup.ts';
import {CliProcess, startServe} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {downloadOf, startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';

const MiB = 1024 * 1024;
const size = 3 * MiB;
const etag = '"v1"';
const timeout = 120_000;
const isWindows = process.platform === 'win32';

/** Mounts a separate small disk. Returns undefined, and skips the test, if none can be mounted. */
async function smallDisk(t: TestContext, megabytes = 12): Promise<string | undefined> {
	const folder = await temporaryFolder(t);
	const options = `size=${megabytes}m,mode=700`;
	if (spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]).status !== 0) {
		t.skip('only root on Linux can mount a small disk');
		return undefined;
	}

	atEnd(t, () => spawnSync('umount', ['-l', folder]));
	return folder;
}

function remount(folder: string, mode: 'ro' | 'rw'): void {
	assert.equal(spawnSync('mount', ['-o', `remount,${mode}`, folder]).status, 0);
}

/** Fills the remaining space. */
async function fill(folder: string): Promise<void> {
	const bytes = Buffer.alloc(4096);
	for (let name = 0; ; name++) {
		try {
			await writeFile(path.join(folder, `filler-${name}`), Buffer.concat(Array(64).fill(bytes)));
		} catch {
			break;
		}
	}

	for (let name = 0; ; name++) {
		try {
			await writeFile(path.join(folder, `rest-${name}`), bytes);
		} catch {
			return;
		}
	}
}

/** Runs a command on the storage folder and asserts that it succeeds. */
async function run(t: TestContext, storageDir: string, ...args: string[]): Promise<string> {
	const command = await CliProcess.start(t, [...args, '--storage', storageDir]);
	assert.equal(await command.exit(), 0, command.stderr);
	return command.stdout;
}

function serve(t: TestContext, storageDir: string): Promise<CliProcess> {
	return startServe(t, storageDir);
}

/** Leaves one complete download, and one paused in the middle. */
async function leaveDownloads(t: TestContext, storageDir: string): Promise<{complete: string; half: string}> {
	const quick = await startOrigin(t, {size, etag});
	const slow = await startOrigin(t, {size, etag, bytesPerSecond: 2 * MiB});
	const {engine, close} = await startEngine(t, {storageDir, connections: 1});
	const {download: complete} = await engine.add({url: quick.url});
	const {download: half} = await engine.add({url: slow.url});
	await until(engine, complete.id, ({status}) => status === 'complete');
	await until(engine, half.id, ({present}) => present > MiB);
	await engine.pause(half.id);
	await close();
	return {complete: complete.id, half: half.id};
}

async function servesWhatIsHeld(
	engine: Engine,
	{complete, half}: {complete: string; half: string},
): Promise<void> {
	for (const [id, length] of [
		[complete, size],
		[half, MiB],
	] as const) {
		const {streamUrl} = downloadOf(engine, id);
		const response = await fetch(streamUrl, {headers: {range: `bytes=0-${length - 1}`}});
		assert.equal(response.status, 206);
		assert.equal(firstWrongByte(Buffer.from(await response.arrayBuffer()), 0), -1);
	}
}

test('on a read-only disk, all stored data is listed, served, exported and verified', {timeout}, async t => {
	const storageDir = await smallDisk(t);
	if (storageDir === undefined) {
		return;
	}

	const ids = await leaveDownloads(t, storageDir);
	remount(storageDir, 'ro');
	const {engine, close} = await startEngine(t, {storageDir});
	assert.match(
		engine.snapshot.banners.join('\n'),
		/\(EROFS\)\. Stored data can be played; nothing can be downloaded\./,
	);
	assert.equal(downloadOf(engine, ids.complete).status, 'complete');
	await servesWhatIsHeld(engine, ids);
	assert.deepEqual(await engine.verify(ids.complete), {damaged: []});
	const target = path.join(await temporaryFolder(t), 'film.bin');
	await engine.export(ids.complete, {path: target});
	assert.equal(firstWrongByte(await readFile(target), 0), -1);
	await assert.rejects(engine.add({url: 'http://127.0.0.1:1/new'}), {code: 'disk-failed'});
	await assert.rejects(engine.remove(ids.complete, {data: 'delete', undoMs: 0}), {code: 'disk-failed'});
	await close();

	for (const args of [['list'], ['verify', '1'], ['export', '1', `${target}.2`]]) {
		await run(t, storageDir, ...args);
	}

	const remove = await CliProcess.start(t, ['remove', '1', '--storage', storageDir]);
	assert.equal(await remove.exit(), 1);
	assert.match(remove.stderr, /\(EROFS\)/);
	remount(storageDir, 'rw');
	const again = await startEngine(t, {storageDir});
	assert.deepEqual(again.engine.snapshot.banners, []);
});

for (const end of ['close', 'kill'] as const) {
	test(
		`on a full disk, after a ${end}, stored data is served, and removing makes room`,
		{timeout},
		async t => {
			const storageDir = await smallDisk(t);
			if (storageDir === undefined) {
				return;
			}

			const ids = await leaveDownloads(t, storageDir);
			if (end === 'kill') {
				const killed = await serve(t, storageDir);
				await killed.event('ready');
				await fill(storageDir);
				await killed.kill('SIGKILL');
			} else {
				await fill(storageDir);
			}

			const running = await serve(t, storageDir);
			const {url} = await running.event('ready');
			const listed = JSON.parse(await run(t, storageDir, 'list', '--json')) as Array<{
				id: string;
				streamUrl: string;
			}>;
			assert.deepEqual(listed.map(({id}) => id).toSorted(), Object.values(ids).toSorted());
			assert.ok(listed[0]!.streamUrl.startsWith(String(url)), 'the copy that runs was not found');
			const second = await serve(t, storageDir);
			assert.equal(await second.exit(), 75);
			await run(t, storageDir, 'remove', '1', '--delete-data');
			await running.kill('SIGTERM');

			const origin = await startOrigin(t, {size: MiB, etag});
			const {engine} = await startEngine(t, {storageDir});
			const {download} = await engine.add({url: origin.url});
			await until(engine, download.id, ({status}) => status === 'complete');
		},
	);
}

test('on a full disk without a running instance, remove makes room', {timeout}, async t => {
	const storageDir = await smallDisk(t);
	if (storageDir === undefined) {
		return;
	}

	const ids = await leaveDownloads(t, storageDir);
	await fill(storageDir);
	const {bavail: before} = await statfs(storageDir);
	await run(t, storageDir, 'remove', ids.complete, '--delete-data');
	const {bavail: after, bsize} = await statfs(storageDir);
	assert.ok((after - before) * bsize >= size, `${(after - before) * bsize} bytes`);
	const list = await run(t, storageDir, 'list', '--json');
	assert.deepEqual(
		(JSON.parse(list) as Array<{id: string}>).map(({id}) => id),
		[ids.half],
	);
});

test(
	'on a full disk without a key, the program starts and reports that its key is not stored',
	{timeout},
	async t => {
		const storageDir = await smallDisk(t, 1);
		if (storageDir === undefined) {
			return;
		}

		await fill(storageDir);
		const {engine} = await startEngine(t, {storageDir});
		assert.match(engine.snapshot.banners.join('\n'), /The key of this run is not saved/);
		assert.match(engine.key, /^[\w-]{43}$/);
	},
);

test('a file too large for its disk is reported as such', {timeout, skip: isWindows}, async t => {
	const origin = await startOrigin(t, {size: 999_999_999_999_999, etag});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, onDemand: true});
	const shown = await until(engine, download.id, ({status, present}) => status === 'failed' || present > 0);
	// Some file systems (XFS, btrfs, ZFS, tmpfs) support this size.
	if (shown.status === 'failed') {
		assert.equal(shown.error?.code, 'disk-failed', shown.error?.message);
		assert.match(shown.error.message, /^The disk cannot hold a file of 999999999999999 bytes: /);
	}
});

for (const mode of [0o755, 0o750, 0o777]) {
	test(
		`a storage folder of mode ${mode.toString(8)} is restricted to its user`,
		{skip: isWindows},
		async t => {
			const storageDir = path.join(await temporaryFolder(t), 'storage');
			await mkdir(storageDir);
			await chmod(storageDir, mode);
			await startEngine(t, {storageDir});
			assert.equal((await stat(storageDir)).mode & 0o777, 0o700);
		},
	);
}

for (const storageDir of ['/', '/tmp', process.env.HOME ?? '/']) {
	test(`the shared folder ${storageDir} is rejected as storage folder`, {skip: isWindows}, async t => {
		const {mode} = await stat(storageDir);
		if ((mode & 0o077) === 0) {
			t.skip('it is open to nobody else here');
			return;
		}

		await assert.rejects(startEngine(t, {storageDir}), {
			code: 'disk-failed',
			message: /choose a dedicated storage folder/,
		});
		assert.equal((await stat(storageDir)).mode, mode);
	});
}

test("another user's readable folder is rejected", {skip: isWindows || process.getuid?.() !== 0}, async t => {
	const storageDir = path.join(await temporaryFolder(t), 'storage');
	await mkdir(storageDir);
	await chmod(storageDir, 0o777);
	await chmod(path.dirname(storageDir), 0o755);
	atEnd(t, () => process.seteuid!(0));
	process.seteuid!(65_534);
	await assert.rejects(startEngine(t, {storageDir}), {
		code: 'disk-failed',
		message: /belongs to another user/,
	});
	process.seteuid!(0);
	assert.deepEqual(await readdir(storageDir), []);
});

test('a removed storage folder is reported as such', {timeout, skip: isWindows}, async t => {
	const storageDir = path.join(await temporaryFolder(t), 'storage');
	const {engine} = await startEngine(t, {storageDir});
	await rename(storageDir, `${storageDir}.gone`);
	while (engine.snapshot.banners.length === 0) {
		await sleep(20);
	}

	assert.deepEqual(engine.snapshot.banners, [
		`The storage folder ${storageDir} was removed; quit this instance.`,
	]);
});

test(
	'a storage folder that was removed and recreated is not mistaken for another instance',
	{timeout, skip: isWindows},
	async t => {
		const storageDir = path.join(await temporaryFolder(t), 'storage');
		await mkdir(storageDir);
		const loss = new Promise(resolve => {
			void StorageLock.acquire(storageDir, resolve);
		});
		while (!(await storageOwner(storageDir))) {
			await sleep(5);
		}

		await rename(storageDir, `${storageDir}.gone`);
		await mkdir(storageDir);
		// The lock alone does not keep the process running.
		const running = setInterval(() => undefined, 1000);
		assert.equal(await loss, 'removed');
		clearInterval(running);
	},
);

for (const [what, put] of [
	['a link', async (key, other) => symlink(other, key)],
	['empty', async key => writeFile(key, '')],
	['a folder', async key => mkdir(key)],
] satisfies Array<[string, (key: string, other: string) => Promise<unknown>]>) {
	test(
		`a key that is ${what} does not prevent the start`,
		{skip: isWindows && what === 'a link'},
		async t => {
			const storageDir = await temporaryFolder(t);
			const other = path.join(await temporaryFolder(t), 'other');
			await writeFile(other, 'of somebody else');
			await put(path.join(storageDir, 'key'), other);
			const {engine} = await startEngine(t, {storageDir});
			assert.match(engine.key, /^[\w-]{43}$/);
			assert.equal(await readFile(other, 'utf8'), 'of somebody else');
			await rm(other);
		},
	);
}
