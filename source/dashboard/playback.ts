// The linked player in words: the mark of a row, and its line in the details. Pure.
import {isBegun, type Download, type Player, type Position} from '../downstream.ts';
import {cleanText} from '../text/clean-text.ts';
import {formatTime} from '../text/film-words.ts';
import {counted, formatDuration, inWords} from '../text/format.ts';

/** `► 41:07`, or `► ~41:00` where the time is inferred; empty unless a player shows the film at a known time. */
export function playMark({position, playback, players}: Download, ascii: boolean): string {
	const isPlaying =
		playback !== null || (position?.exact === false && players.some(({connected}) => connected));
	return isPlaying && position ? `${ascii ? '>' : '►'} ${positionWords(position)}` : '';
}

function positionWords({ms, exact}: Position): string {
	return exact ? formatTime(ms) : `~${formatTime(Math.round(ms / 60_000) * 60_000)}`;
}

/** The players in the bar: a linked one at its current picture, the others at their read position. */
export function barPlayers({players, playback}: Download): Array<Pick<Player, 'offset' | 'blocked'>> {
	const connected = players.filter(player => player.connected);
	return playback && playback.offset !== null
		? [{offset: playback.offset, blocked: playback.stalled}, ...connected.filter(isNoMpv)]
		: connected;
}

/**
 * All players but the linked one, whose requests read ahead of its picture, and those that left a film at a known time, which
 * says more than their last place in the file.
 */
export function otherPlayers(download: Download): readonly Player[] {
	const {players, playback} = download;
	return playback
		? players.filter(isNoMpv)
		: leftAt(download) === undefined
			? players
			: players.filter(({connected}) => connected);
}

/** Those that stop without this program: the connected ones, and a linked one that has all it needs. */
export function playerNames({players, playback}: Download): readonly string[] {
	const connected = players.filter(player => player.connected);
	const isLinkedIdle = playback !== null && connected.every(isNoMpv);
	return [...(isLinkedIdle ? [playback.player] : []), ...connected.map(({name}) => name)];
}

/** `mpv is playing`, `mpv and VLC are playing`. */
export function playingWords(names: readonly string[]): string {
	const shown = [...new Set(names.map(cleanText))];
	return `${inWords(shown)} ${shown.length === 1 ? 'is' : 'are'} playing`;
}

function isNoMpv({name}: Player): boolean {
	return !/^(?:mpv|Lavf)/.test(name);
}

/** `mpv 0.38.0 · 41:07 of 1:35:02 · 1.0× · sub en · 0 stalls`; undefined without a linked player. */
export function playbackWords({position, playback}: Download, ascii: boolean): string | undefined {
	if (!playback) {
		return undefined;
	}

	const {player, durationMs, paused, speed, stalled, stalls, subtitles} = playback;
	const place = position ? positionWords(position) : 'starting';
	return [
		cleanText(player),
		durationMs === null ? place : `${place} of ${formatTime(durationMs)}`,
		...(paused ? ['paused'] : []),
		`${speed.toFixed(speed < 10 && Number.isInteger(speed * 10) ? 1 : 2)}${ascii ? 'x' : '×'}`,
		...(subtitles === null ? [] : [`sub ${cleanText(subtitles)}`]),
		counted(stalls, 'stall'),
		...(stalled ? ['waiting for data'] : []),
	].join(ascii ? ' - ' : ' · ');
}

/** `41:07`, or `~41:00` where it is inferred; undefined unless the film was left in the middle. */
export function leftAt(download: Download): string | undefined {
	const {position} = download;
	return position && isBegun(download) ? positionWords(position) : undefined;
}

/** Where the film is now, in milliseconds: the player reports about once a second. */
export function currentMs({position, playback}: Download, now: number): number {
	if (!position) {
		return 0;
	}

	const isMoving = playback !== null && !playback.paused && !playback.stalled;
	return position.ms + (isMoving ? Math.max(0, now - position.at) * playback.speed : 0);
}

/** A player needs about this many milliseconds of the film to show a picture. */
const firstMs = 2000;

/**
 * The wait of a seek: `1:02:10 is not downloaded yet: about 4s`; undefined if the film can be watched there, or is unknown.
 */
export function missingWords({film, size, status}: Download, ms: number): string | undefined {
	if (!film || !size || status === 'complete' || film.playable.some(([from, to]) => from <= ms && ms < to)) {
		return undefined;
	}

	const {forecastRate} = film;
	const seconds = ((size / film.durationMs) * firstMs) / forecastRate;
	const wait = forecastRate > 0 ? `: about ${formatDuration(seconds)}` : '';
	return `${formatTime(ms)} is not downloaded yet${wait}`;
}
