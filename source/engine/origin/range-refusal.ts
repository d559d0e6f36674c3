// Whether a failed request with a Range may succeed without one. Pure.
import {DownStreamError} from '../../downstream.ts';
import type {OriginTraits} from './request-options.ts';
import type {Range} from '../store/range-set.ts';

/** Statuses that reject the request as it is; without Range, it may be served. */
const rangeRefusals = new Set([400, 405, 406, 416, 501]);
/** Statuses unrelated to the Range: logins, missing files, premature requests. */
const othersThanRange = new Set([401, 407, 408, 410, 425, 429, 503]);

/** Milliseconds after a refusal of the whole file before another refused part causes a request for it. */
const wholeRefusalMs = 30_000;

/** The connection was established but ended without a response. */
export function isCut(error: unknown): boolean {
	const code = causeOf(error);
	return code === 'ECONNRESET' || code === 'CONNECTION_CLOSED';
}

/** The connection was made, and no response arrived in time. */
export function isSilence(error: unknown): boolean {
	return causeOf(error) === 'HEADERS_TIMEOUT';
}

function causeOf(error: unknown): string | undefined {
	return error instanceof DownStreamError
		? (error.cause as NodeJS.ErrnoException | undefined)?.code
		: undefined;
}

/** True if ranges like this one have worked. Some origins serve only ranges that begin at 0. */
export function provesRanges(
	{givesParts = false, servesRanges = false}: OriginTraits,
	{start}: Range,
): boolean {
	return givesParts || (servesRanges && start === 0);
}

/** The response does not prove which bytes of the file it contains. */
export class UnprovenResponse extends DownStreamError {
	constructor(host: string, fault: string) {
		super('origin-misbehaved', `${host} ${fault}`);
	}
}

/** True if a request without Range may succeed. */
export function isAboutRange(error: unknown, traits: OriginTraits, range: Range): boolean {
	const {givesParts = false, refusedWholeAt = -Infinity} = traits;
	const status = statusOf(error);
	// Once parts were served, other statuses concern the link or the number of connections.
	const mayBe = status !== undefined && !othersThanRange.has(status) && !givesParts;
	const mayBeCut = isCut(error) && !provesRanges(traits, range);
	return (
		isRangeRefusal(error) || ((mayBe || mayBeCut) && performance.now() - refusedWholeAt > wholeRefusalMs)
	);
}

/** The origin rejects ranges, or violates HTTP in its responses to them. */
export function isRangeRefusal(error: unknown): boolean {
	return rangeRefusals.has(statusOf(error) ?? 0) || error instanceof UnprovenResponse;
}

/** The status of a refusal that does not ask to wait. */
export function statusOf(error: unknown): number | undefined {
	const isRefusal =
		error instanceof DownStreamError &&
		(error.code === 'origin-refused' || error.code === 'origin-busy') &&
		error.retryAfterMs === undefined;
	return isRefusal ? error.status : undefined;
}
