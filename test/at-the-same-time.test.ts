// Commands concurrent with other commands, with players and with shutdown.
import assert from 'node:assert/strict';
import {EventEmitter, once} from 'node:events';
import {existsSync} from 'node:fs';
import {mkdir, readdir, readFile, rm, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {setImmediate as nextTurn, setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError} from '../source/downstream.ts';
import {BlockPool} from '../source/engine/memory/block-pool.ts';
import {HttpDataSource} from '../source/engine/origin/http-source.ts';
import type {Engine} from '../source/engine/engine.ts';
import {RecordFile} from '../source/engine/store/record-store.ts';
import type {DownloadRecord} from '../source/engine/store/record.ts';
import {Transfer} from '../source/engine/download/transfer.ts';
import {content, firstWrongByte} from './support/content.ts';
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
const etag = '"v1"';
const timeout = 30_000;

type FillArguments = Parameters<BlockPool['fill']>;

/** Holds back writes of records that have this field, until `letGo` is called. */
function holdRecords(
	t: TestContext,
	field: keyof DownloadRecord,
): {isHeld: Promise<void>; letGo: () => void} {
	// oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
	const {save} = RecordFile.prototype;
	let letGo!: () => void;
	const gone = new Promise<void>(resolve => {
		letGo = resolve;
	});
	const isHeld = new Promise<void>(resolve => {
		t.mock.method(
			RecordFile.prototype,
			'save',
			async function (this: RecordFile, change: Partial<DownloadRecord>) {
				const saved = save.call(this, change);
				if (change[field] !== undefined) {
					resolve();
					await gone;
				}

				return saved;
			},
		);
	});
	return {isHeld, letGo};
}

/** The bytes of a response until its end or its cut. */
async function play(url: string, headers: Record<string, string> = {}): Promise<Buffer> {
	const chunks: Uint8Array[] = [];
	try {
		const response = await fetch(url, {headers, signal: AbortSignal.timeout(3000)});
		for await (const chunk of (response.ok && response.body) || []) {
			chunks.push(chunk as Uint8Array);
		}
	} catch {
		// Cut, or no response in time.
	}

	return Buffer.concat(chunks);
}

test('a reader that starts during a version change gets one version', {timeout}, async t => {
	const size = 8 * MiB;
	const {origin, engine, download} = await startDownload(
		t,
		{size, etag, bytesPerSecond: 2 * MiB},
		{connections: 1},
	);
	await until(engine, download.id, ({present}) => present > MiB);
	Object.assign(origin.options, {etag: '"v2"', seed: 2, bytesPerSecond: undefined});
	const {isHeld, letGo} = holdRecords(t, 'startedOver');
	const over = engine.startOver(download.id);
	await isHeld;
	const playing = play(download.streamUrl);
	await sleep(200);
	letGo();
	await over;
	const bytes = await playing;
	const isOf = (seed: number) => firstWrongByte(bytes, 0, seed) === -1;
	assert.ok(isOf(1) || isOf(2), `a mixture, from byte ${firstWrongByte(bytes, 0, 1)} on`);
});

test('a multipart response holds one version', {timeout}, async t => {
	const size = 8 * MiB;
	const {origin, engine, download} = await startDownload(t, {size, etag, bytesPerSecond: 2 * MiB});
	await until(engine, download.id, ({present}) => present > MiB);
	const transfer = engine.transfer(download.id)!;
	const {signal} = new AbortController();
	const facts = await transfer.representation(signal);
	Object.assign(origin.options, {etag: '"v2"', seed: 2, bytesPerSecond: undefined});
	await engine.startOver(download.id);
	await until(engine, download.id, ({status}) => status === 'complete');
	const player = {userAgent: '', address: ''};
	const reading = transfer.read({range: {start: 0, end: 10}, player, signal, version: facts.version});
	await assert.rejects(async () => {
		for await (const bytes of reading) {
			assert.fail(`${bytes.length} bytes of another version`);
		}
	}, /fetched from the start/);
});

test('a read delayed by the disk gets no bytes of another version', {timeout}, async t => {
	const size = 2 * MiB;
	const {origin, engine, download} = await startDownload(t, {size, etag});
	await until(engine, download.id, ({status}) => status === 'complete');
	// oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
	const {fill} = BlockPool.prototype;
	const gate = new EventEmitter();
	t.mock.method(BlockPool.prototype, 'fill', async function (this: BlockPool, ...read: FillArguments) {
		gate.emit('waits');
		await once(gate, 'open');
		return fill.call(this, ...read);
	});
	const waits = once(gate, 'waits');
	const playing = play(download.streamUrl);
	await waits;
	Object.assign(origin.options, {etag: '"v2"', seed: 2});
	await engine.startOver(download.id);
	await until(engine, download.id, ({status}) => status === 'complete');
	gate.emit('open');
	const bytes = await playing;
	assert.equal(firstWrongByte(bytes, 0), -1, 'bytes of another version');
});

test('starting over during a move does not write to the moved file', {timeout}, async t => {
	const size = 4 * MiB;
	const {origin, engine, download} = await startDownload(t, {size, etag});
	await until(engine, download.id, ({status}) => status === 'complete');
	const target = path.join(await temporaryFolder(t), 'mine.bin');
	Object.assign(origin.options, {etag: '"v2"', seed: 2});
	const {isHeld, letGo} = holdRecords(t, 'movedTo');
	const moving = engine.export(download.id, {path: target, move: true});
	await isHeld;
	await engine.startOver(download.id);
	letGo();
	await moving;
	const done = await untilEnded(engine, download.id);
	assert.deepEqual([done.status, done.present], ['complete', size]);
	assert.equal(firstWrongByte(await readFile(target), 0, 1), -1);
	assert.equal(firstWrongByte(await play(done.streamUrl), 0, 2), -1);
	assert.equal((await play(done.streamUrl)).length, size);
});

test('bytes received during a change of link are compared with the new link', {timeout}, async t => {
	const size = 4 * MiB;
	let answerOld!: () => void;
	const waiting = new Promise<void>(resolve => {
		answerOld = resolve;
	});
	const origin = await startOrigin(t, {
		size,
		etag,
		bytesPerSecond: MiB,
		async intercept() {
			await waiting;
			return false;
		},
	});
	const {engine} = await startEngine(t, {connections: 1});
	const {download} = await engine.add({url: origin.url});
	// Many files share their first byte.
	let seed = 2;
	while (content(0, 1, seed)[0] !== content(0, 1)[0]) {
		seed++;
	}

	let tries = 0;
	const other = await startOrigin(t, {
		size,
		etag,
		seed,
		async intercept() {
			if (tries++ === 0) {
				// Nothing is cached at the time of the request, so any file matches.
				answerOld();
				await until(engine, download.id, ({present}) => present > 0);
			}

			return false;
		},
	});
	await assert.rejects(engine.update(download.id, {url: other.url}), /new URL leads to another file/);
	origin.options.bytesPerSecond = undefined;
	const done = await untilEnded(engine, download.id);
	assert.equal(done.url, origin.url);
	assert.equal(firstWrongByte(await readFile(path.join(done.folder, 'data')), 0), -1);
});

test('concurrent additions of a removed download restore it once', {timeout}, async t => {
	const size = 4 * MiB;
	const {origin, engine, download} = await startDownload(
		t,
		{size, etag, bytesPerSecond: MiB},
		{connections: 1},
	);
	await until(engine, download.id, ({present}) => present > 0);
	await engine.remove(download.id, {data: 'keep'});
	const opening = t.mock.method(Transfer, 'open');
	await Promise.all(Array.from({length: 4}, () => engine.transferOf({url: origin.url})));
	assert.equal(opening.mock.callCount(), 1, 'several write to one file');
	assert.deepEqual(
		engine.snapshot.downloads.map(({id}) => id),
		[download.id],
	);
	origin.options.bytesPerSecond = undefined;
	await until(engine, download.id, ({status}) => status === 'complete');
});

for (const data of ['keep', 'delete'] as const) {
	test(`adding a URL during its removal (${data}) resumes from its bytes`, {timeout}, async t => {
		const {origin, engine, storageDir, close, download} = await startDownload(
			t,
			{size: 4 * MiB, etag, bytesPerSecond: MiB},
			{connections: 1},
		);
		await until(engine, download.id, ({present}) => present > 0);
		const removing = engine.remove(download.id, {data});
		const added = await engine.add({url: origin.url});
		await removing;
		assert.equal(added.existed, true);
		assert.equal(added.download.id, download.id);
		assert.ok(added.download.present > 0);
		assert.equal(engine.snapshot.downloads.length, 1);
		await close();
		const next = await startEngine(t, {storageDir, maxActive: 0});
		assert.deepEqual(
			next.engine.snapshot.downloads.map(({id}) => id),
			[download.id],
		);
	});
}

/** A complete download off the list, whose bytes are kept. */
async function startKept(t: TestContext) {
	const started = await startDownload(t, {size: 100_000, etag});
	const {engine, download} = started;
	await until(engine, download.id, ({status}) => status === 'complete');
	await engine.remove(download.id, {data: 'keep'});
	return {...started, id: download.id, folder: download.folder};
}

for (const undoMs of [0, timeout]) {
	test(
		`a deletion beside a running restoration follows it, with ${undoMs} ms to undo`,
		{timeout},
		async t => {
			const {engine, storageDir, close, id, folder} = await startKept(t);
			// oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
			const {open} = Transfer;
			let letGo!: () => void;
			const gone = new Promise<void>(resolve => {
				letGo = resolve;
			});
			const isOpening = new Promise<void>(resolve => {
				t.mock.method(Transfer, 'open', async (...given: Parameters<typeof open>) => {
					resolve();
					await gone;
					return open.apply(Transfer, given);
				});
			});
			const restoring = engine.restore(id);
			await isOpening;
			const deleting = engine.remove(id, {data: 'delete', undoMs});
			await nextTurn();
			letGo();
			await Promise.all([restoring, deleting]);
			assert.deepEqual(engine.snapshot.downloads, []);
			assert.equal(existsSync(folder), undoMs > 0);
			if (undoMs > 0) {
				await engine.restore(id);
				assert.equal(downloadOf(engine, id).status, 'complete');
				await close();
				const next = await startEngine(t, {storageDir, maxActive: 0});
				assert.equal(downloadOf(next.engine, id).status, 'complete');
			}
		},
	);
}

test('a download cannot be restored while it is deleted permanently', {timeout}, async t => {
	const {engine, id, folder} = await startKept(t);
	const deleting = engine.remove(id, {data: 'delete', undoMs: 0});
	await assert.rejects(engine.restore(id), {code: 'not-found'});
	await deleting;
	assert.equal(existsSync(folder), false);
});

test('a data source added twice at once stays in use', {timeout}, async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag});
	const {engine} = await startEngine(t);
	const source = new HttpDataSource({url: origin.url});
	const dispose = t.mock.method(source, 'dispose');
	const added = await Promise.all([engine.addSource(source), engine.addSource(source)]);
	assert.deepEqual(
		added.map(({existed}) => existed),
		[false, true],
	);
	assert.equal(dispose.mock.callCount(), 0);
	const {folder} = await until(engine, added[0].download.id, ({status}) => status === 'complete');
	assert.equal(firstWrongByte(await readFile(path.join(folder, 'data')), 0), -1);
});

