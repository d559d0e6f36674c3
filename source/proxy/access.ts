// Who may ask: programs of this computer, and only those web pages that the user named. Pure.
import {createHash, timingSafeEqual} from 'node:crypto';
import type {IncomingHttpHeaders} from 'node:http';

export type AccessPolicy = {
	/** Origins of web pages that may ask, such as `https://player.example`. */
	readonly allowOrigins: readonly string[];
};

export type AccessDecision =
	/** `page` is the allowed web page's origin, which needs CORS headers in the answer. */
	| {readonly granted: true; readonly page?: string}
	| {readonly granted: false; readonly status: 403 | 421; readonly reason: string};

/**
 * Decides by the headers alone. A foreign name in Host means that the name was rebound to loopback, so that its page
 * would be same-origin with us. The port proves nothing: a rebound page keeps its foreign name at any port, and tunnels
 * (`ssh -L`, editors) forward other ports to ours. A page of another server on loopback has another port in Origin than
 * in Host, which no page can set. Browsers put Origin or Sec-Fetch-Site on what a page makes them ask, programs put
 * neither, and an address that the user typed has `Sec-Fetch-Site: none`.
 */
export function decideAccess(headers: IncomingHttpHeaders, policy: AccessPolicy): AccessDecision {
	const host = headers.host?.toLowerCase() ?? '';
	if (!isLoopbackHost(host)) {
		return {granted: false, status: 421, reason: 'The Host header must name localhost, 127.0.0.1 or [::1].'};
	}

	const site = headers['sec-fetch-site'] ?? 'none';
	const originIsForeign = headers.origin !== undefined && headers.origin !== `http://${host}`;
	if (!originIsForeign && (site === 'none' || site === 'same-origin')) {
		return {granted: true};
	}

	const page = headers.origin ?? originOf(headers.referer);
	if (page !== undefined && policy.allowOrigins.includes(page)) {
		return {granted: true, page};
	}

	return {
		granted: false,
		status: 403,
		reason: 'Web pages may not use this proxy unless --allow-origin names them.',
	};
}

/** A dot may end the name, as any name of DNS. */
function isLoopbackHost(host: string): boolean {
	const [, name = '', port = '0'] = /^(\[::1\]|[^:]*?)\.?(?::(\d{1,5}))?$/.exec(host) ?? [];
	const isLoopback = name === 'localhost' || name === '[::1]' || ipv4Of(name)?.startsWith('127.');
	return isLoopback === true && Number(port) <= 65_535;
}

/** Of an address that may be written short, as in `127.1`; no name of DNS is a number (RFC 3696 section 2). */
function ipv4Of(name: string): string | undefined {
	return /^[\d.]+$/.test(name) ? URL.parse(`http://${name}`)?.hostname : undefined;
}

/** A `<video>` or `<img>` without `crossorigin` sends no Origin; its Referer tells the page and cannot be forged. */
function originOf(referer: string | undefined): string | undefined {
	return referer !== undefined && URL.canParse(referer) ? new URL(referer).origin : undefined;
}

/** Compares in a time that says nothing about the key. */
export function isKey(given: string | null | undefined, key: string): boolean {
	return typeof given === 'string' && timingSafeEqual(sha256(given), sha256(key));
}

/** The token of `Authorization: Bearer` (RFC 6750 section 2.1). */
export function bearerToken(authorization: string | undefined): string | undefined {
	return /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

function sha256(text: string): Buffer {
	return createHash('sha256').update(text).digest();
}
