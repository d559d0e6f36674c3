// Finds the running instance of a storage folder.
import {readFile} from 'node:fs/promises';
import {hostname} from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {ControlClient, type Instance} from './control-client.ts';
import {DownStreamError} from '../downstream.ts';
import {storageOwner} from '../engine/store/storage-lock.ts';

/** An instance publishes its port within milliseconds; a command without a proxy ends soon. */
const startMs = 10_000;
const pollMs = 100;
/** An instance that is ending stops answering some time before it releases the folder. */
const endMs = 2000;

/**
 * Connects to the running instance; undefined if there is none. Rejects with `storage-locked` if the folder is in use by
 * a process without a control API, on another computer, or by an instance that does not respond. `lease`: its name.
 */
export async function attach(storageDir: string, lease?: string): Promise<ControlClient | undefined> {
	const find = async () => {
		const instance = await findInstance(storageDir);
		return instance && {...instance, lease};
	};
	const deadline = Date.now() + endMs;
	for (;;) {
		const instance = await find();
		if (!instance) {
			return undefined;
		}

		try {
			return await ControlClient.connect(instance, find);
		} catch (error) {
			if (Date.now() > deadline) {
				throw error instanceof DownStreamError && error.code === 'not-found'
					? new DownStreamError('storage-locked', error.message)
					: error;
			}
		}

		await sleep(pollMs);
	}
}

async function findInstance(storageDir: string): Promise<Instance | undefined> {
	for (let waited = 0; ; waited += pollMs) {
		const owner = await storageOwner(storageDir);
		if (!owner) {
			return undefined;
		}

		const {host, pid, origin} = owner;
		if (host !== hostname()) {
			throw new DownStreamError(
				'storage-locked',
				`downstream-tui is running on the computer ${host} with ${storageDir}`,
			);
		}

		// The key is sent to loopback only, whatever the lock file contains.
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
