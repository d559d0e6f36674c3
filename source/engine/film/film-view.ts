// The film of a download as clients see it. Pure.
import type {DownloadFilm} from '../../downstream.ts';
import type {PresentSet} from '../store/range-set.ts';
import type {FilmMap} from './film-map.ts';
import {forecast, playable, watchTo} from './playable.ts';
import {timeAt} from './playhead.ts';

/** `offset`: the next byte of the newest player. `bytesPerSecond`: 0 while nothing arrives. */
export function filmView(
	map: FilmMap,
	{present, isComplete}: {readonly present: PresentSet; readonly isComplete: boolean},
	offset: number | undefined,
	bytesPerSecond: number,
): DownloadFilm {
	const {durationMs, exact, index} = map;
	const position = offset === undefined ? 0 : timeAt(map, offset);
	const stretches = isComplete ? [[0, durationMs] as const] : playable(map, present);
	return {
		durationMs,
		exact,
		indexBytes: index.reduce((sum, {start, end}) => sum + end - start, 0),
		indexOffset: index.at(-1)?.start ?? 0,
		tracks: map.tracks.map(({kind, codec, language, width, height}) => ({
			kind,
			codec,
			language,
			width,
			height,
		})),
		playable: exact || isComplete ? stretches : [],
		position,
		// A player that has read the end is still there.
		watchTo: watchTo(stretches, Math.min(position, durationMs - 1)),
		...(isComplete
			? {stallAt: null, waitMs: 0, neededRate: 0}
			: forecast(map, present, position, bytesPerSecond)),
	};
}
