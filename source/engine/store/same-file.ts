// Tells whether two files are the same, or have the same bytes.
import type {Stats} from 'node:fs';
import {stat, open} from 'node:fs/promises';
import path from 'node:path';
import {chunkSize, type ByteCopy} from './copy-bytes.ts';
import {numbered, ignoreMissing} from './export-target.ts';

/** Resolves with the path of a file that has the bytes of the source: the target or, with `keepBoth`, a numbered name. */
export async function identicalAt(
	request: ByteCopy,
	sourceStats: Stats,
	keepBoth: boolean,
): Promise<string | undefined> {
	const {target} = request;
	for (let number = 1; ; number++) {
		const candidate = number === 1 ? target : numbered(target, number);
		const present = await stat(candidate).catch(ignoreMissing);
		if (!present) {
			return undefined;
		}

		if (await isIdentical(request, sourceStats, candidate, present)) {
			return candidate;
		}

		if (!keepBoth) {
			return undefined;
		}
	}
}

/** The candidate has the bytes of the source. */
export async function isIdentical(
	{source, signal}: ByteCopy,
	sourceStats: Stats,
	candidate: string,
	present: Stats,
): Promise<boolean> {
	const mayBe = present.isFile() && present.size === sourceStats.size;
	return mayBe && (isSameInode(sourceStats, present) || (await haveSameBytes(source, candidate, signal)));
}

/** Of two files of the same size. */
async function haveSameBytes(one: string, other: string, signal: AbortSignal | undefined): Promise<boolean> {
	await using first = await open(one, 'r');
	await using second = await open(other, 'r');
	const buffers = [Buffer.allocUnsafe(chunkSize), Buffer.allocUnsafe(chunkSize)] as const;
	for (let offset = 0; ;) {
		signal?.throwIfAborted();
		const [a, b] = await Promise.all([
			first.read(buffers[0], 0, chunkSize, offset),
			second.read(buffers[1], 0, chunkSize, offset),
		]);
		const length = Math.min(a.bytesRead, b.bytesRead);
		if (length === 0) {
			return a.bytesRead === b.bytesRead;
		}

		if (!buffers[0].subarray(0, length).equals(buffers[1].subarray(0, length))) {
			return false;
		}

		offset += length;
	}
}

/** The same name, perhaps in another spelling; another link to the same bytes is not. */
export function isSamePath(source: string, sourceStats: Stats, target: string, present: Stats): boolean {
	return (
		isSameInode(sourceStats, present) &&
		(present.nlink === 1 || path.resolve(source) === path.resolve(target))
	);
}

function isSameInode(one: Stats, other: Stats): boolean {
	return one.ino === other.ino && one.dev === other.dev;
}
