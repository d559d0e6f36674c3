import assert from 'node:assert/strict';
import {once} from 'node:events';
import type {IncomingHttpHeaders, IncomingMessage} from 'node:http';
import {test, type TestContext} from 'node:test';
import type {Download, Snapshot} from '../source/downstream.ts';
import {routes, type SnapshotChanges} from '../source/proxy/control-api.ts';
import type {ProxyServer} from '../source/proxy/server.ts';
import {ask, open, startProxy} from './support/proxy-client.ts';
import type {MemoryEngine} from './support/proxy-engine.ts';

type Call = (
	method: string,
	path: string,
	body?: unknown,
) => Promise<{status: number; headers: IncomingHttpHeaders; json: Record<string, unknown>}>;

/** Starts a proxy, and calls its API with the key. A string body is sent verbatim. */
async function startApi(t: TestContext): Promise<{engine: MemoryEngine; proxy: ProxyServer; call: Call}> {
	const {engine, proxy} = await startProxy(t);
	const call: Call = async (method, path, body) => {
		const {
			status,
			headers,
			body: answer,
		} = await ask(proxy, path, {
			method,
			headers: {
				authorization: `Bearer ${engine.key}`,
				...(body === undefined ? {} : {'content-type': 'application/json; charset=utf-8'}),
			},
			body: typeof body === 'string' ? body : JSON.stringify(body),
		});
		const json = answer.length === 0 ? {} : (JSON.parse(answer.toString()) as Record<string, unknown>);
		return {status, headers, json};
	};

	return {engine, proxy, call};
}

test('without the key as a bearer token, nothing is revealed', async t => {
	const {engine, proxy} = await startProxy(t);
	for (const headers of [{}, {authorization: 'Bearer wrong'}, {authorization: `Basic ${engine.key}`}]) {
		for (const path of ['/api/downloads', `/api/downloads?key=${encodeURIComponent(engine.key)}`, '/api/x']) {
			const {status, headers: answer} = await ask(proxy, path, {headers});
			assert.deepEqual([status, answer['www-authenticate']], [401, 'Bearer']);
		}
	}
});

test('the view key reads all and commands nothing', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(1000);
	engine.change('id1', {url: 'https://a.example/film?token=hidden', item: 'https://b.example/?token=hidden'});
	const authorization = `Bearer ${engine.viewKey}`;
	for (const [route, methods] of routes) {
		for (const method of Object.keys(methods)) {
			const response = await open(proxy, `/api${route.replace('*', 'id1')}`, {
				method,
				headers: {authorization, 'content-type': 'application/json'},
				...(method === 'POST' || method === 'PATCH' ? {body: '{}'} : {}),
			});
			assert.equal(response.statusCode, method === 'GET' ? 200 : 403, `${method} ${route}`);
			const [chunk] = (await once(response, 'data')) as [Buffer];
			assert.doesNotMatch(chunk.toString(), /hidden/);
			response.destroy();
		}
	}

	assert.deepEqual(engine.commands, []);
	const inUrl = (target: string, key: string) =>
		open(proxy, `${target}key=${encodeURIComponent(key)}`).then(response => {
			response.destroy();
			return response.statusCode;
		});
	for (const key of [engine.key, engine.viewKey]) {
		assert.equal(await inUrl('/playlist.m3u?', key), 200);
		assert.equal(await inUrl('/api/events?', key), 200);
		assert.equal(await inUrl('/api/downloads?', key), 401);
	}

	assert.equal(await inUrl('/stream?url=http%3A%2F%2Fa.example%2F&', engine.viewKey), 403);
	assert.equal(await inUrl('/api/events?', 'wrong'), 401);
});

test('the events of the view key have the URLs without secrets too, and no change where nothing changed', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(1000);
	engine.file(2000);
	const response = await open(proxy, `/api/events?key=${encodeURIComponent(engine.viewKey)}`);
	const events = eventsOf(response);
	await events.next();
	engine.change('id2', {url: 'https://a.example/film?token=hidden'});
	const {data} = (await events.next()).value as {data: SnapshotChanges};
	assert.deepEqual(
		data.changed.map(({id, url}) => [id, url]),
		[['id2', 'https://a.example/film?token=***']],
	);
	response.destroy();
});

test('the list and each download match the snapshot', async t => {
	const {engine, call} = await startApi(t);
	assert.deepEqual((await call('GET', '/api/downloads')).json, []);
	engine.file(1000);
	engine.file(2000);
	const list = await call('GET', '/api/downloads');
	assert.equal(list.headers['content-type'], 'application/json');
	assert.deepEqual(list.json, engine.snapshot.downloads);
	assert.deepEqual((await call('GET', '/api/downloads/id2')).json, engine.snapshot.downloads[1]);
	assert.equal((await call('GET', '/api/downloads/id3')).status, 404);
});