/** Runs `act` while another instance takes the storage folder. */
async function loseFolder(t: TestContext, storageDir: string, engine: Engine): Promise<void> {
	await rm(path.join(storageDir, 'owner.json.lock'), {recursive: true});
	while (engine.snapshot.banners.length === 0) {
		await sleep(10);
	}

	assert.match(
		engine.snapshot.banners[0]!,
		/^Another instance has taken over the storage folder; quit this instance/,
	);
	t.diagnostic('the folder is lost');
}

test(
	'a move in progress when the lock is lost leaves record and data to the new owner',
	{timeout},
	async t => {
		const {engine, storageDir, download} = await startDownload(t, {size: 4 * MiB, etag});
		const {folder} = await until(engine, download.id, ({status}) => status === 'complete');
		const target = path.join(await temporaryFolder(t), 'moved.bin');
		const {isHeld, letGo} = holdRecords(t, 'movedTo');
		const moving = engine.export(download.id, {path: target, move: true});
		moving.catch(() => undefined);
		await isHeld;
		const record = await readFile(path.join(folder, 'entry.json'), 'utf8');
		await loseFolder(t, storageDir, engine);
		letGo();
		await moving.catch(() => undefined);
		await engine.dispose();
		const now = await readFile(path.join(folder, 'entry.json'), 'utf8');
		// A record in progress at the moment of the loss may exist; the data is where a record says.
		const {movedTo} = JSON.parse(now) as DownloadRecord;
		assert.ok(now === record || movedTo === target);
		assert.equal((await stat(movedTo ?? path.join(folder, 'data'))).size, 4 * MiB);
	},
);

