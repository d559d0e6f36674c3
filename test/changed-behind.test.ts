// Data files changed by another program: their bytes are verified before use, and never written through.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {
	copyFile,
	link,
	lstat,
	open,
	readFile,
	rename,
	rm,
	stat,
	symlink,
	truncate,
	utimes,
	writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {content, firstWrongByte} from './support/content.ts';
import {downloadOf, startDownload, startEngine, temporaryFolder, until} from './support/engines.ts';
import type {TestOrigin} from './support/origin.ts';

const MiB = 1024 * 1024;
const size = 8 * MiB + 5;
const etag = '"v1"';
const timeout = 60_000;
const whole = content(0, size);
const isWindows = process.platform === 'win32';

type Left = {origin: TestOrigin; storageDir: string; id: string; data: string; folder: string};

/** A download that was closed after completion, or paused in the middle of its fifth block. */
async function leaveDownload(t: TestContext, {isComplete}: {isComplete: boolean}): Promise<Left> {
	const {origin, engine, storageDir, close, download} = await startDownload(
		t,
		{size, etag, ...(isComplete ? {} : {bytesPerSecond: 2 * MiB})},
		{connections: 1},
	);
	const {id} = download;
	if (isComplete) {
		await until(engine, id, ({status}) => status === 'complete');
	} else {
		await until(engine, id, ({present}) => present > 4 * MiB + MiB / 2);
		await engine.pause(id);
	}

	const {folder} = downloadOf(engine, id);
	await close();
	origin.options.bytesPerSecond = undefined;
	return {origin, storageDir, id, folder, data: path.join(folder, 'data')};
}

async function write(file: string, text: string, offset: number): Promise<void> {
	const handle = await open(file, 'r+');
	await handle.write(text, offset);
	await handle.close();
}

async function read(streamUrl: string, start: number, end: number): Promise<Buffer> {
	const response = await fetch(streamUrl, {headers: {range: `bytes=${start}-${end - 1}`}});
	assert.equal(response.status, 206);
	return Buffer.from(await response.arrayBuffer());
}

test('a finished download whose folder is removed is fetched again', {timeout}, async t => {
	const {engine, storageDir, close, download} = await startDownload(t, {size, etag});
	const {id, streamUrl} = download;
	await until(engine, id, ({status}) => status === 'complete');
	const {folder} = downloadOf(engine, id);
	await rm(folder, {recursive: true});
	assert.ok((await read(streamUrl, 2 * MiB, 5 * MiB)).equals(whole.subarray(2 * MiB, 5 * MiB)));
	assert.ok((await read(streamUrl, 0, size)).equals(whole));
	await engine.resume(id);
	await until(engine, id, ({status}) => status === 'complete');
	await close();
	const again = await startEngine(t, {storageDir});
	assert.ok((await read(downloadOf(again.engine, id).streamUrl, 0, size)).equals(whole));
});

