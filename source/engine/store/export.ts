// Files out of the store: whole at their new place or not there at all.
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
	/** A complete file, unless `ranges` says what is there. */
	readonly source: string;
	/** The file to make, from `resolveTarget`. */
	readonly target: string;
	/** Bytes. */
	readonly size: number;
	/** Replace what is there; of a symbolic link the link itself. Without it: `target-exists`. */
	readonly overwrite?: boolean;
	/** Take the first free name such as `film (2).mkv` instead of `target-exists`. */
	readonly keepBoth?: boolean;
	/** Leave a file with the same bytes as it is, at the target or, with `keepBoth`, at one of the names before a free one. */
	readonly skipIdentical?: boolean;
	/** Take the source away. */
	readonly move?: boolean;
	/** Of a move: told of the new place when that is durable, before the source goes. With false the source stays. */
	readonly onPlaced?: (file: string) => Promise<boolean>;
	/** What the source holds, where it is not complete: what is missing becomes zeros, and nothing is shared with it. */
	readonly ranges?: readonly Range[];
	readonly signal?: AbortSignal;
	/** Of a copy, with a fraction from 0 to 1. */
	readonly onProgress?: (fraction: number) => void;
};

/** Bytes that are copied at once: progress is told, and an abort noticed, after each. */
const chunkSize = 4 * 1024 * 1024;

/** Temporary files of this process, which owns the storage folder. */
const beingMade = new Set<string>();

/** How disks without hard links, and Windows on such a disk, refuse one. */
const cannotLink = new Set(['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EISDIR']);

/**
 * Resolves with the path of the file that was made: a reflink or hard link where the disk can, else a rename (move) or
 * a copy. Rejects with `target-exists`, `bad-request` (the target is a folder), `disk-full`, `disk-failed` or the
 * signal's reason, and leaves nothing behind then.
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
	if (beingMade.has(temporary)) {
		throw new DownStreamError('target-exists', `${target} is being made already`);
	}

	beingMade.add(temporary);
	try {
		signal?.throwIfAborted();
		await rm(temporary, {force: true});
		const held = await stat(source).catch((error: unknown) => {
			throw diskError(error, source);
		});
		if (held.size < size || (held.size > size && !ranges)) {
			throw new DownStreamError('disk-failed', `${source} has ${held.size} bytes instead of ${size}`);
		}

		const identical = skipIdentical && !ranges ? await identicalAt(request, held) : undefined;
		if (identical !== undefined) {
			if (move && !isSameInode(held, await stat(identical))) {
				// It was there before: nothing of it is likely to be on its way to the disk.
				await sync(identical).catch(() => undefined);
				if ((await onPlaced?.(identical)) !== false) {
					await rm(source);
				}
			}

			return identical;
		}

		const present = await checkTarget(target, request);
		if (move && present && isAlreadyThere(source, held, target, present)) {
			await onPlaced?.(target);
			return target;
		}

		const placement = overwrite ? replace : keepBoth ? placeBeside : place;
		if (ranges || !(await shareBytes(source, temporary))) {
			signal?.throwIfAborted();
			const moved = move ? await onSameDisk(async () => placement(source, target)) : undefined;
			if (moved !== undefined) {
				await settle(moved);
				await syncFolder(path.dirname(moved));
				await onPlaced?.(moved);
				return moved;
			}

			await copyBytes(temporary, request);
		}

		await settle(temporary);
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
		beingMade.delete(temporary);
	}
}

/**
 * Beside the target: only on the same disk can it be put in place at once. The same name each time: what a killed copy
 * has left goes with the next export of that file to that place.
 */
function temporaryFor(source: string, target: string): string {
	const name = createHash('sha256').update(`${source}\0${target}`).digest('hex').slice(0, 16);
	return path.join(path.dirname(target), `.${name}.part`);
}

/**
 * The absolute path of the file that `given` asks for: `given` itself, or in it, where it is a folder or ends in a
 * separator, a file called `name`. A leading `~` is the user's home. A folder that is named by its separator is
 * made; the folder of a plain file must be there. Rejects with `bad-request` or `disk-failed`.
 */
