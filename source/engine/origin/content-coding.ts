// Content-Encoding: detects whether a response is actually compressed, and decodes it.
import type {Transform} from 'node:stream';
import * as zlib from 'node:zlib';
import {DownStreamError} from '../../downstream.ts';

/** `bytesWritten` counts the consumed input. */
type Decoder = Transform & {readonly bytesWritten: number};

/**
 * File extensions and types that are compressed themselves; `make` creates the decoder if Node supports the coding.
 */
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

/** How many bytes of a body are needed to detect its coding. */
export const sniffedBytes = 1024;
/** Output limit of a trial decompression. */
const maxTrialOutput = 64 * 1024;

/**
 * The codings of a Content-Encoding header in the order they were applied (RFC 9110 section 8.4). Skips unknown
 * words, and the file's own compression, which Apache and others name there.
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

/** True if a body that starts like this can have the coding; some servers declare one but send the file unchanged. */
export function canStartWith(coding: string, start: Uint8Array): boolean {
	switch (coding) {
		case 'gzip': {
			return startsWith(start, 0x1f, 0x8b);
		}

		case 'compress': {
			return startsWith(start, 0x1f, 0x9d);
		}

		case 'zstd': {
			return startsWith(start, 0x28, 0xb5, 0x2f, 0xfd);
		}

		case 'br': {
			const flush = zlib.constants.BROTLI_OPERATION_FLUSH;
			return accepts(() =>
				zlib.brotliDecompressSync(start, {finishFlush: flush, maxOutputLength: maxTrialOutput}),
			);
		}

		default: {
			const inflate = isZlib(start) ? zlib.inflateSync : zlib.inflateRawSync;
			const flush = zlib.constants.Z_SYNC_FLUSH;
			return accepts(() => inflate(start, {finishFlush: flush, maxOutputLength: maxTrialOutput}));
		}
	}
}

export function canDecode(coding: string): boolean {
	return codings[coding]?.make !== undefined;
}

/**
 * Decodes a body; every coding must satisfy `canDecode`. Leaving the loop calls `close`. Throws `origin-truncated` if
 * the coded data ends early, and `origin-misbehaved` if it is invalid.
 */
export function decodeBody(
	body: AsyncGenerator<Uint8Array, void, undefined>,
	applied: readonly string[],
	{host, close}: Decoding,
): AsyncGenerator<Uint8Array, void, undefined> {
	return applied.reduceRight((coded, coding) => decodeLayer(coded, coding, {host, close}), body);
}

type Decoding = {
	readonly host: string;
	/** Ends the body, even while its next piece is awaited. */
	readonly close: () => void;
};

async function* decodeLayer(
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
		// Unlike gzip, the others have no checksum: trailing bytes after the end of the data reveal a wrong coding.
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
 * Resolves with the number of bytes given to the decoder. A piece of the body is valid only until the next one is
 * read, so each is consumed first.
 */
async function feed(
	decoder: Decoder,
	first: Uint8Array,
	rest: AsyncGenerator<Uint8Array, void, undefined>,
): Promise<number> {
	let length = first.length;
	const write = (bytes: Uint8Array) =>
		new Promise<void>((resolve, reject) => {
			decoder.write(bytes, error => (error ? reject(error) : resolve()));
		});
	try {
		await write(first);
		for (let next = await rest.next(); !next.done; next = await rest.next()) {
			length += next.value.length;
			await write(next.value);
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
		`${host} compresses the file with ${coding}, but its bytes cannot be decompressed`,
		{cause},
	);
}

function truncated(host: string): DownStreamError {
	return new DownStreamError('origin-truncated', `${host} truncated the compressed file`);
}

function startsWith(start: Uint8Array, ...magic: number[]): boolean {
	return magic.every((byte, index) => start[index] === byte);
}

/** RFC 1950 section 2.2. Some servers send raw deflate instead, as the name of the coding suggests. */
function isZlib([first = 0, second = 0]: Uint8Array): boolean {
	return (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0;
}

/** Exceeding the output limit does not indicate a wrong coding. */
function accepts(decode: () => unknown): boolean {
	try {
		decode();
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
	}
}

/** Available since Node 22.15. */
function createZstdDecompress(): (() => Decoder) | undefined {
	return (zlib as {createZstdDecompress?: () => Decoder}).createZstdDecompress;
}
