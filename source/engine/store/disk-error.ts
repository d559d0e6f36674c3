// What the file system refuses, as an error of ours.
import {DownStreamError} from '../../downstream.ts';

const fullCodes = new Set(['ENOSPC', 'EDQUOT']);

const unwritableCodes = new Set([...fullCodes, 'EROFS', 'EACCES', 'EPERM']);

/** Nothing more can be written there. */
export function isFull(error: unknown): boolean {
	return (
		fullCodes.has(errorCode(error) ?? '') || (error instanceof DownStreamError && error.code === 'disk-full')
	);
}

/** What is there may be read all the same: the disk is full or read-only, or the folder is somebody else's. */
export function takesNoWrites(error: unknown): boolean {
	const cause = error instanceof DownStreamError ? error.cause : error;
	return isFull(error) || unwritableCodes.has(errorCode(cause) ?? '');
}

/**
 * `disk-full` or `disk-failed` with a sentence that names the path, and the original as its cause. What is ours
 * already, or no error of the file system (an abort), comes back as it is.
 */
export function diskError(error: unknown, path: string): unknown {
	const code = errorCode(error);
	if (code === undefined || error instanceof DownStreamError) {
		return error;
	}

	return fullCodes.has(code)
		? new DownStreamError('disk-full', `The disk that holds ${path} is full`, {cause: error})
		: new DownStreamError('disk-failed', `${path} cannot be read or written (${code})`, {cause: error});
}

/** Such as `ENOENT`; undefined for what is no error of the system. */
export function errorCode(error: unknown): string | undefined {
	return error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : undefined;
}
