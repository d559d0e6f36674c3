// A checksum of each block that is wholly there, so that damage on the disk is found and becomes a hole.
import {createHash, type Hash} from 'node:crypto';
import {open, readFile, rm, type FileHandle} from 'node:fs/promises';
import {crc32} from 'node:zlib';
import {DownStreamError} from '../downstream.ts';
import {diskError, errorCode} from './disk-error.ts';
import type {PresentSet, Range} from './range-set.ts';

const blockSize = 1024 * 1024;
/** Read and summed up at once: a slow processor takes a millisecond for it, which no player notices. */
const pieceSize = 256 * 1024;

/** What a check looks at; a `SparseFile` is one. */
type HeldFile = {readonly path: string; readonly size: number; readonly present: PresentSet};

export type CheckOptions = {
	readonly signal: AbortSignal;
	/** Also sums up the whole, which must be there. */
	readonly algorithm?: string;
	/** Told with a fraction from 0 to 1. */
	readonly onProgress?: (fraction: number) => void;
};

/**
 * CRC-32 of each block of 1 MiB, four bytes each at their place in a file of their own: the record of a download is
 * written twice a second, and 100 GiB have 100,000 of them. Zero stands for "not known". They are not synced: one that
 * is lost in a cut of power leaves its block unchecked, one that is wrong makes it be fetched again.
 */
export class BlockChecks {
	readonly #path: string;
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
			const {start, end} = rangeOf(size, block);
			const part = bytes.subarray(at, at + Math.min(bytes.length - at, end - position));
			at += part.length;
			const growing = position === start ? {next: start, crc: 0} : this.#growing.get(block);
			if (growing?.next !== position) {
				this.#growing.delete(block);
				this.#unordered.add(block);
				continue;
			}

