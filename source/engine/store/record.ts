// The stored record of one download, and its validation field by field.
import {
	errorKinds,
	type DownloadError,
	type DownloadId,
	type ErrorCode,
	type ExportRequest,
} from '../../downstream.ts';
import {parseChecksum} from './block-checksums.ts';
import {safeFileName} from './file-name.ts';
import type {FileIdentity} from './sparse-file.ts';

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
};

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
	readonly intent: 'run' | 'pause' | 'cancel';
	readonly onDemand: boolean;
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
	readonly exportedTo?: string;
	readonly exportWhenComplete?: ExportRequest;
	/** Where the bytes were moved to from the store. */
	readonly movedTo?: string;
	/** Off the list. With `delete`, the folder is about to be deleted. */
	readonly removed?: 'keep' | 'delete';
	readonly error?: DownloadError;
};

/** The record cannot be trusted. The message gives the reason. */
export class InvalidRecord extends Error {}

/** Throws `InvalidRecord` if `stored` is not a record of this version with this id. */
export function checkRecord(stored: object, id: DownloadId): DownloadRecord {
	const {version} = stored as {version?: unknown};
	if (typeof version === 'number' && version > 1) {
		throw new InvalidRecord(`it was written by a newer version of this program (record version ${version})`);
	}

	const record = recordField(stored, 'record');
	if (record.id !== id) {
		throw new InvalidRecord(`its record belongs to download ${record.id}`);
	}

	if (!record.ownSource && !/^https?:/i.test(record.url)) {
		throw new InvalidRecord('record.url is not an http or https URL');
	}

	return record;
}

/** Validates a stored value; throws `InvalidRecord` that names the field. */
type Field<T> = (value: unknown, name: string) => T;

function field<T>(expected: string, accepts: (value: unknown) => value is T): Field<T> {
	return (value, name) => {
		if (!accepts(value)) {
			throw new InvalidRecord(`${name} is not ${expected}`);
		}

		return value;
	};
}

function optional<T>(inner: Field<T>): Field<T | undefined> {
	return (value, name) => (value === undefined ? undefined : inner(value, name));
}

function oneOf<T extends string>(...values: readonly T[]): Field<T> {
	return field(`one of ${values.join(', ')}`, (value): value is T => values.includes(value as T));
}

/** Reads only the named fields; all others, including `__proto__`, are dropped. */
function objectOf<T extends object>(fields: {readonly [K in keyof T]-?: Field<T[K]>}): Field<T> {
	return (value, name) => {
		const source = anObject(value, name) as Partial<Record<keyof T, unknown>>;
		const result: Partial<T> = {};
		for (const key of Object.keys(fields) as Array<keyof T & string>) {
			const read = fields[key](Object.hasOwn(source, key) ? source[key] : undefined, `${name}.${key}`);
			if (read !== undefined) {
				result[key] = read;
			}
		}

		return result as T;
	};
}

const anObject = field(
	'an object',
	(value): value is object => typeof value === 'object' && value !== null && !Array.isArray(value),
);
const aString = field('a string', (value): value is string => typeof value === 'string');
/** Another program may have written the record, and the name is used in paths and displayed. */
const aName: Field<string> = (value, name) => {
	const text = aString(value, name);
	return /^\.|[\\/\p{C}]/u.test(text) ? safeFileName(text) : text;
};
const aBoolean = field('true or false', (value): value is boolean => typeof value === 'boolean');
const aCount = field('a whole number', isCount);
const aNumber = field('a number', (value): value is number => Number.isFinite(value));
const countFrom = (min: number, max: number) =>
	field(
		`a whole number from ${min} to ${max}`,
		(value): value is number => isCount(value) && value >= min && value <= max,
	);
/** The range of `Date`. */
const aTime = field(
	'a time',
	(value): value is number => typeof value === 'number' && Math.abs(value) <= 8.64e15,
);
const aChecksum: Field<string> = (value, name) => {
	try {
		parseChecksum(aString(value, name));
	} catch {
		throw new InvalidRecord(`${name} is not a checksum`);
	}

	return value as string;
};
const aUrl = field('a URL', (value): value is string => typeof value === 'string' && URL.canParse(value));
const headersField: Field<Record<string, string>> = (value, name) =>
	Object.fromEntries(
		Object.entries(anObject(value, name)).map(([key, text]) => [key, aString(text, `${name}.${key}`)]),
	);

const recordField = objectOf<DownloadRecord>({
	version: field('1', (value): value is 1 => value === 1),
	id: aString,
	url: aUrl,
	ownSource: optional(aBoolean),
	item: optional(aString),
	resolveWith: optional(
		field(
			'a list of words',
			(value): value is string[] =>
				Array.isArray(value) && value.length > 0 && value.every(word => typeof word === 'string'),
		),
	),
	headers: headersField,
	userAgent: optional(aString),
	proxy: optional(aString),
	connections: optional(countFrom(1, 16)),
	givenName: optional(aName),
	info: optional(
		objectOf<NonNullable<DownloadRecord['info']>>({
			name: aName,
			type: optional(aString),
			size: field(
				'a whole number or null',
				(value): value is number | null => value === null || isCount(value),
			),
		}),
	),
	acceptsRanges: optional(aBoolean),
	validator: optional(
		objectOf<Validator>({
			etag: optional(aString),
			weakEtag: optional(aString),
			lastModified: optional(aString),
		}),
	),
	hasUnstableValidator: optional(aBoolean),
	ranges: field(
		'a list of ranges',
		(value): value is Array<[number, number]> => Array.isArray(value) && value.every(isRange),
	),
	dataFile: optional(
		objectOf<FileIdentity>({device: aNumber, inode: aNumber, size: aCount, modifiedAt: aNumber}),
	),
	pieces: optional(
		field(
			'a list of pieces',
			(value): value is Array<[number, number, number]> => Array.isArray(value) && value.every(isPiece),
		),
	),
	intent: oneOf('run', 'pause', 'cancel'),
	onDemand: aBoolean,
	addedAt: aTime,
	queueRank: optional(aNumber),
	limitRate: optional(countFrom(1, Infinity)),
	checksum: optional(aChecksum),
	superseded: optional(aBoolean),
	startedOver: optional(aCount),
	unsettled: optional(
		field('a list of numbers', (value): value is number[] => Array.isArray(value) && value.every(isCount)),
	),
	exportedPartTo: optional(aString),
	completedAt: optional(aTime),
	readAt: optional(aTime),
	exportedTo: optional(aString),
	exportWhenComplete: optional(
		objectOf<ExportRequest>({
			path: aString,
			overwrite: optional(aBoolean),
			keepBoth: optional(aBoolean),
			move: optional(aBoolean),
			when: optional(oneOf('now', 'complete')),
			partial: optional(aBoolean),
		}),
	),
	movedTo: optional(aString),
	removed: optional(oneOf('keep', 'delete')),
	error: optional(
		objectOf<DownloadError>({
			code: oneOf(...(Object.keys(errorKinds) as ErrorCode[])),
			message: aString,
			at: aTime,
			tries: optional(aCount),
			maxTries: optional(aCount),
			bytesAgree: optional(aBoolean),
			status: optional(aCount),
		}),
	),
});

function isCount(value: unknown): value is number {
	return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isRange(value: unknown): value is [number, number] {
	if (!Array.isArray(value) || value.length !== 2) {
		return false;
	}

	const [start, end] = value as unknown[];
	return isCount(start) && isCount(end) && start <= end;
}

function isPiece(value: unknown): value is [number, number, number] {
	return Array.isArray(value) && value.length === 3 && isRange(value.slice(0, 2)) && isCount(value[2]);
}
