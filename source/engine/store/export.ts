// Exports files from the store. A file appears at its target complete, or not at all.
import {createHash} from 'node:crypto';
import {constants, type Stats} from 'node:fs';
import {chmod, copyFile, link, lstat, open, rename, rm, stat, statfs} from 'node:fs/promises';
import {homedir} from 'node:os';
import path from 'node:path';
import {DownStreamError} from '../../downstream.ts';
import {diskError, errorCode} from './disk-error.ts';
import {syncFolder} from './durable-file.ts';
import {withEnding} from './file-name.ts';
import {makeFolder} from './make-folder.ts';
import type {Range} from './range-set.ts';

export type FileExport = {
	/** A complete file, unless `ranges` is given. */
	readonly source: string;
	/** The file to create, as returned by `resolveTarget`. */
	readonly target: string;
	/** Bytes. */
	readonly size: number;
	/**
	 * Replaces an existing file; of a symbolic link, the link itself. Otherwise an existing file is a `target-exists`
	 * error.
	 */
	readonly overwrite?: boolean;
	/** Chooses the first free name such as `film (2).mkv` instead of rejecting with `target-exists`. */
	readonly keepBoth?: boolean;
	/** Leave a file with the same bytes as it is, at the target or, with `keepBoth`, under one of its numbers. */
	readonly skipIdentical?: boolean;
	/** Removes the source. */
	readonly move?: boolean;
	/**
	 * For a move: called with the new path once it is durable, before the source is removed. If it resolves with false,
	 * the source stays.
	 */
	readonly onPlaced?: (file: string) => Promise<boolean>;
	/**
	 * The present ranges of an incomplete source. Missing bytes become zeros, and no blocks are shared with the source.
	 */
	readonly ranges?: readonly Range[];
	readonly signal?: AbortSignal;
	/** For a copy; receives a fraction from 0 to 1. */
	readonly onProgress?: (fraction: number) => void;
};

/** Bytes copied at a time. Progress and aborts are handled after each chunk. */
const chunkSize = 4 * 1024 * 1024;

/** Temporary files of the exports in progress. No other process uses the storage folder. */
const inProgress = new Set<string>();

/** Error codes of disks, and of Windows, that do not support hard links. */
const linkUnsupportedCodes = new Set(['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EISDIR']);

/**
 * Resolves with the path of the created file: a reflink or hard link if the disk supports it, else a rename (for a
 * move) or a copy. Rejects with `target-exists`, `bad-request` (the target is a folder), `disk-full`, `disk-failed`
 * or the signal's reason, and then leaves nothing behind.
 */
export async function exportFile(request: FileExport): Promise<string> {
	const {
		source,
		target,
		size,
		ranges,
		overwrite = false,
		keepBoth = false,
		skipIdentical = false,
		move = false,
		onPlaced,
		signal,
	} = request;
	const temporary = temporaryFor(source, target);
	if (inProgress.has(temporary)) {
		throw new DownStreamError('target-exists', `${target} is already being exported`);
	}

	inProgress.add(temporary);
	try {
		signal?.throwIfAborted();
		await rm(temporary, {force: true});
		const sourceStats = await stat(source).catch((error: unknown) => {
			throw diskError(error, source);
		});
		if (sourceStats.size < size || (sourceStats.size > size && !ranges)) {
			throw new DownStreamError('disk-failed', `${source} has ${sourceStats.size} bytes instead of ${size}`);
		}

		const identical = skipIdentical && !ranges ? await identicalAt(request, sourceStats) : undefined;
		if (identical !== undefined) {
			if (move && !isSameInode(sourceStats, await stat(identical))) {
				// It was there before: nothing of it is likely to be on its way to the disk.
				await sync(identical).catch(() => undefined);
				if ((await onPlaced?.(identical)) !== false) {
					await rm(source);
				}
			}

			return identical;
		}

		const present = await checkTarget(target, request);
		if (move && present && isSamePath(source, sourceStats, target, present)) {
			await onPlaced?.(target);
			return target;
		}

		const placement = overwrite ? replace : keepBoth ? placeBeside : place;
		if (ranges || !(await shareBytes(source, temporary))) {
			signal?.throwIfAborted();
			const moved = move ? await unlessCrossDevice(async () => placement(source, target)) : undefined;
			if (moved !== undefined) {
				await finalize(moved);
				await syncFolder(path.dirname(moved));
				await onPlaced?.(moved);
				return moved;
			}

			await copyBytes(temporary, request);
		}

		await finalize(temporary);
		signal?.throwIfAborted();
		const placed = await placement(temporary, target);
		await syncFolder(path.dirname(placed));
		if (move && (await onPlaced?.(placed)) !== false) {
			await rm(source);
		}

		return placed;
	} catch (error) {
		throw diskError(error, target);
	} finally {
		await rm(temporary, {force: true}).catch(() => undefined);
		inProgress.delete(temporary);
	}
}

