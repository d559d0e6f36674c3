// A download as the snapshot shows it, computed from its state.
import type {Download} from '../../downstream.ts';
import {lastingMs} from '../fetch/players.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import type {Film} from '../film/film.ts';
import {fileName, isPage, namesNoPage} from '../origin/file-info.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {DownloadState} from './download-state.ts';
import type {ForecastRate} from './forecast-rate.ts';
import {playerPlace} from './player-place.ts';
import type {Pledges} from './pledges.ts';
import {statusOf, wantsPlace} from './status.ts';

type ViewParts = {
	readonly scheduler: Scheduler;
	readonly film: Film;
	readonly pledges: Pledges;
	readonly forecastRate: ForecastRate;
};

/** `now`: milliseconds since the epoch. */
export function downloadView(
	state: DownloadState,
	{scheduler, film, pledges, forecastRate}: ViewParts,
	now: number,
): Download {
	const {file, meter, readers, recordFile, retries, services, watching} = state;
	const {folder, record} = recordFile;
	const {segments} = scheduler;
	const {present, size} = file;
	const name = nameOf(record);
	const status = statusOf(state, scheduler);
	const players = readers.players(now);
	const playback = watching.shown;
	const isPlaying = playback !== null || players.length > 0;
	const place = isPlaying ? playerPlace(state, film.map, now) : undefined;
	return {
		id: record.id,
		url: record.url,
		item: record.item ?? null,
		streamUrl: services.streamUrl(record.id, name),
		name,
		size: size === Infinity ? null : size,
		type: typeOf(record),
		status,
		present: present.size,
		ranges: Array.from(present, ({start, end}) => [start, end] as const),
		bytesPerSecond: Math.round(meter.rate(3000, now)),
		bytesPerSecondLong: Math.round(state.expectedRate(now)),
		connections: segments.size,
		maxConnections: state.maxConnections,
		hostCeiling: status === 'queued' ? scheduler.hostCeiling : null,
		waitsForPledges: status === 'queued' && state.places.yields && wantsPlace(state),
		segments: Array.from(segments, segment => ({
			start: segment.start,
			offset: segment.offset,
			end: segment.end === Infinity ? null : segment.end,
			for: segment.for,
		})),
		players: players.map(player => {
			const {id, name, offset, blockedRequests, openRequests} = player;
			const end = present.runEnd(offset);
			return {
				id,
				name,
				offset,
				ready: end - offset,
				readyMs: film.msBetween(offset, end) ?? lastingMs(player, end - offset, now) ?? null,
				blocked: blockedRequests > 0,
				connected: openRequests > 0,
			};
		}),
		pledges: pledges.views(now),
		position: watching.position,
		playback,
		error: retries.blockingError ?? null,
		lastError: retries.lastError ?? null,
		retryAt: retries.retryAt ?? null,
		lastByteAt: state.lastByteAt,
		addedAt: record.addedAt,
		completedAt: state.completedAt ?? null,
		acceptsRanges: record.acceptsRanges ?? null,
		validator: record.validator?.etag ?? record.validator?.weakEtag ?? record.validator?.lastModified ?? null,
		hasUnstableValidator: record.hasUnstableValidator ?? false,
		isPageForFile: isPageForFile(record),
		onDemand: record.onDemand,
		queueRank: queueRankOf(record),
		limitRate: record.limitRate ?? null,
		checksum: record.checksum ?? null,
		checkProgress: state.checkProgress,
		exportProgress: state.exportProgress,
		exportedTo: record.exportedTo ?? null,
		exportWhenComplete: record.exportWhenComplete?.path ?? null,
		film: film.view(place?.offset, forecastRate.at(now), pledges.ranges),
		filmProblem: film.problem,
		folder,
	};
}

/** Ignores the file name in the response: a login page may claim any name. */
export function isPageForFile(record: DownloadRecord): boolean {
	const {url, givenName = '', info} = record;
	return (
		isPage(info?.type, info?.size ?? Infinity) &&
		[givenName, nameOf(record), fileName({url: new URL(url)})].some(name => namesNoPage(name))
	);
}

export function nameOf({givenName, info, url}: DownloadRecord): string {
	return givenName ?? info?.name ?? fileName({url: new URL(url)});
}

export function typeOf({info}: DownloadRecord): string {
	return info?.type ?? 'application/octet-stream';
}

export function queueRankOf({queueRank, addedAt}: DownloadRecord): number {
	return queueRank ?? addedAt;
}