test('a URL is added only once', async t => {
	const {engine, call} = await startApi(t);
	const body = {
		url: 'http://origin.example/film',
		headers: {'X-Api-Key': 'k'},
		userAgent: 'a',
		proxy: 'direct',
		name: 'film.mkv',
		connections: 16,
		onDemand: true,
		paused: false,
	};
	const added = await call('POST', '/api/downloads', body);
	assert.equal(added.status, 201);
	assert.equal(added.headers.location, '/api/downloads/id1');
	assert.equal(added.json.url, body.url);
	assert.deepEqual(engine.commands, [{add: body}]);
	const again = await call('POST', '/api/downloads', {url: body.url});
	assert.deepEqual([again.status, again.json.id], [200, 'id1']);
});

const url = 'http://origin.example/';

for (const [what, body, message] of [
	['is not JSON', '{"url"', 'The body is not valid JSON.'],
	['is empty', '', 'The body is not valid JSON.'],
	['is not an object', [url], 'The body must be a JSON object.'],
	['is null', 'null', 'The body must be a JSON object.'],
	['has no URL', {}, 'The field "url" is missing.'],
	['has a URL that is not a string', {url: 1}, 'The field "url" must be a string.'],
	['has an unknown field', {url, colour: 'red'}, 'The field "colour" is unknown.'],
	[
		'has a field of every object',
		'{"url": "http://a/", "__proto__": {}}',
		'The field "__proto__" is unknown.',
	],
	[
		'has too many connections',
		{url, connections: 17},
		'The field "connections" must be a whole number from 1 to 16.',
	],
	[
		'has half a connection',
		{url, connections: 1.5},
		'The field "connections" must be a whole number from 1 to 16.',
	],
	[
		'has headers in a list',
		{url, headers: []},
		'The field "headers" must be an object whose values are strings.',
	],
	[
		'has a header of numbers',
		{url, headers: {a: 1}},
		'The field "headers" must be an object whose values are strings.',
	],
	['has null for a flag', {url, paused: null}, 'The field "paused" must be true or false.'],
	['has a URL of another scheme', {url: 'ftp://a/'}, 'Only http and https URLs can be downloaded.'],
] as const) {
	test(`a body that ${what} is a 400 with the reason`, async t => {
		const {engine, call} = await startApi(t);
		const {status, headers, json} = await call('POST', '/api/downloads', body);
		assert.equal(status, 400);
		assert.equal(headers['content-type'], 'application/problem+json');
		assert.deepEqual(json, {
			type: 'about:blank',
			title: 'Bad Request',
			status: 400,
			detail: message,
			code: 'bad-request',
		});
		assert.equal(engine.transfers.size, 0);
	});
}

test('a body of another type is a 415, which blocks HTML forms', async t => {
	const {engine, proxy} = await startProxy(t);
	for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', undefined]) {
		const {status} = await ask(proxy, '/api/downloads', {
			method: 'POST',
			headers: {authorization: `Bearer ${engine.key}`, ...(type === undefined ? {} : {'content-type': type})},
			body: JSON.stringify({url}),
		});
		assert.equal(status, 415);
	}

	assert.deepEqual(engine.commands, []);
});

test('a body of up to 1 MiB is accepted, a larger one is a 413', async t => {
	const {call} = await startApi(t);
	const body = JSON.stringify({url});
	assert.equal((await call('POST', '/api/downloads', body.padEnd(1024 * 1024))).status, 201);
	assert.equal((await call('POST', '/api/downloads', body.padEnd(1024 * 1024 + 1))).status, 413);
});

test('pause, resume and cancel respond with the updated download', async t => {
	const {engine, call} = await startApi(t);
	engine.file(1000);
	for (const [verb, status] of [
		['pause', 'paused'],
		['resume', 'active'],
		['cancel', 'cancelled'],
	]) {
		const answer = await call('POST', `/api/downloads/id1/${verb}`);
		assert.deepEqual([answer.status, answer.json.status], [200, status]);
		assert.equal((await call('POST', `/api/downloads/id9/${verb}`)).status, 404);
	}
});

