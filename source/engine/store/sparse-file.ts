// The bytes of one download, and the set of its present bytes. A byte enters `present` only after it was written.
import {open, stat, type FileHandle} from 'node:fs/promises';
import {statSync, writeSync} from 'node:fs';
import {alwaysWritable, refuseUnlessWritable, type Writable} from './writable.ts';
import type {Doubt} from './doubt.ts';
import {RangeSet, type PresentSet, type Range} from './range-set.ts';
import {isOther, isDifferent, identityOf, type FileIdentity} from './file-identity.ts';
import {WriteMode} from './write-mode.ts';
import {DownStreamError} from '../../downstream.ts';
import {plausibleRanges} from './plausible-ranges.ts';
import {presentSetFor} from './block-bitmap.ts';
import {diskError, errorCode} from './disk-error.ts';
import {truncate, openToWrite} from './data-file.ts';
import {DamagedFile} from './damaged-file.ts';

export class SparseFile {
	readonly path: string;
	/** The file differed from the recorded one when it was opened. */
	readonly isChanged: boolean;
	/** Called with all written bytes, in the tick in which they become present. */
	onWritten: ((offset: number, bytes: Uint8Array) => void) | undefined;
	/** Whether it may be written. */
	access: Pick<Writable, 'refusal'> = alwaysWritable;
	/** Set while present bytes may have been changed by another program. */
	doubt: Doubt | undefined;
	/** How often bytes were lost that may be recorded. */
	losses = 0;
	#reader: Promise<FileHandle> | undefined;
	#writer: Promise<FileHandle> | undefined;
	/** Replaced handles, which are closed with the file. */
	#detached: Array<Promise<FileHandle>> = [];
	#present: PresentSet;
	#size: number;
	/** As of the last checkpoint. */
	#identity: FileIdentity | undefined;
	#dirty = false;
	/** The identity must be read although nothing was written. */
	#needsIdentity = false;
	#isRetired = false;
	/** Another program has truncated the file: it may have lost any byte. */
	#isCut = false;
	/** Bytes written since the last sync: the disk may not take them. */
	#unsynced = new RangeSet();
	/** How often written bytes were lost: with the file, or by a failed sync. */
	#setbacks = 0;
	#writeMode: WriteMode | undefined;

	/**
	 * `ranges` comes from the record. Ranges that the file cannot hold become holes: those beyond its end, or all of
	 * them if it uses fewer disk blocks than they need. `identity` is the recorded one, if known. Opens and writes
	 * nothing. Rejects with `disk-failed`.
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

			const recorded = found ? await plausibleRanges(ranges, Math.min(size, found.size), found, path) : [];
			return new SparseFile({
				path,
				size,
				present: presentSetFor(size, recorded),
				identity,
				isChanged: found !== undefined && recorded.length > 0 && isOther(path, found, identity),
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

	/** Bytes; if the size is unknown, the end of the last present range. */
	get minSize(): number {
		return this.#size === Infinity ? ([...this.#present].at(-1)?.end ?? 0) : this.#size;
	}

	/** True if there is no hole. */
	get isComplete(): boolean {
		return this.#present.size === this.#size;
	}

