// One request to an origin: redirects, credentials, and the proof of what the answer is before its first byte.
import {DownStreamError} from '../../downstream.ts';
import {loginProblem} from './challenges.ts';
import {canBeginSo, canDecode, codingsOf, decoded, telltaleLength} from './content-coding.ts';
import {parseContentRange, unsatisfiedSize, type ContentRange} from './content-range.ts';
import {CookieJar} from './cookie-jar.ts';
import type {OriginResponse} from './data-source.ts';
import type {Validator} from '../store/record.ts';
import type {DigestLogin} from './digest-login.ts';
import {baseType, fileName, isPage, namesNoPage, typeOf} from './file-info.ts';
import {contentLength} from '../http/response-parser.ts';
import {certificateProblem} from '../http/errors.ts';
import type {HttpResponse, HttpClient} from '../http/client.ts';
import type {Range} from '../store/range-set.ts';
import {RedirectGuard} from './redirect-guard.ts';
import {redirectTarget} from './redirect-target.ts';

const maxRedirects = 10;
/** A challenge, and two that say that its nonce has expired. */
const maxChallenges = 3;
/** Responses that carry the file. */
const successes = new Set([200, 201, 203, 206]);
/** Statuses that refuse the request as it is; without Range it may be served. */
const rangeRefusals = new Set([400, 405, 406, 416, 501]);
/** Statuses that say nothing of the Range: logins, files that are gone, requests that come too soon. */
const othersThanRange = new Set([401, 407, 408, 410, 425, 429, 503]);
const nothing = new Uint8Array();

/** What the requests of one data source have shown of its origin. */
export type OriginTraits = {
	/** It has answered with a part that does not begin at 0. */
	givesParts?: boolean;
	/** It has answered a request with Range by bytes of the file, be it the whole. */
	servesRanges?: boolean;
	/** It has answered with a part that does not state the size of the file. */
	hidesSize?: boolean;
	/** Its last response to a request with Range did not come in time: the next request goes without. */
	ignoresRange?: boolean;
	/** It names a Content-Encoding that its bytes do not have. */
	mislabels?: boolean;
	/** When it refused or cut the whole as well as a part, in milliseconds of `performance.now()`. */
	refusedWholeAt?: number;
};
/** Milliseconds in which an origin that refused the whole is not asked for it again because of a refused part. */
const wholeRefusalMs = 30_000;
/** A body that nobody wants is read to keep the connection: so many bytes, for so long. */
const largestDiscarded = 64 * 1024;
const longestDiscardMs = 2000;

export type OriginRequestOptions = {
	/** What the user gave; each try starts from it, never from where it was redirected to. */
	readonly url: URL;
	/** For the origin (scheme, host, port) of `url` alone. */
	readonly headers: Readonly<Record<string, string>>;
	/** For the origin of `url` alone: takes the place of `authorization` once that origin has asked for Digest. */
	readonly login?: DigestLogin | undefined;
	/** Filled in. */
	readonly traits?: OriginTraits;
	readonly userAgent: string;
	/** How to reach a URL, and whether that is through a proxy that may resolve names itself. */
	readonly route: (url: URL) => {client: Promise<HttpClient>; isDirect: boolean};
	readonly range: Range;
	/** Whether to send Range at all. */
	readonly ranged: boolean;
	readonly isBackground?: (() => boolean) | undefined;
	readonly answerTimeout?: number | undefined;
	readonly isOwnStream?: ((url: URL) => boolean) | undefined;
	readonly signal: AbortSignal;
};

/**
 * Rejects with a `DownStreamError`, or the signal's reason. An origin that refuses the Range, or whose response does not
 * prove which bytes it has, is asked once for the whole.
 */
export async function requestOrigin(options: OriginRequestOptions): Promise<OriginResponse> {
	const {range, signal, traits = {}} = options;
	const ranged = options.ranged && !traits.ignoresRange;
	const mayAcceptRanges = options.ranged;
	traits.ignoresRange = false;
	try {
		return await requestOnce({...options, traits, ranged, mayAcceptRanges}).catch(async (error: unknown) => {
			traits.ignoresRange = ranged && isSilence(error) && !provesRanges(traits, range);
			if (!ranged || !isAboutRange(error, traits, range)) {
				throw error;
			}

			const whole = {...options, traits, ranged: false, mayAcceptRanges: !isRangeRefusal(error)};
			return requestOnce(whole).catch((second: unknown) => {
				if (statusOf(second) !== undefined || isCut(second)) {
					traits.refusedWholeAt = performance.now();
				}

				throw second instanceof UnprovenResponse ? error : second;
			});
		});
	} catch (error) {
		throw signal.aborted ? signal.reason : error;
	}
}