test('nothing is recorded after the lock is lost', {timeout}, async t => {
	const {engine, storageDir, download} = await startDownload(
		t,
		{size: 8 * MiB, etag, bytesPerSecond: 2 * MiB},
		{connections: 1},
	);
	const {folder} = await until(engine, download.id, ({present}) => present > MiB);
	const transfer = engine.transfer(download.id)!;
	await loseFolder(t, storageDir, engine);
	await sleep(50);
	const before = await readFile(path.join(folder, 'entry.json'), 'utf8');
	await transfer.pause().catch(() => undefined);
	await transfer.checkpoint();
	await transfer.close();
	await engine.dispose();
	assert.equal(await readFile(path.join(folder, 'entry.json'), 'utf8'), before);
});

test('an addition while the engine closes does not start', {timeout}, async t => {
	const origin = await startOrigin(t, {size: 4 * MiB, etag, bytesPerSecond: MiB});
	const {engine, storageDir} = await startEngine(t);
	const adding = engine.add({url: origin.url});
	const ending = engine.dispose();
	await assert.rejects(adding, /quitting/);
	await ending;
	await sleep(300);
	assert.equal(origin.requests.length, 0);
	const next = await startEngine(t, {storageDir});
	assert.deepEqual(next.engine.snapshot.banners, []);
});

