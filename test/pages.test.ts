// Web pages in place of a file: logins, portals, errors with status 200.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {readdir, readFile} from 'node:fs/promises';
import type {ServerResponse} from 'node:http';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import {promisify} from 'node:util';
import type {Download} from '../source/downstream.ts';
import {builtCli, cleanEnvironment, CliProcess} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {ask} from './support/proxy-client.ts';
import {
	downloadOf,
	startEngine,
	startOrigin,
	temporaryFolder,
	type TestEngine,
	until,
	untilEnded,
} from './support/engines.ts';

const MiB = 1024 * 1024;
const size = 8 * MiB;
const page = '<!DOCTYPE html><title>Log in</title>';

function sendPage(response: ServerResponse, type = 'text/html; charset=utf-8'): true {
	response.writeHead(200, {'content-type': type, 'content-length': page.length}).end(page);
	return true;
}

for (const type of ['text/html; charset=utf-8', 'application/json']) {
	test(`${type} in the middle of a download is not stored and does not end it`, async t => {
		let count = 0;
		const origin = await startOrigin(t, {
			size,
			etag: '"v1"',
			bytesPerSecond: 4 * MiB,
			headers: {'content-type': 'video/x-matroska'},
			intercept: (_request, response) => (++count > 1 && count < 4 ? sendPage(response, type) : false),
		});
		const {engine, storageDir} = await startEngine(t, {connections: 1});
		const {download} = await engine.add({url: origin.urlOf('/film.mkv')});
		const done = await untilEnded(engine, download.id);
		assert.deepEqual([done.status, done.error, done.type], ['complete', null, 'video/x-matroska']);
		assert.match(done.lastError?.message ?? '', /sent a web page instead of the file/);
		const data = await readFile(path.join(storageDir, download.id, 'data'));
		assert.equal(firstWrongByte(data, 0), -1);
	});
}

test('a link that leads to a page after a restart says so, keeps the bytes and resumes on request', async t => {
	let isExpired = false;
	const origin = await startOrigin(t, {
		size,
		etag: '"v1"',
		bytesPerSecond: 2 * MiB,
		headers: {'content-type': 'video/x-matroska'},
		intercept: (_request, response) => isExpired && sendPage(response),
	});
	const first = await startEngine(t, {connections: 1});
	const {download} = await first.engine.add({url: origin.urlOf('/film.mkv')});
	await until(first.engine, download.id, ({present}) => present > MiB);
	await first.close();
	isExpired = true;
	const {engine, storageDir} = await startEngine(t, {storageDir: first.storageDir});
	const failed = await until(engine, download.id, ({status}) => status === 'failed');
	assert.equal(failed.error?.code, 'origin-sent-page');
	assert.ok(failed.present > MiB);
	isExpired = false;
	origin.options.bytesPerSecond = undefined;
	await engine.resume(download.id);
	await until(engine, download.id, ({status}) => status === 'complete');
	const data = await readFile(path.join(storageDir, download.id, 'data'));
	assert.equal(firstWrongByte(data, 0), -1);
});

test('a page with the name of a page is an ordinary file', async t => {
	const origin = await startOrigin(t, {size, intercept: (_request, response) => sendPage(response)});
	const {engine} = await startEngine(t);
	for (const [name, isPageForFile] of [
		['/film.mkv', true],
		['/archive.tar.gz', true],
		['/page.html', false],
		['/watch.php', false],
		['/download?id=5', false],
	] as const) {
		const {download} = await engine.add({url: origin.urlOf(name)});
		await until(engine, download.id, ({status}) => status === 'complete');
		assert.equal(downloadOf(engine, download.id).isPageForFile, isPageForFile, name);
	}
});

