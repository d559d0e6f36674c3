// Creates a file with the bytes of another one: shared where the disk supports it, else copied.
import {copyFile, rm, link, statfs, open, type FileHandle} from 'node:fs/promises';
import {constants} from 'node:fs';
import path from 'node:path';
import {DamagedFile} from './damaged-file.ts';
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
			`${target} needs ${needed} bytes, but its disk has ${free} bytes free`,
		);
	}

	await using from = await open(source, 'r');
	await using to = await open(temporary, 'wx');
	await to.truncate(size);
	await copyRanges(from, to, {
		source,
		ranges,
		signal,
		onCopied: end => onProgress?.(end / size),
	});
}

type RangeCopy = {
	/** The path of the source, for errors. */
	readonly source: string;
	readonly ranges: Iterable<Range>;
	readonly signal?: AbortSignal;
	/** Receives the end of each copied chunk. */
	readonly onCopied?: (end: number) => void;
};

/** Copies the ranges to the same offsets. Rejects with `DamagedFile`, system errors or the signal's reason. */
export async function copyRanges(
	from: FileHandle,
	to: FileHandle,
	{source, ranges, signal, onCopied}: RangeCopy,
): Promise<void> {
	const buffer = Buffer.allocUnsafeSlow(chunkSize);
	for (const {start, end} of ranges) {
		for (let offset = start; offset < end;) {
			signal?.throwIfAborted();
			const {bytesRead} = await from.read(buffer, 0, Math.min(chunkSize, end - offset), offset);
			if (bytesRead === 0) {
				throw new DamagedFile(`${source} was truncated by another program`, {start: offset, end: Infinity});
			}

			for (let written = 0; written < bytesRead;) {
				const {bytesWritten} = await to.write(buffer, written, bytesRead - written, offset + written);
				written += bytesWritten;
			}

			offset += bytesRead;
			onCopied?.(offset);
		}
	}
}
