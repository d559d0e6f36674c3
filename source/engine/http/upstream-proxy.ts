// The HTTP client for origins behind an HTTP or SOCKS proxy, by undici. The only user of socks.
import {lookup} from 'node:dns/promises';
import {isIP, type Socket} from 'node:net';
import type {Readable} from 'node:stream';
import {createSecureContext, rootCertificates} from 'node:tls';
import {SocksClient} from 'socks';
import {Agent, buildConnector, errors, Pool, request as requestByUndici, type Dispatcher} from 'undici';
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
import {bareHost, credentialsOf, socksOf, type Socks} from './proxy-settings.ts';

/** So many kept connections may turn out to be closed, one after the other. */
const maxRepeats = 4;

/**
 * What fails on the way to the proxy is `upstream-proxy-…`. Each connection is a tunnel through it. Where an HTTP proxy
 * allows none to an `http:` origin (squid and tinyproxy often do so to port 443 alone), it is asked for the file itself.
 */
export class ProxyClient implements HttpClient {
	readonly #tunnels: Renewable<Dispatcher>;
	readonly #forwarder: Forwarder | undefined;
	readonly #headerNames: HttpClientOptions['headerNames'];
	/** Origins whose files the proxy is asked for. */
	readonly #forwarded = new Set<string>();

	/** `proxy` as `parseProxy` gives it. */
	constructor(proxy: URL, options: HttpClientOptions) {
		this.#headerNames = options.headerNames;
		this.#tunnels = new Renewable(() => createDispatcher(proxy, options));
		this.#forwarder = socksOf(proxy) ? undefined : new Forwarder(proxy, options);
	}

