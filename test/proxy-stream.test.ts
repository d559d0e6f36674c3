import assert from 'node:assert/strict';
import {once} from 'node:events';
import net from 'node:net';
import {test, type TestContext} from 'node:test';
import {setImmediate, setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError} from '../source/downstream.ts';
import {ProxyServer} from '../source/proxy/server.ts';
import {content, firstWrongByte} from './support/content.ts';
import {downloadOf, startDownload, untilEnded} from './support/engines.ts';
import {ask, open, startProxy} from './support/proxy-client.ts';
import {MemoryEngine} from './support/proxy-engine.ts';

test('a GET without Range is a 200 of the whole file with all known headers', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(300_000, {name: 'Ünïcode "film".mkv'});
	const {status, headers, body} = await ask(proxy, '/stream/id1/any-name-will-do');
	assert.equal(status, 200);
	assert.equal(headers['content-length'], '300000');
	assert.equal(headers['content-type'], 'video/x-matroska');
	assert.equal(headers['accept-ranges'], 'bytes');
	assert.equal(headers.etag, '"version-1"');
	assert.equal(headers['last-modified'], 'Sun, 06 Nov 1994 08:49:37 GMT');
	assert.equal(headers['x-content-type-options'], 'nosniff');
	assert.match(headers['content-disposition'] ?? '', /^inline; .*filename\*=UTF-8''%C3%9Cn%C3%AFcode/);
	assert.equal(firstWrongByte(body, 0), -1);
});

for (const [range, start, end] of [
	['bytes=0-', 0, 300_000],
	['bytes=0-0', 0, 1],
	['bytes=100000-199999', 100_000, 200_000],
	['bytes=299999-', 299_999, 300_000],
	['bytes=299990-900000', 299_990, 300_000],
	['bytes=-10', 299_990, 300_000],
] as const) {
	test(`${range} is a 206 of exactly these bytes`, async t => {
		const {engine, proxy} = await startProxy(t);
		engine.file(300_000);
		const {status, headers, body} = await ask(proxy, '/stream/id1/film.mkv', {headers: {range}});
		assert.equal(status, 206);
		assert.equal(headers['content-range'], `bytes ${start}-${end - 1}/300000`);
		assert.equal(headers['content-length'], String(end - start));
		assert.equal(body.length, end - start);
		assert.equal(firstWrongByte(body, start), -1);
	});
}

test('several ranges are one multipart response of the declared length', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(300_000);
	const {status, headers, body} = await ask(proxy, '/stream/id1/film.mkv', {
		headers: {range: 'bytes=200000-299999,0-9'},
	});
	assert.equal(status, 206);
	assert.equal(headers['content-length'], String(body.length));
	assert.equal(headers['content-range'], undefined);
	const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(headers['content-type'] ?? '')?.[1];
	assert.ok(boundary);
	const partHead = (range: string) =>
		`\r\n--${boundary}\r\nContent-Type: video/x-matroska\r\nContent-Range: bytes ${range}/300000\r\n\r\n`;
	const expected = Buffer.concat([
		Buffer.from(partHead('200000-299999')),
		content(200_000, 300_000),
		Buffer.from(partHead('0-9')),
		content(0, 10),
		Buffer.from(`\r\n--${boundary}--\r\n`),
	]);
	assert.ok(body.equals(expected));
});

test('a range beyond the end is a 416 with the size', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(1000);
	const {status, headers} = await ask(proxy, '/stream/id1/film.mkv', {headers: {range: 'bytes=1000-'}});
	assert.equal(status, 416);
	assert.equal(headers['content-range'], 'bytes */1000');
	assert.equal(headers['content-type'], 'application/problem+json');
});

test('an empty file is a 200 without bytes', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(0);
	const {status, headers, body} = await ask(proxy, '/stream/id1/film.mkv', {headers: {range: 'bytes=0-'}});
	assert.equal(status, 200);
	assert.equal(headers['content-length'], '0');
	assert.equal(body.length, 0);
});

