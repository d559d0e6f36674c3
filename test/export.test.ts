import assert from 'node:assert/strict';
import {statSync} from 'node:fs';
import {spawnSync} from 'node:child_process';
import fs, {
	access,
	chmod,
	lstat,
	mkdir,
	mkdtemp,
	open,
	readdir,
	readFile,
	readlink,
	rm,
	stat,
	symlink,
	writeFile,
} from 'node:fs/promises';
import {syncBuiltinESMExports} from 'node:module';
import {homedir, tmpdir} from 'node:os';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {pathToFileURL} from 'node:url';
import {exportFile} from '../source/engine/store/export.ts';
import {numbered, resolveTarget} from '../source/engine/store/export-target.ts';
import {atEnd} from './support/cleanup.ts';
import {content} from './support/content.ts';
import {withCode} from './support/errors.ts';

const size = 9 * 1024 * 1024 + 5;
const bytes = content(0, size);

async function temporaryFolder(t: TestContext, parent = tmpdir()): Promise<string> {
	const folder = await mkdtemp(path.join(parent, 'downstream-export-'));
	t.after(async () => rm(folder, {recursive: true, force: true}));
	return folder;
}

/** A stored file, and an empty target folder. */
async function createFiles(t: TestContext, parent?: string): Promise<{source: string; folder: string}> {
	const source = path.join(await temporaryFolder(t), 'data');
	await writeFile(source, bytes, {mode: 0o600});
	return {source, folder: await temporaryFolder(t, parent)};
}

/** A folder on another disk than the temporary one: links and renames to it fail. */
const memory = '/dev/shm';
const hasMemory =
	(statSync(memory, {throwIfNoEntry: false}) ?? statSync(tmpdir())).dev !== statSync(tmpdir()).dev;
const isRequired = process.env.CI !== undefined && process.platform === 'linux';
const onTwoDisks = {skip: !hasMemory && !isRequired && 'there is no second disk'};

/** As `createFiles`, with the target folder on another disk. */
async function createFilesOnTwoDisks(t: TestContext): Promise<{source: string; folder: string}> {
	assert.ok(hasMemory, 'a second disk is needed');
	return createFiles(t, memory);
}

async function assertContent(file: string): Promise<void> {
	assert.ok(bytes.equals(await readFile(file)), `${file} has wrong bytes`);
}

test('an export has the same bytes and default permissions, and keeps the source', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	assert.equal(await exportFile({source, target, size}), target);
	await assertContent(target);
	await assertContent(source);
	assert.deepEqual(await readdir(folder), ['film.mkv']);
	if (process.platform !== 'win32') {
		assert.equal((await stat(target)).mode & 0o777, 0o666 & ~process.umask());
	}
});

test('an existing file is not replaced without `overwrite`', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	await writeFile(target, 'mine');
	await assert.rejects(exportFile({source, target, size}), withCode('target-exists'));
	await assert.rejects(exportFile({source, target, size, move: true}), withCode('target-exists'));
	assert.equal(await readFile(target, 'utf8'), 'mine');
	await assertContent(source);
	assert.deepEqual(await readdir(folder), ['film.mkv']);
});

test('only one of many concurrent exports to one name succeeds', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	const tries = await Promise.allSettled(
		Array.from({length: 5}, async () => exportFile({source, target, size})),
	);
	assert.equal(tries.filter(attempt => attempt.status === 'fulfilled').length, 1);
	assert.ok(
		tries.every(attempt => attempt.status === 'fulfilled' || withCode('target-exists')(attempt.reason)),
	);
	assert.deepEqual(await readdir(folder), ['film.mkv']);
});

test('overwriting replaces the file, even with itself', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	await writeFile(target, 'mine');
	for (let round = 0; round < 2; round++) {
		await exportFile({source, target, size, overwrite: true});
		await assertContent(target);
		assert.deepEqual(await readdir(folder), ['film.mkv']);
	}
});