	async get(request: HttpRequest): Promise<HttpResponse> {
		const {url, answerTimeout: headersTimeout, signal} = request;
		const headers = inUsualCase(request.headers, this.#headerNames);
		const asked = {...request, headers};
		if (this.#forwarder && this.#forwarded.has(url.origin)) {
			return this.#forwarder.get(asked);
		}

		try {
			return await repeated(() =>
				requestByUndici(url, {dispatcher: this.#tunnels.current, headers, headersTimeout, signal}),
			);
		} catch (error) {
			if (!(this.#forwarder && url.protocol === 'http:' && error instanceof TunnelRefused)) {
				throw error;
			}

			const answer = await this.#forwarder.get(asked).catch((failure: unknown) => {
				throw failure instanceof HttpError ? error : failure;
			});
			// It does not lead there in either way.
			if (answer.status === error.status) {
				answer.close();
				throw error;
			}

			this.#forwarded.add(url.origin);
			return answer;
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

class TunnelRefused extends DownStreamError {}

/** undici closes idle connections only together with their dispatcher: another one takes the requests to come. */
class Renewable<T extends Dispatcher> {
	readonly #create: () => T;
	/** Their requests still run. */
	readonly #old = new Set<T>();
	current: T;

	constructor(create: () => T) {
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

/** An HTTP proxy that is asked for files by their whole URLs (RFC 9112 section 3.2.2). */
class Forwarder {
	readonly #proxy: URL;
	readonly #pool: Renewable<Pool>;

	constructor(proxy: URL, {tls, timeouts}: HttpClientOptions) {
		this.#proxy = proxy;
		this.#pool = new Renewable(
			() =>
				new Pool(proxy.origin, {
					...poolOptions(timeouts),
					connect: guarded(sentInUsualCase(buildConnector(tlsOptionsOf(tls, timeouts)))),
				}),
		);
	}

	async get({url, headers, answerTimeout, signal}: HttpRequest): Promise<HttpResponse> {
		const answer = await repeated(() =>
			this.#pool.current.request({
				method: 'GET',
				path: `${url.origin}${url.pathname}${url.search}`,
				headers: {Host: url.host, ...headers, ...authorizationOf(this.#proxy)},
				headersTimeout: answerTimeout,
				signal,
			}),
		);
		if (answer.status === 407) {
			answer.close();
			throw wrongUser(this.#proxy, answer.status);
		}

		return answer;
	}

	closeIdle(): void {
		this.#pool.renew();
	}

	async dispose(): Promise<void> {
		await this.#pool.dispose();
	}
}

async function repeated(ask: () => Promise<Dispatcher.ResponseData>): Promise<HttpResponse> {
	for (let repeats = 0; ; repeats++) {
		try {
			return answerOf(await ask());
		} catch (error) {
			if (repeats === maxRepeats || !endedWhenUsedAgain(error)) {
				throw httpError(error);
			}
		}
	}
}

/** A kept connection is no good any more: the request goes by another one at once (RFC 9112 section 9.3.1). */
function endedWhenUsedAgain(error: unknown): boolean {
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

/** undici's errors as ours; others stay as they are. */
function httpError(error: unknown): unknown {
	const {code, name, message} = error as NodeJS.ErrnoException;
	const ours = name === 'HTTPParserError' ? 'NOT_HTTP' : errorCodes[code ?? ''];
	return ours === undefined ? error : new HttpError(ours, message, {cause: error});
}

function answerOf({statusCode, headers, body}: Dispatcher.ResponseData): HttpResponse {
	const fields = new Map(
		Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')] as const),
	);
	const close = () => {
		body.on('error', () => undefined).destroy();
	};
	// undici passes on all other codings, framing included, as if they were the file.
	const coding = fields.get('transfer-encoding')?.toLowerCase() ?? '';
	if (!/^(?:|identity|none|(?:chunked, *)*chunked)$/.test(coding)) {
		close();
		throw new HttpError('NOT_HTTP', 'The answer has a transfer coding that it was not asked for');
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
				throw httpError(error);
			}
		},
		close,
	};
}

/** The network's own buffers. A stream's own iterator joins those that came while nobody read, which copies them. */
async function* buffersOf(stream: Readable): AsyncGenerator<Uint8Array, void, undefined> {
	let buffer: Uint8Array | undefined;
	let wake: (() => void) | undefined;
	stream.on('close', () => wake?.());
	stream.on('data', (arrived: Uint8Array) => {
		buffer = arrived;
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
		maxHeaderSize: 64 * 1024,
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
		connect: guarded(
			sentInUsualCase((options, callback) => {
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
 * Mends two things of undici 7 at the end of a connection. It asserts that its parser is not paused then
 * (nodejs/undici#5360, mended in 8, which does not run on Node 20), so that an origin that closes while we are slow
 * would end the program: here the end waits until what came before it was read. And it takes a reset for the clean
 * end of a body without a length: here a reset is an error.
 */
function guarded(connect: buildConnector.connector): buildConnector.connector {
	return (options, callback) => {
		connect(options, (...result) => {
			const [, socket] = result;
			if (socket) {
				// Otherwise it would be destroyed before what came was read.
				socket.allowHalfOpen = true;
				const on = socket.on.bind(socket) as (event: string, listener: Listener) => Socket;
				socket.on = (event: string, listener: Listener) =>
					on(event, guardedListener(socket, event, listener));
			}

			callback(...result);
		});
	};
}

/** undici writes `host:` and `connection:`. Every string that it writes here is the head of a request without a body. */
function sentInUsualCase(connect: buildConnector.connector): buildConnector.connector {
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

			// Reading on to the end of an answer releases its socket.
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
	// `listener` is what `removeListener` looks for, as for `once`.
	return guard ? Object.assign(guard, {listener}) : listener;
}

type OpenTunnel = (host: string, port: number) => Promise<Socket>;

function socksTunnel(proxy: URL, socks: Socks, timeout: number): OpenTunnel {
	const [user, password] = credentialsOf(proxy);
	return async (host, port) => {
		const isResolvedHere = !socks.resolvesNames && !isIP(host);
		const resolved = isResolvedHere ? await resolve(host, socks.version === 4 ? 4 : 0) : host;
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
		return new DownStreamError('upstream-proxy-refused', `${nameOf(proxy)} wants another user or password`, {
			cause: error,
		});
	}

	// Replies of RFC 1928 section 6, or of SOCKS4: the proxy works, the origin behind it does not.
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
				`${nameOf(proxy)} does not answer as a SOCKS${version} proxy`,
				{cause: error},
			)
		: new DownStreamError('origin-unreachable', `${nameOf(proxy)} cannot reach ${host} (${reply})`, {
				cause: error,
			});
}

/** RFC 9110 section 9.3.6: CONNECT. */
function httpTunnel(proxy: URL, tls: buildConnector.BuildOptions, headersTimeout: number): OpenTunnel {
	const pool = new Pool(proxy.origin, {connect: sentInUsualCase(buildConnector(tls)), headersTimeout});
	return async (host, port) => {
		const target = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
		const headers = {Host: target, ...authorizationOf(proxy)};
		let answer: Dispatcher.ConnectData;
		try {
			answer = await pool.connect({path: target, headers});
		} catch (error) {
			const problem = certificateProblem(error, `the proxy ${proxy.host}`);
			if (problem !== undefined) {
				throw new DownStreamError('upstream-proxy-refused', problem, {
					cause: error,
					needs: 'trust',
				});
			}

			// One that knows no CONNECT may close the connection instead of an answer.
			const Kind = error instanceof errors.SocketError ? TunnelRefused : DownStreamError;
			throw new Kind('upstream-proxy-unreachable', `${nameOf(proxy)} cannot be reached`, {cause: error});
		}

		const {statusCode} = answer;
		const socket = answer.socket as Socket;
		if (statusCode >= 200 && statusCode < 300) {
			return socket;
		}

		socket.on('error', () => undefined).destroy();
		if (statusCode === 401 || statusCode === 407) {
			throw wrongUser(proxy, statusCode);
		}

		// 501: it knows no CONNECT.
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

function wrongUser(proxy: URL, status: number): DownStreamError {
	return new DownStreamError('upstream-proxy-refused', `${nameOf(proxy)} wants another user or password`, {
		status,
	});
}

function authorizationOf(proxy: URL): Record<string, string> {
	const [user, password] = credentialsOf(proxy);
	const token = Buffer.from(`${user}:${password}`).toString('base64');
	return user === '' ? {} : {'Proxy-Authorization': `Basic ${token}`};
}

function nameOf(proxy: URL): string {
	return `The proxy ${proxy.host}`;
}
