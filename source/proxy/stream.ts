// One answer to a player: the bytes it asked for, in order, as fast as it reads them.
import {randomUUID} from 'node:crypto';
import type {IncomingMessage, OutgoingHttpHeaders, ServerResponse} from 'node:http';
import {create as contentDisposition} from 'content-disposition';
import type {DownloadId} from '../downstream.ts';
import {contentRange} from '../engine/origin/content-range.ts';
import type {Range} from '../engine/store/range-set.ts';
import type {Representation} from '../engine/download/transfer.ts';
import {Problem} from './problem.ts';
import {evaluatePreconditions, ifRangeHolds, requestedRanges} from './range-header.ts';

export type StreamRead = {
	/** `end` may be Infinity while the size is unknown. */
	readonly range: Range;
	/** Of the facts that the answer is made of: all its parts are of one version. */
	readonly version: number;
	readonly player: {readonly userAgent: string; readonly address: string};
	readonly signal: AbortSignal;
};

/** A transfer as players know it. Both verbs throw `DownStreamError`, or the signal's reason. */
export interface StreamedTransfer {
	readonly id: DownloadId;
	/** The origin has not answered what is asked of it now. */
	readonly isUnanswered?: boolean;
	/** Waits for the first answer of the origin if nothing is known yet. */
	representation(signal: AbortSignal): Promise<Representation>;
	/** The bytes of the range in order, waiting for holes to be fetched. Each piece is good until the next is asked for. */
	read(request: StreamRead): AsyncIterable<Uint8Array>;
}

/**
 * How long an answer's headers wait for its first byte: until then an error can still be told by its status. Longer while
 * the origin has not answered: a player is told within 10 s that it is away.
 */
const headersWaitMs = {usual: 1000, unanswered: 10_000};

/** Bytes of the file, with what goes before them in a multipart answer. */
type Part = {readonly head: string; readonly range: Range};

/**
 * Answers a GET or HEAD (RFC 9110 sections 13 to 15). Rejects with a `Problem` or `DownStreamError` before
 * the headers, with anything after them; then the answer must be cut, as its end would look like success.
 */
export async function serveStream(
	transfer: StreamedTransfer,
	request: IncomingMessage,
	response: ServerResponse,
	signal: AbortSignal,
): Promise<void> {
	const facts = await transfer.representation(signal);
	const headers = headersOf(facts);
	const outcome = evaluatePreconditions(request.headers, facts);
	if (outcome === 'failed') {
		throw new Problem(412, 'The file is not in the version that the request is for.');
	}

	if (outcome === 'not-modified') {
		response.writeHead(304, headers).end();
		return;
	}

	const ranges = selectedRanges(request, facts);
	if (ranges?.length === 0) {
		throw new Problem(416, `The file has ${facts.size} bytes, and none of them was asked for.`, {
			'content-range': contentRange(undefined, facts.size),
		});
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
	const asked = performance.now();
	const timer = setInterval(() => {
		if (!transfer.isUnanswered || performance.now() - asked >= headersWaitMs.unanswered) {
			clearInterval(timer);
			sendHeaders();
			response.flushHeaders();
		}
	}, headersWaitMs.usual);
	try {
		for await (const bytes of bodyOf(transfer, parts, {version: facts.version, player, signal})) {
			signal.throwIfAborted();
			sendHeaders();
			await written(response, bytes, signal);
		}
	} finally {
		clearInterval(timer);
	}

	sendHeaders();
	response.end(tail);
}

/** Resolves when the connection has taken the bytes over; rejects with the signal's reason. */
function written(response: ServerResponse, bytes: Uint8Array | string, signal: AbortSignal): Promise<void> {
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

async function* bodyOf(
	transfer: StreamedTransfer,
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

/** Range is defined for GET alone (RFC 9110 section 14.2). */
function selectedRanges({method, headers}: IncomingMessage, facts: Representation): Range[] | undefined {
	return method === 'GET' && ifRangeHolds(headers, facts)
		? requestedRanges(headers.range, facts.size)
		: undefined;
}

/** What every answer about the file says, 304 too. */
function headersOf(facts: Representation): OutgoingHttpHeaders {
	const seekable = facts.size !== Infinity && (facts.acceptsRanges || facts.complete);
	const headers: OutgoingHttpHeaders = {
		// Advice only: where a seek must wait for all that is before it, a Range is still answered.
		'accept-ranges': seekable ? 'bytes' : 'none',
		'content-disposition': contentDisposition(facts.name, {type: 'inline'}),
		// The bytes are on this disk already.
		'cache-control': 'no-store',
		'x-content-type-options': 'nosniff',
	};
	if (facts.etag !== undefined) {
		headers.etag = facts.etag;
	}

	if (facts.lastModified !== undefined) {
		headers['last-modified'] = facts.lastModified;
	}

	// A page of the origin's must not run as if it were ours. A browser's own player needs to be, to load the rest.
	if (!/^(?:audio|video)\//.test(facts.type)) {
		headers['content-security-policy'] = 'sandbox';
	}

	return headers;
}

/** RFC 9110 section 14.6. */
function partHead(boundary: string, range: Range, {type, size}: Representation): string {
	return `\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`;
}
