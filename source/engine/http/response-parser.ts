// One HTTP/1.1 response to a GET (RFC 9112). Its syntax is read as leniently as curl reads it; a body length with two
// readings is not believed.
import {HttpError} from './errors.ts';

/** Of status line and header fields of one answer, in bytes. */
const largestHead = 64 * 1024;
const maxFields = 256;
/** Size and extensions of a chunk, in bytes; nobody uses extensions. */
const largestChunkLine = 1024;
const largestTrailers = 16 * 1024;
/** 1xx before the answer itself (RFC 9110 section 15.2). */
const maxInterims = 8;

const TAB = 9;
const SPACE = 32;
const CR = 13;
const LF = 10;
const none = Buffer.alloc(0);

export type ResponseHead = {
	readonly status: number;
	/**
	 * By names in lower case; different values of one name are joined by commas (RFC 9110 section 5.2). Content-Length and
	 * Transfer-Encoding are there only where they delimit the body, as one number and as `chunked`.
	 */
	readonly headers: ReadonlyMap<string, string>;
};

/** What the next byte is part of. `done`: of nothing, the answer is over. */
type Part = 'status' | 'fields' | 'body' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers' | 'done';

export class ResponseParser {
	#part: Part = 'status';
	#head: ResponseHead | undefined;
	/** A line whose end is still to come. */
	#line = '';
	/** What the lines of a head, a chunk size or the trailers may still have. */
	#lineBytesLeft = largestHead;
	#interims = 0;
	#status = 0;
	#version = '';
	#headers = new Map<string, string>();
	/** The name of the field that a folded line continues. */
	#lastName: string | undefined;
	#fields = 0;
	/** Something is not as RFC 9112 demands; another reader may see another end of the response. */
	#isIrregular = false;
	/** A Content-Length beside chunks; NaN for one that is no length. */
	#lengthBesideChunks: number | undefined;
	#bytesInChunks = 0;
	/** Content-Length states more bytes than any connection brings: closing it is a cut. */
	#isEndless = false;
	/** Of the body, or of a chunk of it; Infinity for a body that ends by closing. */
	#bytesLeft = 0;
	#hasTrailingBytes = false;

	/** Once it is complete. */
	get head(): ResponseHead | undefined {
		return this.#head;
	}

	/** Every byte of the answer has come. */
	get isDone(): boolean {
		return this.#part === 'done';
	}

	/** So many of the next bytes are body; 0 where they may be anything else. */
	get remainingBody(): number {
		return this.#part === 'body' || this.#part === 'chunk' ? this.#bytesLeft : 0;
	}

	/**
	 * Whether the end of the body proves that it is whole, by a length or a last chunk. Where a Content-Length came beside
	 * chunks, this is known once all has come.
	 */
	get endIsProven(): boolean {
		return (
			(this.#headers.has('content-length') || this.#headers.has('transfer-encoding')) &&
			(this.#lengthBesideChunks === undefined ||
				(this.isDone && this.#lengthBesideChunks === this.#bytesInChunks))
		);
	}

	/** Another request may follow on the connection (RFC 9112 section 9.3). */
	get isKeepAlive(): boolean {
		return (
			this.isDone &&
			!this.#hasTrailingBytes &&
			!this.#isIrregular &&
			this.#version === '1.1' &&
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
				this.#hasTrailingBytes = true;
				break;
			} else {
				at = this.#takeLine(bytes, at);
			}
		}

		return body;
	}

	/**
	 * The connection has ended; throws `HttpError` if that cuts the answer. A chunked body is whole with its last chunk,
	 * also where the trailers are missing (RFC 9112 section 8).
	 */
	end(): void {
		const endsByClosing = this.#part === 'body' && this.#bytesLeft === Infinity && !this.#isEndless;
		if (endsByClosing || this.#part === 'trailers') {
			this.#part = 'done';
			this.#hasTrailingBytes = true;
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
			let length = line.length - 1;
			while (line.charCodeAt(length - 1) === CR) {
				length--;
			}

			this.#isIrregular ||= length !== line.length - 2;
			this.#tookLine(line.slice(0, length));
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
				// Nobody needs the fields of the trailer section.
				if (line === '') {
					this.#part = 'done';
				}
			}
		}
	}

	#expectLines(part: Part, maxBytes: number): void {
		this.#part = part;
		this.#lineBytesLeft = maxBytes;
	}

	#takeStatus(line: string): void {
		if (line === '') {
			this.#isIrregular = true;
			return;
		}

		const [, version = '', status] =
			/^(?:HTTP(?:\/([\d.]+))?|ICY)[\t ]+([1-9]\d\d)(?!\d)[^\0]*$/i.exec(line) ?? [];
		if (status === undefined) {
			throw invalid('no status line');
		}

