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
	if (!/^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/.test(host)) {
		return {granted: false, status: 421, reason: 'The Host header must name 127.0.0.1, localhost or [::1].'};
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

/** A `<video>` or `<img>` without `crossorigin` sends no Origin; its Referer tells the page and cannot be forged. */
function originOf(referer: string | undefined): string | undefined {
	return referer !== undefined && URL.canParse(referer) ? new URL(referer).origin : undefined;
}

/** Compares in a time that says nothing about the key. */
export function isKey(given: string | null | undefined, key: string): boolean {
	return typeof given === 'string' && timingSafeEqual(sha256(given), sha256(key));
}

export type Keys = {
	/** Commands and reads. */
	readonly key: string;
	/** Reads alone: the URL of the playlist that holds it is seen in lists of processes. */
	readonly viewKey: string;
};

export const viewKeyRefusal = 'The view key only reads; this needs the key.';

/** What the holder of a key may do. */
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
