// The path that a file is exported to.
import path from 'node:path';
import {stat, lstat} from 'node:fs/promises';
import type {Stats} from 'node:fs';
import {DownStreamError} from '../../downstream.ts';
import {expandHome} from '../../home-folder.ts';
import {makeFolder} from './make-folder.ts';
import {errorCode, diskError} from './disk-error.ts';
import {withEnding} from './file-name.ts';

/**
 * Returns the absolute path of the target file: `requested` itself or, if that is a folder or ends with a separator,
 * the file `name` in it. A leading `~` is the user's home. A folder given with a trailing separator is created; the
 * parent of a plain file must exist. Rejects with `disk-failed`, or with `bad-request`, also for a device or a pipe.
 */
export async function resolveTarget(requested: string, name: string): Promise<string> {
	if (requested === '' || requested.includes('\0')) {
		throw new DownStreamError('bad-request', 'The path to export to is empty or holds a NUL character');
	}

	const expanded = expandHome(requested);
	const target = path.resolve(expanded);
	const parent = path.dirname(target);
	try {
		if (expanded.endsWith('/') || expanded.endsWith(path.sep)) {
			await makeFolder(target);
			return path.join(target, name);
		}

		const found = await stat(target).catch(ignoreMissing);
		if (found?.isDirectory()) {
			return path.join(target, name);
		}

		refuseDevice(target, found);
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

	throw folderMissing(parent);
}

function folderMissing(folder: string): DownStreamError {
	return new DownStreamError('bad-request', `The folder ${folder} does not exist`);
}

/** The error of an export to `target`: its folder may have been removed since `resolveTarget`. */
export async function exportError(cause: unknown, target: string): Promise<unknown> {
	const folder = path.dirname(target);
	const isMissing = errorCode(cause) === 'ENOENT' && !(await stat(folder).catch(ignoreMissing));
	return isMissing ? folderMissing(folder) : diskError(cause, target);
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

/** Resolves with the existing file's stats, if any. Rejects with `target-exists`, or `bad-request` for a folder, device or pipe. */
export async function checkTarget(
	target: string,
	{overwrite = false, keepBoth = false}: {readonly overwrite?: boolean; readonly keepBoth?: boolean},
): Promise<Stats | undefined> {
	const present = await lstat(target).catch(ignoreMissing);
	if (present?.isDirectory()) {
		throw new DownStreamError('bad-request', `${target} is a folder`);
	}

	refuseDevice(target, present?.isSymbolicLink() ? await stat(target).catch(ignoreMissing) : present);
	if (present && !overwrite && !keepBoth) {
		throw targetExists(target);
	}

	return present;
}

/** A file would take the place of the device itself: as root, of /dev/null. */
function refuseDevice(target: string, found: Stats | undefined): void {
	if (found && !found.isFile() && !found.isDirectory()) {
		throw new DownStreamError(
			'bad-request',
			`${target} is a device, pipe or socket, which a file cannot replace`,
		);
	}
}

export function targetExists(target: string, cause?: unknown): DownStreamError {
	return new DownStreamError('target-exists', `${target} already exists`, {cause});
}

export function ignoreMissing(error: unknown): undefined {
	if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENOTDIR') {
		throw error;
	}
}
