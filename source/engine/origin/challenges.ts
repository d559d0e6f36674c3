// WWW-Authenticate: the authentication that a server requires (RFC 9110 section 11).
import type {Remedy} from '../../downstream.ts';

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

type LoginProblem = {
	readonly message: string;
	/** Undefined where credentials were given and refused. */
	readonly needs?: Remedy;
};

/** Explains a 401. `hadCredentials`: the request had an Authorization header. */
export function loginProblem(
	host: string,
	header: string | undefined,
	hadCredentials: boolean,
): LoginProblem {
	const challenges = parseChallenges(header).filter(({scheme}) => names[scheme] !== undefined);
	const schemes = new Set(challenges.map(({scheme}) => names[scheme]!));
	const realm = challenges.map(({parameters}) => cleanRealm(parameters.get('realm'))).find(Boolean);
	const details = [[...schemes].join(' or '), realm ? `"${realm}"` : '']
		.filter(part => part !== '')
		.join(', ');
	const suffix = details === '' ? '' : ` (${details})`;
	const of401 = `401 Unauthorized: ${host}`;
	if (hadCredentials) {
		return {message: `${of401} requires a valid user, password or token${suffix}`};
	}

	if (schemes.size === 0 || schemes.has('Basic') || schemes.has('Digest')) {
		return {message: `${of401} needs a user name and password${suffix}`, needs: 'password'};
	}

	return schemes.has('Bearer')
		? {message: `${of401} needs a token${suffix}`, needs: 'token'}
		: {message: `${of401} requires an unsupported kind of login${suffix}`, needs: 'other-login'};
}

function cleanRealm(realm: string | undefined): string {
	return (realm ?? '')
		.replaceAll(/[\p{C}\p{Z}"]+/gu, ' ')
		.trim()
		.slice(0, maxRealmLength);
}