test('a symbolic link counts as existing, and overwriting replaces only the link', async t => {
	const {source, folder} = await createFiles(t);
	const precious = path.join(await temporaryFolder(t), 'precious');
	await writeFile(precious, 'mine');
	for (const pointed of [precious, path.join(folder, 'nowhere')]) {
		const target = path.join(folder, `to-${path.basename(pointed)}`);
		await symlink(pointed, target);
		await assert.rejects(exportFile({source, target, size}), withCode('target-exists'));
		assert.equal(await readlink(target), pointed);
		await exportFile({source, target, size, overwrite: true});
		assert.ok((await lstat(target)).isFile());
		await assertContent(target);
	}

	assert.equal(await readFile(precious, 'utf8'), 'mine');
	await assert.rejects(access(path.join(folder, 'nowhere')));
});

test('a pipe, and a link to a device, are never replaced', {skip: process.platform === 'win32'}, async t => {
	const {source, folder} = await createFiles(t);
	const pipe = path.join(folder, 'pipe');
	const device = path.join(folder, 'device');
	assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
	await symlink('/dev/null', device);
	for (const target of [pipe, device]) {
		await assert.rejects(resolveTarget(target, 'film.mkv'), withCode('bad-request'));
		for (const options of [{}, {overwrite: true}, {keepBoth: true}]) {
			await assert.rejects(exportFile({source, target, size, ...options}), withCode('bad-request'));
		}
	}

	assert.ok((await lstat(pipe)).isFIFO());
	assert.equal(await readlink(device), '/dev/null');
});

test('`keepBoth` finds the first free name', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	for (const name of ['film.mkv', 'film (2).mkv', 'film (3).mkv']) {
		assert.equal(await exportFile({source, target, size, keepBoth: true}), path.join(folder, name));
	}

	assert.equal((await readdir(folder)).length, 3);
});

test('moving removes the source', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	assert.equal(await exportFile({source, target, size, move: true}), target);
	await assertContent(target);
	await assert.rejects(access(source));
	assert.deepEqual(await readdir(folder), ['film.mkv']);
});

test('moving over a file replaces it, and moving onto itself keeps it', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	await exportFile({source, target, size});
	await exportFile({source, target, size, move: true, overwrite: true});
	await assert.rejects(access(source));
	await exportFile({source: target, target: path.join(folder, 'copy.mkv'), size});
	await exportFile({source: target, target, size, move: true, overwrite: true});
	await assertContent(target);
	assert.deepEqual((await readdir(folder)).toSorted(), ['copy.mkv', 'film.mkv']);
});

test('a copy to another disk reports progress up to 1', onTwoDisks, async t => {
	const {source, folder} = await createFilesOnTwoDisks(t);
	const target = path.join(folder, 'film.mkv');
	const fractions: number[] = [];
	await exportFile({source, target, size, onProgress: fraction => fractions.push(fraction)});
	await assertContent(target);
	assert.ok(fractions.length > 1);
	assert.deepEqual(
		fractions,
		fractions.toSorted((a, b) => a - b),
	);
	assert.equal(fractions.at(-1), 1);
	assert.deepEqual(await readdir(folder), ['film.mkv']);
});

test('a file is moved to another disk, and stays in place on failure', onTwoDisks, async t => {
	const {source, folder} = await createFilesOnTwoDisks(t);
	const target = path.join(folder, 'film.mkv');
	await writeFile(target, 'mine');
	await assert.rejects(exportFile({source, target, size, move: true}), withCode('target-exists'));
	await assertContent(source);
	const moved = await exportFile({source, target, size, move: true, keepBoth: true});
	assert.equal(moved, path.join(folder, 'film (2).mkv'));
	await assertContent(moved);
	await assert.rejects(access(source));
});

test('an aborted copy leaves nothing and rejects with the reason', onTwoDisks, async t => {
	const {source, folder} = await createFilesOnTwoDisks(t);
	const controller = new AbortController();
	const reason = new Error('enough');
	const exporting = exportFile({
		source,
		target: path.join(folder, 'film.mkv'),
		size,
		move: true,
		signal: controller.signal,
		onProgress: () => controller.abort(reason),
	});
	await assert.rejects(exporting, reason);
	assert.deepEqual(await readdir(folder), []);
	await assertContent(source);
});

test('a disk that is too small is detected before the copy', onTwoDisks, async t => {
	const {source, folder} = await createFilesOnTwoDisks(t);
	const huge = 2 ** 42;
	const handle = await open(source, 'r+');
	await handle.truncate(huge);
	await handle.close();
	await assert.rejects(
		exportFile({source, target: path.join(folder, 'film.mkv'), size: huge}),
		(error: Error) => {
			assert.ok(withCode('disk-full')(error));
			assert.match(error.message, new RegExp(` needs ${huge} bytes, `));
			return true;
		},
	);
	assert.deepEqual(await readdir(folder), []);
});

