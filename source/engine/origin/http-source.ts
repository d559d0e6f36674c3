// A file behind an http: or https: URL.
import process from 'node:process';
import {DownStreamError, type AddRequest} from '../../downstream.ts';
import type {HttpClient, HttpClientOptions, HttpTimeouts, TlsOptions} from '../http/client.ts';
import {byLowerCase, checkedHeaders, inLowerCase} from '../http/headers.ts';
import {DirectClient} from '../http/pool.ts';
import {parseProxy, proxyFromEnvironment} from '../http/proxy-settings.ts';
import {checkOptionNames} from '../../text/option-names.ts';
import type {DataSource, OriginResponse, OriginRequest} from './data-source.ts';
import {DigestLogin} from './digest-login.ts';
import {requestOrigin, type OriginTraits} from './origin-request.ts';

export type HttpDataSourceOptions = {
	/** `http:` or `https:`. User and password in it become Basic, or Digest if asked for it, for its origin. */
	readonly url: string;
	readonly userAgent?: string;
	/** Upstream proxy URL, or `direct`; without it the environment decides, for each host. */
	readonly proxy?: string;
	/** Where the proxy variables are; the program's own environment unless given. */
	readonly env?: Readonly<Record<string, string | undefined>>;
	/** To each host. */
	readonly connections?: number;
	readonly tls?: TlsOptions;
	readonly timeouts?: HttpTimeouts;
	/** Whether a URL, given or redirected to, is a stream of the program that asks. */
	readonly isOwnStream?: (url: URL) => boolean;
};

export type CustomHeaderDataSourceOptions = HttpDataSourceOptions & {
	/** Sent to the origin of the URL, and to no other that it redirects to. */
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

export type StoredSource = Pick<AddRequest, 'url' | 'headers' | 'userAgent' | 'proxy' | 'connections'>;

/** A player is told within 10 s of a host that cannot be reached. */
const standardTimeouts = {connect: 8000, headers: 30_000, body: 20_000};

/** A file by HTTP. The constructor throws `bad-request` for what cannot be asked for. */
export class HttpDataSource implements DataSource {
	readonly url: string;
	readonly #url: URL;
	/** By names as they were typed. */
	readonly #given: Readonly<Record<string, string>>;
	readonly #headers: Readonly<Record<string, string>>;
	readonly #login: DigestLogin | undefined;
	readonly #traits: OriginTraits = {};
	readonly #options: HttpDataSourceOptions;
	/** By proxy; `` is direct. */
	readonly #clients = new Map<string, Promise<HttpClient>>();
	readonly #proxy: URL | undefined;
	/** Of the environment, by origin. */
	readonly #proxies = new Map<string, URL | undefined>();

	constructor(options: HttpDataSourceOptions, headers: Readonly<Record<string, string>> = {}) {
		checkOptionNames(options, optionNames);
		const {url, credentials} = withoutCredentials(options.url);
		this.url = url.href;
		this.#url = url;
		this.#options = options;
		this.#given = checkedHeaders({...credentials, ...headers});
		this.#headers = inLowerCase(this.#given);
		this.#login = DigestLogin.ofBasic(this.#headers.authorization);
		checkedHeaders({'User-Agent': options.userAgent ?? ''});
		this.#proxy =
			options.proxy === undefined || options.proxy === 'direct' ? undefined : parseProxy(options.proxy);
	}

	/**
	 * What a record can hold of it, so that a later run has the same; undefined for a subclass, which may do anything,
	 * and where there are options that no record holds (`env`, `tls`, `timeouts`).
	 */
	get stored(): StoredSource | undefined {
		const {userAgent, proxy, connections, env, tls, timeouts} = this.#options;
		const isOurs = this.constructor === HttpDataSource || this.constructor === CustomHeaderDataSource;
		return isOurs && !env && !tls && !timeouts
			? {url: this.url, headers: this.#given, userAgent, proxy, connections}
			: undefined;
	}

	async open({range, ranged, isBackground, answerTimeout, signal}: OriginRequest): Promise<OriginResponse> {
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
			answerTimeout: this.#options.timeouts?.headers ?? answerTimeout,
			isOwnStream: this.#options.isOwnStream,
			signal,
		});
	}

	/** A connection is kept ready, which saves the next request the round trips of TCP and TLS. Never fails: `open` tells. */
	preconnect(): void {
		void this.#prepare().catch(() => undefined);
	}

	closeIdle(): void {
		for (const client of this.#clients.values()) {
			client.then(known => known.closeIdle?.()).catch(() => undefined);
		}
	}

	async dispose(): Promise<void> {
		const clients = [...this.#clients.values()];
		this.#clients.clear();
		await Promise.all(clients.map(async client => (await client).dispose()));
	}

	async #prepare(): Promise<void> {
		const client = await this.#route(this.#url).client;
		client.preconnect?.(this.#url);
	}

	#route(url: URL) {
		const {env = process.env, tls = {}, timeouts = standardTimeouts} = this.#options;
		const proxy = this.#options.proxy === undefined ? this.#proxyOf(url, env) : this.#proxy;
		const key = proxy?.href ?? '';
		let client = this.#clients.get(key);
		if (!client) {
			const {connections = 4} = this.#options;
			// One more: a segment that gave its connection up still reads what was sent.
			const options = {
				connections: connections > 1 ? connections + 1 : 1,
				tls,
				timeouts,
				headerNames: byLowerCase(Object.keys(this.#given)),
			};
			client = proxy ? proxyClient(proxy, options) : Promise.resolve(new DirectClient(options));
			this.#clients.set(key, client);
		}

		return {client, isDirect: proxy === undefined};
	}

	/** What the environment says; it is asked for the same place again and again. */
	#proxyOf(url: URL, env: NodeJS.ProcessEnv): URL | undefined {
		if (!this.#proxies.has(url.origin)) {
			this.#proxies.set(url.origin, proxyFromEnvironment(url, env));
		}

		return this.#proxies.get(url.origin);
	}
}

/** What it takes is much, and most origins are reached without. */
async function proxyClient(proxy: URL, options: HttpClientOptions): Promise<HttpClient> {
	const {ProxyClient} = await import('../http/upstream-proxy.ts');
	return new ProxyClient(proxy, options);
}

/** A file that is given only to those who send certain headers. */
export class CustomHeaderDataSource extends HttpDataSource {
	constructor(options: CustomHeaderDataSourceOptions) {
		checkOptionNames(options, [...optionNames, 'customHeaders']);
		const {customHeaders, ...others} = options;
		super(others, customHeaders);
	}
}

/**
 * The URL without user, password and fragment, and the header that user and password become. Throws `bad-request`
 * for what is not an `http:` or `https:` URL.
 */
export function withoutCredentials(text: string): {url: URL; credentials: {authorization?: string}} {
	let url: URL;
	let pair: string;
	try {
		url = new URL(text.trim());
		pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
	} catch {
		// Not the text: it may hold a password.
		throw new DownStreamError('bad-request', 'That is not a URL; it must begin with http:// or https://');
	}

	if (url.protocol !== 'http:' && url.protocol !== 'https:') {
		throw new DownStreamError('bad-request', `"${url.protocol.slice(0, -1)}" is not http or https`);
	}

	url.username = '';
	url.password = '';
	url.hash = '';
	return {
		url,
		credentials: pair === ':' ? {} : {authorization: `Basic ${Buffer.from(pair).toString('base64')}`},
	};
}
