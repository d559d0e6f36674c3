// One request to an origin: redirects, credentials, and the validation of the response before its first byte is used.
import {DownStreamError} from '../../downstream.ts';
import {loginProblem} from './challenges.ts';
import {canStartWith, canDecode, codingsOf, decodeBody, sniffedBytes} from './content-coding.ts';
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

/** As many as curl follows. */
const maxRedirects = 50;
/** Limit for requests that repeat a URL with the same cookies. Some servers respond differently in the end. */
const maxRepeats = 10;
/** One challenge, and two for an expired nonce. */
const maxChallenges = 3;
/** Statuses of responses that contain the file. */
const successStatuses = new Set([200, 201, 203, 206]);
/** Statuses that reject the request as it is; without Range, it may be served. */
const rangeRefusals = new Set([400, 405, 406, 416, 501]);
/** Statuses unrelated to the Range: logins, missing files, premature requests. */
const othersThanRange = new Set([401, 407, 408, 410, 425, 429, 503]);
const nothing = new Uint8Array();

/** What earlier requests of a data source revealed about its origin. */
export type OriginTraits = {
	/** It has sent a part that does not start at 0. */
	givesParts?: boolean;
	/** It has responded to a Range with bytes of the file, possibly all of them. */
	servesRanges?: boolean;
	/** It has sent a part that does not state the size of the file. */
	hidesSize?: boolean;
	/** Its last response to a request with Range did not come in time: the next request goes without. */
	ignoresRange?: boolean;
	/** It declares a Content-Encoding that its bytes do not have. */
	mislabels?: boolean;
	/** When it refused or cut the whole as well as a part, in milliseconds of `performance.now()`. */
	refusedWholeAt?: number;
};
/** Milliseconds before a refused part may again cause a request for the whole file, after that was refused too. */
const wholeRefusalMs = 30_000;
/** An unneeded body is drained to keep the connection, up to this many bytes and milliseconds. */
const maxDiscardedBytes = 64 * 1024;
const maxDiscardMs = 2000;

export type OriginRequestOptions = {
	/** The user's URL. Every attempt starts from it, never from a redirect's target. */
	readonly url: URL;
	/** For the origin (scheme, host, port) of `url` only. */
	readonly headers: Readonly<Record<string, string>>;
	/** For the origin of `url` only. Replaces `authorization` once that origin has sent a Digest challenge. */
	readonly login?: DigestLogin | undefined;
	/** Updated by the request. */
	readonly traits?: OriginTraits;
	readonly userAgent: string;
	/** How to reach a URL, and whether directly or through a proxy that may resolve names itself. */
	readonly route: (url: URL) => {client: Promise<HttpClient>; isDirect: boolean};
	readonly range: Range;
	/** Whether to send a Range header. */
	readonly ranged: boolean;
	readonly isBackground?: (() => boolean) | undefined;
	readonly responseTimeout?: number | undefined;
	readonly isOwnStream?: ((url: URL) => boolean) | undefined;
	readonly signal: AbortSignal;
};

/**
 * Rejects with a `DownStreamError`, or the signal's reason. If the origin rejects the Range, or its response does not
 * prove which bytes it contains, the request is sent once more without Range.
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

/** The connection was established but ended without a response. */
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

/** The response does not prove which bytes of the file it contains. */
class UnprovenResponse extends DownStreamError {
	constructor(host: string, fault: string) {
		super('origin-misbehaved', `${host} ${fault}`);
	}
}

/** True if a request without Range may succeed. */
function isAboutRange(error: unknown, traits: OriginTraits, range: Range): boolean {
	const {givesParts = false, refusedWholeAt = -Infinity} = traits;
	const status = statusOf(error);
	// Once parts were served, other statuses concern the link or the number of connections.
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
		// An offset before the stated end means that the Range itself was rejected.
		const size = unsatisfiedSize(response.headers.get('content-range'));
		if (size !== undefined && size <= range.start) {
			await discard(response);
			return emptyResponse(describe(url, response, size), range.start);
		}

		if (size === undefined && range.start > 0 && traits.hidesSize && options.ranged) {
			await discard(response);
			return requestFromByteBefore(options);
		}
	}

	if (!successStatuses.has(status)) {
		const error = refusal(url, response, url.origin === options.url.origin ? Object.keys(headers) : []);
		await discard(response);
		throw error;
	}

	try {
		const proven = await proveResponse(url, response, options);
		traits.servesRanges ||= options.ranged;
		traits.hidesSize ||= proven.acceptsRanges && proven.info.size === Infinity;
		return proven;
	} catch (error) {
		response.close();
		throw error;
	}
}