			const next = position + part.length;
			const crc = crc32(part, growing.crc);
			if (next === end) {
				this.#growing.delete(block);
				this.#unordered.delete(block);
				this.#finished.set(block, crc);
			} else {
				this.#growing.set(block, {next, crc});
			}
		}
	}

	/** Records what has become whole since the last time, and resolves with the numbers of these blocks. */
	async save(file: HeldFile): Promise<number[]> {
		for (const [block, {next, crc}] of this.#growing) {
			// The size has become known since.
			if (next === file.size) {
				this.#growing.delete(block);
				this.#finished.set(block, crc);
			}
		}

		const unordered = [...this.#unordered].filter(block => isWhole(file, block));
		if (unordered.length > 0) {
			await reading(file, async handle => {
				for (const block of unordered) {
					this.#unordered.delete(block);
					const crc = await readCrc(handle, rangeOf(file.size, block));
					if (crc !== undefined) {
						this.#finished.set(block, crc);
					}
				}
			});
		}

		const finished = [...this.#finished];
		if (finished.length > 0) {
			await this.#write(finished);
			for (const [block, crc] of finished) {
				if (this.#finished.get(block) === crc) {
					this.#finished.delete(block);
				}
			}
		}

		return finished.map(([block]) => block);
	}

	/**
	 * Reads what is held. `damaged` is what differs from its checksum or cannot be read; a block without a checksum
	 * is given one by the next `save`. Rejects with `disk-failed`, or the signal's reason.
	 */
	async check(
		file: HeldFile,
		{signal, algorithm, onProgress}: CheckOptions,
	): Promise<{damaged: Range[]; digest: string | undefined}> {
		const known = await this.#read();
		const hash = algorithm === undefined ? undefined : createHash(algorithm);
		const blocks = wholeBlocks(file);
		const damaged: Range[] = [];
		await reading(file, async handle => {
			for (const [done, block] of blocks.entries()) {
				signal.throwIfAborted();
				const range = rangeOf(file.size, block);
				const crc = await readCrc(handle, range, hash);
				const expected = crcAt(known, block);
				if (crc === undefined || (expected !== 0 && crc !== expected)) {
					addMerged(damaged, range);
				} else if (expected === 0) {
					this.#finished.set(block, crc);
				}

				onProgress?.((done + 1) / blocks.length);
			}
		});
		signal.throwIfAborted();
		return {damaged, digest: hash?.digest('hex')};
	}

	/** Those of the blocks that are whole and differ from their checksum. */
	async damagedOf(file: HeldFile, blocks: readonly number[]): Promise<Range[]> {
		const known = await this.#read();
		const damaged: Range[] = [];
		await reading(file, async handle => {
			for (const block of blocks.filter(each => isWhole(file, each) && crcAt(known, each) !== 0)) {
				const range = rangeOf(file.size, block);
				if ((await readCrc(handle, range)) !== crcAt(known, block)) {
					damaged.push(range);
				}
			}
		});
		return damaged;
	}

	/** What comes is of another version. */
	async clear(): Promise<void> {
		this.#growing.clear();
		this.#unordered.clear();
		this.#finished.clear();
		try {
			await rm(this.#path, {force: true});
		} catch (error) {
			throw diskError(error, this.#path);
		}
	}

	async #write(checksums: ReadonlyArray<readonly [block: number, crc: number]>): Promise<void> {
		try {
			// Open for the moment alone: there may be hundreds of downloads.
			const handle = await open(this.#path, 'r+').catch(async (error: unknown) => {
				if (errorCode(error) === 'ENOENT') {
					return open(this.#path, 'wx', 0o600);
				}

				throw error;
			});
			try {
				// Neighbours in one write: one for each took a third of the time of a fast download.
				const sorted = checksums.toSorted(([a], [b]) => a - b);
				for (let from = 0, to = 1; from < sorted.length; from = to, to++) {
					const first = sorted[from]![0];
					while (to < sorted.length && sorted[to]![0] === first + to - from) {
						to++;
					}

					const bytes = Buffer.alloc((to - from) * 4);
					for (const [index, [, crc]] of sorted.slice(from, to).entries()) {
						bytes.writeUInt32LE(crc, index * 4);
					}

					await handle.write(bytes, 0, bytes.length, first * 4);
				}
			} finally {
				await handle.close();
			}
		} catch (error) {
			throw diskError(error, this.#path);
		}
	}

	async #read(): Promise<Buffer> {
		try {
			return await readFile(this.#path);
		} catch (error) {
			if (errorCode(error) === 'ENOENT') {
				return Buffer.alloc(0);
			}

			throw diskError(error, this.#path);
		}
	}
}

/** What a whole file must have: `algorithm:hex`, as users write it. */
export type Checksum = {readonly algorithm: string; readonly digest: string};

const digestLengths: Readonly<Record<string, number>> = {md5: 32, sha1: 40, sha256: 64, sha512: 128};

/** Throws `bad-request`. `what` begins the sentence. */
export function parseChecksum(text: string, what = 'checksum'): Checksum {
	const [, name = '', digest = ''] = /^(\w+):([\da-f]+)$/i.exec(text) ?? [];
	const algorithm = name.toLowerCase();
	const length = Object.hasOwn(digestLengths, algorithm) ? digestLengths[algorithm] : undefined;
	if (length === undefined || digest.length !== length) {
		throw new DownStreamError(
			'bad-request',
			`${what} ${JSON.stringify(text)}: it must be md5:, sha1:, sha256: or sha512: and all its hexadecimal digits`,
		);
	}

	return {algorithm, digest: digest.toLowerCase()};
}

function rangeOf(size: number, block: number): Range {
	return {start: block * blockSize, end: Math.min(size, (block + 1) * blockSize)};
}

function isWhole({size, present}: HeldFile, block: number): boolean {
	const range = rangeOf(size, block);
	return range.start < range.end && present.covers(range);
}

function wholeBlocks({size, present}: HeldFile): number[] {
	const blocks: number[] = [];
	for (const {start, end} of present) {
		const stop = end === size ? Math.ceil(end / blockSize) : Math.floor(end / blockSize);
		for (let block = Math.ceil(start / blockSize); block < stop; block++) {
			blocks.push(block);
		}
	}

	return blocks;
}

function crcAt(table: Buffer, block: number): number {
	return table.length >= block * 4 + 4 ? table.readUInt32LE(block * 4) : 0;
}

/** Sorted ranges stay sorted and merged. */
function addMerged(ranges: Range[], {start, end}: Range): void {
	const last = ranges.at(-1);
	if (last?.end === start) {
		ranges[ranges.length - 1] = {start: last.start, end};
	} else {
		ranges.push({start, end});
	}
}

/** By a descriptor of its own: that of the file is closed and opened again as players come and go. */
async function reading(
	{path}: HeldFile,
	read: (handle: FileHandle | undefined) => Promise<void>,
): Promise<void> {
	try {
		const handle = await open(path, 'r').catch((error: unknown) => {
			if (errorCode(error) === 'ENOENT') {
				return undefined;
			}

			throw error;
		});
		try {
			await read(handle);
		} finally {
			await handle?.close();
		}
	} catch (error) {
		throw diskError(error, path);
	}
}

/** Undefined where the disk gives no bytes, or less. */
async function readCrc(
	handle: FileHandle | undefined,
	{start, end}: Range,
	hash?: Hash,
): Promise<number | undefined> {
	const buffer = Buffer.allocUnsafeSlow(Math.min(pieceSize, end - start));
	let crc = 0;
	for (let offset = start; offset < end;) {
		const wanted = Math.min(buffer.length, end - offset);
		const bytesRead = await readPiece(handle, buffer, wanted, offset);
		if (bytesRead === 0) {
			return undefined;
		}

		const piece = buffer.subarray(0, bytesRead);
		crc = crc32(piece, crc);
		hash?.update(piece);
		offset += bytesRead;
	}

	return crc;
}

async function readPiece(
	handle: FileHandle | undefined,
	buffer: Buffer,
	length: number,
	offset: number,
): Promise<number> {
	try {
		return handle ? (await handle.read(buffer, 0, length, offset)).bytesRead : 0;
	} catch (error) {
		// A sector that is lost: writing it again is what may mend it.
		if (errorCode(error) === 'EIO') {
			return 0;
		}

		throw error;
	}
}
