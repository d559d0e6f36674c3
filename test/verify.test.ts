import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {readFile, rm, stat, truncate, utimes, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {setImmediate, setTimeout as sleep} from 'node:timers/promises';
import {BlockChecksums} from '../source/engine/store/block-checksums.ts';
import type {SparseFile} from '../source/engine/store/sparse-file.ts';
import {startInstance} from './support/cli.ts';
import {content, firstWrongByte} from './support/content.ts';
import {damage} from './support/damage.ts';
import {
	downloadOf,
	startDownload,
	startEngine,
	startOrigin,
	temporaryFolder,
	until,
	untilEnded,
} from './support/engines.ts';
import {withCode} from './support/errors.ts';
import {recordedRanges} from './support/recorded-ranges.ts';

const MiB = 1024 * 1024;
const etag = '"v1"';

const sha256 = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

test('damage in a paused download stays a hole, even across a restart, until resume', async t => {
	const size = 8 * MiB;
	const {running: first, download} = await startDownload(
		t,
		{size, etag, bytesPerSecond: 4 * MiB},
		{connections: 1},
	);
	await until(first.engine, download.id, ({present}) => present > 3 * MiB);
	await first.engine.pause(download.id);
	const paused = await until(first.engine, download.id, ({connections}) => connections === 0);
	await damage(path.join(paused.folder, 'data'), MiB + 5);
	assert.deepEqual(await first.engine.verify(download.id), {damaged: [[MiB, 2 * MiB]]});
	const checked = downloadOf(first.engine, download.id);
	assert.equal(checked.status, 'paused');
	assert.equal(checked.checkProgress, null);
	assert.equal(checked.present, paused.present - MiB);
	await first.close();
	const {engine} = await startEngine(t, {storageDir: first.storageDir});
	assert.equal(downloadOf(engine, download.id).present, checked.present);
	await engine.resume(download.id);
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(firstWrongByte(await readFile(path.join(folder, 'data')), 0), -1);
});

test('a running download repairs damage and reports adjacent blocks as one range', async t => {
	const size = 16 * MiB;
	const {engine, download} = await startDownload(t, {size, etag, bytesPerSecond: 2 * MiB});
	const {folder} = await until(engine, download.id, ({ranges}) => (ranges[0]?.[1] ?? 0) > 3 * MiB);
	// A check records their checksums, if nothing did before.
	await engine.verify(download.id);
	await damage(path.join(folder, 'data'), 2 * MiB - 3);
	const [once, twice] = await Promise.all([engine.verify(download.id), engine.verify(download.id)]);
	assert.deepEqual(once, {damaged: [[MiB, 3 * MiB]]});
	assert.deepEqual(twice, once);
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(firstWrongByte(await readFile(path.join(folder, 'data')), 0), -1);
});

test('a check shows its status and progress', async t => {
	const {engine, download} = await startDownload(t, {size: 30 * MiB, etag});
	await until(engine, download.id, ({status}) => status === 'complete');
	const checking = engine.verify(download.id);
	const {status, checkProgress} = downloadOf(engine, download.id);
	assert.deepEqual([status, checkProgress], ['checking', 0]);
	await checking;
	assert.equal(downloadOf(engine, download.id).status, 'complete');
});

test('a check restores lost block checksums', async t => {
	const {engine, download} = await startDownload(t, {size: 4 * MiB, etag});
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	await rm(path.join(folder, 'checks'));
	assert.deepEqual(await engine.verify(download.id), {damaged: []});
	await engine.verify(download.id);
	await damage(path.join(folder, 'data'), 3 * MiB);
	assert.deepEqual(await engine.verify(download.id), {damaged: [[3 * MiB, 4 * MiB]]});
});

test('a truncated data file is damaged from its end on, and is repaired', async t => {
	const {engine, download} = await startDownload(t, {size: 4 * MiB, etag});
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	await truncate(path.join(folder, 'data'), 2 * MiB + 1);
	assert.deepEqual(await engine.verify(download.id), {damaged: [[2 * MiB, 4 * MiB]]});
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(firstWrongByte(await readFile(path.join(folder, 'data')), 0), -1);
});

test('a repair does not write to an exported file that shares its bytes with the store', async t => {
	const {engine, download} = await startDownload(t, {size: 3 * MiB, etag});
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	const target = path.join(await temporaryFolder(t), 'mine.bin');
	await engine.export(download.id, {path: target});
	await damage(target, MiB);
	const mine = await readFile(target);
	const shared = (await stat(path.join(folder, 'data'))).ino === (await stat(target)).ino;
	const {damaged} = await engine.verify(download.id);
	assert.deepEqual(damaged, shared ? [[MiB, 2 * MiB]] : []);
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(firstWrongByte(await readFile(path.join(folder, 'data')), 0), -1);
	assert.ok(mine.equals(await readFile(target)));
});

test('a moved file changed by its user stays untouched, and the store fetches its own', async t => {
	const {engine, download} = await startDownload(t, {size: 3 * MiB, etag});
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	const target = path.join(await temporaryFolder(t), 'mine.bin');
	await engine.export(download.id, {path: target, move: true});
	await damage(target, MiB);
	const mine = await readFile(target);
	assert.deepEqual(await engine.verify(download.id), {damaged: [[MiB, 2 * MiB]]});
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(firstWrongByte(await readFile(path.join(folder, 'data')), 0), -1);
	assert.ok(mine.equals(await readFile(target)));
});

test('a start after a kill checks the ranges recorded last', async t => {
	const size = 24 * MiB;
	const origin = await startOrigin(t, {size, etag, bytesPerSecond: 2 * MiB});
	const storageDir = await temporaryFolder(t);
	const {
		serve,
		ready: {url, key},
	} = await startInstance(t, storageDir, origin.url);
	const headers = {authorization: `Bearer ${key}`};
	type Entry = {ranges: Array<[number, number]>; unsettled?: number[]};
	let id = '';
	const recorded = async (): Promise<Entry> => {
		const file = path.join(storageDir, id, 'entry.json');
		// A kill may fall between the two renames of a record.
		const text = await readFile(file, 'utf8')
			.catch(() => readFile(`${file}.bak`, 'utf8'))
			.catch(() => '{"ranges": []}');
		return JSON.parse(text) as Entry;
	};
	// The checksum of a block may be stored before the record covers the whole block.
	const lastOf = ({ranges, unsettled}: Entry) =>
		unsettled?.findLast(block =>
			ranges.some(([start, end]) => start <= block * MiB && end >= (block + 1) * MiB),
		);
	let entry: Entry = {ranges: []};
	while (lastOf(entry) === undefined) {
		const response = await fetch(`${url}/api/downloads`, {headers});
		const [download] = (await response.json()) as Array<{id: string}>;
		if (download) {
			({id} = download);
			entry = await recorded();
		}
	}

	await serve.kill('SIGKILL');
	const last = lastOf(await recorded())!;
	await damage(path.join(storageDir, id, 'data'), last * MiB + 77);
	origin.options.bytesPerSecond = undefined;
	const {engine} = await startEngine(t, {storageDir, connections: 1});
	const {folder} = await until(engine, id, ({status}) => status === 'complete');
	assert.equal(firstWrongByte(await readFile(path.join(folder, 'data')), 0), -1);
});

test('a start after a clean exit reads no data again', async t => {
	const {running: first, download} = await startDownload(t, {size: 4 * MiB, etag});
	const {folder} = await until(first.engine, download.id, ({status}) => status === 'complete');
	await first.close();
	const {unsettled} = JSON.parse(await readFile(path.join(folder, 'entry.json'), 'utf8')) as {
		unsettled?: number[];
	};
	assert.equal(unsettled, undefined);
});

test('a wrong checksum prevents the export, and the next check repeats the error', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB, etag, bytesPerSecond: 4 * MiB});
	const {engine} = await startEngine(t);
	const target = path.join(await temporaryFolder(t), 'out.bin');
	const {download} = await engine.add({url: origin.url, checksum: `md5:${'0'.repeat(32)}`});
	await engine.export(download.id, {path: target, when: 'complete'});
	const failed = await until(engine, download.id, ({status}) => status === 'failed');
	assert.equal(failed.error?.code, 'checksum-mismatch');
	await assert.rejects(stat(target), {code: 'ENOENT'});
	await assert.rejects(engine.verify(download.id), withCode('checksum-mismatch', /md5/));
	const response = await fetch(failed.streamUrl);
	assert.equal(firstWrongByte(Buffer.from(await response.arrayBuffer()), 0), -1);

	// Only the correct checksum was missing.
	await engine.update(download.id, {checksum: sha256(content(0, 2 * MiB))});
	const done = await until(engine, download.id, ({exportedTo}) => exportedTo !== null);
	assert.equal(done.status, 'complete');
	assert.equal(firstWrongByte(await readFile(target), 0), -1);
});

