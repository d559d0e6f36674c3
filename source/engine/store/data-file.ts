// Opens a data file to write: sized, and with bytes of its own that no other name shares.
import {lstat, open, rm, copyFile, rename, type FileHandle} from 'node:fs/promises';
import {constants} from 'node:fs';
import type {Range} from './range-set.ts';
import {copyRanges} from './copy-bytes.ts';
import {errorCode} from './disk-error.ts';
import {DownStreamError} from '../../downstream.ts';

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
		await copyPresent(path, copy, size, ranges);
	}

	await rename(copy, path);
}

/** Creates a file of its own for the present ranges, synced. */
async function copyPresent(
	source: string,
	copy: string,
	size: number,
	ranges: readonly Range[],
): Promise<void> {
	await using to = await open(copy, 'wx', 0o600);
	if (Number.isFinite(size)) {
		await truncate(to, size, copy);
	}

	if (ranges.length > 0) {
		await using from = await open(source, 'r');
		await copyRanges(from, to, {source, ranges});
	}

	await to.datasync();
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
