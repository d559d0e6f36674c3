// The events between two snapshots, as lines of a log or as JSON objects.
import {cleanText} from '../../text/clean-text.ts';
import {filmWords, formatTime, playsThrough} from '../../text/film-words.ts';
import {formatBytes, formatClock, formatDuration, formatPercent, formatSpeed} from '../../text/format.ts';
import {amount, secondsLeft, substituteOf} from '../../text/status-words.ts';
import {isFetching, type Download, type DownloadId, type Snapshot} from '../../downstream.ts';
import {safeJson} from '../../text/escape-controls.ts';
import {maskUrl} from '../../text/mask-url.ts';
import {withHint} from '../../text/hints.ts';
import {Waits, type Wait} from './patience.ts';

type Style = {readonly json: boolean};

/** Events of a download reported so far. */
type Reported = {
	/** Its number in the list at the last report. */
	number: number;
	download: Download;
	/** Time of the last report. */
	at: number;
	/** Milliseconds of fetching up to then: without the queue, pauses and earlier runs. */
	fetchingMs: number;
	progressAt: number;
	progressTenth: number;
	players: Set<string>;
	isDone: boolean;
	film: boolean;
	playsThrough: boolean;
	readonly waits: Waits;
};

type Event = {readonly event: string; readonly text: string; readonly [field: string]: unknown};

const progressMs = 30_000;
/** A log reports errors immediately. A silent server is not an event. */
const reportAtOnce = {error: 0, silence: Infinity};

/** The first line: the proxy is ready. */
export function readyLine(
	ready: {url: string; key: string; viewKey: string; storage: string; pid: number},
	{json, now}: Style & {now: number},
): string {
	return json ? safeJson({event: 'ready', ...ready}) : `${formatClock(now)} serving ${ready.url}`;
}

export class EventLines {
	readonly #json: boolean;
	readonly #reported = new Map<DownloadId, Reported>();
	readonly #banners = new Set<string>();

	constructor({json}: Style) {
		this.#json = json;
	}