test('HEAD has the headers of GET and reads no bytes', async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(300_000);
	const get = await ask(proxy, '/stream/id1/film.mkv');
	const reads = file.reads.length;
	const head = await ask(proxy, '/stream/id1/film.mkv', {method: 'HEAD', headers: {range: 'bytes=5-9'}});
	assert.equal(head.status, 200, 'RFC 9110 section 14.2: Range is defined for GET alone');
	assert.deepEqual({...head.headers, date: ''}, {...get.headers, date: ''});
	assert.equal(head.body.length, 0);
	assert.equal(file.reads.length, reads);
});

test('conditional requests save the transfer', async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(1000);
	const status = async (headers: Record<string, string>) =>
		(await ask(proxy, '/stream/id1/film.mkv', {headers})).status;
	assert.equal(await status({'if-none-match': '"version-1"'}), 304);
	assert.equal(await status({'if-modified-since': 'Sun, 06 Nov 1994 08:49:37 GMT'}), 304);
	assert.equal(await status({'if-match': '"version-0"'}), 412);
	assert.equal(await status({'if-none-match': '"version-1"', range: 'bytes=5000-'}), 304);
	assert.equal(file.reads.length, 0);
});

test('If-Range for another version gets the whole file', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(1000);
	const headers = {range: 'bytes=10-19', 'if-range': '"version-0"'};
	const stale = await ask(proxy, '/stream/id1/film.mkv', {headers});
	assert.deepEqual([stale.status, stale.body.length], [200, 1000]);
	const current = await ask(proxy, '/stream/id1/film.mkv', {
		headers: {...headers, 'if-range': '"version-1"'},
	});
	assert.deepEqual([current.status, current.body.length], [206, 10]);
});

test('If-Range with a date holds only if the date is identical and a strong validator', async t => {
	for (const [age, isStrong] of [
		[10_000, false],
		[3600_000, true],
	] as const) {
		const lastModified = new Date(Date.now() - age).toUTCString();
		const {proxy, engine, download} = await startDownload(t, {size: 1000, lastModified});
		await untilEnded(engine, download.id);
		const path = new URL(downloadOf(engine, download.id).streamUrl).pathname;
		const status = async (ifRange: string) =>
			(await ask(proxy, path, {headers: {range: 'bytes=10-19', 'if-range': ifRange}})).status;
		assert.equal(await status(lastModified), isStrong ? 206 : 200);
		assert.equal(await status(new Date(Date.now() + 60_000).toUTCString()), 200);
		assert.equal(await status(new Date(0).toUTCString()), 200);
	}
});

test('a file of unknown size is a chunked 200, whatever the Range', async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(200_000, {size: Infinity, acceptsRanges: false});
	const {status, headers, body} = await ask(proxy, '/stream/id1/film.mkv', {headers: {range: 'bytes=0-'}});
	assert.equal(status, 200);
	assert.equal(headers['content-length'], undefined);
	assert.equal(headers['transfer-encoding'], 'chunked');
	assert.equal(headers['accept-ranges'], 'none');
	assert.equal(body.length, 200_000);
	assert.equal(firstWrongByte(body, 0), -1);
	assert.deepEqual(file.reads[0]?.range, {start: 0, end: Infinity});
});

test('a file without ranges is not advertised as seekable until complete, but Range is served', async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(1000, {acceptsRanges: false});
	const first = await ask(proxy, '/stream/id1/film.mkv', {headers: {range: 'bytes=0-'}});
	assert.deepEqual([first.status, first.headers['accept-ranges']], [206, 'none']);
	file.currentFacts = {...file.currentFacts, complete: true};
	const complete = await ask(proxy, '/stream/id1/film.mkv');
	assert.equal(complete.headers['accept-ranges'], 'bytes');
});

test('types that a browser would run as a page are sandboxed, films are not', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(10, {type: 'text/html'});
	engine.file(10, {type: 'video/mp4'});
	const page = await ask(proxy, '/stream/id1/page');
	assert.equal(page.headers['content-security-policy'], 'sandbox');
	const film = await ask(proxy, '/stream/id2/film');
	assert.equal(film.headers['content-security-policy'], undefined);
});

test('the headers are sent before the first byte is available', {timeout: 10_000}, async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(1000);
	file.heldFrom = 0;
	const response = await open(proxy, '/stream/id1/film.mkv');
	assert.equal(response.headers['content-length'], '1000');
	file.release();
	const [bytes] = (await once(response, 'data')) as [Buffer];
	assert.equal(firstWrongByte(bytes, 0), -1);
});

