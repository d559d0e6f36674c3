// The HTTP client for direct origins: a pool of persistent connections for each.
import {HttpError} from './errors.ts';
import type {HttpResponse, HttpClient, HttpClientOptions, HttpRequest} from './client.ts';
import {HttpConnection} from './connection.ts';
import {HttpExchange} from './exchange.ts';
import {inUsualCase} from './headers.ts';
import {contextWith} from './trust.ts';

/** Idle time in milliseconds. Origins close idle connections after some 5 to 75 s. */
const maxIdleMs = 30_000;

export class DirectClient implements HttpClient {
	readonly #options: HttpClientOptions;
	/** Keyed by origin. */
	readonly #pools = new Map<string, Pool>();

	constructor(options: HttpClientOptions) {
		this.#options = options;
	}

	get(request: HttpRequest): Promise<HttpResponse> {
		const headers = inUsualCase(request.headers, this.#options.headerNames);
		return this.#pool(request.url).get({...request, headers});
	}

	preconnect(url: URL): void {
		this.#pool(url).preconnect();
	}

	closeIdle(): void {
		for (const pool of this.#pools.values()) {
			pool.closeIdle();
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

type Preconnection = {
	readonly abort: AbortController;
	/** Resolves with undefined if the connection could not be opened. */
	readonly opened: Promise<HttpConnection | undefined>;
};

/** The connections to one origin, or to an HTTP proxy. */
export class Pool {
	readonly #url: URL;
	readonly #options: HttpClientOptions;
	readonly #all = new Set<HttpConnection>();
	/** Idle connections with their timers, in order of last use. */
	readonly #idle = new Map<HttpConnection, NodeJS.Timeout>();
	#busy = 0;
	/** Requests that wait for a slot. */
	readonly #queue = new Set<() => void>();
	/** TLS session; saves the next connection a round trip. */
	#session: Buffer | undefined;
	/** A connection opened before any request needs it. */
	#preconnecting: Preconnection | undefined;
	readonly #disposal = new AbortController();

	constructor(url: URL, options: HttpClientOptions) {
		this.#url = url;
		this.#options = options;
	}

	async get(request: HttpRequest): Promise<HttpResponse> {
		const {signal} = request;
		await this.#acquireSlot(signal);
		try {
			for (;;) {
				const connection =
					this.#takeIdle() ?? (await this.#takePreconnecting(signal)) ?? (await this.#open(signal));
				try {
					request.approve?.(connection.address);
					return await HttpExchange.begin({
						connection,
						request,
						timeouts: this.#options.timeouts,
						onClose: isFree => this.#release(connection, isFree),
					});
				} catch (error) {
					const canRetry = connection.failedOnReuse && !signal.aborted && !this.#disposal.signal.aborted;
					this.#discard(connection, error);
					if (!canRetry) {
						throw error;
					}
				}
			}
		} catch (error) {
			this.#releaseSlot();
			throw error;
		}
	}

	/** Opens a connection unless one is idle or the limit is reached. */
	preconnect(): void {
		const isReady = [...this.#idle.keys()].some(({isUsable}) => isUsable);
		if (
			this.#disposal.signal.aborted ||
			this.#preconnecting ||
			isReady ||
			this.#busy >= this.#options.connections
		) {
			return;
		}

		const abort = new AbortController();
		// The request that needs a connection reports errors.
		const opened = this.#open(abort.signal).catch(() => undefined);
		const preconnecting = {abort, opened};
		this.#preconnecting = preconnecting;
		void opened.then(connection => {
			if (this.#preconnecting !== preconnecting) {
				return;
			}

			this.#preconnecting = undefined;
			if (connection && !abort.signal.aborted) {
				this.#keep(connection);
			} else if (connection) {
				this.#discard(connection, abort.signal.reason);
			}
		});
	}

	closeIdle(): void {
		this.#preconnecting?.abort.abort();
		for (const connection of this.#idle.keys()) {
			this.#discard(connection, new Error('no longer needed'));
		}
	}

	close(): void {
		this.#disposal.abort();
		this.#preconnecting?.abort.abort();
		for (const connection of this.#all) {
			this.#discard(connection, new HttpError('CONNECTION_CLOSED', 'The client is disposed of'));
		}
	}

	async #acquireSlot(signal: AbortSignal): Promise<void> {
		signal.throwIfAborted();
		if (this.#busy++ < this.#options.connections) {
			return;
		}

		await new Promise<void>((resolve, reject) => {
			const abort = () => {
				this.#queue.delete(proceed);
				this.#busy--;
				reject(signal.reason);
			};
			const proceed = () => {
				signal.removeEventListener('abort', abort);
				resolve();
			};
			signal.addEventListener('abort', abort, {once: true});
			this.#queue.add(proceed);
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
		const {ca, insecure} = this.#options.tls;
		const connection = await HttpConnection.open(this.#url, {
			tls: {
				...(ca !== undefined && this.#url.protocol === 'https:' && {secureContext: await contextWith(ca)}),
				...(insecure && {rejectUnauthorized: false}),
				session: this.#session,
			},
			timeout: this.#options.timeouts.connect,
			signal,
		});
		this.#all.add(connection);
		if (this.#disposal.signal.aborted) {
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

			this.#discard(connection, new Error('no longer usable'));
		}

		return undefined;
	}

	/** A connection being opened is ready sooner than a new one. */
	async #takePreconnecting(signal: AbortSignal): Promise<HttpConnection | undefined> {
		const preconnecting = this.#preconnecting;
		if (!preconnecting) {
			return undefined;
		}

		this.#preconnecting = undefined;
		const abort = () => preconnecting.abort.abort(signal.reason);
		signal.addEventListener('abort', abort);
		try {
			return await preconnecting.opened;
		} finally {
			signal.removeEventListener('abort', abort);
		}
	}

	#release(connection: HttpConnection, isFree: boolean): void {
		this.#session = connection.session ?? this.#session;
		if (isFree && connection.isUsable) {
			this.#keep(connection);
		} else {
			this.#discard(connection, new Error('no longer needed'));
		}

		this.#releaseSlot();
	}

	#keep(connection: HttpConnection): void {
		const end = () => this.#discard(connection, new Error('idle for too long'));
		this.#idle.set(connection, setTimeout(end, maxIdleMs));
	}

	#discard(connection: HttpConnection, reason: unknown): void {
		clearTimeout(this.#idle.get(connection));
		this.#idle.delete(connection);
		this.#all.delete(connection);
		connection.destroy(reason);
	}
}
