// Cookies set by redirects (RFC 6265). A jar lives for one request with its redirects.
import {isIP} from 'node:net';
import {parseSetCookie} from 'set-cookie-parser';
import {isLoopback} from '../http/hosts.ts';

type StoredCookie = {
	readonly name: string;
	readonly value: string;
	readonly domain: string;
	/** For the host `domain` alone, at any port (section 8.5). */
	readonly isHostOnly: boolean;
	readonly path: string;
	readonly secure: boolean;
};

export class CookieJar {
	/** In the order they were set. */
	readonly #cookies = new Map<string, StoredCookie>();

	/** Stores the joined Set-Cookie headers of a response from `url`. */
	store(url: URL, header: string | undefined): void {
		for (const {name, value, ...attributes} of parseSetCookie(header ?? '', {
			decodeValues: false,
			silent: true,
		})) {
			const domain = attributes.domain?.replace(/^\./, '').toLowerCase() || url.hostname;
			const path = attributes.path?.startsWith('/') ? attributes.path : defaultPath(url);
			const secure = attributes.secure ?? false;
			if (name === '' || !maySetFor(url.hostname, domain) || (secure && !isSecure(url))) {
				continue;
			}

			const key = [name, domain, path].join('\n');
			const {maxAge, expires} = attributes;
			const isExpired = maxAge === undefined ? expires && expires.getTime() <= Date.now() : maxAge <= 0;
			if (isExpired) {
				this.#cookies.delete(key);
			} else {
				this.#cookies.set(key, {
					name,
					value,
					domain,
					isHostOnly: !attributes.domain,
					path,
					secure,
				});
			}
		}
	}

	/** Builds the Cookie header. A stored cookie replaces one of the user's with the same name. */
	headerFor(url: URL, userCookies: string | undefined): string | undefined {
		const sent = [...this.#cookies.values()]
			.filter(cookie => applies(cookie, url))
			// Longer paths first (section 5.4).
			.toSorted((a, b) => b.path.length - a.path.length);
		const names = new Set(sent.map(({name}) => name));
		const kept = (userCookies ?? '')
			.split(';')
			.map(pair => pair.trim())
			.filter(pair => pair !== '' && !names.has(pair.split('=', 1)[0]!.trim()));
		const pairs = [...kept, ...sent.map(({name, value}) => `${name}=${value}`)];
		return sent.length === 0 ? userCookies : pairs.join('; ');
	}
}

/**
 * True if the host may set a cookie for the domain. Public suffixes do not matter, because no jar outlives its
 * request.
 */
function maySetFor(host: string, domain: string): boolean {
	return host === domain || (domain.includes('.') && isSubdomain(host, domain));
}

function isSubdomain(host: string, domain: string): boolean {
	return host.endsWith(`.${domain}`) && isIP(host) === 0;
}

/** Section 5.1.4. */
function defaultPath({pathname}: URL): string {
	return pathname.slice(0, Math.max(1, pathname.lastIndexOf('/')));
}

/** Traffic to a server of this machine cannot be intercepted. */
function isSecure({protocol, hostname}: URL): boolean {
	return protocol === 'https:' || isLoopback(hostname);
}

function applies({domain, isHostOnly, path, secure}: StoredCookie, url: URL): boolean {
	const {hostname, pathname} = url;
	return (
		(hostname === domain || (!isHostOnly && isSubdomain(hostname, domain))) &&
		(pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`)) &&
		(!secure || isSecure(url))
	);
}
