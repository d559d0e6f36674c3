// A checksum for each complete block. Damage on the disk is detected and becomes a hole.
import {createHash, type Hash} from 'node:crypto';
import {constants} from 'node:fs';
import {lstat, open, rm, type FileHandle} from 'node:fs/promises';
import {crc32} from 'node:zlib';
import {DownStreamError} from '../../downstream.ts';
import {diskError, errorCode} from './disk-error.ts';
import type {PresentSet, Range} from './range-set.ts';
import {alwaysWritable, refuseUnlessWritable, type Writable} from './writable.ts';

const blockSize = 1024 * 1024;
/** Bytes read and checksummed at a time. This takes a slow processor a millisecond, which no player notices. */
const readBytes = 256 * 1024;

/** The parts of a `SparseFile` that a check needs. */
type DataFile = {readonly path: string; readonly size: number; readonly present: PresentSet};

type CheckOptions = {
	readonly signal: AbortSignal;
	/** Also computes the digest of the whole file, which must be complete. */
	readonly algorithm?: string;
	/** Receives a fraction from 0 to 1. */
	readonly onProgress?: (fraction: number) => void;
};

/** A range with its CRC-32. */
export type Checked = Range & {readonly crc: number};

/**
 * CRC-32 of each 1 MiB block, four bytes each at its index in a separate file, because the download's record is
 * rewritten twice a second and 100 GiB have 100,000 blocks. Zero means unknown. Checksums of partial blocks are kept
 * in the record.
 */
export class BlockChecksums {
	readonly #path: string;
	readonly #access: Pick<Writable, 'refusal'>;
	/** Partial blocks: runs written in order, each with its checksum so far. */
	readonly #pieces = new Map<number, Checked[]>();
	readonly #finished = new Map<number, number>();

	/** `pieces` comes from the record. Opens and writes nothing. */
	constructor(
		path: string,
		pieces: readonly Checked[] = [],
		access: Pick<Writable, 'refusal'> = alwaysWritable,
	) {
		this.#path = path;
		this.#access = access;
		for (const piece of pieces) {
			this.#setPieces(blockOf(piece.start), piece, ...this.#piecesOf(blockOf(piece.start)));
		}
	}

	/** Must be called for all written bytes, in the same tick in which they become present. */
	wrote(offset: number, bytes: Uint8Array, size: number): void {
		for (let at = 0; at < bytes.length;) {
			const start = offset + at;
			const block = blockOf(start);
			const whole = rangeOf(size, block);
			const part = bytes.subarray(at, at + Math.min(bytes.length - at, whole.end - start));
			const end = start + part.length;
			at += part.length;
			const pieces = this.#piecesOf(block);
			const previous = pieces.find(piece => piece.end === start);
			const piece = {start: previous?.start ?? start, end, crc: crc32(part, previous?.crc)};
			if (piece.start === whole.start && end === whole.end) {
				this.#pieces.delete(block);
				this.#finished.set(block, piece.crc);
			} else {
				const others = pieces.filter(each => each !== previous && (each.end <= start || each.start >= end));
				this.#setPieces(block, piece, ...others);
			}
		}
	}

