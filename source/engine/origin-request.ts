// One request to an origin: redirects, credentials, and the proof of what the answer is before its first byte.
import {lookup} from 'node:dns/promises';
import ipaddr from 'ipaddr.js';
import {DownStreamError} from '../downstream.ts';
import type {OriginAnswer, Validator} from './data-source.ts';
import {fileName, typeOf} from './file-info.ts';
import {contentLength} from './answer-parser.ts';
import {certificateProblem, type HttpAnswer, type HttpClient} from './http-client.ts';
import type {Range} from './range-set.ts';
import {bareHost} from './proxy-url.ts';

const mostRedirects = 10;
/** A body that nobody wants is read to keep the connection: so many bytes, for so long. */
const largestDiscarded = 64 * 1024;
const longestDiscardMs = 2000;

export type OriginRequestOptions = {
	/** What the user gave; each try starts from it, never from where it was redirected to. */
	readonly url: URL;
	/** For the origin (scheme, host, port) of `url` alone. */
	readonly headers: Readonly<Record<string, string>>;
	readonly userAgent: string;
	/** How to reach a URL, and whether that is through a proxy that may resolve names itself. */
	readonly route: (url: URL) => {client: Promise<HttpClient>; isDirect: boolean};
	readonly range: Range;
	/** Whether to send Range at all. */
	readonly ranged: boolean;
	readonly patient?: (() => boolean) | undefined;
	readonly signal: AbortSignal;
};

/**
 * Rejects with a `DownStreamError`, or the signal's reason. An origin that refuses every Range is asked for the
 * whole, if the range begins at 0.
 */
export async function requestOrigin(options: OriginRequestOptions): Promise<OriginAnswer> {
	const {range, ranged, signal} = options;
	try {
		const {url, response} = await follow(options);
		const {status} = response;
		if (status === 416) {
			// One that lies before the end that it tells is a refusal of the Range itself.
			const size = totalOf(response.headers.get('content-range'));
			if (size !== undefined && size <= range.start) {
				await discard(response);
				return emptyAnswer(url, response, range.start, size);
			}
		}

		if (ranged && range.start === 0 && (status === 416 || status === 403 || status === 406)) {
			await discard(response);
			return await requestOrigin({...options, ranged: false});
		}

		if (status !== 200 && status !== 206) {
			const error = refusal(url, response, Object.keys(options.headers));
			await discard(response);
			throw error;
		}

		try {
			return proveAnswer(url, response, options);
		} catch (error) {
			response.close();
			throw error;
		}
	} catch (error) {
		throw signal.aborted ? signal.reason : error;
	}
}

/** Redirects by hand: what was given for one origin must not reach another one. */
async function follow(options: OriginRequestOptions): Promise<{url: URL; response: HttpAnswer}> {
	const {url: given} = options;
	const wayIn = new WayIn(options);
	let url = given;
	for (let redirects = 0; ; redirects++) {
		const response = await ask(url, options, wayIn);
		const location = response.headers.get('location');
		if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined) {
			return {url, response};
		}

		await discard(response);
		if (redirects === mostRedirects) {
			throw new DownStreamError(
				'origin-refused',
				`${given.hostname} redirects in a circle (${mostRedirects} times)`,
			);
		}

		url = redirectTarget(url, location);
	}
}

/** `url` is the given one, or one that it redirects to. */
async function ask(url: URL, options: OriginRequestOptions, wayIn: WayIn): Promise<HttpAnswer> {
	const {url: given, headers, userAgent, route, range, ranged, patient, signal} = options;
	const last = range.end === Infinity ? '' : range.end - 1;
	try {
		await wayIn.approveName(url);
		const client = await route(url).client;
		return await client.get({
			url,
			signal,
			patient,
			approve: address => wayIn.approveAddress(url, address),
			headers: {
				accept: '*/*',
				'accept-encoding': 'identity',
				'user-agent': userAgent,
				...(ranged ? {range: `bytes=${range.start}-${last}`} : {}),
				...(url.origin === given.origin ? headers : {}),
			},
		});
	} catch (error) {
		throw originError(error, url.hostname);
	}
}

