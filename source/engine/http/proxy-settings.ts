// Selects the upstream proxy from the user's setting or the environment. Pure.
import {isIP} from 'node:net';
import ipaddr from 'ipaddr.js';
import {DownStreamError} from '../../downstream.ts';

export type Socks = {
	readonly version: 4 | 5;
	/** The proxy, not the client, resolves host names. */
	readonly resolvesNames: boolean;
};

/** As in curl, where `socks:` means SOCKS4. */
const socksByProtocol: Readonly<Partial<Record<string, Socks>>> = {
	'socks:': {version: 4, resolvesNames: false},
	'socks4:': {version: 4, resolvesNames: false},
	'socks4a:': {version: 4, resolvesNames: true},
	'socks5:': {version: 5, resolvesNames: false},
	'socks5h:': {version: 5, resolvesNames: true},
};

/** Returns undefined for an HTTP proxy. */
export function socksOf({protocol}: URL): Socks | undefined {
	return socksByProtocol[protocol];
}

/**
 * Throws `bad-request`. The error starts with `subject` and lists the accepted forms, but never contains the text,
 * which may hold a password.
 */
export function parseProxy(text: string, subject = 'The proxy'): URL {
	let url: URL | undefined;
	try {
		// As in curl, `proxy.example:3128` is an HTTP proxy.
		url = new URL(withScheme(text));
		credentialsOf(url);
	} catch {
		url = undefined;
	}

	if (!url || !(/^https?:$/.test(url.protocol) || socksOf(url)) || url.hostname === '') {
		throw new DownStreamError(
			'bad-request',
			`${subject} must be written http://, https://, socks5:// or socks5h:// (also socks4:// or socks4a://) with HOST:PORT, and user:password@ before it if needed`,
		);
	}

	return url;
}

/**
 * Returns the proxy that the environment sets for this URL. As in curl, variables may be lower or upper case, and
 * `no_proxy` lists hosts, domains, addresses and networks. curl ignores HTTP_PROXY, because a web server may have set
 * it from a request header; this function ignores it only if REQUEST_METHOD is set. Throws `bad-request` that names
 * the variable.
 */
export function proxyFromEnvironment(url: URL, environment: NodeJS.ProcessEnv): URL | undefined {
	const firstSet = (...names: string[]) => names.find(name => environment[name]);
	const either = (name: string) => firstSet(name, name.toUpperCase());
	const exceptions = either('no_proxy');
	if (exceptions !== undefined && isExempt(url, environment[exceptions]!)) {
		return undefined;
	}

	const isForged = environment.REQUEST_METHOD !== undefined;
	const httpName = isForged ? firstSet('http_proxy') : either('http_proxy');
	const name = (url.protocol === 'http:' ? httpName : either('https_proxy')) ?? either('all_proxy');
	return name === undefined
		? undefined
		: parseProxy(environment[name]!, `The proxy in the environment variable ${name}`);
}

function isExempt(url: URL, list: string): boolean {
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

/** Throws on invalid percent-encoding. */
export function credentialsOf({username, password}: URL): [user: string, password: string] {
	return [decodeURIComponent(username), decodeURIComponent(password)];
}

/** The host in lower case, without the brackets of an IPv6 address and the trailing dot of a name. */
export function bareHost({hostname}: URL): string {
	return hostname.replace(/^\[|[\].]$/g, '').toLowerCase();
}

function portOf({protocol, port}: URL): number {
	return Number(port) || (protocol === 'https:' ? 443 : 80);
}

/** Adds `http://` if the text has no scheme, as curl and wget do. */
export function withScheme(text: string): string {
	return /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`;
}
