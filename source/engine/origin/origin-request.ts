// Requests a range of a file; without Range if the origin does not serve it.
import type {OriginRequestOptions, RequestOptions} from './request-options.ts';
import type {OriginResponse} from './data-source.ts';
import {
	isSilence,
	provesRanges,
	isAboutRange,
	isRangeRefusal,
	statusOf,
	isCut,
	UnprovenResponse,
} from './range-refusal.ts';
import {follow} from './follow-redirects.ts';
import {unsatisfiedSize} from './content-range.ts';
import {discard} from './response-body.ts';
import {describe} from './describe-response.ts';
import {refusal} from './origin-errors.ts';
import {proveResponse} from './response-proof.ts';

/** Statuses of responses that contain the file. */
const successStatuses = new Set([200, 201, 203, 206]);

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
