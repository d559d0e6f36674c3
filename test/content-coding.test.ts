// Content-Encoding: compressed bodies are decoded, and mislabeled ones are left alone.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {brotliCompressSync, deflateRawSync, deflateSync, gzipSync} from 'node:zlib';
import {DownStreamError} from '../source/downstream.ts';
import {canStartWith, codingsOf, decodeBody} from '../source/engine/origin/content-coding.ts';
import {content} from './support/content.ts';
import {withCode} from './support/errors.ts';

for (const [header, name, type, codings] of [
	[undefined, 'film.mkv', undefined, []],
	['', 'film.mkv', undefined, []],
	['identity', 'film.mkv', undefined, []],
	['identity, none', 'film.mkv', undefined, []],
	['aws-chunked', 'film.mkv', undefined, []],
	['utf-8', 'film.mkv', undefined, []],
	['binary', 'film.mkv', undefined, []],
	['constructor, __proto__', 'film.mkv', undefined, []],
	['gzip', 'film.mkv', undefined, ['gzip']],
	[' X-GZIP ', 'film.mkv', 'video/x-matroska', ['gzip']],
	['aws-chunked,gzip', 'film.mkv', undefined, ['gzip']],
	['gzip, br', 'film.mkv', undefined, ['gzip', 'br']],
	['deflate, zstd, compress', 'film.mkv', undefined, ['deflate', 'zstd', 'compress']],
	['gzip', 'film.tar.gz', undefined, []],
	['x-gzip', 'FILM.TGZ', undefined, []],
	['gzip', 'picture.svgz', 'image/svg+xml', []],
	['gzip', 'download', 'application/x-gzip', []],
	['br', 'film.br', undefined, []],
	['zstd', 'film.tar.zst', undefined, []],
	['compress', 'film.tar.Z', undefined, []],
	['x-compress', 'download', 'application/x-compress', []],
	['gzip', 'film.zst', undefined, ['gzip']],
	['br', 'film.tar.gz', undefined, ['br']],
] as const) {
	test(`Content-Encoding "${header}" of ${name} (${type ?? 'no type'}) is ${JSON.stringify(codings)}`, () => {
		assert.deepEqual(codingsOf(header, {name, type}), codings);
	});
}

const plain = content(0, 20_000);

/** Overwrites each piece when the next one is read, as a connection does. */
async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
	const block = Buffer.alloc(size);
	for (let at = 0; at < bytes.length; at += size) {
		const piece = bytes.subarray(at, at + size);
		block.fill(0xff).set(piece);
		yield block.subarray(0, piece.length);
	}
}

async function decode(bytes: Uint8Array, codings: string[], size = 1000): Promise<Buffer> {
	const out: Uint8Array[] = [];
	for await (const piece of decodeBody(pieces(bytes, size), codings, {host: 'h', close: () => undefined})) {
		out.push(piece.slice());
	}

	return Buffer.concat(out);
}

for (const [words, coding, packed] of [
	['gzip', 'gzip', gzipSync(plain)],
	['deflate', 'deflate', deflateSync(plain)],
	['raw deflate', 'deflate', deflateRawSync(plain)],
	['br', 'br', brotliCompressSync(plain)],
] as const) {
	test(`${words} is decoded at any split of its bytes`, async () => {
		assert.ok(canStartWith(coding, packed.subarray(0, 64)));
		assert.ok(canStartWith(coding, packed));
		for (const size of [7, 1000, packed.length]) {
			assert.ok((await decode(packed, [coding], size)).equals(plain));
		}
	});

	test(`truncated ${words} is an error`, async () => {
		for (const length of [0, 1, 5000, packed.length - 1]) {
			await assert.rejects(decode(packed.subarray(0, length), [coding]), withCode('origin-truncated'));
		}
	});

	test(`${words} with trailing bytes is an error`, async () => {
		const wrong = Buffer.concat([packed, Buffer.alloc(5000, 0xff)]);
		await assert.rejects(decode(wrong, [coding]), withCode('origin-misbehaved'));
	});
}

for (const [coding, packed] of [
	['gzip', gzipSync(plain)],
	['deflate', deflateSync(plain)],
] as const) {
	test(`invalid ${coding} data is an error`, async () => {
		const wrong = Buffer.from(packed).fill(0xff, 40, 4000);
		await assert.rejects(decode(wrong, [coding]), withCode('origin-misbehaved'));
	});
}

test('two codings are decoded in reverse order', async () => {
	assert.ok((await decode(brotliCompressSync(gzipSync(plain)), ['gzip', 'br'])).equals(plain));
});

test('ending the iteration of a decoded body closes it, even during a read', async () => {
	const packed = gzipSync(content(0, 5_000_000));
	let closed = 0;
	let end!: () => void;
	const ended = new Promise<void>(resolve => {
		end = resolve;
	});
	const stalling = (async function* () {
		yield packed.subarray(0, 2_000_000);
		await ended;
	})();
	const close = () => {
		closed++;
		end();
	};

	for await (const piece of decodeBody(stalling, ['gzip'], {host: 'h', close})) {
		assert.ok(piece.length > 0);
		break;
	}

	assert.equal(closed, 1);
});

test('errors of the body are passed on', async () => {
	const failing = (async function* () {
		yield gzipSync(plain).subarray(0, 1000);
		throw new DownStreamError('origin-unreachable', 'reset');
	})();
	await assert.rejects(async () => {
		for await (const piece of decodeBody(failing, ['gzip'], {host: 'h', close: () => undefined})) {
			assert.ok(piece);
		}
	}, /reset/);
});

test('uncompressed data is detected by its first bytes', () => {
	const matroska = Buffer.concat([Buffer.from('1a45dfa3934282886d6174726f736b61', 'hex'), content(0, 1000)]);
	// For Brotli, nearly any start looks possible.
	for (const coding of ['gzip', 'deflate', 'zstd', 'compress']) {
		assert.equal(canStartWith(coding, matroska), false, coding);
	}

	assert.ok(canStartWith('zstd', Buffer.from('28b52ffd', 'hex')));
	assert.ok(canStartWith('compress', Buffer.from('1f9d90', 'hex')));
	// The decompressed data may be much larger.
	assert.ok(canStartWith('deflate', deflateSync(Buffer.alloc(10_000_000)).subarray(0, 1024)));
});
