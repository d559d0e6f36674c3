// The bytes of one download and which of them are present: a byte is in `present` only after it was written.
import type {Doubt} from './doubt.ts';
import {constants, lstatSync, statSync, writeSync, type Stats} from 'node:fs';
import {copyFile, lstat, open, rename, rm, stat, statfs, type FileHandle} from 'node:fs/promises';
import {DownStreamError} from '../../downstream.ts';
import {presentSetFor} from './block-bitmap.ts';
import {diskError, errorCode} from './disk-error.ts';
import {WriteMode} from './write-mode.ts';
import type {PresentSet, Range} from './range-set.ts';
import {alwaysWritable, refuseUnlessWritable, type Writable} from './writable.ts';

// File systems that compress: few blocks in use say nothing about holes there.
const compressing = new Set([
	0x91_23_68_3e /* btrfs */, 0x2f_c1_2f_c1 /* zfs */, 0xca_45_1a_4e /* bcachefs */,
]);

/**
 * Tells whether a file is as it was left. Whoever writes to it changes its time, whoever replaces it its inode. Not the
 * number of its device: that may be another one after each boot.
 */
export type FileIdentity = {
	readonly inode: number;
	/** Bytes. */
	readonly size: number;
	/** Milliseconds since the epoch. */
	readonly modifiedAt: number;
};

/** Recorded bytes that the disk does not give, or that may be others by now: what they were has to be fetched again. */
export class DamagedFile extends DownStreamError {
	/** What is lost; undefined where the file is another one and nobody knows. */
	readonly lost: Range | undefined;

	constructor(message: string, lost: Range | undefined, cause?: unknown) {
		super('disk-failed', message, {cause});
		this.lost = lost;
	}
}

/** Bytes. */
const copiedAtOnce = 1024 * 1024;

export class SparseFile {
	readonly path: string;
	/** When it was opened, it differed from the file that was recorded. */
	readonly isChanged: boolean;
	/** Told of everything that is written, in the tick in which it becomes present. */
	onWritten: ((offset: number, bytes: Uint8Array) => void) | undefined;
	/** Whether it may be written. */
	access: Pick<Writable, 'refusal'> = alwaysWritable;
	/** Set while bytes are present that somebody else may have changed. */
	doubt: Doubt | undefined;
	#reader: Promise<FileHandle> | undefined;
	#writer: Promise<FileHandle> | undefined;
	/** Closed with the file. */
	#replaced: Array<Promise<FileHandle>> = [];
	#present: PresentSet;
	#size: number;
	/** As it was after the last checkpoint. */
	#identity: FileIdentity | undefined;
	#dirty = false;
	/** Its identity is to be learnt though nothing was written. */
	#isUnknown = false;
	#isRetired = false;
	#pace: WriteMode | undefined;

	/**
	 * `ranges` is what was recorded of the file; what it cannot hold becomes a hole: all beyond its end, and
	 * everything if it uses fewer disk blocks than the ranges need. `identity` is that of the recorded file, if known.
	 * Nothing is opened or written yet. Rejects with `disk-failed`.
	 */
	static async open(
		path: string,
		size: number,
		ranges: Iterable<Range>,
		identity?: FileIdentity,
	): Promise<SparseFile> {
		try {
			const found = statSync(path, {throwIfNoEntry: false});
			if (found && !found.isFile()) {
				throw new DownStreamError('disk-failed', `${path} is not a file`);
			}

			const held = found ? clipped(ranges, Math.min(size, found.size)) : [];
			const isHeld = found !== undefined && held.length > 0 && (await hasRoomFor(held, found, path));
			return new SparseFile({
				path,
				size,
				present: presentSetFor(size, isHeld ? held : []),
				identity,
				isChanged: isHeld && isOther(path, found, identity),
			});
		} catch (error) {
			throw diskError(error, path);
		}
	}

	private constructor(
		file: Pick<SparseFile, 'path' | 'size' | 'present' | 'isChanged'> & {identity: FileIdentity | undefined},
	) {
		this.path = file.path;
		this.isChanged = file.isChanged;
		this.#present = file.present;
		this.#size = file.size;
		this.#identity = file.isChanged ? undefined : file.identity;
	}

