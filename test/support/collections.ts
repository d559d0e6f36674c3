// Storage folders with many downloads, each paused and partially cached.
import {randomBytes} from 'node:crypto';
import {mkdir, truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {TestContext} from 'node:test';
import type {DownloadRecord} from '../../source/engine/store/record.ts';
import {temporaryFolder} from './engines.ts';

const KiB = 1024;
const size = 100 * KiB * KiB;

/** `held`: cached bytes of each. */
export async function collectionOf(t: TestContext, downloads: number, held = 64 * KiB): Promise<string> {
	const storage = await temporaryFolder(t);
	for (let index = 0; index < downloads; index++) {
		const id = randomBytes(16).toString('hex');
		const folder = path.join(storage, id);
		const entry: DownloadRecord = {
			version: 1,
			id,
			url: `http://127.0.0.1:9/film-number-${index}.mkv`,
			headers: {},
			info: {name: `film-number-${index}.mkv`, type: 'video/x-matroska', size},
			acceptsRanges: true,
			validator: {etag: '"v1"'},
			ranges: [[0, held]],
			intent: 'pause',
			onDemand: false,
			addedAt: Date.UTC(2026, 0, 1) + index,
		};
		await mkdir(folder, {mode: 0o700});
		await writeFile(path.join(folder, 'entry.json'), JSON.stringify(entry), {mode: 0o600});
		await writeFile(path.join(folder, 'data'), randomBytes(held));
		await truncate(path.join(folder, 'data'), size);
	}

	return storage;
}