for (const isComplete of [true, false]) {
	const words = isComplete ? 'complete' : 'paused';
	for (const [what, act] of [
		['edited', async ({data}) => write(data, 'edited', 2 * MiB + 7)],
		[
			'edited in a partial block',
			async ({data}) => write(data, 'edited', isComplete ? size - 6 : 4 * MiB + 9),
		],
		[
			'edited, with its old time',
			async ({data}) => {
				const {atime, mtime} = await stat(data);
				await write(data, 'edited', 2 * MiB + 7);
				await utimes(data, atime, new Date(Math.floor(mtime.getTime() / 1000) * 1000));
			},
		],
		[
			'replaced by another file of its size',
			async ({data}) => {
				await rm(data);
				await writeFile(data, Buffer.alloc(size, 0x55));
			},
		],
		[
			'replaced by a link to another file',
			async ({data, storageDir}) => {
				const other = path.join(storageDir, 'other');
				await writeFile(other, Buffer.alloc(size, 0x55));
				await rm(data);
				await symlink(other, data);
			},
		],
		[
			'replaced by a hard link to another file',
			async ({data, storageDir}) => {
				const other = path.join(storageDir, 'other');
				await writeFile(other, Buffer.alloc(size, 0x55));
				await rm(data);
				await link(other, data);
			},
		],
		['truncated', async ({data}) => truncate(data, 3 * MiB + 11)],
		['emptied', async ({data}) => truncate(data)],
		['removed', async ({data}) => rm(data)],
		[
			'replaced by a link to nothing',
			async ({data}) => {
				await rm(data);
				await symlink(`${data}.nowhere`, data);
			},
		],
		[
			'copied to another place with all that belongs to it',
			async ({data}) => {
				await copyFile(data, `${data}.copy`);
				await rename(`${data}.copy`, data);
			},
		],
	] satisfies Array<[string, (leaveDownload: Left) => Promise<void>]>) {
		test(
			`a ${words} download whose data was ${what} is served correctly and repaired`,
			{timeout, skip: isWindows && /link/.test(what)},
			async t => {
				const before = await leaveDownload(t, {isComplete});
				await act(before);
				const {engine} = await startEngine(t, {storageDir: before.storageDir});
				const {streamUrl} = downloadOf(engine, before.id);
				for (const [start, end] of [
					[2 * MiB, 2 * MiB + 100],
					[4 * MiB, 4 * MiB + 100],
					[size - 100, size],
				] as const) {
					assert.equal(firstWrongByte(await read(streamUrl, start, end), start), -1);
				}

				assert.equal(firstWrongByte(await read(streamUrl, 0, size), 0), -1);
				await engine.resume(before.id);
				await until(engine, before.id, ({status}) => status === 'complete');
				assert.ok(whole.equals(await readFile(before.data)));
				assert.ok((await lstat(before.data)).isFile());
				const other = await readFile(path.join(before.storageDir, 'other')).catch(() => undefined);
				assert.ok(
					other === undefined || other.equals(Buffer.alloc(size, 0x55)),
					'the other file was written to',
				);
			},
		);
	}

	test(`a ${words} download with unchanged data is not verified again`, {timeout}, async t => {
		const {storageDir, id} = await leaveDownload(t, {isComplete});
		const {engine} = await startEngine(t, {storageDir, maxActive: 0});
		assert.equal(downloadOf(engine, id).status, words);
		assert.equal(downloadOf(engine, id).checkProgress, null);
	});

	test(`a ${words} download whose data changed only its time keeps all bytes`, {timeout}, async t => {
		const {storageDir, id, data, origin} = await leaveDownload(t, {isComplete});
		await utimes(data, new Date(), new Date(0));
		const {bytesSent} = origin;
		const {engine, close} = await startEngine(t, {storageDir, maxActive: 0});
		const {present} = downloadOf(engine, id);
		assert.ok(present > 4 * MiB + MiB / 2);
		const {damaged} = await engine.verify(id);
		assert.deepEqual(damaged, []);
		assert.equal(downloadOf(engine, id).present, present);
		assert.equal(origin.bytesSent, bytesSent);
		await close();
		// Its current state is known now.
		const next = await startEngine(t, {storageDir, maxActive: 0});
		assert.equal(downloadOf(next.engine, id).checkProgress, null);
	});
}

/** Changes the record of a download that nobody has open. */
async function editRecord(folder: string, edit: (record: Record<string, unknown>) => object): Promise<void> {
	const file = path.join(folder, 'entry.json');
	const record = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
	await writeFile(file, JSON.stringify({...record, ...edit(record)}));
}

test('a reboot that gives the disk another number causes no check', {timeout}, async t => {
	const {storageDir, id, folder} = await leaveDownload(t, {isComplete: true});
	const {dev} = await stat(folder);
	await editRecord(folder, ({dataFile}) => ({dataFile: {...(dataFile as object), device: dev + 1}}));
	const {engine} = await startEngine(t, {storageDir, maxActive: 0});
	const {status, checkProgress} = downloadOf(engine, id);
	assert.deepEqual([status, checkProgress], ['complete', null]);
});

test('after a kill each block of a changed file is read once', {timeout}, async t => {
	const {storageDir, id, folder, data} = await leaveDownload(t, {isComplete: false});
	await editRecord(folder, () => ({unsettled: [0, 1, 2, 3]}));
	await utimes(data, new Date(), new Date(0));
	const handle = await open(data);
	const methods = Object.getPrototypeOf(handle) as typeof handle;
	await handle.close();
	const reads = t.mock.method(methods, 'read');
	const {engine} = await startEngine(t, {storageDir, maxActive: 0});
	await until(engine, id, ({status}) => status !== 'checking');
	const starts = reads.mock.calls
		.map(call => call.arguments as unknown as [Buffer, number, number, number])
		.filter(([, , length, position]) => length === MiB / 4 && position % MiB === 0)
		.map(([, , , position]) => position / MiB)
		.toSorted((a, b) => a - b);
	assert.deepEqual(starts.slice(0, 5), [0, 1, 2, 3, 4]);
	assert.equal(new Set(starts).size, starts.length, String(starts));
});

