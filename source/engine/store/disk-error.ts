// Maps file system errors to `DownStreamError`.
import {DownStreamError} from '../../downstream.ts';

const fullCodes = new Set(['ENOSPC', 'EDQUOT']);

/** Too many open files, of the process or of the system. */
const busyCodes = new Set(['EMFILE', 'ENFILE']);

const problems: Partial<Record<string, string>> = {
	EROFS: 'is on a read-only disk',
	ENAMETOOLONG: 'has a name that is too long for its disk',
};

const unwritableCodes = new Set([...fullCodes, 'EROFS', 'EACCES', 'EPERM']);

/** True if the disk or the quota is full. */
export function isFull(error: unknown): boolean {
	return (
		fullCodes.has(errorCode(error) ?? '') || (error instanceof DownStreamError && error.code === 'disk-full')
	);
}

/** True if the same operation may succeed a moment later. */
export function isTransient(error: unknown): error is DownStreamError {
	return error instanceof DownStreamError && error.kind === 'transient';
}

/** True if reads may still work: the disk is full or read-only, or the folder belongs to another user. */
export function takesNoWrites(error: unknown): boolean {
	const cause = error instanceof DownStreamError ? error.cause : error;
	return isFull(error) || unwritableCodes.has(errorCode(cause) ?? '');
}

/**
 * Returns `disk-full` or `disk-failed` with a message that names the path, and the original as its cause. It is transient if
 * too many files are open. Returns a `DownStreamError` and anything that is not a file system error (an abort) unchanged.
 */
export function diskError(error: unknown, path: string): unknown {
	const code = errorCode(error);
	if (code === undefined || error instanceof DownStreamError) {
		return error;
	}

	if (busyCodes.has(code)) {
		return new DownStreamError('disk-failed', `${path} cannot be opened: too many files are open (${code})`, {
			cause: error,
			kind: 'transient',
		});
	}

	return fullCodes.has(code)
		? new DownStreamError('disk-full', `The disk that holds ${path} is full`, {cause: error})
		: new DownStreamError(
				'disk-failed',
				`${path} ${problems[code] ?? 'cannot be read or written'} (${code})`,
				{
					cause: error,
				},
			);
}

/** A code such as `ENOENT`; undefined if this is not a system error. */
export function errorCode(error: unknown): string | undefined {
	return error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : undefined;
}
