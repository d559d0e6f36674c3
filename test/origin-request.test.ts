import assert from 'node:assert/strict';
import dns, {lookup} from 'node:dns/promises';
import {once} from 'node:events';
import {syncBuiltinESMExports} from 'node:module';
import {createServer, type AddressInfo} from 'node:net';
import {hostname} from 'node:os';
import {buffer} from 'node:stream/consumers';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError} from '../source/downstream.ts';
import {CustomHeaderDataSource, HttpDataSource} from '../source/engine/origin/http-source.ts';
import type {DataSource, OriginRequest} from '../source/engine/origin/data-source.ts';
import {DirectClient} from '../source/engine/http/pool.ts';
import type {HttpRequest} from '../source/engine/http/client.ts';
import {requestOrigin} from '../source/engine/origin/origin-request.ts';
import {retryAfter} from '../source/engine/origin/origin-errors.ts';
import {atEnd} from './support/cleanup.ts';
import {firstWrongByte} from './support/content.ts';
import {startOrigin} from './support/engines.ts';
import {withCode} from './support/errors.ts';

const MiB = 1024 * 1024;
/** Milliseconds that a busy machine does not exceed. */
const timeouts = {connect: 30_000, headers: 30_000, body: 30_000};

function sourceOf(
	t: TestContext,
	url: string,
	customHeaders: Record<string, string> = {},
	limits = timeouts,
): DataSource {
	const source = new CustomHeaderDataSource({url, customHeaders, proxy: 'direct', timeouts: limits});
	atEnd(t, () => source.dispose());
	return source;
}

async function open(source: DataSource, start: number, end: number, more: Partial<OriginRequest> = {}) {
	return source.open({range: {start, end}, ranged: true, signal: new AbortController().signal, ...more});
}