	get present(): PresentSet {
		return this.#present;
	}

	/** Bytes; Infinity while unknown. */
	get size(): number {
		return this.#size;
	}

	/** Bytes; where the size is unknown, up to the last one that is present. */
	get minSize(): number {
		return this.#size === Infinity ? ([...this.#present].at(-1)?.end ?? 0) : this.#size;
	}

	/** No hole is left. */
	get isComplete(): boolean {
		return this.#present.size === this.#size;
	}

	/** Gives the file its full size; the disk uses blocks only for what is written. Rejects as `write` does. */
	async resize(size: number): Promise<void> {
		try {
			await truncate(await this.#toWrite(), size, this.path);
		} catch (error) {
			throw diskError(error, this.path);
		}

		this.#dirty = true;
		this.#size = size;
		this.#present = presentSetFor(size, this.#present);
	}

	/** Calls may run at the same time. Throws `disk-full` or `disk-failed`, and then nothing is said to be present. */
	async write(offset: number, bytes: Uint8Array): Promise<void> {
		try {
			const handle = await this.#toWrite();
			for (let written = 0; written < bytes.length;) {
				written += await this.#writeSome(handle, offset + written, bytes.subarray(written));
			}
		} catch (error) {
			throw diskError(error, this.path);
		}

		this.#dirty = true;
		this.#present.add({start: offset, end: offset + bytes.length});
		this.onWritten?.(offset, bytes);
	}

	async #writeSome(handle: FileHandle, offset: number, bytes: Uint8Array): Promise<number> {
		this.#pace ??= await WriteMode.of(this.path);
		const began = performance.now();
		if (!this.#pace.canBlock(began)) {
			const {bytesWritten} = await handle.write(bytes, 0, bytes.length, offset);
			return bytesWritten;
		}

		const bytesWritten = writeSync(handle.fd, bytes, 0, bytes.length, offset);
		this.#pace.recordWait(began, performance.now());
		return bytesWritten;
	}

