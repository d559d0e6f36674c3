import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {renameSync} from 'node:fs';
import fs, {
	access,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rename,
	rm,
	stat,
	symlink,
	truncate,
	writeFile,
} from 'node:fs/promises';
import {syncBuiltinESMExports} from 'node:module';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {Engine} from '../source/engine/engine.ts';
import {writeInPlace} from '../source/engine/store/durable-file.ts';
import {RecordStore, readKey, viewKeyOf, writeViewKey} from '../source/engine/store/record-store.ts';
import type {DownloadRecord} from '../source/engine/store/record.ts';
import {withCode} from './support/errors.ts';

const id = '0123456789abcdef0123456789abcdef';

const entry: DownloadRecord = {
	version: 1,
	id,
	url: 'https://origin.example/film.mkv',
	headers: {'X-Api-Key': 'k'},
	ranges: [],
	intent: 'run',
	onDemand: false,
	addedAt: 0,
};

const fullEntry: DownloadRecord = {
	...entry,
	userAgent: 'agent/1',
	proxy: 'socks5://127.0.0.1:1080',
	connections: 3,
	givenName: 'mine.mkv',
	info: {name: 'film.mkv', type: 'video/x-matroska', size: 1000},
	acceptsRanges: true,
	dataFile: {inode: 2 ** 60, size: 1000, modifiedAt: 1.5},
	pieces: [[20, 30, 0xff_ff_ff_ff]],
	validator: {etag: '"a"', lastModified: 'Sun, 06 Nov 1994 08:49:37 GMT'},
	ranges: [
		[0, 10],
		[20, 2 ** 53 - 1],
	],
	intent: 'pause',
	completedAt: 5,
	exportedTo: '/films/film.mkv',
	exportWhenComplete: {path: '/films/', overwrite: true, when: 'complete'},
	placing: '/films/film.mkv',
	movedTo: '/films/film.mkv',
	removed: 'keep',
	error: {code: 'disk-full', message: 'The disk is full', at: 7, tries: 1, maxTries: 5},
};

async function openStore(t: TestContext): Promise<{store: RecordStore; storageDir: string}> {
	const parent = await mkdtemp(path.join(tmpdir(), 'downstream-entries-'));
	t.after(async () => rm(parent, {recursive: true, force: true}));
	const storageDir = path.join(parent, 'storage');
	return {store: await RecordStore.open(storageDir), storageDir};
}

async function readStored(file: string): Promise<DownloadRecord> {
	return JSON.parse(await readFile(file, 'utf8')) as DownloadRecord;
}

/** The permission bits of a file. */
async function modeOf(file: string): Promise<number> {
	return (await stat(file)).mode & 0o777;
}

test('saved records survive a restart', async t => {
	const {store, storageDir} = await openStore(t);
	await store.create(fullEntry);
	const reopened = await RecordStore.open(storageDir);
	const {records, problems} = await reopened.readAll();
	assert.deepEqual(problems, []);
	assert.deepEqual(
		records.map(file => file.record),
		[fullEntry],
	);
	assert.equal(records[0]?.dataPath, path.join(store.folderOf(id), 'data'));
});

test('a saved change is visible at once, and undefined removes a field', async t => {
	const {store} = await openStore(t);
	const file = await store.create({...entry, completedAt: 5});
	const saved = file.save({intent: 'cancel', completedAt: undefined});
	assert.equal(file.record.intent, 'cancel');
	await saved;
	const {records} = await store.readAll();
	assert.deepEqual(records[0]?.record, {...entry, intent: 'cancel'});
});

test('concurrent saves are coalesced into one write of the latest record', async t => {
	const {store} = await openStore(t);
	const file = await store.create(entry);
	await Promise.all(Array.from({length: 50}, async (_, index) => file.save({addedAt: index + 1})));
	assert.equal((await readStored(path.join(file.folder, 'entry.json'))).addedAt, 50);
	assert.equal((await readStored(path.join(file.folder, 'entry.json.bak'))).addedAt, 0);
	assert.deepEqual((await readdir(file.folder)).toSorted(), ['entry.json', 'entry.json.bak']);
});

