// The data source for http: and https: URLs.
import process from 'node:process';
import {DownStreamError, type AddRequest} from '../../downstream.ts';
import type {HttpClient, HttpClientOptions, HttpTimeouts, TlsOptions} from '../http/client.ts';
import {byLowerCase, checkedHeaders, inLowerCase} from '../http/headers.ts';
import {isImpossible} from '../http/hosts.ts';
import {DirectClient} from '../http/pool.ts';
import {parseProxy, proxyFromEnvironment} from '../http/proxy-settings.ts';
import {checkOptionNames} from '../../text/option-names.ts';
import type {DataSource, OriginResponse, OriginRequest} from './data-source.ts';
import {DigestLogin} from './digest-login.ts';
import {requestOrigin} from './origin-request.ts';
import type {OriginTraits} from './request-options.ts';

export type HttpDataSourceOptions = {
	/**
	 * `http:` or `https:`. Credentials in it are sent to its origin only, as Basic, or as Digest if the origin requires
	 * it.
	 */
	readonly url: string;
	readonly userAgent?: string;
	/** Upstream proxy URL, or `direct`. By default, the environment decides for each host. */
	readonly proxy?: string;
	/** The environment with the proxy variables; defaults to the process's own. */
	readonly env?: Readonly<Record<string, string | undefined>>;
	/** Per host. */
	readonly connections?: number;
	readonly tls?: TlsOptions;
	readonly timeouts?: HttpTimeouts;
	/** True if a URL, given or redirected to, is a stream of this program itself. */
	readonly isOwnStream?: (url: URL) => boolean;
};

export type CustomHeaderDataSourceOptions = HttpDataSourceOptions & {
	/** Sent to the URL's origin, but not to other origins it redirects to. */
	readonly customHeaders: Readonly<Record<string, string>>;
};

const optionNames = Object.keys({
	url: true,
	userAgent: true,
	proxy: true,
	env: true,
	connections: true,
	tls: true,
	timeouts: true,
	isOwnStream: true,
} satisfies Record<keyof HttpDataSourceOptions, true>);

type StoredSource = Pick<AddRequest, 'url' | 'headers' | 'userAgent' | 'proxy' | 'connections'>;

/** Milliseconds. A player must learn within 10 s that a host is unreachable. */
const defaultTimeouts = {connect: 8000, headers: 30_000, body: 20_000};

/** A file fetched over HTTP. The constructor throws `bad-request` for invalid options. */
export class HttpDataSource implements DataSource {
	readonly url: string;
	readonly #url: URL;
	/** Keyed by name as typed. */
	readonly #userHeaders: Readonly<Record<string, string>>;
	readonly #headers: Readonly<Record<string, string>>;
	readonly #login: DigestLogin | undefined;
	readonly #traits: OriginTraits = {};
	readonly #options: HttpDataSourceOptions;
	/** Keyed by proxy; the empty string means direct. */
	readonly #clients = new Map<string, Promise<HttpClient>>();
	readonly #proxy: URL | undefined;
	/** The environment's proxies, keyed by origin. */
	readonly #proxies = new Map<string, URL | undefined>();

	constructor(options: HttpDataSourceOptions, headers: Readonly<Record<string, string>> = {}) {
		checkOptionNames(options, optionNames);
		const {url, credentials} = withoutCredentials(options.url);
		this.url = url.href;
		this.#url = url;
		this.#options = options;
		this.#userHeaders = checkedHeaders({...credentials, ...headers});
		this.#headers = inLowerCase(this.#userHeaders);
		this.#login = DigestLogin.fromBasic(this.#headers.authorization);
		checkedHeaders({'User-Agent': options.userAgent ?? ''});
		this.#proxy =
			options.proxy === undefined || options.proxy === 'direct' ? undefined : parseProxy(options.proxy);
	}

