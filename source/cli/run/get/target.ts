// The file or folder that a run writes to, and the files that are in its way.
import {stat} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {DownStreamError, type Download} from '../../../downstream.ts';
import {resolveTarget} from '../../../engine/store/export-target.ts';
import type {Settings} from '../../settings.ts';

export const existsHint = '--overwrite replaces it, --keep-both keeps both';

/** Checks the target before anything is fetched. */
export async function checkedTarget({output, exportDir, json}: Settings, count: number): Promise<string> {
	if (output === undefined) {
		return exportDir + path.sep;
	}

	if (output === '-') {
		const problem = process.stdout.isTTY
			? 'it is a terminal; redirect it, or name a file'
			: json
				? '--json writes there too'
				: undefined;
		if (problem !== undefined) {
			throw new DownStreamError('bad-request', `-o -: standard output cannot take the file: ${problem}`);
		}

		return output;
	}

	const target = await resolveTarget(output, '').catch((error: unknown) => {
		throw error instanceof DownStreamError && error.code === 'bad-request'
			? new DownStreamError('bad-request', `-o ${output}: ${error.message}`)
			: error;
	});
	const found = await stat(target).catch(() => undefined);
	if (count > 1 && !found?.isDirectory()) {
		throw new DownStreamError('bad-request', `-o ${output}: with several URLs it must be a folder`);
	}

	return target;
}

/** The file to write exists: nothing is fetched, and only an identical file is success. */
export async function isTaken(target: string, {output, overwrite, keepBoth}: Settings): Promise<boolean> {
	const found =
		output === undefined || output === '-' || overwrite || keepBoth
			? undefined
			: await stat(target).catch(() => undefined);
	return found !== undefined && !found.isDirectory();
}

/**
 * Resolves with the file of another size in the target folder that would fail the export of the whole download, if any.
 * `written`: the paths of the files that this run has written.
 */
export async function otherFile(
	target: string,
	{output, overwrite, keepBoth}: Settings,
	{name, size}: Download,
	written: ReadonlySet<string>,
): Promise<string | undefined> {
	if (output === undefined || overwrite || keepBoth) {
		return undefined;
	}

	const file = await resolveTarget(target, name);
	const found = await stat(file).catch(() => undefined);
	return found?.isFile() && found.size !== size && !written.has(file) ? file : undefined;
}

export function targetExists(file: string): DownStreamError {
	return new DownStreamError('target-exists', `${file} already exists; ${existsHint}`);
}
