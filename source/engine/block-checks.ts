// A checksum of each block that is wholly there, so that damage on the disk is found and becomes a hole.
import {createHash} from 'node:crypto';
import {open, type FileHandle} from 'node:fs/promises';
import {crc32} from 'node:zlib';
import {DownStreamError} from '../downstream.ts';
import {diskError} from './disk-error.ts';
import type {Range} from './range-set.ts';
import type {SparseFile} from './sparse-file.ts';

const blockSize = 1024 * 1024;

/**
 * CRC-32 of each block of 1 MiB, four bytes each at their place in a file of their own: the record of a download is
 * written twice a second, and 100 GiB have 100,000 of them. Zero stands for "not known". They are not synced: one that
 * is lost or wrong after a cut of power makes a block be fetched again, and never one be believed.
 */
export class BlockChecks {
	readonly #path: string;
	#handle: Promise<FileHandle> | undefined;
	/** Blocks that are being written from their start on: the next byte, and the checksum so far. */
	readonly #growing = new Map<number, {next: number; crc: number}>();
	/** What was written in any other order is read again once it is whole. */
	readonly #unordered = new Set<number>();
	readonly #finished = new Map<number, number>();

	/** Nothing is opened or written yet. */
	constructor(path: string) {
		this.#path = path;
	}

	/** To be called with everything that is written. */
	wrote(offset: number, bytes: Uint8Array, size: number): void {
		for (let at = 0; at < bytes.length;) {
			const position = offset + at;
			const block = Math.floor(position / blockSize);
			const blockEnd = Math.min(size, (block + 1) * blockSize);
			const part = bytes.subarray(at, at + Math.min(bytes.length - at, blockEnd - position));
			at += part.length;
			const growing = this.#growing.get(block) ?? {next: block * blockSize, crc: 0};
			if (growing.next !== position) {
				this.#growing.delete(block);
				this.#unordered.add(block);
				continue;
			}

			const crc = crc32(part, growing.crc);
			if (position + part.length === blockEnd && blockEnd !== Infinity) {
				this.#growing.delete(block);
				this.#unordered.delete(block);
				this.#finished.set(block, crc);
			} else {
				this.#growing.set(block, {next: position + part.length, crc});
			}
		}
	}

	/** Records what has become whole since the last time. */
	async save(file: SparseFile): Promise<void> {
		for (const [block, {next, crc}] of this.#growing) {
			// The size has become known since.
			if (next === file.size) {
				this.#growing.delete(block);
				this.#finished.set(block, crc);
			}
		}

		for (const block of this.#unordered) {
			if (isWhole(file, block)) {
				this.#unordered.delete(block);
				this.#finished.set(block, await crcOf(file, block));
			}
		}

		if (this.#finished.size === 0) {
			return;
		}

		const finished = [...this.#finished];
		this.#finished.clear();
		try {
			const handle = await this.#open();
			for (const [block, crc] of finished) {
				const bytes = Buffer.alloc(4);
				bytes.writeUInt32LE(crc);
				await handle.write(bytes, 0, 4, block * 4);
			}
		} catch (error) {
			throw diskError(error, this.#path);
		}
	}

	/** What is held and differs from its checksum; blocks without one are not looked at. */
	async damaged(file: SparseFile, progress: Progress): Promise<Range[]> {
		const known = await this.#readAll();
		const damaged: Range[] = [];
		const total = file.present.size;
		let done = 0;
		for (const {start, end} of [...file.present]) {
			const last = end === file.size ? Math.ceil(end / blockSize) : Math.floor(end / blockSize);
			for (let block = Math.ceil(start / blockSize); block < last; block++) {
				const range = rangeOf(file, block);
				const expected = known.length >= block * 4 + 4 ? known.readUInt32LE(block * 4) : 0;
				if (expected !== 0 && isWhole(file, block) && (await crcOf(file, block)) !== expected) {
					damaged.push(range);
				}

				done += range.end - range.start;
				progress(Math.min(1, done / total));
			}
		}

		return damaged;
	}

	/** These are holes now. */
	async forget(ranges: readonly Range[]): Promise<void> {
		const handle = await this.#open();
		for (const {start, end} of ranges) {
			for (let block = Math.floor(start / blockSize); block * blockSize < end; block++) {
				this.#growing.delete(block);
				this.#unordered.delete(block);
				await handle.write(Buffer.alloc(4), 0, 4, block * 4);
			}
		}
	}

	async close(): Promise<void> {
		const handle = this.#handle;
		this.#handle = undefined;
		await (await handle?.catch(() => undefined))?.close();
	}

	async #readAll(): Promise<Buffer> {
		try {
			const handle = await this.#open();
			return await handle.readFile().then(async bytes => {
				// The next read begins at the start again.
				await this.close();
				return bytes;
			});
		} catch (error) {
			throw diskError(error, this.#path);
		}
	}

	#open(): Promise<FileHandle> {
		if (!this.#handle) {
			this.#handle = open(this.#path, 'r+').catch(() => open(this.#path, 'wx+', 0o600));
			this.#handle.catch(() => {
				this.#handle = undefined;
			});
		}

		return this.#handle;
	}
}

/** Told with a fraction from 0 to 1; throws to end the check. */
export type Progress = (fraction: number) => void;

/** What a whole file must have: `algorithm:hex`, as users write it. */
export type Checksum = {readonly algorithm: string; readonly digest: string};

const digestLengths: Readonly<Record<string, number>> = {md5: 32, sha1: 40, sha256: 64, sha512: 128};

/** Throws `bad-request`. */
export function parseChecksum(text: string): Checksum {
	const [, algorithm = '', digest = ''] = /^(\w+):([\da-f]+)$/i.exec(text) ?? [];
	const length = Object.hasOwn(digestLengths, algorithm.toLowerCase())
		? digestLengths[algorithm.toLowerCase()]
		: undefined;
	if (length === undefined || digest.length !== length) {
		throw new DownStreamError(
			'bad-request',
			`checksum ${JSON.stringify(text)}: it must be md5:, sha1:, sha256: or sha512: and all its hexadecimal digits`,
		);
	}

	return {algorithm: algorithm.toLowerCase(), digest: digest.toLowerCase()};
}

/** Rejects with `checksum-mismatch`. */
export async function checkWhole(file: SparseFile, checksum: Checksum, progress: Progress): Promise<void> {
	const hash = createHash(checksum.algorithm);
	const buffer = Buffer.allocUnsafeSlow(blockSize);
	for (let offset = 0; offset < file.size;) {
		const length = await file.read(offset, buffer);
		hash.update(buffer.subarray(0, length));
		offset += length;
		progress(offset / file.size);
	}

	const digest = hash.digest('hex');
	if (digest !== checksum.digest) {
		throw new DownStreamError(
			'checksum-mismatch',
			`The ${checksum.algorithm} of the file is ${digest}, not the one that was given`,
		);
	}
}

function rangeOf({size}: SparseFile, block: number): Range {
	return {start: block * blockSize, end: Math.min(size, (block + 1) * blockSize)};
}

function isWhole(file: SparseFile, block: number): boolean {
	const {start, end} = rangeOf(file, block);
	return Number.isFinite(file.size) && start < end && file.present.runEnd(start) >= end;
}

async function crcOf(file: SparseFile, block: number): Promise<number> {
	const {start, end} = rangeOf(file, block);
	const buffer = Buffer.allocUnsafeSlow(end - start);
	await file.read(start, buffer);
	return crc32(buffer);
}