	/**
	 * The part of the options that a record can hold to recreate the source. Undefined for a subclass, which may behave
	 * differently, and for options that cannot be stored (`env`, `tls`, `timeouts`).
	 */
	get stored(): StoredSource | undefined {
		const {userAgent, proxy, connections, env, tls, timeouts} = this.#options;
		const isOwnClass = this.constructor === HttpDataSource || this.constructor === CustomHeaderDataSource;
		return isOwnClass && !env && !tls && !timeouts
			? {url: this.url, headers: this.#userHeaders, userAgent, proxy, connections}
			: undefined;
	}

	async open(request: OriginRequest): Promise<OriginResponse> {
		const {range, ranged, isBackground, connected, responseTimeout, signal} = request;
		return requestOrigin({
			url: this.#url,
			headers: this.#headers,
			login: this.#login,
			traits: this.#traits,
			userAgent: this.#options.userAgent ?? 'downstream-tui',
			route: url => this.#route(url),
			range,
			ranged,
			isBackground,
			connected,
			responseTimeout: this.#options.timeouts?.headers ?? responseTimeout,
			isOwnStream: this.#options.isOwnStream,
			signal,
		});
	}

	/**
	 * Keeps a connection ready, which saves the next request the TCP and TLS round trips. Errors are left to `open`.
	 */
	preconnect(): void {
		void this.#openIdle().catch(() => undefined);
	}

	closeIdle(): void {
		for (const client of this.#clients.values()) {
			client.then(connected => connected.closeIdle?.()).catch(() => undefined);
		}
	}

	async dispose(): Promise<void> {
		const clients = [...this.#clients.values()];
		this.#clients.clear();
		await Promise.all(clients.map(async client => (await client).dispose()));
	}

	async #openIdle(): Promise<void> {
		const client = await this.#route(this.#url).client;
		client.preconnect?.(this.#url);
	}

	#route(url: URL) {
		const {env = process.env, tls = {}, timeouts = defaultTimeouts} = this.#options;
		const proxy = this.#options.proxy === undefined ? this.#proxyOf(url, env) : this.#proxy;
		const key = proxy?.href ?? '';
		let client = this.#clients.get(key);
		if (!client) {
			const {connections = 4} = this.#options;
			// One extra: a segment that yielded its connection still reads the bytes in flight.
			const options = {
				connections: connections > 1 ? connections + 1 : 1,
				tls,
				timeouts,
				headerNames: byLowerCase(Object.keys(this.#userHeaders)),
			};
			client = proxy ? proxyClient(proxy, options) : Promise.resolve(new DirectClient(options));
			this.#clients.set(key, client);
		}

		return {client, isDirect: proxy === undefined};
	}

	/** Caches the environment's proxy, which is looked up often. */
	#proxyOf(url: URL, env: NodeJS.ProcessEnv): URL | undefined {
		if (!this.#proxies.has(url.origin)) {
			this.#proxies.set(url.origin, proxyFromEnvironment(url, env));
		}

		return this.#proxies.get(url.origin);
	}
}

/** Loaded on demand: the module is large, and most origins need no proxy. */
async function proxyClient(proxy: URL, options: HttpClientOptions): Promise<HttpClient> {
	const {ProxyClient} = await import('../http/upstream-proxy.ts');
	return new ProxyClient(proxy, options);
}

/** A file that requires certain request headers. */
export class CustomHeaderDataSource extends HttpDataSource {
	constructor(options: CustomHeaderDataSourceOptions) {
		checkOptionNames(options, [...optionNames, 'customHeaders']);
		const {customHeaders, ...others} = options;
		super(others, customHeaders);
	}
}

/**
 * Splits the text into a URL without credentials and fragment, and the Authorization header of the credentials.
 * Throws `bad-request` if it is not an `http:` or `https:` URL.
 */
export function withoutCredentials(text: string): {url: URL; credentials: {authorization?: string}} {
	let url: URL;
	let pair: string;
	try {
		url = new URL(text.trim());
		pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
	} catch {
		// Omits the text, which may hold a password.
		throw new DownStreamError('bad-request', 'That is not a URL; it must begin with http:// or https://');
	}

	if (url.protocol !== 'http:' && url.protocol !== 'https:') {
		throw new DownStreamError('bad-request', `"${url.protocol.slice(0, -1)}" is not http or https`);
	}

	if (isImpossible(url)) {
		throw new DownStreamError('bad-request', `${JSON.stringify(url.host)} is not a host that can be reached`);
	}

	// A change of a URL parses it again, which thousands of downloads would show at the start.
	const hasCredentials = pair !== ':';
	if (hasCredentials) {
		url.username = '';
		url.password = '';
	}

	if (url.href.includes('#')) {
		url.hash = '';
	}

	return {
		url,
		credentials: !hasCredentials ? {} : {authorization: `Basic ${Buffer.from(pair).toString('base64')}`},
	};
}
