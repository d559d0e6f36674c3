// Which upstream proxy is meant: what users write, and what the environment says. Pure.
import {isIP} from 'node:net';
import ipaddr from 'ipaddr.js';
import {DownStreamError} from '../../downstream.ts';

export type Socks = {
	readonly version: 4 | 5;
	/** Of origins, where it is not done here. */ readonly resolvesNames: boolean;
};

/** As curl reads them, for which `socks:` is SOCKS4. */
const socksByProtocol: Readonly<Partial<Record<string, Socks>>> = {
	'socks:': {version: 4, resolvesNames: false},
	'socks4:': {version: 4, resolvesNames: false},
	'socks4a:': {version: 4, resolvesNames: true},
	'socks5:': {version: 5, resolvesNames: false},
	'socks5h:': {version: 5, resolvesNames: true},
};

/** Undefined for an HTTP proxy. */
export function socksOf({protocol}: URL): Socks | undefined {
	return socksByProtocol[protocol];
}

/** Throws `bad-request` that names what is allowed, and never the text, which may hold a password. `what` begins the sentence. */
export function parseProxy(text: string, what = 'The proxy'): URL {
	let url: URL | undefined;
	try {
		// `proxy.example:3128` alone is an HTTP proxy, as for curl.
		url = new URL(withScheme(text));
		credentialsOf(url);
	} catch {
		url = undefined;
	}

	if (!url || !(/^https?:$/.test(url.protocol) || socksOf(url)) || url.hostname === '') {
		throw new DownStreamError(
			'bad-request',
			`${what} must be written http://, https://, socks5:// or socks5h:// (also socks4:// or socks4a://) with HOST:PORT, and user:password@ before it if needed`,
		);
	}

	return url;
}

/**
 * The proxy that the environment names for this URL, as curl reads it, in lower or upper case; `no_proxy` lists hosts,
 * domains, addresses, networks. curl never reads HTTP_PROXY, which a web server may have set from a header of a request;
 * that is so only where REQUEST_METHOD says that there is one. Throws `bad-request` that names the variable.
 */
export function proxyFromEnvironment(url: URL, environment: NodeJS.ProcessEnv): URL | undefined {
	const set = (...names: string[]) => names.find(name => environment[name]);
	const either = (name: string) => set(name, name.toUpperCase());
	const exceptions = either('no_proxy');
	if (exceptions !== undefined && isExcepted(url, environment[exceptions]!)) {
		return undefined;
	}

	const isForged = environment.REQUEST_METHOD !== undefined;
	const ofHttp = isForged ? set('http_proxy') : either('http_proxy');
	const name = (url.protocol === 'http:' ? ofHttp : either('https_proxy')) ?? either('all_proxy');
	return name === undefined
		? undefined
		: parseProxy(environment[name]!, `The proxy in the environment variable ${name}`);
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

/** `http://` where none is given, as curl and wget have it. */
export function withScheme(text: string): string {
	return /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`;
}
