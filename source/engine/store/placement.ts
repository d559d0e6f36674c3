// Gives a finished file its final name: only a free one, the first free number, or that of an existing file.
import type {Stats} from 'node:fs';
import {link, lstat, rm, open, readFile, rename} from 'node:fs/promises';
import {errorCode} from './disk-error.ts';
import {ignoreMissing, targetExists, numbered} from './export-target.ts';
import {DownStreamError} from '../../downstream.ts';

/** Error codes of disks, and of Windows, that do not support hard links. */
const linkUnsupportedCodes = new Set(['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EISDIR']);

type Steps = {
	/** Called with the name that the file is about to take, and with undefined if it does not take it. */
	readonly onPlacing?: ((target: string | undefined) => Promise<void>) | undefined;
	/** The content of a file that reserves a name. */
	readonly mark: string;
};

/** Gives a file its final name, or rejects with `target-exists`. A symbolic link counts as existing. */
export async function place(file: string, target: string, steps: Steps): Promise<string> {
	await announced(target, steps, async () => takeName(file, target, steps));
	await rm(file, {force: true});
	return target;
}

async function takeName(file: string, target: string, {mark}: Steps): Promise<void> {
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

		await takeByReservation(file, target, mark);
	}
}

async function announced(target: string, {onPlacing}: Steps, take: () => Promise<void>): Promise<void> {
	await onPlacing?.(target);
	try {
		await take();
	} catch (error) {
		await onPlacing?.(undefined);
		throw error;
	}
}

/** For disks without hard links: a file with the mark reserves the name until the rename. */
async function takeByReservation(file: string, target: string, mark: string): Promise<void> {
	try {
		await using reservation = await open(target, 'wx');
		await reservation
			.writeFile(mark)
			.then(async () => reservation.sync())
			// A full disk has no room for the mark.
			.catch(() => undefined);
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

/** A file without the mark, even an empty one, belongs to somebody else. */
export async function isReservation(file: string, found: Stats, mark: string): Promise<boolean> {
	return found.isFile() && found.size === Buffer.byteLength(mark) && (await readFile(file, 'utf8')) === mark;
}

export async function placeBeside(file: string, target: string, steps: Steps): Promise<string> {
	for (let number = 1; ; number++) {
		const name = number === 1 ? target : numbered(target, number);
		if (await lstat(name).catch(ignoreMissing)) {
			continue;
		}

		try {
			return await place(file, name, steps);
		} catch (error) {
			if (!(error instanceof DownStreamError && error.code === 'target-exists')) {
				throw error;
			}
		}
	}
}

export async function replace(file: string, target: string, steps: Steps): Promise<string> {
	await announced(target, steps, async () => rename(file, target));
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