export async function resolveTarget(given: string, name: string): Promise<string> {
	if (given === '' || given.includes('\0')) {
		throw new DownStreamError('bad-request', 'The path to export to is empty or holds a NUL character');
	}

	const expanded = /^~(?=$|[/\\])/.test(given) ? homedir() + given.slice(1) : given;
	const target = path.resolve(expanded);
	const parent = path.dirname(target);
	try {
		if (expanded.endsWith('/') || expanded.endsWith(path.sep)) {
			await makeFolder(target);
			return path.join(target, name);
		}

		if ((await stat(target).catch(noneThere))?.isDirectory()) {
			return path.join(target, name);
		}

		if ((await stat(parent).catch(noneThere))?.isDirectory()) {
			return target;
		}
	} catch (error) {
		throw errorCode(error) === 'EEXIST' || errorCode(error) === 'ENOTDIR'
			? new DownStreamError('bad-request', `${target} cannot be a folder: there is a file`, {cause: error})
			: diskError(error, target);
	}

	throw new DownStreamError('bad-request', `There is no folder ${parent}`);
}

/** `film.mkv` and 2 → `film (2).mkv`; `backup.tar.zst` and 2 → `backup (2).tar.zst`. Long names become shorter. */
export function numbered(file: string, number: number): string {
	const {dir, base} = path.parse(file);
	const extension = /(?<=.)(?:\.tar)?\.[^. ]{1,16}$/i.exec(base)?.[0] ?? '';
	return path.join(
		dir,
		withEnding(base.slice(0, base.length - extension.length), ` (${number})${extension}`),
	);
}

/** Resolves with what is there already, if anything. Rejects with `target-exists`, or `bad-request` for a folder. */
export async function checkTarget(
	target: string,
	{overwrite = false, keepBoth = false}: Pick<FileExport, 'overwrite' | 'keepBoth'>,
): Promise<Stats | undefined> {
	const present = await lstat(target).catch(noneThere);
	if (present?.isDirectory()) {
		throw new DownStreamError('bad-request', `${target} is a folder`);
	}

	if (present && !overwrite && !keepBoth) {
		throw targetExists(target);
	}

	return present;
}

/** Gives a file its final name, or rejects with `target-exists`; a symbolic link is something that exists. */
async function place(file: string, target: string): Promise<string> {
	try {
		// Unlike a rename, a link never replaces anything.
		await link(file, target);
	} catch (error) {
		if (errorCode(error) === 'EEXIST') {
			throw targetExists(target, error);
		}

		if (!cannotLink.has(errorCode(error) ?? '')) {
			throw error;
		}

		return placeByReservation(file, target);
	}

	await rm(file);
	return target;
}

/** For disks without hard links: an empty file holds the name until the rename. */
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
	// Two links to the same bytes: the rename does nothing then.
	await rm(file, {force: true});
	return target;
}

/** Undefined if it failed because the two are on different disks. */
async function onSameDisk(act: () => Promise<string>): Promise<string | undefined> {
	try {
		return await act();
	} catch (error) {
		if (errorCode(error) === 'EXDEV') {
			return undefined;
		}

		throw error;
	}
}

/** Makes `temporary` of the bytes of the source without copying them; false where the disk cannot. */
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

/** The permissions of a new file of the user (those of a hard link are the store's file's too), and on the disk. */
async function settle(file: string): Promise<void> {
	// Some disks know no permissions.
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
		const present = await stat(candidate).catch(noneThere);
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
function isAlreadyThere(source: string, held: Stats, target: string, present: Stats): boolean {
	return isSameInode(held, present) && (present.nlink === 1 || path.resolve(source) === path.resolve(target));
}

function isSameInode(one: Stats, other: Stats): boolean {
	return one.ino === other.ino && one.dev === other.dev;
}

function targetExists(target: string, cause?: unknown): DownStreamError {
	return new DownStreamError('target-exists', `${target} is there already`, {cause});
}

function noneThere(error: unknown): undefined {
	if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') {
		throw error;
	}
}
