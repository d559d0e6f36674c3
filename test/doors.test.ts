// Malformed and hostile requests: nothing is served or added, and players are not affected.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import http from 'node:http';
import net, {type AddressInfo} from 'node:net';
import {test, type TestContext} from 'node:test';
import {startChromium} from './support/chromium.ts';
import {atEnd} from './support/cleanup.ts';
import {content, firstWrongByte} from './support/content.ts';
import {downloadOf, startEngine, startOrigin, until} from './support/engines.ts';
import {missing} from './support/programs.ts';
import {ask, startProxy} from './support/proxy-client.ts';
import type {MemoryEngine} from './support/proxy-engine.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const timeout = 30_000;

/** Everything received until the server closes; the client sends nothing more. */
async function sendRaw(port: number, bytes: string | Buffer): Promise<string> {
	const socket = net.connect(port, '127.0.0.1');
	const answer: Buffer[] = [];
	socket.on('data', chunk => answer.push(chunk));
	// The server may close early, while we write.
	socket.on('error', () => undefined);
	const closed = once(socket, 'close');
	socket.end(bytes);
	await closed;
	return Buffer.concat(answer).toString('latin1');
}

function nothingHappened(engine: MemoryEngine, answer = ''): void {
	for (const transfer of engine.transfers.values()) {
		assert.equal(transfer.reads.length, 0, 'bytes were read');
	}

	assert.deepEqual(engine.commands, []);
	assert.equal(engine.snapshot.downloads.length, 1);
	assert.ok(!answer.includes(content(0, 16).toString('latin1')), 'bytes were served');
	assert.ok(!answer.includes(engine.key), 'the key was shown');
}

const ours = 'Host: 127.0.0.1:PORT';
const film = '/stream/id1/film.mkv';