	/**
	 * Fills `into` with present bytes; returns how many, 0 if the byte at `offset` is missing. Rejects with `DamagedFile`
	 * where the disk does not give them, else with `disk-failed`.
	 */
	async read(offset: number, into: Uint8Array): Promise<number> {
		await this.doubt?.prove({start: offset, end: offset + into.length});
		const length = Math.min(into.length, this.#present.runEnd(offset) - offset);
		try {
			const handle = await this.#toRead();
			let done = 0;
			while (done < length) {
				const {bytesRead} = await readSome(handle, into.subarray(done, length), offset + done, this.path);
				if (bytesRead === 0) {
					throw new DamagedFile(`${this.path} was cut short by another program`, {
						start: offset + done,
						end: Infinity,
					});
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

		if (wasComplete && !this.isComplete) {
			// An exported file may share its bytes by now. Reads that are in progress go on; closing waits for nobody.
			this.#replace('writer');
			this.#replace('reader');
		}
	}

	/** What somebody has done to a complete file since it was recorded. Costs one stat. */
	async changeSince(): Promise<'gone' | 'changed' | undefined> {
		if (!this.#identity || this.#dirty || this.doubt || !this.isComplete || this.#isRetired) {
			return undefined;
		}

		try {
			return isDifferent(await stat(this.path), this.#identity) ? 'changed' : undefined;
		} catch (error) {
			return errorCode(error) === 'ENOENT' ? 'gone' : undefined;
		}
	}

	/** What is present has been proven to be what was written: from here on the file is known as it is now. */
	trust(): void {
		this.doubt = undefined;
		this.#identity = undefined;
		this.#isUnknown = true;
	}

	/**
	 * Resolves with the ranges that are durable (what was present when it was called, after fdatasync) and the file that
	 * holds them, where that is known.
	 */
	async checkpoint(): Promise<{ranges: Range[]; identity: FileIdentity | undefined}> {
		const ranges = [...this.#present];
		if (this.#dirty) {
			this.#dirty = false;
			try {
				const handle = await this.#toRead();
				await handle.datasync();
				await this.#learnIdentity(handle);
			} catch (error) {
				this.#dirty = true;
				throw diskError(error, this.path);
			}
		} else if (this.#isUnknown) {
			// Who wants to read it is told what is wrong with it.
			await this.#toRead()
				.then(async handle => this.#learnIdentity(handle))
				.catch(() => undefined);
		}

		return {ranges, identity: this.#identity};
	}

	async #learnIdentity(handle: FileHandle): Promise<void> {
		this.#isUnknown = false;
		this.#identity = this.doubt ? undefined : identityOf(await handle.stat());
	}

	/** Gives the descriptors back; the next read or write opens the file again. None may be running. */
	async close(): Promise<void> {
		this.#replace('reader');
		this.#replace('writer');
		const handles = this.#replaced;
		this.#replaced = [];
		for (const handle of handles) {
			// An error here (EIO of a network disk) concerns bytes that no checkpoint has promised.
			await handle.then(async each => each.close()).catch(() => undefined);
		}
	}

	/** Closes it for good: another file may come to its path, and who still reads here must not get bytes of that. */
	async retire(): Promise<void> {
		this.#isRetired = true;
		await this.close();
	}

	#replace(which: 'reader' | 'writer'): void {
		const handle = which === 'reader' ? this.#reader : this.#writer;
		if (handle) {
			this.#replaced.push(handle);
		}

		if (which === 'reader') {
			this.#reader = undefined;
		} else {
			this.#writer = undefined;
		}
	}

	async #toRead(): Promise<FileHandle> {
		this.#refuseIfRetired();
		// On a disk that takes no writes it is read all the same.
		const writer = await this.#writer?.catch(() => undefined);
		if (writer) {
			return writer;
		}

		if (!this.#reader) {
			this.#reader = this.#openToRead();
			this.#reader.catch(() => {
				this.#reader = undefined;
			});
		}

		return this.#reader;
	}

	/** A complete file is compared with what is known of it each time it is opened. */
	async #openToRead(): Promise<FileHandle> {
		const handle = await open(this.path, 'r').catch((error: unknown) => {
			throw errorCode(error) === 'ENOENT'
				? new DamagedFile(`${this.path} was taken away`, {start: 0, end: Infinity}, error)
				: error;
		});
		if (this.isComplete && this.#identity && !this.#dirty && !this.doubt) {
			const found = await handle.stat();
			if (isDifferent(found, this.#identity)) {
				await handle.close();
				throw new DamagedFile(`${this.path} was changed by another program`, undefined);
			}
		}

		return handle;
	}

	async #toWrite(): Promise<FileHandle> {
		this.#refuseIfRetired();
		refuseUnlessWritable(this.access);
		if (!this.#writer) {
			this.#writer = this.#openToWrite();
			this.#writer.catch(() => {
				this.#writer = undefined;
			});
		}

		return this.#writer;
	}

	async #openToWrite(): Promise<FileHandle> {
		const handle = await openToWrite(this.path, this.#size, this.#present);
		// What had shared bytes is another file now; one that was given its size has another time.
		this.#replace('reader');
		this.#dirty = true;
		return handle;
	}

	#refuseIfRetired(): void {
		if (this.#isRetired) {
			throw new DownStreamError('disk-failed', `${this.path} is not used any more`);
		}
	}
}

function clipped(ranges: Iterable<Range>, end: number): Range[] {
	return [...ranges]
		.filter(({start}) => start < end)
		.map(range => ({start: range.start, end: Math.min(range.end, end)}));
}

/** Whether the file uses as many disk blocks as the ranges need. */
async function hasRoomFor(ranges: readonly Range[], {blocks}: Stats, path: string): Promise<boolean> {
	const needed = ranges.reduce((sum, {start, end}) => sum + end - start, 0) - 4096;
	if (needed <= 0 || process.platform === 'win32' || blocks * 512 >= needed) {
		return true;
	}

	const {type} = await statfs(path);
	return compressing.has(type);
}

