// Free space on the disk of a folder.
import {statfs} from 'node:fs/promises';

/** Bytes; null where the platform does not report it. Never rejects. */
export async function freeBytes(folder: string): Promise<number | null> {
	try {
		const {bavail, bsize} = await statfs(folder);
		return bavail * bsize;
	} catch {
		return null;
	}
}
