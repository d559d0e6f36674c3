// Errors that may mean that a host accepts no further connection.
import type {DownStreamError, ErrorCode} from '../../downstream.ts';

/** Errors without a stated reason: they are refusals only beside a connection that works. */
const oddResponses = new Set<ErrorCode>(['origin-truncated', 'origin-misbehaved', 'origin-sent-page']);

/** True if the host refused the request outright. */
export function isPlainRefusal({code}: DownStreamError): boolean {
	return !oddResponses.has(code);
}

/**
 * Hosts refuse a further connection in many ways. `isKnown`: the origin has sent the file before; a refusal of an unknown
 * file most likely means what it says.
 */
export function mayMeanTooMany({code, status}: DownStreamError, isKnown: boolean): boolean {
	return (
		code === 'origin-busy' ||
		code === 'origin-unreachable' ||
		code === 'origin-truncated' ||
		(code === 'origin-refused' && (isKnown || status === 403)) ||
		(oddResponses.has(code) && isKnown)
	);
}
