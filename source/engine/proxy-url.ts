// Which upstream proxy is meant: what users write, and what the environment says. Pure.
import {isIP} from 'node:net';
import ipaddr from 'ipaddr.js';
import {DownStreamError} from '../downstream.ts';

const protocols = ['http:', 'https:', 'socks5:', 'socks5h:'];

/** Throws `bad-request` that names what is allowed, and never the text, which may hold a password. `what` begins the sentence. */
export function parseProxy(text: string, what = 'The proxy'): URL {
	let url: URL | undefined;
	try {
		// `proxy.example:3128` alone is an HTTP proxy, as for curl.
		url = new URL(/^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`);
		credentialsOf(url);
	} catch {
		url = undefined;
	}

	if (!url || !protocols.includes(url.protocol) || url.hostname === '') {
		throw new DownStreamError(
			'bad-request',
			`${what} must be written http://, https://, socks5:// or socks5h:// with HOST:PORT, and user:password@ before it if needed`,
		);
	}

	return url;
}

/**
 * The proxy that the environment names for this URL, as curl reads it, in lower or upper case; `no_proxy` lists hosts,
 * domains, addresses, networks. curl never reads HTTP_PROXY, which a web server may have set from a header of a request;
 * that is so only where REQUEST_METHOD says that there is one.
 */
export function proxyFromEnvironment(url: URL, environment: NodeJS.ProcessEnv): URL | undefined {
	const read = (name: string) => environment[name] || environment[name.toUpperCase()] || undefined;
	if (isExcepted(url, read('no_proxy') ?? '')) {
		return undefined;
	}

	const isForged = environment.REQUEST_METHOD !== undefined;
	const ofHttp = isForged ? environment.http_proxy : read('http_proxy');
	const own = url.protocol === 'http:' ? ofHttp : read('https_proxy');
	const text = own || read('all_proxy');
	return text === undefined ? undefined : parseProxy(text, 'The proxy of the environment');
}

function isExcepted(url: URL, list: string): boolean {
	const host = bareHost(url);
	const port = portOf(url);
	return list.split(/[\s,]+/).some(entry => {
		if (entry === '' || entry === '*') {
			return entry === '*';
		}

		const network = /^[\d.:a-f]+\/\d+$/i.test(entry);
		if (network) {
			return ipaddr.isValidCIDR(entry) && ipaddr.isValid(host) && isInNetwork(host, entry);
		}

		const [, name = '', onlyPort] = /^\[?(.+?)\]?(?::(\d+))?$/.exec(entry) ?? [];
		const isAddress = isIP(entry) > 0;
		const domain = (isAddress ? entry : name).replace(/^\*?\./, '').toLowerCase();
		const portFits = isAddress || onlyPort === undefined || Number(onlyPort) === port;
		return portFits && (host === domain || host.endsWith(`.${domain}`));
	});
}

function isInNetwork(address: string, network: string): boolean {
	const parsed = ipaddr.parse(address);
	const [base, bits] = ipaddr.parseCIDR(network);
	return parsed.kind() === base.kind() && parsed.match(base, bits);
}

/** Throws for what is not percent-encoded as it should be. */
export function credentialsOf({username, password}: URL): [user: string, password: string] {
	return [decodeURIComponent(username), decodeURIComponent(password)];
}

/** The host without the brackets of an IPv6 address and the dot that may end a name, in lower case. */
export function bareHost({hostname}: URL): string {
	return hostname.replace(/^\[|[\].]$/g, '').toLowerCase();
}

function portOf({protocol, port}: URL): number {
	return Number(port) || (protocol === 'https:' ? 443 : 80);
}
