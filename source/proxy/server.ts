// The proxy server for players and clients: HTTP on loopback.
import {once} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {DownStreamError, type AddRequest, type DownloadId} from '../downstream.ts';
import {Leases, type LeasedEngine} from '../leases.ts';
import {bearerToken, decideAccess, permissionOf, viewKeyRefusal, type Keys} from './access.ts';
import {leaseHeader, leaseOf, sendJson, serveApi} from './control-api.ts';
import {openApi} from './openapi.ts';
import {playlistOf} from './playlist.ts';
import {Problem} from './problem.ts';
import {serveStream, type StreamedTransfer} from './stream.ts';

/** The engine's interface for the proxy. */
export interface StreamingEngine extends LeasedEngine {
	/** Required for the API, the playlist, and URLs outside the list. */
	readonly key: string;
	/** Authorizes the playlist, the events and other reads of the API. */
	readonly viewKey: string;
	transfer(id: DownloadId): StreamedTransfer | undefined;
	/** The transfer of any request, added on first use. Rejects with `bad-request` for URLs other than http(s). */
	transferOf(request: AddRequest): Promise<StreamedTransfer>;
}

export type ProxyServerOptions = {
	readonly engine: StreamingEngine;
	/** 0 selects a free port. */
	readonly port: number;
	/** Reject with `port-taken` instead of trying the next port. */
	readonly exactPort: boolean;
	/** Origins of allowed web pages, such as `https://player.example`. */
	readonly allowOrigins: readonly string[];
	/** `/stream?url=` requires no key. */
	readonly openStream: boolean;
	/** Milliseconds for a client to send the head of a request; 10 s by default. */
	readonly headTimeout?: number;
	/** Completes an add request of a client or player before it is added. */
	readonly prepareAdd?: (request: AddRequest) => Promise<AddRequest>;
};

export class ProxyServer {
	/** The requested port, if it was taken and another is used. */
	readonly takenPort: number | undefined;
	readonly port: number;
	readonly leases: Leases;
	readonly #server: Server;
	readonly #options: ProxyServerOptions;

	/** Rejects with `port-taken`. */
	static async listen(options: ProxyServerOptions): Promise<ProxyServer> {
		const {headTimeout = 10_000} = options;
		const server = createServer({
			// Fits a long signed URL inside a proxy URL.
			maxHeaderSize: 64 * 1024,
			// Drops clients that trickle their request. Responses may take arbitrarily long.
			headersTimeout: headTimeout,
			requestTimeout: 6 * headTimeout,
			connectionsCheckingInterval: headTimeout / 2,
			// The next disk read can proceed while the socket drains the previous one.
			highWaterMark: 256 * 1024,
		});
		let port = options.port;
		while (!(await tryListen(server, port))) {
			port++;
			if (options.exactPort || port > 65_535) {
				throw new DownStreamError('port-taken', `Port ${options.port} of 127.0.0.1 is taken or reserved`);
			}
		}

		return new ProxyServer(server, options);
	}