		this.#status = Number(status);
		this.#version = version;
		this.#part = 'fields';
	}

	#takeField(line: string): void {
		if (++this.#fields > maxFields) {
			throw new HttpError('HEADERS_TOO_LARGE', 'Lines of the answer are too large');
		}

		const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):([\t\x20-\x7E\x80-\xFF]*)$/.exec(line) ?? [];
		if (name === undefined || value === undefined) {
			this.#isIrregular = true;
			this.#takeIrregularField(line);
		} else {
			this.#addField(name, value);
		}
	}

	/** A folded line continues the one before; white space may precede the colon; a line without a name is skipped. */
	#takeIrregularField(line: string): void {
		if (line.includes('\0')) {
			throw invalid('a line in its header that is no field');
		}

		// RFC 9110 section 5.5.
		const text = line.replaceAll(/[^\t\x20-\x7E\x80-\xFF]/g, ' ');
		const trimmed = trimmedField(text);
		const isFolded = /^[\t ]/.test(text) && trimmed !== ':';
		if (isFolded && this.#lastName !== undefined) {
			const before = this.#headers.get(this.#lastName);
			this.#headers.set(this.#lastName, trimmedField(`${before} ${trimmed}`));
		} else if (!isFolded) {
			const [, name, value] = /^([\w!#$%&'*+.^`|~-]+)[\t ]*:(.*)$/s.exec(text) ?? [];
			this.#lastName = undefined;
			if (name !== undefined && value !== undefined) {
				this.#addField(name, value);
			}
		}
	}

	#addField(name: string, value: string): void {
		this.#lastName = name.toLowerCase();
		const before = this.#headers.get(this.#lastName);
		const trimmed = trimmedField(value);
		this.#headers.set(
			this.#lastName,
			before === undefined || before === trimmed ? trimmed : `${before}, ${trimmed}`,
		);
	}

	#endHead(): void {
		if (this.#status === 101) {
			throw invalid('another protocol, for which it was not asked');
		}

		if (this.#status < 200) {
			if (++this.#interims > maxInterims) {
				throw invalid('interim answers without end');
			}

			this.#headers.clear();
			this.#lastName = undefined;
			this.#fields = 0;
			this.#expectLines('status', largestHead);
			return;
		}

		this.#head = {status: this.#status, headers: this.#headers};
		this.#expectBody();
	}

	/** RFC 9112 section 6.3. Where a length has two readings the body goes on until the connection is closed. */
	#expectBody(): void {
		const lengthField = this.#headers.get('content-length');
		const length = lengthField === undefined ? undefined : contentLength(lengthField);
		const isChunked = isChunkedCoding(this.#headers.get('transfer-encoding') ?? '');
		this.#headers.delete('content-length');
		this.#headers.delete('transfer-encoding');
		if (isChunked) {
			this.#headers.set('transfer-encoding', 'chunked');
			if (lengthField !== undefined) {
				this.#lengthBesideChunks = length ?? Number.NaN;
				this.#isIrregular = true;
			}

			this.#expectLines('chunk-size', largestChunkLine);
		} else {
			if (length !== undefined) {
				this.#headers.set('content-length', String(length));
			}

			this.#bytesLeft = length ?? Infinity;
			this.#isEndless = /^\d+$/.test(lengthField ?? '') && isEndless(Number(lengthField));
			this.#part = 'body';
		}

		const hasNoBody = this.#status === 204 || this.#status === 304;
		// An origin that tells of a body may send one.
		this.#isIrregular ||= hasNoBody && (isChunked || (lengthField !== undefined && length !== 0));
		if (hasNoBody || (this.#part === 'body' && this.#bytesLeft === 0)) {
			this.#part = 'done';
		}
	}

	#takeChunkSize(line: string): void {
		const [, size] = /^[\t ]*0*([\dA-F]{1,12})(?:[\t ;].*)?$/is.exec(line) ?? [];
		if (size === undefined) {
			throw invalid('a chunk without a size');
		}

		this.#bytesLeft = Number.parseInt(size, 16);
		this.#bytesInChunks += this.#bytesLeft;
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

/** Without the white space around it. `trim` would also cut off a byte of UTF-8, A0. */
function trimmedField(text: string): string {
	let start = 0;
	let end = text.length;
	while (isBlank(text.charCodeAt(start))) {
		start++;
	}

	while (end > start && isBlank(text.charCodeAt(end - 1))) {
		end--;
	}

	return text.slice(start, end);
}

function isBlank(code: number): boolean {
	return code === TAB || code === SPACE;
}

/**
 * Of a Content-Length field. Equal lengths are one (RFC 9112 section 6.3); undefined if they differ, or one is none: that
 * is also a number of bytes above 2^53.
 */
export function contentLength(text: string): number | undefined {
	const parts = text.split(',').map(trimmedField);
	const lengths = new Set(
		parts.filter(part => part !== '').map(part => (/^\d+$/.test(part) ? Number(part) : Number.NaN)),
	);
	const [length] = lengths;
	return lengths.size === 1 && Number.isSafeInteger(length) ? length : undefined;
}

/** More than numbers count, but within the 63 bits in which servers count. */
function isEndless(length: number): boolean {
	return length > Number.MAX_SAFE_INTEGER && length < 2 ** 63;
}

/** What origins write in a Transfer-Encoding that is none. */
const noCodings = new Set(['', 'identity', 'none', 'binary']);

/** Of a Transfer-Encoding field. Throws for other codings: their bytes would be taken for those of the file. */
function isChunkedCoding(text: string): boolean {
	const codings = text
		.split(',')
		.map(coding => trimmedField(coding.split(';', 1)[0]!).toLowerCase())
		.filter(coding => !noCodings.has(coding));
	if (codings.some(coding => coding !== 'chunked')) {
		throw invalid('a transfer coding that it was not asked for');
	}

	return codings.length > 0;
}

function invalid(what: string): Error {
	return new HttpError('NOT_HTTP', `The answer has ${what}`);
}
