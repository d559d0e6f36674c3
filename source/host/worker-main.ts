// The worker thread of the engine and its proxy; the main thread draws.
import {once} from 'node:events';
import process from 'node:process';
import {parentPort, workerData} from 'node:worker_threads';
import {addAll, requestsFor} from '../requests/add-requests.ts';
import {DownStreamError} from '../downstream.ts';
import type {ForEngineWorker, FromEngineWorker} from './worker-thread.ts';
import {start, type EngineHost} from './engine-host.ts';

async function startHost({settings}: ForEngineWorker): Promise<EngineHost | undefined> {
	try {
		return await start(settings);
	} catch (error) {
		if (!(error instanceof DownStreamError)) {
			throw error;
		}

		post({refused: {code: error.code, message: error.message}});
		return undefined;
	}
}

function post(message: FromEngineWorker): void {
	parentPort!.postMessage(message);
}

const input = workerData as ForEngineWorker;
const host = await startHost(input);
if (host) {
	const {engine} = host;
	post({instance: {origin: engine.origin, key: engine.key}});
	const {urls, settings} = input;
	// In parallel with the thread's life: resolving links may take long.
	void addAll(
		engine,
		urls,
		word => requestsFor(word, settings),
		error => engine.addBanner(error.message),
	).then(([first]) => post({added: first?.id}));
	await once(parentPort!, 'message');
	await host.dispose();
	process.exit();
}
