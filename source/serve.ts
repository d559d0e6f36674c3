// Without a screen: plain lines that are only ever appended.
import process from 'node:process';
import {PlainLines, readyLine} from './plain-lines.ts';
import {addAll, start, type Running} from './running.ts';
import type {Settings} from './settings.ts';

/** How long no player may have read before a run that is done ends. */
const playersGoneMs = 30_000;

/** `serve`: until the signal aborts. */
export async function serve(
	urls: readonly string[],
	settings: Settings,
	stopped: AbortSignal,
): Promise<void> {
	const running = await start(settings, {headersForAll: urls.length === 0});
	try {
		const end = printLines(running, settings);
		await addFromCommandLine(running, urls, settings);
		await aborted(stopped);
		end();
	} finally {
		await running.dispose();
	}
}

/**
 * The dashboard where there is no terminal: ends when everything is done or failed and no player has read for
 * 30 s. Resolves with whether all went well.
 */
export async function serveUntilDone(
	urls: readonly string[],
	settings: Settings,
	stopped: AbortSignal,
): Promise<boolean> {
	const running = await start(settings);
	try {
		const end = printLines(running, settings);
		const allAdded = await addFromCommandLine(running, urls, settings);
		const allDone = await untilDone(running, stopped);
		end();
		return allAdded && allDone;
	} finally {
		await running.dispose();
	}
}

/** Prints what happens from now on; returns the function that prints what is left and ends it. */
export function printLines({engine}: Running, {json, storageDir}: Settings): () => void {
	const lines = new PlainLines({json});
	const ready = {url: engine.origin, key: engine.key, storage: storageDir, pid: process.pid};
	process.stdout.write(`${readyLine(ready, {json, now: Date.now()})}\n`);
	const print = () => {
		for (const line of lines.next(engine.snapshot, Date.now())) {
			process.stdout.write(`${line}\n`);
		}
	};

	const unsubscribe = engine.subscribe(print);
	print();
	return () => {
		unsubscribe();
		print();
	};
}

async function addFromCommandLine(
	running: Running,
	urls: readonly string[],
	settings: Settings,
): Promise<boolean> {
	let allAdded = true;
	await addAll(running, urls, settings, error => {
		allAdded = false;
		process.stderr.write(`downstream-tui: ${error.message}\n`);
	});
	return allAdded;
}

async function untilDone({engine}: Running, stopped: AbortSignal): Promise<boolean> {
	let lastPlayer = 0;
	let timer: NodeJS.Timeout | undefined;
	let wake = () => {};
	const unsubscribe = engine.subscribe(() => wake());
	const onStop = () => wake();
	stopped.addEventListener('abort', onStop);
	try {
		for (;;) {
			const {downloads} = engine.snapshot;
			const now = Date.now();
			lastPlayer = downloads.some(({players}) => players.length > 0) ? now : lastPlayer;
			const over = downloads.every(({status}) =>
				['complete', 'failed', 'cancelled', 'paused'].includes(status),
			);
			const rest = lastPlayer + playersGoneMs - now;
			if (stopped.aborted || (over && rest <= 0)) {
				return downloads.every(({status}) => status === 'complete');
			}

			await new Promise<void>(resolve => {
				wake = resolve;
				timer = setTimeout(resolve, over ? rest : playersGoneMs);
			});
			clearTimeout(timer);
		}
	} finally {
		stopped.removeEventListener('abort', onStop);
		unsubscribe();
	}
}

function aborted(signal: AbortSignal): Promise<void> {
	return new Promise(resolve => {
		if (signal.aborted) {
			resolve();
		}

		signal.addEventListener('abort', () => resolve(), {once: true});
	});
}
