// Each holder is a separate process; the tests kill, suspend and resume it.
import assert from 'node:assert/strict';
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile} from 'node:fs/promises';
import {hostname, tmpdir} from 'node:os';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {test, type TestContext} from 'node:test';
import {setImmediate} from 'node:timers/promises';
import {pathToFileURL} from 'node:url';
import {DownStreamError} from '../source/downstream.ts';
import {StorageLock, storageOwner} from '../source/engine/store/storage-lock.ts';
import {withCode} from './support/errors.ts';

const withoutSignals = process.platform === 'win32' && 'this platform cannot suspend a process';

/**
 * Acquires the folder's lock, publishes its address depending on the mode, reports on stdout, and runs until it is
 * killed.
 */
const holderProgram = `
import {createServer} from 'node:net';
import {StorageLock} from ${JSON.stringify(pathToFileURL(path.join(import.meta.dirname, '../source/engine/store/storage-lock.ts')).href)};
const [, storageDir, mode] = process.argv;
const lock = await StorageLock.acquire(storageDir, async () => {
	await lock.release();
	console.log('lost');
});
const server = createServer();
server.listen(0, '127.0.0.1', async () => {
	const origin = 'http://127.0.0.1:' + server.address().port;
	if (mode === 'deaf') server.close();
	if (mode !== 'starting') await lock.publish(origin);
	console.log('held ' + origin);
});
process.stdin.on('end', () => process.exit()).resume();
setInterval(() => {}, 1e6);
`;

class Holder {
	readonly process: ChildProcess;
	readonly #lines: AsyncIterator<string>;
	origin = '';

	static async start(
		t: TestContext,
		storageDir: string,
		mode: 'listening' | 'deaf' | 'starting',
	): Promise<Holder> {
		const holder = new Holder(storageDir, mode);
		t.after(async () => holder.kill());
		const line = await holder.nextLine();
		assert.match(line, /^held /);
		holder.origin = line.slice('held '.length);
		return holder;
	}

	private constructor(storageDir: string, mode: string) {
		const {execPath} = process;
		this.process = spawn(
			execPath,
			['--import', 'tsx', '--input-type=module', '--eval', holderProgram, storageDir, mode],
			{stdio: ['pipe', 'pipe', 'inherit']},
		);
		assert.ok(this.process.stdout);
		this.#lines = createInterface(this.process.stdout)[Symbol.asyncIterator]();
	}

	get pid(): number {
		return this.process.pid ?? 0;
	}

	async nextLine(): Promise<string> {
		const {value, done} = await this.#lines.next();
		return done ? 'ended' : value;
	}

	/** Like `kill -9`. */
	async kill(): Promise<void> {
		if (this.process.exitCode === null && this.process.signalCode === null) {
			const exited = once(this.process, 'exit');
			this.process.kill('SIGKILL');
			await exited;
		}
	}
}

async function storageFolder(t: TestContext): Promise<string> {
	const storageDir = await mkdtemp(path.join(tmpdir(), 'downstream-lock-'));
	t.after(async () => rm(storageDir, {recursive: true, force: true}));
	return storageDir;
}

/** Makes the lock look untouched for an hour. */
async function makeStale(storageDir: string): Promise<void> {
	const hourAgo = new Date(Date.now() - 3_600_000);
	await utimes(path.join(storageDir, 'owner.json.lock'), hourAgo, hourAgo);
}

async function assertRefused(storageDir: string, message: RegExp): Promise<void> {
	await assert.rejects(StorageLock.acquire(storageDir), (error: unknown) => {
		assert.ok(error instanceof DownStreamError);
		assert.equal(error.code, 'storage-locked');
		assert.match(error.message, message);
		return true;
	});
}

test('a second process is rejected with the address of the first', async t => {
	const storageDir = await storageFolder(t);
	const holder = await Holder.start(t, storageDir, 'listening');
	await assertRefused(storageDir, new RegExp(`is already running \\(pid ${holder.pid}, ${holder.origin}\\)`));
	const owner = await storageOwner(storageDir);
	assert.equal(owner?.pid, holder.pid);
	assert.equal(owner.origin, holder.origin);
});

test('the lock of a killed holder is taken over at once', async t => {
	const storageDir = await storageFolder(t);
	const holder = await Holder.start(t, storageDir, 'listening');
	await holder.kill();
	assert.equal(await storageOwner(storageDir), undefined);
	const lock = await StorageLock.acquire(storageDir);
	assert.equal((await storageOwner(storageDir))?.pid, process.pid);
	assert.equal(lock.wasReleased, false);
	await lock.release();
	const next = await StorageLock.acquire(storageDir);
	assert.equal(next.wasReleased, true);
	await next.release();
});

test('a lock that a killed holder left on a full disk, without its name, was not released', async t => {
	const storageDir = await storageFolder(t);
	const left = path.join(storageDir, 'owner.json.lock');
	await writeFile(left, '');
	await utimes(left, 0, 0);
	const lock = await StorageLock.acquire(storageDir);
	assert.equal(lock.wasReleased, false);
	await lock.release();
});

