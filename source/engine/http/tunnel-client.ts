// GET through tunnels of an upstream proxy. The only user of undici.
import {Agent, buildConnector, errors, Pool as ConnectPool, request, type Dispatcher} from 'undici';
import type {Readable} from 'node:stream';
import {createSecureContext, rootCertificates} from 'node:tls';
import {isIP, type Socket} from 'node:net';
import {DownStreamError} from '../../downstream.ts';
import type {HttpClientOptions, HttpRequest, HttpResponse, HttpTimeouts, TlsOptions} from './client.ts';
import {HttpError, certificateProblem, type HttpErrorCode} from './errors.ts';
import {socksTunnel, type OpenTunnel} from './socks-tunnel.ts';
import {socksOf} from './proxy-settings.ts';
import {delayEnd, writeUsualCase} from './socket-repairs.ts';
import {authorizationOf, nameOf, authenticationFailed} from './proxy-login.ts';
import {contextFrom} from './trust.ts';

/** Limit for successive reused connections that turn out to be closed. */
const maxRetries = 4;

export class TunnelRefused extends DownStreamError {}

export class TunnelClient {
	readonly #create: () => Dispatcher;
	#dispatcher: Dispatcher;
	/** Replaced dispatchers with requests in progress. */
	readonly #replaced = new Set<Dispatcher>();

	/** `proxy` is a result of `parseProxy`. */
	constructor(proxy: URL, options: HttpClientOptions) {
		this.#create = () => createDispatcher(proxy, options);
		this.#dispatcher = this.#create();
	}

	/** Rejects with `TunnelRefused` if an HTTP proxy refuses the tunnel, else as `HttpClient.get` does. */
	async get({url, headers, responseTimeout: headersTimeout, signal}: HttpRequest): Promise<HttpResponse> {
		for (let retries = 0; ; retries++) {
			try {
				return toResponse(
					await request(url, {dispatcher: this.#dispatcher, headers, headersTimeout, signal}),
				);
			} catch (error) {
				if (retries === maxRetries || !failedOnReuse(error)) {
					throw toHttpError(error);
				}
			}
		}
	}

	/** undici closes idle connections only with their dispatcher, so a new one serves later requests. */
	closeIdle(): void {
		const replaced = this.#dispatcher;
		this.#dispatcher = this.#create();
		this.#replaced.add(replaced);
		void replaced
			.close()
			.catch(() => undefined)
			.finally(() => this.#replaced.delete(replaced));
	}

	async dispose(): Promise<void> {
		await Promise.all([this.#dispatcher, ...this.#replaced].map(dispatcher => dispatcher.destroy()));
	}
}

/** A reused connection had been closed: the request is repeated on another one at once (RFC 9112 section 9.3.1). */
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
			: {secureContext: contextFrom({createSecureContext, rootCertificates}, tls.ca)}),
		...(tls.insecure ? {rejectUnauthorized: false} : {}),
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
		headersTimeout: timeouts.headers,
		bodyTimeout: timeouts.body,
		keepAliveTimeout: 30_000,
		maxHeaderSize: 256 * 1024,
		connect: repaired(
			(options, callback) => {
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
			},
			[writeUsualCase, delayEnd],
		),
	});
}

function repaired(
	connect: buildConnector.connector,
	repairs: ReadonlyArray<(socket: Socket) => void>,
): buildConnector.connector {
	return (options, callback) => {
		connect(options, (...result) => {
			const [, socket] = result;
			if (socket) {
				for (const repair of repairs) {
					repair(socket);
				}
			}

			callback(...result);
		});
	};
}

/** CONNECT (RFC 9110 section 9.3.6). */
function httpTunnel(proxy: URL, tls: buildConnector.BuildOptions, headersTimeout: number): OpenTunnel {
	const pool = new ConnectPool(proxy.origin, {
		connect: repaired(buildConnector(tls), [writeUsualCase]),
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
			throw authenticationFailed(proxy, {status: statusCode});
		}

		// 501: a proxy without CONNECT.
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
