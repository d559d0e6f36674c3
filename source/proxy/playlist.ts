// An extended M3U playlist of all streamable downloads. Pure.
import type {Download} from '../downstream.ts';

export function playlistOf(downloads: readonly Download[]): string {
	const entries = downloads
		.filter(({status, present}) => status !== 'cancelled' && !(status === 'failed' && present === 0))
		.map(({name, streamUrl}) => `#EXTINF:-1,${oneLine(name)}\n${oneLine(streamUrl)}\n`);
	return `#EXTM3U\n${entries.join('')}`;
}

/** A line break in a name would let the origin inject an entry. */
function oneLine(text: string): string {
	return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}