/** The connection was made, and ended without a response. */
function isCut(error: unknown): boolean {
	const code = causeOf(error);
	return code === 'ECONNRESET' || code === 'CONNECTION_CLOSED';
}

/** The connection was made, and no response came in time. */
function isSilence(error: unknown): boolean {
	return causeOf(error) === 'HEADERS_TIMEOUT';
}

function causeOf(error: unknown): string | undefined {
	return error instanceof DownStreamError
		? (error.cause as NodeJS.ErrnoException | undefined)?.code
		: undefined;
}

/** Ranges like this one have worked. An origin may serve those alone that begin at 0. */
function provesRanges({givesParts = false, servesRanges = false}: OriginTraits, {start}: Range): boolean {
	return givesParts || (servesRanges && start === 0);
}

/** The response does not prove which bytes of the file it has. */
class UnprovenResponse extends DownStreamError {
	constructor(host: string, what: string) {
		super('origin-misbehaved', `${host} ${what}`);
	}
}

/** Whether a request without Range may succeed. */
function isAboutRange(error: unknown, traits: OriginTraits, range: Range): boolean {
	const {givesParts = false, refusedWholeAt = -Infinity} = traits;
	const status = statusOf(error);
	// Once parts have come, other statuses are about the link or the number of connections.
	const mayBe = status !== undefined && !othersThanRange.has(status) && !givesParts;
	const mayBeCut = isCut(error) && !provesRanges(traits, range);
	return (
		isRangeRefusal(error) || ((mayBe || mayBeCut) && performance.now() - refusedWholeAt > wholeRefusalMs)
	);
}

/** The origin takes no Range, or none that it answers as HTTP demands. */
function isRangeRefusal(error: unknown): boolean {
	return rangeRefusals.has(statusOf(error) ?? 0) || error instanceof UnprovenResponse;
}

/** Of a refusal by the origin that does not ask to wait. */
function statusOf(error: unknown): number | undefined {
	const isRefusal =
		error instanceof DownStreamError &&
		(error.code === 'origin-refused' || error.code === 'origin-busy') &&
		error.retryAfterMs === undefined;
	return isRefusal ? error.status : undefined;
}

type RequestOptions = OriginRequestOptions & {
	readonly traits: OriginTraits;
	/** A request with Range has failed, perhaps for another reason. */
	readonly mayAcceptRanges?: boolean;
};

async function requestOnce(options: RequestOptions): Promise<OriginResponse> {
	const {range, headers, traits} = options;
	const {url, response} = await follow(options);
	const {status} = response;
	if (status === 416) {
		// One that lies before the end that it tells is a refusal of the Range itself.
		const size = unsatisfiedSize(response.headers.get('content-range'));
		if (size !== undefined && size <= range.start) {
			await discard(response);
			return emptyAnswer(describe(url, response, size), range.start);
		}

		if (size === undefined && range.start > 0 && traits.hidesSize && options.ranged) {
			await discard(response);
			return requestFromByteBefore(options);
		}
	}

	if (!successes.has(status)) {
		const error = refusal(url, response, url.origin === options.url.origin ? Object.keys(headers) : []);
		await discard(response);
		throw error;
	}

	try {
		const answer = await proveAnswer(url, response, options);
		traits.servesRanges ||= options.ranged;
		traits.hidesSize ||= answer.acceptsRanges && answer.info.size === Infinity;
		return answer;
	} catch (error) {
		response.close();
		throw error;
	}
}

/**
 * After a 416 that states no size: a part that begins one byte earlier and ends there proves the end of the file. Any
 * other part proves that the 416 was about something else.
 */