/**
 * The file is next to the target, because only a rename on the same disk is atomic. Its name is deterministic, so the
 * next export of the same file to the same target removes the rest of an interrupted copy.
 */
function temporaryFor(source: string, target: string): string {
	const name = createHash('sha256').update(`${source}\0${target}`).digest('hex').slice(0, 16);
	return path.join(path.dirname(target), `.${name}.part`);
}

/**
 * Returns the absolute path of the target file: `requested` itself or, if that is a folder or ends with a separator,
 * the file `name` in it. A leading `~` is the user's home. A folder given with a trailing separator is created; the
 * parent of a plain file must exist. Rejects with `bad-request` or `disk-failed`.
 */
export async function resolveTarget(requested: string, name: string): Promise<string> {
	if (requested === '' || requested.includes('\0')) {
		throw new DownStreamError('bad-request', 'The path to export to is empty or holds a NUL character');
	}

	const expanded = /^~(?=$|[/\\])/.test(requested) ? homedir() + requested.slice(1) : requested;
	const target = path.resolve(expanded);
	const parent = path.dirname(target);
	try {
		if (expanded.endsWith('/') || expanded.endsWith(path.sep)) {
			await makeFolder(target);
			return path.join(target, name);
		}

		if ((await stat(target).catch(ignoreMissing))?.isDirectory()) {
			return path.join(target, name);
		}

		if ((await stat(parent).catch(ignoreMissing))?.isDirectory()) {
			return target;
		}
	} catch (error) {
		throw errorCode(error) === 'EEXIST' || errorCode(error) === 'ENOTDIR'
			? new DownStreamError('bad-request', `${target} cannot be a folder: a file is in its place`, {
					cause: error,
				})
			: diskError(error, target);
	}

	throw new DownStreamError('bad-request', `The folder ${parent} does not exist`);
}

/** `film.mkv` and 2 → `film (2).mkv`; `backup.tar.zst` and 2 → `backup (2).tar.zst`. Shortens long names. */
export function numbered(file: string, number: number): string {
	const {dir, base} = path.parse(file);
	const extension = /(?<=.)(?:\.tar)?\.[^. ]{1,16}$/i.exec(base)?.[0] ?? '';
	return path.join(
		dir,
		withEnding(base.slice(0, base.length - extension.length), ` (${number})${extension}`),
	);
}

/** Resolves with the existing file's stats, if any. Rejects with `target-exists`, or `bad-request` for a folder. */
export async function checkTarget(
	target: string,
	{overwrite = false, keepBoth = false}: Pick<FileExport, 'overwrite' | 'keepBoth'>,
): Promise<Stats | undefined> {
	const present = await lstat(target).catch(ignoreMissing);
	if (present?.isDirectory()) {
		throw new DownStreamError('bad-request', `${target} is a folder`);
	}

	if (present && !overwrite && !keepBoth) {
		throw targetExists(target);
	}

	return present;
}

/** Gives a file its final name, or rejects with `target-exists`. A symbolic link counts as existing. */
async function place(file: string, target: string): Promise<string> {
	try {
		// Unlike rename, link never replaces a file.
		await link(file, target);
	} catch (error) {
		if (errorCode(error) === 'EEXIST') {
			throw targetExists(target, error);
		}

		if (!linkUnsupportedCodes.has(errorCode(error) ?? '')) {
			throw error;
		}

		return placeByReservation(file, target);
	}

	await rm(file);
	return target;
}

