// A film in words: its length and the times that can be watched.
import type {Download, DownloadFilm, FilmProblem} from '../downstream.ts';
import {firstFitting} from './clean-text.ts';
import {formatDuration, formatSpeed} from './format.ts';

/** `0:41`, `4:52`, `1:02:10`: rounded down. */
export function formatTime(ms: number): string {
	const seconds = Math.floor(ms / 1000);
	const pad = (value: number) => String(value).padStart(2, '0');
	const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
	return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
}

/** A short span of time: `45s`, `4m`, `1h 12m`. */
function roughly(ms: number): string {
	return ms < 60_000
		? formatDuration(ms / 1000)
		: formatDuration(Math.floor(ms / 60_000) * 60).replace('00s', '');
}

/** Playback from the position would stall now, while bytes arrive. */
export function willStall({film, status}: Pick<Download, 'film' | 'status'>): boolean {
	return film !== null && status === 'active' && film.stallAt !== null && film.waitMs !== null;
}

/** At the rate of the forecast, playback from the position on never stalls. */
export function playsThrough({film}: Pick<Download, 'film'>): boolean {
	return film !== null && film.stallAt === null;
}

/** The facts of a download that say what can be watched. */
type Watchable = Pick<Download, 'film' | 'status' | 'completedAt' | 'playback' | 'players'>;

/**
 * `to 1:02:10 of 1:35:02`, `50:10–1:02:10 of 1:35:02`, `stalls in 4m · wait 3m20s`, `all of 1:27:40`, `none of 1:27:40 yet`,
 * `41:07 as it arrives`; `~` marks an estimate. Empty without a film. The stretch is the one around the position of the player, or the next one.
 */
export function watchWords(download: Watchable, ascii = false): string {
	const {film, completedAt} = download;
	if (film === null) {
		return '';
	}

	const {durationMs, exact, position, stallAt} = film;
	const about = exact || completedAt !== null ? '' : '~';
	const wait = waitWords(download);
	if (wait !== undefined) {
		return stallAt! > position
			? `stalls in ${about}${roughly(stallAt! - position)} ${ascii ? '-' : '·'} ${wait}`
			: wait;
	}

	if (isWhole(film)) {
		return `all of ${formatTime(durationMs)}`;
	}

	const stretch = nextStretch(film);
	if (!stretch) {
		return noneWords(film, isShowing(download));
	}

	const [from, to] = stretch;
	const start = from === 0 ? `to ${about}` : `${formatTime(from)}${ascii ? '-' : '–'}`;
	return `${start}${formatTime(to)} of ${formatTime(durationMs)}`;
}

/** The stretch around the position, or the first one after it; an estimate counts as one from the start. */
function nextStretch(film: DownloadFilm): readonly [fromMs: number, toMs: number] | undefined {
	const {exact, playable, position, watchTo} = film;
	const estimate = exact || playable.length > 0 || watchTo === null ? [] : [[0, watchTo] as const];
	return [...visibleStretches(film), ...estimate].find(
		([, to]) => formatTime(to) !== formatTime(position) && to > position,
	);
}

/**
 * A player shows the film now: the bytes that it needs arrive, although no whole stretch is on disk. Players read as far ahead as
 * they can, so one that waits for bytes may show earlier ones.
 */
function isShowing({playback, players}: Pick<Download, 'playback' | 'players'>): boolean {
	return playback ? !playback.stalled : players.some(({connected}) => connected);
}

/**
 * `none of 10:00 yet`, `none from 5:00` where only earlier stretches can be watched, or `5:00 as it arrives` while a player
 * shows it.
 */
function noneWords(film: DownloadFilm, isShown: boolean): string {
	const {durationMs, position} = film;
	if (isShown) {
		return `${formatTime(position)} as it arrives`;
	}

	return visibleStretches(film).length === 0
		? `none of ${formatTime(durationMs)} yet`
		: `none from ${formatTime(position)}`;
}

/** A player would pass the others before they show. */
function visibleStretches({playable}: DownloadFilm): DownloadFilm['playable'] {
	return playable.filter(([from, to]) => formatTime(from) !== formatTime(to));
}

/** `wait 3m20s`: until it plays through. Undefined unless it would stall now. */
export function waitWords(download: Pick<Download, 'film' | 'status'>): string | undefined {
	const {film} = download;
	return film !== null && willStall(download)
		? `wait ${film.exact ? '' : '~'}${formatDuration(film.waitMs! / 1000)}`
		: undefined;
}

