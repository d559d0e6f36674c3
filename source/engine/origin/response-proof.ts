// Proves which bytes of the file a response contains, before its first byte is used.
import type {HttpResponse} from '../http/client.ts';
import type {RequestOptions, OriginTraits} from './request-options.ts';
import type {OriginResponse} from './data-source.ts';
import {UnprovenResponse, provesRanges} from './range-refusal.ts';
import {canDecode, decodeBody, codingsOf, canStartWith} from './content-coding.ts';
import {body, firstBytes} from './response-body.ts';
import {describe, nameOf} from './describe-response.ts';
import {parseContentRange, type ContentRange} from './content-range.ts';
import {baseType, isPage, namesNoPage} from './file-info.ts';
import {contentLength} from '../http/response-parser.ts';
import {DownStreamError} from '../../downstream.ts';

const nothing = new Uint8Array();

/** RFC 9110 sections 14.4 and 15.3.7: only the response's own statements count, whatever was requested. */
export async function proveResponse(
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
		throw new UnprovenResponse(host, 'sent a part of the file without saying which');
	}

	const {range, size} = proof;
	if (size !== Infinity && !Number.isSafeInteger(size)) {
		throw misbehaved(host, 'states an impossible size for the file');
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

/**
 * True for a page in response to a kind of range that has not worked; from offset 0, only if the name is that of
 * another kind of file.
 */
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

function lengthOf(response: HttpResponse): number | undefined {
	const text = response.headers.get('content-length');
	return text === undefined ? undefined : contentLength(text);
}

function misbehaved(host: string, fault: string): DownStreamError {
	return new DownStreamError('origin-misbehaved', `${host} ${fault}`);
}