test('a checksum added later is compared with a complete download', async t => {
	const {origin, engine, download} = await startDownload(t, {size: 2 * MiB + 3, etag});
	await until(engine, download.id, ({status}) => status === 'complete');
	await engine.update(download.id, {checksum: sha256(content(0, 2 * MiB + 3))});
	await until(engine, download.id, ({status}) => status === 'complete');
	await engine.update(download.id, {checksum: sha256(content(0, 5))});
	const failed = await until(engine, download.id, ({status}) => status === 'failed');
	assert.equal(failed.error?.code, 'checksum-mismatch');
	assert.equal(failed.completedAt, null);
	await engine.resume(download.id);
	await until(engine, download.id, ({status}) => status === 'failed');
	const requests = origin.requests.length;

	// Starting over handles a file that is wrong on the server.
	origin.options.seed = 2;
	await engine.update(download.id, {checksum: sha256(content(0, 2 * MiB + 3, 2))});
	await until(engine, download.id, ({status}) => status === 'failed');
	assert.equal(origin.requests.length, requests);
	await engine.startOver(download.id);
	await until(engine, download.id, ({status}) => status === 'complete');
});

test('a checksum of a repeated addition is compared with the cached file', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB + 3, etag});
	const {engine} = await startEngine(t);
	const {url} = origin;
	const {download} = await engine.add({url});
	await until(engine, download.id, ({status}) => status === 'complete');
	const right = sha256(content(0, 2 * MiB + 3));
	const again = await engine.add({url, checksum: sha256(content(0, 5))});
	assert.equal(again.existed, true);
	assert.notEqual(again.download.status, 'complete');
	const failed = await until(engine, download.id, ({status}) => status === 'failed');
	assert.equal(failed.error?.code, 'checksum-mismatch');
	await engine.add({url, checksum: right});
	await until(engine, download.id, ({status}) => status === 'complete');

	await engine.remove(download.id, {data: 'keep'});
	const restored = await engine.add({url, checksum: sha256(content(0, 6))});
	assert.equal(restored.existed, true);
	assert.notEqual(restored.download.status, 'complete');
	await until(engine, download.id, ({status}) => status === 'failed');
});