/**
 * After a 416 without a size: a part that begins one byte earlier and ends there proves the end of the file. Any other part
 * proves that the 416 had another reason.
 */
async function requestFromByteBefore(options: RequestOptions): Promise<OriginResponse> {
	const {start, end} = options.range;
	const traits = {...options.traits, hidesSize: false};
	const response = await requestOnce({...options, traits, range: {start: start - 1, end}});
	if (!response.acceptsRanges || response.range.end > start) {
		return response;
	}

	for await (const bytes of response.body) {
		void bytes;
	}

	return emptyResponse({...response, info: {...response.info, size: start}}, start);
}

/** Follows redirects manually, because headers for one origin must not reach another. */
async function follow(options: RequestOptions): Promise<{url: URL; response: HttpResponse}> {
	const {url: given, route, login} = options;
	const guard = new RedirectGuard(given, url => route(url).isDirect);
	const jar = new CookieJar();
	let url = given;
	const visitOf = ({href}: URL) => `${href}\n${jar.headerFor(new URL(href), undefined) ?? ''}`;
	const visits = new Set<string>();
	let redirects = 0;
	let repeats = 0;
	let challenges = 0;
	for (;;) {
		visits.add(visitOf(url));
		const response = await send(url, options, guard, jar);
		jar.store(url, response.headers.get('set-cookie'));
		const isChallenge =
			response.status === 401 &&
			url.origin === given.origin &&
			challenges < maxChallenges &&
			login?.accept(response.headers.get('www-authenticate'), challenges === 0);
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
		url = target;
		if (visits.has(visitOf(url)) && repeats++ === maxRepeats) {
			throw new DownStreamError('origin-refused', `${given.hostname} redirects in a circle`);
		}

		if (redirects++ === maxRedirects) {
			throw new DownStreamError(
				'origin-refused',
				`${given.hostname} redirects more than ${maxRedirects} times`,
			);
		}
	}
}

function closingOnError<T>(response: HttpResponse, attempt: () => T): T {
	try {
		return attempt();
	} catch (error) {
		response.close();
		throw error;
	}
}

/** `url` is the user's URL or a redirect's target. */
async function send(
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
		responseTimeout,
		signal,
	} = options;
	const last = range.end === Infinity ? '' : range.end - 1;
	if (options.isOwnStream?.(url)) {
		throw new DownStreamError('origin-refused', `${given.hostname} leads to this program's own stream`);
	}

	const userHeaders = url.origin === given.origin ? headers : {};
	const cookie = jar.headerFor(url, userHeaders.cookie);
	try {
		await guard.approveName(url);
		const client = await route(url).client;
		const authorization = userHeaders === headers ? login?.authorize(url.pathname + url.search) : undefined;
		return await client.get({
			url,
			signal,
			isBackground,
			responseTimeout,
			approve: address => guard.approveAddress(url, address),
			headers: {
				accept: '*/*',
				'accept-encoding': 'identity',
				'user-agent': userAgent,
				...(ranged ? {range: `bytes=${range.start}-${last}`} : {}),
				...userHeaders,
				...(cookie === undefined ? {} : {cookie}),
				...(authorization === undefined ? {} : {authorization}),
			},
		});
	} catch (error) {
		throw originError(error, url.hostname);
	}
}

