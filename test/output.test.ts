// Output is complete, and harmless to a terminal.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {promisify} from 'node:util';
import type {Download} from '../source/downstream.ts';
import {CliProcess, builtCli, cleanEnvironment, startInstance} from './support/cli.ts';
import {startEngine, startOrigin, temporaryFolder} from './support/engines.ts';

const isWindows = process.platform === 'win32';

/** Runs a list of 60 downloads, more than a pipe holds, as `"$@"` of a shell command. */
async function listInto(t: TestContext, shell: string): Promise<{stdout: string; stderr: string}> {
	const storageDir = await temporaryFolder(t);
	const {engine, close} = await startEngine(t, {storageDir, maxActive: 0});
	for (let count = 0; count < 60; count++) {
		await engine.add({url: `http://127.0.0.1:9/${count}/${'x'.repeat(8000)}`, paused: true});
	}

	await close();
	const command = [process.execPath, await builtCli(), 'list', '--json', '--storage', storageDir];
	return promisify(execFile)('sh', ['-c', shell, 'sh', ...command], {
		env: cleanEnvironment(),
		maxBuffer: 64 * 1024 * 1024,
	});
}

test('a slow reader of a pipe gets a long list completely', {skip: isWindows && 'needs sh'}, async t => {
	const {stdout} = await listInto(t, '"$@" | (sleep 2; cat)');
	const listed = JSON.parse(stdout) as Download[];
	assert.equal(listed.length, 60);
	assert.ok(stdout.length > 400_000);
});

test('a reader that leaves early ends a long list', {skip: isWindows && 'needs sh'}, async t => {
	const {stdout, stderr} = await listInto(t, '"$@" | head -c 1');
	assert.equal(stdout, '[');
	assert.equal(stderr, '');
});

test('Ctrl+C ends a demo without a screen with 130', async t => {
	const demo = await CliProcess.start(t, ['demo', '--json', '--port', '0']);
	await demo.event('info');
	demo.child.kill('SIGINT');
	assert.equal(await demo.exit(), 130);
	assert.doesNotMatch(demo.stderr, /crashed/);
});

test('control characters of origins and players reach no terminal, log or JSON', async t => {
	const evil = '\u009B31mPWNED\u009D0;T\u009C';
	let count = 0;
	const origin = await startOrigin(t, {
		size: 200_000,
		intercept(request, response) {
			count++;
			if (request.url === '/gone') {
				response.writeHead(404, `gone ${evil}`, {'content-type': `x/${evil}`}).end();
				return true;
			}

			response.setHeader('etag', `"${evil}${request.url === '/changes' ? count : ''}"`);
			response.setHeader('last-modified', evil);
			return false;
		},
	});
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const log = path.join(folder, 'log');
	const {
		serve,
		ready: {url, key},
	} = await startInstance(
		t,
		storage,
		'--log',
		log,
		'--log-level',
		'debug',
		...['/film.mkv', '/changes', '/gone'].map(name => origin.urlOf(name)),
	);
	await serve.event('done');
	await serve.event('failed');
	const headers = {authorization: `Bearer ${key}`};
	const ask = (at: string) => fetch(`${url}${at}`, {headers});
	const [{streamUrl} = {streamUrl: ''}] = (await ask('/api/downloads').then(answer =>
		answer.json(),
	)) as Download[];
	const player = await fetch(streamUrl, {headers: {'user-agent': evil, range: 'bytes=0-1'}});
	await player.arrayBuffer();
	const api = await ask('/api/downloads').then(answer => answer.text());
	assert.match(api, /"players":[^]*\\u009b31mPWNED/);
	const events = await ask('/api/events');
	const reader = events.body!.getReader();
	const {value} = await reader.read();
	await reader.cancel();
	const list = await CliProcess.start(t, ['list', '--storage', storage]);
	const listJson = await CliProcess.start(t, ['list', '--json', '--storage', storage]);
	await Promise.all([list.exit(), listJson.exit()]);
	const all = {
		serve: serve.stdout + serve.stderr,
		list: list.stdout + list.stderr,
		listJson: listJson.stdout + listJson.stderr,
		api,
		events: Buffer.from(value).toString(),
		log: await readFile(log, 'utf8'),
	};
	for (const [where, text] of Object.entries(all)) {
		assert.ok(text.length > 0, where);
		assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u, where);
	}

	assert.match(all.listJson, /\\u009b31mPWNED/);
	await serve.kill('SIGTERM');
});

test('control characters of an argument do not reach standard error', async t => {
	const get = await CliProcess.start(t, ['get', 'a\u009B31m\u202Eb']);
	assert.equal(await get.exit(), 2);
	assert.doesNotMatch(get.stderr, /[\u007F-\u009F\u202E]/);
	assert.match(get.stderr, /\\u009b31m\\u202e/);
});

test('get and list report a playlist in place of the film', async t => {
	const origin = await startOrigin(t, {
		size: 1000,
		headers: {'content-type': 'application/vnd.apple.mpegurl'},
	});
	const folder = await temporaryFolder(t);
	const common = ['--storage', path.join(folder, 'storage'), '--export-dir', folder, '--port', '0'];
	const get = await CliProcess.start(t, ['get', '--keep', ...common, origin.urlOf('/film')]);
	assert.equal(await get.exit(), 0);
	assert.match(get.stderr, /^downstream-tui: film\S* is a playlist \(HLS\), not the film itself$/m);
	const list = await CliProcess.start(t, ['list', ...common.slice(0, 2)]);
	assert.equal(await list.exit(), 0);
	assert.match(list.stdout, /a playlist \(HLS\), not the film itself$/m);
});