test('an export interrupted by shutdown finishes after the next start', {timeout}, async t => {
	const memory = '/dev/shm';
	const other = await stat(memory).catch(() => undefined);
	if (!other || other.dev === (await stat(tmpdir())).dev) {
		t.skip('there is no second disk');
		return;
	}

	const size = 64 * MiB;
	const origin = await startOrigin(t, {size, etag});
	const first = await startEngine(t);
	const {download} = await first.engine.add({url: origin.url, paused: true});
	const folder = await temporaryFolder(t, memory);
	const target = path.join(folder, 'film.bin');
	await first.engine.export(download.id, {path: target, when: 'complete'});
	await first.engine.resume(download.id);
	await until(first.engine, download.id, ({exportProgress}) => exportProgress !== null);
	await first.close();
	assert.deepEqual(await readdir(folder), []);
	const second = await startEngine(t, {storageDir: first.storageDir});
	await until(second.engine, download.id, ({exportedTo}) => exportedTo === target);
	assert.equal((await stat(target)).size, size);
});

test('a planned export that fails after the removal is repeated once that is undone', {timeout}, async t => {
	const origin = await startOrigin(t, {size: MiB, etag});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, paused: true});
	const folder = await temporaryFolder(t);
	const target = path.join(folder, 'film.bin');
	await engine.export(download.id, {path: target, when: 'complete'});
	const {isHeld, letGo} = holdRecords(t, 'placing');
	await engine.resume(download.id);
	await isHeld;
	const removed = engine.remove(download.id, {data: 'delete'});
	await rm(folder, {recursive: true});
	letGo();
	await removed;
	await mkdir(folder);
	await engine.restore(download.id);
	await until(engine, download.id, ({exportedTo}) => exportedTo === target);
	assert.equal((await stat(target)).size, MiB);
});

test('cancel and pause close connections while the disk stalls', {timeout}, async t => {
	for (const verb of ['cancel', 'pause'] as const) {
		const {engine, download} = await startDownload(t, {size: 40 * MiB, etag, bytesPerSecond: MiB});
		await until(engine, download.id, ({present}) => present > 0);
		const {isHeld, letGo} = holdRecords(t, 'intent');
		const ended = engine[verb](download.id);
		await isHeld;
		await until(engine, download.id, ({connections}) => connections === 0);
		letGo();
		await ended;
		t.mock.restoreAll();
	}
});

