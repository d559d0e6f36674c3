// Watches downloads: file, progress, players and outcome.
import {isDeepStrictEqual} from 'node:util';
import {
	byId,
	DownStreamError,
	isSettled,
	type Download,
	type DownloadEngine,
	type DownloadId,
	type Pledge,
} from '../downstream.ts';
import {snapshotsOf, until} from '../wait.ts';
import type {DownloadProgress, FileStats, PlayersState} from './types.ts';

type Watched = Pick<DownloadEngine, 'snapshot' | 'subscribe'>;

type Values<Value> = AsyncGenerator<Value, void, undefined>;

/** Signals that end an iteration: the instance's silently, the caller's with its reason. */
export type Endings = {readonly disposal: AbortSignal; readonly signal: AbortSignal | undefined};

export function progressOf({status, present, size}: Download): number {
	// The last bytes have not been recorded and verified yet.
	return status === 'complete' ? 100 : size ? Math.min(99.99, (100 * present) / size) : 0;
}

/**
 * Resolves once the download is complete and its planned export has ended. Rejects with the error that stops the
 * download, or with the reason of either signal.
 */
export async function whenComplete(engine: Watched, id: DownloadId, endings: Endings): Promise<Download> {
	const {download} = await until(
		engine,
		({downloads}) => {
			const found = byId(downloads, id);
			const isOver =
				!found || (isSettled(found) && !(found.status === 'complete' && found.exportWhenComplete !== null));
			return isOver ? {download: found} : undefined;
		},
		either(endings),
	);
	if (!download) {
		throw new DownStreamError('not-found', 'The download was removed');
	}

	if (download.status === 'cancelled') {
		throw new DownStreamError('incomplete', 'The download was cancelled; resumeDownload() continues it');
	}

	if (download.status === 'failed') {
		throw errorOf(download);
	}

	return download;
}

/**
 * Resolves once the pledge is met. Rejects with `incomplete` if it cannot be, `not-found` if it or the download is
 * removed, or with the reason of either signal.
 */
export async function whenSafe(
	engine: Watched,
	id: DownloadId,
	n: number,
	endings: Endings,
): Promise<Pledge> {
	const {pledge} = await until(
		engine,
		({downloads}) => {
			const pledge = byId(downloads, id)?.pledges.find(each => each.n === n);
			return pledge?.state === 'pending' ? undefined : {pledge};
		},
		either(endings),
	);
	if (!pledge) {
		throw new DownStreamError('not-found', 'The pledge was lifted, or the download removed');
	}

	if (pledge.state === 'impossible') {
		throw new DownStreamError('incomplete', pledge.reason ?? 'The stretch cannot be made safe');
	}

	return pledge;
}

/** For one download, until it is complete or removed. Throws the error of one that fails before its first response. */
export function fileStats(engine: Watched, id: DownloadId, endings: Endings): Values<FileStats> {
	return distinct(
		statesOf(engine, id, endings, ({status}) => status === 'complete'),
		download => {
			const {name, size, type, acceptsRanges, status} = download;
			if (acceptsRanges !== null) {
				return {fileName: name, totalSize: size, mimeType: type};
			}

			if (status === 'failed') {
				throw errorOf(download);
			}

			return undefined;
		},
	);
}

/** For one download, until it is removed. */
export function playersOf(engine: Watched, id: DownloadId, endings: Endings): Values<PlayersState> {
	return distinct(statesOf(engine, id, endings), ({players, playback, position}) => ({
		players,
		playback,
		position,
	}));
}

/** For one download, until it is complete, failed, cancelled or removed. */
export function progressOfOne(engine: Watched, id: DownloadId, endings: Endings): Values<DownloadProgress> {
	return distinct(statesOf(engine, id, endings, isSettled), progressEvent);
}

export async function* progressOfAll(engine: Watched, disposal: AbortSignal): Values<DownloadProgress> {
	const lastSent = new Map<DownloadId, DownloadProgress>();
	for await (const {downloads} of snapshotsOf(engine, disposal)) {
		for (const download of downloads) {
			const progress = progressEvent(download);
			if (!isDeepStrictEqual(progress, lastSent.get(download.id))) {
				lastSent.set(download.id, progress);
				yield progress;
			}
		}
	}
}

/** The values of `view`, without undefined ones and repetitions. */
async function* distinct<State, Value>(
	states: AsyncIterable<State>,
	view: (state: State) => Value | undefined,
): Values<Value> {
	let last: Value | undefined;
	for await (const state of states) {
		const value = view(state);
		if (value !== undefined && !isDeepStrictEqual(value, last)) {
			last = value;
			yield value;
		}
	}
}

/**
 * The current state, then the newest one whenever the consumer is ready, until the download is removed or `isLast` holds
 * for the state.
 */
async function* statesOf(
	engine: Watched,
	id: DownloadId,
	endings: Endings,
	isLast: (download: Download) => boolean = () => false,
): Values<Download> {
	for await (const {downloads} of snapshotsOf(engine, either(endings))) {
		const download = byId(downloads, id);
		if (!download) {
			return;
		}

		yield download;
		if (isLast(download)) {
			return;
		}
	}

	endings.signal?.throwIfAborted();
}

function either({disposal, signal}: Endings): AbortSignal {
	return signal ? AbortSignal.any([disposal, signal]) : disposal;
}

function progressEvent(download: Download): DownloadProgress {
	const {url, streamUrl, status, present, size, bytesPerSecond} = download;
	return {
		url,
		localUrl: streamUrl,
		status,
		progress: progressOf(download),
		receivedBytes: present,
		totalBytes: size,
		bytesPerSecond,
	};
}

/** The error of a failed download. */
function errorOf({error}: Download): DownStreamError {
	const {code, message, ...details} = error!;
	return new DownStreamError(code, message, details);
}