/** A server that sends these bytes on every connection, whatever the request. */
async function startRaw(t: TestContext, answer: string, {ends = true, resets = false} = {}): Promise<string> {
	const server = createServer(socket => {
		socket.on('error', () => undefined);
		socket.once('data', () => {
			socket.write(Buffer.from(answer, 'latin1'), () => {
				if (resets) {
					setTimeout(() => socket.resetAndDestroy(), 50);
				} else if (ends) {
					socket.end();
				}
			});
		});
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(t, () => server.close());
	return `http://127.0.0.1:${(server.address() as AddressInfo).port}/film.mkv`;
}

const head = (status: string, ...headers: string[]) =>
	`HTTP/1.1 ${status}\r\n${headers.join('\r\n')}\r\n\r\n`;

test('a range returns exactly its bytes', async t => {
	const origin = await startOrigin(t, {
		size: MiB,
		etag: '"v1"',
		lastModified: 'Mon, 02 Nov 2026 00:00:00 GMT',
	});
	const answer = await open(sourceOf(t, origin.url), 1000, 300_000);
	assert.deepEqual(answer.range, {start: 1000, end: 300_000});
	assert.equal(answer.info.size, MiB);
	assert.deepEqual(answer.validator, {
		etag: '"v1"',
		lastModified: 'Mon, 02 Nov 2026 00:00:00 GMT',
		hasStrongDate: true,
	});
	const bytes = await buffer(answer.body);
	assert.equal(bytes.length, 299_000);
	assert.equal(firstWrongByte(bytes, 1000), -1);
	const headers = origin.requests[0]?.headers;
	assert.equal(headers?.range, 'bytes=1000-299999');
	assert.equal(headers?.['accept-encoding'], 'identity');
});

test('one connection serves successive requests that were read completely', async t => {
	const origin = await startOrigin(t, {size: MiB});
	const source = new HttpDataSource({url: origin.url, proxy: 'direct', connections: 1});
	atEnd(t, () => source.dispose());
	for (let index = 0; index < 5; index++) {
		await buffer((await open(source, index * 1000, index * 1000 + 1000)).body);
	}

	assert.equal(origin.maxSockets, 1);
});

for (const [words, leave] of [
	['leaving the body', (_abort: AbortController) => undefined],
	['aborting', (abort: AbortController) => abort.abort()],
] as const) {
	test(`${words} closes the connection at once`, async t => {
		const origin = await startOrigin(t, {size: 100 * MiB, bytesPerSecond: MiB});
		const abort = new AbortController();
		const answer = await open(sourceOf(t, origin.url), 0, 100 * MiB, {signal: abort.signal});
		const [socket] = origin.sockets;
		const closed = once(socket!, 'close');
		try {
			for await (const chunk of answer.body) {
				assert.ok(chunk.length > 0);
				leave(abort);
				break;
			}
		} catch (error) {
			assert.equal(error, abort.signal.reason);
		}

		await closed;
	});
}

test('an abort before the response rejects with its reason', async t => {
	const origin = await startOrigin(t, {size: MiB, latency: 10_000});
	const abort = new AbortController();
	const opening = open(sourceOf(t, origin.url), 0, 100, {signal: abort.signal});
	setTimeout(() => abort.abort(new Error('enough')), 50);
	await assert.rejects(opening, /enough/);
});

const invalidResponses: Array<[words: string, answer: string, code: string, message: RegExp]> = [
	[
		'206 without Content-Range',
		head('206 Partial Content', 'Content-Length: 100') + 'x'.repeat(100),
		'origin-misbehaved',
		/without saying which/,
	],
	[
		'206 that begins after the requested byte',
		head('206 Partial Content', 'Content-Range: bytes 60-159/1000', 'Content-Length: 100'),
		'origin-misbehaved',
		/request for byte 50/,
	],
	[
		'206 of earlier bytes',
		head('206 Partial Content', 'Content-Range: bytes 0-49/1000', 'Content-Length: 50'),
		'origin-misbehaved',
		/request for byte 50/,
	],
	[
		'206 whose end exceeds its total',
		head('206 Partial Content', 'Content-Range: bytes 50-2000/1000'),
		'origin-misbehaved',
		/without saying which/,
	],
	[
		'206 whose length differs from its range',
		head('206 Partial Content', 'Content-Range: bytes 50-149/1000', 'Content-Length: 99'),
		'origin-misbehaved',
		/length of 99 for/,
	],
	[
		'multipart/byteranges',
		head('206 Partial Content', 'Content-Type: multipart/byteranges; boundary=x', 'Content-Length: 5') +
			'hello',
		'origin-misbehaved',
		/several parts/,
	],
	[
		'200 with the Content-Range of a part and another length',
		head('200 OK', 'Content-Range: bytes 50-149/1000', 'Content-Length: 5') + 'hello',
		'origin-misbehaved',
		/whole file or a part/,
	],
	[
		'compress (LZW) although identity was requested',
		head('200 OK', 'Content-Encoding: compress', 'Content-Length: 5') + '\u001F\u009Dabc',
		'origin-misbehaved',
		/compresses/,
	],
	[
		'416 whose size exceeds the requested offset',
		head('416 Range Not Satisfiable', 'Content-Range: bytes */1000', 'Content-Length: 0'),
		'origin-refused',
		/refuses the requested range/,
	],
	['404', head('404 Not Found', 'Content-Length: 0'), 'origin-refused', /404: no such file/],
	['410', head('410 Gone', 'Content-Length: 0'), 'origin-refused', /410 Gone/],
	['401', head('401 Unauthorized', 'Content-Length: 0'), 'origin-refused', /user name and password/],
	['403 in the middle', head('403 Forbidden', 'Content-Length: 0'), 'origin-refused', /may have expired/],
	['429', head('429 Too Many Requests', 'Retry-After: 7', 'Content-Length: 0'), 'origin-busy', /wait 7s/],
	['503', head('503 Service Unavailable', 'Content-Length: 0'), 'origin-busy', /busy \(503\)/],
	['nonsense', 'SSH-2.0-OpenSSH\r\n', 'origin-misbehaved', /HTTP/],
	[
		'headers without end, in large fields',
		`HTTP/1.1 200 OK\r\n${`X-Long: ${'x'.repeat(5000)}\r\n`.repeat(60)}`,
		'origin-misbehaved',
		/headers that are too large/,
	],
	[
		'endless headers',
		`HTTP/1.1 200 OK\r\n${'X-Long: 0123456789\r\n'.repeat(10_000)}`,
		'origin-misbehaved',
		/headers that are too large/,
	],
];

for (const [words, answer, code, message] of invalidResponses) {
	test(`${words} is ${code}`, async t => {
		const url = await startRaw(t, answer);
		await assert.rejects(open(sourceOf(t, `${url}?token=geheim`), 50, 150), (error: Error) => {
			assert.doesNotMatch(error.message, /geheim/);
			return withCode(code, message)(error);
		});
	});
}

for (const [words, headers, range, total] of [
	['a 200 is the whole file', ['Content-Length: 100'], [0, 100], 100],
	[
		'a 200 with the Content-Range of a part and the length of the whole file is the whole file',
		['Content-Length: 1000', 'Content-Range: bytes 50-149/1000'],
		[0, 1000],
		1000,
	],
	[
		'a 200 with an inconsistent Content-Range is the whole file',
		['Content-Length: 100', 'Content-Range: bytes 50-149/100'],
		[0, 100],
		100,
	],
	[
		'a 200 with the Content-Range and the length of a part is that part',
		['Content-Length: 100', 'Content-Range: bytes 50-149/1000'],
		[50, 150],
		1000,
	],
] as const) {
	test(`${words}, whatever was requested`, async t => {
		const url = await startRaw(t, head('200 OK', ...headers) + 'x'.repeat(100));
		const answer = await open(sourceOf(t, url), 50, 150);
		const [start, end] = range;
		assert.deepEqual(
			[answer.range, answer.acceptsRanges, answer.info.size],
			[{start, end}, start > 0, total],
		);
	});
}

test('weak and strong ETags are distinguished', async t => {
	const url = await startRaw(t, head('200 OK', 'Content-Length: 1', 'ETag: W/"v1"') + 'x');
	assert.deepEqual((await open(sourceOf(t, url), 0, 1)).validator, {weakEtag: 'W/"v1"'});
});

test('a 206 may be shorter than the request, and states its range', async t => {
	const url = await startRaw(
		t,
		head('206 Partial Content', 'Content-Range: bytes 0-9/1000', 'Content-Length: 10') + '0123456789',
	);
	const answer = await open(sourceOf(t, url), 0, 500);
	assert.deepEqual(answer.range, {start: 0, end: 10});
	assert.equal((await buffer(answer.body)).toString(), '0123456789');
});

test('an overlong body is cut to its stated length', async t => {
	const url = await startRaw(t, head('206 Partial Content', 'Content-Range: bytes 0-4/1000') + '0123456789');
	const answer = await open(sourceOf(t, url), 0, 5);
	assert.equal((await buffer(answer.body)).toString(), '01234');
});

test('chunks from one socket read are joined in its own buffer', async t => {
	const url = await startRaw(
		t,
		`${head('200 OK', 'Transfer-Encoding: chunked')}5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n`,
	);
	const answer = await open(sourceOf(t, url), 0, Infinity);
	const buffers: Uint8Array[] = [];
	for await (const chunk of answer.body) {
		buffers.push(chunk);
	}

	assert.deepEqual(buffers.map(String), [String(Buffer.from('0123456789'))]);
	assert.ok(buffers[0]!.buffer.byteLength > 10);
});

test('bytes after the stated length are not read', async t => {
	const url = await startRaw(
		t,
		head('206 Partial Content', 'Content-Range: bytes 0-4/*', 'Transfer-Encoding: chunked') +
			'5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n',
	);
	const answer = await open(sourceOf(t, url), 0, 5);
	assert.equal(answer.info.size, Infinity);
	const chunks: string[] = [];
	for await (const chunk of answer.body) {
		chunks.push(Buffer.from(chunk).toString());
	}

	assert.deepEqual(chunks, ['01234']);
});

test('a reset after the last byte is not an error', async t => {
	const url = await startRaw(t, `${head('206 Partial Content', 'Content-Range: bytes 0-4/9')}01234`, {
		resets: true,
	});
	const answer = await open(sourceOf(t, url), 0, 5);
	assert.equal((await buffer(answer.body)).toString(), '01234');
});

for (const [words, options] of [
	['closed', {}],
	['reset', {resets: true}],
] as const) {
	test(`a body that is ${words} early yields its bytes, then an error`, async t => {
		const url = await startRaw(
			t,
			head('206 Partial Content', 'Content-Range: bytes 0-99/1000', 'Content-Length: 100') + 'x'.repeat(40),
			options,
		);
		const answer = await open(sourceOf(t, url), 0, 100);
		let count = 0;
		await assert.rejects(
			(async () => {
				for await (const chunk of answer.body) {
					count += chunk.length;
				}
			})(),
			(error: unknown) => error instanceof DownStreamError && error.kind === 'transient',
		);
		assert.equal(count, 40);
	});
}

test('a reset of a body without a length is not a clean end', async t => {
	const url = await startRaw(t, `${head('200 OK', 'Connection: close')}${'x'.repeat(40)}`, {resets: true});
	const answer = await open(sourceOf(t, url), 0, Infinity);
	assert.equal(answer.endIsProven, false);
	await assert.rejects(buffer(answer.body), withCode('origin-unreachable'));
});

for (const length of ['Content-Length: 65536', 'X-No: length']) {
	test(`no byte is lost if the origin closes before the body was read (${length})`, async t => {
		const url = await startRaw(t, head('200 OK', length, 'Connection: close') + 'x'.repeat(65_536));
		const answer = await open(sourceOf(t, url), 0, Infinity);
		// The parser is paused first; then the connection ends.
		await sleep(100);
		assert.equal((await buffer(answer.body)).length, 65_536);
	});
}

test('silence is detected before the response and during the body', async t => {
	const silent = await startRaw(t, '', {ends: false});
	await assert.rejects(
		open(sourceOf(t, silent, {}, {...timeouts, headers: 300}), 0, 5),
		withCode('origin-unreachable', /timed out without a response/),
	);
	const stalled = await startRaw(t, `${head('200 OK', 'Content-Length: 100')}x`, {ends: false});
	const source = sourceOf(t, stalled, {}, {...timeouts, body: 300});
	const {body} = await open(source, 0, 100);
	await assert.rejects(buffer(body), withCode('origin-unreachable', /the server stopped sending/));
});

test('a closed port and a nonexistent host are unreachable', async t => {
	const origin = await startOrigin(t, {size: 1});
	const {url} = origin;
	await origin.close();
	await assert.rejects(
		open(sourceOf(t, url), 0, 1),
		withCode('origin-unreachable', /127\.0\.0\.1: connection refused/),
	);
	await assert.rejects(
		open(sourceOf(t, 'http://nobody.invalid/'), 0, 1),
		withCode('origin-unreachable', /nobody\.invalid/),
	);
});

test('an origin that rejects every Range is sent a request for the whole file', async t => {
	for (const [status, headers] of [
		[403, {}],
		[406, {}],
		[416, {}],
		[416, {'content-range': 'bytes */1000'}],
	] as const) {
		const origin = await startOrigin(t, {
			size: 1000,
			intercept(request, response) {
				if (request.headers.range === undefined) {
					return false;
				}

				response.writeHead(status, headers).end();
				return true;
			},
		});
		const answer = await open(sourceOf(t, origin.url), 0, 500);
		assert.deepEqual([answer.range, answer.acceptsRanges], [{start: 0, end: 1000}, false]);
		await buffer(answer.body);
	}
});

test('a 416 reveals the size', async t => {
	const origin = await startOrigin(t, {size: 100});
	const answer = await open(sourceOf(t, origin.url), 100, 200);
	assert.deepEqual([answer.range, answer.info.size], [{start: 100, end: 100}, 100]);
});

test('headers for one origin are not sent to the target of its redirect', async t => {
	const other = await startOrigin(t, {size: 10});
	const origin = await startOrigin(t, {
		size: 10,
		intercept(request, response) {
			if (request.url === '/here') {
				response.writeHead(302, {location: '/again', 'set-cookie': 'a=b'}).end();
				return true;
			}

			response.writeHead(307, {location: `${other.url}?for=you`}).end();
			return true;
		},
	});
	const url = `http://me:geheim@127.0.0.1:${origin.port}/here`;
	const source = sourceOf(t, url, {'X-API-Key': 'geheim', Cookie: 'geheim'});
	assert.doesNotMatch(source.url, /geheim/);
	await buffer((await open(source, 0, 10)).body);
	assert.deepEqual(
		origin.requests.map(({headers}) => [headers.authorization, headers['x-api-key']]),
		Array.from({length: 2}, () => [`Basic ${Buffer.from('me:geheim').toString('base64')}`, 'geheim']),
	);
	assert.deepEqual(
		origin.requests.map(({headers}) => headers.cookie),
		['geheim', 'geheim; a=b'],
	);
	const {authorization, cookie, referer, ...rest} = other.requests[0]!.headers;
	// Not the user's cookie: this host has set it, for all of its ports (RFC 6265 section 8.5).
	assert.equal(cookie, 'a=b');
	assert.deepEqual([authorization, referer, rest['x-api-key']], [undefined, undefined, undefined]);
});

test('redirect loops and redirects to other protocols are clear errors', async t => {
	const circle = await startOrigin(t, {
		size: 1,
		intercept(_request, response) {
			response.writeHead(301, {location: '/'}).end();
			return true;
		},
	});
	await assert.rejects(open(sourceOf(t, circle.url), 0, 1), withCode('origin-refused', /circle/));
	const file = await startRaw(t, head('302 Found', 'Location: file:///etc/passwd', 'Content-Length: 0'));
	await assert.rejects(open(sourceOf(t, file), 0, 1), withCode('origin-misbehaved', /not http or https/));
});

for (const [words, redirects, setsCookie, sentence] of [
	['fifty redirects', 50, false, undefined],
	['a URL that redirects to itself ten times', 10, true, undefined],
	['a URL that sets another cookie with each of fifty redirects to itself', 50, true, undefined],
	['more redirects than curl follows', 51, false, /redirects more than 50 times/],
] as const) {
	test(`${words}: ${sentence ? 'an error' : 'followed'}`, async t => {
		let count = 0;
		const origin = await startOrigin(t, {
			size: 10,
			intercept(_request, response) {
				const redirect = count++ < redirects;
				if (redirect) {
					const cookie = setsCookie && redirects > 10 ? {'set-cookie': `visit=${count}`} : {};
					response.writeHead(302, {location: setsCookie ? '/' : `/${count}`, ...cookie}).end();
				}

				return redirect;
			},
		});
		const opened = open(sourceOf(t, origin.url), 0, 1);
		await (sentence ? assert.rejects(opened, withCode('origin-refused', sentence)) : opened);
	});
}

test('errors name the failing host, not the redirecting one', async t => {
	const gone = await startOrigin(t, {size: 1});
	const target = `http://localhost:${gone.port}/?token=geheim`;
	await gone.close();
	const url = await startRaw(t, head('302 Found', `Location: ${target}`, 'Content-Length: 0'));
	await assert.rejects(
		open(sourceOf(t, url), 0, 1),
		withCode('origin-unreachable', /^localhost: connection refused$/),
	);
});

/**
 * Requests a public address, which is mapped to the raw server, whose response redirects. `resolves` maps names to
 * the addresses used when connecting.
 */
async function openPublic(
	t: TestContext,
	location: string,
	isDirect: boolean,
	resolves: Record<string, string> = {},
) {
	const here = new URL(
		await startRaw(t, head('302 Found', `Location: ${location}`, 'Content-Length: 0', 'Connection: close')),
	);
	const client = new DirectClient({connections: 1, tls: {}, timeouts});
	atEnd(t, () => client.dispose());
	return requestOrigin({
		url: new URL('http://93.184.215.14/film.mkv'),
		headers: {},
		userAgent: 'test',
		route: () => ({
			client: Promise.resolve({
				get: (request: HttpRequest) =>
					client.get({
						...request,
						url: here,
						approve: () =>
							isDirect && request.approve?.(resolves[request.url.hostname] ?? request.url.hostname),
					}),
				dispose: () => client.dispose(),
			}),
			isDirect,
		}),
		range: {start: 0, end: 1},
		ranged: true,
		signal: new AbortController().signal,
	});
}

for (const target of [
	'http://127.0.0.1:8080/',
	'http://0x7f000001/',
	'http://[::1]/',
	'http://[::ffff:10.0.0.1]/',
	'http://169.254.169.254/latest/meta-data/',
	'http://192.168.1.1/',
	'http://0.0.0.0/',
	'http://localhost/',
	'http://localhost./',
	'http://deep.localhost/',
]) {
	test(`a public server must not redirect to ${target}`, async t => {
		for (const isDirect of [true, false]) {
			await assert.rejects(
				openPublic(t, target, isDirect),
				withCode('origin-refused', /redirects to the private address/),
			);
		}
	});
}

test('a public server must not redirect to a name that resolves to this network', async t => {
	try {
		await lookup(hostname());
	} catch {
		return t.skip('needs a host name that can be looked up');
	}

	await assert.rejects(
		openPublic(t, `http://${hostname()}/`, true),
		withCode('origin-refused', /redirects to the private address/),
	);
});

test('a public server must not redirect to a name that resolves to this network on a later lookup', async t => {
	// The first lookup returns a public address.
	t.mock.method(dns, 'lookup', async () => [{address: '93.184.215.15', family: 4}]);
	syncBuiltinESMExports();
	atEnd(t, () => {
		t.mock.restoreAll();
		syncBuiltinESMExports();
	});
	const {hostname} = new URL('http://rebound.example/');
	const open = async (address: string) => openPublic(t, `http://${hostname}/`, true, {[hostname]: address});
	await assert.rejects(open('127.0.0.1'), withCode('origin-refused', /private address rebound\.example/));
	await assert.rejects(open('93.184.215.15'), withCode('origin-refused', /circle/));
});

test('no request is sent to a forbidden address', async t => {
	const origin = await startOrigin(t, {size: 10});
	const client = new DirectClient({connections: 1, tls: {}, timeouts});
	atEnd(t, () => client.dispose());
	const seen: string[] = [];
	const get = (isAllowed: boolean) =>
		client.get({
			url: new URL(origin.url),
			headers: {},
			signal: new AbortController().signal,
			approve(address) {
				seen.push(address);
				assert.ok(isAllowed, 'not there');
			},
		});
	await assert.rejects(get(false), /not there/);
	const answer = await get(true);
	while (await answer.read());
	answer.close();
	// Nor on a reused connection.
	await assert.rejects(get(false), /not there/);
	assert.deepEqual(seen, ['127.0.0.1', '127.0.0.1', '127.0.0.1']);
	assert.equal(origin.requests.length, 1);
	(await get(true)).close();
});

test('a public server may redirect to another', async t => {
	// The target redirects as well, so the loop proves that it was requested.
	await assert.rejects(openPublic(t, 'http://93.184.215.15/', true), withCode('origin-refused', /circle/));
});

test('headers are checked, and their values never shown', () => {
	const create = (customHeaders: Record<string, string>) => () =>
		new CustomHeaderDataSource({url: 'http://127.0.0.1/', customHeaders});
	assert.throws(create({'X Key': 'geheim'}), withCode('bad-request', /"X Key"/));
	assert.throws(
		create({'X-Key': 'gehe\r\nim'}),
		withCode('bad-request', /^The header X-Key has a line break/),
	);
	assert.throws(create({Range: 'bytes=0-1'}), withCode('bad-request', /Range is set by the program/));
	assert.throws(
		() => new HttpDataSource({url: 'ftp://127.0.0.1/'}),
		withCode('bad-request', /"ftp" is not http/),
	);
});

for (const host of ['...', '-', 'a..example', 'a.example:0', `${'a'.repeat(64)}.example`]) {
	test(`${host} is refused as a host`, () => {
		assert.throws(
			() => new HttpDataSource({url: `http://${host}/`}),
			withCode('bad-request', /is not a host that can be reached/),
		);
	});
}

test('Retry-After is parsed as seconds or a date', () => {
	const now = Date.parse('2026-11-02T00:00:00Z');
	assert.equal(retryAfter('120', now), 120_000);
	assert.equal(retryAfter('Mon, 02 Nov 2026 00:01:00 GMT', now), 60_000);
	assert.equal(retryAfter('Sun, 01 Nov 2026 00:00:00 GMT', now), 0);
	assert.equal(retryAfter('soon', now), undefined);
	assert.equal(retryAfter(undefined, now), undefined);
});

test('a reused connection that was just closed is replaced silently', async t => {
	const used = new WeakSet<object>();
	const origin = await startOrigin(t, {
		size: MiB,
		intercept({socket}) {
			if (!used.has(socket)) {
				used.add(socket);
				return false;
			}

			socket.destroy();
			return true;
		},
	});
	const source = sourceOf(t, origin.url);
	for (const start of [0, 1000, 2000]) {
		const bytes = await buffer((await open(source, start, start + 1000)).body);
		assert.equal(firstWrongByte(bytes, start), -1);
	}

	assert.ok(origin.requests.length > 3, `${origin.requests.length} requests`);
});

test('a preconnected connection takes the next request', async t => {
	const origin = await startOrigin(t, {size: MiB});
	const source = sourceOf(t, origin.url);
	await buffer((await open(source, 0, 1000)).body);
	const first = await open(source, 0, MiB);
	source.preconnect?.();
	source.preconnect?.();
	while (origin.sockets.size < 2) {
		await sleep(5);
	}

	const second = await open(source, 0, 1000);
	assert.equal(origin.maxSockets, 2);
	await Promise.all([buffer(first.body), buffer(second.body)]);
	assert.equal(origin.maxSockets, 2);
});

test('a request takes over a connection in progress', async t => {
	const origin = await startOrigin(t, {size: MiB});
	const source = sourceOf(t, origin.url);
	const first = await open(source, 0, MiB);
	source.preconnect?.();
	const second = await open(source, 0, 1000);
	assert.equal(origin.maxSockets, 2);
	source.preconnect?.();
	const gone = new AbortController();
	const third = source.open({range: {start: 0, end: 1000}, ranged: true, signal: gone.signal});
	gone.abort(new Error('gone'));
	await assert.rejects(third, /gone/);
	// An abandoned connection is not kept and does not delay the next request.
	source.preconnect?.();
	const fourth = await open(source, 0, 1000);
	while (origin.sockets.size > 3) {
		await sleep(5);
	}

	await Promise.all([first, second, fourth].map(({body}) => buffer(body)));
});

test('a connection in progress is closed if no request is expected', async t => {
	const origin = await startOrigin(t, {size: MiB});
	const source = sourceOf(t, origin.url);
	const first = await open(source, 0, MiB);
	for (let round = 0; round < 5; round++) {
		source.preconnect?.();
		// The connection attempt has started.
		await Promise.resolve();
		source.closeIdle?.();
		await sleep(20);
		assert.equal(origin.sockets.size, 1);
	}

	await buffer(first.body);
});
