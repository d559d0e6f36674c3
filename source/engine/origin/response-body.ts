// Reads the body of a response: its first bytes, exactly its range, or just to its end.
import type {HttpResponse} from '../http/client.ts';
import {sniffedBytes} from './content-coding.ts';
import {originError} from './origin-errors.ts';
import type {Range} from '../store/range-set.ts';
import {DownStreamError} from '../../downstream.ts';

/** An unneeded body is drained to keep the connection, up to this many bytes and milliseconds. */
const maxDiscardedBytes = 64 * 1024;
const maxDiscardMs = 2000;

/** Reads enough bytes to detect the coding, or the whole body. */
export async function firstBytes(response: HttpResponse, host: string): Promise<Uint8Array> {
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

/** Yields exactly the bytes of the range; `start` holds those already read. */
export async function* body(
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

/** Drains a short body so that the connection can be reused; otherwise closes the connection. */
export async function discard(response: HttpResponse): Promise<void> {
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