const waysToAsk = {
	'a player': async ({engine, proxy}, {id, streamUrl}) => {
		const response = await ask(proxy, new URL(streamUrl).pathname);
		assert.equal(firstWrongByte(response.body, 0), -1);
		assert.equal(response.body.length, size);
		assert.equal(downloadOf(engine, id).isPageForFile, false);
	},
	resume: async ({engine}, {id}) => engine.resume(id),
	'a repeated addition': async ({engine}, {url}) => void (await engine.add({url})),
	'a changed header': async ({engine}, {id}) => void (await engine.update(id, {headers: {cookie: 'in=1'}})),
	'an addition after a removal': async ({engine}, {id, url}) => {
		await engine.remove(id, {data: 'keep'});
		await engine.add({url});
	},
} satisfies Record<string, (running: TestEngine, download: Download) => Promise<void>>;

for (const [wish, act] of Object.entries(waysToAsk)) {
	test(`${wish} replaces a stored page by the file`, async t => {
		let isLoggedIn = false;
		const origin = await startOrigin(t, {
			size,
			etag: '"v1"',
			headers: {'content-type': 'video/x-matroska'},
			intercept: (_request, response) => !isLoggedIn && sendPage(response),
		});
		const running = await startEngine(t);
		const {engine, storageDir} = running;
		const {download} = await engine.add({url: origin.urlOf('/film.mkv')});
		const stored = await until(engine, download.id, ({status}) => status === 'complete');
		assert.equal(stored.isPageForFile, true);
		isLoggedIn = true;
		await act(running, stored);
		const done = await until(engine, download.id, each => each.status === 'complete' && each.size === size);
		assert.deepEqual([done.type, done.isPageForFile], ['video/x-matroska', false]);
		assert.equal(firstWrongByte(await readFile(path.join(storageDir, download.id, 'data')), 0), -1);
	});
}

test('a restart replaces a partial page by the file', async t => {
	let isLoggedIn = false;
	const long = page.padEnd(2 * MiB);
	const origin = await startOrigin(t, {
		size,
		headers: {'content-type': 'video/x-matroska'},
		intercept(_request, response) {
			if (!isLoggedIn) {
				response.writeHead(200, {'content-type': 'text/html', 'content-length': long.length});
				response.write(long.slice(0, MiB));
			}

			return !isLoggedIn;
		},
	});
	const first = await startEngine(t);
	const {download} = await first.engine.add({url: origin.urlOf('/film.mkv')});
	await until(first.engine, download.id, ({present}) => present >= MiB);
	await first.close();
	isLoggedIn = true;
	const {engine} = await startEngine(t, {storageDir: first.storageDir});
	const done = await untilEnded(engine, download.id);
	assert.deepEqual([done.status, done.size, done.isPageForFile], ['complete', size, false]);
});

test('a new link replaces a stored page by its file', async t => {
	const portal = await startOrigin(t, {size, intercept: (_request, response) => sendPage(response)});
	const origin = await startOrigin(t, {size, headers: {'content-type': 'video/x-matroska'}});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: portal.urlOf('/film.mkv')});
	await until(engine, download.id, ({status}) => status === 'complete');
	await engine.update(download.id, {url: origin.urlOf('/film.mkv')});
	await until(engine, download.id, each => each.status === 'complete' && each.size === size);
});

test('a stored page stays if the origin still sends one or is unreachable, and players share a request', async t => {
	let requests = 0;
	const origin = await startOrigin(t, {
		size,
		intercept(_request, response) {
			requests++;
			return sendPage(response);
		},
	});
	const {engine, proxy} = await startEngine(t);
	const {download} = await engine.add({url: origin.urlOf('/film.mkv')});
	const {streamUrl} = await until(engine, download.id, ({status}) => status === 'complete');
	const {pathname} = new URL(streamUrl);
	const before = requests;
	const began = Date.now();
	const bodies = await Promise.all(Array.from({length: 20}, async () => (await ask(proxy, pathname)).body));
	assert.deepEqual(new Set(bodies.map(String)), new Set([page]));
	const asked = requests - before;
	const tookMs = Date.now() - began;
	// One a second, by timers that are exact to some milliseconds.
	assert.ok(asked >= 1 && asked <= 1 + (tookMs + 50) / 1000, `${asked} requests in ${tookMs} ms`);
	await origin.close();
	assert.equal(String((await ask(proxy, pathname)).body), page);
	assert.equal(downloadOf(engine, download.id).status, 'complete');
});

