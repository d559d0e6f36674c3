// The bytes of one download and which of them are present: a byte is in `present` only after it was written.
import {constants, statSync, writeSync} from 'node:fs';
import {copyFile, open, rename, stat, statfs, type FileHandle} from 'node:fs/promises';
import {DownStreamError} from '../downstream.ts';
import {presentSetFor} from './block-bitmap.ts';
import {diskError} from './disk-error.ts';
import {DiskPace} from './disk-pace.ts';
import type {PresentSet, Range} from './range-set.ts';

// File systems that compress: few blocks in use say nothing about holes there.
const compressing = new Set([
	0x91_23_68_3e /* btrfs */, 0x2f_c1_2f_c1 /* zfs */, 0xca_45_1a_4e /* bcachefs */,
]);

export class SparseFile {
	readonly path: string;
	#handle: Promise<FileHandle> | undefined;
	/** Closed with the file. */
	#replaced: Array<Promise<FileHandle>> = [];
	#present: PresentSet;
	#size: number;
	#dirty = false;
	#isRetired = false;
	#pace: DiskPace | undefined;

	/**
	 * `ranges` is what was recorded of the file; what it cannot hold becomes a hole: all beyond its end, and
	 * everything if it uses fewer disk blocks than the ranges need. Nothing is opened or written yet.
	 */
	static async open(path: string, size: number, ranges: Iterable<Range>): Promise<SparseFile> {
		const present = presentSetFor(size, ranges);
		try {
			const found = statSync(path, {throwIfNoEntry: false});
			if (found && !found.isFile()) {
				throw new DownStreamError('disk-failed', `${path} is not a file`);
			}

			present.remove({start: found?.size ?? 0, end: Infinity});
			if (
				present.size > 4096 &&
				found &&
				process.platform !== 'win32' &&
				found.blocks * 512 < present.size - 4096
			) {
				const {type} = await statfs(path);
				if (!compressing.has(type)) {
					present.remove({start: 0, end: Infinity});
				}
			}
		} catch (error) {
			throw diskError(error, path);
		}

		return new SparseFile(path, present, size);
	}

	private constructor(path: string, present: PresentSet, size: number) {
		this.path = path;
		this.#present = present;
		this.#size = size;
	}

	get present(): PresentSet {
		return this.#present;
	}

	/** Bytes; Infinity while unknown. */
	get size(): number {
		return this.#size;
	}

	/** Bytes; where the size is unknown, up to the last one that is present. */
	get leastSize(): number {
		return this.#size === Infinity ? ([...this.#present].at(-1)?.end ?? 0) : this.#size;
	}

	/** No hole is left. */
	get isComplete(): boolean {
		return this.#present.size === this.#size;
	}

	/** Gives the file its full size; the disk uses blocks only for what is written. */
	async resize(size: number): Promise<void> {
		try {
			const handle = await this.#open();
			await handle.truncate(size);
		} catch (error) {
			throw diskError(error, this.path);
		}

		this.#size = size;
		this.#present = presentSetFor(size, this.#present);
	}

	/** Calls may run at the same time. Throws `disk-full` or `disk-failed`, and then nothing is said to be present. */
	async write(offset: number, bytes: Uint8Array): Promise<void> {
		try {
			const handle = await this.#open();
			for (let written = 0; written < bytes.length;) {
				written += await this.#writeSome(handle, offset + written, bytes.subarray(written));
			}
		} catch (error) {
			throw diskError(error, this.path);
		}

		this.#dirty = true;
		this.#present.add({start: offset, end: offset + bytes.length});
	}

	async #writeSome(handle: FileHandle, offset: number, bytes: Uint8Array): Promise<number> {
		this.#pace ??= await DiskPace.of(this.path);
		const began = performance.now();
		if (!this.#pace.isPrompt(began)) {
			const {bytesWritten} = await handle.write(bytes, 0, bytes.length, offset);
			return bytesWritten;
		}

		const bytesWritten = writeSync(handle.fd, bytes, 0, bytes.length, offset);
		this.#pace.waited(began, performance.now());
		return bytesWritten;
	}

	/** Fills `into` with present bytes; returns how many, 0 if the byte at `offset` is missing. */
	async read(offset: number, into: Uint8Array): Promise<number> {
		const length = Math.min(into.length, this.#present.runEnd(offset) - offset);
		try {
			const handle = await this.#open();
			let done = 0;
			while (done < length) {
				const {bytesRead} = await handle.read(into, done, length - done, offset + done);
				if (bytesRead === 0) {
					throw new DownStreamError('disk-failed', `${this.path} was cut short by another program`);
				}

				done += bytesRead;
			}

			return done;
		} catch (error) {
			throw diskError(error, this.path);
		}
	}

	/** Makes holes; a file that was complete can be written again. */
	forget(ranges: Iterable<Range>): void {
		const wasComplete = this.isComplete;
		for (const range of ranges) {
			this.#present.remove(range);
		}

		if (wasComplete && !this.isComplete && this.#handle) {
			// It is open for reading alone. Reads that have it go on; closing waits for nobody.
			this.#replaced.push(this.#handle);
			this.#handle = undefined;
		}
	}

	/** Resolves with the ranges that are durable: what was present when it was called, after fdatasync. */
	async checkpoint(): Promise<Range[]> {
		const ranges = [...this.#present];
		if (this.#dirty) {
			this.#dirty = false;
			try {
				const handle = await this.#open();
				await handle.datasync();
			} catch (error) {
				this.#dirty = true;
				throw diskError(error, this.path);
			}
		}

		return ranges;
	}

	/** Gives the descriptor back; the next read or write opens the file again. None may be running. */
	async close(): Promise<void> {
		const handles = [this.#handle, ...this.#replaced];
		this.#handle = undefined;
		this.#replaced = [];
		for (const handle of handles) {
			await (await handle?.catch(() => undefined))?.close();
		}
	}

	/** Closes it for good: another file may come to its path, and who still reads here must not get bytes of that. */
	async retire(): Promise<void> {
		this.#isRetired = true;
		await this.close();
	}

	async #open(): Promise<FileHandle> {
		if (this.#isRetired) {
			throw new DownStreamError('disk-failed', `${this.path} is not used any more`);
		}

		if (!this.#handle) {
			this.#handle = this.isComplete ? open(this.path, 'r') : openToWrite(this.path, this.#size);
			this.#handle.catch(() => {
				this.#handle = undefined;
			});
		}

		return this.#handle;
	}
}

async function openToWrite(path: string, size: number): Promise<FileHandle> {
	const found = await stat(path).catch(onlyIf('ENOENT'));
	if (found && found.nlink > 1) {
		// An exported hard link shares these bytes: what is written from here on is ours alone.
		await copyFile(path, `${path}.own`, constants.COPYFILE_FICLONE);
		await rename(`${path}.own`, path);
	}

	const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
	if (Number.isFinite(size) && found?.size !== size) {
		await handle.truncate(size);
	}

	return handle;
}

function onlyIf(code: string): (error: NodeJS.ErrnoException) => undefined {
	return error => {
		if (error.code !== code) {
			throw error;
		}
	};
}
