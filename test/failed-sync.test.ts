// Bytes that a failed sync has lost. Some systems then read them from memory, and report the next sync as a success.
import assert from 'node:assert/strict';
import {readFile, stat, writeFile, type FileHandle} from 'node:fs/promises';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {SparseFile} from '../source/engine/store/sparse-file.ts';
import {WriteMode} from '../source/engine/store/write-mode.ts';
import {content} from './support/content.ts';
import {damage} from './support/damage.ts';
import {startDownload, temporaryFolder, until, untilEnded} from './support/engines.ts';
import {fileHandlePrototype} from './support/file-handles.ts';
import {recordedRanges} from './support/recorded-ranges.ts';

const MiB = 1024 * 1024;
const timeout = 60_000;

/** The next sync of the file fails, after `lose` has taken its bytes. */
async function failNextSync(t: TestContext, file: string, lose: () => Promise<void>): Promise<void> {
	const prototype = await fileHandlePrototype();
	// oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
	const {datasync} = prototype;
	const {ino} = await stat(file);
	const mock = t.mock.method(prototype, 'datasync', async function (this: FileHandle) {
		if ((await this.stat()).ino !== ino) {
			return datasync.call(this);
		}

		mock.mock.restore();
		await lose();
		throw Object.assign(new Error('EIO: i/o error, fdatasync'), {code: 'EIO', syscall: 'fdatasync'});
	});
}

test('bytes of a failed sync are fetched again, although the next sync succeeds', {timeout}, async t => {
	const size = 4 * MiB;
	const {origin, engine, close, download} = await startDownload(
		t,
		{size, etag: '"v1"', bytesPerSecond: 2 * MiB},
		{connections: 1},
	);
	const {folder} = await until(engine, download.id, ({present}) => present > MiB);
	while ((await recordedRanges(folder)).length === 0) {
		await sleep(10);
	}

	const data = path.join(folder, 'data');
	await failNextSync(t, data, async () => {
		const recorded = await recordedRanges(folder);
		await damage(data, recorded.at(-1)?.end ?? 0);
	});
	const failed = await until(engine, download.id, ({status}) => status === 'failed');
	assert.equal(failed.error?.message, `${data} cannot be read or written (EIO)`);
	const recorded = await recordedRanges(folder);
	assert.deepEqual(
		failed.ranges,
		recorded.map(({start, end}) => [start, end]),
	);
	origin.options.bytesPerSecond = undefined;
	await engine.resume(download.id);
	const {status, error} = await untilEnded(engine, download.id);
	assert.deepEqual([status, error], ['complete', null]);
	await close();
	assert.ok(content(0, size).equals(await readFile(data)), 'lost bytes were recorded');
});

test('bytes that are written while a sync fails are written again', {timeout}, async t => {
	const file = path.join(await temporaryFolder(t), 'data');
	const sparse = await SparseFile.open(file, 2 * MiB, []);
	const bytes = content(0, 2 * MiB);
	await sparse.write(0, bytes.subarray(0, MiB));
	t.mock.method(WriteMode.prototype, 'canBlock', () => false);
	const prototype = await fileHandlePrototype();
	// oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
	const {write} = prototype;
	let syncFails!: () => void;
	const failing = new Promise<void>(resolve => {
		syncFails = resolve;
	});
	t.mock.method(prototype, 'write', async function (this: FileHandle, ...given: Parameters<typeof write>) {
		const written = await write.apply(this, given);
		await failing;
		return written;
	});
	await failNextSync(t, file, () => writeFile(file, Buffer.alloc(2 * MiB)));
	const writing = sparse.write(MiB, bytes.subarray(MiB));
	await assert.rejects(sparse.checkpoint(), {code: 'disk-failed'});
	assert.deepEqual([...sparse.present], []);
	syncFails();
	await writing;
	const {ranges} = await sparse.checkpoint();
	assert.deepEqual(ranges, [{start: MiB, end: 2 * MiB}]);
	await sparse.close();
	assert.ok((await readFile(file)).subarray(MiB).equals(bytes.subarray(MiB)));
});