test('the next export to the same target removes the rest of a killed copy, except while one runs', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	const request = {source, target, size, ranges: [{start: 0, end: size}]};
	const program = `
		const {exportFile} = await import(${JSON.stringify(pathToFileURL(path.join(import.meta.dirname, '../source/engine/store/export.ts')).href)});
		await exportFile({...${JSON.stringify(request)}, onProgress: () => process.kill(process.pid, 'SIGKILL')});`;
	const {signal} = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program]);
	assert.equal(signal, 'SIGKILL');
	const left = await readdir(folder);
	assert.equal(left.length, 1);
	const exporting = exportFile(request);
	await assert.rejects(exportFile(request), withCode('target-exists'));
	assert.equal(await exporting, target);
	assert.deepEqual(await readdir(folder), ['film.mkv']);
	await assertContent(target);
});

test('a stored file of the wrong size is not exported', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	await assert.rejects(exportFile({source, target, size: size + 1}), withCode('disk-failed'));
	await assert.rejects(exportFile({source: `${source}-gone`, target, size}), withCode('disk-failed'));
	assert.deepEqual(await readdir(folder), []);
});

test('a folder cannot be a target file', async t => {
	const {source, folder} = await createFiles(t);
	await assert.rejects(exportFile({source, target: folder, size, overwrite: true}), withCode('bad-request'));
	await assertContent(source);
});

const asRoot = process.getuid?.() === 0 && 'root may write everywhere';
test('a read-only folder is disk-failed', {skip: process.platform === 'win32' || asRoot}, async t => {
	const {source, folder} = await createFiles(t);
	await chmod(folder, 0o500);
	await assert.rejects(exportFile({source, target: path.join(folder, 'a'), size}), withCode('disk-failed'));
	await chmod(folder, 0o700);
});

const names: ReadonlyArray<[name: string, second: string]> = [
	['film.mkv', 'film (2).mkv'],
	['backup.tar.zst', 'backup (2).tar.zst'],
	['film.part1.rar', 'film.part1 (2).rar'],
	['README', 'README (2)'],
	['.profile', '.profile (2)'],
	['Dr. Strangelove', 'Dr. Strangelove (2)'],
	[`${'x'.repeat(251)}.mkv`, `${'x'.repeat(247)} (2).mkv`],
	[`${'線'.repeat(82)}.tar.gz`, `${'線'.repeat(81)} (2).tar.gz`],
	[`${'x'.repeat(240)} 👨‍👩‍👧`, `${'x'.repeat(240)} (2)`],
];
for (const [name, second] of names) {
	test(`the second ${name} becomes ${second}`, () => {
		assert.equal(numbered(path.join('folder', name), 2), path.join('folder', second));
	});
}

test('a path names a file, an existing folder, or a new folder with a trailing separator', async t => {
	const folder = await temporaryFolder(t);
	assert.equal(await resolveTarget(path.join(folder, 'a.mkv'), 'film.mkv'), path.join(folder, 'a.mkv'));
	assert.equal(await resolveTarget(folder, 'film.mkv'), path.join(folder, 'film.mkv'));
	assert.equal(
		await resolveTarget(`${folder}/new/deep/`, 'film.mkv'),
		path.join(folder, 'new', 'deep', 'film.mkv'),
	);
	assert.ok((await stat(path.join(folder, 'new', 'deep'))).isDirectory());
});

test('a folder that is gone, and a name that is too long, are named', async t => {
	const {source, folder} = await createFiles(t);
	const gone = path.join(folder, 'gone');
	await assert.rejects(exportFile({source, target: path.join(gone, 'film.mkv'), size}), {
		code: 'bad-request',
		message: `The folder ${gone} does not exist`,
	});
	const long = path.join(folder, 'x'.repeat(256));
	await assert.rejects(exportFile({source, target: long, size}), {
		code: 'disk-failed',
		message: `${long} has a name that is too long for its disk (ENAMETOOLONG)`,
	});
	await assertContent(source);
});