/** RFC 9110 sections 14.4 and 15.3.7: only the response's own statements count, whatever was requested. */
async function proveResponse(
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
	const {start, codings} = await actualCodings(url, response, range.start, options.traits);
	const coding = codings.find(each => !canDecode(each));
	if (part && codings.length > 0) {
		throw new UnprovenResponse(host, 'compresses a part of the file although compression was declined');
	}

	if (coding !== undefined) {
		throw misbehaved(host, `compresses the file with ${coding}, which cannot be decompressed`);
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
				body: decodeBody(bytes, codings, {host, close: () => response.close()}),
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

/** Returns the part of the file that the response contains, or undefined for the whole. Throws `UnprovenResponse`. */
function statedPart(
	host: string,
	response: HttpResponse,
	length: number | undefined,
	{range: requested, ranged}: RequestOptions,
): ContentRange | undefined {
	if (/^multipart\/byteranges\b/i.test(response.headers.get('content-type') ?? '')) {
		throw new UnprovenResponse(host, 'sent several parts in response to a single range');
	}

	const proof = parseContentRange(response.headers.get('content-range'), length);
	if (response.status !== 206 && !isPartialDespite200(host, proof, length)) {
		return undefined;
	}

	if (!proof) {
		throw new UnprovenResponse(host, 'sent a part of the file and does not say which');
	}

	const {range, size} = proof;
	if (size !== Infinity && !Number.isSafeInteger(size)) {
		throw misbehaved(host, 'says that the file has more bytes than any disk can hold');
	}

	if (!ranged && (range.start > 0 || range.end < size)) {
		throw new UnprovenResponse(host, 'sent a part in response to a request for the whole file');
	}

	if (range.start > requested.start || range.end <= requested.start) {
		throw new UnprovenResponse(
			host,
			`sent bytes ${range.start} to ${range.end - 1} in response to a request for byte ${requested.start}`,
		);
	}

	if (length !== undefined && length !== range.end - range.start) {
		throw new UnprovenResponse(
			host,
			`declares a length of ${length} for bytes ${range.start} to ${range.end - 1}`,
		);
	}

	return proof;
}

/**
 * True if a 200 is actually a part. Its Content-Range has no meaning by RFC 9110 section 14.4, but some servers
 * intend it: the statement that matches the length is true.
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
		throw new UnprovenResponse(host, 'does not say whether it sent the whole file or a part of it');
	}

	return true;
}

function listsBytes(acceptRanges: string | undefined): boolean {
	return /(?:^|,)\s*bytes\s*(?:,|$)/i.test(acceptRanges ?? '');
}

/**
 * The actual codings of the body, and the bytes read to detect them. A body whose start contradicts its coding has
 * none. For a body from the middle of the file, earlier responses decide.
 */
async function actualCodings(
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
	traits.mislabels = !canStartWith(outermost, start);
	return {codings: traits.mislabels ? [] : codings, start};
}

/** Reads enough bytes to detect the coding, or the whole body. */
async function firstBytes(response: HttpResponse, host: string): Promise<Uint8Array> {
	const pieces: Uint8Array[] = [];
	let length = 0;
	try {
		while (length < sniffedBytes) {
			const bytes = await response.read();
			if (!bytes) {
				break;
			}

			// Copied, because a piece is valid only until the next read.
			pieces.push(bytes.slice());
			length += bytes.length;
		}
	} catch (error) {
		throw originError(error, host);
	}

	return Buffer.concat(pieces);
}

/** No bytes exist at or after the requested offset. */
function emptyResponse(description: ReturnType<typeof describe>, start: number): OriginResponse {
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

/** Yields exactly the bytes of the range; `start` holds those already read. */
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
			const piece = bytes.length > left ? bytes.subarray(0, left) : bytes;
			left -= piece.length;
			yield piece;
			// Otherwise only the close of the connection would end the body.
			bytes = left > 0 || response.endIsProven ? await response.read() : undefined;
		}
	} catch (error) {
		// How the response ends no longer matters after the last byte.
		if (left > 0) {
			throw signal.aborted ? signal.reason : originError(error, host);
		}
	} finally {
		response.close();
	}

	if (left > 0 && left < Infinity) {
		throw new DownStreamError('origin-truncated', `${host} sent ${left} bytes less than it announced`);
	}
}

