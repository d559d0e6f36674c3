// Checked values of the flags. A bad one is refused in one sentence with the flag, the value and the allowed values.
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {commandWords} from '../requests/shell-words.ts';
import {defaults, defaultStorageDir} from '../defaults.ts';
import {DownStreamError, type SafeRequest} from '../downstream.ts';
import {parseChecksum} from '../engine/store/block-checksums.ts';
import {parseProxy} from '../engine/http/proxy-settings.ts';
import {engineOptions, oneOf, wholeNumber, type IntegerRule, type Rule} from '../schema.ts';
import {parseDuration} from '../text/duration.ts';
import {flags, kebabCase, type FlagName, type Flags} from './flags.ts';
import {checkedValue, headersFrom} from '../requests/headers.ts';
import {readNetrc, type Netrc} from '../requests/netrc.ts';
import type {Places} from '../requests/url-lists.ts';
import {parseRate} from '../text/rate.ts';
import {expandHome} from '../home-folder.ts';
import {filmTimeOf, safeRequestOf, startOf} from '../text/safe-request.ts';
import {nothingGiven, readEnvironment, type Given} from './settings-file.ts';

export type {Flags} from './flags.ts';

export type Settings = {
	readonly port: number;
	/** The port was given explicitly: fail if it is taken. */
	readonly exactPort: boolean;
	readonly storageDir: string;
	readonly exportDir: string;
	readonly userAgent: string | undefined;
	readonly proxy: string | undefined;
	readonly headers: Readonly<Record<string, string>>;
	readonly connections: number;
	readonly maxActive: number;
	/** Bytes per second; Infinity for no limit. */
	readonly limitRate: number;
	readonly onDemand: boolean;
	/** Read the index of films. */
	readonly film: boolean;
	readonly whenSafe: boolean;
	readonly json: boolean;
	readonly plain: boolean;
	readonly ascii: boolean;
	readonly color: (typeof flags.color.choices)[number];
	/** Overrides the background reported by the terminal. */
	readonly theme: (typeof flags.theme.choices)[number] | undefined;
	readonly title: boolean;
	readonly tabProgress: (typeof flags.tabProgress.choices)[number];
	readonly mouse: boolean;
	readonly bell: boolean;
	/** Command that plays a stream URL. */
	readonly player: string | undefined;
	/** Whether a film resumes at its last position. */
	readonly continue: (typeof flags.continue.choices)[number];
	readonly logFile: string | undefined;
	readonly logLevel: (typeof flags.logLevel.choices)[number];
	/** Certificates (PEM) to trust besides the built-in ones. */
	readonly ca: string | undefined;
	readonly insecure: boolean;
	/** Milliseconds for the first response of an origin. */
	readonly timeout: number;
	/** `get`, `play` and the plain run end after this many milliseconds without data; Infinity for never. */
	readonly giveUpAfter: number;
	/** File or folder to write; `-` for standard output. */
	readonly output: string | undefined;
	/** Replace an existing file. */
	readonly overwrite: boolean;
	/** Write beside an existing file, under a numbered name. */
	readonly keepBoth: boolean;
	/** Move the file out of the store. */
	readonly move: boolean;
	/** `export` waits for the end of the download. */
	readonly whenComplete: boolean;
	/** `remove` deletes the stored bytes too. */
	readonly deleteData: boolean;
	/** Include removed downloads that can be resumed. */
	readonly all: boolean;
	/** Reaction to a file that changed on the server. */
	readonly onChange: (typeof flags.onChange.choices)[number];
	/** Accept a web page in place of the file. */
	readonly allowHtml: boolean;
	/** Expected checksum of the only URL. */
	readonly checksum: string | undefined;
	/** File name for the only URL. */
	readonly name: string | undefined;
	/** Add without starting. */
	readonly paused: boolean;
	/** Words of the command that resolves items into links. */
	readonly resolveWith: readonly string[] | undefined;
	/** Logins by host. */
	readonly netrc: Netrc | undefined;
	/** Of the URLs of this run. */
	readonly places?: Places;
	/** Limit of the bytes kept ready ahead of a player. */
	readonly readAhead: number;
	/** The same limit in milliseconds of a film. */
	readonly readAheadMs: number | undefined;
	/** Milliseconds of each film to keep present ahead of its player; 0 for none. */
	readonly keepAhead: number;
	/** Milliseconds of the next film to fetch near the end of one; 0 for none. */
	readonly next: number;
	/** Fetch only this much from the start. */
	readonly first: SafeRequest | undefined;
	/** The start and the deadline of a stretch to make safe; as typed. */
	readonly from: string | undefined;
	readonly by: string | undefined;
	/** Wait until it is safe. */
	readonly wait: boolean;
	/** Limit of the bytes in the storage folder; Infinity for none. */
	readonly cacheSize: number;
	/** Origins of web pages that may use the proxy. */
	readonly allowOrigins: readonly string[];
	readonly openStream: boolean;
	/** Keep running after the last download; `get` keeps its downloads in the list. */
	readonly keep: boolean;
	/** Show sizes in units of 1000. */
	readonly si: boolean;
};

