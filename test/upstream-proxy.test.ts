import assert from 'node:assert/strict';
import {once} from 'node:events';
import http from 'node:http';
import https from 'node:https';
import {connect, createServer, type AddressInfo} from 'node:net';
import {pipeline} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import {test, type TestContext} from 'node:test';
import {createServer as createTlsServer} from 'node:tls';
import {DownStreamError} from '../source/downstream.ts';
import {HttpDataSource} from '../source/engine/origin/http-source.ts';
import {parseProxy, proxyFromEnvironment} from '../source/engine/http/proxy-settings.ts';
import {withHint} from '../source/text/hints.ts';
import {makeCertificate, type Certificate} from './support/certificate.ts';
import {atEnd} from './support/cleanup.ts';
import {content} from './support/content.ts';
import {startOrigin} from './support/engines.ts';
import {freePort} from './support/nginx.ts';
import {missing} from './support/programs.ts';
import {
	password,
	startDanted,
	startMicrosocks,
	startSocks4,
	startTinyproxy,
	tinyproxyPassword,
	user,
} from './support/upstream-proxies.ts';

const size = 300_000;

/** Starts an origin with a certificate for `localhost`; returns its URL and the certificate. */
async function startTlsOrigin(t: TestContext): Promise<{url: string; ca: string}> {
	const {key, cert} = await makeCertificate(t);
	const server = https.createServer({key, cert}, (_request, response) => {
		response.writeHead(200, {'content-length': size});
		response.end(content(0, size));
	});
	await once(server.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => {
		server.close();
		server.closeAllConnections();
	});
	return {url: `https://localhost:${(server.address() as AddressInfo).port}/film`, ca: cert};
}

/** Terminates TLS in front of a port. Resolves with its own port. */
async function startTlsFront(t: TestContext, certificate: Certificate, port: number): Promise<number> {
	const server = createTlsServer(certificate, socket => {
		pipeline(socket, connect(port, '127.0.0.1'), socket, () => undefined);
	});
	server.on('tlsClientError', () => undefined);
	await once(server.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => server.close());
	return (server.address() as AddressInfo).port;
}

async function fetchThrough(
	t: TestContext,
	url: string,
	proxy: string | undefined,
	ca?: string,
): Promise<Buffer> {
	const source = new HttpDataSource({url, proxy, tls: {ca}});
	atEnd(t, () => source.dispose());
	const answer = await source.open({
		range: {start: 0, end: size},
		ranged: true,
		signal: new AbortController().signal,
	});
	return buffer(answer.body);
}

function withCode(code: string) {
	return (error: unknown) => {
		assert.ok(error instanceof DownStreamError);
		assert.equal(error.code, code, error.message);
		assert.doesNotMatch(error.message, /wrong|p@ss|password1/);
		return true;
	};
}

const secret = encodeURIComponent(password);
const proxies: Array<
	[program: string, start: (t: TestContext) => Promise<number>, url: (port: number) => string]
> = [
	['tinyproxy', startTinyproxy, port => `http://${user}:${tinyproxyPassword}@127.0.0.1:${port}`],
	['microsocks', startMicrosocks, port => `socks5://${user}:${secret}@127.0.0.1:${port}`],
	['microsocks', startMicrosocks, port => `socks5h://${user}:${secret}@127.0.0.1:${port}`],
	['danted', startDanted, port => `socks5h://127.0.0.1:${port}`],
];

for (const [program, start, proxyUrl] of proxies) {
	const scheme = proxyUrl(1).split(':')[0];
	test(
		`${program} (${scheme}) reaches http and https origins`,
		{skip: missing(program, 'openssl')},
		async t => {
			const origin = await startOrigin(t, {size});
			const tls = await startTlsOrigin(t);
			const proxy = proxyUrl(await start(t));
			assert.ok(
				(await fetchThrough(t, `http://localhost:${origin.port}/film`, proxy)).equals(content(0, size)),
			);
			assert.ok((await fetchThrough(t, tls.url, proxy, tls.ca)).equals(content(0, size)));
			// Only the proxy has connected to the origin.
			assert.equal(origin.requests.length, 1);
		},
	);
}