/** PORT stands for the proxy's port. The status is undefined if the connection just closes. */
const hostileRequests: Array<[words: string, lines: string[], status: number | undefined]> = [
	['an absolute target with a foreign host', [`GET http://evil.example${film} HTTP/1.1`, ours], 400],
	['an absolute target of ours', [`GET http://127.0.0.1:PORT${film} HTTP/1.1`, ours], 400],
	[
		'an absolute target of ours with a foreign Host',
		[`GET http://127.0.0.1:PORT${film} HTTP/1.1`, 'Host: evil.example'],
		421,
	],
	['an absolute target in upper case', [`GET HTTP://EVIL.EXAMPLE${film} HTTP/1.1`, ours], 400],
	['a target with a user', [`GET http://127.0.0.1:PORT@evil.example${film} HTTP/1.1`, ours], 400],
	['a target of another scheme', [`GET file://${film} HTTP/1.1`, ours], 400],
	['a target with two leading slashes', [`GET //evil.example${film} HTTP/1.1`, ours], 404],
	['a target with dot segments', [`GET /stream/../api/downloads HTTP/1.1`, ours], 404],
	['a target with escaped dot segments', ['GET /stream/%2e%2e/id1/film.mkv HTTP/1.1', ours], 404],
	['a target with an escaped line break', [`GET /stream/id1%0d%0aX:y/film.mkv HTTP/1.1`, ours], 404],
	['a tunnel', ['CONNECT evil.example:443 HTTP/1.1', 'Host: evil.example:443'], undefined],
	['a tunnel to the proxy itself', ['CONNECT 127.0.0.1:PORT HTTP/1.1', ours], undefined],
	['the asterisk target', ['OPTIONS * HTTP/1.1', ours], 400],
	['TRACE', [`TRACE ${film} HTTP/1.1`, ours, 'Cookie: geheim'], 405],
	['an unknown method', [`STEAL ${film} HTTP/1.1`, ours], 400],
	['no Host', [`GET ${film} HTTP/1.1`], 400],
	['no Host, as HTTP/1.0', [`GET ${film} HTTP/1.0`], 421],
	['a foreign Host before ours', [`GET ${film} HTTP/1.1`, 'Host: evil.example', ours], 400],
	['a foreign Host after ours', [`GET ${film} HTTP/1.1`, ours, 'hOST: evil.example'], 400],
	['a repeated Host', [`GET ${film} HTTP/1.1`, ours, ours], 400],
	['a Host with a path', [`GET ${film} HTTP/1.1`, 'Host: 127.0.0.1:PORT/evil.example'], 421],
	['a Host with a user', [`GET ${film} HTTP/1.1`, 'Host: evil.example@127.0.0.1:PORT'], 421],
	['a Host with two dots at its end', [`GET ${film} HTTP/1.1`, 'Host: localhost..:PORT'], 421],
	['a Host with a port beyond the last one', [`GET ${film} HTTP/1.1`, 'Host: localhost:99999'], 421],
	['a rebound name', [`GET ${film} HTTP/1.1`, 'Host: rebound.example:PORT'], 421],
	[
		'two Origins, one of them ours',
		[`GET ${film} HTTP/1.1`, ours, 'Origin: http://evil.example', 'Origin: http://127.0.0.1:PORT'],
		403,
	],
	['an Origin in mixed case', [`GET ${film} HTTP/1.1`, ours, 'oRiGiN: null'], 403],
	[
		'a repeated Sec-Fetch-Site',
		[`GET ${film} HTTP/1.1`, ours, 'Sec-Fetch-Site: none', 'Sec-Fetch-Site: cross-site'],
		403,
	],
	['a bare carriage return in a header', [`GET ${film} HTTP/1.1`, ours, 'User-Agent: a\rOrigin: b'], 400],
	['a NUL in a header', [`GET ${film} HTTP/1.1`, ours, 'User-Agent: a\0b'], 400],
	['a space before a colon', [`GET ${film} HTTP/1.1`, 'Host : 127.0.0.1:PORT'], 400],
	['a folded header', [`GET ${film} HTTP/1.1`, 'Host: evil.example', ` , ${ours}`], 400],
	[
		'a body with two lengths',
		['POST /api/downloads HTTP/1.1', ours, 'Content-Length: 1', 'Content-Length: 2'],
		400,
	],
	[
		'a body with a length and chunks',
		['POST /api/downloads HTTP/1.1', ours, 'Content-Length: 1', 'Transfer-Encoding: chunked'],
		400,
	],
	['a negative Content-Length', ['POST /api/downloads HTTP/1.1', ours, 'Content-Length: -1'], 400],
	['an endless target', [`GET /${'a'.repeat(70 * KiB)} HTTP/1.1`, ours], 431],
	['endless headers', [`GET ${film} HTTP/1.1`, ours, `X: ${'a'.repeat(70 * KiB)}`], 431],
	[
		'thousands of headers',
		[`GET ${film} HTTP/1.1`, ...Array.from({length: 10_000}, (_, index) => `X-${index}: a`), ours],
		431,
	],
	['HTTP/0.9', [`GET ${film}`], 421],
	['HTTP/2', ['PRI * HTTP/2.0', '', 'SM'], 400],
	['HTTP/9.9', [`GET ${film} HTTP/9.9`, ours], 400],
	['a TLS greeting', ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'], 400],
	['an SSH greeting', ['SSH-2.0-OpenSSH_9.9'], 400],
	['a SOCKS greeting', ['\x05\x01\x00'], 400],
	['only line breaks', ['', '', '', ''], 400],
	[
		'a WebSocket of a page',
		[
			`GET ${film} HTTP/1.1`,
			ours,
			'Origin: http://evil.example',
			'Connection: Upgrade',
			'Upgrade: websocket',
			'Sec-WebSocket-Version: 13',
			'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
		],
		403,
	],
	[
		'HTTP/2 by an upgrade, of a page',
		[
			`GET ${film} HTTP/1.1`,
			ours,
			'Origin: http://evil.example',
			'Connection: Upgrade, HTTP2-Settings',
			'Upgrade: h2c',
			'HTTP2-Settings: AAAA',
		],
		403,
	],
	['a URL without the key', ['GET /stream?url=http://127.0.0.1:PORT/ HTTP/1.1', ours], 401],
	['a URL with two keys', ['GET /stream?url=http://127.0.0.1:PORT/&key=a&key=b HTTP/1.1', ours], 401],
	['the list without the key', ['GET /api/downloads HTTP/1.1', ours], 401],
	['the key as a cookie', ['GET /api/downloads HTTP/1.1', ours, 'Cookie: key=x'], 401],
	['a prototype property as id', ['GET /stream/__proto__/film.mkv HTTP/1.1', ours], 404],
	['a constructor as id', ['GET /stream/constructor HTTP/1.1', ours], 404],
];

for (const [words, lines, status] of hostileRequests) {
	test(`${words} gets ${status ?? 'nothing'}`, {timeout}, async t => {
		const {engine, proxy} = await startProxy(t);
		engine.file(100_000);
		const head = `${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`.replaceAll('PORT', String(proxy.port));
		const answer = await sendRaw(proxy.port, Buffer.from(head, 'latin1'));
		assert.equal(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1], status?.toString(), answer);
		assert.doesNotMatch(answer, /geheim|node:internal|\.ts:/);
		nothingHappened(engine, answer);
		assert.equal((await ask(proxy, film)).status, 200);
	});
}

