// Runs without a dashboard: plain lines, appended only.
import process from 'node:process';
import {createInterface} from 'node:readline';
import {addAll, requestsFor, requestsForTyped} from '../../requests/add-requests.ts';
import {cleanText} from '../../text/clean-text.ts';
import {withHint} from '../../text/hints.ts';
import {isAtRest, type Download, type DownloadEngine, type DownloadId} from '../../downstream.ts';
import {gaveUpLines, lookMs, QuietTime, type Outcome} from '../output/patience.ts';
import {Repl, replHelp} from './repl.ts';
import {printError} from '../output/print-error.ts';
import {EventLines, readyLine} from '../output/event-lines.ts';
import {aborted} from '../../wait.ts';
import {start, type EngineHost} from '../../host/engine-host.ts';
import type {Settings} from '../settings.ts';

/** A finished run ends once no player has been connected for this long: unlinked players connect again after a pause. */
const playersGoneMs = 30_000;

/** `serve`: runs until the signal aborts. */
export async function serve(
	urls: readonly string[],
	settings: Settings,
	stopped: AbortSignal,
): Promise<void> {
	const host = await start(settings, {headersForAll: urls.length === 0});
	try {
		const end = printLines(host, settings);
		await addFromCommandLine(host, urls, settings, stopped);
		await aborted(stopped);
		end();
	} finally {
		await host.dispose();
	}
}

/**
 * The program without a command and without a dashboard. On a terminal it takes typed commands until `quit`. Otherwise
 * it ends once everything is done, has failed or has received no data for `giveUpAfter`, and the players have left (`untilDone`).
 * It serves while the URLs are still being read.
 */
export async function serveUntilDone(
	urls: readonly string[] | Promise<readonly string[]>,
	settings: Settings,
	stopped: AbortSignal,
): Promise<Outcome> {
	const host = await start(settings);
	try {
		const end = printLines(host, settings);
		const given = await Promise.race([urls, aborted(stopped).then(() => [])]);
		const allAdded = await addFromCommandLine(host, given, settings, stopped);
		const hasCommands = process.stdin.isTTY && !settings.json;
		if (settings.keep && !hasCommands) {
			await aborted(stopped);
		}

		const {giveUpAfter} = settings;
		const outcome = await (hasCommands
			? untilQuit(host, settings, stopped)
			: untilDone(host.engine, stopped, {giveUpAfter}));
		end();
		if (outcome === 'gave-up') {
			for (const line of gaveUpLines(host.engine.snapshot.downloads, giveUpAfter)) {
				printError(line);
			}
		}

		return allAdded ? outcome : 'failed';
	} finally {
		await host.dispose();
	}
}

/** Prints an event as it happens; returns a function that prints the last ones and stops. */
export function printLines({engine}: EngineHost, {json, storageDir}: Settings): () => void {
	const events = new EventLines({json});
	const {origin: url, key, viewKey} = engine;
	const ready = {url, key, viewKey, storage: storageDir, pid: process.pid};
	process.stdout.write(`${readyLine(ready, {json, now: Date.now()})}\n`);
	const print = () => {
		for (const line of events.next(engine.snapshot, Date.now())) {
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

/** Resolves with whether all were added. */
async function addFromCommandLine(
	{engine}: EngineHost,
	urls: readonly string[],
	settings: Settings,
	stopped: AbortSignal,
): Promise<boolean> {
	let allAdded = true;
	const requestsOf = (word: string) => requestsFor(word, settings, stopped);
	try {
		await addAll(
			engine,
			urls,
			requestsOf,
			error => {
				allAdded = false;
				printError(withHint(error));
			},
			settings.places,
		);
	} catch (error) {
		if (!stopped.aborted) {
			throw error;
		}
	}

	return allAdded;
}

async function untilQuit({engine}: EngineHost, settings: Settings, stopped: AbortSignal): Promise<Outcome> {
	const repl = new Repl(engine, word => requestsForTyped(word, settings));
	const input = createInterface({input: process.stdin, signal: stopped});
	process.stdout.write(`Commands:\n${replHelp.join('\n')}\n`);
	for await (const line of input) {
		const {lines: answer, isOver} = await repl.run(line);
		for (const text of answer) {
			process.stdout.write(`${cleanText(text)}\n`);
		}

		process.stdout.write(repl.question);
		if (isOver) {
			break;
		}
	}

	input.close();
	return engine.snapshot.downloads.every(({status}) => status !== 'failed') ? 'done' : 'failed';
}

/**
 * Resolves once no download is in progress and the players of each have left: a linked one at its end, others after 30 s
 * without a connection, counted from `since` (milliseconds since the epoch) at the earliest. Downloads without data for
 * `giveUpAfter` ms are no longer in progress.
 */
export async function untilDone(
	downstream: DownloadEngine,
	stopped: AbortSignal,
	{
		isIncluded = () => true,
		since = 0,
		giveUpAfter = Infinity,
	}: {isIncluded?: (download: Download) => boolean; since?: number; giveUpAfter?: number} = {},
): Promise<Outcome> {
	const quiet = new QuietTime();
	/** When each download last had a player; -Infinity once its linked one has ended. */
	const lastPlayers = new Map<DownloadId, number>();
	const linked = new Set<DownloadId>();
	let timer: NodeJS.Timeout | undefined;
	let wake = () => {};
	const unsubscribe = downstream.subscribe(() => wake());
	const onStop = () => wake();
	stopped.addEventListener('abort', onStop);
	try {
		for (;;) {
			const downloads = downstream.snapshot.downloads.filter(download => isIncluded(download));
			const now = Date.now();
			for (const {id, playback, players} of downloads) {
				if (playback) {
					linked.add(id);
				}

				if (playback || players.some(({connected}) => connected)) {
					lastPlayers.set(id, now);
				} else if (linked.has(id)) {
					lastPlayers.set(id, -Infinity);
				}
			}

			const lastPlayer = Math.max(...downloads.map(({id}) => lastPlayers.get(id) ?? since));
			const isOver = downloads.every(download => isAtRest(download));
			const isFinished = isOver || quiet.look(downloads, now) >= giveUpAfter;
			const rest = lastPlayer + playersGoneMs - now;
			if (stopped.aborted || (isFinished && rest <= 0)) {
				const isDone = downloads.every(({status}) => status === 'complete');
				return isDone ? 'done' : isOver || stopped.aborted ? 'failed' : 'gave-up';
			}

			await new Promise<void>(resolve => {
				wake = resolve;
				timer = setTimeout(resolve, isFinished ? rest : lookMs);
			});
			clearTimeout(timer);
		}
	} finally {
		clearTimeout(timer);
		stopped.removeEventListener('abort', onStop);
		unsubscribe();
	}
}
