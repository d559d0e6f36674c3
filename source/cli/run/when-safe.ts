// `play --when-safe`: waits for the moment from which a film plays through.
import {isStopped, type Download, type DownloadEngine, type DownloadId} from '../../downstream.ts';
import {playsThrough} from '../../text/film-words.ts';
import {until} from '../../wait.ts';

/**
 * Resolves once playback from `startMs` needs no byte that does not come in time, or none at all: a file without minutes
 * is awaited as a whole. Also resolves when the download stops, is removed, or the signal aborts.
 */
export async function untilSafe(
	downstream: DownloadEngine,
	id: DownloadId,
	startMs: number,
	signal: AbortSignal,
): Promise<void> {
	const find = () => downstream.snapshot.downloads.find(download => download.id === id);
	const isOver = (download: Download | undefined) =>
		!download || isStopped(download) || isSafe(download, startMs);
	await until(downstream, () => isOver(find()) || undefined, signal).catch(() => undefined);
}

/** The forecast is that of the start: from another place on, all has to be here. */
export function isSafe(download: Pick<Download, 'film' | 'completedAt'>, startMs: number): boolean {
	const {film, completedAt} = download;
	if (completedAt !== null || film === null) {
		return completedAt !== null;
	}

	return startMs === 0
		? playsThrough(download)
		: film.playable.some(([from, to]) => from <= startMs && to === film.durationMs);
}