	/** The lines for the events since the last call. `now`: milliseconds since the epoch. */
	next(snapshot: Snapshot, now: number): string[] {
		const lines: string[] = [];
		for (const text of snapshot.banners) {
			if (!this.#banners.has(text)) {
				this.#banners.add(text);
				lines.push(
					this.#json ? safeJson({event: 'notice', message: text}) : `${formatClock(now)} ${cleanText(text)}`,
				);
			}
		}

		const present = new Set<DownloadId>();
		for (const [index, download] of snapshot.downloads.entries()) {
			present.add(download.id);
			lines.push(...this.#changesOf(download, index + 1, now));
		}

		for (const [id, {number, download}] of this.#reported) {
			if (!present.has(id)) {
				this.#reported.delete(id);
				lines.push(this.#line(number, download, {event: 'removed', text: 'removed'}, now));
			}
		}

		return lines;
	}

	/** `number`: its place in the list, which shrinks when an earlier download is removed. */
	#changesOf(download: Download, number: number, now: number): string[] {
		const before = this.#reported.get(download.id);
		if (before) {
			before.number = number;
		}

		if (before?.download === download) {
			return [];
		}

		const reported = before ?? {
			number,
			download,
			at: now,
			fetchingMs: 0,
			progressAt: now,
			progressTenth: 0,
			players: new Set<string>(),
			isDone: false,
			film: false,
			playsThrough: false,
			waits: new Waits(reportAtOnce),
		};
		reported.fetchingMs += isFetching(reported.download) ? now - reported.at : 0;
		const events = before ? [] : [addedEvent(download)];
		if (download.size !== null && (!before || before.download.size === null)) {
			events.push(infoEvent(download));
		}

		// In the first snapshot, disconnected players are old news; later, a player may connect and disconnect between two snapshots.
		const arrived = download.players.filter(({id, connected}) =>
			before ? !reported.players.has(id) : connected,
		);
		events.push(...arrived.map(player => playerEvent(download, player)));
		reported.players = new Set(download.players.map(({id}) => id));

		events.push(
			...filmEvents(reported, download),
			...doneEvents(reported, download),
			...statusEvents(before?.download, download),
			...waitEvents(reported.waits.next(download, now), download),
			...progressEvents(reported, download, now),
		);
		reported.download = download;
		reported.at = now;
		this.#reported.set(download.id, reported);
		return events.map(event => this.#line(reported.number, download, event, now));
	}

	#line(number: number, {id}: Download, {text, event, ...fields}: Event, now: number): string {
		return this.#json
			? safeJson({event, id, ...fields})
			: `${formatClock(now)} [${number}] ${cleanText(text)}`;
	}
}

function addedEvent({name, url, streamUrl}: Download): Event {
	const masked = maskUrl(url);
	return {event: 'added', url: masked, name: cleanText(name), streamUrl, text: `added  ${name}  ${masked}`};
}

function infoEvent({name, size, type, acceptsRanges, streamUrl}: Download): Event {
	const ranges = acceptsRanges === false ? 'no' : 'yes';
	return {
		event: 'info',
		name: cleanText(name),
		size,
		type,
		ranges: acceptsRanges !== false,
		streamUrl,
		text: `size ${formatBytes(size ?? 0)}, ranges ${ranges}, stream ${streamUrl}`,
	};
}

function playerEvent({size}: Download, {name, offset}: Download['players'][number]): Event {
	const place = size ? formatPercent(Math.min(offset, size - 1), size) : formatBytes(offset);
	return {
		event: 'player',
		name: cleanText(name),
		offset,
		text: `player ${name} connected, reading at ${place}`,
	};
}

/** The index is known; the film plays through from now on. Each is reported once, and only the first for a complete film. */
function filmEvents(reported: Reported, download: Download): Event[] {
	const {film, completedAt} = download;
	if (film === null) {
		reported.film = false;
		reported.playsThrough = false;
		return [];
	}

	const events: Event[] = [];
	if (!reported.film) {
		reported.film = true;
		const {durationMs, exact} = film;
		events.push({event: 'film', durationMs, exact, text: `film  ${filmWords(film)}`});
	}

	if (!reported.playsThrough && playsThrough(download)) {
		reported.playsThrough = true;
		const {position} = film;
		const from = position > 0 ? ` from ${formatTime(position)}` : '';
		events.push(
			...(completedAt === null
				? [{event: 'plays-through', fromMs: position, text: `plays through${from} without a stall`}]
				: []),
		);
	}

	return events;
}

/** Reported once, even if it is exported at the same moment. */
function doneEvents(reported: Reported, download: Download): Event[] {
	const {size, completedAt} = download;
	if (completedAt === null || reported.isDone) {
		reported.isDone = completedAt !== null;
		return [];
	}

	reported.isDone = true;
	const {fetchingMs} = reported;
	const took = fetchingMs === 0 ? '' : ` in ${formatDuration(fetchingMs / 1000)}`;
	const substitute = substituteOf(download)?.words;
	const note = substitute === undefined ? '' : `; it is ${substitute}`;
	return [{event: 'done', size, text: `done  ${formatBytes(size ?? 0)}${took}${note}`}];
}

function statusEvents(before: Download | undefined, download: Download): Event[] {
	const {status, error, exportedTo} = download;
	const events: Event[] = [];
	if (status !== before?.status) {
		if (status === 'failed') {
			events.push({
				event: status,
				code: error?.code,
				message: error?.message,
				text: `failed  ${error ? withHint(error) : ''}`,
			});
		} else if (status === 'paused' || status === 'cancelled') {
			events.push({event: status, text: status});
		}
	}

	if (exportedTo !== null && exportedTo !== (before?.exportedTo ?? null) && before) {
		events.push({event: 'exported', path: exportedTo, text: `exported to ${exportedTo}`});
	}

	return events;
}

function waitEvents(wait: Wait | undefined, {error, retryAt, hostCeiling}: Download): Event[] {
	switch (wait?.reason) {
		case undefined:
		case 'over':
		case 'silence':
			return [];
		case 'queued':
			return [{event: 'queued', connections: hostCeiling, text: wait.words.replace(':', ' ')}];
		default:
			return [
				{
					event: 'waiting',
					code: wait!.reason,
					message: error?.message ?? '',
					retryAt,
					text: `waiting  ${wait!.words}`,
				},
			];
	}
}

/** At every 10 %, at most once in 30 s. */
function progressEvents(reported: Reported, download: Download, now: number): Event[] {
	const {size, present, bytesPerSecond, status} = download;
	const tenth = size ? Math.floor((present * 10) / size) : Math.floor(present / (100 * 1024 * 1024));
	if (status !== 'active' || tenth <= reported.progressTenth || now - reported.progressAt < progressMs) {
		return [];
	}

	reported.progressTenth = tenth;
	reported.progressAt = now;
	const known = `${size === null ? '' : `${formatPercent(present, size)}  `}${amount(download)}`;
	const seconds = secondsLeft(download);
	const left = Number.isFinite(seconds) ? `  ${formatDuration(seconds)} left` : '';
	return [
		{
			event: 'progress',
			present,
			size,
			bytesPerSecond,
			text: `${known}  ${formatSpeed(bytesPerSecond)}${left}`,
		},
	];
}
