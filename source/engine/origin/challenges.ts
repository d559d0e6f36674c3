// WWW-Authenticate: what a server wants before it gives a file (RFC 9110 section 11).
import type {Remedy} from '../../downstream.ts';

export type Challenge = {
	/** In lower case. */
	readonly scheme: string;
	/** By names in lower case. */
	readonly parameters: ReadonlyMap<string, string>;
};

/** The challenges of a header, or of several that were joined; what is malformed is passed over. */
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

		// A word without a comma before it is the token68 of its scheme.
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
const longestRealm = 60;

export type LoginProblem = {
	readonly message: string;
	/** Undefined where a login was given and refused. */
	readonly needs?: Remedy;
};

/** The reason for a 401. `isKnown`: whether the request had an Authorization header. */
export function loginProblem(host: string, header: string | undefined, isKnown: boolean): LoginProblem {
	const challenges = parseChallenges(header).filter(({scheme}) => names[scheme] !== undefined);
	const wanted = new Set(challenges.map(({scheme}) => names[scheme]!));
	const realm = challenges.map(({parameters}) => cleanRealm(parameters.get('realm'))).find(Boolean);
	const details = [[...wanted].join(' or '), realm ? `"${realm}"` : '']
		.filter(part => part !== '')
		.join(', ');
	const suffix = details === '' ? '' : ` (${details})`;
	if (isKnown) {
		return {message: `401 Unauthorized: ${host} wants another user, password or token${suffix}`};
	}

	if (wanted.size === 0 || wanted.has('Basic') || wanted.has('Digest')) {
		return {
			message: `401 Unauthorized: ${host} needs a user name and password${suffix}`,
			needs: 'password',
		};
	}

	return wanted.has('Bearer')
		? {message: `401 Unauthorized: ${host} needs a token${suffix}`, needs: 'token'}
		: {
				message: `401 Unauthorized: ${host} needs a login that this program does not know${suffix}`,
				needs: 'other-login',
			};
}

function cleanRealm(realm: string | undefined): string {
	return (realm ?? '')
		.replaceAll(/[\p{C}\p{Z}"]+/gu, ' ')
		.trim()
		.slice(0, longestRealm);
}
