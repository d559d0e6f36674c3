// Atomic writes of small files: after a crash or a power cut, a file has either its old or its new content.
import {randomBytes} from 'node:crypto';
import {constants} from 'node:fs';
import {open, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {errorCode} from './disk-error.ts';

/** Error codes of file systems and platforms that cannot sync a folder. */
const cannotSyncFolder = new Set(['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM', 'EACCES']);

/** Matches the names of temporary files that interrupted writes of these files leave behind. They can be deleted. */
export function temporaryFilesOf(...names: readonly string[]): RegExp {
	return new RegExp(`^(?:${names.map(name => name.replaceAll('.', '\\.')).join('|')})\\.[\\da-f]+\\.tmp$`);
}

/**
 * Replaces the file atomically and durably, with access for its owner only. The old file is kept under the name `previous`;
 * after a crash, only that one may exist. Rejects with the file system's error and then leaves the file unchanged.
 */
export async function writeDurably(file: string, text: string, previous?: string): Promise<void> {
	await replaceBy(file, text, {isSynced: true, previous});
	await syncFolder(path.dirname(file));
}

/**
 * As `writeDurably`, for a full disk: the text takes the blocks of the file `previous`, which no other writer can get, and
 * the two files change places. Rejects with the file system's error, and leaves the file unchanged, if there is no such file or
 * it has to grow.
 */
export async function writeInPlace(file: string, text: string, previous: string): Promise<void> {
	const handle = await open(previous, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0));
	try {
		if ((await handle.stat()).nlink > 1) {
			throw Object.assign(new Error(`${previous} has another hard link`), {code: 'EMLINK'});
		}

		await handle.writeFile(text);
		await handle.truncate(Buffer.byteLength(text));
		await handle.sync();
	} finally {
		await handle.close();
	}

	const old = temporaryOf(file);
	await rename(file, old);
	try {
		await rename(previous, file);
	} catch (error) {
		await rename(old, file);
		throw error;
	}

	// The record is safe without a backup.
	await rename(old, previous).catch(async () => rm(old, {force: true}));
	await syncFolder(path.dirname(file));
}

/** As `writeDurably`, for a file that a power cut may take: it is written again at the next start. */
export async function writeAtomically(file: string, text: string): Promise<void> {
	await replaceBy(file, text, {isSynced: false});
}

async function replaceBy(
	file: string,
	text: string,
	{isSynced, previous}: {isSynced: boolean; previous?: string | undefined},
): Promise<void> {
	const temporary = temporaryOf(file);
	try {
		const handle = await open(temporary, 'wx', 0o600);
		try {
			await handle.writeFile(text);
			if (isSynced) {
				await handle.sync();
			}
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
}

function temporaryOf(file: string): string {
	return `${file}.${randomBytes(6).toString('hex')}.tmp`;
}

/** Makes the names in the folder durable, if the platform supports it. */
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
