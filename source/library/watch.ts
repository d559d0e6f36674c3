// Watches downloads: file, progress, players and outcome.
import {isDeepStrictEqual} from 'node:util';
import {
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
			const found = downloads.find(candidate => candidate.id === id);
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
			const pledge = downloads.find(each => each.id === id)?.pledges.find(each => each.n === n);
			return pledge?.state === 'pending' ? undefined : {pledge};
		},
		either(endings),
	);
	if (!pledge) {
		throw new DownStreamError('not-found', 'The pledge was lifted, or the download removed');
	}

	if (pledge.state === 'impossible') {
		throw new DownStreamError('incomplete', pledge.reason ?? 'It cannot be made safe');
	}

	return pledge;
}

/** For one download, until it is complete or removed. */
export async function* fileStats(
	engine: Watched,
	id: DownloadId,
	endings: Endings,
): AsyncGenerator<FileStats, void, undefined> {
	let last: FileStats | undefined;
	for await (const download of statesOf(engine, id, endings)) {
		const {name, size, type, acceptsRanges, status} = download;
		if (acceptsRanges !== null) {
			const stats = {fileName: name, totalSize: size, mimeType: type};
			if (!isDeepStrictEqual(stats, last)) {
				last = stats;
				yield stats;
			}
		} else if (status === 'failed') {
			throw errorOf(download);
		}

		if (status === 'complete') {
			return;
		}
	}
}

/** For one download, until it is removed. */
export async function* playersOf(
	engine: Watched,
	id: DownloadId,
	endings: Endings,
): AsyncGenerator<PlayersState, void, undefined> {
	let last: PlayersState | undefined;
	for await (const {players, playback, position} of statesOf(engine, id, endings)) {
		const state = {players, playback, position};
		if (!isDeepStrictEqual(state, last)) {
			last = state;
			yield state;
		}
	}
}

/** For one download, until it is complete, failed, cancelled or removed. */
export async function* progressOfOne(
	engine: Watched,
	id: DownloadId,
	endings: Endings,
): AsyncGenerator<DownloadProgress, void, undefined> {
	let last: DownloadProgress | undefined;
	for await (const download of statesOf(engine, id, endings)) {
		const progress = progressEvent(download);
		if (!isDeepStrictEqual(progress, last)) {
			last = progress;
			yield progress;
		}

		if (isSettled(download)) {
			return;
		}
	}
}

export async function* progressOfAll(
	engine: Watched,
	disposal: AbortSignal,
): AsyncGenerator<DownloadProgress, void, undefined> {
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

/** The current state, then the newest one whenever the consumer is ready, until the download is removed. */
async function* statesOf(
	engine: Watched,
	id: DownloadId,
	endings: Endings,
): AsyncGenerator<Download, void, undefined> {
	for await (const {downloads} of snapshotsOf(engine, either(endings))) {
		const download = downloads.find(candidate => candidate.id === id);
		if (!download) {
			return;
		}

		yield download;
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
