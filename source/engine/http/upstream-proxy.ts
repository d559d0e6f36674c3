// The HTTP client for origins behind an HTTP or SOCKS proxy: tunnels by undici, and a proxy that is asked for files by
// the direct client's connections. The only user of socks.
import {lookup} from 'node:dns/promises';
import {isIP, type Socket} from 'node:net';
import type {Readable} from 'node:stream';
import {createSecureContext, rootCertificates} from 'node:tls';
import {SocksClient} from 'socks';
import {
	Agent,
	buildConnector,
	errors,
	Pool as ConnectPool,
	request as requestByUndici,
	type Dispatcher,
} from 'undici';
import {DownStreamError} from '../../downstream.ts';
import {certificateProblem, HttpError, type HttpErrorCode} from './errors.ts';
import type {
	HttpResponse,
	HttpClient,
	HttpClientOptions,
	HttpRequest,
	HttpTimeouts,
	TlsOptions,
} from './client.ts';
import {inUsualCase} from './headers.ts';
import {Pool} from './pool.ts';
import {bareHost, credentialsOf, socksOf, type Socks} from './proxy-settings.ts';

/** Limit for successive reused connections that turn out to be closed. */
const maxRetries = 4;

/**
 * Failures on the way to the proxy are `upstream-proxy-…`. Each connection is a tunnel. If an HTTP proxy refuses a
 * tunnel to an `http:` origin (squid and tinyproxy often allow port 443 only), the request is forwarded instead.
 */
export class ProxyClient implements HttpClient {
	readonly #tunnels: RenewableDispatcher;
	readonly #forwarder: Forwarder | undefined;
	readonly #headerNames: HttpClientOptions['headerNames'];
	/** Origins reached by forwarding. */
	readonly #forwarded = new Set<string>();

	/** `proxy` is a result of `parseProxy`. */
	constructor(proxy: URL, options: HttpClientOptions) {
		this.#headerNames = options.headerNames;
		this.#tunnels = new RenewableDispatcher(() => createDispatcher(proxy, options));
		this.#forwarder = socksOf(proxy) ? undefined : new Forwarder(proxy, options);
	}

