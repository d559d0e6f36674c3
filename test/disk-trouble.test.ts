import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {closeSync} from 'node:fs';
import {
	chmod,
	lstat,
	mkdir,
	open,
	readdir,
	readFile,
	readlink,
	rename,
	rm,
	stat,
	symlink,
	truncate,
	utimes,
	writeFile,
	type FileHandle,
} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError, type Download} from '../source/downstream.ts';
import type {Engine} from '../source/engine/engine.ts';
import {SparseFile} from '../source/engine/store/sparse-file.ts';
import {RecordFile, RecordStore} from '../source/engine/store/record-store.ts';
import {atEnd} from './support/cleanup.ts';
import {content} from './support/content.ts';
import {EngineProcess} from './support/engine-process.ts';
import {
	downloadOf,
	startDownload,
	startEngine,
	startOrigin,
	temporaryFolder,
	until,
	untilEnded,
} from './support/engines.ts';
import {recordedRanges} from './support/recorded-ranges.ts';

const MiB = 1024 * 1024;
const size = 4 * MiB;
const whole = content(0, size);
const etag = '"v1"';
const timeout = 60_000;
const isWindows = process.platform === 'win32';
const isRoot = process.getuid?.() === 0;

/** A download that was closed in the middle, with an origin that is fast from now on. */
async function leaveHalf(
	t: TestContext,
): Promise<{url: string; storageDir: string; data: string; id: string}> {
	const {origin, engine, storageDir, close, download} = await startDownload(
		t,
		{size, etag, bytesPerSecond: MiB},
		{connections: 1},
	);
	await until(engine, download.id, ({present}) => present > MiB);
	await close();
	origin.options.bytesPerSecond = undefined;
	return {url: origin.url, storageDir, data: path.join(storageDir, download.id, 'data'), id: download.id};
}

async function streamsTheWhole({streamUrl}: Download): Promise<void> {
	const response = await fetch(streamUrl);
	assert.equal(response.status, 200);
	assert.ok(whole.equals(new Uint8Array(await response.arrayBuffer())), 'wrong bytes');
}

async function completes(engine: Engine, id: string): Promise<void> {
	const done = await untilEnded(engine, id);
	assert.deepEqual([done.status, done.error?.message], ['complete', undefined]);
	await streamsTheWhole(done);
}

for (const [words, damage, isHeld] of [
	['deleted', async data => rm(data), false],
	['emptied', async data => truncate(data), false],
	['truncated in the middle of its second block', async data => truncate(data, MiB + MiB / 2), true],
	['longer than the file', async data => truncate(data, 2 * size), true],
	[
		'moved, with a symbolic link in its place',
		async data => {
			await rename(data, `${data}.elsewhere`);
			await symlink(`${data}.elsewhere`, data);
		},
		true,
	],
] satisfies Array<[string, (data: string) => Promise<void>, boolean]>) {
	test(
		`a download whose data was ${words} is completed again`,
		{timeout, skip: isWindows && /link/.test(words)},
		async t => {
			const {storageDir, data, id} = await leaveHalf(t);
			await damage(data);
			const idle = await startEngine(t, {storageDir, maxActive: 0});
			const {present, ranges} = downloadOf(idle.engine, id);
			assert.equal(present > 0, isHeld, `${present} bytes held`);
			const bytes = ranges.length === 0 ? Buffer.alloc(0) : await readFile(data);
			for (const [start, end] of ranges) {
				assert.ok(whole.subarray(start, end).equals(bytes.subarray(start, end)));
			}

			await idle.close();
			const {engine} = await startEngine(t, {storageDir});
			await completes(engine, id);
			assert.equal((await stat(data)).size, size);
		},
	);
}

test(
	'a folder in place of the data is reported, left alone, and affects no other download',
	{timeout},
	async t => {
		const {storageDir, data, id, url} = await leaveHalf(t);
		await rm(data);
		await mkdir(data);
		const {engine} = await startEngine(t, {storageDir});
		const said = [...engine.snapshot.banners, downloadMessage(engine, id)].join('\n');
		assert.match(said, /data is not a file/);
		assert.ok((await lstat(data)).isDirectory());
		const {download} = await engine.add({url: `${url}?other`});
		await completes(engine, download.id);
	},
);

function downloadMessage(engine: Engine, id: string): string {
	return engine.snapshot.downloads.find(download => download.id === id)?.error?.message ?? '';
}