test(
	'the lock of a zombie holder is taken over at once',
	{skip: process.platform !== 'linux' && 'zombies are visible only on Linux'},
	async t => {
		const storageDir = await storageFolder(t);
		// `sleep` never collects this child.
		const parent = spawn('sh', ['-c', 'sleep 0.1 & echo $!; exec sleep 1000'], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		t.after(() => parent.kill('SIGKILL'));
		const {value: pid} = await createInterface(parent.stdout)[Symbol.asyncIterator]().next();
		while (!/\) Z /.test(await readFile(`/proc/${pid}/stat`, 'utf8'))) {
			await setImmediate();
		}

		await mkdir(path.join(storageDir, 'owner.json.lock'));
		await writeFile(
			path.join(storageDir, 'owner.json'),
			JSON.stringify({pid: Number(pid), host: hostname(), startedAt: 0}),
		);
		assert.equal(await storageOwner(storageDir), undefined);
		const lock = await StorageLock.acquire(storageDir);
		await lock.release();
	},
);

test('only one of many contenders replaces a dead holder', async t => {
	const storageDir = await storageFolder(t);
	const holder = await Holder.start(t, storageDir, 'listening');
	await holder.kill();
	const lockFolder = path.join(storageDir, 'owner.json.lock');
	const ownerFile = path.join(storageDir, 'owner.json');
	const dead = await readFile(ownerFile);
	for (let round = 0; round < 6; round++) {
		await writeFile(ownerFile, dead);
		await mkdir(lockFolder, {recursive: true});
		const tries = await Promise.allSettled(
			Array.from({length: 6}, async (_, index) => {
				// Each attempt starts some turns of the event loop later, so that they are at different steps.
				for (let turn = 0; turn < index * 2; turn++) {
					await setImmediate();
				}

				return StorageLock.acquire(storageDir);
			}),
		);
		const taken = tries.filter(attempt => attempt.status === 'fulfilled');
		assert.equal(taken.length, 1, `round ${round}`);
		await taken[0]?.value.release();
	}
});

test('a suspended holder keeps the lock', {skip: withoutSignals}, async t => {
	const storageDir = await storageFolder(t);
	const holder = await Holder.start(t, storageDir, 'listening');
	holder.process.kill('SIGSTOP');
	await makeStale(storageDir);
	await assertRefused(storageDir, /is already running/);
});

test('a holder that has not published its port yet keeps the lock', async t => {
	const storageDir = await storageFolder(t);
	const holder = await Holder.start(t, storageDir, 'starting');
	await assertRefused(storageDir, new RegExp(`is already running \\(pid ${holder.pid}\\)`));
});

test('a reused pid does not keep the lock', {skip: withoutSignals}, async t => {
	const storageDir = await storageFolder(t);
	const holder = await Holder.start(t, storageDir, 'deaf');
	holder.process.kill('SIGSTOP');
	await makeStale(storageDir);
	const lock = await StorageLock.acquire(storageDir);
	await lock.release();
});

test(
	'a suspended holder that was replaced is notified, and its release removes nothing',
	{skip: withoutSignals},
	async t => {
		const storageDir = await storageFolder(t);
		const holder = await Holder.start(t, storageDir, 'deaf');
		holder.process.kill('SIGSTOP');
		await makeStale(storageDir);
		const lock = await StorageLock.acquire(storageDir);
		holder.process.kill('SIGCONT');
		assert.equal(await holder.nextLine(), 'lost');
		assert.equal((await storageOwner(storageDir))?.pid, process.pid);
		await lock.release();
	},
);

test('a holder on another host is judged by the age of its lock', async t => {
	const storageDir = await storageFolder(t);
	const lock = await StorageLock.acquire(storageDir);
	t.after(async () => lock.release());
	const owner = {pid: process.pid, host: `not-${hostname()}`, startedAt: 0};
	await writeFile(path.join(storageDir, 'owner.json'), JSON.stringify(owner));
	await assertRefused(storageDir, /is already running/);
	await makeStale(storageDir);
	assert.equal(await storageOwner(storageDir), undefined);
});

test('a process that exits releases the folder', async t => {
	const storageDir = await storageFolder(t);
	const holder = await Holder.start(t, storageDir, 'listening');
	const exited = once(holder.process, 'exit');
	holder.process.stdin?.end();
	await exited;
	assert.equal((await readdir(storageDir)).includes('owner.json.lock'), false);
});

test('a released folder contains no remains of the lock', async t => {
	const storageDir = await storageFolder(t);
	const lock = await StorageLock.acquire(storageDir);
	await lock.publish('http://127.0.0.1:8080');
	if (process.platform !== 'win32') {
		assert.equal((await stat(path.join(storageDir, 'owner.json'))).mode & 0o777, 0o600);
	}

	await lock.release();
	assert.deepEqual(await readdir(storageDir), []);
	await lock.release();
	assert.equal(await storageOwner(storageDir), undefined);
});

for (const text of ['', '{"pid":-1,"host":"a"}', '{"pid":"1","host":"a"}', 'null']) {
	test(`an owner file with ${JSON.stringify(text)} counts as missing`, async t => {
		const storageDir = await storageFolder(t);
		const lock = await StorageLock.acquire(storageDir);
		t.after(async () => lock.release());
		await writeFile(path.join(storageDir, 'owner.json'), text);
		await assertRefused(storageDir, /is already running on/);
		assert.equal(await readFile(path.join(storageDir, 'owner.json'), 'utf8'), text);
	});
}

test('a missing storage folder is disk-failed', async t => {
	const storageDir = path.join(await storageFolder(t), 'missing');
	await assert.rejects(StorageLock.acquire(storageDir), withCode('disk-failed'));
});

test('a file in place of the storage folder is named in the error', async t => {
	const file = path.join(await storageFolder(t), 'file');
	await writeFile(file, '');
	await assert.rejects(
		storageOwner(file),
		(error: unknown) =>
			error instanceof DownStreamError && error.code === 'disk-failed' && error.message.includes(file),
	);
});
