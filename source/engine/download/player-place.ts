// The place of a player in a film.
import type {FilmMap} from '../film/film-map.ts';
import type {PlayerPlace} from '../film/pledge.ts';
import {byteAt, timeAt} from '../film/playhead.ts';
import type {DownloadState} from './download-state.ts';

/**
 * The position of the linked player. Without one, the newest connected player: its inferred position, or its last read.
 * Without a player, the last position unless the film was watched to its end, else the last read. `now`: milliseconds
 * since the epoch.
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

	// The read that ended last counts: a request for the index at the end of the file ends earlier.
	const last = players.toSorted((a, b) => a.leftAt - b.leftAt).at(-1);
	const offset = connected ? (inferredOffset ?? connected.offset) : last?.offset;
	return offset === undefined ? undefined : {offset, ms: map && timeAt(map, offset)};
}
