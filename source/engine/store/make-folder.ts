// A folder with those above it. Not by `recursive`: Node 20 tries for ever where the system makes none, as in /proc.
import {chmod, mkdir, realpath, stat} from 'node:fs/promises';
import {homedir, tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {DownStreamError} from '../../downstream.ts';
import {errorCode} from './disk-error.ts';

/** Rejects with the error of the file system. One that is there keeps its mode. */
export async function makeFolder(folder: string, mode?: number): Promise<void> {
	try {
		await makeOne(folder, mode);
	} catch (error) {
		const parent = path.dirname(folder);
		if (errorCode(error) !== 'ENOENT' || parent === folder) {
			throw error;
		}

		await makeFolder(parent, mode);
		await makeOne(folder, mode);
	}
}

async function makeOne(folder: string, mode: number | undefined): Promise<void> {
	try {
		await mkdir(folder, {mode});
	} catch (error) {
		// Which error the root of a disk or a folder on a read-only one gives depends on the system.
		const found = await stat(folder).catch(() => undefined);
		if (!found?.isDirectory()) {
			throw error;
		}
	}
}

/**
 * Makes a folder that others can look into the user's alone: names in it are keys. Rejects with `disk-failed` for one
 * that others share, or that belongs to another user. Where the disk keeps no permissions, or takes no change, it stays as
 * it is.
 */
export async function keepPrivate(folder: string): Promise<void> {
	const {mode, uid} = await stat(folder);
	if (process.platform === 'win32' || (mode & 0o077) === 0) {
		return;
	}

	const place = await realpath(folder);
	if ([path.parse(place).root, homedir(), tmpdir(), '/tmp', '/var/tmp'].includes(place)) {
		throw new DownStreamError(
			'disk-failed',
			`${folder} holds files of others; choose a storage folder of its own, such as ${path.join(folder, 'downstream')}`,
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
