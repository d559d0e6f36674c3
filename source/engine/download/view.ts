// A download as everybody outside the engine sees it, made of what a transfer knows.
import type {Download, DownloadStatus} from '../../downstream.ts';
import type {DownloadRecord} from '../store/record.ts';
import {fileName, isPage, namesNoPage} from '../origin/file-info.ts';
import type {Readers} from '../fetch/readers.ts';
import type {RetryPolicy} from '../fetch/retry-policy.ts';
import type {Segments} from '../fetch/segments.ts';
import type {SparseFile} from '../store/sparse-file.ts';
import type {SpeedMeter} from '../fetch/speed-meter.ts';

export type ViewedFacts = {
	readonly record: DownloadRecord;
	readonly folder: string;
	readonly streamUrl: string;
	readonly status: DownloadStatus;
	readonly file: SparseFile;
	readonly meter: SpeedMeter;
	readonly readers: Readers;
	readonly segments: Segments;
	readonly retries: RetryPolicy;
	readonly maxConnections: number;
	readonly hostCeiling: number | null;
	readonly lastByteAt: number | null;
	readonly checkProgress: number | null;
	readonly exportProgress: number | null;
};

export function downloadView(facts: ViewedFacts, now: number): Download {
	const {record, file, meter, readers, segments, retries} = facts;
	const {present, size} = file;
	return {
		id: record.id,
		url: record.url,
		item: record.item ?? null,
		streamUrl: facts.streamUrl,
		name: nameOf(record),
		size: size === Infinity ? null : size,
		type: typeOf(record),
		status: facts.status,
		present: present.size,
		ranges: Array.from(present, ({start, end}) => [start, end] as const),
		bytesPerSecond: Math.round(meter.rate(3000, now)),
		bytesPerSecondLong: Math.round(meter.rate(20_000, now)),
		connections: segments.size,
		maxConnections: facts.maxConnections,
		hostCeiling: facts.hostCeiling,
		segments: Array.from(segments, segment => ({
			start: segment.start,
			offset: segment.offset,
			end: segment.end === Infinity ? null : segment.end,
			for: segment.for,
		})),
		players: readers.players(now).map(player => ({
			id: player.id,
			name: player.name,
			offset: player.offset,
			ready: present.runEnd(player.offset) - player.offset,
			blocked: player.blockedRequests > 0,
			connected: player.openRequests > 0,
		})),
		error: retries.blockingError ?? null,
		lastError: retries.lastError ?? null,
		retryAt: retries.retryAt ?? null,
		lastByteAt: facts.lastByteAt,
		addedAt: record.addedAt,
		completedAt: record.completedAt ?? null,
		acceptsRanges: record.acceptsRanges ?? null,
		validator: record.validator?.etag ?? record.validator?.weakEtag ?? record.validator?.lastModified ?? null,
		hasUnstableValidator: record.hasUnstableValidator ?? false,
		isPageForFile: isPageForFile(record),
		onDemand: record.onDemand,
		queueRank: queueRankOf(record),
		limitRate: record.limitRate ?? null,
		checksum: record.checksum ?? null,
		checkProgress: facts.checkProgress,
		exportProgress: facts.exportProgress,
		exportedTo: record.exportedTo ?? null,
		exportWhenComplete: record.exportWhenComplete?.path ?? null,
		folder: facts.folder,
	};
}

/** A web page or JSON document where a name says another file. A login page may call itself whatever it likes. */
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