/** The version of the bytes; undefined if they match none. */
function versionOf(bytes: Uint8Array, offset: number, newest: number): number | undefined {
	for (let seed = newest; seed > 0; seed--) {
		if (firstWrongByte(bytes, offset, seed) === -1) {
			return seed;
		}
	}

	return undefined;
}

test('concurrent commands on a changing file never mix versions', {timeout: 60_000}, async t => {
	const size = 3 * MiB + 5;
	const origin = await startOrigin(t, {size, etag: '"1"', seed: 1, bytesPerSecond: 8 * MiB});
	const {engine} = await startEngine(t);
	const folder = await temporaryFolder(t);
	const until = performance.now() + 8000;
	const below = (end: number) => Math.floor(Math.random() * end);
	let newest = 1;
	const counts = {commands: 0, reads: 0, bytes: 0, exports: 0};
	const changes = async () => {
		newest++;
		Object.assign(origin.options, {seed: newest, etag: `"${newest}"`});
	};
	const command = async (): Promise<unknown> => {
		const {download} = await engine.add({url: origin.url});
		const {id} = download;
		const verbs: Array<() => Promise<unknown>> = [
			async () => engine.resume(id),
			async () => engine.resume(id),
			async () => engine.pause(id),
			async () => engine.cancel(id),
			async () => engine.verify(id),
			async () => engine.update(id, {url: origin.urlOf(`/film.bin?${below(3)}`)}),
			async () => engine.update(id, {connections: 1 + below(4)}),
			async () => engine.remove(id, {data: below(2) === 0 ? 'keep' : 'delete', undoMs: 0}),
			async () => {
				await changes();
				await engine.startOver(id);
			},
			async () => engine.startOver(id),
			async () => {
				const target = path.join(folder, `${counts.exports++}`);
				await engine.export(id, {path: target, move: below(2) === 0});
				const bytes = await readFile(target);
				assert.equal(bytes.length, size);
				assert.ok(versionOf(bytes, 0, newest), `an export of no version`);
			},
		];
		return verbs[below(verbs.length)]!();
	};
	const commands = async () => {
		while (performance.now() < until) {
			counts.commands++;
			await command().catch((error: unknown) => {
				assert.ok(error instanceof DownStreamError, String((error as Error).stack));
			});
			await sleep(below(60));
		}
	};
	const plays = async () => {
		while (performance.now() < until) {
			const {downloads} = engine.snapshot;
			const one = downloads[below(downloads.length)];
			const start = below(size);
			const bytes = one ? await play(one.streamUrl, {range: `bytes=${start}-`}) : Buffer.alloc(0);
			counts.reads++;
			counts.bytes += bytes.length;
			assert.ok(
				bytes.length === 0 || versionOf(bytes, start, newest),
				`bytes of no version from ${start} on`,
			);
			await sleep(below(30));
		}
	};
	await Promise.all([...Array.from({length: 4}, commands), ...Array.from({length: 4}, plays)]);
	t.diagnostic(JSON.stringify({...counts, newest}));
	for (const {ranges, folder: held, exportedTo} of engine.snapshot.downloads) {
		const bytes = await readFile(path.join(held, 'data')).catch(() => Buffer.alloc(0));
		const versions = new Set(
			exportedTo === null
				? ranges.map(([start, end]) => versionOf(bytes.subarray(start, end), start, newest))
				: [],
		);
		assert.ok(versions.size <= 1 && !versions.has(undefined), JSON.stringify([...versions]));
	}
});

test('an export reports that its download was removed', async t => {
	const origin = await startOrigin(t, {size: 1000, etag: '"v1"'});
	const {engine} = await startEngine(t);
	const folder = await temporaryFolder(t);
	for (let round = 0; round < 12; round++) {
		const {download} = await engine.add({url: origin.urlOf(`/${round}`)});
		await until(engine, download.id, ({status}) => status === 'complete');
		const move = async (name: string) =>
			engine.export(download.id, {path: path.join(folder, `${round}-${name}`), move: true});
		const first = move('first').then(async () => engine.remove(download.id, {data: 'keep'}));
		for (let turns = 0; turns < 3 * round; turns++) {
			await nextTurn();
		}

		const [second] = await Promise.allSettled([move('second'), first]);
		if (second.status === 'rejected') {
			assert.equal((second.reason as DownStreamError).code, 'not-found');
		}
	}
});