	private constructor(server: Server, options: ProxyServerOptions) {
		this.#server = server;
		this.#options = options;
		this.leases = new Leases(options.engine);
		this.port = (server.address() as AddressInfo).port;
		this.takenPort = options.port === 0 || options.port === this.port ? undefined : options.port;
		server.on('request', (request, response) => void this.#handle(request, response));
		// Accepting failed, perhaps for lack of file descriptors; the next connection may succeed.
		server.on('error', () => undefined);
	}

	get origin(): string {
		return `http://127.0.0.1:${this.port}`;
	}

	/** Disconnects all players and clients, and frees the port. */
	async close(): Promise<void> {
		this.leases.close();
		const closed = once(this.#server, 'close');
		this.#server.close();
		this.#server.closeAllConnections();
		await closed;
	}

	async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
		if (!response.socket) {
			// The request is pipelined behind an unfinished response. Node would not report a connection that ends before
			// its turn, so the work starts only with its turn.
			await once(response, 'socket');
		}

		const hangUp = new AbortController();
		response.on('close', () => hangUp.abort());
		// The following close event is sufficient.
		response.on('error', () => undefined);
		try {
			await this.#route(request, response, hangUp.signal);
		} catch (error) {
			if (response.destroyed) {
				// The client has disconnected.
				return;
			}

			if (!response.headersSent) {
				Problem.from(error).send(response);
			} else if (request.httpVersion === '1.0') {
				// Only a reset distinguishes a truncated body from one delimited by close.
				request.socket.resetAndDestroy();
			} else {
				response.destroy();
			}
		}
	}

	async #route(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
		const {engine, allowOrigins, openStream, prepareAdd} = this.#options;
		requireOneHost(request);
		const access = decideAccess(request.headers, {allowOrigins});
		if (!access.granted) {
			throw new Problem(access.status, access.reason);
		}

		if (access.page !== undefined) {
			allowPage(access.page, response);
			if (request.method === 'OPTIONS') {
				response.writeHead(204).end();
				return;
			}
		}

		// Parsed manually: for an absolute-form target, `URL` would use a host that was never checked.
		const [, path, query] = /^(\/[^?]*)\??(.*)$/.exec(request.url ?? '') ?? [];
		if (path === undefined) {
			throw new Problem(400, 'The request target must be a path.');
		}

		const parameters = new URLSearchParams(query);
		const [, area, id] = path.split('/');
		if (path === '/api/openapi.json') {
			// Public: clients are generated from it before they have a key.
			requireRead(request);
			sendJson(response, 200, openApi());
		} else if (area === 'api') {
			// The `EventSource` of browsers cannot send custom headers.
			const inUrl = path === '/api/events' ? parameters.get('key') : undefined;
			const permission = requireKey(bearerToken(request.headers.authorization) ?? inUrl, engine);
			const lease = leaseOf(request);
			const {leases} = this;
			await serveApi(engine, {request, response, path, parameters, permission, prepareAdd, leases, lease});
		} else if (area === 'stream' && id) {
			requireRead(request);
			const transfer = engine.transfer(id);
			if (!transfer) {
				throw new DownStreamError('not-found', 'There is no such download.');
			}

			await serveStream(parameters.has('cached') ? transfer.cached : transfer, request, response, signal);
		} else if (path === '/stream') {
			requireRead(request);
			if (!openStream) {
				requireCommandKey(parameters.get('key'), engine);
			}

			const url = parameters.get('url');
			if (url === null) {
				throw new DownStreamError('bad-request', 'The parameter "url" is missing.');
			}

			const addRequest = prepareAdd ? await prepareAdd({url}) : {url};
			await serveStream(await engine.transferOf(addRequest), request, response, signal);
		} else if (path === '/playlist.m3u') {
			requireRead(request);
			requireKey(parameters.get('key'), engine);
			response.setHeader('content-type', 'audio/x-mpegurl; charset=utf-8');
			response.setHeader('cache-control', 'no-store');
			const onlyBegun = parameters.has('begun');
			response.end(playlistOf(engine.snapshot.downloads, {onlyBegun}));
		} else {
			throw new Problem(404, 'There is nothing at this address.');
		}
	}
}

/** Returns false if the port is taken or reserved by the system. */
async function tryListen(server: Server, port: number): Promise<boolean> {
	try {
		await once(server.listen(port, '127.0.0.1'), 'listening');
		return true;
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code === 'EADDRINUSE' || code === 'EACCES') {
			return false;
		}

		throw error;
	}
}

/** CORS headers, so that the page's scripts can request ranges and read responses (Fetch standard, section 3.3). */
function allowPage(page: string, response: ServerResponse): void {
	response.setHeader('access-control-allow-origin', page);
	response.setHeader('vary', 'Origin');
	response.setHeader('access-control-allow-methods', 'GET, HEAD, POST, PATCH, DELETE');
	response.setHeader(
		'access-control-allow-headers',
		`Authorization, Content-Type, ${leaseHeader}, If-Range, Range`,
	);
	response.setHeader(
		'access-control-expose-headers',
		'Accept-Ranges, Content-Length, Content-Range, Downstream-Version, ETag, Location, Retry-After',
	);
}

function requireKey(candidate: string | null | undefined, keys: Keys): 'command' | 'view' {
	const permission = permissionOf(candidate, keys);
	if (permission === 'none') {
		throw new Problem(401, 'The key is missing or wrong.', {'www-authenticate': 'Bearer'});
	}

	return permission;
}

function requireCommandKey(given: string | null | undefined, keys: Keys): void {
	if (requireKey(given, keys) === 'view') {
		throw new Problem(403, viewKeyRefusal);
	}
}

/** Node keeps the first of several, but a forwarding server may use a different one (RFC 9112 section 3.2). */
function requireOneHost({rawHeaders}: IncomingMessage): void {
	if (rawHeaders.filter((text, index) => index % 2 === 0 && /^host$/i.test(text)).length > 1) {
		throw new Problem(400, 'The request has more than one Host header.');
	}
}

function requireRead({method}: IncomingMessage): void {
	if (method !== 'GET' && method !== 'HEAD') {
		throw new Problem(405, 'Only GET and HEAD are allowed here.', {allow: 'GET, HEAD'});
	}
}