test('a save during a write is written afterwards', async t => {
	const {store} = await openStore(t);
	const file = await store.create(entry);
	const first = file.save({addedAt: 1});
	await Promise.resolve();
	await Promise.resolve();
	await Promise.resolve();
	await Promise.all([first, file.save({addedAt: 2})]);
	assert.equal((await readStored(path.join(file.folder, 'entry.json'))).addedAt, 2);
});

test(
	'records and folders are accessible only to their owner',
	{skip: process.platform === 'win32'},
	async t => {
		const {store, storageDir} = await openStore(t);
		const file = await store.create(entry);
		await file.save({addedAt: 1});
		await readKey(storageDir);
		assert.equal(await modeOf(storageDir), 0o700);
		assert.equal(await modeOf(file.folder), 0o700);
		for (const name of [`${id}/entry.json`, `${id}/entry.json.bak`, 'key']) {
			assert.equal(await modeOf(path.join(storageDir, name)), 0o600, name);
		}
	},
);

for (const [what, damage] of [
	['cut short', '{"version":1,"id"'],
	['empty', ''],
	['not an object', '[1]'],
] as const) {
	test(`a record that is ${what} is set aside, and its backup is read`, async t => {
		const {store} = await openStore(t);
		const file = await store.create(entry);
		await file.save({addedAt: 1});
		await writeFile(path.join(file.folder, 'entry.json'), damage);
		const {records, problems} = await store.readAll();
		assert.equal(records[0]?.record.addedAt, 0);
		assert.equal(problems.length, 1);
		const aside = (await readdir(file.folder)).find(name => name.startsWith('entry.json.corrupt-'));
		assert.ok(aside !== undefined && problems[0]?.includes(aside));
		assert.equal(await readFile(path.join(file.folder, aside), 'utf8'), damage);
	});
}

test('a crash between the two renames of a save loses nothing', async t => {
	const {store} = await openStore(t);
	const file = await store.create(entry);
	await file.save({addedAt: 1});
	await rm(path.join(file.folder, 'entry.json'));
	await writeFile(path.join(file.folder, 'entry.json.0123456789ab.tmp'), '{"half');
	const {records, problems} = await store.readAll();
	assert.equal(records[0]?.record.addedAt, 0);
	assert.deepEqual(problems, []);
	assert.deepEqual(await readdir(file.folder), ['entry.json.bak']);
	await records[0].save({addedAt: 2});
	assert.equal((await store.readAll()).records[0]?.record.addedAt, 2);
});

