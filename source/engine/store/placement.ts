// Gives a finished file its final name: only a free one, the first free number, or that of an existing file.
import {link, lstat, rm, open, rename} from 'node:fs/promises';
import {errorCode} from './disk-error.ts';
import {ignoreMissing, targetExists, numbered} from './export-target.ts';
import {DownStreamError} from '../../downstream.ts';

/** Error codes of disks, and of Windows, that do not support hard links. */
const linkUnsupportedCodes = new Set(['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EISDIR']);

/** Called with the name that the file is about to take, and with undefined if it does not take it. */
type OnPlacing = ((target: string | undefined) => Promise<void>) | undefined;

/** Gives a file its final name, or rejects with `target-exists`. A symbolic link counts as existing. */
export async function place(file: string, target: string, onPlacing: OnPlacing): Promise<string> {
	await announced(target, onPlacing, async () => takeName(file, target));
	await rm(file, {force: true});
	return target;
}

async function takeName(file: string, target: string): Promise<void> {
	try {
		// Unlike rename, link never replaces a file.
		await link(file, target);
	} catch (error) {
		if (errorCode(error) === 'EEXIST') {
			throw targetExists(target, error);
		}

		if (!linkUnsupportedCodes.has(errorCode(error) ?? '')) {
			throw error;
		}

		await takeByReservation(file, target);
	}
}

async function announced(target: string, onPlacing: OnPlacing, take: () => Promise<void>): Promise<void> {
	await onPlacing?.(target);
	try {
		await take();
	} catch (error) {
		await onPlacing?.(undefined);
		throw error;
	}
}

/** For disks without hard links: an empty file reserves the name until the rename. */
async function takeByReservation(file: string, target: string): Promise<void> {
	try {
		const reservation = await open(target, 'wx');
		await reservation.close();
	} catch (error) {
		throw errorCode(error) === 'EEXIST' ? targetExists(target, error) : error;
	}

	try {
		await rename(file, target);
	} catch (error) {
		await rm(target, {force: true});
		throw error;
	}
}

export async function placeBeside(file: string, target: string, onPlacing: OnPlacing): Promise<string> {
	for (let number = 1; ; number++) {
		const name = number === 1 ? target : numbered(target, number);
		if (await lstat(name).catch(ignoreMissing)) {
			continue;
		}

		try {
			return await place(file, name, onPlacing);
		} catch (error) {
			if (!(error instanceof DownStreamError && error.code === 'target-exists')) {
				throw error;
			}
		}
	}
}

export async function replace(file: string, target: string, onPlacing: OnPlacing): Promise<string> {
	await announced(target, onPlacing, async () => rename(file, target));
	// If both names link to the same bytes, the rename does nothing.
	await rm(file, {force: true});
	return target;
}

/** Resolves with undefined if source and target are on different disks. */
export async function unlessCrossDevice(attempt: () => Promise<string>): Promise<string | undefined> {
	try {
		return await attempt();
	} catch (error) {
		if (errorCode(error) === 'EXDEV') {
			return undefined;
		}

		throw error;
	}
}
