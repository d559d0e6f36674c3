// One HTTP/1.1 answer to a GET, read strictly (RFC 9112): what two readers could take for two things is refused.
import {HttpError} from './http-client.ts';

/** Of status line and header fields of one answer, in bytes. */
const largestHead = 64 * 1024;
const mostFields = 256;
/** Size and extensions of a chunk, in bytes; nobody uses extensions. */
const largestChunkLine = 1024;
const largestTrailers = 16 * 1024;
/** 1xx before the answer itself (RFC 9110 section 15.2). */
const mostInterims = 8;

const CR = 13;
const LF = 10;
const none = Buffer.alloc(0);

export type AnswerHead = {
	readonly status: number;
	/** By names in lower case; the values of one that came several times are joined (RFC 9110 section 5.2). */
	readonly headers: ReadonlyMap<string, string>;
};

/** What the next byte is part of. `done`: of nothing, the answer is over. */
type Part = 'status' | 'fields' | 'body' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers' | 'done';

export class AnswerParser {
	#part: Part = 'status';
	#head: AnswerHead | undefined;
	/** A line whose end is still to come. */
	#line = '';
	/** What the lines of a head, a chunk size or the trailers may still have. */
	#lineBytesLeft = largestHead;
	#interims = 0;
	#status = 0;
	#minorVersion = 0;
	#headers = new Map<string, string>();
	#fields = 0;
	/** Of the body, or of a chunk of it; Infinity for a body that ends by closing. */
	#bytesLeft = 0;
	#saidMore = false;

	/** Once it is complete. */
	get head(): AnswerHead | undefined {
		return this.#head;
	}

	/** Every byte of the answer has come. */
	get isDone(): boolean {
		return this.#part === 'done';
	}

	/** So many of the next bytes are body; 0 where they may be anything else. */
	get bodyToCome(): number {
		return this.#part === 'body' || this.#part === 'chunk' ? this.#bytesLeft : 0;
	}

	/** Another request may follow on the connection (RFC 9112 section 9.3). */
	get leavesConnectionUsable(): boolean {
		return (
			this.isDone &&
			!this.#saidMore &&
			this.#minorVersion === 1 &&
			!/(?:^|,)\s*close\s*(?:,|$)/i.test(this.#headers.get('connection') ?? '')
		);
	}

	/**
	 * Takes what came next, and returns what of it is body: a part of `bytes`, which are the parser's to change. Bytes
	 * after the end are no part of anything. Throws `HttpError`.
	 */
	push(bytes: Uint8Array): Uint8Array {
		let at = 0;
		let body = none as Uint8Array;
		while (at < bytes.length) {
			if (this.#part === 'body' || this.#part === 'chunk') {
				const length = Math.min(bytes.length - at, this.#bytesLeft);
				body = joined(bytes, body, at, at + length);
				at += length;
				this.#bytesLeft -= length;
				if (this.#bytesLeft === 0) {
					this.#part = this.#part === 'body' ? 'done' : 'chunk-end';
				}
			} else if (this.#part === 'done') {
				this.#saidMore = true;
				break;
			} else {
				at = this.#takeLine(bytes, at);
			}
		}

		return body;
	}

	/** The connection has ended; throws `HttpError` if that cuts the answer. */
	end(): void {
		if (this.#part === 'body' && this.#bytesLeft === Infinity) {
			this.#part = 'done';
			this.#saidMore = true;
		}

		if (!this.isDone) {
			throw new HttpError('CONNECTION_CLOSED', 'The connection was closed in the middle of the answer');
		}
	}

	/** Returns where the next part begins. */
	#takeLine(bytes: Uint8Array, at: number): number {
		const lineFeed = bytes.indexOf(LF, at);
		const end = lineFeed === -1 ? bytes.length : lineFeed + 1;
		this.#lineBytesLeft -= end - at;
		if (this.#lineBytesLeft < 0) {
			throw new HttpError('HEADERS_TOO_LARGE', 'Lines of the answer are too large');
		}

		this.#line += Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString('latin1');
		if (lineFeed !== -1) {
			const line = this.#line;
			this.#line = '';
			if (line.charCodeAt(line.length - 2) !== CR) {
				throw invalid('a line without its carriage return');
			}

			this.#tookLine(line.slice(0, -2));
		}

		return end;
	}

	#tookLine(line: string): void {
		switch (this.#part) {
			case 'status': {
				this.#takeStatus(line);
				break;
			}

			case 'fields': {
				if (line === '') {
					this.#endHead();
				} else {
					this.#takeField(line);
				}

				break;
			}

			case 'chunk-size': {
				this.#takeChunkSize(line);
				break;
			}

			case 'chunk-end': {
				if (line !== '') {
					throw invalid('a chunk that is longer than it says');
				}

				this.#expectLines('chunk-size', largestChunkLine);
				break;
			}

			default: {
				if (line === '') {
					this.#part = 'done';
				} else {
					// Fields that come after the body are looked at by nobody.
					fieldOf(line);
				}
			}
		}
	}