const foreign: ReadonlyArray<[what: string, change: Record<string, unknown>, named: RegExp]> = [
	['of a newer version', {version: 2}, /newer version/],
	['of another download', {id: 'f'.repeat(32)}, /to download f+$/],
	['with a file URL', {url: 'file:///etc/passwd'}, /record\.url is not an http or https URL/],
	['without a URL', {url: undefined}, /record\.url/],
	['with a header that is a number', {headers: {a: 1}}, /record\.headers\.a is not a string/],
	['with headers that are a list', {headers: ['a']}, /record\.headers is not an object/],
	['with a range that runs backwards', {ranges: [[5, 4]]}, /record\.ranges/],
	['with a range below zero', {ranges: [[-1, 4]]}, /record\.ranges/],
	['with a range of three', {ranges: [[1, 4, 5]]}, /record\.ranges/],
	['with a range beyond 2^53', {ranges: [[0, 2 ** 60]]}, /record\.ranges/],
	['with an unknown intent', {intent: 'erase'}, /record\.intent is not one of run, pause, cancel/],
	['with a size that is text', {info: {name: 'a', size: '5'}}, /record\.info\.size/],
	['with a size below zero', {info: {name: 'a', size: -1}}, /record\.info\.size/],
	['with a size beyond 2^53', {info: {name: 'a', size: 2 ** 60}}, /record\.info\.size/],
	['with no connections', {connections: 0}, /record\.connections is not a whole number from 1 to 16/],
	['with a million connections', {connections: 1e6}, /record\.connections/],
	['with a limit of nothing', {limitRate: 0}, /record\.limitRate/],
	['with a time that no calendar has', {addedAt: 1e300}, /record\.addedAt is not a time/],
	['with a checksum of nothing', {checksum: 'sha256:zz'}, /record\.checksum is not a checksum/],
	['with pieces that are ranges', {pieces: [[0, 1]]}, /record\.pieces/],
	['with an unknown error', {error: {code: 'toString', message: '', at: 1}}, /record\.error\.code/],
];
for (const [what, change, named] of foreign) {
	test(`a record ${what} is reported and left unchanged`, async t => {
		const {store} = await openStore(t);
		const file = await store.create(entry);
		const text = JSON.stringify({...entry, ...change});
		await writeFile(path.join(file.folder, 'entry.json'), text);
		await writeFile(file.dataPath, 'bytes');
		const {records, problems} = await store.readAll();
		assert.deepEqual(records, []);
		assert.equal(problems.length, 1);
		assert.match(problems[0] ?? '', named);
		assert.ok(problems[0]?.includes(file.folder));
		assert.equal(await readFile(path.join(file.folder, 'entry.json'), 'utf8'), text);
		assert.equal(await readFile(file.dataPath, 'utf8'), 'bytes');
	});
}

for (const [what, put] of [
	['a link', async (file, other) => symlink(other, file)],
	['a link to a device', async file => symlink('/dev/zero', file)],
	['a folder', async file => mkdir(file)],
	['a pipe', async file => spawnSync('mkfifo', [file])],
	['too large', async file => truncate(file, 2 ** 32).catch(async () => writeFile(file, ''))],
	['nested a million times', async file => writeFile(file, '['.repeat(1e6) + ']'.repeat(1e6))],
] satisfies Array<[string, (file: string, other: string) => Promise<unknown>]>) {
	test(
		`a record that is ${what} does not prevent others from being read`,
		{skip: process.platform === 'win32'},
		async t => {
			const {store, storageDir} = await openStore(t);
			const bad = await store.create(entry);
			const good = await store.create({...entry, id: 'a'.repeat(32)});
			const file = path.join(bad.folder, 'entry.json');
			const other = path.join(storageDir, 'other');
			await rename(file, other);
			if (what === 'too large') {
				await writeFile(file, '');
			}

			await put(file, other);
			const {records, problems} = await store.readAll();
			assert.deepEqual(
				records.map(({folder}) => folder),
				[good.folder],
			);
			assert.ok(problems.some(problem => problem.includes(bad.folder)));
			assert.equal((await readStored(other)).id, id);
			await store.delete(id);
			await assert.rejects(access(bad.folder));
		},
	);
}

for (const failing of [2, 3]) {
	test(`a record on a full disk survives if rename ${failing} of its exchange with the backup fails`, async t => {
		const folder = await mkdtemp(path.join(tmpdir(), 'downstream-store-'));
		t.after(async () => rm(folder, {recursive: true, force: true}));
		const [file, backup] = [path.join(folder, 'entry.json'), path.join(folder, 'entry.json.bak')];
		await writeFile(file, 'old');
		await writeFile(backup, 'older');
		let renames = 0;
		const renaming = t.mock.method(fs, 'rename', async (from: string, to: string) => {
			if (++renames === failing) {
				throw Object.assign(new Error('no space'), {code: 'ENOSPC'});
			}

			renameSync(from, to);
		});
		syncBuiltinESMExports();
		const error = await writeInPlace(file, 'new', backup).catch((cause: unknown) => cause);
		renaming.mock.restore();
		syncBuiltinESMExports();
		assert.equal(error instanceof Error, failing === 2);
		assert.equal(await readFile(file, 'utf8'), failing === 2 ? 'old' : 'new');
		assert.deepEqual(
			(await readdir(folder)).filter(name => name.endsWith('.tmp')),
			[],
		);
	});
}

