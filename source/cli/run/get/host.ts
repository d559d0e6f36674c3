// The engine of a run: the running instance, or one of its own.
import {setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError, type AddRequest, type DownloadEngine} from '../../../downstream.ts';
import {start} from '../../../host/engine-host.ts';
import {attach} from '../../../host/find-instance.ts';
import {requestsFor, requestsForRemote} from '../../../requests/add-requests.ts';
import type {Settings} from '../../settings.ts';
import type {GetOutput} from './report.ts';

/** Limit of the attempts to start while other processes start too. */
const maxStarts = 10;
const startAgainMs = 200;
/** The end of the instance shows within this time after a failed call. */
const endShowsMs = 200;

/** The running instance, or an engine of our own. */
export type Host = {
	readonly downstream: DownloadEngine;
	/** `signal` ends the resolver of an item. */
	readonly requestsOf: (word: string, signal: AbortSignal) => Promise<AddRequest[]>;
	readonly isRemote: boolean;
	/** The instance has ended. */
	isLost(): boolean;
	/** Ends the lease, if there is one: the run has cleaned up the list itself. */
	release(): Promise<void>;
	dispose(): Promise<void>;
};

/** The instance has ended. Its downloads are in the storage folder: another host resumes them. */
export class HostLost extends Error {}

/**
 * Rejects with `storage-locked` if the running instance cannot be reached, and as `start` does. With a `lease`, the
 * additions and resumptions of a killed process are undone: by the instance, or at the next start.
 */
export async function findHost(settings: Settings, output: GetOutput, lease?: string): Promise<Host> {
	for (let starts = 1; ; starts++) {
		const client = await attach(settings.storageDir, lease);
		if (client) {
			// The client attaches to the next instance, which need not resume these downloads.
			let isLost = false;
			client.subscribe(() => {
				isLost ||= !client.isConnected;
			});
			return {
				downstream: client,
				requestsOf: (word, signal) => requestsForRemote(word, settings, signal),
				isRemote: true,
				isLost: () => isLost,
				async release() {
					if (lease !== undefined) {
						// An instance that has ended undoes nothing.
						await client.release().catch(() => undefined);
					}
				},
				dispose: () => client.dispose(),
			};
		}

		try {
			return await startHost(settings, output, lease);
		} catch (error) {
			const isTaken = error instanceof DownStreamError && error.code === 'storage-locked';
			if (!isTaken || starts === maxStarts) {
				throw error;
			}

			// Another one started in between.
			await sleep(startAgainMs);
		}
	}
}

async function startHost(settings: Settings, output: GetOutput, lease?: string): Promise<Host> {
	// Eviction waits until everything is exported.
	const running = await start({...settings, cacheSize: Infinity, fill: 'requested'});
	const {engine, leases} = running;
	for (const banner of engine.snapshot.banners) {
		output.error(banner);
	}

	if (lease !== undefined) {
		leases.connect(lease);
	}

	return {
		downstream: lease === undefined ? engine : leases.with(lease),
		requestsOf: (word, signal) => requestsFor(word, settings, signal),
		isRemote: false,
		isLost: () => false,
		async release() {
			if (lease !== undefined) {
				leases.release(lease);
			}
		},
		async dispose() {
			await engine.makeRoom(settings.cacheSize);
			await running.dispose();
		},
	};
}

export function refuseIfLost(host: Host): void {
	if (host.isLost()) {
		throw new HostLost();
	}
}

/** Rejects with `HostLost` if the end of the instance caused `error`. */
export async function refuseLost(host: Host, error: unknown): Promise<void> {
	if (host.isRemote && error instanceof DownStreamError && error.code === 'not-found') {
		await sleep(endShowsMs);
	}

	refuseIfLost(host);
}
