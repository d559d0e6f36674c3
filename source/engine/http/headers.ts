// Names of request headers: which ones the program sets itself, and the case in which they are sent. Pure.
import {DownStreamError} from '../../downstream.ts';

/** Headers that belong to the request or the connection. */
export const ownHeaders =
	/^(?:host|range|content-length|transfer-encoding|connection|keep-alive|upgrade|expect|accept-encoding)$/i;

/** Some servers find them in this case only, though case has no meaning (RFC 9110 section 5.1). */
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

/** `headers` have names in lower case; `typed` has, by lower case, the names that the user typed. */
export function inUsualCase(
	headers: Readonly<Record<string, string>>,
	typed?: ReadonlyMap<string, string>,
): Record<string, string> {
	return Object.fromEntries(
		Object.entries(headers).map(([name, value]) => {
			const given = typed?.get(name) ?? name;
			return [given === name ? (usualNames.get(name) ?? name) : given, value];
		}),
	);
}

/** Of names that differ in case alone, the last is kept. Values may be secret: errors name the header alone. */
export function checkedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
	const checked = new Map<string, [name: string, value: string]>();
	for (const [name, value] of Object.entries(headers)) {
		if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
			throw new DownStreamError('bad-request', `"${name}" is no name of a header`);
		}

		if (/[^\t\x20-\x7E\x80-\xFF]/.test(value)) {
			throw new DownStreamError(
				'bad-request',
				`The header ${name} has a line break or a character that no header can carry`,
			);
		}

		if (ownHeaders.test(name)) {
			throw new DownStreamError('bad-request', `The header ${name} is set by the program itself`);
		}

		checked.set(name.toLowerCase(), [name, value]);
	}

	return Object.fromEntries(checked.values());
}

export function inLowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
	return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
