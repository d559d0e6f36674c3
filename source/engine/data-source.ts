// An origin as the engine knows it: something that answers for a range of bytes.
import process from 'node:process';
import {DownStreamError, type AddRequest} from '../downstream.ts';
import {DigestLogin} from './digest-login.ts';
import {DirectClient} from './direct-client.ts';
import type {HttpClient, HttpClientOptions, HttpTimeouts, TlsOptions} from './http-client.ts';
import {requestOrigin, type OriginTraits} from './origin-request.ts';
import {byLowerCase, ownHeaders} from './own-headers.ts';
import {parseProxy, proxyFromEnvironment} from './proxy-url.ts';
import type {Range} from './range-set.ts';

/** Names one version of the bytes: a strong ETag, else Last-Modified with the size (RFC 9110 section 8.8). */
export type Validator = {
	/** A strong ETag with its quotes, as it came; undefined when there is none or it is weak. */
	readonly etag?: string;
	/** A weak ETag as it came, such as `W/"1"`: one that differs may name another version, an equal one proves nothing. */
	readonly weakEtag?: string;
	/** The Last-Modified header as it came. */
	readonly lastModified?: string;
};

export type FileInfo = {
	/** A safe file name, from Content-Disposition or the URL. */
	readonly name: string;
	/** Content-Type without parameters, lower case; undefined when the origin says nothing useful. */
	readonly type: string | undefined;
	/** Bytes; Infinity while unknown. */
	readonly size: number;
};

export type OriginAnswer = {
	readonly info: FileInfo;
	/**
	 * The bytes that the body is, as the answer proves: from Content-Range of a 206, or `[0, size)` of a 200.
	 * `end` is Infinity for a body of unknown length.
	 */
	readonly range: Range;
	readonly validator: Validator;
	/** Origin and path that the bytes came from, after redirects (a query may be a signature); undefined if none says. */
	readonly place?: string;
	/** False when a ranged request was answered with the whole. */
	readonly acceptsRanges: boolean;
	/** A ranged request was answered with the whole by an origin that says that it accepts ranges: the next may work. */
	readonly mayAcceptRanges?: boolean;
	/**
	 * The declared type is that of a web page (`text/html`, `application/xhtml+xml`), or of JSON with less than 1 MiB: it
	 * may be a login page or a message in place of the file.
	 */
	readonly isPage?: boolean;
	/**
	 * The bytes of `range`, in order; each piece is good until the next is asked for, and as long as somebody else
	 * holds its block (`blocks.ts`). Throws `origin-truncated` if it ends early, `origin-unreachable` if the
	 * connection fails; never yields more than `range` holds. Leaving the loop closes the connection unless
	 * everything was read.
	 */
	readonly body: AsyncIterable<Uint8Array>;
	/**
	 * Where the body has no length: whether its end is proven (chunked) or may be a cut (ended by closing). Ask once the
	 * body was read.
	 */
	readonly endIsProven: boolean;
};

export type OriginRequest = {
	/** Wanted bytes; `end` may be Infinity. */
	readonly range: Range;
	/** Whether to send a Range header at all; false for an origin that refuses every Range. */
	readonly ranged?: boolean;
	/** Whether nobody waits for the bytes now: they may come in large pieces then. */
	readonly patient?: () => boolean;
	/** Milliseconds to wait for the answer; the source's own time unless given. */
	readonly answerTimeout?: number;
	readonly signal: AbortSignal;
};

/** An origin: whatever can answer for a range of bytes of one file. */
export interface DataSource {
	/** An absolute URL of any scheme: what the user sees and what makes two downloads the same; no secrets in it. */
	readonly url: string;
	/**
	 * Asked once for each connection, several times at once where the file is fetched by several. Rejects with a
	 * `DownStreamError`, whose code says whether it is tried again, or with the signal's reason when aborted. Range not
	 * satisfiable is an answer, not an error: an empty `range` with the `info.size` that is known. The body may be left
	 * unread; the signal is then aborted.
	 */
	open(request: OriginRequest): Promise<OriginAnswer>;
	/** A request may follow soon: what can be done for it beforehand is done. */
	prepare?(): void;
	/** No request is to be expected: connections that serve none are closed. */
	rest?(): void;
	/** Called when nothing more is asked of it. */
	dispose(): Promise<void>;
}

/** Stands for a program's own source until the program gives it again. */
export class MissingDataSource implements DataSource {
	readonly url: string;

	constructor(url: string) {
		this.url = url;
	}

	async open(): Promise<never> {
		throw new DownStreamError(
			'not-found',
			'A data source of another program fetches this download; it goes on when that program adds it again',
		);
	}

	async dispose(): Promise<void> {}
}

export type HttpDataSourceOptions = {
	/** `http:` or `https:`. User and password in it become Basic, or Digest if asked for it, for its origin. */
	readonly url: string;
	readonly userAgent?: string;
	/** Upstream proxy URL, or `direct`; without it the environment decides, for each host. */
	readonly proxy?: string;
	/** Where the proxy variables are; the program's own environment unless given. */
	readonly env?: NodeJS.ProcessEnv;
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

	async open({range, ranged = true, patient, answerTimeout, signal}: OriginRequest): Promise<OriginAnswer> {
		return requestOrigin({
			url: this.#url,
			headers: this.#headers,
			login: this.#login,
			traits: this.#traits,
			userAgent: this.#options.userAgent ?? 'downstream-tui',
			route: url => this.#route(url),
			range,
			ranged,
			patient,
			answerTimeout: this.#options.timeouts?.headers ?? answerTimeout,
			isOwnStream: this.#options.isOwnStream,
			signal,
		});
	}

	/** A connection is kept ready, which saves the next request the round trips of TCP and TLS. Never fails: `open` tells. */
	prepare(): void {
		void this.#prepare().catch(() => undefined);
	}

	rest(): void {
		for (const client of this.#clients.values()) {
			client.then(known => known.rest?.()).catch(() => undefined);
		}
	}

	async dispose(): Promise<void> {
		const clients = [...this.#clients.values()];
		this.#clients.clear();
		await Promise.all(clients.map(async client => (await client).dispose()));
	}

	async #prepare(): Promise<void> {
		const client = await this.#route(this.#url).client;
		client.prepare?.(this.#url);
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
	const {ProxyClient} = await import('./upstream-proxy.ts');
	return new ProxyClient(proxy, options);
}

/** A file that is given only to those who send certain headers. */
export class CustomHeaderDataSource extends HttpDataSource {
	constructor({customHeaders, ...options}: CustomHeaderDataSourceOptions) {
		super(options, customHeaders);
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

/** Of names that differ in case alone, the last is kept. Values may be secret: errors name the header alone. */
export function checkedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
	const checked = new Map<string, [name: string, value: string]>();
	for (const [name, value] of Object.entries(headers)) {
		if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
			throw new DownStreamError('bad-request', `"${name}" is no name of a header`);
		}

		if (/[^\t\x20-\x7E\x80-\xFF]/.test(value)) {
			throw new DownStreamError(
				'bad-request',
				`The header ${name} has a line break or a character that no header can carry`,
			);
		}

		if (ownHeaders.test(name)) {
			throw new DownStreamError('bad-request', `The header ${name} is set by the program itself`);
		}

		checked.set(name.toLowerCase(), [name, value]);
	}

	return Object.fromEntries(checked.values());
}

export function inLowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
	return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
