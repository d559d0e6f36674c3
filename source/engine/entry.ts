// The record of one download: what is stored of it, and the check of what is read back, field by field.
import {
	errorKinds,
	type DownloadError,
	type DownloadId,
	type ErrorCode,
	type ExportRequest,
} from '../downstream.ts';
import {parseChecksum} from './block-checks.ts';
import type {Validator} from './data-source.ts';
import {safeFileName} from './file-info.ts';
import type {FileIdentity} from './sparse-file.ts';

/** Times are milliseconds since the epoch. */
export type Entry = {
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
export class InvalidEntry extends Error {}

/** Throws `InvalidEntry` for what is not an entry of this version with this id. */
export function checkEntry(stored: object, id: DownloadId): Entry {
	const {version} = stored as {version?: unknown};
	if (typeof version === 'number' && version > 1) {
		throw new InvalidEntry(`it was written by a newer version of this program (record version ${version})`);
	}

	const entry = entryField(stored, 'record');
	if (entry.id !== id) {
		throw new InvalidEntry(`its record is that of download ${entry.id}`);
	}

	if (!entry.ownSource && !/^https?:/i.test(entry.url)) {
		throw new InvalidEntry('record.url is not an http or https URL');
	}

	return entry;
}

/** Takes a stored value for what it must be, or throws `InvalidEntry` with the name of the field. */
type Field<T> = (value: unknown, name: string) => T;

function field<T>(expected: string, accepts: (value: unknown) => value is T): Field<T> {
	return (value, name) => {
		if (!accepts(value)) {
			throw new InvalidEntry(`${name} is not ${expected}`);
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

/** Reads the named fields alone: whatever else a file says, `__proto__` included, is dropped. */
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
/** Somebody else may have written the record: a name becomes a part of paths and of what is shown. */
const aName: Field<string> = (value, name) => {
	const text = aString(value, name);
	return /^\.|[\\/\p{C}]/u.test(text) ? safeFileName(text) : text;
};
const aBoolean = field('true or false', (value): value is boolean => typeof value === 'boolean');
const aCount = field('a whole number', isCount);
const aNumber = field('a number', (value): value is number => Number.isFinite(value));
const countFrom = (least: number, most: number) =>
	field(
		`a whole number from ${least} to ${most}`,
		(value): value is number => isCount(value) && value >= least && value <= most,
	);
/** As far as `Date` goes. */
const aTime = field(
	'a time',
	(value): value is number => typeof value === 'number' && Math.abs(value) <= 8.64e15,
);
const aChecksum: Field<string> = (value, name) => {
	try {
		parseChecksum(aString(value, name));
	} catch {
		throw new InvalidEntry(`${name} is not a checksum`);
	}

	return value as string;
};
const aUrl = field('a URL', (value): value is string => typeof value === 'string' && URL.canParse(value));
const headersField: Field<Record<string, string>> = (value, name) =>
	Object.fromEntries(
		Object.entries(anObject(value, name)).map(([key, text]) => [key, aString(text, `${name}.${key}`)]),
	);

const entryField = objectOf<Entry>({
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
		objectOf<NonNullable<Entry['info']>>({
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
	dataFile: optional(objectOf<FileIdentity>({inode: aNumber, size: aCount, modifiedAt: aNumber})),
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