function redirectTarget(from: URL, location: string): URL {
	let target: URL | undefined;
	try {
		target = new URL(location, from);
	} catch {
		// Told below.
	}

	if (target?.protocol !== 'http:' && target?.protocol !== 'https:') {
		throw new DownStreamError(
			'origin-misbehaved',
			`${from.hostname} redirects to something that is not http or https`,
		);
	}

	// A server must not choose credentials for us.
	target.username = '';
	target.password = '';
	return target;
}

/** A public server must not send us to services of this machine or its network (server-side request forgery). */
class WayIn {
	readonly #options: OriginRequestOptions;
	/** The user's own URL leads there: then what it redirects to may, too. */
	#isOpen = false;

	constructor(options: OriginRequestOptions) {
		this.#options = options;
	}

	/** Before a connection is made. */
	async approveName(url: URL): Promise<void> {
		const {url: given, route} = this.#options;
		if (url === given) {
			this.#isOpen = hasPrivateName(given);
		} else if (!this.#isOpen && (hasPrivateName(url) || (route(url).isDirect && (await leadsIn(url))))) {
			throw this.#refusal(url);
		}
	}

	/** Where the connection was really made to: a name may lead elsewhere each time that it is looked up. */
	approveAddress(url: URL, address: string): void {
		const isPrivate = address !== '' && isPrivateAddress(address);
		if (url === this.#options.url) {
			this.#isOpen ||= isPrivate;
		} else if (isPrivate && !this.#isOpen) {
			throw this.#refusal(url);
		}
	}

	#refusal({hostname}: URL): DownStreamError {
		return new DownStreamError(
			'origin-refused',
			`${this.#options.url.hostname} redirects to the private address ${hostname}; add that URL itself if you trust it`,
		);
	}
}

/** What can be told without looking the name up: behind a proxy names may mean nothing here. */
function hasPrivateName(url: URL): boolean {
	const host = bareHost(url);
	return ipaddr.isValid(host) ? isPrivateAddress(host) : host === 'localhost' || host.endsWith('.localhost');
}

async function leadsIn(url: URL): Promise<boolean> {
	const addresses = await lookup(bareHost(url), {all: true});
	return addresses.some(({address}) => isPrivateAddress(address));
}

function isPrivateAddress(address: string): boolean {
	return ipaddr.process(address).range() !== 'unicast';
}

/** RFC 9110 sections 14.4 and 15.3.7: only what the answer says of itself counts, whatever was asked. */
function proveAnswer(
	url: URL,
	response: HttpAnswer,
	{range: asked, signal}: OriginRequestOptions,
): OriginAnswer {
	const host = url.hostname;
	const encoding = response.headers.get('content-encoding')?.trim().toLowerCase();
	if (encoding !== undefined && encoding !== '' && encoding !== 'identity') {
		throw misbehaved(host, 'compresses the file though it was asked not to');
	}

	const length = lengthOf(response);
	const proof = contentRange(response.headers.get('content-range'));
	const isPart = response.status === 206 || isPartAllTheSame(host, proof, length);
	let range: Range = {start: 0, end: length ?? Infinity};
	let size = range.end;
	if (isPart) {
		if (/^multipart\/byteranges\b/i.test(response.headers.get('content-type') ?? '')) {
			throw misbehaved(host, 'was asked for one range and answers with several parts');
		}

		if (!proof) {
			throw misbehaved(host, 'answers with a part of the file and does not say which');
		}

		({range, size} = proof);
		if (range.start > asked.start || range.end <= asked.start) {
			throw misbehaved(
				host,
				`was asked for byte ${asked.start} and answers with ${range.start} to ${range.end - 1}`,
			);
		}

		if (length !== undefined && length !== range.end - range.start) {
			throw misbehaved(host, `says that bytes ${range.start} to ${range.end - 1} are ${length} bytes`);
		}
	}

	return {
		...describe(url, response, size),
		range,
		acceptsRanges: isPart,
		get endIsProven() {
			return response.endIsProven;
		},
		body: body(response, range, host, signal),
	};
}

