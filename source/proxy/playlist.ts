// Every download that can be streamed, as an extended M3U playlist. Pure.
import type {Download} from '../downstream.ts';

export function playlistOf(downloads: readonly Download[]): string {
	const entries = downloads
		.filter(({status, present}) => status !== 'cancelled' && !(status === 'failed' && present === 0))
		.map(({name, streamUrl}) => `#EXTINF:-1,${oneLine(name)}\n${oneLine(streamUrl)}\n`);
	return `#EXTM3U\n${entries.join('')}`;
}

/** A line break inside a name would start an entry of the origin's choice. */
function oneLine(text: string): string {
	return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}