test('a record of a million ranges is read', {timeout: 60_000}, async t => {
	const {store} = await openStore(t);
	const ranges = Array.from({length: 1_000_000}, (_, index): [number, number] => [
		index * 100,
		index * 100 + 50,
	]);
	await store.create({...entry, info: {name: 'a', size: 2 ** 50}, ranges});
	const {records} = await store.readAll();
	assert.equal(records[0]?.record.ranges.length, 1_000_000);
});

test('hostile names in a record are reduced to safe file names', async t => {
	const {store} = await openStore(t);
	const file = await store.create(entry);
	const change = {givenName: '..\\..\\evil.exe', info: {name: '../../evil\u001B[2J\u202E', size: 1}};
	await writeFile(path.join(file.folder, 'entry.json'), JSON.stringify({...entry, ...change}));
	const read = (await store.readAll()).records[0]?.record;
	for (const name of [read?.givenName, read?.info?.name]) {
		assert.match(name ?? '', /evil/);
		assert.doesNotMatch(name ?? '', /^\.|[\\/\p{C}]/u);
	}
});

test('unknown fields are dropped and prototypes are not polluted', async t => {
	const {store} = await openStore(t);
	const file = await store.create(entry);
	const text = JSON.stringify({...entry, future: 1}).replace(
		'{',
		'{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},',
	);
	await writeFile(
		path.join(file.folder, 'entry.json'),
		text.replace('"headers":{', '"headers":{"__proto__":"a",'),
	);
	const read = (await store.readAll()).records[0]?.record;
	assert.ok(read);
	assert.deepEqual(Object.keys(read).toSorted(), Object.keys(entry).toSorted());
	assert.equal('polluted' in read, false);
	assert.equal('polluted' in {}, false);
	assert.equal(Object.getPrototypeOf(read.headers), Object.prototype);
});

test('data without a record is reported and kept, and foreign folders are ignored', async t => {
	const {store, storageDir} = await openStore(t);
	await mkdir(store.folderOf(id));
	await writeFile(path.join(store.folderOf(id), 'data'), 'bytes');
	await mkdir(path.join(storageDir, 'holiday'));
	const {records, problems} = await store.readAll();
	assert.deepEqual(records, []);
	assert.equal(problems.length, 1);
	assert.match(problems[0] ?? '', new RegExp(`${id} is left unchanged: it has no record`));
	assert.equal(await readFile(path.join(store.folderOf(id), 'data'), 'utf8'), 'bytes');
});

test('a failed save rejects, and the next one includes its change', async t => {
	const {store} = await openStore(t);
	const file = await store.create(entry);
	await rm(file.folder, {recursive: true});
	await assert.rejects(file.save({intent: 'pause'}), withCode('disk-failed'));
	await mkdir(file.folder);
	await file.save({addedAt: 9});
	assert.deepEqual((await store.readAll()).records[0]?.record, {...entry, intent: 'pause', addedAt: 9});
});

test('a storage folder that cannot be created is disk-failed', async t => {
	const {storageDir} = await openStore(t);
	await writeFile(path.join(storageDir, 'file'), '');
	const places = [path.join(storageDir, 'file', 'storage'), path.join(storageDir, 'file')];
	for (const place of process.platform === 'linux' ? [...places, '/proc/none/storage'] : places) {
		await assert.rejects(RecordStore.open(place), withCode('disk-failed'));
	}

	const deep = path.join(storageDir, 'a', 'b');
	await RecordStore.open(deep);
	assert.equal((await stat(deep)).mode & 0o777, 0o700);
});

