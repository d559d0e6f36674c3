// Checks of the library's options, and the settings and requests made from them.
import {defaults, defaultStorageDir} from '../defaults.ts';
import {DownStreamError, type AddRequest, type SafeRequest} from '../downstream.ts';
import {checkedHeaders} from '../engine/http/headers.ts';
import {parseProxy} from '../engine/http/proxy-settings.ts';
import type {HostSettings} from '../host/engine-host.ts';
import {
	addRequest,
	anyObject,
	array,
	boolean,
	checkOptions,
	engineOptions,
	count,
	exportRequest,
	integer,
	optional,
	rule,
	text,
	type Schema,
} from '../schema.ts';
import {checkOptionNames} from '../text/option-names.ts';
import type {
	AddOptions,
	CacheOptions,
	DownStreamOptions,
	ProxyConfig,
	SafeOptions,
	TargetOptions,
	WaitOptions,
} from './types.ts';

type Schemas<Options> = {readonly [Name in keyof Required<Options>]: Schema<unknown>};

const proxyFields: Record<keyof ProxyConfig, true> = {
	type: true,
	host: true,
	port: true,
	username: true,
	password: true,
};
const {headers, userAgent, connections, onDemand, name, checksum, paused} = addRequest.fields;
const proxy = optional(
	rule(
		'an object with type, host and port, or a string',
		(value): value is object | string => typeof value === 'string' || anyObject.accepts(value),
	),
);

const waitSchemas: Schemas<WaitOptions> = {
	// Checked by its members: `instanceof` fails across realms.
	signal: optional(
		rule(
			'an AbortSignal',
			(value): value is AbortSignal =>
				anyObject.accepts(value) && 'aborted' in value && 'addEventListener' in value,
		),
	),
};

const initSchemas: Schemas<DownStreamOptions> = {
	port: optional(engineOptions.port),
	storageDir: optional(text),
	userAgent,
	proxyConfig: proxy,
	headers,
	connections,
	maxActive: optional(engineOptions.maxActive),
	limitRate: optional(engineOptions.limitRate),
	onDemand,
	readAhead: optional(engineOptions.readAhead),
	readAheadMs: optional(engineOptions.readAheadMs),
	film: optional(boolean),
	keepAhead: optional(engineOptions.keepAhead),
	next: optional(engineOptions.next),
	cacheSize: optional(engineOptions.cacheSize),
	ca: optional(text),
	insecure: optional(boolean),
	allowOrigins: optional(array('an array of origins', (item): item is string => text.accepts(item))),
};

const cacheSchemas: Schemas<CacheOptions> = {
	...waitSchemas,
	name,
	checksum,
	onDemand,
	paused,
	connections,
	headers,
	userAgent,
	proxy,
};

const safeSchemas: Schemas<SafeOptions> = {
	...waitSchemas,
	from: optional(
		rule(
			'"player", "start" or milliseconds of the film',
			(value): value is 'player' | 'start' | number =>
				value === 'player' || value === 'start' || count.accepts(value),
		),
	),
	for: optional(integer(1)),
	bytes: optional(integer(1)),
	by: optional(
		rule('a Date, or milliseconds since the epoch', (value): value is Date | number =>
			count.accepts(value instanceof Date ? value.getTime() : value),
		),
	),
};

const {overwrite, keepBoth} = exportRequest.fields;
const targetSchemas: Schemas<TargetOptions> = {...waitSchemas, overwrite, keepBoth};

/** Options for URLs only; a data source has its own. */
const urlOptions = ['headers', 'userAgent', 'proxy'] as const;

/** Throws `bad-request` for an unknown or invalid option. */
function check(options: object, schemas: Readonly<Record<string, Schema<unknown>>>): void {
	if (!anyObject.accepts(options)) {
		throw new DownStreamError('bad-request', 'The options must be an object');
	}

	checkOptionNames(options, Object.keys(schemas));
	checkOptions(options, schemas);
}

export function checkWaitOptions(options: WaitOptions): void {
	check(options, waitSchemas);
}

/** The request for checked options. Throws `bad-request`. */
export function safeRequestFor(options: SafeOptions): SafeRequest {
	check(options, safeSchemas);
	const {from, for: forMs, bytes, by} = options;
	return {
		...(typeof from === 'number' ? {fromMs: from} : from !== undefined && {from}),
		...(forMs !== undefined && {forMs}),
		...(bytes !== undefined && {bytes}),
		...(by !== undefined && {by: Number(by)}),
	};
}

export function checkTargetOptions(options: TargetOptions): void {
	check(options, targetSchemas);
}

/** The request for a URL with checked options. Throws `bad-request`. */
export function requestOf({proxy: given, ...request}: AddOptions): Omit<AddRequest, 'url'> {
	return {...request, ...(given !== undefined && {proxy: proxyUrl(given, 'proxy')})};
}

/** The request for a data source with checked options. Throws `bad-request` for an option of URLs. */
export function requestBesideSource(
	options: AddOptions,
): Omit<AddRequest, 'url' | (typeof urlOptions)[number]> {
	const foreign = urlOptions.find(option => options[option] !== undefined);
	if (foreign !== undefined) {
		throw new DownStreamError(
			'bad-request',
			`${foreign} applies to a URL; pass it to the data source instead`,
		);
	}

	return options;
}

export function checkCacheOptions(options: CacheOptions): void {
	check(options, cacheSchemas);
}

/** Throws `bad-request`. */
export function settingsOf(options: DownStreamOptions): HostSettings {
	check(options, initSchemas);
	const {proxyConfig, ...others} = options;
	// A bad header would fail every download.
	checkedHeaders({...others.headers, 'User-Agent': others.userAgent ?? ''});
	return {
		...others,
		port: others.port ?? defaults.port,
		exactPort: others.port !== undefined && others.port !== 0,
		storageDir: others.storageDir ?? defaultStorageDir(),
		proxy: proxyConfig === undefined ? undefined : proxyUrl(proxyConfig, 'proxyConfig'),
		allowOrigins: others.allowOrigins ?? [],
		openStream: false,
	};
}

function proxyUrl(config: ProxyConfig | string, option: string): string {
	if (typeof config === 'string') {
		if (config !== 'direct') {
			parseProxy(config, option);
		}

		return config;
	}

	checkOptionNames(config, Object.keys(proxyFields));
	const {type, host, port, username, password = ''} = config;
	if (typeof host !== 'string' || port === undefined) {
		throw new DownStreamError('bad-request', `${option} must have a host and a port`);
	}

	const user =
		username === undefined ? '' : `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`;
	const hostName = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
	const url = `${type}://${user}${hostName}:${port}`;
	parseProxy(url, option);
	return url;
}