test("the engine learns the player's identity", async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(1000);
	await ask(proxy, '/stream/id1/film.mkv', {headers: {'user-agent': 'mpv 0.38'}});
	assert.deepEqual(file.reads[0]?.player, {userAgent: 'mpv 0.38', address: '127.0.0.1'});
});

test('a player that disconnects while waiting ends its read', async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(1000);
	file.heldFrom = 0;
	const blocked = once(file.events, 'blocked');
	const response = await open(proxy, '/stream/id1/film.mkv');
	await blocked;
	assert.equal(file.openReads, 1);
	const closed = once(file.events, 'closed');
	response.destroy();
	await closed;
	assert.equal(file.openReads, 0);
});

test('a player that disconnects while paused ends its read', async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(1_000_000_000);
	const response = await open(proxy, '/stream/id1/film.mkv');
	await once(response, 'readable');
	const closed = once(file.events, 'closed');
	response.destroy();
	await closed;
});

test('pipelined players that disconnect are detected', {timeout: 10_000}, async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(1_000_000_000);
	const socket = net.connect(proxy.port, '127.0.0.1').pause();
	const request = `GET /stream/id1/film.mkv HTTP/1.1\r\nHost: 127.0.0.1:${proxy.port}\r\n\r\n`;
	socket.write(request.repeat(3));
	while (file.bytesRead === 0 || socket.bytesWritten < 3 * request.length) {
		await setImmediate();
	}

	await sleep(100);
	socket.destroy();
	while (file.openReads > 0) {
		await setImmediate();
	}
});

test('a paused player costs no memory', async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(1_000_000_000);
	const response = await open(proxy, '/stream/id1/film.mkv');
	await once(response, 'readable');
	// The read is paused if it makes no progress between two responses to another client.
	engine.file(1000);
	let before = -1;
	while (file.bytesRead > before) {
		before = file.bytesRead;
		await ask(proxy, '/stream/id2/other.mkv');
	}

	assert.ok(file.bytesRead < 32 * 1024 * 1024, `${file.bytesRead} bytes read for a player that reads none`);
	response.destroy();
});

for (const [code, status] of [
	['origin-refused', 502],
	['origin-busy', 503],
	['origin-unreachable', 504],
	['disk-full', 507],
	['not-found', 404],
] as const) {
	test(`${code} before the headers is a ${status} with the reason`, async t => {
		const {engine, proxy} = await startProxy(t);
		engine.file(1000).factsFailure = new DownStreamError(code, 'It is as it is.', {retryAfterMs: 1500});
		const answer = await ask(proxy, '/stream/id1/film.mkv');
		assert.equal(answer.status, status);
		assert.equal(answer.headers['content-type'], 'application/problem+json');
		assert.equal(answer.headers['retry-after'], '2');
		const {detail, code: reportedCode} = JSON.parse(answer.body.toString()) as Record<string, unknown>;
		assert.deepEqual([detail, reportedCode], ['It is as it is.', code]);
	});
}

test('an unexpected error is a 500 without details', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(1000).factsFailure = new Error('/home/user/secret');
	const {status, body} = await ask(proxy, '/stream/id1/film.mkv');
	assert.equal(status, 500);
	assert.ok(!body.includes('secret'));
});

for (const [what, size] of [
	['of known size', 1000],
	['of unknown size', Infinity],
] as const) {
	test(`unavailable bytes of a file ${what} after the headers cut the connection`, async t => {
		const {engine, proxy} = await startProxy(t);
		const file = engine.file(1000, {size});
		file.failure = {offset: 500, error: new DownStreamError('origin-changed', 'It changed.')};
		await assert.rejects(ask(proxy, '/stream/id1/film.mkv'), {code: 'ECONNRESET'});
	});
}

test('a read that ends early cuts the connection, so that no later response passes for the rest', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(1000).end = 900;
	const answers = await pipeline(t, proxy, ['GET /stream/id1/film.mkv', 'GET /stream/id1/film.mkv']);
	assert.equal(answers.match(/HTTP\/1\.1/g)?.length, 1);
});