async function requestFromByteBefore(options: RequestOptions): Promise<OriginResponse> {
	const {start, end} = options.range;
	const traits = {...options.traits, hidesSize: false};
	const answer = await requestOnce({...options, traits, range: {start: start - 1, end}});
	if (!answer.acceptsRanges || answer.range.end > start) {
		return answer;
	}

	for await (const bytes of answer.body) {
		void bytes;
	}

	return emptyAnswer({...answer, info: {...answer.info, size: start}}, start);
}

/** Redirects by hand: what was given for one origin must not reach another one. */
async function follow(options: RequestOptions): Promise<{url: URL; response: HttpResponse}> {
	const {url: given, route, login} = options;
	const guard = new RedirectGuard(given, url => route(url).isDirect);
	const jar = new CookieJar();
	let url = given;
	let redirects = 0;
	let challenges = 0;
	for (;;) {
		const response = await ask(url, options, guard, jar);
		jar.take(url, response.headers.get('set-cookie'));
		const isChallenge =
			response.status === 401 &&
			url.origin === given.origin &&
			challenges < maxChallenges &&
			login?.take(response.headers.get('www-authenticate'), challenges === 0);
		if (isChallenge) {
			challenges++;
			await discard(response);
			continue;
		}

		const target = closingOnError(response, () => redirectTarget(url, response));
		if (!target) {
			return {url, response};
		}

		await discard(response);
		if (redirects++ === maxRedirects) {
			throw new DownStreamError(
				'origin-refused',
				`${given.hostname} redirects in a circle (${maxRedirects} times)`,
			);
		}

		url = target;
	}
}

function closingOnError<T>(response: HttpResponse, act: () => T): T {
	try {
		return act();
	} catch (error) {
		response.close();
		throw error;
	}
}

/** `url` is the given one, or one that it redirects to. */
async function ask(
	url: URL,
	options: RequestOptions,
	guard: RedirectGuard,
	jar: CookieJar,
): Promise<HttpResponse> {
	const {
		url: given,
		headers,
		login,
		userAgent,
		route,
		range,
		ranged,
		isBackground,
		answerTimeout,
		signal,
	} = options;
	const last = range.end === Infinity ? '' : range.end - 1;
	if (options.isOwnStream?.(url)) {
		throw new DownStreamError('origin-refused', `${given.hostname} leads to this program's own stream`);
	}

	const own = url.origin === given.origin ? headers : {};
	const cookie = jar.headerFor(url, own.cookie);
	try {
		await guard.approveName(url);
		const client = await route(url).client;
		const authorization = own === headers ? login?.authorize(url.pathname + url.search) : undefined;
		return await client.get({
			url,
			signal,
			isBackground,
			answerTimeout,
			approve: address => guard.approveAddress(url, address),
			headers: {
				accept: '*/*',
				'accept-encoding': 'identity',
				'user-agent': userAgent,
				...(ranged ? {range: `bytes=${range.start}-${last}`} : {}),
				...own,
				...(cookie === undefined ? {} : {cookie}),
				...(authorization === undefined ? {} : {authorization}),
			},
		});
	} catch (error) {
		throw originError(error, url.hostname);
	}
}

/** RFC 9110 sections 14.4 and 15.3.7: only what the answer says of itself counts, whatever was asked. */
async function proveAnswer(
	url: URL,
	response: HttpResponse,
	options: RequestOptions,
): Promise<OriginResponse> {
	const {ranged, mayAcceptRanges = ranged, signal} = options;
	const host = url.hostname;
	const length = lengthOf(response);
	const part = statedPart(host, response, length, options);
	if (!part && ranged && isPageForRange(url, response, length, options)) {
		throw new UnprovenResponse(host, 'sent a web page instead of a part of the file');
	}

	const {range, size} = part ?? {range: {start: 0, end: length ?? Infinity}, size: length ?? Infinity};
	const {start, codings} = await realCodings(url, response, range.start, options.traits);
	const coding = codings.find(each => !canDecode(each));
	if (part && codings.length > 0) {
		throw new UnprovenResponse(host, 'compresses the file though it was asked not to');
	}

	if (coding !== undefined) {
		throw misbehaved(host, `compresses the file with ${coding}, which cannot be decompressed here`);
	}

	if (part && range.start > 0) {
		options.traits.givesParts = true;
	}

	const bytes = body(response, start, range, host, signal);
	return codings.length > 0
		? {
				...describe(url, response, Infinity),
				range: {start: 0, end: Infinity},
				acceptsRanges: false,
				endIsProven: true,
				body: decoded(bytes, codings, {host, close: () => response.close()}),
			}
		: {
				...describe(url, response, size),
				range,
				acceptsRanges: part !== undefined && ranged,
				mayAcceptRanges: mayAcceptRanges && !part && listsBytes(response.headers.get('accept-ranges')),
				get endIsProven() {
					return response.endIsProven;
				},
				body: bytes,
			};
}

