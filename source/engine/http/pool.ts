// The HTTP client for origins that are reached without a proxy: a few connections to each, used again and again.
import {createSecureContext, rootCertificates, type ConnectionOptions, type SecureContext} from 'node:tls';
import {HttpError} from './errors.ts';
import type {HttpResponse, HttpClient, HttpClientOptions, HttpRequest} from './client.ts';
import {HttpConnection} from './connection.ts';
import {HttpExchange} from './exchange.ts';
import {inUsualCase} from './headers.ts';

/** Origins close kept connections after some 5 to 75 s. */
const keptForMs = 30_000;

/** By the certificate that is trusted beside the others: reading all of them takes 20 ms. */
const contexts = new Map<string, SecureContext>();

export class DirectClient implements HttpClient {
	readonly #options: HttpClientOptions;
	/** By origin. */
	readonly #pools = new Map<string, Pool>();

	constructor(options: HttpClientOptions) {
		this.#options = options;
	}

	get(request: HttpRequest): Promise<HttpResponse> {
		const headers = inUsualCase(request.headers, this.#options.headerNames);
		return this.#pool(request.url).get({...request, headers});
	}

	preconnect(url: URL): void {
		this.#pool(url).prepare();
	}

	closeIdle(): void {
		for (const pool of this.#pools.values()) {
			pool.rest();
		}
	}

	async dispose(): Promise<void> {
		for (const pool of this.#pools.values()) {
			pool.close();
		}
	}

	#pool(url: URL): Pool {
		let pool = this.#pools.get(url.origin);
		if (!pool) {
			pool = new Pool(url, this.#options);
			this.#pools.set(url.origin, pool);
		}

		return pool;
	}
}

type Preparation = {
	readonly abort: AbortController;
	/** Undefined where it could not be opened. */
	readonly opened: Promise<HttpConnection | undefined>;
};

/** The connections to one origin, or to an HTTP proxy. */
export class Pool {
	readonly #url: URL;
	readonly #options: HttpClientOptions;
	readonly #tls: ConnectionOptions;
	readonly #all = new Set<HttpConnection>();
	/** Each with the timer that ends it; the one that was used last comes last. */
	readonly #idle = new Map<HttpConnection, NodeJS.Timeout>();
	#busy = 0;
	/** Requests that wait for others to be over. */
	readonly #queue = new Set<() => void>();
	/** Saves the next connection a round trip of TLS. */
	#session: Buffer | undefined;
	/** A connection that no request has asked for yet. */
	#preparing: Preparation | undefined;
	readonly #ending = new AbortController();

	constructor(url: URL, options: HttpClientOptions) {
		const {ca, insecure} = options.tls;
		this.#url = url;
		this.#options = options;
		this.#tls = {
			...(ca !== undefined && url.protocol === 'https:' && {secureContext: contextWith(ca)}),
			...(insecure && {rejectUnauthorized: false}),
		};
	}

	async get(request: HttpRequest): Promise<HttpResponse> {
		const {signal} = request;
		await this.#acquireSlot(signal);
		try {
			for (;;) {
				const connection =
					this.#takeIdle() ?? (await this.#takePreparing(signal)) ?? (await this.#open(signal));
				try {
					request.approve?.(connection.address);
					return await HttpExchange.begin({
						connection,
						request,
						timeouts: this.#options.timeouts,
						onClose: isFree => this.#release(connection, isFree),
					});
				} catch (error) {
					const goesByAnother =
						connection.endedWhenUsedAgain && !signal.aborted && !this.#ending.signal.aborted;
					this.#end(connection, error);
					if (!goesByAnother) {
						throw error;
					}
				}
			}
		} catch (error) {
			this.#releaseSlot();
			throw error;
		}
	}