test("a download's bytes are deleted only on request", async t => {
	const {engine, call} = await startApi(t);
	for (const _ of Array.from({length: 3})) {
		engine.file(1000);
	}

	assert.equal((await call('DELETE', '/api/downloads/id1?data=everything')).status, 400);
	assert.deepEqual(engine.commands, []);
	assert.equal((await call('DELETE', '/api/downloads/id1')).status, 204);
	assert.equal((await call('DELETE', '/api/downloads/id2?data=keep')).status, 204);
	assert.equal((await call('DELETE', '/api/downloads/id3?data=delete')).status, 204);
	assert.deepEqual(engine.commands, [
		{remove: 'id1', data: 'keep'},
		{remove: 'id2', data: 'keep'},
		{remove: 'id3', data: 'delete'},
	]);
	assert.equal((await call('DELETE', '/api/downloads/id1')).status, 404);
});

test("an export responds with the file's path or the reason for its failure", async t => {
	const {engine, call} = await startApi(t);
	engine.file(1000);
	const body = {path: '/films/', overwrite: true, keepBoth: false, move: true, when: 'now'};
	const early = await call('POST', '/api/downloads/id1/export', body);
	assert.deepEqual([early.status, early.json.code], [409, 'incomplete']);
	engine.change('id1', {status: 'complete'});
	const done = await call('POST', '/api/downloads/id1/export', body);
	assert.deepEqual([done.status, done.json], [200, {path: '/films/'}]);
	assert.deepEqual(engine.commands.at(-1), {export: 'id1', ...body});
	const wrong = await call('POST', '/api/downloads/id1/export', {path: '/films/', when: 'later'});
	assert.deepEqual([wrong.status, wrong.json.detail], [400, 'The field "when" must be "now" or "complete".']);
	assert.equal((await call('POST', '/api/downloads/id1/export', {})).status, 400);
});

test("a change is passed on verbatim, or rejected with the field's name", async t => {
	const {engine, call} = await startApi(t);
	engine.file(1000);
	const change = {
		url: 'https://elsewhere.example/film',
		headers: {Cookie: 'a=b'},
		limitRate: null,
		name: 'other.mkv',
		userAgent: 'Agent/9',
		proxy: 'direct',
		connections: 2,
		onDemand: true,
		checksum: `md5:${'0'.repeat(32)}`,
	};
	const changed = await call('PATCH', '/api/downloads/id1', change);
	assert.deepEqual([changed.status, changed.json.id], [200, 'id1']);
	assert.deepEqual(engine.commands, [{update: 'id1', ...change}]);
	for (const [body, detail] of [
		[
			{limitRate: 5},
			'The field "limitRate" must be bytes per second, a whole number of at least 1024, or null for no limit.',
		],
		[{paused: true}, 'The field "paused" is unknown.'],
		[{name: null}, 'The field "name" must be a string.'],
	] as const) {
		const refused = await call('PATCH', '/api/downloads/id1', body);
		assert.deepEqual([refused.status, refused.json.detail], [400, detail]);
	}

	assert.equal((await call('PATCH', '/api/downloads/id9', {})).status, 404);
	assert.equal(engine.commands.length, 2);
});

test('each command has an address', async t => {
	const {engine, call} = await startApi(t);
	engine.file(1000);
	const verified = await call('POST', '/api/downloads/id1/verify');
	assert.deepEqual([verified.json.id, verified.json.damaged], ['id1', [[0, 10]]]);
	assert.equal((await call('POST', '/api/downloads/id1/start-over')).status, 200);
	assert.equal((await call('POST', '/api/downloads/id1/start-over', {keepOld: true})).status, 200);
	assert.equal((await call('POST', '/api/downloads/id1/start-over', {keepOld: 1})).status, 400);
	assert.equal((await call('POST', '/api/downloads/id1/move-in-queue', {by: -1})).json.id, 'id1');
	assert.equal((await call('POST', '/api/downloads/id1/move-in-queue', {by: 'front'})).json.id, 'id1');
	assert.equal((await call('POST', '/api/downloads/id1/move-in-queue', {by: 2})).status, 400);
	assert.equal((await call('POST', '/api/downloads/id1/move-in-queue', {})).status, 400);
	assert.equal((await call('POST', '/api/downloads/id1/restore')).status, 404);
	assert.deepEqual(engine.commands, [
		{verify: 'id1'},
		{startOver: 'id1'},
		{startOver: 'id1', keepOld: true},
		{moveInQueue: 'id1', by: -1},
		{moveInQueue: 'id1', by: 'front'},
	]);
});

test('a removal accepts how long it can be undone', async t => {
	const {engine, call} = await startApi(t);
	engine.file(1000);
	for (const undoMs of ['-1', 'soon', '99999999999', '']) {
		assert.equal((await call('DELETE', `/api/downloads/id1?data=delete&undoMs=${undoMs}`)).status, 400);
	}

	assert.equal((await call('DELETE', '/api/downloads/id1?data=delete&undoMs=500')).status, 204);
	assert.deepEqual(engine.commands, [{remove: 'id1', data: 'delete', undoMs: 500}]);
});

