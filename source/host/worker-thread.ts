// Runs the engine and its proxy in a worker thread, so that drawing never delays a player's bytes.
import {once} from 'node:events';
import path from 'node:path';
import {Worker} from 'node:worker_threads';
import {ControlClient, type Instance} from './control-client.ts';
import {DownStreamError, type DownloadId, type ErrorCode} from '../downstream.ts';
import type {RequestSettings} from '../requests/add-requests.ts';
import type {HostSettings} from './engine-host.ts';

/** File contents live in reused buffers outside the heap. V8 would let 48 MB of the remaining garbage pile up. */
const maxYoungGenerationSizeMb = 8;

/** The URLs are added at the start; an error of one becomes a banner. */
export type ForEngineWorker = {
	readonly settings: HostSettings & RequestSettings;
	readonly urls: readonly string[];
};

/** First `instance` or `refused`, then `added` with the download of the first URL. */
export type FromEngineWorker =
	| {readonly instance: Instance}
	| {readonly refused: {readonly code: ErrorCode; readonly message: string}}
	| {readonly added: DownloadId | undefined};

export type EngineThread = {
	/** Talks to the thread as to any other running instance. */
	readonly downstream: ControlClient;
	/** Resolves with the download of the first URL once all are added; never if the thread ends first. */
	readonly added: Promise<DownloadId | undefined>;
	/** Closes connections, saves, and releases the port and the storage folder. */
	dispose(this: void): Promise<void>;
};

/**
 * Rejects with `storage-locked`, `port-taken` or `disk-failed`. An uncaught error of the worker ends the program, as one
 * of the main thread does.
 */
export async function startEngineThread(forWorker: ForEngineWorker): Promise<EngineThread> {
	// Next to this file, both in the source and in the bundle.
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
		throw new TypeError('The engine reported downloads before it was ready');
	}

	worker.on('error', error => {
		throw error;
	});
	const downstream = await ControlClient.connect(message.instance);
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
