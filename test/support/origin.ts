// A real HTTP server on loopback with a file whose bytes are a pure function of the offset.
import {once} from 'node:events';
import http from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import type {Writable} from 'node:stream';
import type {Range} from '../../source/engine/store/range-set.ts';
import {content} from './content.ts';

export type OriginOptions = {
	/** Bytes of the file. */
	size: number;
	seed?: number;
	/** Answers Range; otherwise always 200 with the whole. */
	ranges?: boolean;
	/** How the length of a 200 is told. `close` answers as HTTP/1.0 and ends the body by closing. */
	length?: 'content-length' | 'chunked' | 'close';
	/** Milliseconds before the answer's headers: a round trip of the origin. */
	latency?: number;
	/** Of each connection. */
	bytesPerSecond?: number;
	etag?: string;
	lastModified?: string;
	headers?: http.OutgoingHttpHeaders;
	/** Answers itself and returns true, or lets the ordinary answer go on. */
	intercept?: (
		request: http.IncomingMessage,
		response: http.ServerResponse,
		record: OriginRequestRecord,
	) => boolean | Promise<boolean>;
};

export type OriginRequestRecord = {
	method: string;
	url: string;
	headers: http.IncomingHttpHeaders;
	/** The bytes that were asked for, half-open; undefined without Range. */
	range: Range | undefined;
	/** The bytes of the file that were handed to the socket, half-open. */
	sent: {start: number; end: number};
};

export class TestOrigin {
	readonly requests: OriginRequestRecord[] = [];
	readonly sockets = new Set<Socket>();
	/** The most connections that were open at once. */
	maxSockets = 0;
	readonly #server: http.Server;
	options: OriginOptions;

	static async start(options: OriginOptions): Promise<TestOrigin> {
		const origin = new TestOrigin(options);
		origin.#server.listen(0, '127.0.0.1');
		await once(origin.#server, 'listening');
		return origin;
	}

	private constructor(options: OriginOptions) {
		this.options = options;
		this.#server = http.createServer((request, response) => {
			void this.#answer(request, response).catch(() => response.destroy());
		});
		this.#server.on('connection', socket => {
			this.sockets.add(socket);
			this.maxSockets = Math.max(this.maxSockets, this.sockets.size);
			socket.on('error', () => undefined);
			socket.on('close', () => this.sockets.delete(socket));
		});
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	/** The file's URL. */
	get url(): string {
		return this.urlOf('/film.bin');
	}

	urlOf(path: string): string {
		return `http://127.0.0.1:${this.port}${path}`;
	}

	/** Bytes of the file handed to sockets in all answers. */
	get bytesSent(): number {
		return this.requests.reduce((sum, {sent}) => sum + sent.end - sent.start, 0);
	}

	content(start: number, end: number): Buffer {
		return content(start, end, this.options.seed);
	}

	async close(): Promise<void> {
		this.#server.close();
		this.#server.closeAllConnections();
		await once(this.#server, 'close');
	}

	async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
		const {size, ranges = true, length = 'content-length', latency = 0} = this.options;
		const asked = ranges ? parseRange(request.headers.range, size) : undefined;
		const record: OriginRequestRecord = {
			method: request.method ?? '',
			url: request.url ?? '',
			headers: request.headers,
			range: parseRange(request.headers.range, size),
			sent: {start: 0, end: 0},
		};
		this.requests.push(record);
		if (latency > 0) {
			await new Promise(resolve => setTimeout(resolve, latency));
		}

		if (await this.options.intercept?.(request, response, record)) {
			return;
		}

		const {etag, lastModified, headers} = this.options;
		const answerHeaders: http.OutgoingHttpHeaders = {
			'content-type': 'application/octet-stream',
			...(etag === undefined ? {} : {etag}),
			...(lastModified === undefined ? {} : {'last-modified': lastModified}),
			...(ranges ? {'accept-ranges': 'bytes'} : {}),
			...headers,
		};
		if (asked && asked.start >= size) {
			response.writeHead(416, {...answerHeaders, 'content-range': `bytes */${size}`, 'content-length': 0});
			response.end();
			return;
		}

		const range = asked ?? {start: 0, end: size};
		if (asked) {
			answerHeaders['content-range'] = `bytes ${range.start}-${range.end - 1}/${size}`;
		}

		if (length === 'close' && !asked) {
			response.useChunkedEncodingByDefault = false;
			response.shouldKeepAlive = false;
			answerHeaders.connection = 'close';
		} else if (length !== 'chunked' || asked) {
			answerHeaders['content-length'] = range.end - range.start;
		}

		response.writeHead(asked ? 206 : 200, answerHeaders);
		if (request.method === 'HEAD') {
			response.end();
			return;
		}

		await this.send(response, range, record);
		response.end();
	}

	/** Writes the bytes of the range, as fast as the connection may be, and counts them. */
	async send(
		to: Writable,
		range: Range,
		record: OriginRequestRecord,
		{seed = this.options.seed, bytesPerSecond}: {seed?: number; bytesPerSecond?: number} = {},
	): Promise<void> {
		const perSecond = () => bytesPerSecond ?? this.options.bytesPerSecond ?? Infinity;
		record.sent = {start: range.start, end: range.start};
		let due = performance.now();
		for (let offset = range.start; offset < range.end && !to.destroyed;) {
			const step = Math.min(64 * 1024, range.end - offset, Math.max(1024, Math.ceil(perSecond() / 20)));
			to.write(content(offset, offset + step, seed));
			offset += step;
			record.sent.end = offset;
			due = Math.max(due, performance.now() - 50) + (step / perSecond()) * 1000;
			const pause = due - performance.now();
			if (pause > 0) {
				await new Promise(resolve => setTimeout(resolve, pause));
			}

			if (to.writableNeedDrain && !to.destroyed) {
				await drainedOrClosed(to);
			}
		}
	}
}

function drainedOrClosed(to: Writable): Promise<void> {
	return new Promise(resolve => {
		const settle = () => {
			to.off('drain', settle).off('close', settle);
			resolve();
		};

		to.on('drain', settle).on('close', settle);
	});
}

function parseRange(header: string | undefined, size: number): Range | undefined {
	const match = /^bytes=(\d+)-(\d*)$/.exec(header ?? '');
	if (!match) {
		return undefined;
	}

	return {start: Number(match[1]), end: match[2] ? Math.min(size, Number(match[2]) + 1) : size};
}