test(
	'the removal of the storage folder in use is reported, and the next start recreates it',
	{timeout, skip: isWindows && 'open files cannot be removed there'},
	async t => {
		const origin = await startOrigin(t, {size, etag, bytesPerSecond: MiB});
		const parent = await temporaryFolder(t);
		const storageDir = path.join(parent, 'storage');
		const {engine, close} = await startEngine(t, {storageDir, connections: 1});
		const {download} = await engine.add({url: origin.url});
		await until(engine, download.id, ({present}) => present > 0);
		await rename(storageDir, `${storageDir}.gone`);
		const failed = await untilEnded(engine, download.id);
		assert.equal(failed.error?.code, 'disk-failed');
		assert.ok(failed.error?.message.includes(storageDir), failed.error?.message);
		await close();
		origin.options.bytesPerSecond = undefined;
		const next = await startEngine(t, {storageDir});
		const {download: again} = await next.engine.add({url: origin.url});
		await completes(next.engine, again.id);
	},
);

/** Returns false if this is impossible. */
function mountSmallDisk(t: TestContext, folder: string): boolean {
	const {status} = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder]);
	if (status !== 0) {
		t.skip('only root on Linux can mount a small disk');
		return false;
	}

	atEnd(t, () => spawnSync('umount', [folder]));
	return true;
}

test(
	'a full disk is reported and loses nothing, and the download continues when there is space',
	{timeout},
	async t => {
		const storageDir = await temporaryFolder(t);
		if (!mountSmallDisk(t, storageDir)) {
			return;
		}

		const other = path.join(storageDir, 'of somebody else');
		await writeFile(other, Buffer.alloc(6 * MiB));
		const {origin, engine, close, download} = await startDownload(t, {size, etag}, {storageDir});
		const failed = await untilEnded(engine, download.id);
		assert.equal(failed.error?.code, 'disk-full');
		assert.match(failed.error?.message ?? '', /^The disk that holds .* is full$/);
		for (const {start, end} of await recordedRanges(failed.folder)) {
			const held = await fetch(failed.streamUrl, {headers: {range: `bytes=${start}-${end - 1}`}});
			assert.ok(whole.subarray(start, end).equals(new Uint8Array(await held.arrayBuffer())));
		}

		const {present} = downloadOf(engine, download.id);
		assert.ok(present > 0);
		await rm(other);
		const {bytesSent} = origin;
		await engine.resume(download.id);
		await completes(engine, download.id);
		// A resume compares samples.
		const sampled = 64 * 1024;
		assert.ok(origin.bytesSent - bytesSent <= size - present + sampled, 'cached bytes were fetched again');
		await close();
	},
);

test('bytes that filled the disk are still recorded', {timeout}, async t => {
	const storageDir = await temporaryFolder(t);
	if (!mountSmallDisk(t, storageDir)) {
		return;
	}

	const {engine, close, download} = await startDownload(t, {size: 20 * MiB, etag}, {storageDir});
	const {folder} = await until(engine, download.id, ({status}) => status === 'failed');
	await close();
	const {present} = downloadOf(engine, download.id);
	assert.ok(present > 6 * MiB, `${present} bytes`);
	const recorded = (await recordedRanges(folder)).reduce((sum, {start, end}) => sum + end - start, 0);
	assert.equal(recorded, present);
	// The last write changed the file after its identity was recorded.
	await utimes(path.join(folder, 'data'), 0, 0);
	const again = await startEngine(t, {storageDir, maxActive: 0});
	await again.engine.verify(download.id);
	assert.equal(downloadOf(again.engine, download.id).present, present);
});

test('a record is written on a full disk while another program takes each free block', {timeout}, async t => {
	const storageDir = await temporaryFolder(t);
	if (!mountSmallDisk(t, storageDir)) {
		return;
	}

	const store = await RecordStore.open(storageDir);
	const id = 'a'.repeat(32);
	const file = await store.create({
		version: 1,
		id,
		url: 'http://127.0.0.1/film.mkv',
		headers: {},
		ranges: [],
		intent: 'run',
		onDemand: false,
		addedAt: 0,
	});
	await file.save({addedAt: 1});
	const greedy = `
		const fs = require('node:fs');
		const file = fs.openSync(process.argv[1], 'a');
		for (let isFull = false; ; ) {
			try {
				fs.writeSync(file, Buffer.alloc(4096));
			} catch {
				isFull ||= fs.writeSync(1, 'full') > 0;
			}
		}`;
	const child = spawn(process.execPath, ['--eval', greedy, path.join(storageDir, 'other')]);
	const exited = once(child, 'exit');
	// The disk cannot be unmounted before.
	atEnd(t, async () => {
		child.kill('SIGKILL');
		await exited;
	});
	await once(child.stdout, 'data');
	for (let count = 1; count <= 20; count++) {
		await file.save({ranges: [[0, count]]});
		const {records, problems} = await store.readAll();
		assert.deepEqual([records[0]?.record.ranges, problems], [[[0, count]], []]);
	}

	assert.deepEqual(new Set(await readdir(file.folder)), new Set(['entry.json', 'entry.json.bak']));
});

