// HTTP Digest (RFC 7616, or RFC 2069 if the server sends no qop).
import {createHash, randomBytes} from 'node:crypto';
import {parseChallenges, type Challenge} from './challenges.ts';

const hashes: Partial<Record<string, string>> = {
	md5: 'md5',
	'sha-256': 'sha256',
	'sha-512-256': 'sha512-256',
};

/** A user name and password with the current challenge, which is reused until the origin sends another. */
export class DigestLogin {
	readonly #user: string;
	readonly #password: string;
	#challenge: Challenge | undefined;
	/** Requests authorized with the challenge. */
	#count = 0;

	/** Returns undefined if the Authorization header contains no user and password. */
	static fromBasic(authorization: string | undefined): DigestLogin | undefined {
		const [, packed] = /^Basic +([\w+/=-]+)$/i.exec(authorization?.trim() ?? '') ?? [];
		const pair = Buffer.from(packed ?? '', 'base64').toString('latin1');
		const colon = pair.indexOf(':');
		return colon === -1 || /\p{Cc}/u.test(Buffer.from(pair, 'latin1').toString())
			? undefined
			: new DigestLogin(pair.slice(0, colon), pair.slice(colon + 1));
	}

	/** Bytes as Latin-1. */
	private constructor(user: string, password: string) {
		this.#user = user;
		this.#password = password;
	}

	/**
	 * Accepts the challenge of a 401. Returns false if there is no supported challenge, or if the credentials were
	 * rejected: after the first challenge (`isFirst`), only a stale nonce justifies another attempt.
	 */
	accept(header: string | undefined, isFirst: boolean): boolean {
		const challenge = parseChallenges(header).find(isSupported);
		if (!challenge || !(isFirst || challenge.parameters.get('stale')?.toLowerCase() === 'true')) {
			return false;
		}

		this.#challenge = challenge;
		this.#count = 0;
		return true;
	}

	/** The Authorization header for a GET of the path and query; undefined before the first challenge. */
	authorize(target: string): string | undefined {
		return (
			this.#challenge &&
			digestAuthorization(this.#challenge, {
				user: this.#user,
				password: this.#password,
				target,
				count: ++this.#count,
				cnonce: randomBytes(18).toString('base64'),
			})
		);
	}
}

function isSupported({scheme, parameters}: Challenge): boolean {
	return (
		scheme === 'digest' &&
		parameters.has('nonce') &&
		algorithmOf(parameters) !== undefined &&
		hasAuth(parameters)
	);
}

function algorithmOf(parameters: Challenge['parameters']): {hash: string; isSession: boolean} | undefined {
	const name = parameters.get('algorithm')?.toLowerCase() ?? 'md5';
	const hash = hashes[name.replace(/-sess$/, '')];
	return hash === undefined ? undefined : {hash, isSession: name.endsWith('-sess')};
}

/** True also without qop. */
function hasAuth(parameters: Challenge['parameters']): boolean {
	const qop = parameters.get('qop');
	return qop === undefined || qop.split(',').some(each => each.trim().toLowerCase() === 'auth');
}

export type DigestRequest = {
	/** Bytes as Latin-1, like all strings of a challenge. */
	readonly user: string;
	readonly password: string;
	/** Path and query as sent. */
	readonly target: string;
	/** Requests authorized with the challenge, including this one. */
	readonly count: number;
	readonly cnonce: string;
};

/** The Authorization header of a GET (RFC 7616 section 3.4). Requires a Digest challenge with a nonce. */
export function digestAuthorization(
	{parameters}: Challenge,
	{user, password, target, count, cnonce}: DigestRequest,
): string {
	const {hash, isSession} = algorithmOf(parameters)!;
	const digest = (...parts: string[]) => createHash(hash).update(parts.join(':'), 'latin1').digest('hex');
	const realm = parameters.get('realm') ?? '';
	const nonce = parameters.get('nonce')!;
	const opaque = parameters.get('opaque');
	const algorithm = parameters.get('algorithm');
	const hasQop = parameters.has('qop');
	const nc = count.toString(16).padStart(8, '0');
	const secret = digest(user, realm, password);
	const key = isSession ? digest(secret, nonce, cnonce) : secret;
	const requestHash = digest('GET', target);
	const fields = [
		`username=${quoted(user)}`,
		`realm=${quoted(realm)}`,
		`nonce=${quoted(nonce)}`,
		`uri=${quoted(target)}`,
		`response="${hasQop ? digest(key, nonce, nc, cnonce, 'auth', requestHash) : digest(key, nonce, requestHash)}"`,
		...(algorithm === undefined ? [] : [`algorithm=${algorithm}`]),
		...(opaque === undefined ? [] : [`opaque=${quoted(opaque)}`]),
		...(hasQop ? ['qop=auth', `nc=${nc}`] : []),
		...(hasQop || isSession ? [`cnonce="${cnonce}"`] : []),
	];
	return `Digest ${fields.join(', ')}`;
}

function quoted(text: string): string {
	return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
