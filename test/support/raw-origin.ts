// An HTTP origin that writes every response byte itself, to simulate irregular servers.
import {once} from 'node:events';
import {createServer, type AddressInfo, type Socket} from 'node:net';
import type {TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {atEnd} from './cleanup.ts';
import {freePort} from './nginx.ts';

export type Exchange = {
	/** As in the request line. */
	readonly target: string;
	/** Keyed by lower-case name. */
	readonly headers: Readonly<Record<string, string>>;
	/** The header lines as received. */
	readonly lines: readonly string[];
	/** The bytes requested by a Range header with one range, half-open; `end` is undefined for the rest of the file. */
	readonly range: {readonly start: number; readonly end: number | undefined} | undefined;
	/** Number of earlier requests to this origin. */
	readonly count: number;
	readonly socket: Socket;
};

/** Handles the requests of one connection sequentially. */
export type Answerer = (exchange: Exchange) => unknown;

export type Answer = {
	/** Everything after `HTTP/1.1 `. */
	readonly status?: string;
	/** The whole first line; replaces `status`. */
	readonly statusLine?: string;
	readonly headers?: readonly string[];
	/** Of the header lines. */
	readonly encoding?: 'utf8' | 'latin1';
	readonly body?: Uint8Array;
	/** Whether to send the body's Content-Length, unless the headers frame the body otherwise. */
	readonly length?: boolean;
	readonly bytesPerSecond?: number;
	/** Closes the connection after the body. */
	readonly close?: boolean;
};

/** Resolves with the origin's URL without a path. `opensAfter`: milliseconds during which connections are refused. */
export async function startRawOrigin(
	t: TestContext,
	answerer: Answerer,
	{opensAfter = 0}: {opensAfter?: number} = {},
): Promise<string> {
	const sockets = new Set<Socket>();
	let count = 0;
	const server = createServer(socket => {
		sockets.add(socket);
		socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
		let text = '';
		let turn = Promise.resolve();
		socket.on('data', bytes => {
			text += bytes.toString('latin1');
			for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
				const head = text.slice(0, end);
				text = text.slice(end + 4);
				turn = turn.then(async () => {
					if (!socket.destroyed) {
						await answerer({...parseHead(head), count: count++, socket});
					}
				});
				turn.catch(() => socket.destroy());
			}
		});
	});
	const listen = async (port: number) => {
		server.listen(port, '127.0.0.1');
		await once(server, 'listening');
	};
	let port: number;
	let opening: Promise<void> | undefined;
	if (opensAfter > 0) {
		port = await freePort();
		opening = sleep(opensAfter).then(() => listen(port));
	} else {
		await listen(0);
		({port} = server.address() as AddressInfo);
	}

	atEnd(t, async () => {
		await opening;
		server.close();
		for (const socket of sockets) {
			socket.destroy();
		}

		await once(server, 'close');
	});
	return `http://127.0.0.1:${port}`;
}

function parseHead(head: string): Omit<Exchange, 'count' | 'socket'> {
	const [requestLine = '', ...lines] = head.split('\r\n');
	const headers = Object.fromEntries(
		lines.map(line => {
			const colon = line.indexOf(':');
			return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
		}),
	);
	const [, start, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
	const range =
		start === undefined ? undefined : {start: Number(start), end: last === '' ? undefined : Number(last) + 1};
	return {target: requestLine.split(' ')[1] ?? '', headers, lines, range};
}

export async function answer(
	{socket}: Pick<Exchange, 'socket'>,
	{status = '200 OK', body = new Uint8Array(), ...more}: Answer = {},
): Promise<void> {
	const {statusLine = `HTTP/1.1 ${status}`, headers = [], encoding = 'utf8', length = true} = more;
	const lines = [statusLine, ...(length ? [`Content-Length: ${body.length}`] : []), ...headers, '', ''];
	socket.write(Buffer.from(lines.join('\r\n'), encoding));
	await send(socket, body, more.bytesPerSecond);
	if (more.close) {
		socket.end();
	}
}

/** Resolves when everything was written or the client has disconnected. */
export async function send(socket: Socket, bytes: Uint8Array, bytesPerSecond = Infinity): Promise<void> {
	const step = Math.min(64 * 1024, Math.ceil(bytesPerSecond / 50));
	for (let sent = 0; sent < bytes.length && !socket.destroyed; sent += step) {
		const isFull = !socket.write(bytes.subarray(sent, sent + step));
		if (bytesPerSecond < Infinity) {
			await sleep((step / bytesPerSecond) * 1000);
		}

		if (isFull && socket.writableNeedDrain && !socket.destroyed) {
			await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
		}
	}
}

/** The requested part of the file, or the whole. `isPart` is true only if Range requested it. */
export function askedPart(
	{range}: Pick<Exchange, 'range'>,
	file: Uint8Array,
): {start: number; end: number; isPart: boolean} {
	const {start = 0, end = file.length} = range ?? {};
	return {start, end: Math.min(end, file.length), isPart: range !== undefined};
}

/** A regular server's response, with additional header lines. */
export async function honest(
	exchange: Exchange,
	file: Uint8Array,
	{headers = [], ...more}: Omit<Answer, 'body'> = {},
): Promise<void> {
	const {start, end, isPart} = askedPart(exchange, file);
	if (isPart && start >= file.length) {
		await answer(exchange, {
			status: '416 Range Not Satisfiable',
			headers: [`Content-Range: bytes */${file.length}`],
		});
		return;
	}

	await answer(exchange, {
		status: isPart ? '206 Partial Content' : '200 OK',
		headers: [
			...(isPart ? [`Content-Range: bytes ${start}-${end - 1}/${file.length}`] : []),
			'Accept-Ranges: bytes',
			...(headers.some(line => /^content-type:/i.test(line)) ? [] : ['Content-Type: video/x-matroska']),
			...headers,
		],
		body: file.subarray(start, end),
		...more,
	});
}