test('a download can be deleted from a disk too full for its record', {timeout}, async t => {
	const {engine, download} = await startDownload(t, {size, etag});
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	t.mock.method(RecordFile.prototype, 'save', async () => {
		throw new DownStreamError('disk-full', 'The disk is full');
	});
	await engine.remove(download.id, {data: 'delete', undoMs: 0});
	await assert.rejects(stat(folder), {code: 'ENOENT'});
});

test(
	'a removed download that cannot be deleted does not stop the program, and is deleted on the next start',
	{timeout},
	async t => {
		const {engine, storageDir, close, download} = await startDownload(t, {size, etag});
		const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
		const deleting = t.mock.method(RecordStore.prototype, 'delete', async () => {
			throw new DownStreamError('disk-failed', `${folder} cannot be deleted`);
		});
		await engine.remove(download.id, {data: 'delete', undoMs: 1});
		while (engine.snapshot.banners.length === 0) {
			await sleep(5);
		}

		assert.match(engine.snapshot.banners[0]!, /cannot be deleted/);
		await close();
		const next = await startEngine(t, {storageDir});
		assert.match(next.engine.snapshot.banners[0] ?? '', /cannot be deleted/);
		await next.close();
		deleting.mock.restore();
		await startEngine(t, {storageDir});
		await assert.rejects(stat(folder), {code: 'ENOENT'});
	},
);

test(
	'missing permission for the storage folder is reported, and the download continues once it is restored',
	{timeout, skip: isWindows && 'permissions work differently there'},
	async t => {
		const {origin, engine, storageDir, close, download} = await startDownload(
			t,
			{size, etag, bytesPerSecond: MiB},
			{connections: 1},
		);
		const {folder} = await until(engine, download.id, ({present}) => present > 0);
		const permit = await forbid(t, folder);
		const failed = await untilEnded(engine, download.id);
		assert.equal(failed.error?.code, 'disk-failed');
		assert.match(failed.error?.message ?? '', /entry\.json cannot be read or written \(EACCES\)$/);
		await permit();
		origin.options.bytesPerSecond = undefined;
		await engine.resume(download.id);
		await completes(engine, download.id);
		await close();

		// A readable folder would be opened read-only.
		await forbid(t, storageDir, 0);
		await assert.rejects(startEngine(t, {storageDir}), {code: 'disk-failed', message: /\(EACCES\)/});
	},
);

/** Resolves with a function that restores the permission. Root can write everywhere, so it becomes another user. */
async function forbid(t: TestContext, folder: string, mode = 0o500): Promise<() => Promise<void>> {
	const permit = async () => (isRoot ? process.seteuid!(0) : chmod(folder, 0o700));
	atEnd(t, permit);
	await (isRoot ? process.seteuid!(65_534) : chmod(folder, mode));
	return permit;
}

test(
	'data that became read-only is reported and kept, and the download continues once it is writable',
	{timeout, skip: isWindows && 'permissions work differently there'},
	async t => {
		const {storageDir, data, id} = await leaveHalf(t);
		const idle = await startEngine(t, {storageDir, maxActive: 0});
		const {present} = downloadOf(idle.engine, id);
		await idle.close();
		await chmod(data, 0o400);
		if (isRoot) {
			// Root can write everywhere, so it becomes another user.
			spawnSync('chown', ['-R', '65534', storageDir]);
			atEnd(t, () => process.seteuid!(0));
			process.seteuid!(65_534);
		}

		const {engine} = await startEngine(t, {storageDir});
		const failed = await untilEnded(engine, id);
		assert.deepEqual([failed.error?.code, failed.present], ['disk-failed', present]);
		assert.ok(failed.error?.message.includes(data), failed.error?.message);
		await chmod(data, 0o600);
		await engine.resume(id);
		await completes(engine, id);
	},
);

test(
	'data that another program removes, replaces or truncates during the download is fetched again',
	{timeout, skip: isWindows && 'open files cannot be removed there'},
	async t => {
		const damages: Array<(data: string) => Promise<void>> = [
			async data => rm(data),
			async data => {
				await writeFile(`${data}.copy`, await readFile(data));
				await rename(`${data}.copy`, data);
			},
			async data => truncate(data),
			async data => truncate(data, MiB / 2),
		];
		await Promise.all(
			damages.map(async damage => {
				const {engine, download} = await startDownload(
					t,
					{size, etag, bytesPerSecond: MiB},
					{connections: 1},
				);
				const {folder} = await until(engine, download.id, ({present}) => present > MiB);
				await damage(path.join(folder, 'data'));
				await completes(engine, download.id);
			}),
		);
	},
);