	#expectLines(part: Part, mostBytes: number): void {
		this.#part = part;
		this.#lineBytesLeft = mostBytes;
	}

	#takeStatus(line: string): void {
		const [, minorVersion, status] =
			/^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7E\x80-\xFF]*)?$/.exec(line) ?? [];
		if (status === undefined) {
			throw invalid('no status line');
		}

		this.#status = Number(status);
		this.#minorVersion = Number(minorVersion);
		this.#part = 'fields';
	}

	#takeField(line: string): void {
		const [name, value] = fieldOf(line);
		if (++this.#fields > mostFields) {
			throw new HttpError('HEADERS_TOO_LARGE', 'Lines of the answer are too large');
		}

		const before = this.#headers.get(name);
		this.#headers.set(name, before === undefined ? value : `${before}, ${value}`);
	}

	#endHead(): void {
		if (this.#status === 101) {
			throw invalid('another protocol, for which it was not asked');
		}

		if (this.#status < 200) {
			if (++this.#interims > mostInterims) {
				throw invalid('interim answers without end');
			}

			this.#headers.clear();
			this.#fields = 0;
			this.#expectLines('status', largestHead);
			return;
		}

		this.#head = {status: this.#status, headers: this.#headers};
		this.#expectBody();
	}

	/** RFC 9112 section 6.3. */
	#expectBody(): void {
		const coding = this.#headers.get('transfer-encoding');
		const length = this.#headers.get('content-length');
		if (coding !== undefined) {
			if (length !== undefined || this.#minorVersion === 0 || coding.toLowerCase() !== 'chunked') {
				throw invalid('a body whose length is not clear');
			}

			this.#expectLines('chunk-size', largestChunkLine);
		} else {
			this.#bytesLeft = length === undefined ? Infinity : lengthOf(length);
			this.#part = 'body';
		}

		if (this.#status === 204 || this.#status === 304 || (this.#part === 'body' && this.#bytesLeft === 0)) {
			this.#part = 'done';
		}
	}

	#takeChunkSize(line: string): void {
		const [, size] = /^([\dA-F]{1,12})(?:[\t ]*;[\t\x20-\x7E\x80-\xFF]*)?$/i.exec(line) ?? [];
		if (size === undefined) {
			throw invalid('a chunk without a size');
		}

		this.#bytesLeft = Number.parseInt(size, 16);
		if (this.#bytesLeft === 0) {
			this.#expectLines('trailers', largestTrailers);
		} else {
			this.#part = 'chunk';
		}
	}
}

/** The body so far with what follows in `bytes`: what lay between them, the framing of a chunk, is written over. */
function joined(bytes: Uint8Array, body: Uint8Array, start: number, end: number): Uint8Array {
	if (body.length === 0) {
		return bytes.subarray(start, end);
	}

	const from = body.byteOffset - bytes.byteOffset;
	bytes.copyWithin(from + body.length, start, end);
	return bytes.subarray(from, from + body.length + end - start);
}

/** RFC 9110 section 5. A line that begins with white space (obs-fold) is refused, RFC 9112 section 5.2. */
function fieldOf(line: string): [name: string, value: string] {
	const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):([\t\x20-\x7E\x80-\xFF]*)$/.exec(line) ?? [];
	if (name === undefined || value === undefined) {
		throw invalid('a line in its header that is no field');
	}

	return [name.toLowerCase(), value.trim()];
}

/** Several may come if all say the same (RFC 9112 section 6.3). */
function lengthOf(text: string): number {
	const [length, ...others] = text.split(',').map(each => each.trim());
	if (!/^\d{1,15}$/.test(length!) || others.some(other => other !== length)) {
		throw invalid('a length that is none');
	}

	return Number(length);
}

function invalid(what: string): Error {
	return new HttpError('NOT_HTTP', `The answer has ${what}`);
}