/** The part of the file that the response is; undefined if it is the whole. Throws `UnprovenResponse`. */
function statedPart(
	host: string,
	response: HttpResponse,
	length: number | undefined,
	{range: asked, ranged}: RequestOptions,
): ContentRange | undefined {
	if (/^multipart\/byteranges\b/i.test(response.headers.get('content-type') ?? '')) {
		throw new UnprovenResponse(host, 'was asked for one range and answers with several parts');
	}

	const proof = parseContentRange(response.headers.get('content-range'), length);
	if (response.status !== 206 && !isPartialDespite200(host, proof, length)) {
		return undefined;
	}

	if (!proof) {
		throw new UnprovenResponse(host, 'answers with a part of the file and does not say which');
	}

	const {range, size} = proof;
	if (size !== Infinity && !Number.isSafeInteger(size)) {
		throw misbehaved(host, 'says that the file has more bytes than any disk can hold');
	}

	if (!ranged && (range.start > 0 || range.end < size)) {
		throw new UnprovenResponse(host, 'was asked for the whole file and answers with a part of it');
	}

	if (range.start > asked.start || range.end <= asked.start) {
		throw new UnprovenResponse(
			host,
			`was asked for byte ${asked.start} and answers with ${range.start} to ${range.end - 1}`,
		);
	}

	if (length !== undefined && length !== range.end - range.start) {
		throw new UnprovenResponse(
			host,
			`says that bytes ${range.start} to ${range.end - 1} are ${length} bytes`,
		);
	}

	return proof;
}

/**
 * Whether a 200 is a part all the same. Its Content-Range has no meaning by RFC 9110 section 14.4, but some servers
 * mean it: of the two, the one that the length fits is true.
 */
function isPartialDespite200(
	host: string,
	proof: ContentRange | undefined,
	length: number | undefined,
): boolean {
	if (!proof || proof.range.end - proof.range.start === proof.size || length === proof.size) {
		return false;
	}

	if (length !== proof.range.end - proof.range.start) {
		throw new UnprovenResponse(
			host,
			'does not say whether it answers with the whole file or with a part of it',
		);
	}

	return true;
}

function listsBytes(acceptRanges: string | undefined): boolean {
	return /(?:^|,)\s*bytes\s*(?:,|$)/i.test(acceptRanges ?? '');
}

/**
 * The codings that the body has, and what was read of it to tell. A body that cannot begin as its coding does has none;
 * of one from the middle of the file that is known from those before.
 */
async function realCodings(
	url: URL,
	response: HttpResponse,
	offset: number,
	traits: OriginTraits,
): Promise<{codings: readonly string[]; start: Uint8Array}> {
	const type = baseType(response.headers.get('content-type'));
	const codings = codingsOf(response.headers.get('content-encoding'), {name: nameOf(url, response), type});
	const outermost = codings.at(-1);
	if (outermost === undefined || offset > 0) {
		return {codings: traits.mislabels ? [] : codings, start: nothing};
	}

	const start = await firstBytes(response, url.hostname);
	traits.mislabels = !canBeginSo(outermost, start);
	return {codings: traits.mislabels ? [] : codings, start};
}

/** As many as tell what they are, or all that there are. */
async function firstBytes(response: HttpResponse, host: string): Promise<Uint8Array> {
	const pieces: Uint8Array[] = [];
	let length = 0;
	try {
		while (length < telltaleLength) {
			const bytes = await response.read();
			if (!bytes) {
				break;
			}

			// It is good only until the next one is read.
			pieces.push(bytes.slice());
			length += bytes.length;
		}
	} catch (error) {
		throw originError(error, host);
	}

	return Buffer.concat(pieces);
}

