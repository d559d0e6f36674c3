// The engine and its proxy in a thread of their own: what is drawn never delays a player's bytes.
import {once} from 'node:events';
import path from 'node:path';
import {Worker} from 'node:worker_threads';
import {ControlClient, type Instance} from './control-client.ts';
import {DownStreamError, type DownloadId, type ErrorCode} from '../downstream.ts';
import type {RequestSettings} from '../requests/add-requests.ts';
import type {HostSettings} from './engine-host.ts';

/** Bytes lie in blocks of our own; what else a stream leaves is little, and V8 would let 48 MB of it gather. */
const maxYoungGenerationSizeMb = 8;

/** The URLs are added at the start; what is wrong with one of them becomes a banner. */
export type ForEngineWorker = {
	readonly settings: HostSettings & RequestSettings;
	readonly urls: readonly string[];
};

/** First `copy` or `refused`, then `added`: what became of the first of the URLs. */
export type FromEngineWorker =
	| {readonly copy: Instance}
	| {readonly refused: {readonly code: ErrorCode; readonly message: string}}
	| {readonly added: DownloadId | undefined};

export type EngineThread = {
	/** Speaks to the thread as to any other copy that runs. */
	readonly downstream: ControlClient;
	/** Resolves with the first download of the URLs once they are added; not at all if the thread ends before. */
	readonly added: Promise<DownloadId | undefined>;
	/** Ends players and connections, saves, frees the port and the storage folder. */
	dispose(this: void): Promise<void>;
};

/**
 * Rejects with `storage-locked`, `port-taken` or `disk-failed`. An error that nobody foresaw ends the program, as one of
 * this thread does.
 */
export async function startEngineThread(forWorker: ForEngineWorker): Promise<EngineThread> {
	// Beside this file, in the source as in the bundle.
	const file = new URL(`worker-main${path.extname(import.meta.url)}`, import.meta.url);
	const worker = new Worker(file, {workerData: forWorker, resourceLimits: {maxYoungGenerationSizeMb}});
	const ended = new Promise<void>(resolve => {
		worker.on('exit', () => resolve());
	});
	const added = new Promise<DownloadId | undefined>(resolve => {
		worker.on('message', (message: FromEngineWorker) => {
			if ('added' in message) {
				resolve(message.added);
			}
		});
	});
	const [message] = (await once(worker, 'message')) as [FromEngineWorker];
	if ('refused' in message) {
		throw new DownStreamError(message.refused.code, message.refused.message);
	}

	if ('added' in message) {
		throw new TypeError('The engine has added before it was ready');
	}

	worker.on('error', error => {
		throw error;
	});
	const downstream = await ControlClient.connect(message.copy);
	return {
		downstream,
		added,
		async dispose() {
			await downstream.dispose();
			worker.postMessage('dispose');
			await ended;
		},
	};
}
