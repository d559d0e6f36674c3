// WWW-Authenticate: the authentication that a server requires (RFC 9110 section 11).

export type Challenge = {
	/** In lower case. */
	readonly scheme: string;
	/** Keyed by lower-case name. */
	readonly parameters: ReadonlyMap<string, string>;
};

/** Parses the challenges of one or several joined headers; skips malformed ones. */
export function parseChallenges(header: string | undefined): Challenge[] {
	const challenges: Array<{scheme: string; parameters: Map<string, string>}> = [];
	let isSeparated = true;
	const words = /(,)|([^\s,="]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]*)))?/g;
	for (const [, comma, word = '', quoted, plain] of (header ?? '').matchAll(words)) {
		const value = quoted?.replaceAll(/\\(.)/g, '$1') ?? plain;
		if (value !== undefined) {
			challenges.at(-1)?.parameters.set(word.toLowerCase(), value);
		} else if (!comma && isSeparated) {
			challenges.push({scheme: word.toLowerCase(), parameters: new Map()});
		}

		// A word without a preceding comma is the token68 of its scheme.
		isSeparated = comma !== undefined;
	}

	return challenges;
}

const names: Partial<Record<string, string>> = {
	basic: 'Basic',
	digest: 'Digest',
	bearer: 'Bearer',
	negotiate: 'Negotiate',
	ntlm: 'NTLM',
};
const maxRealmLength = 60;

/** Explains a 401 and how to resolve it. `hadCredentials`: the request had an Authorization header. */
export function loginProblem(host: string, header: string | undefined, hadCredentials: boolean): string {
	const challenges = parseChallenges(header).filter(({scheme}) => names[scheme] !== undefined);
	const schemes = new Set(challenges.map(({scheme}) => names[scheme]!));
	const realm = challenges.map(({parameters}) => cleanRealm(parameters.get('realm'))).find(Boolean);
	const details = [[...schemes].join(' or '), realm ? `"${realm}"` : '']
		.filter(part => part !== '')
		.join(', ');
	const suffix = details === '' ? '' : ` (${details})`;
	if (hadCredentials) {
		return `401 Unauthorized: ${host} requires a valid user, password or token${suffix}`;
	}

	if (schemes.size === 0 || schemes.has('Basic') || schemes.has('Digest')) {
		return `401 Unauthorized: ${host} needs a user name and password${suffix}; put them into the URL as user:password@, or use --netrc`;
	}

	return schemes.has('Bearer')
		? `401 Unauthorized: ${host} needs a token${suffix}; give it with --header "Authorization: Bearer TOKEN"`
		: `401 Unauthorized: ${host} requires an unsupported kind of login${suffix}; use a link that works without a login, or pass a browser's cookie with --header`;
}

function cleanRealm(realm: string | undefined): string {
	return (realm ?? '')
		.replaceAll(/[\p{C}\p{Z}"]+/gu, ' ')
		.trim()
		.slice(0, maxRealmLength);
}
