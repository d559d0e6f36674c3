// The film of a download as clients see it. Pure.
import type {DownloadFilm} from '../../downstream.ts';
import type {PresentSet, Range} from '../store/range-set.ts';
import type {FilmMap} from './film-map.ts';
import {forecast, playable, watchTo} from './playable.ts';
import {timeAt} from './playhead.ts';

type FilmProgress = {
	/** The next byte of the newest player. */
	readonly offset: number | undefined;
	/** Bytes per second. */
	readonly forecastRate: number;
	/** Missing ranges of pledges, which precede what no player reads. */
	readonly pledged: readonly Range[];
};

export function filmView(
	map: FilmMap,
	{present, isComplete}: {readonly present: PresentSet; readonly isComplete: boolean},
	{offset, forecastRate, pledged}: FilmProgress,
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
			: forecast(map, present, position, forecastRate, pledged)),
		forecastRate,
	};
}
