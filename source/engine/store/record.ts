// The record of one download: what is stored of it, and the check of what is read back, field by field.
import {
	errorKinds,
	type DownloadError,
	type DownloadId,
	type ErrorCode,
	type ExportRequest,
} from '../../downstream.ts';
import {
	array,
	boolean,
	connections,
	count,
	exportRequest,
	integer,
	nullable,
	object,
	oneOf,
	optional,
	record,
	rule,
	text,
	type Schema,
} from '../../schema.ts';
import {parseChecksum} from './block-checksums.ts';
import {safeFileName} from './file-name.ts';
import type {FileIdentity} from './sparse-file.ts';

/** Names one version of the bytes: a strong ETag, else Last-Modified with the size (RFC 9110 section 8.8). */
export type Validator = {
	/** A strong ETag with its quotes, as it came; undefined when there is none or it is weak. */
	readonly etag?: string;
	/** A weak ETag as it came, such as `W/"1"`: one that differs may name another version, an equal one proves nothing. */
	readonly weakEtag?: string;
	/** The Last-Modified header as it came. */
	readonly lastModified?: string;
};

/** Times are milliseconds since the epoch. */
export type DownloadRecord = {
	readonly version: 1;
	readonly id: DownloadId;
	readonly url: string;
	/** A data source of a program's own fetches it, which no record can hold; `url` may be of any scheme. */
	readonly ownSource?: boolean;
	/** What the URL was resolved from, and the words of the command that did it: it is asked again when the URL has expired. */
	readonly item?: string;
	readonly resolveWith?: readonly string[];
	readonly headers: Readonly<Record<string, string>>;
	readonly userAgent?: string;
	/** Upstream proxy. */
	readonly proxy?: string;
	readonly connections?: number;
	/** The name to save as, instead of the one that the origin says. */
	readonly givenName?: string;
	/** From the first answer; a size of null is unknown. */
	readonly info?: {readonly name: string; readonly type?: string; readonly size: number | null};
	readonly acceptsRanges?: boolean;
	/** Of the version that the bytes are of. */
	readonly validator?: Validator;
	/** The validator does not keep its value: the version is known by its bytes alone. */
	readonly hasUnstableValidator?: boolean;
	/** Durable bytes, half-open. */
	readonly ranges: ReadonlyArray<readonly [start: number, end: number]>;
	/** The file that holds them, as it was after the last checkpoint. */
	readonly dataFile?: FileIdentity;
	/** Those of blocks that are not whole, as far as they were written in order, with their CRC-32. */
	readonly pieces?: ReadonlyArray<readonly [start: number, end: number, crc: number]>;
	/** What the user wants of it. */
	readonly intent: 'run' | 'pause' | 'cancel';
	readonly onDemand: boolean;
	readonly addedAt: number;
	/** Place in the queue: smaller first; `addedAt` unless it was moved. */
	readonly queueRank?: number;
	/** Bytes per second. */
	readonly limitRate?: number;
	/** What the whole file must have, as `sha256:…`. */
	readonly checksum?: string;
	/** Another download has taken its URL over; this one keeps the bytes of the old version. */
	readonly superseded?: boolean;
	/** How many versions of the file were held before this one. */
	readonly startedOver?: number;
	/** Blocks whose checksums were recorded last, while it runs: looked at again when it did not end by itself. */
	readonly unsettled?: readonly number[];
	/** Where it was copied to while bytes were missing. */
	readonly exportedPartTo?: string;
	readonly completedAt?: number;
	/** When a player began or ended to read it last, to the minute. */
	readonly readAt?: number;
	readonly exportedTo?: string;
	readonly exportWhenComplete?: ExportRequest;
	/** Where the bytes are since they were moved out of the store. */
	readonly movedTo?: string;
	/** It is off the list; `delete`: its folder is about to go. */
	readonly removed?: 'keep' | 'delete';
	readonly error?: DownloadError;
};

/** The record cannot be trusted; the message says why. */
export class InvalidRecord extends Error {}

