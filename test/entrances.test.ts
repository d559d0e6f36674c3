// Settings for downloads apply however a download is added.
import assert from 'node:assert/strict';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {addAll, requestsFor, requestsForTyped} from '../source/requests/add-requests.ts';
import {start, type EngineHost} from '../source/host/engine-host.ts';
import {settingsFrom, type Settings} from '../source/cli/settings.ts';
import {addFormFromCommand} from '../source/dashboard/dialogs/add.ts';
import {parsePastedCommand} from '../source/requests/pasted-command.ts';
import {Repl} from '../source/cli/run/repl.ts';
import {urlsIn} from '../source/requests/url-lists.ts';
import {atEnd} from './support/cleanup.ts';
import {startOrigin, temporaryFolder, until} from './support/engines.ts';
import {MemoryDownStream} from './support/memory-downstream.ts';
import {ask} from './support/proxy-client.ts';
import {writeResolver} from './support/resolver.ts';

const login = `Basic ${Buffer.from('ann:geheim').toString('base64')}`;
const netrc = [{machine: '127.0.0.1', login: 'ann', password: 'geheim'}];

async function startWith(
	t: TestContext,
	more: Partial<Settings>,
): Promise<{host: EngineHost; settings: Settings}> {
	const folder = await temporaryFolder(t);
	const given = settingsFrom({port: '0', storage: path.join(folder, 'storage'), proxy: 'direct'}, {});
	const settings = {...given, ...more};
	const host = await start(settings);
	atEnd(t, () => host.dispose());
	return {host, settings};
}

function proxyOf({engine}: EngineHost) {
	return {port: Number(new URL(engine.origin).port)};
}

function post(host: EngineHost, url: string) {
	return ask(proxyOf(host), '/api/downloads', {
		method: 'POST',
		headers: {authorization: `Bearer ${host.engine.key}`, 'content-type': 'application/json'},
		body: JSON.stringify({url}),
	});
}

function play(host: EngineHost, url: string) {
	return ask(
		proxyOf(host),
		`/stream?url=${encodeURIComponent(url)}&key=${encodeURIComponent(host.engine.key)}`,
	);
}

async function type({engine}: EngineHost, settings: Settings, word: string): Promise<void> {
	await addAll(
		engine,
		[word],
		each => requestsForTyped(each, settings),
		error => {
			throw error;
		},
	);
}

test('--netrc applies to typed, API and played URLs', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const {host, settings} = await startWith(t, {netrc});
	await type(host, settings, origin.urlOf('/typed'));
	assert.equal((await post(host, origin.urlOf('/posted'))).status, 201);
	assert.equal((await play(host, origin.urlOf('/played'))).status, 200);
	for (const {id} of host.engine.snapshot.downloads) {
		await until(host.engine, id, ({status}) => status === 'complete');
	}

	assert.deepEqual(
		origin.requests
			.map(({url, headers}) => [url, headers.authorization])
			.toSorted(([a], [b]) => (a! < b! ? -1 : 1)),
		['/played', '/posted', '/typed'].map(url => [url, login]),
	);
	// The existing one, with the same credentials.
	await play(host, origin.urlOf('/typed'));
	assert.equal(host.engine.snapshot.downloads.length, 3);
});

test('--resolve-with applies to typed, API and played items, and runs once per item', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const {command, runs} = await writeResolver(
		t,
		() => `console.log(${JSON.stringify(origin.urlOf('/file'))} + new URL(item).pathname);
console.log('X-From: the page');
`,
	);
	const {host, settings} = await startWith(t, {resolveWith: command});
	const pages = ['typed', 'posted', 'played'].map(name => `http://page.example/${name}`);
	await type(host, settings, pages[0]!);
	assert.equal((await post(host, pages[1]!)).status, 201);
	for (let times = 0; times < 3; times++) {
		assert.equal((await play(host, pages[2]!)).status, 200);
	}

	assert.deepEqual(
		host.engine.snapshot.downloads.map(({item}) => item),
		pages,
	);
	assert.deepEqual(await runs(), pages);
	for (const {id} of host.engine.snapshot.downloads) {
		await until(host.engine, id, ({status}) => status === 'complete');
	}

	assert.ok(origin.requests.every(({headers}) => headers['x-from'] === 'the page'));
});

test('headers of the command line apply to its own URLs, and a pasted command overrides them in any letter case', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const {host, settings} = await startWith(t, {headers: {Cookie: 'of=argv'}});
	await type(host, settings, origin.urlOf('/typed'));
	const requests = await requestsFor(`curl -H 'cookie: a=b' ${origin.urlOf('/argv')}`, settings);
	assert.deepEqual(requests[0]?.headers, {cookie: 'a=b'});
	const [{id} = {id: ''}] = host.engine.snapshot.downloads;
	await until(host.engine, id, ({status}) => status === 'complete');
	assert.equal(origin.requests[0]?.headers.cookie, undefined);
});

test('redirections of a pasted command are recognized in lists, typed lines and the dialog', async t => {
	const {settings} = await startWith(t, {});
	const url = 'http://127.0.0.1:1/f';
	const command = `curl -sS ${url} 2>/dev/null | tee film.mkv`;
	assert.deepEqual(urlsIn(`${command}\n# and\n${url} \n`), [command, url]);
	const [request] = await requestsForTyped(command, settings);
	assert.equal(request?.url, url);
	assert.equal(request?.name, 'film.mkv');
	const typed: string[] = [];
	const plain = new Repl(new MemoryDownStream([]), async word => {
		typed.push(word);
		return [];
	});
	await plain.run('add curl -sS \\');
	await plain.run(`  ${url} |`);
	await plain.run('  tee film.mkv');
	assert.equal(parsePastedCommand(typed[0]!)?.name, 'film.mkv');
	const {items} = addFormFromCommand(command)!;
	const texts = items.flatMap(item => (item.kind === 'text' ? [item.field.text] : []));
	assert.ok(texts.includes(url) && texts.includes('film.mkv'), texts.join('\n'));
});

test('the banner of a taken port fits 80 columns', async t => {
	const {port} = proxyOf((await startWith(t, {})).host);
	const {host} = await startWith(t, {port});
	const {banners, origin} = host.engine.snapshot;
	assert.deepEqual(banners, [`Port ${port} is in use by another program; streams are at ${origin}`]);
	assert.ok(`! ${banners[0]!}`.length <= 80);
});