/** Flags win over the environment, and the environment over the file. Throws `bad-request`. */
export function settingsFrom(
	typed: Flags,
	environment: NodeJS.ProcessEnv = process.env,
	file: Given = nothingGiven,
): Settings {
	const variables = readEnvironment(environment);
	const given: Flags = {...file.values, ...variables.values, ...withoutUndefined(typed)};
	/** Name of the source of a value, for error messages. */
	const by = (name: FlagName) =>
		typed[name] === undefined
			? (variables.labels[name] ?? file.labels[name] ?? `--${kebabCase(name)}`)
			: `--${kebabCase(name)}`;
	const text = (name: TextName) => nonEmpty(by(name), given[name]);
	const number = (name: 'port' | 'connections' | 'maxActive') => {
		const value = given[name];
		return value === undefined
			? defaults[name]
			: checked(by(name), value, engineOptions[name], wholeNumber(value));
	};
	const stretch = {from: text('from'), by: text('by')};
	safeRequestOf({amount: 'all', ...stretch}, Date.now(), {from: by('from'), by: by('by')});
	if (given.overwrite && given.keepBoth) {
		throw new DownStreamError('bad-request', '--overwrite and --keep-both exclude each other');
	}

	return {
		port: number('port'),
		exactPort: given.port !== undefined && given.port !== '0',
		storageDir: absolutePath(text('storage') ?? defaultStorageDir()),
		exportDir: absolutePath(text('exportDir') ?? '.'),
		userAgent: userAgent(by('userAgent'), text('userAgent')),
		proxy: proxy(by('proxy'), text('proxy')),
		headers: headersFrom(by('header'), given.header ?? []),
		connections: number('connections'),
		maxActive: number('maxActive'),
		limitRate: rate(by('limitRate'), given.limitRate),
		onDemand: given.onDemand ?? false,
		film: given.film ?? true,
		whenSafe: given.whenSafe ?? false,
		json: given.json ?? false,
		plain: (given.plain ?? false) || isOn(environment.ACCESSIBLE) || environment.INK_SCREEN_READER === 'true',
		ascii: given.ascii ?? false,
		color: choice(by('color'), given.color, flags.color.choices, 'auto'),
		theme:
			given.theme === undefined ? undefined : choice(by('theme'), given.theme, flags.theme.choices, 'plain'),
		title: given.title ?? true,
		tabProgress: choice(by('tabProgress'), given.tabProgress, flags.tabProgress.choices, 'auto'),
		mouse: given.mouse ?? false,
		bell: given.bell ?? false,
		player: text('player'),
		continue: choice(by('continue'), given.continue, flags.continue.choices, 'always'),
		logFile: optionalPath(text('log')),
		logLevel: choice(by('logLevel'), given.logLevel, flags.logLevel.choices, 'info'),
		ca: certificates(by('ca'), optionalPath(text('ca'))),
		insecure: given.insecure ?? false,
		timeout: duration(by('timeout'), given.timeout ?? defaults.timeout, {least: 1, most: 3600}),
		giveUpAfter: duration(by('giveUpAfter'), given.giveUpAfter ?? defaults.giveUpAfter, {least: 1}),
		output: given.output === '/dev/stdout' ? '-' : text('output'),
		overwrite: given.overwrite ?? false,
		keepBoth: given.keepBoth ?? false,
		move: given.move ?? false,
		whenComplete: given.whenComplete ?? false,
		deleteData: given.deleteData ?? false,
		all: given.all ?? false,
		onChange: choice(by('onChange'), given.onChange, flags.onChange.choices, 'stop'),
		allowHtml: given.allowHtml ?? false,
		checksum: checksum(by('checksum'), text('checksum')),
		name: text('name'),
		paused: given.paused ?? false,
		resolveWith: command(by('resolveWith'), text('resolveWith')),
		netrc: given.netrc ? readNetrc(environment) : undefined,
		...readAhead(by('readAhead'), given.readAhead ?? defaults.readAhead),
		keepAhead: length(by('keepAhead'), given.keepAhead),
		next: length(by('next'), given.next),
		first: first(by('first'), text('first')),
		...stretch,
		wait: given.wait ?? false,
		cacheSize: size(by('cacheSize'), given.cacheSize ?? '0', engineOptions.cacheSize),
		allowOrigins: (given.allowOrigin ?? []).map(origin => webOrigin(by('allowOrigin'), origin)),
		openStream: given.openStream ?? false,
		keep: given.keep ?? false,
		si: given.si ?? false,
	};
}

