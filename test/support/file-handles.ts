// The methods of all `FileHandle`s, for tests that replace one.
import {open, type FileHandle} from 'node:fs/promises';

export async function fileHandlePrototype(): Promise<FileHandle> {
	await using handle = await open(import.meta.filename);
	return Object.getPrototypeOf(handle) as FileHandle;
}