test('a check interrupted by the exit resumes on the next start', {timeout}, async t => {
	const {storageDir, id, data} = await leaveDownload(t, {isComplete: true});
	await write(data, 'edited', 7 * MiB);
	for (let round = 0; round < 3; round++) {
		const {engine, close} = await startEngine(t, {storageDir, maxActive: 0});
		assert.ok(downloadOf(engine, id).present >= size - MiB);
		await close();
	}

	const {engine} = await startEngine(t, {storageDir});
	await engine.resume(id);
	await until(engine, id, ({status}) => status === 'complete');
	assert.ok(whole.equals(await readFile(data)));
});

test('edits of an exported hard link are detected while the program runs', {timeout}, async t => {
	const {engine, download} = await startDownload(t, {size, etag});
	await until(engine, download.id, ({status}) => status === 'complete');
	const folder = await temporaryFolder(t);
	const {path: mine} = await engine.export(download.id, {path: `${folder}/`});
	await write(mine, 'edited', 3 * MiB);
	const edited = await readFile(mine);
	assert.equal(firstWrongByte(await read(download.streamUrl, 3 * MiB, 4 * MiB), 3 * MiB), -1);
	await until(engine, download.id, ({status}) => status === 'complete');
	await write(mine, 'edited', 5 * MiB);
	await engine.export(download.id, {path: path.join(folder, 'again')}).catch(async () => {
		await until(engine, download.id, ({status}) => status === 'complete');
		await engine.export(download.id, {path: path.join(folder, 'again')});
	});
	assert.ok(whole.equals(await readFile(path.join(folder, 'again'))));
	assert.equal((await readFile(mine)).compare(edited, 5 * MiB + 6, size, 5 * MiB + 6, size), 0);
});

test('data removed while a complete download is served is refetched for the player', {timeout}, async t => {
	const {origin, engine, download} = await startDownload(t, {size, etag});
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	await rm(path.join(folder, 'data'));
	const {bytesSent} = origin;
	assert.equal(firstWrongByte(await read(download.streamUrl, MiB, MiB + 1000), MiB), -1);
	const {status} = await until(engine, download.id, ({connections}) => connections === 0);
	assert.equal(status, 'paused');
	assert.ok(origin.bytesSent - bytesSent < size, 'all of it was fetched unasked');
});

test('a missing complete file is fetched again if the origin has another version', {timeout}, async t => {
	const {origin, storageDir, id, data} = await leaveDownload(t, {isComplete: true});
	await rm(data);
	origin.options.etag = '"v2"';
	origin.options.seed = 2;
	const {engine} = await startEngine(t, {storageDir});
	await engine.resume(id);
	await until(engine, id, ({status}) => status === 'complete');
	assert.ok(content(0, size, 2).equals(await readFile(data)));
});

test(
	'a moved file that its user changed is left alone, and refetched only on request',
	{timeout},
	async t => {
		const {origin, running: first, download} = await startDownload(t, {size, etag});
		await until(first.engine, download.id, ({status}) => status === 'complete');
		const folder = await temporaryFolder(t);
		const {path: mine} = await first.engine.export(download.id, {path: `${folder}/`, move: true});
		await first.close();
		await write(mine, 'edited', 3 * MiB);
		const edited = await readFile(mine);
		const {bytesSent} = origin;
		const {engine} = await startEngine(t, {storageDir: first.storageDir});
		await until(engine, download.id, ({status}) => status === 'paused');
		assert.equal(origin.bytesSent, bytesSent);
		assert.equal(firstWrongByte(await read(downloadOf(engine, download.id).streamUrl, 0, size), 0), -1);
		assert.ok(edited.equals(await readFile(mine)));
	},
);

for (const [what, replace] of [
	["a link to the user's file", async (checks, other) => symlink(other, checks)],
	['a pipe', async checks => spawnSync('mkfifo', [checks])],
	['garbage', async checks => writeFile(checks, 'rubbish'.repeat(1000))],
] satisfies Array<[string, (checks: string, other: string) => Promise<unknown>]>) {
	test(`checksums that are ${what} do no harm`, {timeout, skip: isWindows}, async t => {
		const {storageDir, id, folder, data} = await leaveDownload(t, {isComplete: false});
		const other = path.join(storageDir, 'other');
		await writeFile(other, 'precious');
		await rm(path.join(folder, 'checks'));
		await replace(path.join(folder, 'checks'), other);
		await write(data, 'edited', MiB);
		const {engine} = await startEngine(t, {storageDir});
		await engine.resume(id);
		await until(engine, id, ({status}) => status === 'complete');
		assert.ok(whole.equals(await readFile(data)));
		assert.equal(await readFile(other, 'utf8'), 'precious');
	});
}