/** For disks without hard links: an empty file reserves the name until the rename. */
async function placeByReservation(file: string, target: string): Promise<string> {
	try {
		const reservation = await open(target, 'wx');
		await reservation.close();
	} catch (error) {
		throw errorCode(error) === 'EEXIST' ? targetExists(target, error) : error;
	}

	try {
		await rename(file, target);
	} catch (error) {
		await rm(target, {force: true});
		throw error;
	}

	return target;
}

async function placeBeside(file: string, target: string): Promise<string> {
	for (let number = 1; ; number++) {
		try {
			return await place(file, number === 1 ? target : numbered(target, number));
		} catch (error) {
			if (!(error instanceof DownStreamError && error.code === 'target-exists')) {
				throw error;
			}
		}
	}
}

async function replace(file: string, target: string): Promise<string> {
	await rename(file, target);
	// If both names link to the same bytes, the rename does nothing.
	await rm(file, {force: true});
	return target;
}

/** Resolves with undefined if source and target are on different disks. */
async function unlessCrossDevice(attempt: () => Promise<string>): Promise<string | undefined> {
	try {
		return await attempt();
	} catch (error) {
		if (errorCode(error) === 'EXDEV') {
			return undefined;
		}

		throw error;
	}
}

/** Creates `temporary` from the source without copying bytes; false if the disk does not support it. */
async function shareBytes(source: string, temporary: string): Promise<boolean> {
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

async function copyBytes(
	temporary: string,
	{source, target, size, ranges = [{start: 0, end: size}], signal, onProgress}: FileExport,
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

/** Sets the permissions of a new user file (a hard link would keep those of the stored file), and syncs it. */
async function finalize(file: string): Promise<void> {
	// Some disks do not support permissions.
	await chmod(file, 0o666 & ~process.umask()).catch(() => undefined);
	await sync(file);
}

async function sync(file: string): Promise<void> {
	const handle = await open(file, 'r+');
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

/** The path of a file that already holds the bytes of the source, if there is one. */
async function identicalAt(
	{source, target, keepBoth = false, signal}: FileExport,
	held: Stats,
): Promise<string | undefined> {
	for (let number = 1; ; number++) {
		const candidate = number === 1 ? target : numbered(target, number);
		const present = await stat(candidate).catch(ignoreMissing);
		if (!present) {
			return undefined;
		}

		const mayBe = present.isFile() && present.size === held.size;
		if (mayBe && (isSameInode(held, present) || (await haveSameBytes(source, candidate, signal)))) {
			return candidate;
		}

		if (!keepBoth) {
			return undefined;
		}
	}
}

/** Of two files of the same size. */
async function haveSameBytes(one: string, other: string, signal: AbortSignal | undefined): Promise<boolean> {
	await using first = await open(one, 'r');
	await using second = await open(other, 'r');
	const buffers = [Buffer.allocUnsafe(chunkSize), Buffer.allocUnsafe(chunkSize)] as const;
	for (let offset = 0; ;) {
		signal?.throwIfAborted();
		const [a, b] = await Promise.all([
			first.read(buffers[0], 0, chunkSize, offset),
			second.read(buffers[1], 0, chunkSize, offset),
		]);
		const length = Math.min(a.bytesRead, b.bytesRead);
		if (length === 0) {
			return a.bytesRead === b.bytesRead;
		}

		if (!buffers[0].subarray(0, length).equals(buffers[1].subarray(0, length))) {
			return false;
		}

		offset += length;
	}
}

/** The same name, in whatever spelling, not just another link to the same bytes. */
function isSamePath(source: string, sourceStats: Stats, target: string, present: Stats): boolean {
	return (
		isSameInode(sourceStats, present) &&
		(present.nlink === 1 || path.resolve(source) === path.resolve(target))
	);
}

function isSameInode(one: Stats, other: Stats): boolean {
	return one.ino === other.ino && one.dev === other.dev;
}

function targetExists(target: string, cause?: unknown): DownStreamError {
	return new DownStreamError('target-exists', `${target} already exists`, {cause});
}

function ignoreMissing(error: unknown): undefined {
	if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') {
		throw error;
	}
}
