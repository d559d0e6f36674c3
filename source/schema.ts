// Schemas of external values, shared by all entry points. Each words its own errors. Pure.
import {
	DownStreamError,
	type AddRequest,
	type DownloadChange,
	type ExportRequest,
	type PlayerCommand,
	type SafeRequest,
} from './downstream.ts';

/**
 * Throws the entry point's error for an invalid value. `expected` completes "it must be …"; `path` holds the keys that
 * lead to the value, and is empty for the value itself.
 */
export type Refuse = (expected: string, path: readonly string[]) => never;

/** A JSON Schema (draft 2020-12). */
export type JsonSchema = {readonly [keyword: string]: unknown};

export type Schema<T> = {
	/** Returns the value as `T`, or calls `refuse`. */
	readonly read: (value: unknown, refuse: Refuse) => T;
	/** The same for other programs; it may accept more. */
	readonly json: JsonSchema;
	readonly isOptional?: boolean;
};

/** A schema that returns values unchanged. */
export type Rule<T> = Schema<T> & {
	readonly expected: string;
	readonly accepts: (value: unknown) => value is T;
};

/** Both bounds are inclusive. */
export type IntegerRule = Rule<number> & {readonly min: number; readonly max: number};

type Fields<T> = {readonly [K in keyof T]-?: Schema<T[K]>};

export type ObjectSchema<T> = Schema<T> & {readonly fields: Fields<T>};

export function rule<T>(
	expected: string,
	accepts: (value: unknown) => value is T,
	json: JsonSchema = {description: expected},
): Rule<T> {
	return {
		expected,
		accepts,
		json,
		read: (value, refuse) => (accepts(value) ? value : refuse(expected, [])),
	};
}

export const text = rule('a string', value => typeof value === 'string', {type: 'string'});
export const boolean = rule('true or false', value => typeof value === 'boolean', {type: 'boolean'});

