// An origin that requires HTTP Digest (RFC 7616) from one user.
import {createHash} from 'node:crypto';
import type {TestContext} from 'node:test';
import {startOrigin} from './engines.ts';
import type {OriginOptions, TestOrigin} from './origin.ts';

export type DigestOptions = {
	user?: string;
	password?: string;
	realm?: string;
	algorithm?: string;
	/** Omitted as in RFC 2069. */
	qop?: string;
	/** Uses of a nonce before it expires. */
	uses?: number;
	/** Marks expired nonces as stale. */
	saysStale?: boolean;
	/** Challenges sent before the Digest challenge. */
	others?: string;
};

export type DigestOrigin = {
	readonly origin: TestOrigin;
	/** Requests with correct credentials. */
	accepted: number;
	/** Requests that were challenged again. */
	refused: number;
};

export async function startDigestOrigin(
	t: TestContext,
	originOptions: OriginOptions,
	options: DigestOptions = {},
): Promise<DigestOrigin> {
	const {
		user = 'me',
		password = 'geheim',
		realm = 'films',
		algorithm,
		qop,
		uses = Infinity,
		saysStale = true,
		others = '',
	} = options;
	const hash = /^sha-256/i.test(algorithm ?? '') ? 'sha256' : 'md5';
	const sum = (text: string) => createHash(hash).update(text).digest('hex');
	/** Keyed by nonce: the counts used with it. */
	const nonces = new Map<string, Set<string>>();
	const digest: DigestOrigin = {
		accepted: 0,
		refused: 0,
		origin: await startOrigin(t, {
			...originOptions,
			intercept(request, response) {
				// The header is Latin-1; its content is UTF-8.
				const header = Buffer.from(request.headers.authorization ?? '', 'latin1').toString();
				const field = (name: string) =>
					new RegExp(`(?:^Digest|,) ${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^,]*))`)
						.exec(header)
						?.slice(1)
						.find(value => value !== undefined)
						?.replaceAll(/\\(.)/g, '$1') ?? '';
				const seen = nonces.get(field('nonce'));
				const isFresh =
					seen !== undefined && seen.size < uses && !(qop !== undefined && seen.has(field('nc')));
				const secret = sum(`${user}:${realm}:${password}`);
				const key = /-sess$/i.test(algorithm ?? '')
					? sum(`${secret}:${field('nonce')}:${field('cnonce')}`)
					: secret;
				const middle =
					qop === undefined
						? field('nonce')
						: [field('nonce'), field('nc'), field('cnonce'), field('qop')].join(':');
				const isRight =
					field('username') === user &&
					field('uri') === request.url &&
					field('opaque') === 'o,"=' &&
					field('response') === sum(`${key}:${middle}:${sum(`${request.method}:${request.url}`)}`);
				if (isRight && isFresh) {
					seen.add(qop === undefined ? String(seen.size) : field('nc'));
					digest.accepted++;
					return false;
				}

				const nonce = `n${nonces.size}`;
				nonces.set(nonce, new Set());
				digest.refused++;
				const parts = [
					`Digest realm="${realm.replaceAll('"', String.raw`\"`)}"`,
					`nonce="${nonce}"`,
					String.raw`opaque="o,\"="`,
					...(qop === undefined ? [] : [`qop="${qop}"`]),
					...(algorithm === undefined ? [] : [`algorithm=${algorithm}`]),
					...(isRight && saysStale ? ['stale=true'] : []),
				];
				response.writeHead(401, {'www-authenticate': `${others}${parts.join(', ')}`}).end('no');
				return true;
			},
		}),
	};
	return digest;
}
