// Renders a download's state as a symbol and a word. Color only repeats them.
import {hasExpired, isPledged, type Download, type DownloadError} from '../downstream.ts';
import {counted, formatBytes, formatDuration, formatPercent, formatSpeed, withoutUnit} from './format.ts';
import {hintFor} from './hints.ts';

/** Theme roles. */
type Tone = 'plain' | 'active' | 'done' | 'waiting' | 'failed';

type StateWords = {
	readonly symbol: string;
	/** Short form, for the speed column. */
	readonly word: string;
	/** Long form, for the title of the details pane. */
	readonly state: string;
	readonly tone: Tone;
};

/** Milliseconds without data after which a download has stalled. */
export const stalledMs = 5000;

export function stateWords(download: Download, now: number, ascii: boolean): StateWords {
	const pick = (unicode: string, plain: string) => (ascii ? plain : unicode);
	const {status} = download;
	switch (status) {
		case 'asking':
			return {symbol: pick('…', '.'), word: 'connecting', state: 'connecting', tone: 'active'};
		case 'active':
			return {symbol: pick('↓', 'D'), ...activeWords(download, now), tone: 'active'};
		case 'waiting': {
			const seconds = Math.max(0, Math.ceil(((download.retryAt ?? now) - now) / 1000));
			const due = formatDuration(seconds);
			return {
				symbol: '~',
				word: `retry ${seconds < 100 ? `${seconds}s` : due.replace(' ', '')}`,
				state: `waiting, retrying in ${due}`,
				tone: 'waiting',
			};
		}

		case 'queued':
			return !download.hostCeiling && download.onDemand && download.size !== null
				? {
						symbol: pick('·', 'Q'),
						word: 'on demand',
						state: 'fetches only what players request',
						tone: 'plain',
					}
				: {symbol: pick('·', 'Q'), word: 'queued', state: queueReason(download) ?? 'queued', tone: 'plain'};
		case 'paused': {
			const still = stillWords(download);
			const state = still === undefined ? 'paused' : `paused ${pick('·', '-')} ${still}`;
			return {symbol: pick('‖', 'P'), word: 'paused', state, tone: 'plain'};
		}

		case 'cancelled':
			return {symbol: pick('–', 'X'), word: 'stopped', state: 'stopped', tone: 'plain'};
		case 'exporting': {
			const percent = Math.floor((download.exportProgress ?? 0) * 100);
			return {symbol: pick('»', 'E'), word: `export ${percent}%`, state: 'exporting', tone: 'active'};
		}

		case 'checking': {
			const percent = Math.floor((download.checkProgress ?? 0) * 100);
			return {symbol: '=', word: `check ${percent}%`, state: 'checking', tone: 'active'};
		}

		case 'complete': {
			const substitute = substituteOf(download);
			return substitute
				? {symbol: '!', word: substitute.short, state: `done: ${substitute.words}`, tone: 'waiting'}
				: {symbol: pick('✓', 'C'), word: 'done', state: 'done', tone: 'done'};
		}

		case 'failed':
			return {symbol: pick('✗', 'F'), word: 'failed', state: 'failed', tone: 'failed'};
	}
}

/** The activities that pausing does not stop: `serving a player`, `making safe`; undefined if it stops everything. */
export function stillWords(download: Download): string | undefined {
	const parts = stillParts(download);
	return parts.length === 0 ? undefined : parts.join(', ');
}

/** The same, one by one, players first. */
export function stillParts(download: Download): readonly string[] {
	const players = connectedPlayers(download);
	return [
		...(players === 0 ? [] : [players === 1 ? 'serving a player' : `serving ${players} players`]),
		...(isPledged(download) ? ['making safe'] : []),
	];
}

/** An origin without Range support resends cached bytes from the start: data arrives, but none of it is new. */
function isComparing({bytesPerSecond, segments, ranges}: Download): boolean {
	return (
		bytesPerSecond === 0 &&
		segments.length > 0 &&
		segments.every(({offset}) => ranges.some(([start, end]) => start <= offset && offset < end))
	);
}

function activeWords(download: Download, now: number): Pick<StateWords, 'word' | 'state'> {
	return isSaving(download)
		? {word: 'saving', state: 'saving the last bytes'}
		: isComparing(download)
			? {word: 'comparing', state: 'comparing with downloaded data'}
			: {word: activeWord(download, now), state: 'downloading'};
}

/** Every byte is here, and the record of the last ones is under way. */
function isSaving({size, present, segments}: Download): boolean {
	return size !== null && present === size && segments.length === 0;
}

function activeWord({lastByteAt, bytesPerSecond, onDemand}: Download, now: number): string {
	const silent = lastByteAt === null ? 0 : now - lastByteAt;
	if (silent >= stalledMs) {
		return `stalled ${Math.floor(silent / 1000)}s`;
	}

	return onDemand && bytesPerSecond === 0 ? 'on demand' : formatSpeed(bytesPerSecond);
}