test('a tilde means the home folder, and relative paths start at the working directory', async () => {
	assert.equal(await resolveTarget('~', 'film.mkv'), path.join(homedir(), 'film.mkv'));
	assert.equal(await resolveTarget('~/film-2.mkv', 'film.mkv'), path.join(homedir(), 'film-2.mkv'));
	assert.equal(await resolveTarget('~film', 'film.mkv'), path.resolve('~film'));
});

test('an impossible path is a bad request that names it', async t => {
	const folder = await temporaryFolder(t);
	const file = path.join(folder, 'file');
	await mkdir(path.join(folder, 'sub'));
	await writeFile(file, '');
	await assert.rejects(resolveTarget('', 'film.mkv'), withCode('bad-request'));
	await assert.rejects(resolveTarget('a\0b', 'film.mkv'), withCode('bad-request'));
	for (const bad of [
		path.join(folder, 'missing', 'film.mkv'),
		path.join(file, 'film.mkv'),
		`${file}/`,
		`${file}/a/`,
	]) {
		await assert.rejects(resolveTarget(bad, 'film.mkv'), (error: Error) => {
			assert.ok(withCode('bad-request')(error), bad);
			assert.ok(error.message.includes(folder));
			return true;
		});
	}
});

test('a file with the same bytes stays unchanged, and its path is the result', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	await writeFile(target, bytes);
	const {ino} = await stat(target);
	assert.equal(await exportFile({source, target, size, skipIdentical: true}), target);
	assert.equal((await stat(target)).ino, ino);
	await assert.rejects(exportFile({source, target, size}), withCode('target-exists'));

	// One byte differs.
	const other = Buffer.from(bytes);
	other[size - 1] = ~other[size - 1]!;
	await writeFile(target, other);
	await assert.rejects(exportFile({source, target, size, skipIdentical: true}), withCode('target-exists'));
	const beside = {source, target, size, keepBoth: true, skipIdentical: true};
	const second = path.join(folder, 'film (2).mkv');
	assert.equal(await exportFile(beside), second);
	assert.equal(await exportFile(beside), second);
	assert.deepEqual((await readdir(folder)).toSorted(), ['film (2).mkv', 'film.mkv']);
	assert.ok(other.equals(await readFile(target)));
});

test('a move onto the same bytes removes the source', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	await writeFile(target, bytes);
	const placed: string[] = [];
	const onPlaced = async (file: string) => placed.push(file) > 0;
	assert.equal(await exportFile({source, target, size, move: true, skipIdentical: true, onPlaced}), target);
	assert.deepEqual(placed, [target]);
	await assert.rejects(access(source), {code: 'ENOENT'});
	await assertContent(target);
});

test('an empty file at the name of a killed export stays as it is', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	await writeFile(target, '');
	const request = {source, target, size, placing: target};
	await assert.rejects(exportFile(request), withCode('target-exists'));
	const second = path.join(folder, 'film (2).mkv');
	assert.equal(await exportFile({...request, keepBoth: true}), second);
	assert.equal((await stat(target)).size, 0);
	await assertContent(second);
});

test('a killed export takes the name that it reserved, and no other export does', async t => {
	const {source, folder} = await createFiles(t);
	const target = path.join(folder, 'film.mkv');
	atEnd(t, () => {
		t.mock.restoreAll();
		syncBuiltinESMExports();
	});
	// The disk has no hard links.
	t.mock.method(fs, 'link', async () => {
		throw Object.assign(new Error('EPERM'), {code: 'EPERM', syscall: 'link'});
	});
	let reserved = '';
	t.mock.method(fs, 'rename', async () => {
		reserved = await readFile(target, 'utf8');
		throw Object.assign(new Error('EIO'), {code: 'EIO', syscall: 'rename'});
	});
	syncBuiltinESMExports();
	await assert.rejects(exportFile({source, target, size}), withCode('disk-failed'));
	assert.deepEqual(await readdir(folder), []);
	t.mock.restoreAll();
	syncBuiltinESMExports();

	await writeFile(target, reserved);
	const other = path.join(path.dirname(source), 'other');
	await writeFile(other, bytes);
	const ofOther = {source: other, target, size, placing: target};
	await assert.rejects(exportFile(ofOther), withCode('target-exists'));
	assert.equal(await readFile(target, 'utf8'), reserved);
	assert.equal(await exportFile({source, target, size, placing: target}), target);
	await assertContent(target);
});