test('a pipelined request is checked on its own', {timeout}, async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(100_000);
	const first = `GET /nothing HTTP/1.1\r\nHost: 127.0.0.1:${proxy.port}\r\n\r\n`;
	const second = `GET ${film} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n`;
	const answer = await sendRaw(proxy.port, first + second);
	assert.deepEqual(answer.match(/HTTP\/1\.1 \d{3}/g), ['HTTP/1.1 404', 'HTTP/1.1 421']);
	nothingHappened(engine, answer);
});

test('a line break in a file name cannot inject a header', {timeout}, async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(10, {name: 'a\r\nX-Evil: 1\r\n\r\n"b;.mkv', type: 'video/mp4', etag: '"v1"'});
	const {headers} = await ask(proxy, film);
	assert.equal(headers['x-evil'], undefined);
	assert.match(headers['content-disposition'] ?? '', /^inline/);
});

for (const [words, request] of [
	['a user agent', {userAgent: 'a\r\nX-Evil: 1'}],
	['a header', {headers: {'x-a': 'a\r\nX-Evil: 1'}}],
	['the name of a header', {headers: {'x-a: b\r\nx-evil': '1'}}],
] as const) {
	test(`a line break in ${words} is rejected, and nothing is added`, {timeout}, async t => {
		const origin = await startOrigin(t, {size: 10});
		const {engine, proxy} = await startEngine(t);
		const response = await fetch(`${proxy.origin}/api/downloads`, {
			method: 'POST',
			headers: {authorization: `Bearer ${engine.key}`, 'content-type': 'application/json'},
			body: JSON.stringify({url: origin.url, ...request}),
		});
		assert.equal(response.status, 400);
		assert.equal(engine.snapshot.downloads.length, 0);
		assert.equal(origin.requests.length, 0);
	});
}

test('a line break in a URL does not reach the origin', {timeout}, async t => {
	const origin = await startOrigin(t, {size: 10});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.urlOf('/a\r\nX-Evil: 1?b=%0d%0aX-Evil: 2')});
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(origin.requests[0]?.headers['x-evil'], undefined);
	assert.doesNotMatch(download.url, /[\r\n]/);
});

test('a lone surrogate in a name does not break the list', {timeout}, async t => {
	const origin = await startOrigin(t, {size: 10});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, name: 'a\ud800b'});
	assert.equal(download.name, 'ab');
	assert.ok(downloadOf(engine, download.id).streamUrl.endsWith('/ab'));
});

