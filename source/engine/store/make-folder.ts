// Creates a folder and its parents. Does not use `recursive`: Node 20 loops forever where folders cannot be created,
// as in /proc.
import {chmod, mkdir, realpath, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {DownStreamError} from '../../downstream.ts';
import {homeFolder} from '../../home-folder.ts';
import {errorCode} from './disk-error.ts';

/** Rejects with the file system's error. An existing folder keeps its mode. */
export async function makeFolder(folder: string, mode?: number): Promise<void> {
	try {
		await makeSingle(folder, mode);
	} catch (error) {
		const parent = path.dirname(folder);
		if (errorCode(error) !== 'ENOENT' || parent === folder) {
			throw error;
		}

		await makeFolder(parent, mode);
		await makeSingle(folder, mode);
	}
}

async function makeSingle(folder: string, mode: number | undefined): Promise<void> {
	try {
		await mkdir(folder, {mode});
	} catch (error) {
		// The error for the root of a disk, or for a folder on a read-only disk, depends on the system.
		const found = await stat(folder).catch(() => undefined);
		if (!found?.isDirectory()) {
			throw error;
		}
	}
}

/**
 * Restricts a folder that others can read to its owner, because names in it are keys. Rejects with `disk-failed` if
 * the folder is shared or belongs to another user. Does nothing if the disk has no permissions or cannot be changed.
 */
export async function keepPrivate(folder: string): Promise<void> {
	const {mode, uid} = await stat(folder);
	if (process.platform === 'win32' || (mode & 0o077) === 0) {
		return;
	}

	const realFolder = await realpath(folder);
	if ([path.parse(realFolder).root, homeFolder(), tmpdir(), '/tmp', '/var/tmp'].includes(realFolder)) {
		throw new DownStreamError(
			'disk-failed',
			`${folder} is a shared folder; choose a dedicated storage folder, such as ${path.join(folder, 'downstream')}`,
		);
	}

	await chmod(folder, 0o700).catch((error: unknown) => {
		if (errorCode(error) === 'EPERM' && uid !== process.geteuid?.()) {
			throw new DownStreamError(
				'disk-failed',
				`The storage folder ${folder} belongs to another user, and others can read it; choose one of your own`,
				{cause: error},
			);
		}
	});
}