function lengthOf(response: HttpResponse): number | undefined {
	const text = response.headers.get('content-length');
	return text === undefined ? undefined : contentLength(text);
}

/** Drains a short body so that the connection can be reused; otherwise closes the connection. */
async function discard(response: HttpResponse): Promise<void> {
	// Closing also ends a pending read.
	const deadline = setTimeout(() => response.close(), maxDiscardMs);
	try {
		for (let left = maxDiscardedBytes; left > 0;) {
			const bytes = await response.read();
			if (!bytes) {
				break;
			}

			left -= bytes.length;
		}
	} catch {
		// The body is not needed.
	} finally {
		clearTimeout(deadline);
		response.close();
	}
}

/** `given` lists the names of the user's headers that were sent. */
function refusal(url: URL, response: HttpResponse, given: readonly string[]): DownStreamError {
	const {status} = response;
	const host = url.hostname;
	if ((status >= 500 && status < 600) || status === 408 || status === 425 || status === 429) {
		const retryAfterMs = retryAfter(response.headers.get('retry-after'), Date.now());
		const wait = retryAfterMs === undefined ? '' : ` and asks to wait ${Math.ceil(retryAfterMs / 1000)} s`;
		const isFault = status >= 500 && status !== 503;
		const state = isFault ? 'reports a server error' : 'is busy';
		return new DownStreamError('origin-busy', `${host} ${state} (${status})${wait}`, {status, retryAfterMs});
	}

	if (status === 401) {
		const hasLogin = given.some(name => /^authorization$/i.test(name));
		const {message, needs} = loginProblem(host, response.headers.get('www-authenticate'), hasLogin);
		return new DownStreamError('origin-refused', message, {status, needs});
	}

	const reasons: Partial<Record<number, string>> = {
		403: `403 Forbidden from ${host}: the link may have expired`,
		404: `404: no such file on the server ${host}`,
		410: `410 Gone: ${host} does not have the file any more`,
		416: `416: ${host} refuses the requested range`,
	};
	const isRedirect = status >= 300 && status < 400 && status !== 304;
	return new DownStreamError(
		'origin-refused',
		reasons[status] ??
			`${host} ${isRedirect ? 'redirects without a Location, with' : 'answers with'} status ${status}`,
		{
			status,
		},
	);
}

/** Parses seconds or an HTTP date (RFC 9110 section 10.2.3) into milliseconds from now. */
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

function misbehaved(host: string, fault: string): DownStreamError {
	return new DownStreamError('origin-misbehaved', `${host} ${fault}`);
}

const unreachable: Partial<Record<string, string>> = {
	ENOTFOUND: 'no such host',
	EAI_AGAIN: 'the host name cannot be resolved at the moment',
	ECONNREFUSED: 'connection refused',
	ECONNRESET: 'connection reset',
	EPIPE: 'connection reset',
	CONNECTION_CLOSED: 'connection lost',
	CONNECT_TIMEOUT: 'timed out while connecting',
	ETIMEDOUT: 'timed out while connecting',
	HEADERS_TIMEOUT: 'timed out without a response',
	BODY_TIMEOUT: 'the server stopped sending',
	EHOSTUNREACH: 'host cannot be reached',
	ENETUNREACH: 'no network',
	EPROTO: 'TLS handshake failed',
};

function originError(error: unknown, host: string): DownStreamError {
	if (error instanceof DownStreamError) {
		return error;
	}

	// All addresses of the host failed; the first error represents them.
	const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
	const cause = (first as Error).cause as NodeJS.ErrnoException | undefined;
	const code = String((first as NodeJS.ErrnoException).code ?? cause?.code);
	const problem = certificateProblem(first, host);
	if (problem !== undefined) {
		return new DownStreamError('origin-refused', problem, {cause: error, needs: 'trust'});
	}

	if (code === 'HEADERS_TOO_LARGE') {
		return new DownStreamError('origin-misbehaved', `${host} sent headers that are too large`, {
			cause: error,
		});
	}

	if (code === 'NOT_HTTP') {
		return new DownStreamError('origin-misbehaved', `${host} sent an invalid HTTP response`, {
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
