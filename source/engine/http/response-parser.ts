// Parses one HTTP/1.1 response to a GET (RFC 9112). The syntax is as lenient as curl's, but an ambiguous body length
// is never trusted.
import {HttpError} from './errors.ts';

/** Limits for the status line and the header fields of one response, in bytes. curl takes about 300 KB of fields. */
const maxStatusLineBytes = 64 * 1024;
const maxFieldBytes = 256 * 1024;
const maxFields = 5000;
/** Size and extensions of a chunk, in bytes. Extensions are not used in practice. */
const maxChunkLineBytes = 1024;
const maxTrailerBytes = 16 * 1024;
/** 1xx responses before the final one (RFC 9110 section 15.2). */
const maxInterims = 8;

const TAB = 9;
const SPACE = 32;
const CR = 13;
const LF = 10;
const none = Buffer.alloc(0);

export type ResponseHead = {
	readonly status: number;
	/**
	 * Keyed by lower-case name; different values of one name are joined by commas (RFC 9110 section 5.2).
	 * Content-Length and Transfer-Encoding are present only if they delimit the body, as a number and as `chunked`.
	 */
	readonly headers: ReadonlyMap<string, string>;
};

/** The element that the next byte belongs to; `done` after the end of the response. */
type Part = 'status' | 'fields' | 'body' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers' | 'done';

export class ResponseParser {
	#part: Part = 'status';
	#head: ResponseHead | undefined;
	/** An incomplete line. */
	#line = '';
	/** Remaining bytes for the lines of the head, of a chunk size, or of the trailers. */
	#lineBytesLeft = maxStatusLineBytes;
	#interims = 0;
	#status = 0;
	#version = '';
	#headers = new Map<string, string>();
	/** The field that a folded line continues. */
	#lastName: string | undefined;
	#fields = 0;
	/** The response violates RFC 9112, so that another parser may see a different end. */
	#isIrregular = false;
	/** A Content-Length beside chunks; NaN if invalid. */
	#redundantLength: number | undefined;
	#bytesInChunks = 0;
	/** Content-Length states more bytes than any connection delivers: closing it is a truncation. */
	#isEndless = false;
	/** Of the body or the current chunk; Infinity if the body is delimited by close. */
	#bytesLeft = 0;
	#hasTrailingBytes = false;

	/** Undefined until complete. */
	get head(): ResponseHead | undefined {
		return this.#head;
	}

	/** The whole response was received. */
	get isDone(): boolean {
		return this.#part === 'done';
	}

	/** How many of the next bytes are certainly body; 0 if they may be framing. */
	get remainingBody(): number {
		return this.#part === 'body' || this.#part === 'chunk' ? this.#bytesLeft : 0;
	}