test('trickling request heads are cut off while others are served', {timeout}, async t => {
	const {engine, proxy} = await startProxy(t, {headTimeout: 500});
	engine.file(100_000);
	const closed = Array.from({length: 50}, async () => {
		const socket = net.connect(proxy.port, '127.0.0.1');
		socket.on('error', () => undefined).resume();
		socket.write(`GET ${film} HTTP/1.1\r\nHost: 127.0.0.1:${proxy.port}\r\n`);
		const drops = setInterval(() => socket.write('X: y\r\n'), 50);
		await once(socket, 'close');
		clearInterval(drops);
	});
	assert.equal((await ask(proxy, '/nothing')).status, 404);
	await Promise.all(closed);
	nothingHappened(engine);
});

test('a thousand silent connections are closed while others are served', {timeout}, async t => {
	const {engine, proxy} = await startProxy(t, {headTimeout: 1000});
	engine.file(100_000);
	const sockets = Array.from({length: 1000}, () => {
		const socket = net.connect(proxy.port, '127.0.0.1');
		return socket.on('error', () => undefined).resume();
	});
	const closed = Promise.all(sockets.map(async socket => once(socket, 'close')));
	await Promise.all(sockets.map(async socket => once(socket, 'connect')));
	assert.equal((await ask(proxy, film)).status, 200);
	await closed;
});

test('256 players read one file concurrently, each its own bytes', {timeout}, async t => {
	const size = 16 * MiB;
	const origin = await startOrigin(t, {size, etag: '"v1"'});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	const {streamUrl} = await until(engine, download.id, ({size: known}) => known !== null);
	const agent = new http.Agent({maxSockets: Infinity});
	atEnd(t, () => agent.destroy());
	const play = async (start: number) => {
		const request = http.get(streamUrl, {agent, headers: {range: `bytes=${start}-${start + 64 * KiB - 1}`}});
		const [response] = (await once(request, 'response')) as [http.IncomingMessage];
		const bytes = Buffer.concat((await response.toArray()) as Buffer[]);
		assert.deepEqual([response.statusCode, bytes.length], [206, 64 * KiB]);
		assert.equal(firstWrongByte(bytes, start), -1);
	};

	// Each player reads elsewhere, in no particular order; ranges overlap by their last bytes.
	await Promise.all(Array.from({length: 256}, (_, index) => play(((index * 101) % 256) * (64 * KiB - 1))));
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.ok(origin.maxSockets <= 8, `${origin.maxSockets} connections to the origin`);
	assert.ok(origin.bytesSent <= 3 * size, `${origin.bytesSent} bytes sent of ${size}`);
});

