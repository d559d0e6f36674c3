// Too many open files, of the process or of the system, for a while.
import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import fs, {readdir, readFile} from 'node:fs/promises';
import {syncBuiltinESMExports} from 'node:module';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {originError} from '../source/engine/origin/origin-errors.ts';
import {atEnd} from './support/cleanup.ts';
import {content} from './support/content.ts';
import {
	downloadOf,
	startDownload,
	startEngine,
	startOrigin,
	temporaryFolder,
	until,
	untilEnded,
} from './support/engines.ts';

const MiB = 1024 * 1024;
const timeout = 60_000;

/** The next opens of files whose paths begin so, or are so, fail. Returns the number of remaining ones. */
function failOpens(
	t: TestContext,
	file: string,
	code: 'EMFILE' | 'ENFILE',
	count: number,
	isWhole = false,
): () => number {
	const {open} = fs;
	let left = count;
	const mock = t.mock.method(fs, 'open', async (...given: Parameters<typeof open>) => {
		const opened = String(given[0]);
		if (left > 0 && (isWhole ? opened === file : opened.startsWith(file))) {
			left--;
			throw Object.assign(new Error(`${code}: too many open files, open`), {code, syscall: 'open'});
		}

		return open(...given);
	});
	syncBuiltinESMExports();
	atEnd(t, () => {
		mock.mock.restore();
		syncBuiltinESMExports();
	});
	return () => left;
}

test('a download continues by itself after checkpoints found too many open files', {timeout}, async t => {
	const size = 3 * MiB;
	const {engine, close, download} = await startDownload(
		t,
		{size, etag: '"v1"', bytesPerSecond: MiB},
		{connections: 1},
	);
	const {folder} = await until(engine, download.id, ({present}) => present > MiB / 2);
	const left = failOpens(t, folder, 'EMFILE', 2);
	const statuses = new Set<string>();
	engine.subscribe(() => statuses.add(downloadOf(engine, download.id).status));
	await untilEnded(engine, download.id);
	assert.deepEqual([left(), [...statuses].toSorted()], [0, ['active', 'complete']]);
	await close();
	assert.ok(content(0, size).equals(await readFile(path.join(folder, 'data'))));
});

test('a file that cannot be opened to write is tried again', {timeout}, async t => {
	const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, paused: true});
	const left = failOpens(t, path.join(download.folder, 'data'), 'ENFILE', 2);
	await engine.resume(download.id);
	const {status, lastError} = await untilEnded(engine, download.id);
	assert.deepEqual([left(), status, lastError?.code], [0, 'complete', 'disk-failed']);
	assert.match(lastError!.message, /data cannot be opened: too many files are open \(ENFILE\)$/);
});

test('a checksum that cannot be checked is checked later', {timeout}, async t => {
	const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
	const {engine} = await startEngine(t);
	const checksum = `sha256:${createHash('sha256').update(content(0, MiB)).digest('hex')}`;
	const {download} = await engine.add({url: origin.url, checksum, paused: true});
	const left = failOpens(t, path.join(download.folder, 'checks'), 'EMFILE', 2);
	await engine.resume(download.id);
	const {status, error} = await untilEnded(engine, download.id);
	assert.deepEqual([left(), status, error], [0, 'complete', null]);
});

test('a planned export that finds too many open files is repeated', {timeout}, async t => {
	const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, paused: true});
	const folder = await temporaryFolder(t);
	await engine.export(download.id, {path: path.join(folder, 'film.bin'), when: 'complete'});
	const left = failOpens(t, folder, 'EMFILE', 1);
	await engine.resume(download.id);
	await until(engine, download.id, ({exportWhenComplete}) => exportWhenComplete === null);
	assert.equal(left(), 0);
	assert.deepEqual(await readdir(folder), ['film.bin']);
	assert.ok(content(0, MiB).equals(await readFile(path.join(folder, 'film.bin'))));
});

for (const [words, move] of [
	['export', false],
	['move', true],
] as const) {
	test(
		`a planned ${words} is recorded if too many files were open once it was placed`,
		{timeout},
		async t => {
			const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
			const {engine, close} = await startEngine(t);
			const {download} = await engine.add({url: origin.url, paused: true});
			const folder = await temporaryFolder(t);
			const file = path.join(folder, 'film.bin');
			await engine.export(download.id, {path: file, move, when: 'complete'});
			const left = failOpens(t, folder, 'EMFILE', 1, true);
			await engine.resume(download.id);
			const done = await until(engine, download.id, ({exportWhenComplete}) => exportWhenComplete === null);
			assert.deepEqual([left(), done.status, done.error, done.exportedTo], [0, 'complete', null, file]);
			await close();
			assert.deepEqual(await readdir(folder), ['film.bin']);
			assert.ok(content(0, MiB).equals(await readFile(file)));
		},
	);
}

test('a connection that finds too many open files does not blame the server', () => {
	const error = Object.assign(new Error('connect EMFILE'), {code: 'EMFILE', syscall: 'connect'});
	const {kind, message} = originError(error, 'a.example');
	assert.equal(kind, 'transient');
	assert.equal(message, 'a.example: no connection can be opened, because too many files are open');
});
