// An extended M3U playlist of all streamable downloads. Pure.
import {isBegun, type Download} from '../downstream.ts';

/** `onlyBegun`: films with a position in the middle, most recent first. Players resume there. */
export function playlistOf(downloads: readonly Download[], {onlyBegun = false} = {}): string {
	const listed = onlyBegun
		? downloads.filter(isBegun).toSorted((a, b) => b.position!.at - a.position!.at)
		: downloads;
	const entries = listed
		.filter(({status, present}) => status !== 'cancelled' && !(status === 'failed' && present === 0))
		.map(
			download =>
				`#EXTINF:-1,${oneLine(download.name)}\n${startOption(download)}${oneLine(download.streamUrl)}\n`,
		);
	return `#EXTM3U\n${entries.join('')}`;
}

/** An option of VLC, in seconds. */
function startOption(download: Download): string {
	return isBegun(download) ? `#EXTVLCOPT:start-time=${Math.floor(download.position!.ms / 1000)}\n` : '';
}

/** A line break in a name would let an origin inject an entry. */
function oneLine(text: string): string {
	return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}