/** A page of another server on another local port. */
async function startPage(t: TestContext): Promise<string> {
	const server = http.createServer((_request, response) => {
		response.writeHead(200, {'content-type': 'text/html'}).end('<!doctype html><title>evil</title><body>');
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(t, () => server.close());
	return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** What a page obtains from these addresses by every available method. Runs in the page. */
const attempts = (film: string, api: string, any: string) => `(async () => {
	const [film, api, any] = ${JSON.stringify([film, api, any])};
	const body = JSON.stringify({url: 'http://evil.example/film.mkv'});
	const element = (tag, attribute, url) => new Promise(resolve => {
		const node = document.createElement(tag);
		node.onload = node.onloadedmetadata = () => resolve('loaded');
		node.onerror = () => resolve('nothing');
		if (tag === 'link') node.rel = 'stylesheet';
		node[attribute] = url;
		document.body.append(node);
	});
	const asked = async (url, options) => {
		try {
			const response = await fetch(url, options);
			return response.type === 'opaque' ? 'nothing' : 'answer ' + response.status + (await response.text());
		} catch {
			return 'nothing';
		}
	};
	const frame = (url, method) => new Promise(resolve => {
		const node = document.createElement('iframe');
		node.name = 'frame' + Math.random();
		document.body.append(node);
		const form = document.createElement('form');
		Object.assign(form, {action: url, method, enctype: 'text/plain', target: node.name});
		const field = document.createElement('input');
		field.name = body.slice(0, -1) + ',"name":"';
		field.value = '"}';
		form.append(field);
		document.body.append(form);
		node.onload = () => {
			let text;
			try { text = node.contentDocument?.body?.textContent } catch {}
			resolve(text ? 'answer ' + text : 'nothing');
		};
		form.submit();
	});
	const events = url => new Promise(resolve => {
		const source = new EventSource(url);
		source.onmessage = source.onopen = () => resolve('opened');
		source.onerror = () => { source.close(); resolve('nothing'); };
	});
	const socket = url => new Promise(resolve => {
		const socket = new WebSocket(url.replace('http', 'ws'));
		socket.onopen = socket.onmessage = () => resolve('opened');
		socket.onerror = () => resolve('nothing');
	});
	const json = {'content-type': 'application/json'};
	const beacon = navigator.sendBeacon(api, body) && 'nothing';
	const results = {
		fetch: await asked(film),
		range: await asked(film, {headers: {range: 'bytes=0-9'}}),
		credentials: await asked(film, {credentials: 'include'}),
		noCors: await asked(film, {mode: 'no-cors'}),
		noReferrer: await asked(film, {mode: 'no-cors', referrerPolicy: 'no-referrer'}),
		list: await asked(api),
		add: await asked(api, {method: 'POST', headers: json, body}),
		addNoCors: await asked(api, {method: 'POST', mode: 'no-cors', body}),
		addWithKey: await asked(api, {method: 'POST', headers: {...json, authorization: 'Bearer x'}, body}),
		anyUrl: await asked(any, {mode: 'no-cors'}),
		img: await element('img', 'src', film),
		imgOfAny: await element('img', 'src', any),
		video: await element('video', 'src', film),
		audio: await element('audio', 'src', film),
		script: await element('script', 'src', film),
		style: await element('link', 'href', film),
		get: await frame(film, 'get'),
		post: await frame(api, 'post'),
		events: await events(api.replace('downloads', 'events')),
		socket: await socket(film),
		beacon,
	};
	return Object.entries(results).filter(([, result]) => result !== 'nothing');
})()`;

test(
	'a page in Chromium obtains and adds nothing by any method',
	{timeout: 60_000, skip: missing('chromium')},
	async t => {
		const {engine, proxy} = await startProxy(t);
		engine.file(100_000, {type: 'video/mp4', name: 'film.mp4'});
		// A name of the attacker that resolves to loopback on the second lookup.
		const browser = await startChromium(t, '--host-resolver-rules=MAP rebound.example 127.0.0.1');
		const page = await browser.newPage();
		const triesAt = async (origin: string) =>
			page.evaluate(
				attempts(`${origin}${film}`, `${origin}/api/downloads`, `${origin}/stream?url=http://a.example/`),
			);

		await page.goto(await startPage(t));
		assert.deepEqual(await triesAt(proxy.origin), [], 'a page on another port');
		assert.deepEqual(await triesAt(proxy.origin.replace('127.0.0.1', 'localhost')), [], 'by another name');
		nothingHappened(engine);

		// Same-origin for the browser, so the page sees the proxy's responses, which reveal nothing.
		await page.goto(`http://rebound.example:${proxy.port}/`);
		const rebound = (await triesAt(`http://rebound.example:${proxy.port}`)) as Array<[string, string]>;
		for (const [way, result] of rebound) {
			assert.match(result, /^answer (?:421)?\{.*"status":421/, way);
		}

		nothingHappened(engine);
		assert.ok(
			(await page.goto(`${proxy.origin}${film}`, {waitUntil: 'commit'}))?.ok(),
			'what the user types',
		);
	},
);