	/** Checksums of the present parts of partial blocks. */
	get pieces(): Checked[] {
		return [...this.#pieces.values()].flat();
	}

	/** Checksums of complete blocks that `save` has not persisted. */
	unsaved({size}: DataFile): Checked[] {
		return Array.from(this.#finished, ([block, crc]) => ({...rangeOf(size, block), crc}));
	}

	/**
	 * Persists the checksums of blocks completed since the last call, and resolves with the numbers of these blocks.
	 * Rejects with `disk-full` or `disk-failed`.
	 */
	async save(file: DataFile): Promise<number[]> {
		const whole = [...this.#pieces.keys()].filter(block => isWhole(file, block));
		if (whole.length > 0) {
			// The block was written in several pieces, or its end was unknown.
			await withData(file, async handle => {
				for (const block of whole) {
					const crc = await readCrc(handle, rangeOf(file.size, block));
					this.#pieces.delete(block);
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
	 * Reads all complete blocks. `damaged` lists the ranges that differ from their checksum or cannot be read; the next
	 * `save` adds missing checksums. Rejects with `disk-failed`, or the signal's reason.
	 */
	async check(
		file: DataFile,
		{signal, algorithm, onProgress}: CheckOptions,
	): Promise<{damaged: Range[]; digest: string | undefined}> {
		const hash = algorithm === undefined ? undefined : createHash(algorithm);
		const blocks = [...wholeBlocks(file)];
		const damaged: Range[] = [];
		await this.#withDataAndTable(file, async (handle, crcOf) => {
			for (const [done, block] of blocks.entries()) {
				signal.throwIfAborted();
				const range = rangeOf(file.size, block);
				const crc = await readCrc(handle, range, hash);
				const expected = await crcOf(block);
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

	/** Returns the complete blocks among `blocks` that differ from their checksum. */
	async damagedOf(file: DataFile, blocks: readonly number[]): Promise<Range[]> {
		const damaged: Range[] = [];
		await this.#withDataAndTable(file, async (handle, crcOf) => {
			for (const block of blocks.filter(each => isWhole(file, each))) {
				const range = rangeOf(file.size, block);
				const expected = await crcOf(block);
				if (expected !== 0 && (await readCrc(handle, range)) !== expected) {
					damaged.push(range);
				}
			}
		});
		return damaged;
	}

	/** True if the bytes match their checksum. Rejects with `disk-failed`. */
	async isIntact(file: DataFile, checked: Checked): Promise<boolean> {
		let isIntact = false;
		await withData(file, async handle => {
			isIntact = (await readCrc(handle, checked)) === checked.crc;
		});
		return isIntact;
	}

	/** Returns all ranges that have a checksum, in order. Reads no data. Rejects with `disk-failed`. */
	async checked(file: DataFile): Promise<Checked[]> {
		const checked = this.pieces.filter(piece => file.present.covers(piece));
		await this.#withTable(async crcOf => {
			for (const block of [...wholeBlocks(file)]) {
				const crc = await crcOf(block);
				if (crc !== 0) {
					checked.push({...rangeOf(file.size, block), crc});
				}
			}
		});
		return checked.toSorted((a, b) => a.start - b.start);
	}

	/** Discards all checksums, because the file's version changed. */
	async clear(): Promise<void> {
		refuseUnlessWritable(this.#access);
		this.#pieces.clear();
		this.#finished.clear();
		try {
			await rm(this.#path, {force: true});
		} catch (error) {
			throw diskError(error, this.#path);
		}
	}

	#piecesOf(block: number): readonly Checked[] {
		return this.#pieces.get(block) ?? [];
	}

	#setPieces(block: number, ...pieces: Checked[]): void {
		this.#pieces.set(block, pieces);
	}

	async #write(checksums: ReadonlyArray<readonly [block: number, crc: number]>): Promise<void> {
		refuseUnlessWritable(this.#access);
		try {
			// Opened only for the write: there may be hundreds of downloads.
			if ((await isFile(this.#path)) === false) {
				await rm(this.#path, {recursive: true});
			}

			const handle = await open(
				this.#path,
				constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0),
				0o600,
			);
			try {
				// Adjacent checksums share a write: one write for each took a third of the time of a fast download.
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

				// Every recorded block can be verified, even after a power cut.
				await handle.datasync();
			} finally {
				await handle.close();
			}
		} catch (error) {
			throw diskError(error, this.#path);
		}
	}

	/** Opens the data and the checksums. */
	async #withDataAndTable(
		file: DataFile,
		read: (handle: FileHandle | undefined, crcOf: CrcOf) => Promise<void>,
	): Promise<void> {
		await this.#withTable(async crcOf => withData(file, async handle => read(handle, crcOf)));
	}

	/** Reads checksums by page: a file of 2^50 bytes has 4 GiB of them. */
	async #withTable(use: (crcOf: CrcOf) => Promise<void>): Promise<void> {
		let handle: FileHandle | undefined;
		try {
			handle = (await isFile(this.#path)) ? await open(this.#path, 'r') : undefined;
			const page = Buffer.alloc(tablePageBytes);
			let pageAt = -1;
			await use(async block => {
				const offset = block * 4;
				const pageStart = offset - (offset % tablePageBytes);
				if (handle && pageStart !== pageAt) {
					page.fill(0);
					await handle.read(page, 0, tablePageBytes, pageStart);
					pageAt = pageStart;
				}

				return handle ? page.readUInt32LE(offset - pageStart) : 0;
			});
		} catch (error) {
			throw diskError(error, this.#path);
		} finally {
			await handle?.close();
		}
	}
}

/** Resolves with the checksum of a block, or 0 if unknown. */
type CrcOf = (block: number) => Promise<number>;

/** Bytes; holds the checksums of 16 GiB. */
const tablePageBytes = 64 * 1024;

/** Does not follow links; false for links, pipes and folders. Undefined if nothing exists. */
async function isFile(path: string): Promise<boolean | undefined> {
	try {
		return (await lstat(path)).isFile();
	} catch (error) {
		if (errorCode(error) === 'ENOENT') {
			return undefined;
		}

		throw error;
	}
}

/** The expected digest of the whole file, which users write as `algorithm:hex`. */
type Checksum = {readonly algorithm: string; readonly digest: string};

const digestLengths: Readonly<Record<string, number>> = {md5: 32, sha1: 40, sha256: 64, sha512: 128};

/** Throws `bad-request`; the error starts with `subject`. */
export function parseChecksum(text: string, subject = 'checksum'): Checksum {
	const [, name = '', digest = ''] = /^(\w+):([\da-f]+)$/i.exec(text) ?? [];
	const algorithm = name.toLowerCase();
	const length = Object.hasOwn(digestLengths, algorithm) ? digestLengths[algorithm] : undefined;
	if (length === undefined || digest.length !== length) {
		throw new DownStreamError(
			'bad-request',
			`${subject} ${JSON.stringify(text)}: it must be md5:, sha1:, sha256: or sha512: followed by all hexadecimal digits`,
		);
	}

	return {algorithm, digest: digest.toLowerCase()};
}

function blockOf(offset: number): number {
	return Math.floor(offset / blockSize);
}

function rangeOf(size: number, block: number): Range {
	return {start: block * blockSize, end: Math.min(size, (block + 1) * blockSize)};
}

function isWhole({size, present}: DataFile, block: number): boolean {
	const range = rangeOf(size, block);
	return range.start < range.end && present.covers(range);
}

function* wholeBlocks({size, present}: DataFile): Generator<number> {
	for (const {start, end} of present) {
		const stop = end === size ? Math.ceil(end / blockSize) : Math.floor(end / blockSize);
		for (let block = Math.ceil(start / blockSize); block < stop; block++) {
			yield block;
		}
	}
}

/** Keeps sorted ranges sorted and merged. */
function addMerged(ranges: Range[], {start, end}: Range): void {
	const last = ranges.at(-1);
	if (last?.end === start) {
		ranges[ranges.length - 1] = {start: last.start, end};
	} else {
		ranges.push({start, end});
	}
}

/** Uses its own descriptor, because the file's descriptor is closed and reopened as players come and go. */
async function withData(
	{path}: DataFile,
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

/** Returns undefined if the disk returns too few bytes. */
async function readCrc(
	handle: FileHandle | undefined,
	{start, end}: Range,
	hash?: Hash,
): Promise<number | undefined> {
	const buffer = Buffer.allocUnsafeSlow(Math.min(readBytes, end - start));
	let crc = 0;
	for (let offset = start; offset < end;) {
		const length = Math.min(buffer.length, end - offset);
		const bytesRead = await readPiece(handle, buffer, length, offset);
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
		// A lost sector; rewriting it may repair it.
		if (errorCode(error) === 'EIO') {
			return 0;
		}

		throw error;
	}
}
