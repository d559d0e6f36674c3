// Names of request headers: which ones the program sets itself, and the case in which they are sent. Pure.

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
