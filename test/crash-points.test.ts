import assert from 'node:assert/strict';
import {cp, mkdir, open, readdir, readFile, rename, rm, truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {content} from './support/content.ts';
import {EngineProcess} from './support/engine-process.ts';
import {downloadOf, startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';
import {recordedRanges} from './support/recorded-ranges.ts';

const MiB = 1024 * 1024;
const preload = path.join(import.meta.dirname, 'support/dying-disk.mjs');
/** The number of crash points to test, spread evenly from a random start; a failure names its point. */
const maxPoints = process.env.EXHAUSTIVE ? Infinity : process.env.CI ? 16 : 12;
/** Concurrent cases; a starting program leaves time for others. */
const lanes = 3;

type Case = {
	readonly size: number;
	readonly bytesPerSecond?: number;
	readonly move?: boolean;
	/** The export is planned at the start. */
	readonly isPlanned?: boolean;
	readonly keepBoth?: boolean;
	readonly hasLinks?: boolean;
};

/** As logged by the preload script. */
type Call = {
	readonly call: string;
	readonly from?: string;
	readonly path: string;
	/** Where the removed or replaced file was kept. */
	readonly replaced?: string;
	readonly start: number;
	readonly end: number;
	/** How many calls had ended when this one began. */
	readonly begun: number;
};

for (const [words, options] of [
	['a download with checkpoints and an export', {size: 2 * MiB, bytesPerSecond: 1.5 * MiB}],
	['a short download that is moved', {size: 100_000, move: true}],
] satisfies Array<[string, Case]>) {
	test(
		`${words} survives a crash and a power cut after any change on the disk`,
		{timeout: 300_000},
		async t => {
			const {calls} = await killAfter(t, Infinity, options);
			await killAfterEach(t, 1, calls.length, options);
		},
	);
}

for (const [words, options] of [
	['planned export', {keepBoth: true}],
	['planned move', {move: true}],
	['planned export without hard links', {hasLinks: false}],
	['planned move without hard links', {move: true, hasLinks: false}],
] satisfies Array<[string, Partial<Case>]>) {
	test(
		`a ${words} places its file once, whatever change on the disk a crash follows`,
		{timeout: 300_000},
		async t => {
			const planned = {size: 100_000, isPlanned: true, ...options};
			const {calls} = await killAfter(t, Infinity, planned);
			const first = calls.findIndex(({path}) => path.includes('/exported/'));
			assert.ok(first > 0);
			await killAfterEach(t, first - 1, calls.length, planned);
		},
	);
}

/** Kills after the calls from `first` to `last`, or after a part of them. */
async function killAfterEach(t: TestContext, first: number, last: number, options: Case): Promise<void> {
	const count = last - first + 1;
	const step = Math.max(1, count / maxPoints);
	const start = first + Math.random() * (step - 1);
	const points = Array.from({length: Math.min(count, maxPoints)}, (_, index) =>
		Math.floor(start + index * step),
	);
	t.diagnostic(`tested ${points.length} of ${count} calls`);
	const lane = async () => {
		for (let point = points.shift(); point !== undefined; point = points.shift()) {
			await killAfter(t, point, options);
		}
	};

	await Promise.all(Array.from({length: lanes}, lane));
}

/**
 * Kills the program after the given call, then continues from the remains, both as they are and as a power cut could
 * have left them.
 */
async function killAfter(
	t: TestContext,
	point: number,
	{size, bytesPerSecond, move = false, isPlanned = false, keepBoth = false, hasLinks = true}: Case,
): Promise<{calls: Call[]}> {
	const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond});
	const folder = await temporaryFolder(t);
	const root = path.join(folder, 'killed');
	const journal = path.join(folder, 'journal');
	await mkdir(path.join(root, 'storage'), {recursive: true});
	await mkdir(path.join(root, 'exported'));
	const running = await EngineProcess.start(
		t,
		{
			options: {storageDir: path.join(root, 'storage'), connections: 1},
			url: origin.url,
			exportTo: {
				path: path.join(root, 'exported/film.bin'),
				move,
				keepBoth,
				...(isPlanned && {when: 'complete'}),
			},
		},
		{
			preload,
			env: {
				ROOT: root,
				JOURNAL: journal,
				...(point < Infinity && {DIE_AFTER: String(point)}),
				...(!hasLinks && {NO_LINKS: '1'}),
			},
		},
	);
	const isDone = await hasCome(running.done);
	const isAdded = await hasCome(running.added);
	await running.exit();
	const isComplete = running.download?.status === 'complete';
	origin.options.bytesPerSecond = undefined;
	const lines = (await readFile(journal, 'utf8')).trimEnd().split('\n');
	const calls = lines.map(line => JSON.parse(line) as Call);
	const lastCall = `after call ${calls.length}: ${JSON.stringify(calls.at(-1))}`;
	await Promise.all(
		['kept', 'undone'].map(async names => {
			const cut = path.join(folder, names);
			await cp(root, cut, {recursive: true, preserveTimestamps: true});
			await relocate(path.join(cut, 'storage'), root, cut);
			await cutPower(calls, file => path.join(cut, path.relative(root, file)), names === 'undone');
		}),
	);
	await Promise.all(
		['killed', 'kept', 'undone'].map(async name =>
			assertContinues(t, path.join(folder, name), {
				url: origin.url,
				size,
				isAdded,
				isComplete,
				isDone,
				isPlanned,
				isCopy: name !== 'killed',
			}).catch((error: unknown) => {
				throw new Error(`${name} ${lastCall}: ${String(error)}`, {cause: error});
			}),
		),
	);
	await origin.close();
	await rm(folder, {recursive: true});
	return {calls};
}

