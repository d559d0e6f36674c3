// Resolves the target of a redirect.
import {DownStreamError} from '../../downstream.ts';
import {withoutDuplicate} from '../http/header-text.ts';
import {isImpossible} from '../http/hosts.ts';
import type {ResponseHead} from '../http/response-parser.ts';

const redirects = new Set([300, 301, 302, 303, 307, 308]);

/**
 * Returns the redirect's URL without credentials and fragment, or undefined if the response from `from` is not a
 * redirect. Throws `origin-misbehaved` for malformed targets such as `http:///x` and `\\host\x`, for which browsers
 * guess: a wrong guess contacts another host, or waits for one that does not exist.
 */
export function redirectTarget(from: URL, {status, headers}: ResponseHead): URL | undefined {
	const location = headers.get('location');
	if (!redirects.has(status) || location === undefined) {
		return undefined;
	}

	const target = resolve(from, withoutDuplicate(location.replaceAll(/^[ \t]+|[ \t]+$/g, '')));
	if (typeof target === 'string') {
		throw new DownStreamError('origin-misbehaved', `${from.hostname} redirects to ${target}`);
	}

	// A server must not choose our credentials.
	target.username = '';
	target.password = '';
	target.hash = '';
	return target;
}

/** Returns the URL, or a description of the invalid target. */
function resolve(from: URL, location: string): URL | string {
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
		// Keeps raw bytes: a name in raw UTF-8 is that name.
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
