// Where in a film its player is, or was.
import type {FilmMap} from '../film/film-map.ts';
import type {PlayerPlace} from '../film/pledge.ts';
import {byteAt, timeAt} from '../film/playhead.ts';
import type {DownloadState} from './download-state.ts';

/**
 * What the linked player shows, else the newest connected one: as inferred, or as far as it has read. Else where the film
 * was left, unless it was watched to its end. `now`: milliseconds since the epoch.
 */
export function playerPlace(
	{readers, watching}: DownloadState,
	map: FilmMap | undefined,
	now: number,
): PlayerPlace | undefined {
	const {inferredOffset, playback, position} = watching;
	const players = readers.players(now);
	const connected = players.findLast(({openRequests}) => openRequests > 0);
	const isKnown = position !== null && (playback !== null || (!connected && !position.watched));
	if (map && isKnown) {
		return {offset: byteAt(map, position.ms), ms: position.ms};
	}

	// It reads ahead of the picture, and the index at the end in a request of its own, which ends first.
	const last = players.toSorted((a, b) => a.leftAt - b.leftAt).at(-1);
	const offset = connected ? (inferredOffset ?? connected.offset) : last?.offset;
	return offset === undefined ? undefined : {offset, ms: map && timeAt(map, offset)};
}