	async get(request: HttpRequest): Promise<HttpResponse> {
		const {url, responseTimeout: headersTimeout, signal} = request;
		const headers = inUsualCase(request.headers, this.#headerNames);
		const outgoing = {...request, headers};
		if (this.#forwarder && this.#forwarded.has(url.origin)) {
			return this.#forwarder.get(outgoing);
		}

		try {
			return await withRetries(() =>
				requestByUndici(url, {dispatcher: this.#tunnels.current, headers, headersTimeout, signal}),
			);
		} catch (error) {
			if (!(this.#forwarder && url.protocol === 'http:' && error instanceof TunnelRefused)) {
				throw error;
			}

			const response = await this.#forwarder.get(outgoing).catch((failure: unknown) => {
				throw failure instanceof HttpError && !isOfResponse(failure) ? error : failure;
			});
			// The proxy refuses both ways.
			if (response.status === error.status) {
				response.close();
				throw error;
			}

			this.#forwarded.add(url.origin);
			return response;
		}
	}

	closeIdle(): void {
		this.#tunnels.renew();
		this.#forwarder?.closeIdle();
	}

	async dispose(): Promise<void> {
		await Promise.all([this.#tunnels.dispose(), this.#forwarder?.dispose()]);
	}
}

/** The proxy has responded, but not with readable HTTP. */
function isOfResponse({code}: HttpError): boolean {
	return code === 'NOT_HTTP' || code === 'HEADERS_TOO_LARGE';
}

class TunnelRefused extends DownStreamError {}

/** undici closes idle connections only with their dispatcher, so a new one takes over for later requests. */
class RenewableDispatcher {
	readonly #create: () => Dispatcher;
	/** Dispatchers with requests in progress. */
	readonly #old = new Set<Dispatcher>();
	current: Dispatcher;

	constructor(create: () => Dispatcher) {
		this.#create = create;
		this.current = create();
	}

	renew(): void {
		const old = this.current;
		this.current = this.#create();
		this.#old.add(old);
		void old
			.close()
			.catch(() => undefined)
			.finally(() => this.#old.delete(old));
	}

	async dispose(): Promise<void> {
		await Promise.all([this.current, ...this.#old].map(dispatcher => dispatcher.destroy()));
	}
}

/** Sends requests to an HTTP proxy in absolute form (RFC 9112 section 3.2.2). */
class Forwarder {
	readonly #proxy: URL;
	readonly #pool: Pool;

	constructor(proxy: URL, options: HttpClientOptions) {
		this.#proxy = proxy;
		this.#pool = new Pool(proxy, options);
	}

	async get(request: HttpRequest): Promise<HttpResponse> {
		const {url, headers} = request;
		const response = await this.#pool.get({
			...request,
			target: `${url.origin}${url.pathname}${url.search}`,
			headers: {...headers, ...authorizationOf(this.#proxy)},
			// The connection leads to the proxy, not to the origin.
			approve: undefined,
		});
		if (response.status === 407) {
			response.close();
			throw authenticationFailed(this.#proxy, response.status);
		}

		return response;
	}

	closeIdle(): void {
		this.#pool.closeIdle();
	}

	async dispose(): Promise<void> {
		this.#pool.close();
	}
}

async function withRetries(send: () => Promise<Dispatcher.ResponseData>): Promise<HttpResponse> {
	for (let retries = 0; ; retries++) {
		try {
			return toResponse(await send());
		} catch (error) {
			if (retries === maxRetries || !failedOnReuse(error)) {
				throw toHttpError(error);
			}
		}
	}
}

/** A reused connection had been closed; the request is withRetries on another one at once (RFC 9112 section 9.3.1). */
function failedOnReuse(error: unknown): boolean {
	return error instanceof errors.SocketError && (error.socket?.bytesRead ?? 0) > 0;
}

const errorCodes: Partial<Record<string, HttpErrorCode>> = {
	UND_ERR_SOCKET: 'CONNECTION_CLOSED',
	UND_ERR_CONNECT_TIMEOUT: 'CONNECT_TIMEOUT',
	UND_ERR_HEADERS_TIMEOUT: 'HEADERS_TIMEOUT',
	UND_ERR_BODY_TIMEOUT: 'BODY_TIMEOUT',
	UND_ERR_HEADERS_OVERFLOW: 'HEADERS_TOO_LARGE',
	UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'NOT_HTTP',
};

/** Maps undici's errors to `HttpError`; returns others unchanged. */
function toHttpError(error: unknown): unknown {
	const {code, name, message} = error as NodeJS.ErrnoException;
	const mapped = name === 'HTTPParserError' ? 'NOT_HTTP' : errorCodes[code ?? ''];
	return mapped === undefined ? error : new HttpError(mapped, message, {cause: error});
}

function toResponse({statusCode, headers, body}: Dispatcher.ResponseData): HttpResponse {
	const fields = new Map(
		Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')] as const),
	);
	const close = () => {
		body.on('error', () => undefined).destroy();
	};
	// undici passes other codings through undecoded, framing included.
	const coding = fields.get('transfer-encoding')?.toLowerCase() ?? '';
	if (!/^(?:|identity|none|(?:chunked, *)*chunked)$/.test(coding)) {
		close();
		throw new HttpError('NOT_HTTP', 'The response has an unsolicited transfer coding');
	}

	const buffers = buffersOf(body);
	return {
		status: statusCode,
		headers: fields,
		endIsProven: coding.endsWith('chunked') || fields.has('content-length'),
		async read() {
			try {
				const {value} = await buffers.next();
				return value ?? undefined;
			} catch (error) {
				throw toHttpError(error);
			}
		},
		close,
	};
}

/**
 * Yields the network's own buffers. A stream's own iterator concatenates, and so copies, buffers that arrived between
 * reads.
 */
async function* buffersOf(stream: Readable): AsyncGenerator<Uint8Array, void, undefined> {
	let buffer: Uint8Array | undefined;
	let wake: (() => void) | undefined;
	stream.on('close', () => wake?.());
	stream.on('data', (received: Uint8Array) => {
		buffer = received;
		stream.pause();
		wake?.();
	});
	for (;;) {
		if (buffer) {
			const next = buffer;
			buffer = undefined;
			yield next;
		} else if (stream.errored) {
			throw stream.errored;
		} else if (stream.closed) {
			return;
		} else {
			await new Promise<void>(resolve => {
				wake = resolve;
				stream.resume();
			});
		}
	}
}

function tlsOptionsOf(tls: TlsOptions, timeouts: HttpTimeouts): buildConnector.BuildOptions {
	return {
		timeout: timeouts.connect,
		allowH2: false,
		...(tls.ca === undefined
			? {}
			: {secureContext: createSecureContext({ca: [...rootCertificates, tls.ca]})}),
		...(tls.insecure ? {rejectUnauthorized: false} : {}),
	};
}

function poolOptions(timeouts: HttpTimeouts) {
	return {
		headersTimeout: timeouts.headers,
		bodyTimeout: timeouts.body,
		keepAliveTimeout: 30_000,
		maxHeaderSize: 256 * 1024,
	};
}

function createDispatcher(proxy: URL, {connections, tls, timeouts}: HttpClientOptions): Dispatcher {
	const tlsOptions = tlsOptionsOf(tls, timeouts);
	const socks = socksOf(proxy);
	const openTunnel = socks
		? socksTunnel(proxy, socks, timeouts.connect)
		: httpTunnel(proxy, tlsOptions, timeouts.headers);
	const connectTls = buildConnector(tlsOptions);
	return new Agent({
		connections,
		...poolOptions(timeouts),
		connect: withSafeEnd(
			withUsualHeaderCase((options, callback) => {
				const {protocol, hostname, servername} = options;
				const host = hostname.replace(/^\[|\]$/g, '');
				const port = Number(options.port) || (protocol === 'https:' ? 443 : 80);
				openTunnel(host, port).then(
					socket => {
						socket.setNoDelay(true);
						if (protocol === 'https:') {
							connectTls(
								{...options, httpSocket: socket, servername: servername || (isIP(host) ? '' : host)},
								callback,
							);
						} else {
							callback(null, socket);
						}
					},
					(error: Error) => callback(error, null),
				);
			}),
		),
	});
}

/**
 * Works around two faults of undici 7 at the end of a connection. Its parser asserts that it is not paused
 * (nodejs/undici#5360, fixed in 8, which does not run on Node 20), so an origin that closes while the reader is slow
 * would end the process: here, the end is delayed until the preceding bytes were read. And it accepts a reset as the
 * clean end of a body without a length: here, a reset is an error.
 */
function withSafeEnd(connect: buildConnector.connector): buildConnector.connector {
	return (options, callback) => {
		connect(options, (...result) => {
			const [, socket] = result;
			if (socket) {
				// Otherwise the socket would be destroyed before the received bytes were read.
				socket.allowHalfOpen = true;
				const on = socket.on.bind(socket) as (event: string, listener: Listener) => Socket;
				socket.on = (event: string, listener: Listener) =>
					on(event, guardedListener(socket, event, listener));
			}

			callback(...result);
		});
	};
}

/** undici writes `host:` and `connection:`. Every string written here is the head of a request without a body. */
function withUsualHeaderCase(connect: buildConnector.connector): buildConnector.connector {
	return (options, callback) => {
		connect(options, (...result) => {
			const [, socket] = result;
			if (socket) {
				const write = socket.write.bind(socket) as (data: unknown, ...rest: unknown[]) => boolean;
				socket.write = (data: unknown, ...rest: unknown[]) =>
					write(
						typeof data === 'string'
							? data.replace('\r\nhost: ', '\r\nHost: ').replace('\r\nconnection: ', '\r\nConnection: ')
							: data,
						...rest,
					);
			}

			callback(...result);
		});
	};
}

// oxlint-disable-next-line typescript/no-explicit-any -- what a listener is called with depends on its event
type Listener = (...values: any[]) => void;

const pausedPollMs = 10;

function guardedListener(socket: Socket, event: string, listener: Listener): Listener {
	const end = () => {
		try {
			listener.call(socket);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ERR_ASSERTION') {
				throw error;
			}

			// Reading the response to its end releases the socket.
			setTimeout(() => socket.destroyed || end(), pausedPollMs);
		}
	};
	const fail = (error: NodeJS.ErrnoException) => {
		listener.call(
			socket,
			error.code === 'ECONNRESET' ? new Error('connection reset', {cause: error}) : error,
		);
	};
	const guards: Partial<Record<string, Listener>> = {end, error: fail};
	const guard = guards[event];
	// `removeListener` finds wrappers by their `listener` property, as it does for `once`.
	return guard ? Object.assign(guard, {listener}) : listener;
}

type OpenTunnel = (host: string, port: number) => Promise<Socket>;

function socksTunnel(proxy: URL, socks: Socks, timeout: number): OpenTunnel {
	const [user, password] = credentialsOf(proxy);
	return async (host, port) => {
		const resolvesLocally = !socks.resolvesNames && !isIP(host);
		const resolved = resolvesLocally ? await resolve(host, socks.version === 4 ? 4 : 0) : host;
		try {
			const {socket} = await SocksClient.createConnection({
				proxy: {
					host: bareHost(proxy),
					port: Number(proxy.port) || 1080,
					type: socks.version,
					...(user === '' ? {} : {userId: user, password}),
				},
				command: 'connect',
				timeout,
				destination: {host: resolved, port},
			});
			return socket;
		} catch (error) {
			throw socksError(error, proxy, socks, host);
		}
	};
}

async function resolve(host: string, family: 0 | 4): Promise<string> {
	try {
		return (await lookup(host, {family})).address;
	} catch (error) {
		throw new DownStreamError('origin-unreachable', `No such host: ${host}`, {cause: error});
	}
}

function socksError(error: unknown, proxy: URL, {version}: Socks, host: string): DownStreamError {
	const text = String(error);
	if (/authentication|NoAcceptable|invalid.*auth|RejectedIdent/i.test(text)) {
		return new DownStreamError(
			'upstream-proxy-refused',
			`${nameOf(proxy)} requires a valid user and password`,
			{
				cause: error,
			},
		);
	}

	// Replies of RFC 1928 section 6, or of SOCKS4: the proxy works, but the origin behind it is unreachable.
	const [, reply] = /Socks[45] proxy rejected connection - \(?(\w+)/i.exec(text) ?? [];
	if (reply === 'NotAllowed') {
		return new DownStreamError(
			'upstream-proxy-refused',
			`${nameOf(proxy)} does not allow connections to ${host}`,
			{cause: error},
		);
	}

	return reply === undefined
		? new DownStreamError(
				'upstream-proxy-unreachable',
				`${nameOf(proxy)} does not respond as a SOCKS${version} proxy`,
				{cause: error},
			)
		: new DownStreamError('origin-unreachable', `${nameOf(proxy)} cannot reach ${host} (${reply})`, {
				cause: error,
			});
}

/** CONNECT (RFC 9110 section 9.3.6). */
function httpTunnel(proxy: URL, tls: buildConnector.BuildOptions, headersTimeout: number): OpenTunnel {
	const pool = new ConnectPool(proxy.origin, {
		connect: withUsualHeaderCase(buildConnector(tls)),
		headersTimeout,
	});
	return async (host, port) => {
		const target = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
		const headers = {Host: target, ...authorizationOf(proxy)};
		let response: Dispatcher.ConnectData;
		try {
			response = await pool.connect({path: target, headers});
		} catch (error) {
			const problem = certificateProblem(error, `the proxy ${proxy.host}`);
			if (problem !== undefined) {
				throw new DownStreamError('upstream-proxy-refused', problem, {
					cause: error,
					needs: 'trust',
				});
			}

			// A proxy without CONNECT may close the connection instead of responding.
			const Kind = error instanceof errors.SocketError ? TunnelRefused : DownStreamError;
			throw new Kind('upstream-proxy-unreachable', `${nameOf(proxy)} cannot be reached`, {cause: error});
		}

		const {statusCode} = response;
		const socket = response.socket as Socket;
		if (statusCode >= 200 && statusCode < 300) {
			return socket;
		}

		socket.on('error', () => undefined).destroy();
		if (statusCode === 401 || statusCode === 407) {
			throw authenticationFailed(proxy, statusCode);
		}

		// 501: CONNECT is not implemented.
		throw statusCode < 500 || statusCode === 501
			? new TunnelRefused(
					'upstream-proxy-refused',
					`${nameOf(proxy)} refuses to connect to ${host} (${statusCode})`,
					{status: statusCode},
				)
			: new DownStreamError('origin-unreachable', `${nameOf(proxy)} cannot reach ${host} (${statusCode})`, {
					status: statusCode,
				});
	};
}

function authenticationFailed(proxy: URL, status: number): DownStreamError {
	return new DownStreamError(
		'upstream-proxy-refused',
		`${nameOf(proxy)} requires a valid user and password`,
		{
			status,
		},
	);
}

function authorizationOf(proxy: URL): Record<string, string> {
	const [user, password] = credentialsOf(proxy);
	const token = Buffer.from(`${user}:${password}`).toString('base64');
	return user === '' ? {} : {'Proxy-Authorization': `Basic ${token}`};
}

function nameOf(proxy: URL): string {
	return `The proxy ${proxy.host}`;
}