/** Makes the records of a copied storage folder name the copied files. */
async function relocate(storageDir: string, from: string, to: string): Promise<void> {
	for (const name of await readdir(storageDir, {recursive: true})) {
		if (/entry\.json/.test(name)) {
			const file = path.join(storageDir, name);
			await writeFile(file, (await readFile(file, 'utf8')).replaceAll(from, to));
		}
	}
}

async function hasCome(promise: Promise<unknown>): Promise<boolean> {
	return promise.then(
		() => true,
		() => false,
	);
}

/**
 * Turns unsynced bytes into zeros. With `undoNames`, unsynced folders revert to their old entries; without it, the
 * disk wrote names before bytes.
 */
async function cutPower(
	calls: readonly Call[],
	placeOf: (file: string) => string,
	undoNames: boolean,
): Promise<void> {
	for (const [index, {call, from = '', path: file, replaced, start, end}] of [
		...calls.entries(),
	].toReversed()) {
		const place = placeOf(file);
		const isOfBytes = ['write', 'writeFile', 'truncate'].includes(call);
		const synced = isOfBytes ? file : path.dirname(file);
		const isDurable = calls.some(
			later => later.call.endsWith('sync') && later.path === synced && later.begun > index,
		);
		if (isDurable || (!isOfBytes && !undoNames)) {
			continue;
		}

		if (call === 'write') {
			await zero(place, start, end);
		} else if (call === 'writeFile') {
			await truncate(place).catch(() => undefined);
		} else if (call === 'rename') {
			await rename(place, placeOf(from));
		} else if (['create', 'link', 'copyFile', 'mkdir'].includes(call)) {
			await rm(place, {recursive: true, force: true});
		}

		if (replaced !== undefined) {
			await cp(replaced, place, {recursive: true});
		}
	}
}

async function zero(file: string, start: number, end: number): Promise<void> {
	const handle = await open(file, 'r+');
	try {
		await handle.write(Buffer.alloc(end - start), 0, end - start, start);
	} finally {
		await handle.close();
	}
}

/** The last report of the program before its end. */
type Told = {readonly isAdded: boolean; readonly isComplete: boolean; readonly isDone: boolean};

/**
 * Asserts that the record is valid, all its bytes are present, no problem is reported, and the download completes.
 */
async function assertContinues(
	t: TestContext,
	root: string,
	{
		url,
		size,
		isAdded,
		isComplete,
		isDone,
		isPlanned,
		isCopy,
	}: Told & {url: string; size: number; isPlanned: boolean; isCopy: boolean},
): Promise<void> {
	const whole = content(0, size);
	const storageDir = path.join(root, 'storage');
	const exported = path.join(root, 'exported');
	const names = await readdir(exported);
	assert.ok(!isDone || names.includes('film.bin'), 'the exported file is gone');
	const found = names.includes('film.bin') ? await readFile(path.join(exported, 'film.bin')) : undefined;
	// On a disk without hard links, a file with a mark reserves the name. Without the mark of this folder, it is anybody's.
	const isReservation =
		isPlanned && (found?.length === 0 || found?.toString().startsWith('downstream-tui reserves this name'));
	const isTaken = isReservation && (isCopy || found?.length === 0);
	if (found && !isReservation) {
		assert.ok(whole.equals(found), 'a wrong file was exported');
	}

	const {engine, close} = await startEngine(t, {storageDir});
	assert.deepEqual(engine.snapshot.banners, []);
	assert.ok(!isComplete || engine.snapshot.downloads[0]?.completedAt, 'it was reported complete, and is not');
	assert.ok(!isAdded || engine.snapshot.downloads.length === 1, 'the download is gone');
	const held = await Promise.all(
		engine.snapshot.downloads.map(async ({id, folder, ranges, present}) => {
			const recorded = await recordedRanges(folder);
			return {id, ranges, present, recorded: recorded.reduce((sum, {start, end}) => sum + end - start, 0)};
		}),
	);
	for (const {present, recorded} of held) {
		assert.ok(present >= recorded, `${present} held of ${recorded} recorded bytes`);
	}

	const {download} = await engine.add({url});
	const {ranges, streamUrl} = downloadOf(engine, download.id);
	for (const [start, end] of ranges) {
		const served = await fetch(streamUrl, {headers: {range: `bytes=${start}-${end - 1}`}});
		assert.ok(whole.subarray(start, end).equals(new Uint8Array(await served.arrayBuffer())), 'wrong bytes');
	}

	await until(engine, download.id, ({status}) => status === 'complete');
	if (isPlanned && isAdded) {
		const {lastError} = await until(
			engine,
			download.id,
			({exportWhenComplete}) => exportWhenComplete === null,
		);
		// The rest of a copy is named after the folder that was copied.
		const placed = (await readdir(exported)).filter(name => !name.endsWith('.part'));
		assert.deepEqual([lastError?.code, placed], [isTaken ? 'target-exists' : undefined, ['film.bin']]);
		const after = await readFile(path.join(exported, 'film.bin'));
		assert.ok((isTaken ? found! : whole).equals(after), 'a wrong file was exported');
	}

	const {path: again} = await engine.export(download.id, {path: exported, keepBoth: true});
	assert.ok(whole.equals(await readFile(again)), 'a wrong file was exported at the end');
	await close();
}
