// Access control: local programs, and web pages that the user has allowed. Pure.
import {createHash, timingSafeEqual} from 'node:crypto';
import type {IncomingHttpHeaders} from 'node:http';

type AccessPolicy = {
	/** Origins of allowed web pages, such as `https://player.example`. */
	readonly allowOrigins: readonly string[];
};

type AccessDecision =
	/** `page` is the origin of an allowed web page, whose response needs CORS headers. */
	| {readonly granted: true; readonly page?: string}
	| {readonly granted: false; readonly status: 403 | 421; readonly reason: string};

/**
 * Decides by the headers only. A foreign name in Host indicates DNS rebinding to loopback, which would make its page
 * same-origin with the proxy. The port proves nothing: a rebound page keeps its foreign name at any port, and tunnels
 * (`ssh -L`, editors) forward other ports. A page of another loopback server has a different port in Origin than in
 * Host, which no page can change. Browsers add Origin or Sec-Fetch-Site to a page's requests, programs send neither,
 * and a URL typed by the user has `Sec-Fetch-Site: none`.
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

/** As in DNS, the name may end in a dot. */
function isLoopbackHost(host: string): boolean {
	const [, name = '', port = '0'] = /^(\[::1\]|[^:]*?)\.?(?::(\d{1,5}))?$/.exec(host) ?? [];
	const isLoopback = name === 'localhost' || name === '[::1]' || ipv4Of(name)?.startsWith('127.');
	return isLoopback === true && Number(port) <= 65_535;
}

/** An address may be abbreviated, as in `127.1`; no DNS name is a number (RFC 3696 section 2). */
function ipv4Of(name: string): string | undefined {
	return /^[\d.]+$/.test(name) ? URL.parse(`http://${name}`)?.hostname : undefined;
}

/**
 * A `<video>` or `<img>` without `crossorigin` sends no Origin; its Referer identifies the page and cannot be forged.
 */
function originOf(referer: string | undefined): string | undefined {
	return referer !== undefined && URL.canParse(referer) ? new URL(referer).origin : undefined;
}

/** Constant-time comparison, which does not leak the key. */
export function isKey(candidate: string | null | undefined, key: string): boolean {
	return typeof candidate === 'string' && timingSafeEqual(sha256(candidate), sha256(key));
}

export type Keys = {
	/** Commands and reads. */
	readonly key: string;
	/** Reads only: the playlist URL that contains it is visible in process lists. */
	readonly viewKey: string;
};

export const viewKeyRefusal = 'The view key is read-only; this request needs the key.';

/** The rights of a key. */
export function permissionOf(given: string | null | undefined, keys: Keys): 'command' | 'view' | 'none' {
	return isKey(given, keys.key) ? 'command' : isKey(given, keys.viewKey) ? 'view' : 'none';
}

/** The token of `Authorization: Bearer` (RFC 6750 section 2.1). */
export function bearerToken(authorization: string | undefined): string | undefined {
	return /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

function sha256(text: string): Buffer {
	return createHash('sha256').update(text).digest();
}
