// Content-Encoding: whether a response is compressed at all, and how that is undone.
import type {Transform} from 'node:stream';
import * as zlib from 'node:zlib';
import {DownStreamError} from '../../downstream.ts';

/** `bytesWritten` are those that it has taken in. */
type Decoder = Transform & {readonly bytesWritten: number};

/** How a name ends and what a type is called where a file is compressed by itself; `make` where Node can undo it. */
const codings: Readonly<
	Record<string, {names: RegExp; types: RegExp; make?: (start: Uint8Array) => Decoder}>
> = {
	gzip: {
		names: /\.(?:gz|gzip|tgz|taz|svgz|emz|wmz|vgz|cpgz)$/i,
		types: /^application\/(?:x-)?(?:gzip|gunzip|gtar|tgz|compressed|compressed-tar|gzip-compressed)$/,
		make: () => zlib.createGunzip(),
	},
	deflate: {
		names: /\.(?:zz|zlib)$/i,
		types: /^application\/(?:x-)?(?:deflate|zlib)$/,
		make: start => (isZlib(start) ? zlib.createInflate() : zlib.createInflateRaw()),
	},
	br: {
		names: /\.(?:br|tbr)$/i,
		types: /^application\/(?:x-)?(?:br|brotli)$/,
		make: () => zlib.createBrotliDecompress(),
	},
	zstd: {
		names: /\.(?:zst|zstd|tzst)$/i,
		types: /^application\/(?:x-)?zstd$/,
		make: createZstdDecompress(),
	},
	compress: {names: /\.(?:z|taz)$/i, types: /^application\/(?:x-)?compress(?:ed)?$/},
};

/** Bytes at the start of a body that tell whether it is compressed. */
export const telltaleLength = 1024;
/** Most that is decompressed for that. */
const maxTried = 64 * 1024;

/**
 * The codings that a Content-Encoding header names, in the order in which they were applied (RFC 9110 section 8.4). Words
 * that name no compression are left out, as is the coding of the file itself, which Apache and others name there.
 */
export function codingsOf(
	header: string | undefined,
	file: {name: string; type: string | undefined},
): string[] {
	return (header ?? '')
		.split(',')
		.map(word => word.trim().toLowerCase().replace(/^x-/, ''))
		.filter(word => {
			const coding = Object.hasOwn(codings, word) ? codings[word] : undefined;
			return coding !== undefined && !coding.names.test(file.name) && !coding.types.test(file.type ?? '');
		});
}

/** Whether a body that begins so can have the coding; some servers name one and send the file as it is. */
export function canBeginSo(coding: string, start: Uint8Array): boolean {
	switch (coding) {
		case 'gzip': {
			return beginsWith(start, 0x1f, 0x8b);
		}

		case 'compress': {
			return beginsWith(start, 0x1f, 0x9d);
		}

		case 'zstd': {
			return beginsWith(start, 0x28, 0xb5, 0x2f, 0xfd);
		}

		case 'br': {
			const flush = zlib.constants.BROTLI_OPERATION_FLUSH;
			return isTaken(() => zlib.brotliDecompressSync(start, {finishFlush: flush, maxOutputLength: maxTried}));
		}

		default: {
			const inflate = isZlib(start) ? zlib.inflateSync : zlib.inflateRawSync;
			const flush = zlib.constants.Z_SYNC_FLUSH;
			return isTaken(() => inflate(start, {finishFlush: flush, maxOutputLength: maxTried}));
		}
	}
}

export function canDecode(coding: string): boolean {
	return codings[coding]?.make !== undefined;
}

/**
 * The body without its codings, each of which `canDecode`; leaving it calls `close`. Throws `origin-truncated` if a coding does not come to its own
 * end, and `origin-misbehaved` for what is not of the coding.
 */
export function decoded(
	body: AsyncGenerator<Uint8Array, void, undefined>,
	applied: readonly string[],
	{host, close}: Decoding,
): AsyncGenerator<Uint8Array, void, undefined> {
	return applied.reduceRight((coded, coding) => decodedOnce(coded, coding, {host, close}), body);
}

type Decoding = {
	readonly host: string;
	/** Ends the body, also while its next piece is awaited. */
	readonly close: () => void;
};

async function* decodedOnce(
	body: AsyncGenerator<Uint8Array, void, undefined>,
	coding: string,
	{host, close}: Decoding,
): AsyncGenerator<Uint8Array, void, undefined> {
	try {
		const first = await body.next();
		if (first.done) {
			throw truncated(host);
		}

		const decoder = codings[coding]!.make!(first.value);
		const feeding = feed(decoder, first.value, body);
		yield* decoder as AsyncIterable<Uint8Array>;
		// Unlike gzip, the others have no sum: bytes that go on after the end of the data show that they are not of the coding.
		if (coding !== 'gzip' && decoder.bytesWritten < (await feeding)) {
			throw undecodable(host, coding);
		}
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (error instanceof DownStreamError || !/^(?:Z_|ERR_(?:_?BROTLI|ZSTD|ZLIB|_ERROR))/.test(code ?? '')) {
			throw error;
		}

		throw code === 'Z_BUF_ERROR' ? truncated(host) : undecodable(host, coding, error);
	} finally {
		close();
	}
}

/**
 * Resolves with the number of bytes that the decoder was given, in the end. A piece of the body is good until the next
 * is asked for: each is taken in before.
 */
async function feed(
	decoder: Decoder,
	first: Uint8Array,
	rest: AsyncGenerator<Uint8Array, void, undefined>,
): Promise<number> {
	let length = first.length;
	const take = (bytes: Uint8Array) =>
		new Promise<void>((resolve, reject) => {
			decoder.write(bytes, error => (error ? reject(error) : resolve()));
		});
	try {
		await take(first);
		for (let next = await rest.next(); !next.done; next = await rest.next()) {
			length += next.value.length;
			await take(next.value);
		}

		decoder.end();
	} catch (error) {
		decoder.destroy(error as Error);
	}

	return length;
}

function undecodable(host: string, coding: string, cause?: unknown): DownStreamError {
	return new DownStreamError(
		'origin-misbehaved',
		`${host} compresses the file with ${coding}, and its bytes cannot be decompressed`,
		{cause},
	);
}

function truncated(host: string): DownStreamError {
	return new DownStreamError('origin-truncated', `${host} ended the compressed file before its end`);
}

function beginsWith(start: Uint8Array, ...magic: number[]): boolean {
	return magic.every((byte, index) => start[index] === byte);
}

/** RFC 1950 section 2.2. Some servers send raw deflate instead, which the name of the coding suggests. */
function isZlib([first = 0, second = 0]: Uint8Array): boolean {
	return (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0;
}

/** Too much output is no sign of other bytes. */
function isTaken(decode: () => unknown): boolean {
	try {
		decode();
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
	}
}

/** Node has it from 22.15 on. */
function createZstdDecompress(): (() => Decoder) | undefined {
	return (zlib as {createZstdDecompress?: () => Decoder}).createZstdDecompress;
}