test('damage in a file with a checksum is repaired, not reported', async t => {
	const origin = await startOrigin(t, {size: 5 * MiB, etag});
	const checksum = sha256(content(0, 5 * MiB));
	const first = await startEngine(t);
	const {download} = await first.engine.add({url: origin.url, checksum});
	const {folder} = await until(first.engine, download.id, ({status}) => status === 'complete');
	await first.close();
	await damage(path.join(folder, 'data'), 4 * MiB);
	const {engine} = await startEngine(t, {storageDir: first.storageDir});
	assert.deepEqual(await engine.verify(download.id), {damaged: [[4 * MiB, 5 * MiB]]});
	const done = await untilEnded(engine, download.id);
	assert.equal(done.error, null);
	assert.deepEqual(await engine.verify(download.id), {damaged: []});
});

test('the next check reports damage found in the background, once', async t => {
	const {running: first, download} = await startDownload(t, {size: 3 * MiB, etag});
	const {folder} = await until(first.engine, download.id, ({status}) => status === 'complete');
	await first.close();
	await damage(path.join(folder, 'data'), MiB);
	const {engine} = await startEngine(t, {storageDir: first.storageDir, maxActive: 0});
	await until(engine, download.id, ({present, status}) => present === 2 * MiB && status !== 'checking');
	assert.deepEqual(await engine.verify(download.id), {damaged: [[MiB, 2 * MiB]]});
	assert.deepEqual(await engine.verify(download.id), {damaged: []});
});

test('closing the engine stops a check, and a restart resumes it', async t => {
	const size = 40 * MiB;
	const origin = await startOrigin(t, {size, etag});
	const first = await startEngine(t);
	const {download} = await first.engine.add({url: origin.url, checksum: sha256(content(0, size))});
	await until(first.engine, download.id, ({status}) => status === 'checking' || status === 'complete');
	const checking = first.engine.verify(download.id).then(
		() => undefined,
		(error: unknown) => error,
	);
	await first.close();
	const error = await checking;
	assert.ok(error === undefined || withCode('not-found', /quitting/)(error), String(error));
	const {engine} = await startEngine(t, {storageDir: first.storageDir});
	await until(engine, download.id, ({status}) => status === 'complete');
});

test('cancel stops a check, and resume restarts it', async t => {
	const origin = await startOrigin(t, {size: 40 * MiB, etag});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, checksum: sha256(content(0, 40 * MiB))});
	await until(engine, download.id, ({status}) => status === 'complete');
	const checking = assert.rejects(engine.verify(download.id), withCode('not-found', /cancelled/));
	await engine.cancel(download.id);
	await checking;
	await engine.resume(download.id);
	await until(engine, download.id, ({status}) => status === 'complete');
});

