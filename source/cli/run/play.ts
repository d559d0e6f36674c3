// `play`: adds a URL, waits for the first response, and starts a player on the stream.
import {once} from 'node:events';
import process from 'node:process';
import {createInterface} from 'node:readline/promises';
import {requestsFor, requestsForRemote} from '../../requests/add-requests.ts';
import {cleanText} from '../../text/clean-text.ts';
import {messageOf} from '../../text/message-of.ts';
import {formatTime} from '../../text/film-words.ts';
import {findDownload} from './find-download.ts';
import {byId, continuedMs, DownStreamError, type Download, type DownloadEngine} from '../../downstream.ts';
import {playDownload} from '../../requests/launch-player.ts';
import {start} from '../../host/engine-host.ts';
import {attach} from '../../host/find-instance.ts';
import {until} from '../../wait.ts';
import {untilDone} from './serve.ts';
import {isSafe, untilSafe} from './when-safe.ts';
import {type Outcome, gaveUpLines} from '../output/patience.ts';
import type {Settings} from '../settings.ts';

/** The longest wait for name and type: a queued download starts only when the player asks. */
const previewMs = 10_000;

/**
 * Plays from the running instance, or from a new one that runs until the file is complete and the player has left.
 * Resolves with the outcome, also when the signal aborts. `word` is a URL, or names a download of the list.
 */
export async function playUrl(
	word: string,
	settings: Settings,
	print: (line: string) => void,
	stopped: AbortSignal,
): Promise<Outcome> {
	const client = await attach(settings.storageDir);
	if (client) {
		try {
			await startPlayer(client, word, {settings, isRemote: true, print, stopped});
			return 'done';
		} finally {
			await client.dispose();
		}
	}

	const host = await start({...settings, fill: 'requested-first'});
	const {engine} = host;
	try {
		const id = await startPlayer(engine, word, {settings, isRemote: false, print, stopped});
		print('Running until the download is complete and the player has quit; Ctrl+C quits');
		const {giveUpAfter} = settings;
		const isIncluded = (download: Download) => download.id === id;
		const outcome = await untilDone(engine, stopped, {isIncluded, since: Date.now(), giveUpAfter});
		if (outcome === 'gave-up') {
			const [line = ''] = gaveUpLines(engine.snapshot.downloads.filter(isIncluded), giveUpAfter);
			print(cleanText(line));
		}

		return outcome;
	} finally {
		await host.dispose();
	}
}

async function startPlayer(
	downstream: DownloadEngine,
	word: string,
	{
		settings,
		isRemote,
		print,
		stopped,
	}: {
		settings: Settings;
		isRemote: boolean;
		print: (line: string) => void;
		stopped: AbortSignal;
	},
): Promise<string> {
	const {id} = await findOrAdd(downstream, word, {settings, isRemote, stopped});
	const download = await preview(downstream, id, stopped);
	if (stopped.aborted) {
		return id;
	}

	if (download?.status === 'failed') {
		const {error} = download;
		throw new DownStreamError(
			error?.code ?? 'not-found',
			`${cleanText(download.name)}: ${error?.message ?? 'download failed'}`,
			error ?? {},
		);
	}

	if (!download) {
		throw new DownStreamError('not-found', 'The download was removed');
	}

	const startMs = await startOf(download, settings, stopped);
	if (settings.whenSafe && !isSafe(download, startMs)) {
		print('Waiting until it plays through without a stall');
		await untilSafe(downstream, id, startMs, stopped);
	}

	if (stopped.aborted) {
		return id;
	}

	const player = await playDownload(downstream, download, {player: settings.player, startMs}).catch(
		(error: unknown) => {
			throw new DownStreamError('not-found', messageOf(error));
		},
	);
	const place = startMs > 0 ? ` at ${formatTime(startMs)}` : '';
	print(`${player} is playing ${cleanText(download.name)}${place} from ${download.streamUrl}`);
	return id;
}

/** Milliseconds. Without a terminal to ask on, the film resumes. */
async function startOf(download: Download, settings: Settings, stopped: AbortSignal): Promise<number> {
	const left = continuedMs(download);
	if (left === 0 || settings.continue === 'never') {
		return 0;
	}

	return settings.continue === 'always' || !process.stdin.isTTY || (await asks(left, stopped)) ? left : 0;
}

async function asks(ms: number, signal: AbortSignal): Promise<boolean> {
	const lines = createInterface({input: process.stdin, output: process.stderr});
	// In raw mode Ctrl+C is a key.
	lines.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
	const ended = once(lines, 'close').then(() => '');
	try {
		const question = lines.question(`Continue at ${formatTime(ms)}? [Y/n] `, {signal});
		return !/^\s*n/i.test(await Promise.race([question, ended]));
	} catch {
		// Interrupted.
		return true;
	} finally {
		lines.close();
	}
}

async function findOrAdd(
	downstream: DownloadEngine,
	word: string,
	{settings, isRemote, stopped}: {settings: Settings; isRemote: boolean; stopped: AbortSignal},
): Promise<Download> {
	if (!/^[a-z][\w+.-]*:/i.test(word)) {
		return findDownload(downstream.snapshot.downloads, word);
	}

	const [request] = await (isRemote ? requestsForRemote : requestsFor)(word, settings, stopped);
	const {download} = await downstream.add(request!);
	return download;
}

/** Waits for the first response, for `previewMs` at most. Undefined if the download was removed. */
async function preview(
	downstream: DownloadEngine,
	id: string,
	stopped: AbortSignal,
): Promise<Download | undefined> {
	const find = () => byId(downstream.snapshot.downloads, id);
	const isReady = (download: Download | undefined) =>
		!download || download.acceptsRanges !== null || download.status === 'failed';
	const limit = AbortSignal.any([stopped, AbortSignal.timeout(previewMs)]);
	await until(downstream, () => isReady(find()) || undefined, limit).catch(() => undefined);
	return find();
}