test(
	'tinyproxy behind TLS (https) reaches http and https origins',
	{skip: missing('tinyproxy', 'openssl')},
	async t => {
		const origin = await startOrigin(t, {size});
		const tls = await startTlsOrigin(t);
		const certificate = await makeCertificate(t);
		const port = await startTlsFront(t, certificate, await startTinyproxy(t));
		const proxy = `https://${user}:${tinyproxyPassword}@localhost:${port}`;
		assert.ok((await fetchThrough(t, origin.url, proxy, certificate.cert)).equals(content(0, size)));
		const both = certificate.cert + tls.ca;
		assert.ok((await fetchThrough(t, tls.url, proxy, both)).equals(content(0, size)));
		await assert.rejects(fetchThrough(t, origin.url, proxy), (error: Error) => {
			assert.match(error.message, /certificate of the proxy localhost:\d+ is not trusted \(\w+\)$/);
			assert.match(withHint(error as DownStreamError), /--ca/);
			return withCode('upstream-proxy-refused')(error);
		});
	},
);

test(
	'a proxy that tunnels only to the https port is sent forwarded requests',
	{skip: missing('tinyproxy')},
	async t => {
		const origin = await startOrigin(t, {size});
		const port = await startTinyproxy(t, ['ConnectPort 443']);
		const url = origin.urlOf('/film.bin?part=1#here');
		const proxy = `http://${user}:${tinyproxyPassword}@127.0.0.1:${port}`;
		assert.ok((await fetchThrough(t, url, proxy)).equals(content(0, size)));
		const [request] = origin.requests;
		assert.equal(request?.url, '/film.bin?part=1');
		assert.equal(request.headers.host, `127.0.0.1:${origin.port}`);
		assert.equal(request.headers['proxy-authorization'], undefined);
		await assert.rejects(
			fetchThrough(t, url, `http://${user}:wrong@127.0.0.1:${port}`),
			withCode('upstream-proxy-refused'),
		);
		await assert.rejects(fetchThrough(t, 'https://127.0.0.1:1/', proxy), withCode('upstream-proxy-refused'));
	},
);

for (const refusal of ['HTTP/1.1 501 Not Implemented\r\n\r\n', '']) {
	test(`a proxy that answers CONNECT with "${refusal.trim()}" is sent forwarded requests after its refusal`, async t => {
		const asked: string[] = [];
		const server = http.createServer((request, response) => {
			asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization']}`);
			response.end(content(0, size));
		});
		server.on('connect', (request, socket) => {
			asked.push(`CONNECT ${request.url}`);
			socket.end(refusal);
		});
		await once(server.listen(0, '127.0.0.1'), 'listening');
		atEnd(t, () => {
			server.close();
			server.closeAllConnections();
		});
		const {port} = server.address() as AddressInfo;
		const source = new HttpDataSource({
			url: 'http://a.example/film',
			proxy: `http://me:geheim@127.0.0.1:${port}`,
		});
		atEnd(t, () => source.dispose());
		for (let repeats = 0; repeats < 2; repeats++) {
			const answer = await source.open({
				range: {start: 0, end: size},
				ranged: true,
				signal: new AbortController().signal,
			});
			assert.ok((await buffer(answer.body)).equals(content(0, size)));
		}

		const get = 'GET http://a.example/film Basic bWU6Z2VoZWlt';
		assert.deepEqual(asked, ['CONNECT a.example:80', get, get]);
	});
}

