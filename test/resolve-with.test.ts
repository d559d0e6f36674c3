import assert from 'node:assert/strict';
import {readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {parseLink, resolveLink} from '../source/engine/origin/link-resolver.ts';
import {CliProcess, startInstance} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {downloadOf, startEngine, temporaryFolder, until} from './support/engines.ts';
import {FaultOrigin} from './support/fault-origin.ts';
import {writeResolver, type ResolverScript} from './support/resolver.ts';
import {TestTerminal} from './support/terminal.ts';
import {atEnd} from './support/cleanup.ts';

const mebibyte = 1024 * 1024;
const size = 16 * mebibyte;
const item = 'http://page.example/watch?v=1&key=secret';

type Resolver = ResolverScript & {readonly faults: FaultOrigin};

/** A program that prints links of the origin, each valid for a limited number of requests. */
async function startResolver(t: TestContext, requests: number): Promise<Resolver> {
	const faults = await FaultOrigin.start({
		size,
		lastModified: 'Sun, 06 Nov 1994 08:49:37 GMT',
	});
	atEnd(t, () => faults.origin.close());
	const resolver = await writeResolver(
		t,
		script => `import {existsSync} from 'node:fs';
if (existsSync(${JSON.stringify(`${script}.broken`)})) {
	console.error('Traceback\\n\\u001B[31mERROR:\\u001B[0m no answer from http://api.example/?token=secret');
	process.exit(1);
}
const page = ${JSON.stringify(faults.urlOf('signed', {requests}))};
const answer = await fetch(page, {redirect: 'manual'});
console.log(new URL(answer.headers.get('location'), page).href);
console.log('X-From: the page');
`,
	);
	return {faults, ...resolver};
}

/** The command line resolves the first link and passes it with the item. */
async function requestOf({command}: Resolver) {
	return {...(await resolveLink(command, item)), item};
}

/** Waits until the link has expired. */
async function useUp(url: string): Promise<void> {
	for (let status = 206; status < 400;) {
		({status} = await fetch(url, {headers: {range: 'bytes=0-0'}}));
	}
}

test('a resolver prints a URL and its headers, as lines or as JSON', () => {
	const url = 'https://cdn.example/film.mkv?sig=1';
	assert.deepEqual(parseLink(`${url}\n`), {url, headers: {}});
	assert.deepEqual(parseLink(`\r\n ${url}\r\nReferer: https://page.example/\r\nX-Empty:\r\n`), {
		url,
		headers: {Referer: 'https://page.example/', 'X-Empty': ''},
	});
	assert.deepEqual(parseLink(JSON.stringify({url, headers: {A: 'b'}, title: 'x'})), {url, headers: {A: 'b'}});
	assert.deepEqual(parseLink(JSON.stringify({url, http_headers: {A: 'b'}}, null, 2)), {
		url,
		headers: {A: 'b'},
	});
	assert.deepEqual(parseLink(`${JSON.stringify({url})}\n${JSON.stringify({url: 'https://b/'})}\n`), {
		url,
		headers: {},
	});
	for (const [output, problem] of [
		['', /no URL/],
		['file:///etc/passwd', /no URL that begins with http/],
		[`${url}\nhttps://cdn.example/sound.m4a`, /several URLs/],
		[`${url}\nhello`, /not a header/],
		['{"url"', /invalid/],
		['{"url": 1}', /no "url"/],
		[`{"url": "${url}", "headers": {"a": 1}}`, /not an object of strings/],
		[`{"url": "${url}", "headers": null}`, /not an object of strings/],
	] as const) {
		assert.match(parseLink(output) as string, problem);
	}
});

test('a failing resolver is reported in one sentence without secrets', async t => {
	const resolver = await startResolver(t, 6);
	await writeFile(`${resolver.script}.broken`, '');
	await assert.rejects(resolveLink(resolver.command, item), {
		code: 'origin-unreachable',
		message:
			'node returned no link for http://page.example/watch?v=1&key=***: ERROR: no answer from http://api.example/?token=***',
	});
	await assert.rejects(resolveLink(['/nowhere/yt-dlp', '-g'], item), {
		code: 'bad-request',
		message: '/nowhere/yt-dlp cannot be started: is it installed?',
	});
	await assert.rejects(resolveLink(resolver.command, '--exec=rm'), {code: 'bad-request'});
	await assert.rejects(resolveLink([process.execPath, '-e', ''], item), {
		code: 'origin-misbehaved',
		message: /: it printed no URL/,
	});
});

test('an expired link is renewed each time, and players wait without an error', async t => {
	const resolver = await startResolver(t, 6);
	const {engine} = await startEngine(t, {resolveWith: resolver.command, onDemand: true});
	const {download, existed} = await engine.add(await requestOf(resolver));
	assert.equal(existed, false);
	assert.equal(download.item, item);
	const again = await engine.add({url: 'http://127.0.0.1:1/another-link', item});
	assert.deepEqual([again.existed, again.download.id], [true, download.id]);

	// The player sees no error: it waits.
	for (let start = 0; start < size; start += 2 * mebibyte) {
		const headers = {range: `bytes=${start}-${start + 99}`};
		const response = await fetch(download.streamUrl, {headers});
		assert.equal(response.status, 206);
		assert.equal(firstWrongByte(Buffer.from(await response.arrayBuffer()), start), -1);
	}

	await engine.update(download.id, {onDemand: false});
	await until(engine, download.id, ({status}) => status === 'complete');
	const runs = await resolver.runs();
	assert.ok(runs.length > 2, String(runs.length));
	assert.deepEqual(new Set(runs), new Set([item]));
	const signed = resolver.faults.origin.requests.filter(({url}) => url.startsWith('/signed.bin'));
	assert.ok(signed.every(({headers}) => headers['x-from'] === 'the page'));
});

test('after a restart, the recorded command runs and cached bytes are kept', async t => {
	const resolver = await startResolver(t, 6);
	const first = await startEngine(t, {resolveWith: resolver.command, onDemand: true});
	const {download} = await first.engine.add(await requestOf(resolver));
	const part = await fetch(download.streamUrl, {headers: {range: 'bytes=0-99'}});
	assert.equal(firstWrongByte(Buffer.from(await part.arrayBuffer()), 0), -1);
	const {present} = downloadOf(first.engine, download.id);
	await first.close();
	// The link has expired by now.
	await useUp(download.url);

	const before = resolver.faults.origin.requests.length;
	const {engine} = await startEngine(t, {storageDir: first.storageDir});
	assert.equal(downloadOf(engine, download.id).present, present);
	await engine.update(download.id, {onDemand: false});
	const {url} = await until(engine, download.id, ({status}) => status === 'complete');
	assert.notEqual(url, download.url);
	// Cached bytes are refetched only as samples, and the rest with an overlap.
	for (const {range} of resolver.faults.origin.requests.slice(before)) {
		assert.ok(Math.min(present, range?.end ?? 0) - (range?.start ?? 0) <= 4096);
	}

	const all = await fetch(downloadOf(engine, download.id).streamUrl);
	assert.equal(firstWrongByte(Buffer.from(await all.arrayBuffer()), 0), -1);
});

test('a new link to another file changes nothing', async t => {
	const resolver = await startResolver(t, 6);
	const {engine} = await startEngine(t, {resolveWith: resolver.command, onDemand: true});
	const {download} = await engine.add(await requestOf(resolver));
	await (await fetch(download.streamUrl, {headers: {range: 'bytes=0-99'}})).arrayBuffer();
	const {present} = downloadOf(engine, download.id);
	resolver.faults.origin.options.seed = 2;
	await engine.update(download.id, {onDemand: false});
	const failed = await until(engine, download.id, ({status}) => status === 'failed');
	assert.equal(failed.error?.code, 'origin-changed');
	assert.equal(failed.url, download.url);
	assert.ok(failed.present >= present);
});

test('failed renewals are retried, and the download continues with the first link', async t => {
	const resolver = await startResolver(t, 6);
	const {engine} = await startEngine(t, {resolveWith: resolver.command, connections: 1});
	const request = await requestOf(resolver);
	await useUp(request.url);
	await writeFile(`${resolver.script}.broken`, '');
	const {download} = await engine.add(request);
	const waiting = await until(engine, download.id, ({status}) => status === 'waiting');
	assert.match(waiting.error?.message ?? '', /^node returned no link for .*key=\*\*\*: ERROR: no answer/);
	await rm(`${resolver.script}.broken`);
	await engine.resume(download.id);
	await until(engine, download.id, ({present}) => present > mebibyte);
});

test('the program resolves items for itself and for a running instance', async t => {
	const resolver = await startResolver(t, 6);
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const output = path.join(folder, 'film.bin');
	const resolveWith = `'${process.execPath}' '${resolver.script}'`;
	const common = ['--storage', storage, '--resolve-with', resolveWith, '--proxy', 'direct'];
	const get = await CliProcess.start(t, ['get', item, ...common, '--port', '0', '-o', output]);
	assert.equal(await get.exit(), 0, get.stderr);
	assert.equal(firstWrongByte(await readFile(output), 0), -1);

	const serve = await CliProcess.start(t, ['serve', '--json', ...common, '--port', '0']);
	await serve.event('ready');
	const other = 'http://page.example/other?key=secret';
	const add = await CliProcess.start(t, ['add', '--json', other, ...common]);
	assert.equal(await add.exit(), 0, add.stderr);
	const added = JSON.parse(add.stdout) as {item: string; url: string};
	assert.equal(added.item, 'http://page.example/other?key=***');
	assert.match(added.url, /token=\*\*\*$/);
	const url = await CliProcess.start(t, ['url', other, '--storage', storage]);
	assert.equal(await url.exit(), 0, url.stderr);

	const bad = await CliProcess.start(t, ['get', item, '--resolve-with', 'yt-dlp -g | head']);
	assert.equal(await bad.exit(), 2);
	assert.match(
		bad.stderr,
		/--resolve-with "yt-dlp -g \| head": it must be a plain command, without shell syntax/,
	);
});

/** A resolver that never ends, and its options. `running` resolves with its process and its parent once it runs. */
async function startHangingResolver(t: TestContext) {
	const {script} = await writeResolver(
		t,
		file => `import {renameSync, writeFileSync} from 'node:fs';
const file = ${JSON.stringify(file)};
writeFileSync(file + '.new', process.pid + ' ' + process.ppid);
renameSync(file + '.new', file + '.pids');
setTimeout(() => {}, 100_000);`,
	);
	const running = async () => {
		for (;;) {
			const pids = await readFile(`${script}.pids`, 'utf8').catch(() => '');
			if (pids !== '') {
				return pids.split(' ').map(Number) as [pid: number, parent: number];
			}

			await sleep(50);
		}
	};
	const storage = await temporaryFolder(t);
	const options = ['--storage', storage, '--resolve-with', `'${process.execPath}' '${script}'`];
	return {storage, options, running};
}

async function ended(pid: number): Promise<void> {
	while (isRunning(pid)) {
		await sleep(50);
	}
}

for (const [words, args, isBeside = false] of [
	['serve', ['serve']],
	['get', ['get']],
	['get --first', ['get', '--first', '2M']],
	['play', ['play']],
	['the program without a screen', []],
	['add beside an instance', ['add'], true],
	['play beside an instance', ['play'], true],
	['the program without a screen beside an instance', [], true],
] as const) {
	test(`${words} ends while a resolver runs, and ends the resolver`, {timeout: 60_000}, async t => {
		const {storage, options, running} = await startHangingResolver(t);
		await (isBeside && startInstance(t, storage));
		const program = await CliProcess.start(t, [
			...args,
			item,
			...(isBeside ? [] : ['--port', '0']),
			...options,
		]);
		const [pid] = await running();
		program.child.kill('SIGINT');
		assert.equal(await program.exit(), 130);
		assert.equal(program.stderr, '');
		await ended(pid);
	});
}

for (const isBeside of [false, true]) {
	test(`the dashboard ends the resolver of its start${isBeside ? ' beside an instance' : ''}`, async t => {
		const {storage, options, running} = await startHangingResolver(t);
		await (isBeside && startInstance(t, storage));
		const terminal = await TestTerminal.start(t, [item, '--port', '0', ...options], {columns: 80, rows: 24});
		const [pid, dashboard] = await running();
		process.kill(dashboard, 'SIGTERM');
		await terminal.exit();
		await ended(pid);
	});
}

function isRunning(pid: number): boolean {
	try {
		return process.kill(pid, 0);
	} catch {
		return false;
	}
}