test('an HTTP/1.0 client, which would accept a close as the end of the file, gets a reset', async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(1000, {size: Infinity});
	file.heldFrom = 500;
	file.failure = {offset: 500, error: new DownStreamError('origin-truncated', 'It ended early.')};
	const socket = net.connect(proxy.port, '127.0.0.1');
	socket.write(`GET /stream/id1/film.mkv HTTP/1.0\r\nHost: 127.0.0.1:${proxy.port}\r\n\r\n`);
	await once(file.events, 'blocked');
	await once(socket, 'data');
	file.release();
	const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
	assert.equal(error.code, 'ECONNRESET');
});

test('a connection carries successive requests', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(10);
	const answers = await pipeline(t, proxy, ['GET /stream/id1/film.mkv', 'HEAD /stream/id1/film.mkv']);
	assert.equal(answers.match(/HTTP\/1\.1 200 OK/g)?.length, 2);
});

/** Everything received on one connection until it ends; the last request asks to close it. */
async function pipeline(t: TestContext, proxy: ProxyServer, requestLines: string[]): Promise<string> {
	const socket = net.connect(proxy.port, '127.0.0.1').setEncoding('latin1');
	t.after(() => socket.destroy());
	const requests = requestLines.map(line => `${line} HTTP/1.1\r\nHost: localhost:${proxy.port}\r\n`);
	socket.write(`${requests.join('\r\n')}Connection: close\r\n\r\n`);
	return (await socket.toArray()).join('');
}

test('many players read the same file concurrently', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(200_000);
	const answers = await Promise.all(
		Array.from({length: 50}, (_, index) =>
			ask(proxy, '/stream/id1/film.mkv', {headers: {range: `bytes=${index}-`}}),
		),
	);
	for (const [index, {body}] of answers.entries()) {
		assert.equal(body.length, 200_000 - index);
		assert.equal(firstWrongByte(body, index), -1);
	}
});

test('any URL is streamed, but only with the key', async t => {
	const {engine, proxy} = await startProxy(t);
	const url = 'http://origin.example/a?b=c&d=e f';
	const target = `/stream?url=${encodeURIComponent(url)}`;
	for (const key of ['', '&key=', '&key=wrong']) {
		const refused = await ask(proxy, target + key);
		assert.equal(refused.status, 401);
		assert.equal(refused.headers['www-authenticate'], 'Bearer');
	}

	assert.equal(engine.transfers.size, 0);
	const key = encodeURIComponent(engine.key);
	const {status, body} = await ask(proxy, `${target}&key=${key}`);
	assert.deepEqual([status, body.length], [200, 1000]);
	assert.equal(engine.snapshot.downloads[0]?.url, url);
	assert.equal((await ask(proxy, `/stream?url=file:///etc/passwd&key=${key}`)).status, 400);
	assert.equal((await ask(proxy, `/stream?key=${key}`)).status, 400);
});

test('with openStream, streams need no key, but everything else does', async t => {
	const {engine, proxy} = await startProxy(t, {openStream: true});
	assert.equal((await ask(proxy, '/stream?url=http%3A%2F%2Forigin.example%2F')).status, 200);
	assert.equal((await ask(proxy, '/playlist.m3u')).status, 401);
	assert.equal((await ask(proxy, '/api/downloads')).status, 401);
	assert.equal(engine.transfers.size, 1);
});

test('the playlist lists playable downloads, and a name cannot inject entries', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(10, {name: 'one\r\nhttp://evil.example/\u2028.mkv'});
	engine.file(10, {name: 'two.mkv'});
	engine.file(10, {name: 'refused.mkv'});
	engine.change('id2', {status: 'cancelled'});
	engine.change('id3', {status: 'failed', present: 0});
	engine.change('id1', {streamUrl: 'http://127.0.0.1:8080/stream/id1/one'});
	assert.equal((await ask(proxy, '/playlist.m3u?key=wrong')).status, 401);
	const {headers, body} = await ask(proxy, `/playlist.m3u?key=${encodeURIComponent(engine.key)}`);
	assert.match(headers['content-type'] ?? '', /^audio\/x-mpegurl/);
	assert.equal(
		body.toString(),
		'#EXTM3U\n#EXTINF:-1,one http://evil.example/ .mkv\nhttp://127.0.0.1:8080/stream/id1/one\n',
	);
});