/** `→1:02:10`, `50:10→` for a stretch after the position, `all`, `none`, or `41:07` while a player shows it, for a narrow column. */
export function shortWatchWords(download: Watchable, ascii = false): string {
	const {film, completedAt} = download;
	const stretch = film && nextStretch(film);
	if (film === null || isWhole(film) || !stretch) {
		return film === null
			? ''
			: isWhole(film)
				? 'all'
				: isShowing(download)
					? formatTime(film.position)
					: 'none';
	}

	const about = film.exact || completedAt !== null ? '' : '~';
	const arrow = ascii ? '>' : '→';
	const [from, to] = stretch;
	return from > film.position ? `${formatTime(from)}${arrow}` : `${arrow}${about}${formatTime(to)}`;
}

/** `to 1:02:10 of 1:35:02` without the length of the film. */
export function withoutLength(words: string, {film}: Pick<Download, 'film'>): string {
	return film === null ? words : words.replace(` of ${formatTime(film.durationMs)}`, '');
}

function isWhole({playable, durationMs}: DownloadFilm): boolean {
	const [first] = playable;
	return first?.[0] === 0 && first[1] === durationMs;
}

const codecNames: Readonly<Record<string, string>> = {
	avc: 'H.264',
	hevc: 'H.265',
	vp8: 'VP8',
	vp9: 'VP9',
	av1: 'AV1',
	aac: 'AAC',
	mp3: 'MP3',
	opus: 'Opus',
	vorbis: 'Vorbis',
	flac: 'FLAC',
	ac3: 'AC-3',
	eac3: 'E-AC-3',
};

/** `52:03 · H.264 1920×1080, AAC en`. */
export function filmWords({durationMs, exact, tracks}: DownloadFilm, ascii = false): string {
	const described = tracks.map(({kind, codec, language, width, height}) =>
		[
			codec === null ? kind : (codecNames[codec] ?? (codec.startsWith('pcm') ? 'PCM' : codec)),
			width !== null && height !== null ? `${width}${ascii ? 'x' : '×'}${height}` : undefined,
			language ?? undefined,
		]
			.filter(word => word !== undefined)
			.join(' '),
	);
	return `${exact ? '' : '~'}${formatTime(durationMs)} ${ascii ? '-' : '·'} ${described.join(', ')}`;
}

/**
 * `0:41 – 4:52, then 50:10 – 52:03`: as many stretches as fit in `cells`, at most four. `; none from 30:00` or `; 30:00 as it
 * arrives` follows where none is around or after the position of the player.
 */
export function playableWords(
	film: DownloadFilm,
	download: Pick<Download, 'playback' | 'players'>,
	ascii = false,
	cells = Infinity,
): string {
	const isShown = isShowing(download);
	return firstFitting(
		[4, 3, 2, 1].map(count => stretchWords(film, isShown, ascii, count)),
		cells,
	);
}

function stretchWords(film: DownloadFilm, isShown: boolean, ascii: boolean, count: number): string {
	const {playable, exact, watchTo, durationMs} = film;
	const dash = ascii ? '-' : '–';
	if (!exact && playable.length === 0 && nextStretch(film)) {
		return `to ~${formatTime(watchTo!)} of ${formatTime(durationMs)}`;
	}

	const visible = visibleStretches(film);
	if (visible.length === 0 || isWhole(film)) {
		return isWhole(film) ? `all of ${formatTime(durationMs)}` : noneWords(film, isShown);
	}

	const shown = visible.slice(0, count).map(([from, to]) => `${formatTime(from)} ${dash} ${formatTime(to)}`);
	const more = visible.length - shown.length;
	const none = nextStretch(film) ? '' : `; ${noneWords(film, isShown)}`;
	return `${shown.join(', then ')}${more > 0 ? `, and ${more} more` : ''}${none}`;
}

/** Undefined for a complete download, and without a rate to forecast with. */
export function forecastWords(download: Download): string | undefined {
	const {film} = download;
	if (
		film === null ||
		download.completedAt !== null ||
		download.status !== 'active' ||
		film.forecastRate === 0
	) {
		return undefined;
	}

	const speed = `at ${formatSpeed(film.forecastRate)}`;
	if (playsThrough(download)) {
		return `${speed} it plays through`;
	}

	const wait = `started in ${formatDuration(film.waitMs! / 1000)}`;
	const remedy =
		film.neededRate > film.forecastRate ? `${wait}, or at ${formatSpeed(film.neededRate)},` : wait;
	return `${speed} it stalls at ${formatTime(film.stallAt!)}; ${remedy} it plays through`;
}

const problems: Readonly<Record<FilmProblem, string>> = {
	damaged: 'it is damaged or of an unknown kind',
	'no-duration': 'it does not state the duration',
	'no-tracks': 'it lists no video and no audio',
	'past-end': 'a sample lies past the end of the file',
	scattered: 'it lies in too many places',
	'too-large': 'it is too large',
	'too-slow': 'it takes too long to read',
};

/** `its index cannot be read (it is too large)`. */
export function problemWords(problem: FilmProblem): string {
	return `its index cannot be read (${problems[problem]})`;
}
