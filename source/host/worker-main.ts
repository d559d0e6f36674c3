// The thread in which the engine and its proxy run while another one draws.
import {once} from 'node:events';
import process from 'node:process';
import {parentPort, workerData} from 'node:worker_threads';
import {addAll, requestsFor} from '../requests/add-requests.ts';
import {DownStreamError} from '../downstream.ts';
import type {ForEngineWorker, FromEngineWorker} from './worker-thread.ts';
import {start, type EngineHost} from './engine-host.ts';

async function startTold({settings}: ForEngineWorker): Promise<EngineHost | undefined> {
	try {
		return await start(settings);
	} catch (error) {
		if (!(error instanceof DownStreamError)) {
			throw error;
		}

		tell({refused: {code: error.code, message: error.message}});
		return undefined;
	}
}

function tell(message: FromEngineWorker): void {
	parentPort!.postMessage(message);
}

const given = workerData as ForEngineWorker;
const running = await startTold(given);
if (running) {
	const {engine} = running;
	tell({copy: {origin: engine.origin, key: engine.key}});
	const {urls, settings} = given;
	// Not waited for: a command that gives links may take its time.
	void addAll(
		engine,
		urls,
		word => requestsFor(word, settings),
		error => engine.addBanner(error.message),
	).then(([first]) => tell({added: first?.id}));
	await once(parentPort!, 'message');
	await running.dispose();
	process.exit();
}
