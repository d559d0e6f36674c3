// Messages of the status line and their log; pure.
import type {Download, DownloadError, DownloadId} from '../downstream.ts';
import {withFlag} from '../text/safe-words.ts';
import {cleanText} from '../text/clean-text.ts';
import {formatBytes, formatClock, formatDuration} from '../text/format.ts';

export type Message = {
	readonly text: string;
	readonly isError: boolean;
	/** Milliseconds since the epoch. */
	readonly at: number;
	/** The number of occurrences since the first one; absent for a single one. */
	readonly repeats?: {readonly count: number; readonly since: number};
};

/** A message about a change of a download. */
type Announcement = {
	readonly text: string;
	readonly isError: boolean;
	/** Milliseconds since the epoch; absent for a change of this moment. */
	readonly at?: number;
	/** Recorded in the messages only. */
	readonly isQuiet?: boolean;
	/** The download is complete: ring the bell. */
	readonly rings?: boolean;
};

const logLength = 500;
/** A command's result and a snapshot may carry the same news: one message for the same words within this time. */
const repeatMs = 1000;

/** Appends a message, in place of an earlier one with the same words, and drops the oldest beyond the limit. */
export function appended(log: readonly Message[], message: Message): readonly Message[] {
	const earlier = log.find(({text}) => text === message.text);
	if (!earlier) {
		return [...log.slice(1 - logLength), message];
	}

	const {count, since} = earlier.repeats ?? {count: 1, since: earlier.at};
	return [...log.filter(each => each !== earlier), {...message, repeats: {count: count + 1, since}}];
}

/** True if the newest message has the same words and is less than a second old. */
export function isRepeated(log: readonly Message[], {text, at}: Message): boolean {
	const newest = log.at(-1);
	return newest?.text === text && at - newest.at < repeatMs;
}

/** The completions, errors and exports since `before`. */
export function announcementsOf(
	downloads: readonly Download[],
	before: ReadonlyMap<DownloadId, Download>,
): Announcement[] {
	return downloads.flatMap(download => announcementsFor(download, before.get(download.id)));
}

function announcementsFor(download: Download, old: Download | undefined): Announcement[] {
	const found: Announcement[] = [];
	const {status, size, addedAt, completedAt, lastError, exportedTo} = download;
	const name = cleanText(download.name);
	if (old && completedAt !== null && old.completedAt === null) {
		const added = `added ${formatDuration((completedAt - addedAt) / 1000)} ago`;
		found.push({text: `Done: ${name} (${formatBytes(size ?? 0)}, ${added})`, isError: false, rings: true});
	}

	if (lastError && lastError.at !== old?.lastError?.at) {
		const isFinal = status === 'failed' || isOfExport(download, lastError);
		const {message, at} = lastError;
		found.push({text: `${name}: ${message}`, isError: true, at, isQuiet: !old || !isFinal});
	}

	if (old && exportedTo !== old.exportedTo && exportedTo !== null) {
		found.push({text: `Exported to ${exportedTo}`, isError: false});
	}

	return found;
}

/** An error after completion belongs to an export, which is not retried. */
export function isOfExport({completedAt}: Download, error: DownloadError): boolean {
	return completedAt !== null && completedAt <= error.at;
}

/** A line of the log. */
export function logLine({at, text, repeats}: Message, ascii = false): string {
	const line = `${formatClock(at)} ${withFlag(cleanText(text), ascii)}`;
	return repeats
		? `${line} (${ascii ? 'x' : '×'}${repeats.count} since ${formatClock(repeats.since)})`
		: line;
}
