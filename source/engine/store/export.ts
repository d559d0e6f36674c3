// Exports files from the store. A file appears at its target complete, or not at all.
import {rm, stat, chmod, open} from 'node:fs/promises';
import type {Stats} from 'node:fs';
import path from 'node:path';
import {createHash} from 'node:crypto';
import {DownStreamError} from '../../downstream.ts';
import {diskError} from './disk-error.ts';
import {identicalAt, isIdentical, isSamePath} from './same-file.ts';
import {checkTarget, exportError, ignoreMissing} from './export-target.ts';
import {replace, placeBeside, place, isReservation, unlessCrossDevice} from './placement.ts';
import {copyBytes, shareBytes, type ByteCopy} from './copy-bytes.ts';
import {syncFolder} from './durable-file.ts';

/** `target` is the file to create, as returned by `resolveTarget`. */
type FileExport = ByteCopy & {
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
	/** The name that this export was about to give the file when it failed or the program was killed. */
	readonly placing?: string | undefined;
	/** Called with the name that the file is about to take, and with undefined if it does not take it. */
	readonly onPlacing?: ((file: string | undefined) => Promise<void>) | undefined;
	/**
	 * For a move: called with the new path once it is durable, before the source is removed. If it resolves with false,
	 * the source stays.
	 */
	readonly onPlaced?: (file: string) => Promise<boolean>;
};

/** Temporary files of the exports in progress. No other process uses the storage folder. */
const inProgress = new Set<string>();

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
		onPlacing,
		onPlaced,
		signal,
	} = request;
	const temporary = temporaryFor(source, target);
	const steps = {onPlacing, mark: markOf(temporary)};
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

		const identical =
			(await placedBefore(request, sourceStats, steps.mark)) ??
			(skipIdentical && !ranges ? await identicalAt(request, sourceStats, keepBoth) : undefined);
		if (identical !== undefined) {
			if (move && !isSamePath(source, sourceStats, identical, await stat(identical))) {
				// Written before this export: its bytes are most likely on the disk already.
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
			const moved = move ? await unlessCrossDevice(async () => placement(source, target, steps)) : undefined;
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
		const placed = await placement(temporary, target, steps);
		await syncFolder(path.dirname(placed));
		if (move && (await onPlaced?.(placed)) !== false) {
			await rm(source);
		}

		return placed;
	} catch (error) {
		throw await exportError(error, target);
	} finally {
		await rm(temporary, {force: true}).catch(() => undefined);
		inProgress.delete(temporary);
	}
}

/** Resolves with the place of the file if the export was killed after it had placed it. */
async function placedBefore(
	request: FileExport,
	sourceStats: Stats,
	mark: string,
): Promise<string | undefined> {
	const {placing} = request;
	const found = placing === undefined ? undefined : await stat(placing).catch(ignoreMissing);
	if (placing === undefined || !found) {
		return undefined;
	}

	if (await isReservation(placing, found, mark)) {
		await rm(placing);
		return undefined;
	}

	if (!(await isIdentical(request, sourceStats, placing, found))) {
		return undefined;
	}

	await syncFolder(path.dirname(placing));
	return placing;
}

/**
 * The file is next to the target, because only a rename on the same disk is atomic. Its name is deterministic, so the
 * next export of the same file to the same target removes the remains of an interrupted copy.
 */
function temporaryFor(source: string, target: string): string {
	const name = createHash('sha256').update(`${source}\0${target}`).digest('hex').slice(0, 16);
	return path.join(path.dirname(target), `.${name}.part`);
}

/** Unique to the source and the target. */
function markOf(temporary: string): string {
	return `downstream-tui reserves this name for ${path.basename(temporary)}\n`;
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
