// The copy of the program that works on a storage folder, if there is one.
import {readFile} from 'node:fs/promises';
import {hostname} from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {ControlClient, type Instance} from './control-client.ts';
import {DownStreamError} from '../downstream.ts';
import {storageOwner} from '../engine/store/storage-lock.ts';

/** A copy that starts has its port after some milliseconds; one that works without a proxy is soon done. */
const startMs = 10_000;
const pollMs = 100;
/** A copy that ends answers no more a while before it has given the folder away. */
const endMs = 2000;

/** Attached to the copy that runs; undefined if none does. Rejects with `storage-locked` if it cannot be talked to. */
export async function attach(storageDir: string): Promise<ControlClient | undefined> {
	const patience = Date.now() + endMs;
	for (;;) {
		const copy = await findCopy(storageDir);
		if (!copy) {
			return undefined;
		}

		try {
			return await ControlClient.connect(copy, () => findCopy(storageDir));
		} catch (error) {
			if (Date.now() > patience) {
				throw error;
			}
		}

		await sleep(pollMs);
	}
}

async function findCopy(storageDir: string): Promise<Instance | undefined> {
	for (let waited = 0; ; waited += pollMs) {
		const owner = await storageOwner(storageDir);
		if (!owner) {
			return undefined;
		}

		const {host, pid, origin} = owner;
		if (host !== hostname()) {
			throw new DownStreamError('storage-locked', `A copy on the computer ${host} works on ${storageDir}`);
		}

		// The key goes to this computer alone, whatever the file says.
		if (origin !== undefined && /^http:\/\/127\.0\.0\.1:\d{1,5}$/.test(origin)) {
			const key = await readFile(path.join(storageDir, 'key'), 'utf8').catch(() => '');
			return {origin, key: key.trim()};
		}

		if (waited >= startMs) {
			throw new DownStreamError(
				'storage-locked',
				`downstream-tui is already running (pid ${pid}) on ${storageDir}`,
			);
		}

		await sleep(pollMs);
	}
}