test('an unknown address is a 404, and a wrong method a 405', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(10);
	for (const target of [
		'/',
		'/stream/',
		'/stream/id9/film.mkv',
		'/stream/__proto__/x',
		'/playlist',
		'//stream/id1/x',
	]) {
		assert.equal((await ask(proxy, target)).status, 404, target);
	}

	const refused = await ask(proxy, '/stream/id1/film.mkv', {method: 'DELETE'});
	assert.deepEqual([refused.status, refused.headers.allow], [405, 'GET, HEAD']);
});

test('an absolute-form target is rejected', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(10);
	assert.equal((await ask(proxy, 'http://evil.example/stream/id1/film.mkv')).status, 400);
	assert.equal((await ask(proxy, `http://127.0.0.1:${proxy.port}/stream/id1/film.mkv`)).status, 400);
	assert.equal((await ask(proxy, '*', {method: 'OPTIONS'})).status, 400);
});

test('a rebound name and a foreign page get nothing', async t => {
	const {engine, proxy} = await startProxy(t);
	const file = engine.file(10);
	const status = async (headers: Record<string, string>) =>
		(await ask(proxy, '/stream/id1/film.mkv', {headers})).status;
	assert.equal(await status({host: `evil.example:${proxy.port}`}), 421);
	assert.equal(await status({origin: 'https://evil.example'}), 403);
	assert.equal(await status({'sec-fetch-site': 'cross-site'}), 403);
	assert.equal(file.reads.length, 0);
	assert.equal(await status({host: `localhost:${proxy.port}`, 'sec-fetch-site': 'none'}), 200);
});

test('an allowed page may request ranges and read the response', async t => {
	const origin = 'https://player.example';
	const {engine, proxy} = await startProxy(t, {allowOrigins: [origin]});
	engine.file(10);
	const preflight = await ask(proxy, '/stream/id1/film.mkv', {
		method: 'OPTIONS',
		headers: {origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'range'},
	});
	assert.equal(preflight.status, 204);
	assert.equal(preflight.headers['access-control-allow-origin'], origin);
	assert.match(preflight.headers['access-control-allow-headers'] ?? '', /Range/);
	const {status, headers} = await ask(proxy, '/stream/id1/film.mkv', {headers: {origin, range: 'bytes=0-1'}});
	assert.equal(status, 206);
	assert.equal(headers['access-control-allow-origin'], origin);
	assert.match(
		headers['access-control-expose-headers'] ?? '',
		/Content-Range, Downstream-Version.* Location/,
	);
	assert.equal(
		(await ask(proxy, '/', {method: 'OPTIONS', headers: {origin: 'https://evil.example'}})).status,
		403,
	);
});

test('the next free port replaces a taken one, unless exactPort is set', async t => {
	const {engine, proxy} = await startProxy(t);
	const options = {engine, port: proxy.port, allowOrigins: [], openStream: false};
	await assert.rejects(ProxyServer.listen({...options, exactPort: true}), {
		code: 'port-taken',
		message: `Port ${proxy.port} of 127.0.0.1 is taken or reserved`,
	});
	const next = await ProxyServer.listen({...options, exactPort: false});
	t.after(() => next.close());
	assert.ok(next.port > proxy.port);
	assert.equal(next.takenPort, proxy.port);
	assert.equal(next.origin, `http://127.0.0.1:${next.port}`);
	assert.equal(proxy.takenPort, undefined);
});

test('closing ends players and idle connections and frees the port', async t => {
	const engine = new MemoryEngine();
	const options = {engine, exactPort: true, allowOrigins: [], openStream: false};
	const proxy = await ProxyServer.listen({...options, port: 0});
	const file = engine.file(1000);
	file.heldFrom = 500;
	const idle = net.connect(proxy.port, '127.0.0.1');
	await once(idle, 'connect');
	const player = await open(proxy, '/stream/id1/film.mkv');
	const cut = assert.rejects(player.toArray(), {code: 'ECONNRESET'});
	const idleClosed = once(idle.resume(), 'close');
	await proxy.close();
	await Promise.all([cut, idleClosed]);
	assert.equal(file.openReads, 0);
	const again = await ProxyServer.listen({...options, port: proxy.port});
	t.after(() => again.close());
	assert.equal(again.port, proxy.port);
});