/** Safe integers only. */
export function integer(min: number, max = Infinity): IntegerRule {
	const bounds = max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`;
	const isInRange = (value: unknown): value is number =>
		Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
	const json = {type: 'integer', minimum: min, ...(max !== Infinity && {maximum: max})};
	return {...rule(`a whole number ${bounds}`, isInRange, json), min, max};
}

export const count = rule('a whole number', integer(0).accepts, integer(0).json);

export function oneOf<T extends string>(...choices: readonly T[]): Rule<T> {
	return rule(`one of ${choices.join(', ')}`, (value): value is T => choices.includes(value as T), {
		enum: choices,
	});
}

export function array<T>(expected: string, accepts: (item: unknown) => item is T): Rule<T[]> {
	return rule(expected, (value): value is T[] => Array.isArray(value) && value.every(accepts), {
		type: 'array',
		description: expected,
	});
}

export function optional<T>(inner: Schema<T>): Schema<T | undefined> {
	return {
		read: (value, refuse) => (value === undefined ? undefined : inner.read(value, refuse)),
		json: inner.json,
		isOptional: true,
	};
}

export function nullable<T>(inner: Rule<T>, expected = `${inner.expected} or null`): Rule<T | null> {
	return rule(expected, (value): value is T | null => value === null || inner.accepts(value), {
		anyOf: [inner.json, {type: 'null'}],
	});
}

/** Describes the value as a whole, and reports it instead of its invalid part. */
export function described<T>(expected: string, inner: Schema<T>): Schema<T> {
	return {
		read: (value, refuse) => inner.read(value, () => refuse(expected, [])),
		json: {...inner.json, description: expected},
	};
}

export const anyObject = rule(
	'an object',
	(value): value is object => typeof value === 'object' && value !== null && !Array.isArray(value),
	{type: 'object'},
);

/** Reads the own properties that have a schema; drops all others, including `__proto__`. */
export function object<T extends object>(fields: Fields<T>): ObjectSchema<T> {
	const entries = Object.entries(fields) as Array<[keyof T & string, Schema<T[keyof T & string]>]>;
	return {
		fields,
		json: {
			type: 'object',
			properties: Object.fromEntries(entries.map(([name, {json}]) => [name, json])),
			required: entries.filter(([, {isOptional}]) => !isOptional).map(([name]) => name),
		},
		read(value, refuse) {
			const source = anyObject.read(value, refuse) as Partial<Record<keyof T, unknown>>;
			const result: Partial<T> = {};
			for (const [key, field] of entries) {
				const given = Object.hasOwn(source, key) ? source[key] : undefined;
				if (given !== undefined || !field.isOptional) {
					result[key] = field.read(given, (expected, path) => refuse(expected, [key, ...path]));
				}
			}

			return result as T;
		},
	};
}

/** An object with any keys. */
export function record<T>(item: Schema<T>): Schema<Record<string, T>> {
	return {
		json: {type: 'object', additionalProperties: item.json},
		read: (value, refuse) =>
			Object.fromEntries(
				Object.entries(anyObject.read(value, refuse)).map(([key, each]) => [
					key,
					item.read(each, (expected, path) => refuse(expected, [key, ...path])),
				]),
			),
	};
}

/** Connections per file. */
export const connections = integer(1, 16);

/** Bytes per second. */
export const rate = integer(1024);

export const rateLimit = nullable(rate, `bytes per second, ${rate.expected}, or null for no limit`);

/** Numeric options of the engine and its proxy. Sizes are in bytes; Infinity means no limit. */
export const engineOptions = {
	port: integer(0, 65_535),
	connections,
	maxActive: integer(1, 1000),
	limitRate: unlimited(rate),
	readAhead: unlimited(integer(64 * 1024)),
	readAheadMs: integer(5000, 3_600_000),
	cacheSize: unlimited(integer(1024)),
	keepAhead: integer(0),
	next: integer(0),
};

const requestFields = {
	url: text,
	// A value may be secret, so errors name only the field.
	headers: optional(described('an object whose values are strings', record(text))),
	userAgent: optional(text),
	proxy: optional(text),
	name: optional(text),
	connections: optional(connections),
	onDemand: optional(boolean),
	checksum: optional(text),
};

export const addRequest = object<AddRequest>({
	...requestFields,
	item: optional(text),
	paused: optional(boolean),
});

export const downloadChange = object<DownloadChange>({
	...requestFields,
	url: optional(text),
	limitRate: optional(rateLimit),
	positionMs: optional(count),
	watched: optional(boolean),
});

export const playerCommand = object<PlayerCommand>({seekMs: optional(count), pause: optional(boolean)});

export const exportRequest = object<ExportRequest>({
	path: text,
	overwrite: optional(boolean),
	keepBoth: optional(boolean),
	skipIdentical: optional(boolean),
	move: optional(boolean),
	when: optional(described('"now" or "complete"', oneOf('now', 'complete'))),
	partial: optional(boolean),
});

/** Bytes or milliseconds. The sum of two is a safe integer. */
const longestStretch = 2 ** 52 - 1;
const stretch = integer(1, longestStretch);

/** Milliseconds since the epoch, within the range of a `Date`. */
const date = integer(0, 8.64e15);

export const safeRequest = object<SafeRequest>({
	from: optional(described('"player" or "start"', oneOf('player', 'start'))),
	fromMs: optional(integer(0, longestStretch)),
	forMs: optional(stretch),
	bytes: optional(stretch),
	orBytes: optional(stretch),
	by: optional(date),
	dryRun: optional(boolean),
});

function unlimited(inner: IntegerRule): IntegerRule {
	const isFitting = (value: unknown): value is number => value === Infinity || inner.accepts(value);
	return {...inner, ...rule(inner.expected, isFitting, inner.json)};
}

/** A whole number in decimal digits; NaN for any other text. */
export function wholeNumber(typed: string): number {
	return /^\d+$/.test(typed) ? Number(typed) : NaN;
}

/**
 * For a program's options. Throws `bad-request`, such as `connections is 0; it must be a whole number from 1 to 16`.
 * Quotes only numbers, since a text may be secret.
 */
export function checkOption<T>(name: string, value: unknown, schema: Schema<T>): T {
	return schema.read(value, expected => {
		const shown = typeof value === 'number' ? ` is ${value}; it` : '';
		throw new DownStreamError('bad-request', `${name}${shown} must be ${expected}`);
	});
}

/** Applies `checkOption` to each option that has a schema. */
export function checkOptions(options: object, schemas: Readonly<Record<string, Schema<unknown>>>): void {
	for (const [name, schema] of Object.entries(schemas)) {
		checkOption(name, (options as Record<string, unknown>)[name], schema);
	}
}
