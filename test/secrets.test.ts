import assert from 'node:assert/strict';
import {readFile, readdir, stat} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {CliProcess} from './support/cli.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {freePort} from './support/nginx.ts';
import {TestTerminal} from './support/terminal.ts';

const MiB = 1024 * 1024;
const secrets = {
	password: 'geheim-password',
	token: 'geheim-token',
	signature: 'geheim-signature',
	authorization: 'geheim-authorization',
	cookie: 'geheim-cookie',
	apiKey: 'geheim-api-key',
	proxy: 'geheim-proxy',
};

/** Working, refused, unreachable and invalid URLs, each with secrets. */
function urlsAt(origin: string): string[] {
	const query = `token=${secrets.token}&X-Amz-Signature=${secrets.signature}`;
	const withPassword = origin.replace('://', `://ann:${secrets.password}@`);
	return [
		`${withPassword}/film.mkv?${query}`,
		`${withPassword}/refused.mkv?${query}`,
		`${withPassword}/redirected.mkv?${query}`,
		`ftp://ann:${secrets.password}@a.example/film.mkv?${query}`,
	];
}

async function startSecretOrigin(t: Parameters<typeof startOrigin>[0]) {
	return startOrigin(t, {
		size: MiB,
		etag: '"v1"',
		intercept(request, response) {
			if (request.url?.startsWith('/refused')) {
				response.writeHead(403).end();
			} else if (request.url?.startsWith('/redirected')) {
				response.writeHead(302, {location: `http://127.0.0.1:1/?token=${secrets.token}`}).end();
			}

			return response.headersSent;
		},
	});
}

const headers = [
	`Authorization: Bearer ${secrets.authorization}`,
	`Cookie: session=${secrets.cookie}`,
	`X-Api-Key: ${secrets.apiKey}`,
].flatMap(header => ['--header', header]);

function shows(text: string): string[] {
	return Object.values(secrets).filter(secret => text.includes(secret));
}

test('log, output, errors and process list contain no secret', async t => {
	const origin = await startSecretOrigin(t);
	const folder = await temporaryFolder(t);
	const log = path.join(folder, 'log');
	const storage = path.join(folder, 'storage');
	const common = ['serve', '--json', '--port', '0', '--log', log, '--log-level', 'debug', ...headers];
	const urls = urlsAt(`http://127.0.0.1:${origin.port}`);
	const serve = await CliProcess.start(t, [...common, '--storage', storage, ...urls]);
	const {url, key} = await serve.event('ready');
	const api = async (way: string) => {
		const response = await fetch(`${String(url)}/api${way}`, {
			headers: {authorization: `Bearer ${String(key)}`},
		});
		return response.text();
	};
	type Listed = {id: string; status: string; url: string};
	let downloads: Listed[] = [];
	while (
		downloads.length < 3 ||
		// A possible connection limit: the request is retried.
		downloads[1]!.status === 'waiting' ||
		downloads.some(({status}) => ['asking', 'active', 'queued'].includes(status))
	) {
		await sleep(50);
		downloads = JSON.parse(await api('/downloads')) as Listed[];
	}

	const [done, refused] = downloads;
	assert.deepEqual([done?.status, refused?.status], ['complete', 'failed']);
	// Clients with the key see the link as given; no client sees its headers.
	const told = (await api('/downloads')).replaceAll(/"url":"[^"]*"/g, '');
	assert.deepEqual(shows(told), []);
	assert.doesNotMatch(downloads.map(({url: given}) => given).join(' '), new RegExp(secrets.password));
	assert.deepEqual(shows(await readFile(`/proc/${serve.child.pid}/cmdline`, 'utf8')), []);
	const list = await CliProcess.start(t, ['list', '--json', '--storage', storage]);
	assert.equal(await list.exit(), 0);
	assert.deepEqual(shows(list.stdout + list.stderr), []);
	const unknown = await CliProcess.start(t, ['url', `${urls[0]}x`, '--storage', storage]);
	assert.equal(await unknown.exit(), 1);
	assert.deepEqual(shows(unknown.stdout + unknown.stderr), []);

	// A missing proxy with a password in its URL.
	const proxy = `http://bob:${secrets.proxy}@127.0.0.1:${await freePort()}`;
	const behind = await CliProcess.start(t, [
		...common,
		'--proxy',
		proxy,
		'--storage',
		path.join(folder, 'other'),
		origin.url,
	]);
	await behind.event('ready');
	while (!behind.stdout.includes('upstream-proxy')) {
		await sleep(50);
	}

	await Promise.all([serve.kill('SIGTERM'), behind.kill('SIGTERM')]);
	assert.ok((await readFile(log, 'utf8')).length > 0);
	assert.deepEqual(shows(await readFile(log, 'utf8')), []);
	assert.deepEqual(shows(serve.stdout + serve.stderr + behind.stdout + behind.stderr), []);

	const wrong = await CliProcess.start(t, [
		...['get', '--storage', storage, '--proxy', `gopher://bob:${secrets.proxy}@a.example`],
		...[urls[0]!, '--header', `X-Api-Key ${secrets.apiKey}`],
	]);
	assert.equal(await wrong.exit(), 2);
	assert.deepEqual(shows(wrong.stdout + wrong.stderr), []);
});

test('the screen shows no secret, and stored files are for the user alone', async t => {
	const origin = await startSecretOrigin(t);
	const storage = path.join(await temporaryFolder(t), 'storage');
	const terminal = await TestTerminal.start(
		t,
		['--port', '0', '--storage', storage, ...headers, ...urlsAt(`http://127.0.0.1:${origin.port}`)],
		{columns: 120, rows: 40},
	);
	await terminal.shows(/✓ film\.mkv/);
	await terminal.shows(/✗ refused\.mkv/);
	for (const [key, seen] of [
		['\r', /Source/],
		['\u001B', /1 all/i],
		['j', /▸ ✗ refused\.mkv/],
		['\r', /Source/],
		['\u001B', /1 all/i],
		['L', /Messages/],
		['\u001B', /1 all/i],
		['U', /New link|new link/],
		['\u001B', /1 all/i],
	] as const) {
		terminal.press(key);
		await terminal.shows(seen);
		// Dialogs ignore input in their first 250 ms.
		await sleep(300);
	}

	terminal.signal('SIGTERM');
	await terminal.exit();
	assert.deepEqual(shows(terminal.raw), []);
	for (const entry of await readdir(storage, {recursive: true, withFileTypes: true})) {
		const {mode} = await stat(path.join(entry.parentPath, entry.name));
		assert.equal(mode & 0o077, 0, entry.name);
	}

	assert.equal((await stat(storage)).mode & 0o777, 0o700);
});
