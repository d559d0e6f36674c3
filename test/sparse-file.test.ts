// The descriptors of a data file, when it cannot be opened.
import assert from 'node:assert/strict';
import {readdir, readlink, writeFile, type FileHandle} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {SparseFile} from '../source/engine/store/sparse-file.ts';
import {content} from './support/content.ts';
import {temporaryFolder} from './support/engines.ts';
import {fileHandlePrototype} from './support/file-handles.ts';

const size = 1000;
const bytes = content(0, size);
const onLinux = {skip: process.platform !== 'linux' && 'descriptors are listed in /proc'};

async function wholeFile(t: TestContext): Promise<SparseFile> {
	const file = path.join(await temporaryFolder(t), 'data');
	await writeFile(file, bytes);
	const sparse = await SparseFile.open(file, size, [{start: 0, end: size}]);
	sparse.trust();
	await sparse.checkpoint();
	await sparse.close();
	return sparse;
}

async function openDescriptors({path}: SparseFile): Promise<number> {
	const descriptors = await readdir('/proc/self/fd');
	const files = await Promise.all(
		descriptors.map(async fd => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
	);
	return files.filter(file => file === path).length;
}

/** The next `stat` of an open file waits for `fail`, and fails. */
async function holdNextStat(t: TestContext): Promise<{isHeld: Promise<void>; fail: () => void}> {
	const prototype = await fileHandlePrototype();
	let fail!: () => void;
	const failing = new Promise<void>(resolve => {
		fail = resolve;
	});
	const isHeld = new Promise<void>(resolve => {
		const mock = t.mock.method(prototype, 'stat', async function (this: FileHandle) {
			mock.mock.restore();
			resolve();
			await failing;
			throw Object.assign(new Error('EIO: i/o error, fstat'), {code: 'EIO', syscall: 'fstat'});
		});
	});
	return {isHeld, fail};
}

test('a file that cannot be examined leaves no descriptor open', onLinux, async t => {
	const sparse = await wholeFile(t);
	const {fail} = await holdNextStat(t);
	fail();
	const into = Buffer.alloc(size);
	await assert.rejects(sparse.read(0, into), {code: 'disk-failed'});
	assert.equal(await openDescriptors(sparse), 0);
	assert.equal(await sparse.read(0, into), size);
	assert.ok(bytes.equals(into));
	await sparse.close();
});

test('an open that fails late leaves the handle of the next one in place', onLinux, async t => {
	const sparse = await wholeFile(t);
	const {isHeld, fail} = await holdNextStat(t);
	const first = sparse.write(0, bytes.subarray(0, 10));
	const rejects = assert.rejects(first, {code: 'disk-failed'});
	await isHeld;
	// Replaces the handles.
	sparse.forget([{start: 0, end: 10}]);
	await sparse.write(0, bytes.subarray(0, 10));
	fail();
	await rejects;
	await sparse.write(0, bytes.subarray(0, 10));
	assert.equal(await openDescriptors(sparse), 1);
	await sparse.close();
	assert.equal(await openDescriptors(sparse), 0);
});
