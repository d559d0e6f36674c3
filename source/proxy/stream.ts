// One response to a player: the requested bytes in order, at the player's pace.
import {randomUUID} from 'node:crypto';
import type {IncomingMessage, OutgoingHttpHeaders, ServerResponse} from 'node:http';
import {create as contentDisposition} from 'content-disposition';
import type {DownloadId} from '../downstream.ts';
import {contentRange} from '../engine/origin/content-range.ts';
import type {Range} from '../engine/store/range-set.ts';
import type {Representation} from '../engine/download/reading.ts';
import {Problem} from './problem.ts';
import {evaluatePreconditions, ifRangeHolds, requestedRanges} from './range-header.ts';

export type StreamRead = {
	/** `end` may be Infinity while the size is unknown. */
	readonly range: Range;
	/** The version of the facts behind the response; all its parts are of this version. */
	readonly version: number;
	readonly player: {readonly userAgent: string; readonly address: string};
	readonly signal: AbortSignal;
};

/** The bytes of a transfer. Both methods throw `DownStreamError`, or the signal's reason. */
interface StreamedBytes {
	/** The origin has not yet responded to the current request. */
	readonly isUnanswered: boolean;
	/** Waits for the origin's first response if nothing is known yet. */
	representation(signal: AbortSignal): Promise<Representation>;
	/**
	 * Yields the bytes of the range in order, and waits for missing ones. A piece is valid until the next one is
	 * requested.
	 */
	read(request: StreamRead): AsyncIterable<Uint8Array>;
}

/** A transfer as seen by players. */
export interface StreamedTransfer extends StreamedBytes {
	readonly id: DownloadId;
	/** Only the cached bytes, for readers that are no players: fetches nothing and fails at the first missing byte. */
	readonly cached: StreamedBytes;
}

/**
 * Milliseconds that the headers wait for the first byte, because until then an error can still be reported by status.
 * Longer while the origin has not responded: a player learns within 10 s that it is unreachable.
 */
const headersWaitMs = {usual: 1000, unanswered: 10_000};

/** A range of the file with the part header that precedes it in a multipart response. */
type Part = {readonly head: string; readonly range: Range};

/**
 * Serves a GET or HEAD (RFC 9110 sections 13 to 15). Rejects with a `Problem` or `DownStreamError` before the headers
 * are sent, and with any error afterwards; then the connection must be cut, because a normal end would look like
 * success.
 */
export async function serveStream(
	transfer: StreamedBytes,
	request: IncomingMessage,
	response: ServerResponse,
	signal: AbortSignal,
): Promise<void> {
	const facts = await transfer.representation(signal);
	const headers = fileHeaders(facts);
	const outcome = evaluatePreconditions(request.headers, facts);
	if (outcome === 'failed') {
		throw new Problem(412, 'The file does not match the preconditions of the request.');
	}

	if (outcome === 'not-modified') {
		response.writeHead(304, headers).end();
		return;
	}

	const ranges = selectedRanges(request, facts);
	if (ranges?.length === 0) {
		throw new Problem(
			416,
			`The file has ${facts.size} bytes, and the requested range contains none of them.`,
			{
				'content-range': contentRange(undefined, facts.size),
			},
		);
	}

	headers['content-type'] = facts.type;
	let parts: Part[] = [{head: '', range: ranges?.[0] ?? {start: 0, end: facts.size}}];
	let tail = '';
	if (ranges?.length === 1) {
		headers['content-range'] = contentRange(ranges[0], facts.size);
	} else if (ranges) {
		const boundary = randomUUID();
		headers['content-type'] = `multipart/byteranges; boundary=${boundary}`;
		parts = ranges.map(range => ({head: partHead(boundary, range, facts), range}));
		tail = `\r\n--${boundary}--\r\n`;
	}

	if (facts.size !== Infinity) {
		headers['content-length'] = parts.reduce(
			(sum, {head, range}) => sum + Buffer.byteLength(head) + range.end - range.start,
			tail.length,
		);
		response.strictContentLength = true;
	}

	if (request.method === 'HEAD') {
		response.writeHead(200, headers).end();
		return;
	}

	const player = {
		userAgent: request.headers['user-agent'] ?? '',
		address: request.socket.remoteAddress ?? '',
	};
	const sendHeaders = () => {
		if (!response.headersSent) {
			response.writeHead(ranges ? 206 : 200, headers);
		}
	};
	const startedAt = performance.now();
	const timer = setInterval(() => {
		if (!transfer.isUnanswered || performance.now() - startedAt >= headersWaitMs.unanswered) {
			clearInterval(timer);
			sendHeaders();
			response.flushHeaders();
		}
	}, headersWaitMs.usual);
	try {
		for await (const bytes of bodyParts(transfer, parts, {version: facts.version, player, signal})) {
			signal.throwIfAborted();
			sendHeaders();
			await writeTo(response, bytes, signal);
		}
	} finally {
		clearInterval(timer);
	}

	sendHeaders();
	response.end(tail);
}

/** Resolves when the socket has accepted the bytes; rejects with the signal's reason. */
function writeTo(response: ServerResponse, bytes: Uint8Array | string, signal: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		const abort = () => reject(signal.reason);
		signal.addEventListener('abort', abort, {once: true});
		response.write(bytes, error => {
			signal.removeEventListener('abort', abort);
			if (error) {
				reject(error);
			} else {
				resolve();
			}
		});
	});
}

async function* bodyParts(
	transfer: StreamedBytes,
	parts: readonly Part[],
	request: Omit<StreamRead, 'range'>,
): AsyncGenerator<Uint8Array | string, void, undefined> {
	for (const {head, range} of parts) {
		let isFirst = head !== '';
		for await (const bytes of transfer.read({...request, range})) {
			if (isFirst) {
				yield head;
			}

			isFirst = false;
			yield bytes;
		}
	}
}

/** Range is defined only for GET (RFC 9110 section 14.2). */
function selectedRanges({method, headers}: IncomingMessage, facts: Representation): Range[] | undefined {
	return method === 'GET' && ifRangeHolds(headers, facts)
		? requestedRanges(headers.range, facts.size)
		: undefined;
}

/** Headers of every response about the file, including 304. */
function fileHeaders(facts: Representation): OutgoingHttpHeaders {
	const seekable = facts.size !== Infinity && (facts.acceptsRanges || facts.complete);
	const headers: OutgoingHttpHeaders = {
		// Advisory only: if a seek must wait for all preceding bytes, a Range is still served.
		'accept-ranges': seekable ? 'bytes' : 'none',
		'content-disposition': contentDisposition(facts.name, {type: 'inline'}),
		// The bytes are already on this disk.
		'cache-control': 'no-store',
		'x-content-type-options': 'nosniff',
	};
	if (facts.etag !== undefined) {
		headers.etag = facts.etag;
	}

	if (facts.lastModified !== undefined) {
		headers['last-modified'] = facts.lastModified;
	}

	// A page from the origin must not run with the proxy's origin. Audio and video are exempt: a browser's own player
	// must load further ranges.
	if (!/^(?:audio|video)\//.test(facts.type)) {
		headers['content-security-policy'] = 'sandbox';
	}

	return headers;
}

/** RFC 9110 section 14.6. */
function partHead(boundary: string, range: Range, {type, size}: Representation): string {
	return `\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`;
}