test('the limit of all downloads can be read and set', async t => {
	const {call} = await startApi(t);
	assert.deepEqual((await call('GET', '/api/settings')).json, {limitRate: null});
	assert.deepEqual((await call('PATCH', '/api/settings', {limitRate: 5000})).json, {limitRate: 5000});
	assert.deepEqual((await call('GET', '/api/settings')).json, {limitRate: 5000});
	for (const body of [{limitRate: 1}, {limitRate: '5M'}, {}, {port: 80}]) {
		assert.equal((await call('PATCH', '/api/settings', body)).status, 400);
	}
});

test('an unknown address is a 404, and a wrong method a 405 with the allowed ones', async t => {
	const {engine, call} = await startApi(t);
	engine.file(1000);
	for (const path of [
		'/api',
		'/api/',
		'/api/downloads/',
		'/api/downloads/id1/',
		'/api/downloads/id1/explode',
		'/api/x',
	]) {
		assert.equal((await call('GET', path)).status, 404, path);
	}

	for (const [method, path, allow] of [
		['PUT', '/api/downloads', 'GET, POST'],
		['POST', '/api/downloads/id1', 'GET, PATCH, DELETE'],
		['POST', '/api/settings', 'GET, PATCH'],
		['GET', '/api/downloads/id1/start-over', 'POST'],
		['GET', '/api/downloads/id1/pause', 'POST'],
		['POST', '/api/events', 'GET'],
	] as const) {
		const {status, headers} = await call(method, path);
		assert.deepEqual([status, headers.allow], [405, allow]);
	}
});

/** The events of a response as they arrive. */
async function* eventsOf(response: IncomingMessage): AsyncGenerator<{event: string; data: unknown}, void> {
	let text = '';
	for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
		text += chunk;
		const messages = text.split('\n\n');
		text = messages.pop() ?? '';
		for (const message of messages) {
			const [, event = '', data = ''] = /^event: (.*)\ndata: (.*)$/.exec(message) ?? [];
			yield {event, data: JSON.parse(data) as unknown};
		}
	}
}

async function openEvents(engine: MemoryEngine, proxy: ProxyServer): Promise<IncomingMessage> {
	return open(proxy, '/api/events', {headers: {authorization: `Bearer ${engine.key}`}});
}

test('the events are the snapshot, then the differences', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(1000);
	engine.file(2000);
	const response = await openEvents(engine, proxy);
	assert.equal(response.headers['content-type'], 'text/event-stream');
	const events = eventsOf(response);
	const next = async () => (await events.next()).value;
	assert.deepEqual(await next(), {event: 'snapshot', data: engine.snapshot});

	engine.change('id2', {present: 5});
	const {downloads, ...rest} = engine.snapshot;
	assert.deepEqual(await next(), {event: 'changes', data: {...rest, changed: [downloads[1]], order: null}});

	await engine.remove('id1', {data: 'keep'});
	const removal = await next();
	assert.deepEqual(removal?.data, {...rest, version: engine.snapshot.version, changed: [], order: ['id2']});

	engine.file(3000);
	const addition = (await next())?.data as SnapshotChanges;
	assert.deepEqual(addition.changed, [engine.snapshot.downloads[1]]);
});

test('a disconnected event client is unsubscribed', async t => {
	const {engine, proxy} = await startProxy(t);
	const response = await openEvents(engine, proxy);
	assert.equal(engine.events.listenerCount('change'), 1);
	const left = once(engine.events, 'unsubscribed');
	response.destroy();
	await left;
	assert.equal(engine.events.listenerCount('change'), 0);
});

test('a slow event client skips states and ends with the latest', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(1000);
	const response = await openEvents(engine, proxy);
	const updates = 2000;
	const long = 'x'.repeat(20_000);
	for (let present = 1; present <= updates; present++) {
		engine.change('id1', {present, name: long});
	}

	const view = new Map<string, Download>();
	let count = 0;
	for await (const {event, data} of eventsOf(response)) {
		const downloads = event === 'snapshot' ? (data as Snapshot).downloads : (data as SnapshotChanges).changed;
		for (const download of downloads) {
			view.set(download.id, download);
		}

		count++;
		if (view.get('id1')?.present === updates) {
			break;
		}
	}

	assert.ok(count < updates, `${count} events for ${updates} updates`);
});