/** Nothing is at or after the asked offset. */
function emptyAnswer(description: ReturnType<typeof describe>, start: number): OriginResponse {
	return {
		...description,
		range: {start, end: start},
		acceptsRanges: true,
		endIsProven: true,
		// oxlint-disable-next-line no-empty-function
		body: (async function* () {})(),
	};
}

function describe(
	url: URL,
	response: HttpResponse,
	size: number,
): Pick<OriginResponse, 'info' | 'validator' | 'place' | 'isPage'> {
	const contentType = response.headers.get('content-type');
	const name = nameOf(url, response);
	return {
		info: {name, type: typeOf({contentType, name}), size},
		validator: validatorOf(response),
		place: url.origin + url.pathname,
		isPage: isPage(baseType(contentType), size),
	};
}

/** A page for a Range of a kind that has not worked; from 0 only where the name is that of another kind of file. */
function isPageForRange(
	url: URL,
	response: HttpResponse,
	length: number | undefined,
	{range, traits}: RequestOptions,
): boolean {
	return (
		isPage(baseType(response.headers.get('content-type')), length ?? Infinity) &&
		!provesRanges(traits, range) &&
		(range.start > 0 || namesNoPage(nameOf(url, response)))
	);
}

function nameOf(url: URL, {headers}: HttpResponse): string {
	return fileName({
		contentDisposition: headers.get('content-disposition'),
		url,
		type: headers.get('content-type'),
	});
}

/** RFC 9110 sections 8.8.2 and 8.8.3. */
function validatorOf(response: HttpResponse): Validator {
	const etag = response.headers.get('etag');
	const lastModified = response.headers.get('last-modified');
	return {
		...(etag !== undefined && /^"[^"]*"$/.test(etag) ? {etag} : {}),
		...(etag !== undefined && /^W\/"[^"]*"$/i.test(etag) ? {weakEtag: etag} : {}),
		...(lastModified === undefined ? {} : {lastModified}),
	};
}

/** Exactly the bytes of the range, of which `start` were read already. */
async function* body(
	response: HttpResponse,
	start: Uint8Array,
	range: Range,
	host: string,
	signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
	let left = range.end - range.start;
	try {
		let bytes = start.length > 0 ? start : await response.read();
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

function lengthOf(response: HttpResponse): number | undefined {
	const text = response.headers.get('content-length');
	return text === undefined ? undefined : contentLength(text);
}

/** Reads a short body to its end, so that the connection can be used again; closes the connection otherwise. */
async function discard(response: HttpResponse): Promise<void> {
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

/** `given`: the names of the user's headers that the request had. */
function refusal(url: URL, response: HttpResponse, given: readonly string[]): DownStreamError {
	const {status} = response;
	const host = url.hostname;
	if ((status >= 500 && status < 600) || status === 408 || status === 425 || status === 429) {
		const retryAfterMs = retryAfter(response.headers.get('retry-after'), Date.now());
		const wait = retryAfterMs === undefined ? '' : ` and asks to wait ${Math.ceil(retryAfterMs / 1000)} s`;
		return new DownStreamError('origin-busy', `${host} is busy (${status})${wait}`, {status, retryAfterMs});
	}

	const reasons: Partial<Record<number, string>> = {
		401: loginProblem(
			host,
			response.headers.get('www-authenticate'),
			given.some(name => /^authorization$/i.test(name)),
		),
		403: `403 Forbidden from ${host}: the link may have expired`,
		404: `404: no such file on the server ${host}`,
		410: `410 Gone: ${host} does not have the file any more`,
		416: `416: ${host} refuses the range that was asked for`,
	};
	const isRedirect = status >= 300 && status < 400 && status !== 304;
	return new DownStreamError(
		'origin-refused',
		reasons[status] ??
			`${host} ${isRedirect ? 'redirects without a Location, by' : 'answers with'} status ${status}`,
		{
			status,
		},
	);
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
		`${host}: ${unreachable[code.startsWith('ERR_SSL_') ? 'EPROTO' : code] ?? `connection failed (${code})`}`,
		{
			cause: error,
		},
	);
}
