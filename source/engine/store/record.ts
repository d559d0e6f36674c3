// The stored record of one download, and its validation field by field.
import {
	errorKinds,
	remedies,
	type DownloadError,
	type DownloadId,
	type ErrorCode,
	type ExportRequest,
	type Position,
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
import type {FileIdentity} from './file-identity.ts';

/** Identifies one version of the bytes: a strong ETag, else Last-Modified with the size (RFC 9110 section 8.8). */
export type Validator = {
	/** A strong ETag with its quotes, as received; undefined if there is none or it is weak. */
	readonly etag?: string;
	/**
	 * A weak ETag as received, such as `W/"1"`. A different one suggests another version; an equal one proves nothing.
	 */
	readonly weakEtag?: string;
	/** The Last-Modified header as received. */
	readonly lastModified?: string;
	/** `lastModified` is a strong validator (RFC 9110 section 8.8.2.2). */
	readonly hasStrongDate?: boolean;
};

/** A pledged stretch: in milliseconds of the film, or in bytes. Half-open; null is the end of the file. */
export type StoredPledge = {
	/** Unique among the pledges of the download. */
	readonly n: number;
	readonly unit: 'ms' | 'bytes';
	readonly from: number;
	readonly to: number | null;
	/** The bytes to fetch from the start instead if the file has no timeline. */
	readonly orBytes?: number;
	/** The deadline in milliseconds since the epoch. */
	readonly by?: number;
};

type Intent = 'run' | 'pause' | 'cancel';

/** Times are milliseconds since the epoch. */
export type DownloadRecord = {
	readonly version: 1;
	readonly id: DownloadId;
	readonly url: string;
	/** Fetched by a program's own data source, which cannot be stored; `url` may have any scheme. */
	readonly ownSource?: boolean;
	/**
	 * The item that the URL was resolved from, and the command that resolved it. The command runs again when the URL
	 * expires.
	 */
	readonly item?: string;
	readonly resolveWith?: readonly string[];
	readonly headers: Readonly<Record<string, string>>;
	readonly userAgent?: string;
	/** Upstream proxy. */
	readonly proxy?: string;
	readonly connections?: number;
	/** The user's name for the file, which replaces the origin's. */
	readonly givenName?: string;
	/** From the first response. A null size is unknown. */
	readonly info?: {readonly name: string; readonly type?: string; readonly size: number | null};
	readonly acceptsRanges?: boolean;
	/** The validator of the cached version. */
	readonly validator?: Validator;
	/** The validator changes without a change of the file, so the version is identified by its bytes. */
	readonly hasUnstableValidator?: boolean;
	/** Durable bytes, half-open. */
	readonly ranges: ReadonlyArray<readonly [start: number, end: number]>;
	/** The data file's identity as of the last checkpoint. */
	readonly dataFile?: FileIdentity;
	/** Parts of partial blocks that were written in order, with their CRC-32. */
	readonly pieces?: ReadonlyArray<readonly [start: number, end: number, crc: number]>;
	/** The state requested by the user. */
	readonly intent: Intent;
	readonly onDemand: boolean;
	/** The state before a temporary resumption. The next start returns to it. */
	readonly before?: {readonly intent: Intent; readonly onDemand: boolean};
	/** By number. */
	readonly pledges?: readonly StoredPledge[];
	readonly addedAt: number;
	/** Queue position, smallest first; defaults to `addedAt`. */
	readonly queueRank?: number;
	/** Bytes per second. */
	readonly limitRate?: number;
	/** The expected digest of the whole file, such as `sha256:…`. */
	readonly checksum?: string;
	/** Another download has taken over the URL; this one keeps the bytes of the old version. */
	readonly superseded?: boolean;
	/** How many versions of the file were discarded before this one. */
	readonly startedOver?: number;
	/** The blocks whose checksums were recorded last. They are verified again if the process did not exit cleanly. */
	readonly unsettled?: readonly number[];
	/** The target of an export made while bytes were missing. */
	readonly exportedPartTo?: string;
	readonly completedAt?: number;
	/** When a player last started or stopped reading, to the minute. */
	readonly readAt?: number;
	/** As of at most 5 s ago while a player runs. */
	readonly position?: Position;
	/** The control socket of the linked player. It may have exited since. */
	readonly playerSocket?: string;
	readonly exportedTo?: string;
	readonly exportWhenComplete?: ExportRequest;
	/** The name that a running export is about to give the file. After a crash, the file may be there. */
	readonly placing?: string;
	/** Where the bytes were moved to from the store. */
	readonly movedTo?: string;
	/** Off the list, now or from the next start on, if the download is temporary. With `delete`, the folder is about to be deleted. */
	readonly removed?: 'keep' | 'delete';
	readonly error?: DownloadError;
};

/** The record cannot be trusted. The message gives the reason. */
export class InvalidRecord extends Error {}

/** Throws `InvalidRecord` unless `stored` is a record of this version with this id. */
export function checkRecord(stored: object, id: DownloadId): DownloadRecord {
	const {version} = stored as {version?: unknown};
	if (typeof version === 'number' && version > 1) {
		throw new InvalidRecord(`it was written by a newer version of this program (record version ${version})`);
	}

	const checked = downloadRecord.read(stored, (expected, path) => {
		throw new InvalidRecord(`${['record', ...path].join('.')} is not ${expected}`);
	});
	if (checked.id !== id) {
		throw new InvalidRecord(`its record belongs to download ${checked.id}`);
	}

	if (!checked.ownSource && !/^https?:/i.test(checked.url)) {
		throw new InvalidRecord('record.url is not an http or https URL');
	}

	return checked;
}

/** Used in paths and displayed, and possibly written by another program. */
const name: Schema<string> = {
	json: text.json,
	read(value, refuse) {
		const stored = text.read(value, refuse);
		return /^\.|[\\/\p{C}]/u.test(stored) ? safeFileName(stored) : stored;
	},
};
const number = rule('a number', (value): value is number => Number.isFinite(value));
/** The range of `Date`. */
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

const intent: Schema<Intent> = oneOf('run', 'pause', 'cancel');

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
			hasStrongDate: optional(boolean),
		}),
	),
	hasUnstableValidator: optional(boolean),
	ranges: array('a list of ranges', isRange),
	dataFile: optional(object<FileIdentity>({inode: number, size: count, modifiedAt: number})),
	pieces: optional(array('a list of pieces', isPiece)),
	intent,
	onDemand: boolean,
	before: optional(object<NonNullable<DownloadRecord['before']>>({intent, onDemand: boolean})),
	pledges: optional(array('a list of pledges', isPledge)),
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
	position: optional(object<Position>({ms: count, at: time, watched: boolean, exact: boolean})),
	playerSocket: optional(text),
	exportedTo: optional(text),
	exportWhenComplete: optional(exportRequest),
	placing: optional(text),
	movedTo: optional(text),
	removed: optional(oneOf('keep', 'delete')),
	error: optional(
		object<DownloadError>({
			code: oneOf(...(Object.keys(errorKinds) as ErrorCode[])),
			message: text,
			at: time,
			tries: optional(count),
			since: optional(time),
			maxTries: optional(count),
			bytesAgree: optional(boolean),
			status: optional(count),
			needs: optional(oneOf(...remedies)),
		}),
	),
});

function isPledge(value: unknown): value is StoredPledge {
	const {n, unit, from, to, orBytes, by} = (value ?? {}) as {[K in keyof StoredPledge]?: unknown};
	return (
		count.accepts(n) &&
		(unit === 'ms' || unit === 'bytes') &&
		count.accepts(from) &&
		(to === null || (count.accepts(to) && from <= to)) &&
		(orBytes === undefined || count.accepts(orBytes)) &&
		(by === undefined || time.accepts(by))
	);
}

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
