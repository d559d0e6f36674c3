// Web pages in place of a file: logins, portals, errors with status 200.
import assert from 'node:assert/strict';
import {readdir, readFile} from 'node:fs/promises';
import type {ServerResponse} from 'node:http';
import path from 'node:path';
import {test} from 'node:test';
import {CliProcess} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {downloadOf, startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';

const MiB = 1024 * 1024;
const size = 8 * MiB;
const page = '<!DOCTYPE html><title>Log in</title>';

function sendPage(response: ServerResponse, type = 'text/html; charset=utf-8'): true {
	response.writeHead(200, {'content-type': type, 'content-length': page.length}).end(page);
	return true;
}

for (const type of ['text/html; charset=utf-8', 'application/json']) {
	test(`${type} in the middle of a download passes, and none of it is stored`, async t => {
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
		const done = await until(engine, download.id, ({status}) => status === 'complete' || status === 'failed');
		assert.deepEqual([done.status, done.error, done.type], ['complete', null, 'video/x-matroska']);
		assert.match(done.lastError?.message ?? '', /sent a web page instead of the file/);
		const data = await readFile(path.join(storageDir, download.id, 'data'));
		assert.equal(firstWrongByte(data, 0), -1);
	});
}

test('a link that leads to a page after a restart says so, keeps the bytes and goes on when asked', async t => {
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

test('a page is a file like any other where its name says so', async t => {
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

for (const [name, flags, code] of [
	['film.mkv', [], 1],
	['film.mkv', ['--allow-html'], 0],
	['page.html', [], 0],
] as const) {
	test(`get ${[...flags, name].join(' ')} of a page exits with ${code}`, async t => {
		const origin = await startOrigin(t, {size, intercept: (_request, response) => sendPage(response)});
		const folder = await temporaryFolder(t);
		const args = ['get', '--port', '0', '--storage', path.join(folder, 'storage'), '--export-dir', folder];
		const get = await CliProcess.start(t, [...args, ...flags, origin.urlOf(`/${name}`)]);
		assert.equal(await get.exit(), code, get.stderr);
		assert.match(get.stderr, name === 'film.mkv' ? /film\.mkv is a web page that the server sent/ : /^$/);
		assert.equal(await readFile(path.join(folder, name), 'utf8'), page);
		assert.deepEqual((await readdir(folder)).toSorted(), [name, 'storage'].toSorted());
	});
}