function isOther(path: string, found: Stats, identity: FileIdentity | undefined): boolean {
	return identity ? isDifferent(found, identity) : lstatSync(path).isSymbolicLink();
}

function identityOf({ino, size, mtimeMs}: Stats): FileIdentity {
	return {inode: ino, size, modifiedAt: mtimeMs};
}

function isDifferent({ino, size, mtimeMs}: Stats, identity: FileIdentity): boolean {
	return ino !== identity.inode || size !== identity.size || mtimeMs !== identity.modifiedAt;
}

async function readSome(
	handle: FileHandle,
	into: Uint8Array,
	offset: number,
	path: string,
): Promise<{bytesRead: number}> {
	try {
		return await handle.read(into, 0, into.length, offset);
	} catch (error) {
		// A sector that is lost: writing it again is what may mend it.
		throw errorCode(error) === 'EIO'
			? new DamagedFile(`${path} cannot be read`, {start: offset, end: offset + into.length}, error)
			: error;
	}
}

/** Never through a symbolic link, nor into bytes that another name shares. */
async function openToWrite(path: string, size: number, present: Iterable<Range>): Promise<FileHandle> {
	const found = await lstat(path).catch(onlyIf('ENOENT'));
	if (found && (found.isSymbolicLink() || found.nlink > 1)) {
		await makeOwn(path, size, present);
	}

	const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);
	const handle = await open(path, flags, 0o600);
	try {
		if (Number.isFinite(size) && (await handle.stat()).size !== size) {
			await truncate(handle, size, path);
		}
	} catch (error) {
		await handle.close();
		throw error;
	}

	return handle;
}

/** Puts a copy of what is present in the place of a file that is also somebody else's. */
async function makeOwn(path: string, size: number, present: Iterable<Range>): Promise<void> {
	const own = `${path}.own`;
	await rm(own, {force: true});
	const ranges = [...present];
	const isCloned =
		ranges.length > 0 &&
		(await copyFile(path, own, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE).then(
			() => true,
			() => false,
		));
	if (!isCloned) {
		await rm(own, {force: true});
		await copyRanges(path, own, size, ranges);
	}

	await rename(own, path);
}

async function copyRanges(from: string, to: string, size: number, ranges: readonly Range[]): Promise<void> {
	const target = await open(to, 'wx', 0o600);
	try {
		if (Number.isFinite(size)) {
			await truncate(target, size, to);
		}

		const source = ranges.length > 0 ? await open(from, 'r') : undefined;
		const buffer = Buffer.allocUnsafeSlow(copiedAtOnce);
		try {
			for (const {start, end} of ranges) {
				for (let offset = start; offset < end;) {
					const {bytesRead = 0} =
						(await source?.read(buffer, 0, Math.min(buffer.length, end - offset), offset)) ?? {};
					if (bytesRead === 0) {
						throw new DamagedFile(`${from} was cut short by another program`, {start: offset, end: Infinity});
					}

					offset += await writeAll(target, buffer.subarray(0, bytesRead), offset);
				}
			}
		} finally {
			await source?.close();
		}

		await target.datasync();
	} finally {
		await target.close();
	}
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, offset: number): Promise<number> {
	for (let written = 0; written < bytes.length;) {
		const {bytesWritten} = await handle.write(bytes, written, bytes.length - written, offset + written);
		written += bytesWritten;
	}

	return bytes.length;
}

async function truncate(handle: FileHandle, size: number, path: string): Promise<void> {
	try {
		await handle.truncate(size);
	} catch (error) {
		throw errorCode(error) === 'EFBIG' || errorCode(error) === 'EINVAL'
			? new DownStreamError('disk-failed', `The disk cannot hold a file of ${size} bytes: ${path}`, {
					cause: error,
				})
			: error;
	}
}

function onlyIf(code: string): (error: NodeJS.ErrnoException) => undefined {
	return error => {
		if (error.code !== code) {
			throw error;
		}
	};
}
