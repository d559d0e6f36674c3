// `play --when-safe`: waits until a film plays through.
import {byId, isStopped, type Download, type DownloadEngine, type DownloadId} from '../../downstream.ts';
import {playsThrough} from '../../text/film-words.ts';
import {until} from '../../wait.ts';

/**
 * Resolves once playback from `startMs` will not stall; a file without a film map must be complete. Also resolves when the
 * download stops, is removed, or the signal aborts.
 */
export async function untilSafe(
	downstream: DownloadEngine,
	id: DownloadId,
	startMs: number,
	signal: AbortSignal,
): Promise<void> {
	const find = () => byId(downstream.snapshot.downloads, id);
	const isOver = (download: Download | undefined) =>
		!download || isStopped(download) || isSafe(download, startMs);
	await until(downstream, () => isOver(find()) || undefined, signal).catch(() => undefined);
}

/** The forecast applies to the start of the film; from any other position all bytes must be present. */
export function isSafe(download: Pick<Download, 'film' | 'completedAt'>, startMs: number): boolean {
	const {film, completedAt} = download;
	if (completedAt !== null || film === null) {
		return completedAt !== null;
	}

	return startMs === 0
		? playsThrough(download)
		: film.playable.some(([from, to]) => from <= startMs && to === film.durationMs);
}
