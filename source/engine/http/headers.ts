// Request header names: the reserved ones, and the case of each on the wire. Pure.
import {DownStreamError} from '../../downstream.ts';

/** Headers that belong to the request or the connection; users cannot set them. */
export const reservedHeaders =
	/^(?:host|range|content-length|transfer-encoding|connection|keep-alive|upgrade|expect|accept-encoding)$/i;

/** Names are case-insensitive (RFC 9110 section 5.1), but some servers recognize only the usual case. */
const usualNames: ReadonlyMap<string, string> = byLowerCase([
	...[
		'Accept',
		'Accept-Encoding',
		'Accept-Language',
		'Authorization',
		'Cache-Control',
		'Connection',
		'Cookie',
	],
	...['DNT', 'Host', 'Origin', 'Pragma', 'Proxy-Authorization', 'Range', 'Referer', 'User-Agent'],
]);

export function byLowerCase(names: readonly string[]): Map<string, string> {
	return new Map(names.map(name => [name.toLowerCase(), name]));
}

/** Takes headers keyed by lower-case name; `typed` maps lower-case names to the user's spelling. */
export function inUsualCase(
	headers: Readonly<Record<string, string>>,
	typed?: ReadonlyMap<string, string>,
): Record<string, string> {
	return Object.fromEntries(
		Object.entries(headers).map(([name, value]) => {
			const spelling = typed?.get(name) ?? name;
			return [spelling === name ? (usualNames.get(name) ?? name) : spelling, value];
		}),
	);
}

/**
 * Keeps the last of several names that differ only in case. Throws `bad-request`; the error names the header but not
 * its value, which may be secret.
 */
export function checkedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
	const checked = new Map<string, [name: string, value: string]>();
	for (const [name, value] of Object.entries(headers)) {
		if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
			throw new DownStreamError('bad-request', `"${name}" is not a valid header name`);
		}

		if (/[^\t\x20-\x7E\x80-\xFF]/.test(value)) {
			throw new DownStreamError(
				'bad-request',
				`The header ${name} has a line break or another character that is not allowed in headers`,
			);
		}

		if (reservedHeaders.test(name)) {
			throw new DownStreamError('bad-request', `The header ${name} is set by the program itself`);
		}

		checked.set(name.toLowerCase(), [name, value]);
	}

	return Object.fromEntries(checked.values());
}

export function inLowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
	return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
