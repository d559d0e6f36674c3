// Small files that a crash or a power cut leaves either as they were or as they were to become.
import {randomBytes} from 'node:crypto';
import {open, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {errorCode} from './disk-error.ts';

/** File systems and platforms that cannot sync a folder say so in these ways. */
const cannotSyncFolder = new Set(['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM', 'EACCES']);

/** What a crash leaves of a write ends so, and may be deleted. */
export const temporarySuffix = '.tmp';

/**
 * Replaces the file, readable by its owner alone. `previous` is the name under which the file that was there is
 * kept: a crash may leave that one only. Rejects with the error of the file system, and then nothing has changed.
 */
export async function writeDurably(file: string, text: string, previous?: string): Promise<void> {
	const temporary = `${file}.${randomBytes(6).toString('hex')}${temporarySuffix}`;
	try {
		const handle = await open(temporary, 'wx', 0o600);
		try {
			await handle.writeFile(text);
			await handle.sync();
		} finally {
			await handle.close();
		}

		if (previous !== undefined) {
			await rename(file, previous).catch((error: unknown) => {
				if (errorCode(error) !== 'ENOENT') {
					throw error;
				}
			});
		}

		await rename(temporary, file);
	} catch (error) {
		await rm(temporary, {force: true}).catch(() => undefined);
		throw error;
	}

	await syncFolder(path.dirname(file));
}

/** Makes names in the folder durable, where the platform can. */
export async function syncFolder(folder: string): Promise<void> {
	try {
		const handle = await open(folder, 'r');
		try {
			await handle.sync();
		} finally {
			await handle.close();
		}
	} catch (error) {
		if (!cannotSyncFolder.has(errorCode(error) ?? '')) {
			throw error;
		}
	}
}
