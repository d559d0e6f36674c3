// HTTP on real connections: where a body ends, unread bodies, and TLS.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {createServer, type AddressInfo, type Socket} from 'node:net';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {createServer as createTlsServer} from 'node:tls';
import {DownStreamError} from '../source/downstream.ts';
import {HttpDataSource} from '../source/engine/origin/http-source.ts';
import {certificateProblem} from '../source/engine/http/errors.ts';
import {makeCertificate} from './support/certificate.ts';
import {atEnd} from './support/cleanup.ts';
import {startOrigin} from './support/engines.ts';
import {missing} from './support/programs.ts';

const MiB = 1024 * 1024;
/** Far shorter than any silence timeout. */
const timeout = 10_000;
const crlf = '\r\n';
const head = (...lines: string[]) => lines.join(crlf) + crlf + crlf;

/** Calls `respond` for each request and leaves the sockets open. Resolves with the server's URL. */
async function startRaw(t: TestContext, respond: (socket: Socket, request: string) => void): Promise<string> {
	const sockets = new Set<Socket>();
	const server = createServer(socket => {
		sockets.add(socket);
		socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
		socket.on('data', data => respond(socket, data.toString('latin1')));
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(t, () => {
		server.close();
		for (const socket of sockets) {
			socket.destroy();
		}
	});
	return `http://127.0.0.1:${(server.address() as AddressInfo).port}/film.mkv`;
}

async function open(t: TestContext, url: string, options: {insecure?: boolean; end?: number} = {}) {
	const {insecure, end = Infinity} = options;
	const source = new HttpDataSource({url, proxy: 'direct', tls: {insecure}});
	atEnd(t, () => source.dispose());
	return source.open({range: {start: 0, end}, ranged: true, signal: new AbortController().signal});
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
	let text = '';
	for await (const bytes of body) {
		text += Buffer.from(bytes).toString('latin1');
	}

	return text;
}

async function closed(socket: Socket): Promise<void> {
	if (!socket.closed) {
		await new Promise(resolve => socket.once('close', resolve));
	}
}

const withCode = (code: string, words: RegExp) => (error: unknown) => {
	assert.ok(error instanceof DownStreamError, String(error));
	assert.equal(error.code, code, error.message);
	assert.match(error.message, words);
	return true;
};

for (const lines of [
	['Content-Length: 5', 'Content-Length: 5'],
	['Content-Length: 5, 5'],
	['Content-Length: 05'],
	['Content-Length : 5'],
	['Transfer-Encoding: identity', 'Content-Length: 5'],
]) {
	test(`${lines.join(' | ')} gives the size of the file`, {timeout}, async t => {
		const url = await startRaw(t, socket => socket.write(`${head('HTTP/1.1 200 OK', ...lines)}01234`));
		const response = await open(t, url);
		assert.equal(response.info.size, 5);
		assert.equal(await textOf(response.body), '01234');
		assert.equal(response.endIsProven, true);
	});
}

for (const lines of [
	['Content-Length: 5', 'Content-Length: 7'],
	['Content-Length: 7', 'Content-Length: 5'],
	['Content-Length: many'],
	['Content-Length:'],
]) {
	test(`a part with ${lines.join(' | ')} has the length of its Content-Range`, {timeout}, async t => {
		const start = head('HTTP/1.1 206 Partial Content', 'Content-Range: bytes 0-4/9', ...lines);
		const url = await startRaw(t, socket => socket.write(`${start}01234`));
		const response = await open(t, url, {end: 5});
		assert.deepEqual([response.range, response.info.size], [{start: 0, end: 5}, 9]);
		assert.equal(await textOf(response.body), '01234');
	});

	test(
		`a whole file with ${lines.join(' | ')} is read to the close of the connection`,
		{timeout},
		async t => {
			const url = await startRaw(t, socket => socket.end(`${head('HTTP/1.1 200 OK', ...lines)}012345`));
			const response = await open(t, url);
			assert.equal(response.info.size, Infinity);
			assert.equal(await textOf(response.body), '012345');
			assert.equal(response.endIsProven, false);
		},
	);
}

for (const [length, isProven] of [
	[5, true],
	[4, false],
	[6, false],
] as const) {
	test(`the end of 5 bytes in chunks beside Content-Length: ${length} is ${isProven ? '' : 'not '}proven`, async t => {
		const start = head('HTTP/1.1 200 OK', `Content-Length: ${length}`, 'Transfer-Encoding: chunked');
		const url = await startRaw(t, socket => socket.write(`${start}5\r\n01234\r\n0\r\n\r\n`));
		const response = await open(t, url);
		assert.equal(response.info.size, Infinity);
		assert.equal(await textOf(response.body), '01234');
		assert.equal(response.endIsProven, isProven);
	});
}

test('a connection with an ambiguous response is not reused', {timeout}, async t => {
	const ports = new Set<number | undefined>();
	const forged = `${head('HTTP/1.1 200 OK', 'Content-Length: 5')}wrong`;
	const url = await startRaw(t, socket => {
		ports.add(socket.remotePort);
		const lines = ['Content-Length: 5', 'Transfer-Encoding: chunked'];
		socket.write(`${head('HTTP/1.1 200 OK', ...lines)}5\r\n01234\r\n0\r\n\r\n`);
		setTimeout(() => socket.destroyed || socket.write(forged), 100);
	});
	const source = new HttpDataSource({url, proxy: 'direct', connections: 1});
	atEnd(t, () => source.dispose());
	for (let requests = 1; requests <= 3; requests++) {
		const {body} = await source.open({
			range: {start: 0, end: 5},
			ranged: true,
			signal: new AbortController().signal,
		});
		assert.equal(await textOf(body), '01234');
		assert.equal(ports.size, requests);
	}
});

for (const [words, line, code, says] of [
	['an error', 'HTTP/1.1 404 Not Found', 'origin-refused', /404/],
	['a busy origin', 'HTTP/1.1 503 Busy', 'origin-busy', /503/],
] as const) {
	test(`a trickling page of ${words} is not awaited`, {timeout}, async t => {
		const sockets: Socket[] = [];
		const url = await startRaw(t, socket => {
			sockets.push(socket);
			socket.write(head(line, 'Content-Length: 60000'));
			const timer = setInterval(() => socket.write('x'), 20);
			socket.on('close', () => clearInterval(timer));
		});
		await assert.rejects(open(t, url), withCode(code, says));
		await closed(sockets[0]!);
	});
}

test('an endless redirect page is not awaited', {timeout}, async t => {
	const origin = await startOrigin(t, {size: 5});
	const url = await startRaw(t, socket => {
		socket.write(`${head('HTTP/1.1 302 Found', `Location: ${origin.url}`, 'Content-Length: 60000')}x`);
	});
	const response = await open(t, url);
	assert.equal((await textOf(response.body)).length, 5);
});

test('an oversized error page closes its connection', {timeout}, async t => {
	const sockets: Socket[] = [];
	const url = await startRaw(t, socket => {
		sockets.push(socket);
		socket.write(`${head('HTTP/1.1 404 Not Found', 'Content-Length: 10000000')}${'x'.repeat(200_000)}`);
	});
	await assert.rejects(open(t, url), withCode('origin-refused', /404/));
	await closed(sockets[0]!);
});

for (const [words, respond] of [
	['closes', (socket: Socket) => void socket.end()],
	['resets', (socket: Socket) => void socket.resetAndDestroy()],
	// TLS alert: handshake_failure.
	['refuses', (socket: Socket) => void socket.end(Buffer.from('15030300020228', 'hex'))],
	['speaks HTTP', (socket: Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
	['closes in its own hello', (socket: Socket) => void socket.end(Buffer.from('160303004a020000', 'hex'))],
] as const) {
	test(`an origin that ${words} in the TLS handshake is transiently unreachable`, async t => {
		const url = await startRaw(t, respond);
		await assert.rejects(open(t, url.replace('http:', 'https:')), (error: unknown) => {
			assert.ok(error instanceof DownStreamError);
			assert.deepEqual([error.code, error.kind], ['origin-unreachable', 'transient'], error.message);
			return true;
		});
	});
}

for (const code of ['CERT_HAS_EXPIRED', 'CRL_SIGNATURE_FAILURE', 'INVALID_PURPOSE', 'PATH_LENGTH_EXCEEDED']) {
	test(`${code} is a certificate problem`, () => {
		const error = Object.assign(new Error('x'), {code});
		assert.match(
			certificateProblem(error, 'a.example') ?? '',
			new RegExp(`a\\.example is not trusted \\(${code}\\)`),
		);
	});
}

for (const code of ['ECONNRESET', 'EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', undefined]) {
	test(`${code} is not a certificate problem`, () => {
		assert.equal(certificateProblem(Object.assign(new Error('x'), {code}), 'a.example'), undefined);
	});
}

test('a slow reader of a fast TLS connection gets every byte', {skip: missing('openssl')}, async t => {
	const size = 32 * MiB;
	const piece = Buffer.alloc(4 * MiB, 'x');
	const server = createTlsServer(await makeCertificate(t), socket => {
		socket.on('error', () => undefined);
		socket.once('data', () => {
			socket.write(head('HTTP/1.1 200 OK', `Content-Length: ${size}`));
			let left = size;
			const send = () => {
				while (left > 0) {
					left -= piece.length;
					if (!socket.write(piece)) {
						socket.once('drain', send);
						return;
					}
				}
			};
			send();
		});
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(t, () => server.close());
	const {port} = server.address() as AddressInfo;
	const {body} = await open(t, `https://127.0.0.1:${port}/`, {insecure: true});
	let received = 0;
	let pieces = 0;
	for await (const bytes of body) {
		received += bytes.length;
		// Fast enough for larger blocks, then slow enough to fill them.
		if (pieces++ % 8 === 7) {
			await sleep(30);
		}
	}

	assert.equal(received, size);
});
