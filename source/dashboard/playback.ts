// The linked player in words: the mark of a row, and its line in the details. Pure.
import {isBegun, type Download} from '../downstream.ts';
import {cleanText} from '../text/clean-text.ts';
import {formatTime} from '../text/film-time.ts';

/** `► 41:07`; empty unless a player shows the film at a known time. */
export function playMark({position, playback}: Download, ascii: boolean): string {
	return playback && position ? `${ascii ? '>' : '►'} ${formatTime(position.ms)}` : '';
}

/** `mpv 0.38.0 · 41:07 of 1:35:02 · 1.0× · 0 stalls`; undefined without a linked player. */
export function playbackWords({position, playback}: Download, ascii: boolean): string | undefined {
	if (!playback) {
		return undefined;
	}

	const {player, durationMs, paused, speed, stalled, stalls} = playback;
	const place = position ? formatTime(position.ms) : 'starting';
	return [
		cleanText(player),
		durationMs === null ? place : `${place} of ${formatTime(durationMs)}`,
		...(paused ? ['paused'] : []),
		`${speed.toFixed(speed < 10 && Number.isInteger(speed * 10) ? 1 : 2)}${ascii ? 'x' : '×'}`,
		stalls === 1 ? '1 stall' : `${stalls} stalls`,
		...(stalled ? ['waiting for data'] : []),
	].join(ascii ? ' - ' : ' · ');
}

/** `41:07`, or `~41:00` where it is inferred; undefined unless the film was left in the middle. */
export function leftAt(download: Download): string | undefined {
	const {position} = download;
	return position && isBegun(download)
		? position.exact
			? formatTime(position.ms)
			: `~${formatTime(Math.round(position.ms / 60_000) * 60_000)}`
		: undefined;
}

/** Where the film is now, in milliseconds: the player reports about once a second. */
export function currentMs({position, playback}: Download, now: number): number {
	if (!position) {
		return 0;
	}

	const isMoving = playback !== null && !playback.paused && !playback.stalled;
	return position.ms + (isMoving ? Math.max(0, now - position.at) * playback.speed : 0);
}
