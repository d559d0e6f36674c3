// Tells whether a file is the recorded one, unchanged.
import {lstatSync, type Stats} from 'node:fs';

/**
 * Identifies a file and its state. Writing to the file changes its time; replacing it changes its inode. Excludes the
 * device number, which may change with each boot.
 */
export type FileIdentity = {
	readonly inode: number;
	/** Bytes. */
	readonly size: number;
	/** Milliseconds since the epoch. */
	readonly modifiedAt: number;
};

/** Without a recorded identity, only a symbolic link is certain to be another file. */
export function isOther(path: string, found: Stats, identity: FileIdentity | undefined): boolean {
	return identity ? isDifferent(found, identity) : lstatSync(path).isSymbolicLink();
}

export function identityOf({ino, size, mtimeMs}: Stats): FileIdentity {
	return {inode: ino, size, modifiedAt: mtimeMs};
}

export function isDifferent({ino, size, mtimeMs}: Stats, identity: FileIdentity): boolean {
	return ino !== identity.inode || size !== identity.size || mtimeMs !== identity.modifiedAt;
}
