// The HTTP client for origins behind an HTTP or SOCKS proxy: a tunnel for each connection, or forwarded requests.
import type {HttpClient, HttpClientOptions, HttpRequest, HttpResponse} from './client.ts';
import {TunnelClient, TunnelRefused} from './tunnel-client.ts';
import {socksOf} from './proxy-settings.ts';
import {inUsualCase} from './headers.ts';
import {HttpError} from './errors.ts';
import {Pool} from './pool.ts';
import {authorizationOf, authenticationFailed} from './proxy-login.ts';

/**
 * Failures on the way to the proxy are `upstream-proxy-…`. Each connection is a tunnel. If an HTTP proxy refuses a
 * tunnel to an `http:` origin (squid and tinyproxy often allow port 443 only), the request is forwarded instead.
 */
export class ProxyClient implements HttpClient {
	readonly #tunnels: TunnelClient;
	readonly #forwarder: Forwarder | undefined;
	readonly #headerNames: HttpClientOptions['headerNames'];
	/** Origins reached by forwarding. */
	readonly #forwarded = new Set<string>();

	/** `proxy` is a result of `parseProxy`. */
	constructor(proxy: URL, options: HttpClientOptions) {
		this.#headerNames = options.headerNames;
		this.#tunnels = new TunnelClient(proxy, options);
		this.#forwarder = socksOf(proxy) ? undefined : new Forwarder(proxy, options);
	}

	async get(request: HttpRequest): Promise<HttpResponse> {
		const {url} = request;
		const outgoing = {...request, headers: inUsualCase(request.headers, this.#headerNames)};
		if (this.#forwarder && this.#forwarded.has(url.origin)) {
			return this.#forwarder.get(outgoing);
		}

		try {
			return await this.#tunnels.get(outgoing);
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
		this.#tunnels.closeIdle();
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
			throw authenticationFailed(this.#proxy, {status: response.status});
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
