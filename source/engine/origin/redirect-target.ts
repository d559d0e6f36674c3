// Where a redirect leads.
import {DownStreamError} from '../../downstream.ts';
import {onlyValue} from '../http/header-text.ts';
import {isImpossible} from '../http/hosts.ts';
import type {ResponseHead} from '../http/response-parser.ts';

const redirects = new Set([300, 301, 302, 303, 307, 308]);

/**
 * The URL that a response of `from` redirects to, without credentials and fragment; undefined where it is no redirect.
 * Throws `origin-misbehaved` for a target that browsers guess at, such as `http:///x` and `\\host\x`: a wrong guess asks
 * another host, or waits for one that is not there.
 */
export function redirectTarget(from: URL, {status, headers}: ResponseHead): URL | undefined {
	const location = headers.get('location');
	if (!redirects.has(status) || location === undefined) {
		return undefined;
	}

	const target = resolved(from, onlyValue(location.replaceAll(/^[ \t]+|[ \t]+$/g, '')));
	if (typeof target === 'string') {
		throw new DownStreamError('origin-misbehaved', `${from.hostname} redirects to ${target}`);
	}

	// A server must not choose credentials for us.
	target.username = '';
	target.password = '';
	target.hash = '';
	return target;
}

/** Else, in words, what it is instead of a URL. */
function resolved(from: URL, location: string): URL | string {
	if (location === '') {
		return 'nowhere: its Location is empty';
	}

	const [, scheme, rest = location] = /^([a-z][a-z\d+.-]*):(.*)$/is.exec(location) ?? [];
	if (scheme !== undefined && !/^https?$/i.test(scheme)) {
		return 'something that is not http or https';
	}

	const isAbsolute = scheme !== undefined || rest.startsWith('//');
	if (isAbsolute ? !/^\/\/[^/\\?#]/.test(rest) : /^[/\\]?\\/.test(rest)) {
		return 'a malformed address';
	}

	try {
		// Bytes stay what they are: a name in raw UTF-8 is that name.
		const target = new URL(
			location.replaceAll(/[\x80-\xFF]/g, byte => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`),
			from,
		);
		// `0x` and the like become it.
		const isZero = isAbsolute && target.hostname === '0.0.0.0' && !rest.startsWith('//0.0.0.0');
		return isZero || isImpossible(target) ? 'a malformed address' : target;
	} catch {
		return 'a malformed address';
	}
}
