// Creates a file with the bytes of another one: shared where the disk supports it, else copied.
import {copyFile, rm, link, statfs, open} from 'node:fs/promises';
import {constants} from 'node:fs';
import path from 'node:path';
import type {Range} from './range-set.ts';
import {DownStreamError} from '../../downstream.ts';

/** Bytes copied at a time. Progress and aborts are handled after each chunk. */
export const chunkSize = 4 * 1024 * 1024;

/** Creates `temporary` from the source without copying bytes; false if the disk does not support it. */
export async function shareBytes(source: string, temporary: string): Promise<boolean> {
	try {
		await copyFile(source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
		return true;
	} catch {
		await rm(temporary, {force: true});
	}

	try {
		await link(source, temporary);
		return true;
	} catch {
		return false;
	}
}

export type ByteCopy = {
	/** A complete file, unless `ranges` is given. */
	readonly source: string;
	/** The final name of the file; its disk must have room. */
	readonly target: string;
	/** Bytes. */
	readonly size: number;
	/**
	 * The present ranges of an incomplete source. Missing bytes become zeros, and no blocks are shared with the source.
	 */
	readonly ranges?: readonly Range[];
	readonly signal?: AbortSignal;
	/** Receives a fraction from 0 to 1. */
	readonly onProgress?: (fraction: number) => void;
};

/** Rejects with `disk-full` before it writes, with `disk-failed`, system errors or the signal's reason. */
export async function copyBytes(
	temporary: string,
	{source, target, size, ranges = [{start: 0, end: size}], signal, onProgress}: ByteCopy,
): Promise<void> {
	const disk = await statfs(path.dirname(target));
	const free = disk.bavail * disk.bsize;
	const needed = ranges.reduce((sum, {start, end}) => sum + end - start, 0);
	if (free < needed) {
		throw new DownStreamError(
			'disk-full',
			`${needed} bytes are needed for ${target}, and its disk has ${free} bytes free`,
		);
	}

	const from = await open(source, 'r');
	try {
		const to = await open(temporary, 'wx');
		try {
			await to.truncate(size);
			const buffer = Buffer.allocUnsafe(Math.min(chunkSize, size));
			for (const {start, end} of ranges) {
				for (let offset = start; offset < end;) {
					signal?.throwIfAborted();
					const {bytesRead} = await from.read(buffer, 0, Math.min(chunkSize, end - offset), offset);
					if (bytesRead === 0) {
						throw new DownStreamError('disk-failed', `${source} was cut short by another program`);
					}

					for (let written = 0; written < bytesRead;) {
						const {bytesWritten} = await to.write(buffer, written, bytesRead - written, offset + written);
						written += bytesWritten;
					}

					offset += bytesRead;
					onProgress?.(offset / size);
				}
			}
		} finally {
			await to.close();
		}
	} finally {
		await from.close();
	}
}