test('unreadable bytes are refetched for the player', {timeout}, async t => {
	const {engine, download} = await startDownload(t, {size, etag});
	const {folder, streamUrl} = await until(engine, download.id, ({status}) => status === 'complete');
	const handle = await open(path.join(folder, 'data'));
	const prototype = Object.getPrototypeOf(handle) as FileHandle;
	await handle.close();
	let failures = 0;
	// oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
	const {read} = prototype;
	t.mock.method(prototype, 'read', async function (this: FileHandle, ...given: Parameters<typeof read>) {
		const [, , , position] = given as unknown as [unknown, unknown, unknown, number];
		if (position <= 2 * MiB && position + 64 * 1024 > 2 * MiB && failures++ === 0) {
			throw Object.assign(new Error('EIO: i/o error, read'), {code: 'EIO', syscall: 'read'});
		}

		return read.apply(this, given);
	});
	await streamsTheWhole({streamUrl} as Download);
	assert.equal(failures > 0, true);
	await completes(engine, download.id);
});

test(
	'a failed close does not stop the program',
	{timeout, skip: process.platform !== 'linux' && 'descriptors are listed in /proc'},
	async t => {
		const file = path.join(await temporaryFolder(t), 'data');
		const sparse = await SparseFile.open(file, MiB, []);
		await sparse.write(0, whole.subarray(0, MiB));
		for (const fd of await readdir('/proc/self/fd')) {
			if ((await readlink(`/proc/self/fd/${fd}`).catch(() => '')) === file) {
				closeSync(Number(fd));
			}
		}

		await sparse.close();
	},
);

test('a record of an absurd size opens quickly and affects no other', {timeout}, async t => {
	const {storageDir, id} = await leaveHalf(t);
	const record = path.join(storageDir, id, 'entry.json');
	const entry = JSON.parse(await readFile(record, 'utf8')) as Record<string, unknown>;
	const other = 'a'.repeat(32);
	await mkdir(path.join(storageDir, other));
	const huge = Number.MAX_SAFE_INTEGER;
	const bad = {
		...entry,
		id: other,
		url: `${String(entry.url)}?bad`,
		info: {name: 'bad', size: huge},
		ranges: [[0, huge], ...Array.from({length: 100_000}, (_, index) => [index * MiB, huge])],
		unsettled: [0, huge],
		pieces: [[0, huge, 1]],
		completedAt: 1,
	};
	await writeFile(path.join(storageDir, other, 'entry.json'), JSON.stringify(bad));
	await writeFile(path.join(storageDir, other, 'data'), 'short');
	const {engine} = await startEngine(t, {storageDir});
	assert.ok(downloadOf(engine, other).present <= 5);
	await completes(engine, id);
});

test('a clock set back by an hour delays nothing', {timeout}, async t => {
	const {engine, download} = await startDownload(
		t,
		{size, etag, bytesPerSecond: MiB},
		{connections: 2, limitRate: 2 * MiB},
	);
	const {folder} = await until(engine, download.id, ({present}) => present > 0);
	const now = Date.now.bind(Date);
	t.mock.method(Date, 'now', () => now() - 3_600_000);
	const recorded = async () =>
		(await recordedRanges(folder)).reduce((sum, {start, end}) => sum + end - start, 0);
	const before = await recorded();
	const {present} = downloadOf(engine, download.id);
	const shown = await until(engine, download.id, download => download.present > present + MiB);
	assert.equal(shown.status, 'active');
	while ((await recorded()) <= before) {
		await sleep(20);
	}

	const player = streamsTheWhole(shown);
	await completes(engine, download.id);
	await player;
});

test(
	'a suspended program and its players continue from their positions',
	{timeout, skip: isWindows && 'there are no such signals'},
	async t => {
		const origin = await startOrigin(t, {size, etag, bytesPerSecond: MiB});
		const storageDir = await temporaryFolder(t);
		const running = await EngineProcess.start(t, {options: {storageDir, connections: 2}, url: origin.url});
		const download = await running.added;
		const players = Promise.all([streamsTheWhole(download), streamsTheWhole(download)]);
		players.catch(() => undefined);
		await running.until(({present}) => present > MiB);
		running.child.kill('SIGSTOP');
		// As long as a closed lid. Only CI has time to exceed the timeouts of origins and players.
		await sleep(process.env.CI === undefined ? 3000 : 30_000);
		running.child.kill('SIGCONT');
		await players;
		await running.until(({status}) => status === 'complete');
		assert.ok(origin.bytesSent <= 2 * size, `${origin.bytesSent} bytes sent`);
	},
);
