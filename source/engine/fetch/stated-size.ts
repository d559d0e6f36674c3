// Detects origins that state the end of a part as the size of the file.
import type {DataSource, OriginResponse} from '../origin/data-source.ts';
import type {Range} from '../store/range-set.ts';

/** A size equal to the end of the request may be that of the part. */
function mayBeOfPart({acceptsRanges, info, range}: OriginResponse, asked: Range): boolean {
	return acceptsRanges && info.size === asked.end && range.start < range.end;
}

export function withoutMisstatedSize(response: OriginResponse, asked: Range): OriginResponse {
	return mayBeOfPart(response, asked) ? {...response, info: {...response.info, size: Infinity}} : response;
}

/**
 * Requests the byte after a doubtful size. Resolves with the response, without its size if that was misstated or
 * stays doubtful because the request failed, and whether it was misstated. `knownSize`: bytes; Infinity while
 * unknown. `source`: undefined if a request beside the response may be refused.
 */
export async function settleSize(
	response: OriginResponse,
	asked: Range,
	knownSize: number,
	source: DataSource | undefined,
	signal: AbortSignal,
): Promise<{response: OriginResponse; isMisstated: boolean}> {
	const {size} = response.info;
	if (!mayBeOfPart(response, asked) || size === knownSize) {
		return {response, isMisstated: false};
	}

	const beyond = source && (await openByte(source, size, signal));
	return beyond?.info.size === size || (!beyond && knownSize < Infinity)
		? {response, isMisstated: false}
		: {
				response: withoutMisstatedSize(response, asked),
				isMisstated: beyond !== undefined && beyond.range.end > size,
			};
}

/** Resolves with the head of the response to a request for one byte, or undefined if the request fails. */
async function openByte(
	source: DataSource,
	offset: number,
	signal: AbortSignal,
): Promise<OriginResponse | undefined> {
	const closing = new AbortController();
	try {
		return await source.open({
			ranged: true,
			range: {start: offset, end: offset + 1},
			signal: AbortSignal.any([signal, closing.signal]),
		});
	} catch {
		signal.throwIfAborted();
		return undefined;
	} finally {
		closing.abort();
	}
}