test('a deleted download leaves nothing', async t => {
	const {store, storageDir} = await openStore(t);
	const file = await store.create(entry);
	await writeFile(file.dataPath, 'bytes');
	await file.save({removed: 'delete'});
	await store.delete(id);
	assert.deepEqual(await readdir(storageDir), []);
	await assert.rejects(file.save({givenName: 'late.mkv'}), withCode('disk-failed'));
	assert.deepEqual(await readdir(storageDir), []);
});

test('the key is created once, and recreated only if it is damaged', async t => {
	const {storageDir} = await openStore(t);
	const key = await readKey(storageDir);
	assert.equal(Buffer.from(key, 'base64url').length, 32);
	assert.equal(await readKey(storageDir), key);
	await writeFile(path.join(storageDir, 'key'), key.slice(1));
	const second = await readKey(storageDir);
	assert.notEqual(second, key);
	assert.equal(await readFile(path.join(storageDir, 'key'), 'utf8'), second);
});

test('the view key follows the key and is stored beside it', async t => {
	const {storageDir} = await openStore(t);
	const file = path.join(storageDir, 'view-key');
	for (const key of [await readKey(storageDir), 'another']) {
		const viewKey = viewKeyOf(key);
		assert.equal(Buffer.from(viewKey, 'base64url').length, 32);
		await writeViewKey(storageDir, viewKey);
		assert.equal(await readFile(file, 'utf8'), viewKey);
	}

	assert.notEqual(viewKeyOf('another'), viewKeyOf('key'));
});

test('the remains of a download without a first record are deleted', async t => {
	const {store} = await openStore(t);
	await mkdir(store.folderOf(id));
	await writeFile(path.join(store.folderOf(id), 'entry.json.0123.tmp'), '{"version":');
	await writeFile(path.join(store.folderOf(id), 'film.json.0123.tmp'), '{"version":');
	assert.deepEqual(await store.readAll(), {records: [], problems: []});
	await assert.rejects(access(store.folderOf(id)), {code: 'ENOENT'});
});

test('an empty folder is removed after a proper end too, and a folder without a record is named', async t => {
	const {storageDir} = await openStore(t);
	const store = await RecordStore.open(storageDir, undefined, true);
	await mkdir(store.folderOf(id));
	assert.deepEqual(await store.readAll(), {records: [], problems: []});
	await assert.rejects(access(store.folderOf(id)), {code: 'ENOENT'});
	await mkdir(store.folderOf(id));
	await writeFile(path.join(store.folderOf(id), 'data'), '');
	const {problems} = await store.readAll();
	assert.match(problems.join(), /is left unchanged: it has no record$/);
});

test('what a killed program left of a write is removed by the next', async t => {
	const {storageDir, store} = await openStore(t);
	const {folder} = await store.create(entry);
	const remains = path.join(folder, 'entry.json.0123456789ab.tmp');
	await writeFile(remains, '{"half');
	await writeFile(path.join(storageDir, 'owner.json'), '{}');
	const engine = await Engine.open({storageDir, maxActive: 0});
	await engine.dispose();
	assert.ok(!(await readdir(folder)).includes(path.basename(remains)));
});

test('temporary files in the storage folder are removed at the next start, and no other files', async t => {
	const {storageDir} = await openStore(t);
	const remains = ['owner.json', 'key', 'view-key'].map(name => `${name}.0123456789ab.tmp`);
	const others = ['key.backup', 'notes.tmp', 'monkey.0123456789ab.tmp'];
	for (const name of [...remains, ...others]) {
		await writeFile(path.join(storageDir, name), 'half');
	}

	const engine = await Engine.open({storageDir, maxActive: 0});
	await engine.dispose();
	const left = await readdir(storageDir);
	assert.deepEqual(
		[...remains, ...others].filter(name => left.includes(name)),
		others,
	);
});
