// Damage that another program does to a file.
import {open} from 'node:fs/promises';

/** Overwrites a few bytes from `offset` on. */
export async function damage(file: string, offset: number): Promise<void> {
	const handle = await open(file, 'r+');
	await handle.write('damaged', offset);
	await handle.close();
}
