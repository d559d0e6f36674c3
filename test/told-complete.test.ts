// A download is reported complete once its record is on disk.
import assert from 'node:assert/strict';
import {readdir, readFile, type FileHandle} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {content} from './support/content.ts';
import {
	downloadOf,
	startDownload,
	startEngine,
	startOrigin,
	temporaryFolder,
	until,
} from './support/engines.ts';
import {fileHandlePrototype} from './support/file-handles.ts';
import {holdRecordsWith} from './support/hold-records.ts';

const size = 100_000;
const etag = '"v1"';
const timeout = 60_000;

test('a download is complete, and is exported, once its record is on disk', {timeout}, async t => {
	const origin = await startOrigin(t, {size, etag});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, paused: true});
	const folder = await temporaryFolder(t);
	const target = path.join(folder, 'film.bin');
	await engine.export(download.id, {path: target, when: 'complete'});
	const {isHeld, letGo} = await holdRecordsWith(t, '"completedAt"');
	await engine.resume(download.id);
	await isHeld;
	const {status, present, completedAt} = await until(
		engine,
		download.id,
		({connections}) => connections === 0,
	);
	assert.deepEqual({status, present, completedAt}, {status: 'active', present: size, completedAt: null});
	const exporting = engine.export(download.id, {path: path.join(folder, 'now.bin')});
	await until(engine, download.id, ({status}) => status === 'active');
	assert.deepEqual(await readdir(folder), []);
	letGo();
	await exporting;
	const done = await until(engine, download.id, ({exportWhenComplete}) => exportWhenComplete === null);
	assert.ok(done.completedAt !== null);
	assert.deepEqual((await readdir(folder)).toSorted(), ['film.bin', 'now.bin']);
});

test('a whole file whose record finds no room fails, and completes after a resume', {timeout}, async t => {
	const prototype = await fileHandlePrototype();
	// oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
	const {writeFile} = prototype;
	const mock = t.mock.method(prototype, 'writeFile', async function (this: FileHandle, text: string) {
		if (text.includes('"completedAt"')) {
			throw Object.assign(new Error('ENOSPC: no space left on device, write'), {
				code: 'ENOSPC',
				syscall: 'write',
			});
		}

		return writeFile.call(this, text);
	});
	const {origin, engine, storageDir, close, download} = await startDownload(t, {size, etag});
	const statuses = new Set<string>();
	engine.subscribe(() => statuses.add(downloadOf(engine, download.id).status));
	const failed = await until(engine, download.id, ({status}) => status === 'failed');
	assert.deepEqual([failed.error?.code, failed.completedAt, failed.present], ['disk-full', null, size]);
	await assert.rejects(engine.export(download.id, {path: path.join(storageDir, 'film.bin')}), {
		code: 'incomplete',
		message: /^The download is not complete: The disk that holds .* is full$/,
	});
	assert.equal(statuses.has('complete'), false);
	mock.mock.restore();
	const {bytesSent} = origin;
	await engine.resume(download.id);
	const done = await until(engine, download.id, ({status}) => status === 'complete');
	assert.deepEqual([done.error, origin.bytesSent], [null, bytesSent]);
	await close();
	const {completedAt} = JSON.parse(await readFile(path.join(done.folder, 'entry.json'), 'utf8')) as {
		completedAt: unknown;
	};
	assert.equal(completedAt, done.completedAt);
	assert.ok(content(0, size).equals(await readFile(path.join(done.folder, 'data'))));
});