	/** Sets the file's full size; the disk allocates only written blocks. Rejects as `write` does. */
	async resize(size: number): Promise<void> {
		try {
			await truncate(await this.#writeHandle(), size, this.path);
		} catch (error) {
			throw diskError(error, this.path);
		}

		this.#dirty = true;
		this.#size = size;
		this.#present = presentSetFor(size, this.#present);
	}

	/** Supports concurrent calls. Throws `disk-full` or `disk-failed`; the bytes are not present then. */
	async write(offset: number, bytes: Uint8Array): Promise<void> {
		try {
			let setbacks;
			do {
				setbacks = this.#setbacks;
				const handle = await this.#writeHandle();
				for (let written = 0; written < bytes.length;) {
					written += await this.#writeSome(handle, offset + written, bytes.subarray(written));
				}
			} while (setbacks !== this.#setbacks);
		} catch (error) {
			throw diskError(error, this.path);
		}

		this.#dirty = true;
		this.#unsynced.add({start: offset, end: offset + bytes.length});
		this.#present.add({start: offset, end: offset + bytes.length});
		this.onWritten?.(offset, bytes);
	}

	async #writeSome(handle: FileHandle, offset: number, bytes: Uint8Array): Promise<number> {
		this.#writeMode ??= await WriteMode.of(this.path);
		const startedAt = performance.now();
		if (!this.#writeMode.canBlock(startedAt)) {
			const {bytesWritten} = await handle.write(bytes, 0, bytes.length, offset);
			return bytesWritten;
		}

		const bytesWritten = writeSync(handle.fd, bytes, 0, bytes.length, offset);
		this.#writeMode.recordWait(startedAt, performance.now());
		return bytesWritten;
	}

	/**
	 * Reads present bytes into `into` and returns their number; 0 if the byte at `offset` is missing. Rejects with
	 * `DamagedFile` if the disk does not return them, else with `disk-failed`.
	 */
	async read(offset: number, into: Uint8Array): Promise<number> {
		await this.doubt?.prove({start: offset, end: offset + into.length});
		const length = Math.min(into.length, this.#present.runEnd(offset) - offset);
		try {
			const handle = await this.#readHandle();
			let filled = 0;
			while (filled < length) {
				const {bytesRead} = await readSome(handle, into.subarray(filled, length), offset + filled, this.path);
				if (bytesRead === 0) {
					throw new DamagedFile(`${this.path} was truncated by another program`, {
						start: offset + filled,
						end: Infinity,
					});
				}

				filled += bytesRead;
			}

			return filled;
		} catch (error) {
			throw diskError(error, this.path);
		}
	}

	/** Makes holes. A complete file becomes writable again. */
	forget(ranges: Iterable<Range>): void {
		const wasComplete = this.isComplete;
		for (const range of ranges) {
			this.losses++;
			this.#present.remove(range);
		}

		if (wasComplete && !this.isComplete) {
			// An exported file may share the bytes by now. Reads in progress keep their handles, which are closed later.
			this.#detach('writer');
			this.#detach('reader');
		}
	}

	/** How a complete file was changed since it was recorded, at the cost of one stat; whether any file was truncated. */
	async changeSince(): Promise<'gone' | 'changed' | undefined> {
		if (this.doubt || this.#isRetired) {
			return undefined;
		}

		if (this.#isCut) {
			return 'changed';
		}

		if (!this.#identity || this.#dirty || !this.isComplete) {
			return undefined;
		}

		try {
			return isDifferent(await stat(this.path), this.#identity) ? 'changed' : undefined;
		} catch (error) {
			return errorCode(error) === 'ENOENT' ? 'gone' : undefined;
		}
	}

	/** Accepts the present bytes as verified: the next checkpoint records the file's current identity. */
	trust(): void {
		this.doubt = undefined;
		this.#isCut = false;
		this.#identity = undefined;
		this.#needsIdentity = true;
	}

	/**
	 * Syncs the data. Resolves with the ranges present at the time of the call, which are now durable, and the file's
	 * identity if known. Rejects with `disk-full` or `disk-failed`, or with `DamagedFile` if another program has removed,
	 * replaced or shortened the file since it was opened. After a failed sync, the bytes written since the last one are
	 * holes.
	 */
	async checkpoint(): Promise<{ranges: Range[]; identity: FileIdentity | undefined}> {
		const ranges = [...this.#present];
		if (this.#dirty) {
			this.#dirty = false;
			try {
				const handle = await this.#readHandle();
				await this.#sync(handle);
				await this.#refuseLoss(handle);
				await this.#updateIdentity(handle);
			} catch (error) {
				this.#dirty = !(error instanceof DamagedFile);
				throw diskError(error, this.path);
			}
		} else if (this.#needsIdentity) {
			// Errors are left to the readers of the file.
			await this.#readHandle()
				.then(async handle => this.#updateIdentity(handle))
				.catch(() => undefined);
		}

		return {ranges, identity: this.#identity};
	}

	/**
	 * A failed sync may have marked pages as clean that are not on the disk (on Linux, for one): they read well, the next
	 * sync succeeds, and a power cut reveals the loss. Only bytes written again can be trusted.
	 */
	async #sync(handle: FileHandle): Promise<void> {
		const syncing = this.#unsynced;
		this.#unsynced = new RangeSet();
		try {
			await handle.datasync();
		} catch (error) {
			const lost = [...syncing, ...this.#unsynced];
			this.#unsynced = new RangeSet();
			this.#setbacks++;
			this.forget(lost);
			throw error;
		}
	}

	async #refuseLoss(handle: FileHandle): Promise<void> {
		const {minSize: size} = this;
		const found = await handle.stat();
		// An unreadable folder proves nothing.
		const named = await stat(this.path).catch((error: unknown) =>
			errorCode(error) === 'ENOENT' ? undefined : found,
		);
		if (named?.ino !== found.ino) {
			this.#setbacks++;
			this.#detach('writer');
			this.#detach('reader');
			throw new DamagedFile(`${this.path} was removed`, {start: 0, end: Infinity});
		}

		if (found.size < size) {
			this.#isCut = true;
			// Later checkpoints find it whole.
			await truncate(await this.#writeHandle(), size, this.path);
			throw new DamagedFile(`${this.path} was truncated by another program`, undefined);
		}
	}

	async #updateIdentity(handle: FileHandle): Promise<void> {
		this.#needsIdentity = false;
		this.#identity = this.doubt ? undefined : identityOf(await handle.stat());
	}

	/** Closes the descriptors; the next read or write reopens the file. No operation may be running. */
	async close(): Promise<void> {
		this.#detach('reader');
		this.#detach('writer');
		const handles = this.#detached;
		this.#detached = [];
		for (const handle of handles) {
			// An error here (EIO of a network disk) only concerns bytes that no checkpoint covers.
			await handle.then(async each => each.close()).catch(() => undefined);
		}
	}

	/** Closes permanently: another file may take over the path, and remaining readers must not receive its bytes. */
	async retire(): Promise<void> {
		this.#isRetired = true;
		await this.close();
	}

	#detach(which: 'reader' | 'writer'): void {
		const handle = which === 'reader' ? this.#reader : this.#writer;
		if (handle) {
			this.#detached.push(handle);
		}

		if (which === 'reader') {
			this.#reader = undefined;
		} else {
			this.#writer = undefined;
		}
	}

	async #readHandle(): Promise<FileHandle> {
		this.#throwIfRetired();
		// Reading continues on a disk that rejects writes.
		const writer = await this.#writer?.catch(() => undefined);
		if (writer) {
			return writer;
		}

		if (!this.#reader) {
			const opening = this.#openToRead();
			this.#reader = opening;
			opening.catch(() => {
				// A detached one leaves the next one in place.
				this.#reader = this.#reader === opening ? undefined : this.#reader;
			});
		}

		return this.#reader;
	}

	/** Compares a complete file with its recorded identity each time it is opened. */
	async #openToRead(): Promise<FileHandle> {
		const handle = await open(this.path, 'r').catch((error: unknown) => {
			throw errorCode(error) === 'ENOENT'
				? new DamagedFile(`${this.path} was removed`, {start: 0, end: Infinity}, error)
				: error;
		});
		try {
			const identity = this.isComplete && !this.#dirty && !this.doubt ? this.#identity : undefined;
			if (identity && isDifferent(await handle.stat(), identity)) {
				throw new DamagedFile(`${this.path} was changed by another program`, undefined);
			}
		} catch (error) {
			await handle.close();
			throw error;
		}

		return handle;
	}

	async #writeHandle(): Promise<FileHandle> {
		this.#throwIfRetired();
		refuseUnlessWritable(this.access);
		if (!this.#writer) {
			const opening = this.#openToWrite();
			this.#writer = opening;
			opening.catch(() => {
				this.#writer = this.#writer === opening ? undefined : this.#writer;
			});
		}

		return this.#writer;
	}

	async #openToWrite(): Promise<FileHandle> {
		const handle = await openToWrite(this.path, this.#size, this.#present);
		// A shared file was replaced by a copy; a resized file has a new time.
		this.#detach('reader');
		this.#dirty = true;
		return handle;
	}

	#throwIfRetired(): void {
		if (this.#isRetired) {
			throw new DownStreamError('disk-failed', `${this.path} is no longer in use`);
		}
	}
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
		// A lost sector; rewriting it may repair it.
		throw errorCode(error) === 'EIO'
			? new DamagedFile(`${path} cannot be read`, {start: offset, end: offset + into.length}, error)
			: error;
	}
}