	/**
	 * Whether a Content-Length or a last chunk proves that the body is complete. If a Content-Length accompanies
	 * chunks, this is known only at the end.
	 */
	get endIsProven(): boolean {
		return (
			(this.#headers.has('content-length') || this.#headers.has('transfer-encoding')) &&
			(this.#redundantLength === undefined || (this.isDone && this.#redundantLength === this.#bytesInChunks))
		);
	}

	/** Whether the connection can be reused (RFC 9112 section 9.3). */
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
	 * Consumes the next bytes and returns the body bytes among them as a view of `bytes`, which the parser may
	 * overwrite. Ignores bytes after the end of the response. Throws `HttpError`.
	 */
	push(bytes: Uint8Array): Uint8Array {
		let at = 0;
		let body = none as Uint8Array;
		while (at < bytes.length) {
			if (this.#part === 'body' || this.#part === 'chunk') {
				const length = Math.min(bytes.length - at, this.#bytesLeft);
				body = append(bytes, body, at, at + length);
				at += length;
				this.#bytesLeft -= length;
				if (this.#bytesLeft === 0) {
					this.#part = this.#part === 'body' ? 'done' : 'chunk-end';
				}
			} else if (this.#part === 'done') {
				this.#hasTrailingBytes = true;
				break;
			} else {
				at = this.#consumeLine(bytes, at);
			}
		}

		return body;
	}

	/**
	 * Call when the connection ends. Throws `HttpError` if this truncates the response. A chunked body is complete with its
	 * last chunk, even without trailers (RFC 9112 section 8).
	 */
	end(): void {
		const endsByClosing = this.#part === 'body' && this.#bytesLeft === Infinity && !this.#isEndless;
		if (endsByClosing || this.#part === 'trailers') {
			this.#part = 'done';
			this.#hasTrailingBytes = true;
		}

		if (!this.isDone) {
			throw new HttpError('CONNECTION_CLOSED', 'The connection was closed in the middle of the response');
		}
	}

	/** Returns the offset of the next element. */
	#consumeLine(bytes: Uint8Array, at: number): number {
		const lineFeed = bytes.indexOf(LF, at);
		const end = lineFeed === -1 ? bytes.length : lineFeed + 1;
		this.#lineBytesLeft -= end - at;
		if (this.#lineBytesLeft < 0) {
			throw new HttpError('HEADERS_TOO_LARGE', 'The header or chunk lines of the response are too large');
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
			this.#handleLine(line.slice(0, length));
		}

		return end;
	}

	#handleLine(line: string): void {
		switch (this.#part) {
			case 'status': {
				this.#parseStatus(line);
				break;
			}

			case 'fields': {
				if (line === '') {
					this.#endHead();
				} else {
					this.#parseField(line);
				}

				break;
			}

			case 'chunk-size': {
				this.#parseChunkSize(line);
				break;
			}

			case 'chunk-end': {
				if (line !== '') {
					throw invalid('a chunk that exceeds its declared size');
				}

				this.#expectLines('chunk-size', maxChunkLineBytes);
				break;
			}

			default: {
				// Trailer fields are ignored.
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

	#parseStatus(line: string): void {
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
		this.#expectLines('fields', maxFieldBytes);
	}

	#parseField(line: string): void {
		if (++this.#fields > maxFields) {
			throw new HttpError('HEADERS_TOO_LARGE', 'The header or chunk lines of the response are too large');
		}

		const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):([\t\x20-\x7E\x80-\xFF]*)$/.exec(line) ?? [];
		if (name === undefined || value === undefined) {
			this.#isIrregular = true;
			this.#parseIrregularField(line);
		} else {
			this.#addField(name, value);
		}
	}

	/**
	 * A folded line continues the previous field; white space may precede the colon; a line without a name is skipped.
	 */
	#parseIrregularField(line: string): void {
		if (line.includes('\0')) {
			throw invalid('an invalid header line');
		}

		// RFC 9110 section 5.5.
		const text = line.replaceAll(/[^\t\x20-\x7E\x80-\xFF]/g, ' ');
		const trimmed = trimmedField(text);
		const isFolded = /^[\t ]/.test(text) && trimmed !== ':';
		if (isFolded && this.#lastName !== undefined) {
			const previous = this.#headers.get(this.#lastName);
			this.#headers.set(this.#lastName, trimmedField(`${previous} ${trimmed}`));
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
		const previous = this.#headers.get(this.#lastName);
		const trimmed = trimmedField(value);
		this.#headers.set(
			this.#lastName,
			previous === undefined || previous === trimmed ? trimmed : `${previous}, ${trimmed}`,
		);
	}

	#endHead(): void {
		if (this.#status === 101) {
			throw invalid('an unsolicited switch to another protocol');
		}

		if (this.#status < 200) {
			if (++this.#interims > maxInterims) {
				throw invalid('too many interim responses');
			}

			this.#headers.clear();
			this.#lastName = undefined;
			this.#fields = 0;
			this.#expectLines('status', maxStatusLineBytes);
			return;
		}