/** Throws `InvalidRecord` unless `stored` is a record of this version with this id. */
export function checkRecord(stored: object, id: DownloadId): DownloadRecord {
	const {version} = stored as {version?: unknown};
	if (typeof version === 'number' && version > 1) {
		throw new InvalidRecord(`it was written by a newer version of this program (record version ${version})`);
	}

	const entry = downloadRecord.read(stored, (expected, path) => {
		throw new InvalidRecord(`${['record', ...path].join('.')} is not ${expected}`);
	});
	if (entry.id !== id) {
		throw new InvalidRecord(`its record is that of download ${entry.id}`);
	}

	if (!entry.ownSource && !/^https?:/i.test(entry.url)) {
		throw new InvalidRecord('record.url is not an http or https URL');
	}

	return entry;
}

/** Becomes a part of paths and of the screen, and another program may have written the record. */
const name: Schema<string> = {
	read(value, refuse) {
		const stored = text.read(value, refuse);
		return /^\.|[\\/\p{C}]/u.test(stored) ? safeFileName(stored) : stored;
	},
};
const number = rule('a number', (value): value is number => Number.isFinite(value));
/** Within the range of `Date`. */
const time = rule(
	'a time',
	(value): value is number => typeof value === 'number' && Math.abs(value) <= 8.64e15,
);
const checksum = rule('a checksum', (value): value is string => {
	try {
		return text.accepts(value) && parseChecksum(value) !== undefined;
	} catch {
		return false;
	}
});
const words = rule(
	'a list of words',
	(value): value is string[] => Array.isArray(value) && value.length > 0 && value.every(text.accepts),
);
const url = rule('a URL', (value): value is string => text.accepts(value) && URL.canParse(value));

const downloadRecord = object<DownloadRecord>({
	version: rule('1', value => value === 1),
	id: text,
	url,
	ownSource: optional(boolean),
	item: optional(text),
	resolveWith: optional(words),
	headers: record(text),
	userAgent: optional(text),
	proxy: optional(text),
	connections: optional(connections),
	givenName: optional(name),
	info: optional(
		object<NonNullable<DownloadRecord['info']>>({
			name,
			type: optional(text),
			size: nullable(count),
		}),
	),
	acceptsRanges: optional(boolean),
	validator: optional(
		object<Validator>({
			etag: optional(text),
			weakEtag: optional(text),
			lastModified: optional(text),
		}),
	),
	hasUnstableValidator: optional(boolean),
	ranges: array('a list of ranges', isRange),
	dataFile: optional(object<FileIdentity>({inode: number, size: count, modifiedAt: number})),
	pieces: optional(array('a list of pieces', isPiece)),
	intent: oneOf('run', 'pause', 'cancel'),
	onDemand: boolean,
	addedAt: time,
	queueRank: optional(number),
	limitRate: optional(integer(1)),
	checksum: optional(checksum),
	superseded: optional(boolean),
	startedOver: optional(count),
	unsettled: optional(array('a list of numbers', count.accepts)),
	exportedPartTo: optional(text),
	completedAt: optional(time),
	readAt: optional(time),
	exportedTo: optional(text),
	exportWhenComplete: optional(exportRequest),
	movedTo: optional(text),
	removed: optional(oneOf('keep', 'delete')),
	error: optional(
		object<DownloadError>({
			code: oneOf(...(Object.keys(errorKinds) as ErrorCode[])),
			message: text,
			at: time,
			tries: optional(count),
			maxTries: optional(count),
			bytesAgree: optional(boolean),
			status: optional(count),
			needs: optional(oneOf('password', 'token', 'other-login', 'trust')),
		}),
	),
});

function isRange(value: unknown): value is [number, number] {
	if (!Array.isArray(value) || value.length !== 2) {
		return false;
	}

	const [start, end] = value as unknown[];
	return count.accepts(start) && count.accepts(end) && start <= end;
}

function isPiece(value: unknown): value is [number, number, number] {
	return Array.isArray(value) && value.length === 3 && isRange(value.slice(0, 2)) && count.accepts(value[2]);
}