/**
 * Whether a 200 is a part all the same. Its Content-Range has no meaning by RFC 9110 section 14.4, but some servers
 * mean it: of the two, the one that the length fits is true.
 */
function isPartAllTheSame(
	host: string,
	proof: ContentRange | undefined,
	length: number | undefined,
): boolean {
	if (!proof || proof.range.end - proof.range.start === proof.size || length === proof.size) {
		return false;
	}

	if (length !== proof.range.end - proof.range.start) {
		throw misbehaved(host, 'does not say whether it answers with the whole file or with a part of it');
	}

	return true;
}

/** Nothing is at or after the asked offset. */
function emptyAnswer(url: URL, response: HttpAnswer, start: number, size: number): OriginAnswer {
	return {
		...describe(url, response, size),
		range: {start, end: start},
		acceptsRanges: true,
		endIsProven: true,
		// oxlint-disable-next-line no-empty-function
		body: (async function* () {})(),
	};
}

function describe(url: URL, response: HttpAnswer, size: number): Pick<OriginAnswer, 'info' | 'validator'> {
	const contentType = response.headers.get('content-type');
	const name = fileName({
		contentDisposition: response.headers.get('content-disposition'),
		url,
		type: contentType,
	});
	return {info: {name, type: typeOf({contentType, name}), size}, validator: validatorOf(response)};
}

/** Weak ETags say nothing of bytes (RFC 9110 section 8.8.1). */
function validatorOf(response: HttpAnswer): Validator {
	const etag = response.headers.get('etag');
	const lastModified = response.headers.get('last-modified');
	return {
		...(etag !== undefined && /^"[^"]*"$/.test(etag) ? {etag} : {}),
		...(lastModified === undefined ? {} : {lastModified}),
	};
}

/** Exactly the bytes of the range. */
async function* body(
	response: HttpAnswer,
	range: Range,
	host: string,
	signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
	let left = range.end - range.start;
	try {
		let bytes = await response.read();
		while (bytes && left > 0) {
			const wanted = bytes.length > left ? bytes.subarray(0, left) : bytes;
			left -= wanted.length;
			yield wanted;
			// Nothing but closing would end it.
			bytes = left > 0 || response.endIsProven ? await response.read() : undefined;
		}
	} catch (error) {
		// How the answer ends is nobody's business once all of it is here.
		if (left > 0) {
			throw signal.aborted ? signal.reason : originError(error, host);
		}
	} finally {
		response.close();
	}

	if (left > 0 && left < Infinity) {
		throw new DownStreamError('origin-truncated', `${host} sent ${left} bytes less than it said`);
	}
}

type ContentRange = {readonly range: Range; readonly size: number};

/** `bytes 0-99/1000` or `bytes 0-99/*`. Undefined for anything that does not hold together. */
export function contentRange(text: string | undefined): ContentRange | undefined {
	const [, first, last, total] =
		/^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(text?.trim() ?? '') ?? [];
	if (first === undefined || last === undefined) {
		return undefined;
	}

	const range = {start: Number(first), end: Number(last) + 1};
	const size = total === '*' ? Infinity : Number(total);
	return range.start < range.end && range.end <= size ? {range, size} : undefined;
}

/** The size that a 416 tells. */
function totalOf(text: string | undefined): number | undefined {
	const [, total] = /^bytes \*\/(\d{1,15})$/i.exec(text?.trim() ?? '') ?? [];
	return total === undefined ? undefined : Number(total);
}

function lengthOf(response: HttpAnswer): number | undefined {
	const text = response.headers.get('content-length');
	return text === undefined ? undefined : contentLength(text);
}