/** A proxy that refuses tunnels and answers forwarded requests with these bytes. */
async function startForwarder(t: TestContext, answer: string): Promise<HttpDataSource> {
	const server = createServer(socket => {
		socket.on('error', () => undefined);
		socket.once('data', bytes => {
			const isTunnel = bytes.toString('latin1').startsWith('CONNECT ');
			socket.end(isTunnel ? 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n' : answer, 'latin1');
		});
	});
	await once(server.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => server.close());
	const {port} = server.address() as AddressInfo;
	const source = new HttpDataSource({url: 'http://a.example/film', proxy: `http://127.0.0.1:${port}`});
	atEnd(t, () => source.dispose());
	return source;
}

test("the response to a forwarded request may have the odd syntax of an origin's", async t => {
	const fields = ['X-Note: a\u0001b', 'Server : x', 'Content-Disposition: attachment;', ' filename="a.mkv"'];
	const head = ['HTTP/1.1 200 OK', 'Content-Length: 3', ...fields].join('\r\n');
	const source = await startForwarder(t, `${head}\r\n\r\nabc`);
	const answer = await source.open({
		range: {start: 0, end: 3},
		ranged: true,
		signal: new AbortController().signal,
	});
	assert.equal((await buffer(answer.body)).toString(), 'abc');
	assert.equal(answer.info.name, 'a.mkv');
});

test('a non-HTTP response of a proxy has its own error, not that of a refused tunnel', async t => {
	const source = await startForwarder(t, 'SSH-2.0-OpenSSH\r\n');
	await assert.rejects(
		source.open({range: {start: 0, end: 3}, ranged: true, signal: new AbortController().signal}),
		withCode('origin-misbehaved'),
	);
});

test('a wrong password is upstream-proxy-refused', {skip: missing('tinyproxy', 'microsocks')}, async t => {
	const origin = await startOrigin(t, {size});
	const http = await startTinyproxy(t);
	const socks = await startMicrosocks(t);
	await assert.rejects(
		fetchThrough(t, origin.url, `http://${user}:wrong@127.0.0.1:${http}`),
		withCode('upstream-proxy-refused'),
	);
	await assert.rejects(
		fetchThrough(t, origin.url, `socks5://${user}:wrong@127.0.0.1:${socks}`),
		withCode('upstream-proxy-refused'),
	);
	assert.equal(origin.requests.length, 0);
});

test('socks5h resolves names at the proxy, socks5 locally', {skip: missing('microsocks')}, async t => {
	const port = await startMicrosocks(t);
	const proxy = `${user}:${secret}@127.0.0.1:${port}`;
	// The name does not exist, so the error shows who resolved it.
	await assert.rejects(fetchThrough(t, 'http://nobody.invalid/', `socks5h://${proxy}`), (error: Error) => {
		assert.match(error.message, /The proxy 127\.0\.0\.1:\d+ cannot reach nobody\.invalid/);
		return withCode('origin-unreachable')(error);
	});
	await assert.rejects(fetchThrough(t, 'http://nobody.invalid/', `socks5://${proxy}`), (error: Error) => {
		assert.match(error.message, /^No such host: nobody\.invalid/);
		return withCode('origin-unreachable')(error);
	});
});

test('a missing proxy is upstream-proxy-unreachable', async t => {
	const origin = await startOrigin(t, {size});
	const port = await freePort();
	for (const scheme of ['http', 'socks5', 'socks5h']) {
		await assert.rejects(
			fetchThrough(t, origin.url, `${scheme}://127.0.0.1:${port}`),
			withCode('upstream-proxy-unreachable'),
		);
	}
});

test('a proxy that closes every connection is upstream-proxy-unreachable', async t => {
	const server = createServer(socket => socket.end().resume());
	await once(server.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => server.close());
	const {port} = server.address() as AddressInfo;
	await assert.rejects(
		fetchThrough(t, 'http://a.example/film', `http://127.0.0.1:${port}`),
		withCode('upstream-proxy-unreachable'),
	);
});

test('a silent proxy is upstream-proxy-unreachable', {timeout: 20_000}, async t => {
	const server = createServer(socket => socket.on('error', () => undefined));
	await once(server.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => server.close());
	const {port} = server.address() as AddressInfo;
	for (const scheme of ['http', 'socks5']) {
		const source = new HttpDataSource({
			url: 'http://127.0.0.1/',
			proxy: `${scheme}://127.0.0.1:${port}`,
			timeouts: {connect: 100, headers: 100, body: 100},
		});
		await assert.rejects(
			source.open({range: {start: 0, end: 1}, ranged: true, signal: new AbortController().signal}),
			withCode('upstream-proxy-unreachable'),
		);
		await source.dispose();
	}
});

test(
	'an unreachable origin is not blamed on the proxy',
	{skip: missing('tinyproxy', 'microsocks')},
	async t => {
		const port = await freePort();
		const url = `http://127.0.0.1:${port}/`;
		const http = `http://${user}:${tinyproxyPassword}@127.0.0.1:${await startTinyproxy(t)}`;
		const socks = `socks5://${user}:${secret}@127.0.0.1:${await startMicrosocks(t)}`;
		await assert.rejects(fetchThrough(t, url, http), withCode('origin-unreachable'));
		await assert.rejects(fetchThrough(t, url, socks), withCode('origin-unreachable'));
	},
);

test('an untrusted certificate is refused, with a hint at the flags', {skip: missing('openssl')}, async t => {
	const {url} = await startTlsOrigin(t);
	await assert.rejects(fetchThrough(t, url, 'direct'), (error: Error) => {
		assert.match(error.message, /certificate of localhost is not trusted \(\w+\)$/);
		assert.match(withHint(error as DownStreamError), /--ca .*--insecure/);
		return withCode('origin-refused')(error);
	});
	const source = new HttpDataSource({url, proxy: 'direct', tls: {insecure: true}});
	atEnd(t, () => source.dispose());
	const answer = await source.open({
		range: {start: 0, end: 10},
		ranged: true,
		signal: new AbortController().signal,
	});
	assert.equal(answer.info.size, size);
});

const environment: Array<[url: string, environment: NodeJS.ProcessEnv, proxy: string | undefined]> = [
	['http://a.example/', {}, undefined],
	['http://a.example/', {http_proxy: 'http://p:1'}, 'http://p:1/'],
	['http://a.example/', {HTTP_PROXY: 'http://p:1'}, 'http://p:1/'],
	['http://a.example/', {HTTP_PROXY: 'http://p:1', REQUEST_METHOD: 'GET'}, undefined],
	['http://a.example/', {http_proxy: 'http://low:1', HTTP_PROXY: 'http://up:1'}, 'http://low:1/'],
	['https://a.example/', {HTTPS_PROXY: 'p:1'}, 'http://p:1/'],
	['https://a.example/', {https_proxy: 'http://low:1', HTTPS_PROXY: 'http://up:1'}, 'http://low:1/'],
	['https://a.example/', {ALL_PROXY: 'socks5h://p:1'}, 'socks5h://p:1'],
	['https://a.example/', {ALL_PROXY: 'socks://p:1/'}, 'socks://p:1/'],
	['https://a.example/', {all_proxy: 'socks5://all:1', https_proxy: 'http://own:1'}, 'http://own:1/'],
	['http://a.example/', {http_proxy: 'http://p:1', no_proxy: 'example'}, undefined],
	['http://a.example/', {http_proxy: 'http://p:1', NO_PROXY: 'b.example, .a.example'}, undefined],
	['http://aa.example/', {http_proxy: 'http://p:1', no_proxy: 'a.example'}, 'http://p:1/'],
	['http://a.example:81/', {http_proxy: 'http://p:1', no_proxy: 'a.example:80'}, 'http://p:1/'],
	['http://a.example:81/', {http_proxy: 'http://p:1', no_proxy: 'a.example:81'}, undefined],
	['http://a.example/', {http_proxy: 'http://p:1', no_proxy: '*'}, undefined],
	['http://10.1.2.3/', {http_proxy: 'http://p:1', no_proxy: '10.0.0.0/8'}, undefined],
	['http://11.1.2.3/', {http_proxy: 'http://p:1', no_proxy: '10.0.0.0/8'}, 'http://p:1/'],
	['http://[::1]/', {http_proxy: 'http://p:1', no_proxy: '::1'}, undefined],
];

for (const [url, variables, proxy] of environment) {
	test(`${url} with ${JSON.stringify(variables)} goes ${proxy ?? 'directly'}`, () => {
		assert.equal(proxyFromEnvironment(new URL(url), variables)?.href, proxy);
	});
}

for (const [variables, name] of [
	[{all_proxy: 'socks9://me:wrong@p:1'}, 'all_proxy'],
	[{ALL_PROXY: 'socks9://me:wrong@p:1'}, 'ALL_PROXY'],
	[{HTTP_PROXY: 'http://me:wrong@:1', ALL_PROXY: 'socks5://p:1'}, 'HTTP_PROXY'],
] as const) {
	test(`${name} with an invalid proxy is reported when the download is requested, not before`, async t => {
		const source = new HttpDataSource({url: 'http://a.example/film', env: variables});
		atEnd(t, () => source.dispose());
		source.preconnect();
		source.closeIdle();
		await assert.rejects(
			source.open({range: {start: 0, end: 1}, ranged: true, signal: new AbortController().signal}),
			(error: Error) => {
				assert.match(error.message, new RegExp(`^The proxy in the environment variable ${name} must be`));
				return withCode('bad-request')(error);
			},
		);
	});
}

for (const [scheme, host, target] of [
	['socks4', 'localhost', '127.0.0.1'],
	['socks', 'localhost', '127.0.0.1'],
	['socks4a', 'film.invalid', 'film.invalid'],
	['socks4a', '127.0.0.1', '127.0.0.1'],
] as const) {
	test(`a SOCKS4 proxy (${scheme}) receives ${target} for ${host}`, async t => {
		const origin = await startOrigin(t, {size});
		const {port, asked} = await startSocks4(t, user);
		const url = `http://${host}:${origin.port}/film`;
		const proxy = `${scheme}://${user}@127.0.0.1:${port}`;
		assert.ok((await fetchThrough(t, url, proxy)).equals(content(0, size)));
		assert.deepEqual(asked, [target]);
		await assert.rejects(
			fetchThrough(t, url, proxy.replace(user, 'wrong')),
			withCode('upstream-proxy-refused'),
		);
		await assert.rejects(fetchThrough(t, `http://${host}:${await freePort()}/`, proxy), (error: Error) => {
			assert.match(error.message, /The proxy 127\.0\.0\.1:\d+ cannot reach .* \(Failed\)/);
			return withCode('origin-unreachable')(error);
		});
	});
}

test('a body in an unsolicited transfer coding is not stored as the file', async t => {
	const server = createServer(socket => {
		socket.on('error', () => undefined);
		socket.once('data', () => {
			socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;q=1\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
		});
	});
	await once(server.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => server.close());
	const {port} = server.address() as AddressInfo;
	const proxy = `socks4://${user}@127.0.0.1:${(await startSocks4(t, user)).port}`;
	await assert.rejects(fetchThrough(t, `http://127.0.0.1:${port}/`, proxy), withCode('origin-misbehaved'));
});

test('an unsupported proxy is refused without revealing its password', () => {
	for (const text of [
		'ftp://u:wrong@host',
		'socks6://host',
		'http://',
		'://',
		'http://u:%zz-wrong@host',
		'http://u:wrong@host:99999',
	]) {
		assert.throws(() => parseProxy(text), withCode('bad-request'));
	}
});

for (const isForwarded of [false, true]) {
	const words = isForwarded ? 'to a forwarding proxy' : 'through a tunnel';
	test(`after an idle time, a request opens a new connection ${words}, and open responses continue`, async t => {
		const ports: Array<number | undefined> = [];
		const origin = await startOrigin(t, {
			size,
			intercept(request) {
				ports.push(request.socket.remotePort);
				return false;
			},
		});
		// A server without CONNECT that serves any URL.
		const proxy = isForwarded
			? `http://127.0.0.1:${origin.port}`
			: `socks4://${user}@127.0.0.1:${(await startSocks4(t, user)).port}`;
		const source = new HttpDataSource({url: `http://127.0.0.1:${origin.port}/film`, proxy});
		atEnd(t, () => source.dispose());
		const {signal} = new AbortController();
		const ask = (start: number, end: number) => source.open({range: {start, end}, ranged: true, signal});
		for (let start = 0; start < 600; start += 100) {
			await buffer((await ask(start, start + 100)).body);
		}

		assert.ok(new Set(ports).size < ports.length, 'connections are kept');
		const running = await ask(0, size);
		const before = [...ports];
		source.closeIdle();
		await Promise.resolve();
		await buffer((await ask(100, 200)).body);
		assert.equal((await buffer(running.body)).length, size);
		assert.ok(!before.includes(ports.at(-1)));
	});
}