	/** Opens a connection unless one is idle, or as many are open as are allowed. */
	prepare(): void {
		const isReady = [...this.#idle.keys()].some(({isUsable}) => isUsable);
		if (
			this.#ending.signal.aborted ||
			this.#preparing ||
			isReady ||
			this.#busy >= this.#options.connections
		) {
			return;
		}

		const abort = new AbortController();
		// The request that needs one opens it, or tells why not.
		const opened = this.#open(abort.signal).catch(() => undefined);
		const preparing = {abort, opened};
		this.#preparing = preparing;
		void opened.then(connection => {
			if (this.#preparing !== preparing) {
				return;
			}

			this.#preparing = undefined;
			if (connection && !abort.signal.aborted) {
				this.#keep(connection);
			} else if (connection) {
				this.#end(connection, abort.signal.reason);
			}
		});
	}

	rest(): void {
		this.#preparing?.abort.abort();
		for (const connection of this.#idle.keys()) {
			this.#end(connection, new Error('not needed any more'));
		}
	}

	close(): void {
		this.#ending.abort();
		this.#preparing?.abort.abort();
		for (const connection of this.#all) {
			this.#end(connection, new HttpError('CONNECTION_CLOSED', 'The client is disposed of'));
		}
	}

	async #acquireSlot(signal: AbortSignal): Promise<void> {
		signal.throwIfAborted();
		if (this.#busy++ < this.#options.connections) {
			return;
		}

		await new Promise<void>((resolve, reject) => {
			const abort = () => {
				this.#queue.delete(go);
				this.#busy--;
				reject(signal.reason);
			};
			const go = () => {
				signal.removeEventListener('abort', abort);
				resolve();
			};
			signal.addEventListener('abort', abort, {once: true});
			this.#queue.add(go);
		});
	}

	#releaseSlot(): void {
		this.#busy--;
		const [next] = this.#queue;
		if (next) {
			this.#queue.delete(next);
			next();
		}
	}

	async #open(signal: AbortSignal): Promise<HttpConnection> {
		const connection = await HttpConnection.open(this.#url, {
			tls: {...this.#tls, session: this.#session},
			timeout: this.#options.timeouts.connect,
			signal,
		});
		this.#all.add(connection);
		if (this.#ending.signal.aborted) {
			this.close();
			throw new HttpError('CONNECTION_CLOSED', 'The client is disposed of');
		}

		return connection;
	}

	#takeIdle(): HttpConnection | undefined {
		for (const [connection, timer] of [...this.#idle].toReversed()) {
			clearTimeout(timer);
			this.#idle.delete(connection);
			if (connection.isUsable) {
				return connection;
			}

			this.#end(connection, new Error('not usable any more'));
		}

		return undefined;
	}

	/** It is there sooner than one that is opened now. */
	async #takePreparing(signal: AbortSignal): Promise<HttpConnection | undefined> {
		const preparing = this.#preparing;
		if (!preparing) {
			return undefined;
		}

		this.#preparing = undefined;
		const abort = () => preparing.abort.abort(signal.reason);
		signal.addEventListener('abort', abort);
		try {
			return await preparing.opened;
		} finally {
			signal.removeEventListener('abort', abort);
		}
	}

	#release(connection: HttpConnection, isFree: boolean): void {
		this.#session = connection.session ?? this.#session;
		if (isFree && connection.isUsable) {
			this.#keep(connection);
		} else {
			this.#end(connection, new Error('not needed any more'));
		}

		this.#releaseSlot();
	}

	#keep(connection: HttpConnection): void {
		const end = () => this.#end(connection, new Error('kept long enough'));
		this.#idle.set(connection, setTimeout(end, keptForMs));
	}

	#end(connection: HttpConnection, reason: unknown): void {
		clearTimeout(this.#idle.get(connection));
		this.#idle.delete(connection);
		this.#all.delete(connection);
		connection.destroy(reason);
	}
}

function contextWith(ca: string): SecureContext {
	const context = contexts.get(ca) ?? createSecureContext({ca: [...rootCertificates, ca]});
	contexts.set(ca, context);
	return context;
}
