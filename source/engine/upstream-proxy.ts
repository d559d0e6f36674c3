// The HTTP client for origins behind an HTTP or SOCKS5 proxy, by undici. The only user of socks.
import {lookup} from 'node:dns/promises';
import {isIP, type Socket} from 'node:net';
import type {Readable} from 'node:stream';
import {createSecureContext, rootCertificates} from 'node:tls';
import {SocksClient} from 'socks';
import {Agent, buildConnector, errors, Pool, request, type Dispatcher} from 'undici';
import {DownStreamError} from '../downstream.ts';
import {
	certificateProblem,
	HttpError,
	type HttpAnswer,
	type HttpClient,
	type HttpClientOptions,
	type HttpErrorCode,
	type HttpRequest,
} from './http-client.ts';
import {bareHost, credentialsOf} from './proxy-url.ts';

/** So many kept connections may turn out to be closed, one after the other. */
const mostRepeats = 4;

/** What fails on the way to the proxy is `upstream-proxy-…`. */
export class ProxyClient implements HttpClient {
	readonly #dispatcher: Dispatcher;

	/** `proxy` as `parseProxy` gives it. */
	constructor(proxy: URL, options: HttpClientOptions) {
		this.#dispatcher = createDispatcher(proxy, options);
	}

	async get({url, headers, signal}: HttpRequest): Promise<HttpAnswer> {
		for (let repeats = 0; ; repeats++) {
			try {
				return answerOf(await request(url, {dispatcher: this.#dispatcher, headers, signal}));
			} catch (error) {
				if (repeats === mostRepeats || !endedWhenUsedAgain(error)) {
					throw httpError(error);
				}
			}
		}
	}

	async dispose(): Promise<void> {
		await this.#dispatcher.destroy();
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

function answerOf({statusCode, headers, body}: Dispatcher.ResponseData): HttpAnswer {
	const fields = Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')] as const);
	const buffers = buffersOf(body);
	return {
		status: statusCode,
		headers: new Map(fields),
		async read() {
			try {
				const {value} = await buffers.next();
				return value ?? undefined;
			} catch (error) {
				throw httpError(error);
			}
		},
		close() {
			body.on('error', () => undefined).destroy();
		},
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

function createDispatcher(proxy: URL, {connections, tls, timeouts}: HttpClientOptions): Dispatcher {
	const tlsOptions = {
		timeout: timeouts.connect,
		allowH2: false,
		...(tls.ca === undefined
			? {}
			: {secureContext: createSecureContext({ca: [...rootCertificates, tls.ca]})}),
		...(tls.insecure ? {rejectUnauthorized: false} : {}),
	};
	const openTunnel = proxy.protocol.startsWith('socks')
		? socksTunnel(proxy, timeouts.connect)
		: httpTunnel(proxy, tlsOptions, timeouts.headers);
	const connectTls = buildConnector(tlsOptions);
	return new Agent({
		connections,
		headersTimeout: timeouts.headers,
		bodyTimeout: timeouts.body,
		keepAliveTimeout: 30_000,
		maxHeaderSize: 64 * 1024,
		connect: guarded((options, callback) => {
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

/** `socks5:` resolves names here, `socks5h:` lets the proxy do it, as for curl. */
function socksTunnel(proxy: URL, timeout: number): OpenTunnel {
	const [user, password] = credentialsOf(proxy);
	return async (host, port) => {
		const resolved = proxy.protocol === 'socks5:' && !isIP(host) ? (await resolve(host)).address : host;
		try {
			const {socket} = await SocksClient.createConnection({
				proxy: {
					host: bareHost(proxy),
					port: Number(proxy.port) || 1080,
					type: 5,
					...(user === '' ? {} : {userId: user, password}),
				},
				command: 'connect',
				timeout,
				destination: {host: resolved, port},
			});
			return socket;
		} catch (error) {
			throw socksError(error, proxy, host);
		}
	};
}

async function resolve(host: string): Promise<{address: string}> {
	try {
		return await lookup(host);
	} catch (error) {
		throw new DownStreamError('origin-unreachable', `No such host: ${host}`, {cause: error});
	}
}

function socksError(error: unknown, proxy: URL, host: string): DownStreamError {
	const text = String(error);
	if (/authentication|NoAcceptable|invalid.*auth/i.test(text)) {
		return new DownStreamError('upstream-proxy-refused', `${nameOf(proxy)} wants another user or password`, {
			cause: error,
		});
	}

	// Replies of RFC 1928 section 6: the proxy works, the origin behind it does not.
	const [, reply] = /Socks5 proxy rejected connection - (\w+)/.exec(text) ?? [];
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
				`${nameOf(proxy)} does not answer as a SOCKS5 proxy`,
				{cause: error},
			)
		: new DownStreamError('origin-unreachable', `${nameOf(proxy)} cannot reach ${host} (${reply})`, {
				cause: error,
			});
}

/** RFC 9110 section 9.3.6: CONNECT. */
function httpTunnel(proxy: URL, tls: buildConnector.BuildOptions, headersTimeout: number): OpenTunnel {
	const [user, password] = credentialsOf(proxy);
	const token = Buffer.from(`${user}:${password}`).toString('base64');
	const pool = new Pool(proxy.origin, {connect: tls, headersTimeout});
	return async (host, port) => {
		const target = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
		const headers = {host: target, ...(user === '' ? {} : {'proxy-authorization': `Basic ${token}`})};
		let answer: Dispatcher.ConnectData;
		try {
			answer = await pool.connect({path: target, headers});
		} catch (error) {
			const problem = certificateProblem(error, `the proxy ${proxy.host}`);
			throw problem === undefined
				? new DownStreamError('upstream-proxy-unreachable', `${nameOf(proxy)} cannot be reached`, {
						cause: error,
					})
				: new DownStreamError('upstream-proxy-refused', problem, {cause: error});
		}

		const {statusCode} = answer;
		const socket = answer.socket as Socket;
		if (statusCode >= 200 && statusCode < 300) {
			return socket;
		}

		socket.on('error', () => undefined).destroy();
		if (statusCode === 401 || statusCode === 407) {
			throw new DownStreamError('upstream-proxy-refused', `${nameOf(proxy)} wants another user or password`, {
				status: statusCode,
			});
		}

		throw statusCode < 500
			? new DownStreamError(
					'upstream-proxy-refused',
					`${nameOf(proxy)} refuses to connect to ${host} (${statusCode})`,
					{status: statusCode},
				)
			: new DownStreamError('origin-unreachable', `${nameOf(proxy)} cannot reach ${host} (${statusCode})`, {
					status: statusCode,
				});
	};
}

function nameOf(proxy: URL): string {
	return `The proxy ${proxy.host}`;
}