/** Reads a short body to its end, so that the connection can be used again; closes the connection otherwise. */
async function discard(response: HttpAnswer): Promise<void> {
	// Closing ends a read that waits.
	const deadline = setTimeout(() => response.close(), longestDiscardMs);
	try {
		for (let left = largestDiscarded; left > 0;) {
			const bytes = await response.read();
			if (!bytes) {
				break;
			}

			left -= bytes.length;
		}
	} catch {
		// Not needed.
	} finally {
		clearTimeout(deadline);
		response.close();
	}
}

/** `given`: the names of the user's headers. */
function refusal(url: URL, response: HttpAnswer, given: readonly string[]): DownStreamError {
	const {status} = response;
	const host = url.hostname;
	if (status >= 500 || status === 408 || status === 425 || status === 429) {
		const retryAfterMs = retryAfter(response.headers.get('retry-after'), Date.now());
		const wait = retryAfterMs === undefined ? '' : ` and asks to wait ${Math.ceil(retryAfterMs / 1000)} s`;
		return new DownStreamError('origin-busy', `${host} is busy (${status})${wait}`, {status, retryAfterMs});
	}

	const reasons: Partial<Record<number, string>> = {
		401: given.some(name => /^authorization$/i.test(name))
			? `401 Unauthorized: ${host} wants another user, password or token`
			: `401 Unauthorized: ${host} needs a user name and password`,
		403: `403 Forbidden from ${host}: the link may have expired`,
		404: `404: no such file on the server ${host}`,
		410: `410 Gone: ${host} does not have the file any more`,
		416: `416: ${host} refuses the range that was asked for`,
	};
	return new DownStreamError('origin-refused', reasons[status] ?? `${host} answers with status ${status}`, {
		status,
	});
}

/** Seconds or an HTTP date (RFC 9110 section 10.2.3), in milliseconds from now. */
export function retryAfter(text: string | undefined, now: number): number | undefined {
	if (text === undefined) {
		return undefined;
	}

	if (/^\d{1,9}$/.test(text.trim())) {
		return Number(text) * 1000;
	}

	const date = Date.parse(text);
	return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function misbehaved(host: string, what: string): DownStreamError {
	return new DownStreamError('origin-misbehaved', `${host} ${what}`);
}

const unreachable: Partial<Record<string, string>> = {
	ENOTFOUND: 'no such host',
	EAI_AGAIN: 'the name of the host cannot be looked up now',
	ECONNREFUSED: 'connection refused',
	ECONNRESET: 'connection reset',
	EPIPE: 'connection reset',
	CONNECTION_CLOSED: 'connection closed in the middle',
	CONNECT_TIMEOUT: 'no connection in time',
	ETIMEDOUT: 'no connection in time',
	HEADERS_TIMEOUT: 'no answer in time',
	BODY_TIMEOUT: 'no more bytes in time',
	EHOSTUNREACH: 'host cannot be reached',
	ENETUNREACH: 'no network',
	EPROTO: 'TLS handshake failed',
};

function originError(error: unknown, host: string): DownStreamError {
	if (error instanceof DownStreamError) {
		return error;
	}

	// All addresses of a host were tried: the first failure is as good as the others.
	const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
	const cause = (first as Error).cause as NodeJS.ErrnoException | undefined;
	const code = String((first as NodeJS.ErrnoException).code ?? cause?.code);
	const problem = certificateProblem(first, host);
	if (problem !== undefined) {
		return new DownStreamError('origin-refused', problem, {cause: error});
	}

	if (code === 'HEADERS_TOO_LARGE') {
		return new DownStreamError('origin-misbehaved', `${host} sends larger headers than a file needs`, {
			cause: error,
		});
	}

	if (code === 'NOT_HTTP') {
		return new DownStreamError('origin-misbehaved', `${host} does not answer as HTTP demands`, {
			cause: error,
		});
	}

	return new DownStreamError(
		'origin-unreachable',
		`${host}: ${unreachable[code] ?? `connection failed (${code})`}`,
		{
			cause: error,
		},
	);
}