/** Seconds until completion, or Infinity if unknown. Players alone do not complete an on-demand download. */
export function secondsLeft({size, present, bytesPerSecondLong, status, onDemand}: Download): number {
	return status === 'active' && !onDemand && size !== null && bytesPerSecondLong > 0
		? (size - present) / bytesPerSecondLong
		: Infinity;
}

/** Why the download is queued, if its server or pledges rather than the queue hold it back. */
export function queueReason({hostCeiling, waitsForPledges}: Download): string | undefined {
	if (hostCeiling) {
		return `queued: this server allows ${counted(hostCeiling, 'connection')} at a time`;
	}

	return waitsForPledges ? 'queued: making others safe first' : undefined;
}

/** The blocking error with the key that resolves it, or another reason to wait. */
export function reason(download: Download, now: number): string | undefined {
	const {error, status} = download;
	if (status === 'queued') {
		return queueReason(download);
	}

	if (!error || (status !== 'failed' && status !== 'waiting')) {
		return undefined;
	}

	if (status === 'failed') {
		return withRemedy(error.message, error);
	}

	const {message, tries, maxTries} = error;
	const words = error.code === 'origin-busy' ? shortReason(error) : message;
	const count = maxTries === undefined ? `attempt ${tries}` : `${tries} of ${maxTries}`;
	return `${words}; retrying ${retryWords(download, now)}${tries === undefined ? '' : ` (${count})`}`;
}

/** The same, longest first: with the cause in full, and in a few words. */
export function reasons(download: Download, now: number): readonly string[] {
	const {error, status} = download;
	const long = reason(download, now);
	const short = error && status === 'failed' ? shortReason(error) : undefined;
	return long === undefined ? [] : [long, ...(short === undefined ? [] : [withRemedy(short, error!)])];
}

function withRemedy(words: string, error: DownloadError): string {
	const hint = hintFor(error, 'dashboard');
	return hint === undefined ? words : `${words}. ${hint}`.replace('..', '.');
}

/** The cause in a few words, for a narrow row. */
export function shortReason(error: DownloadError): string {
	const {code, status, message} = error;
	const mark = status === undefined ? '' : ` (${status})`;
	switch (code) {
		case 'origin-changed':
			return 'changed on the server';
		case 'origin-busy':
			return status !== undefined && status >= 500 && status !== 503
				? `server error${mark}`
				: `server busy${mark}`;
		case 'origin-unreachable':
			return 'server unreachable';
		case 'origin-sent-page':
			return 'web page, not the file';
		default:
			return status === 404
				? 'not found (404)'
				: status === 401
					? `login required${mark}`
					: hasExpired(error)
						? `link expired${mark}`
						: message;
	}
}

/** `in 55 s`, `in 4 m`. */
export function retryWords({retryAt}: Pick<Download, 'retryAt'>, now: number): string {
	const seconds = Math.max(0, Math.ceil(((retryAt ?? now) - now) / 1000));
	return `in ${seconds < 100 ? `${seconds} s` : `${Math.ceil(seconds / 60)} m`}`;
}

/** Names the content received instead of the file: `short` for a column, `words` for a sentence. */
type Substitute = {readonly short: string; readonly words: string};

/** Detects a playlist or a web page received instead of the film; returns undefined for any other file. */
export function substituteOf({
	type,
	name,
	isPageForFile,
}: Pick<Download, 'type' | 'name' | 'isPageForFile'>): Substitute | undefined {
	if (isPageForFile) {
		const isJson = type.endsWith('json');
		const words = `a ${isJson ? 'JSON document' : 'web page'} that the server sent in place of the file`;
		return {short: isJson ? 'JSON' : 'web page', words};
	}

	const isHls = /^(?:application|audio)\/(?:vnd\.apple\.|x-)?mpegurl$/.test(type) || /\.m3u8$/i.test(name);
	const isDash = type === 'application/dash+xml' || /\.mpd$/i.test(name);
	return isHls || isDash
		? {short: 'playlist', words: `a playlist (${isHls ? 'HLS' : 'DASH'}), not the film itself`}
		: undefined;
}

/** `167 of 600 MiB`; `900 KiB of 2.83 GiB` where the units differ. */
export function amount({present, size}: Pick<Download, 'present' | 'size'>): string {
	return size === null ? formatBytes(present) : `${withoutUnit(present, size)} of ${formatBytes(size)}`;
}

/** The share of the file that is stored, or the stored bytes if the size is unknown. */
export function share({present, size}: Download): string {
	return size === null ? formatBytes(present) : formatPercent(present, size);
}

export function connectedPlayers({players}: Download): number {
	return players.filter(({connected}) => connected).length;
}
