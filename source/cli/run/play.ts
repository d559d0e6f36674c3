// `play`: adds, waits for what it is, starts a player on the stream.
import {requestsFor, requestsForRemote} from '../../requests/add-requests.ts';
import {cleanText} from '../../text/clean-text.ts';
import {findDownload} from './manage.ts';
import {DownStreamError, type Download, type DownloadEngine} from '../../downstream.ts';
import {play} from '../../requests/launch-player.ts';
import {start} from '../../host/engine-host.ts';
import {attach} from '../../host/find-instance.ts';
import {until} from '../../wait.ts';
import {untilDone} from './serve.ts';
import {type Outcome, gaveUpLines} from '../output/patience.ts';
import type {Settings} from '../settings.ts';

/** So long the player is not started without name and type: where downloads are queued, it is the one who asks. */
const previewMs = 10_000;

/**
 * In the copy that runs on the storage folder, or in one of its own that goes on until the player has left and the file
 * is complete. Resolves with how it ended, or when the signal aborts. `word` may also name a download of the list.
 */
export async function playUrl(
	word: string,
	settings: Settings,
	say: (line: string) => void,
	stopped: AbortSignal,
): Promise<Outcome> {
	const client = await attach(settings.storageDir);
	if (client) {
		try {
			await startPlayer(client, word, {settings, isRemote: true, say, stopped});
			return 'done';
		} finally {
			await client.dispose();
		}
	}

	const running = await start({...settings, fill: 'requested-first'});
	const {engine} = running;
	try {
		const id = await startPlayer(engine, word, {settings, isRemote: false, say, stopped});
		say('This goes on until it is complete and no player has read it for 30 s; Ctrl+C ends it');
		const {giveUpAfter} = settings;
		const isMeant = (download: Download) => download.id === id;
		const outcome = await untilDone(engine, stopped, {isMeant, since: Date.now(), giveUpAfter});
		if (outcome === 'gave-up') {
			const [line = ''] = gaveUpLines(engine.snapshot.downloads.filter(isMeant), giveUpAfter);
			say(cleanText(line));
		}

		return outcome;
	} finally {
		await running.dispose();
	}
}

async function startPlayer(
	downstream: DownloadEngine,
	word: string,
	{
		settings,
		isRemote,
		say,
		stopped,
	}: {
		settings: Settings;
		isRemote: boolean;
		say: (line: string) => void;
		stopped: AbortSignal;
	},
): Promise<string> {
	const {id} = await findOrAdd(downstream, word, settings, isRemote);
	const download = await preview(downstream, id, stopped);
	if (stopped.aborted) {
		return id;
	}

	if (download?.status === 'failed') {
		const {code, message} = download.error ?? {code: 'not-found', message: 'it failed'};
		throw new DownStreamError(code, `${cleanText(download.name)}: ${message}`);
	}

	if (!download) {
		throw new DownStreamError('not-found', 'The download was removed');
	}

	const player = await play(download.streamUrl, {player: settings.player}).catch((error: unknown) => {
		throw new DownStreamError('not-found', error instanceof Error ? error.message : String(error));
	});
	say(`${player} plays ${cleanText(download.name)} from ${download.streamUrl}`);
	return id;
}

async function findOrAdd(
	downstream: DownloadEngine,
	word: string,
	settings: Settings,
	isOther: boolean,
): Promise<Download> {
	if (!/^[a-z][\w+.-]*:/i.test(word)) {
		return findDownload(downstream.snapshot.downloads, word);
	}

	const [request] = await (isOther ? requestsForRemote : requestsFor)(word, settings);
	const {download} = await downstream.add(request!);
	return download;
}

/** The download with its first response, or as it is after `previewMs`. Undefined if it was removed. */
async function preview(
	downstream: DownloadEngine,
	id: string,
	stopped: AbortSignal,
): Promise<Download | undefined> {
	const find = () => downstream.snapshot.downloads.find(download => download.id === id);
	const isReady = (download: Download | undefined) =>
		!download || download.acceptsRanges !== null || download.status === 'failed';
	const limit = AbortSignal.any([stopped, AbortSignal.timeout(previewMs)]);
	await until(downstream, () => isReady(find()) || undefined, limit).catch(() => undefined);
	return find();
}