		this.#head = {status: this.#status, headers: this.#headers};
		this.#expectBody();
	}

	/** RFC 9112 section 6.3. With an ambiguous length, the body extends to the close of the connection. */
	#expectBody(): void {
		const lengthField = this.#headers.get('content-length');
		const length = lengthField === undefined ? undefined : contentLength(lengthField);
		const isChunked = isChunkedCoding(this.#headers.get('transfer-encoding') ?? '');
		this.#headers.delete('content-length');
		this.#headers.delete('transfer-encoding');
		if (isChunked) {
			this.#headers.set('transfer-encoding', 'chunked');
			if (lengthField !== undefined) {
				this.#redundantLength = length ?? Number.NaN;
				this.#isIrregular = true;
			}

			this.#expectLines('chunk-size', maxChunkLineBytes);
		} else {
			if (length !== undefined) {
				this.#headers.set('content-length', String(length));
			}

			this.#bytesLeft = length ?? Infinity;
			this.#isEndless = /^\d+$/.test(lengthField ?? '') && isEndless(Number(lengthField));
			this.#part = 'body';
		}

		const hasNoBody = this.#status === 204 || this.#status === 304;
		// An origin that declares a body may send it.
		this.#isIrregular ||= hasNoBody && (isChunked || (lengthField !== undefined && length !== 0));
		if (hasNoBody || (this.#part === 'body' && this.#bytesLeft === 0)) {
			this.#part = 'done';
		}
	}

	#parseChunkSize(line: string): void {
		const [, size] = /^[\t ]*0*([\dA-F]{1,12})(?:[\t ;].*)?$/is.exec(line) ?? [];
		if (size === undefined) {
			throw invalid('a chunk without a size');
		}

		this.#bytesLeft = Number.parseInt(size, 16);
		this.#bytesInChunks += this.#bytesLeft;
		if (this.#bytesLeft === 0) {
			this.#expectLines('trailers', maxTrailerBytes);
		} else {
			this.#part = 'chunk';
		}
	}
}

/** Appends the range of `bytes` to the body and overwrites the framing between them. */
function append(bytes: Uint8Array, body: Uint8Array, start: number, end: number): Uint8Array {
	if (body.length === 0) {
		return bytes.subarray(start, end);
	}

	const from = body.byteOffset - bytes.byteOffset;
	bytes.copyWithin(from + body.length, start, end);
	return bytes.subarray(from, from + body.length + end - start);
}

/** Trims white space. `trim` would also remove A0, a byte of UTF-8. */
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
 * Parses a Content-Length field. Equal lengths are one (RFC 9112 section 6.3). Returns undefined if they differ or
 * one is invalid; a number of bytes above 2^53 is.
 */
export function contentLength(text: string): number | undefined {
	const parts = text.split(',').map(trimmedField);
	const lengths = new Set(
		parts.filter(part => part !== '').map(part => (/^\d+$/.test(part) ? Number(part) : Number.NaN)),
	);
	const [length] = lengths;
	return lengths.size === 1 && Number.isSafeInteger(length) ? length : undefined;
}

/** Larger than safe integers, but within the 63 bits in which servers count. */
function isEndless(length: number): boolean {
	return length > Number.MAX_SAFE_INTEGER && length < 2 ** 63;
}

/** Values of Transfer-Encoding that origins use without meaning a coding. */
const noCodings = new Set(['', 'identity', 'none', 'binary']);

/** Parses a Transfer-Encoding field. Throws for other codings: their bytes would be stored as the file. */
function isChunkedCoding(text: string): boolean {
	const codings = text
		.split(',')
		.map(coding => trimmedField(coding.split(';', 1)[0]!).toLowerCase())
		.filter(coding => !noCodings.has(coding));
	if (codings.some(coding => coding !== 'chunked')) {
		throw invalid('an unsolicited transfer coding');
	}

	return codings.length > 0;
}

function invalid(fault: string): Error {
	return new HttpError('NOT_HTTP', `The response has ${fault}`);
}