type TextName = {
	[Name in FlagName]: (typeof flags)[Name]['kind'] extends 'text' ? Name : never;
}[FlagName];

function withoutUndefined(given: Flags): Flags {
	return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function absolutePath(given: string): string {
	return path.resolve(expandHome(given));
}

function optionalPath(given: string | undefined): string | undefined {
	return given === undefined ? undefined : absolutePath(given);
}

function refuse(flag: string, value: string, allowed: string): never {
	throw new DownStreamError('bad-request', `${flag} ${JSON.stringify(value)}: ${allowed}`);
}

function nonEmpty(flag: string, value: string | undefined): string | undefined {
	return value === '' ? refuse(flag, value, 'it needs a value') : value;
}

/** `read`: the parsed `value`. */
function checked<T>(flag: string, value: string, rule: Rule<T>, read: unknown = value): T {
	return rule.accepts(read) ? read : refuse(flag, value, `it must be ${rule.expected}`);
}

function choice<T extends string>(
	flag: string,
	value: string | undefined,
	choices: readonly T[],
	fallback: T,
): T {
	return value === undefined ? fallback : checked(flag, value, oneOf(...choices));
}

/** `500K`, `5M`, `1.5MiB`: units of 1024, as in curl. `0`: no limit. */
function rate(flag: string, value: string | undefined): number {
	if (value === undefined) {
		return Infinity;
	}

	return (
		parseRate(value) ??
		refuse(
			flag,
			value,
			`it must be a rate in bytes per second such as 500K or 5M, at least ${engineOptions.limitRate.min / 1024}K, or 0 for no limit`,
		)
	);
}

/** In the notation of rates; `0`: no limit. */
function size(flag: string, value: string, {min}: IntegerRule, orElse = ''): number {
	const bytes = value.includes('/') ? undefined : parseRate(value);
	return bytes !== undefined && bytes >= min
		? bytes
		: refuse(
				flag,
				value,
				`it must be a size such as 64M or 20G, at least ${min}${orElse}, or 0 for no limit`,
			);
}

/** A size, or seconds of a film. */
function readAhead(flag: string, value: string): Pick<Settings, 'readAhead' | 'readAheadMs'> {
	const {readAhead: bytes, readAheadMs} = engineOptions;
	return /\ds$/.test(value)
		? {
				readAhead: size(flag, defaults.readAhead, bytes),
				readAheadMs: duration(flag, value, {least: readAheadMs.min / 1000, most: readAheadMs.max / 1000}),
			}
		: {readAhead: size(flag, value, bytes, ', or seconds such as 60s'), readAheadMs: undefined};
}

/** Milliseconds. The bounds are in seconds; without an upper bound `0` is Infinity. */
function duration(flag: string, value: string, {least, most}: {least: number; most?: number}): number {
	const milliseconds = parseDuration(value);
	if (milliseconds === 0 && most === undefined) {
		return Infinity;
	}

	return milliseconds !== undefined &&
		milliseconds >= least * 1000 &&
		milliseconds <= (most ?? Infinity) * 1000
		? milliseconds
		: refuse(
				flag,
				value,
				`it must be a time such as 90s, 5m or 2h, at least ${least}s${most === undefined ? ', or 0 for never' : ` and at most ${most}s`}`,
			);
}

/** Milliseconds of a film; `0`: none. */
function length(flag: string, value: string | undefined): number {
	return value === undefined || value === '0'
		? 0
		: (filmTimeOf(value) ??
				refuse(flag, value, 'it must be a time such as 90s, 10m or 1h30m, or 0 for none'));
}

function first(flag: string, value: string | undefined): SafeRequest | undefined {
	if (value === undefined) {
		return undefined;
	}

	const {forMs, bytes} = safeRequestOf({amount: value}, Date.now(), {amount: flag});
	return forMs === undefined ? {from: 'start', ...(bytes !== undefined && {bytes})} : startOf(forMs);
}

/** `URL` has no origin for extensions and webviews; this is the form that browsers send. */
const extensionOrigin = /^(?:(?:chrome|moz)-extension|vscode-webview):\/\/[a-z\d-]+$/;

function webOrigin(flag: string, value: string): string {
	if (extensionOrigin.test(value.replace(/\/$/, ''))) {
		return value.replace(/\/$/, '');
	}

	const url = URL.canParse(value) ? new URL(value) : undefined;
	const isOrigin = url !== undefined && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href;
	return isOrigin
		? url.origin
		: refuse(
				flag,
				value,
				'it must be the origin of a web page or extension, such as https://player.example or chrome-extension://ID',
			);
}

function checksum(flag: string, value: string | undefined): string | undefined {
	if (value !== undefined) {
		parseChecksum(value, flag);
	}

	return value;
}

function proxy(flag: string, value: string | undefined): string | undefined {
	if (value !== undefined && value !== 'direct') {
		parseProxy(value, `${flag} ${JSON.stringify(withoutPassword(value))}: it`);
	}

	return value;
}

/** Text before an `@` or in place of a port may be secret. */
function withoutPassword(proxy: string): string {
	const [, scheme = '', user = '', place] =
		/^([a-z][a-z\d+.-]*:\/\/)?(.*@)?([^:]*(?::\d*)?)$/is.exec(proxy) ?? [];
	return place === undefined ? '***' : `${scheme}${user && '***@'}${place}`;
}

function userAgent(flag: string, value: string | undefined): string | undefined {
	return value === undefined ? undefined : checkedValue(flag, value);
}

function command(flag: string, value: string | undefined): readonly string[] | undefined {
	return value === undefined
		? undefined
		: (commandWords(value) ?? refuse(flag, value, 'it must be a plain command, without shell syntax'));
}

function certificates(flag: string, file: string | undefined): string | undefined {
	if (file === undefined) {
		return undefined;
	}

	let pem: string;
	try {
		pem = readFileSync(file, 'utf8');
	} catch {
		return refuse(flag, file, 'the file cannot be read');
	}

	return pem.includes('-----BEGIN CERTIFICATE-----')
		? pem
		: refuse(flag, file, 'it holds no PEM certificate');
}

function isOn(value: string | undefined): boolean {
	return value !== undefined && value !== '' && value !== '0' && value !== 'false';
}
