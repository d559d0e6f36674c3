// Opens a data file to write: sized, and with bytes of its own that no other name shares.
import {lstat, open, rm, copyFile, rename, type FileHandle} from 'node:fs/promises';
import {constants} from 'node:fs';
import type {Range} from './range-set.ts';
import {DamagedFile} from './damaged-file.ts';
import {errorCode} from './disk-error.ts';
import {DownStreamError} from '../../downstream.ts';

/** Bytes. */
const copyBufferBytes = 1024 * 1024;

/** Never writes through a symbolic link, or into bytes shared with another name. */
export async function openToWrite(path: string, size: number, present: Iterable<Range>): Promise<FileHandle> {
	const found = await lstat(path).catch(ignoring('ENOENT'));
	if (found && (found.isSymbolicLink() || found.nlink > 1)) {
		await unshare(path, size, present);
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

/** Replaces a file that has other links by a copy of its present bytes. */
async function unshare(path: string, size: number, present: Iterable<Range>): Promise<void> {
	const copy = `${path}.own`;
	await rm(copy, {force: true});
	const ranges = [...present];
	const isCloned =
		ranges.length > 0 &&
		(await copyFile(path, copy, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE).then(
			() => true,
			() => false,
		));
	if (!isCloned) {
		await rm(copy, {force: true});
		await copyRanges(path, copy, size, ranges);
	}

	await rename(copy, path);
}

async function copyRanges(from: string, to: string, size: number, ranges: readonly Range[]): Promise<void> {
	const target = await open(to, 'wx', 0o600);
	try {
		if (Number.isFinite(size)) {
			await truncate(target, size, to);
		}

		const source = ranges.length > 0 ? await open(from, 'r') : undefined;
		const buffer = Buffer.allocUnsafeSlow(copyBufferBytes);
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

export async function truncate(handle: FileHandle, size: number, path: string): Promise<void> {
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

function ignoring(code: string): (error: NodeJS.ErrnoException) => undefined {
	return error => {
		if (error.code !== code) {
			throw error;
		}
	};
}