test('get fetches the file in place of a page from an earlier run', async t => {
	let isLoggedIn = false;
	const origin = await startOrigin(t, {
		size,
		intercept: (_request, response) => !isLoggedIn && sendPage(response),
	});
	const folder = await temporaryFolder(t);
	const args = ['get', '--port', '0', '--storage', path.join(folder, 'storage'), '-o', folder + path.sep];
	const first = await CliProcess.start(t, [...args, origin.urlOf('/film.mkv')]);
	assert.equal(await first.exit(), 1, first.stderr);
	isLoggedIn = true;
	const second = await CliProcess.start(t, [...args, origin.urlOf('/film.mkv')]);
	assert.equal(await second.exit(), 0, second.stderr);
	const film = await readFile(path.join(folder, 'film.mkv'));
	assert.deepEqual([film.length, firstWrongByte(film, 0)], [size, -1]);
});

for (const [name, flags, isAccepted] of [
	['film.mkv', [], false],
	['film.mkv', ['--allow-html'], true],
	['page.html', [], true],
] as const) {
	test(`get ${[...flags, name].join(' ')} ${isAccepted ? 'accepts' : 'refuses'} a page`, async t => {
		const origin = await startOrigin(t, {size, intercept: (_request, response) => sendPage(response)});
		const folder = await temporaryFolder(t);
		const storage = path.join(folder, 'storage');
		const args = ['--port', '0', '--storage', storage, '--export-dir', folder, ...flags];
		const get = await CliProcess.start(t, ['get', ...args, origin.urlOf(`/${name}`)]);
		assert.equal(await get.exit(), isAccepted ? 0 : 1, get.stderr);
		assert.match(get.stderr, name === 'film.mkv' ? /film\.mkv is a web page that the server sent/ : /^$/);
		assert.equal(/; --allow-html accepts it\n/.test(get.stderr), !isAccepted);
		assert.deepEqual(await readdir(folder), isAccepted ? [name, 'storage'] : ['storage']);
		if (isAccepted) {
			assert.equal(await readFile(path.join(folder, name), 'utf8'), page);
		}

		const list = await CliProcess.start(t, ['list', '--all', '--storage', storage]);
		assert.equal(await list.exit(), 0);
		assert.equal(list.stdout.includes(name), isAccepted);
	});
}

test('get -o - of a page writes nothing, and get --json reports the error', async t => {
	const origin = await startOrigin(t, {size, intercept: (_request, response) => sendPage(response)});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const url = origin.urlOf('/film.mkv');
	const stream = await CliProcess.start(t, ['get', '--port', '0', '--storage', storage, '-o', '-', url]);
	assert.deepEqual([await stream.exit(), stream.stdout], [1, '']);
	assert.match(stream.stderr, /film\.mkv is a web page that the server sent/);
	const json = await CliProcess.start(t, ['get', '--port', '0', '--storage', storage, '--json', url]);
	assert.equal(await json.exit(), 1);
	const {status, path: written, error} = JSON.parse(json.stdout) as Record<string, {code: string}>;
	assert.deepEqual([status, written, error?.code], ['failed', null, 'origin-sent-page']);
});

test('get -o - streams a file whose server calls it a page', async t => {
	const origin = await startOrigin(t, {size: MiB, headers: {'content-type': 'text/html'}});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const url = origin.urlOf('/film.mkv');
	const {stdout} = await promisify(execFile)(
		process.execPath,
		[await builtCli(), 'get', '--port', '0', '--storage', storage, '-o', '-', url],
		{env: cleanEnvironment(), encoding: 'buffer', maxBuffer: 2 * MiB},
	);
	assert.deepEqual([stdout.length, firstWrongByte(stdout, 0)], [MiB, -1]);
});