test('a download is complete only after its record, even if it ends during a checkpoint', async t => {
	// oxlint-disable-next-line typescript/unbound-method -- called on its own object
	const {save} = BlockChecksums.prototype;
	t.mock.method(BlockChecksums.prototype, 'save', async function (this: BlockChecksums, file: SparseFile) {
		const blocks = await save.call(this, file);
		while (!file.isComplete) {
			await setImmediate();
		}

		return blocks;
	});
	const {engine, download} = await startDownload(t, {size: 6 * MiB, etag: '"v1"', bytesPerSecond: 4 * MiB});
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	assert.deepEqual(await recordedRanges(folder), [{start: 0, end: 6 * MiB}]);
});

test('a download with all bytes is active until its record is written', async t => {
	// oxlint-disable-next-line typescript/unbound-method -- called on its own object
	const {save} = BlockChecksums.prototype;
	let record = () => {};
	const mayRecord = new Promise<void>(resolve => {
		record = resolve;
	});
	t.mock.method(BlockChecksums.prototype, 'save', async function (this: BlockChecksums, file: SparseFile) {
		if (file.isComplete) {
			await mayRecord;
		}

		return save.call(this, file);
	});
	const {engine, download} = await startDownload(t, {size: MiB, etag});
	const {status} = await until(
		engine,
		download.id,
		({present, connections}) => present === MiB && connections === 0,
	);
	record();
	assert.equal(status, 'active');
	await until(engine, download.id, ({completedAt}) => completedAt !== null);
});

test('a check requested during a background check also compares the checksum', async t => {
	const size = 3 * MiB;
	const {running: first, download} = await startDownload(t, {size, etag});
	const {folder} = await until(first.engine, download.id, ({status}) => status === 'complete');
	await first.close();
	const record = path.join(folder, 'entry.json');
	const entry = JSON.parse(await readFile(record, 'utf8')) as object;
	await writeFile(record, JSON.stringify({...entry, checksum: sha256(content(0, 5))}));
	await utimes(path.join(folder, 'data'), new Date(), new Date(0));
	let letGo!: () => void;
	const gone = new Promise<void>(resolve => {
		letGo = resolve;
	});
	// oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
	const {isIntact} = BlockChecksums.prototype;
	t.mock.method(
		BlockChecksums.prototype,
		'isIntact',
		async function (this: BlockChecksums, ...given: Parameters<typeof isIntact>) {
			await gone;
			return isIntact.apply(this, given);
		},
	);
	const {engine} = await startEngine(t, {storageDir: first.storageDir, maxActive: 0});
	assert.equal(downloadOf(engine, download.id).status, 'checking');
	const checking = engine.verify(download.id);
	letGo();
	await assert.rejects(checking, withCode('checksum-mismatch', /sha256/));
});

test('two checks of a download run one after the other', async t => {
	const size = 3 * MiB;
	const {engine, download} = await startDownload(t, {size, etag});
	const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
	// oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
	const {check, isIntact, checked} = BlockChecksums.prototype;
	let isRunning = false;
	let besides = 0;
	let verifying: Promise<unknown> | undefined;
	t.mock.method(
		BlockChecksums.prototype,
		'check',
		async function (this: BlockChecksums, ...given: Parameters<typeof check>) {
			isRunning = true;
			// Time for a second check to begin.
			await sleep(200);
			const outcome = await check.apply(this, given);
			isRunning = false;
			return outcome;
		},
	);
	t.mock.method(
		BlockChecksums.prototype,
		'isIntact',
		async function (this: BlockChecksums, ...given: Parameters<typeof isIntact>) {
			besides += isRunning ? 1 : 0;
			return isIntact.apply(this, given);
		},
	);
	t.mock.method(
		BlockChecksums.prototype,
		'checked',
		async function (this: BlockChecksums, ...given: Parameters<typeof checked>) {
			verifying ??= engine.verify(download.id);
			return checked.apply(this, given);
		},
	);
	await utimes(path.join(folder, 'data'), new Date(), new Date(0));
	const target = path.join(await temporaryFolder(t), 'out.bin');
	await engine.export(download.id, {path: target});
	assert.ok(verifying);
	assert.deepEqual(await verifying, {damaged: []});
	assert.equal(besides, 0);
	assert.equal(downloadOf(engine, download.id).status, 'complete');
});
