// A folder with those above it. Not by `recursive`: Node 20 tries for ever where the system makes none, as in /proc.
import {mkdir, stat} from 'node:fs/promises';
import path from 'node:path';
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
