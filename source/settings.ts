// What the flags say, checked: each bad value is one sentence that names the flag, the value and what is allowed.
import {readFileSync} from 'node:fs';
import path from 'node:path';
import envPaths from 'env-paths';
import {defaults} from './defaults.ts';
import {DownStreamError} from './downstream.ts';
import {parseProxy} from './engine/upstream-proxy.ts';
import {parseRate} from './rate.ts';

export type Settings = {
	readonly port: number;
	/** The port was asked for: if it is taken, that is an error. */
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
	readonly json: boolean;
	readonly plain: boolean;
	readonly ascii: boolean;
	readonly color: 'auto' | 'always' | 'never';
	/** Instead of what the terminal says of its background. */
	readonly theme: 'dark' | 'light' | 'plain' | undefined;
	readonly title: boolean;
	readonly mouse: boolean;
	readonly bell: boolean;
	/** The command that plays a stream URL. */
	readonly player: string | undefined;
	readonly logFile: string | undefined;
	readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
	/** Certificates in PEM to trust besides the built-in ones. */
	readonly ca: string | undefined;
	readonly insecure: boolean;
	readonly output: string | undefined;
};

/** As meow gives them: text for flags with a value, undefined where a flag was not given. */
export type Flags = {
	readonly [
		name in
			| 'port'
			| 'storage'
			| 'exportDir'
			| 'userAgent'
			| 'proxy'
			| 'connections'
			| 'maxActive'
			| 'limitRate'
			| 'log'
			| 'logLevel'
			| 'ca'
			| 'output'
			| 'color'
			| 'theme'
			| 'player'
	]?: string;
} & {
	readonly [
		name in 'onDemand' | 'json' | 'plain' | 'ascii' | 'insecure' | 'title' | 'mouse' | 'bell'
	]?: boolean;
} & {readonly header?: readonly string[]};

const themes = ['dark', 'light', 'plain'] as const;
const logLevels = ['error', 'warn', 'info', 'debug'] as const;

/** Throws `bad-request`. */
export function settingsFrom(flags: Flags, environment: NodeJS.ProcessEnv = process.env): Settings {
	return {
		port: wholeNumber('--port', flags.port, defaults.port, 0, 65_535),
		exactPort: flags.port !== undefined && flags.port !== '0',
		storageDir: path.resolve(
			text('--storage', flags.storage) ?? envPaths('downstream-tui', {suffix: ''}).cache,
		),
		exportDir: path.resolve(text('--export-dir', flags.exportDir) ?? '.'),
		userAgent: headerValue('--user-agent', text('--user-agent', flags.userAgent)),
		proxy: proxy(text('--proxy', flags.proxy)),
		headers: headers(flags.header ?? []),
		connections: wholeNumber('--connections', flags.connections, defaults.connections, 1, 16),
		maxActive: wholeNumber('--max-active', flags.maxActive, defaults.maxActive, 1, 1000),
		limitRate: rate('--limit-rate', flags.limitRate),
		onDemand: flags.onDemand ?? false,
		json: flags.json ?? false,
		plain: (flags.plain ?? false) || isOn(environment.ACCESSIBLE) || environment.INK_SCREEN_READER === 'true',
		ascii: flags.ascii ?? false,
		color: oneOf('--color', flags.color, ['auto', 'always', 'never'], 'auto'),
		theme: flags.theme === undefined ? undefined : oneOf('--theme', flags.theme, themes, 'plain'),
		title: flags.title ?? true,
		mouse: flags.mouse ?? false,
		bell: flags.bell ?? false,
		player: text('--player', flags.player),
		logFile: text('--log', flags.log),
		logLevel: oneOf('--log-level', flags.logLevel, logLevels, 'info'),
		ca: certificates(text('--ca', flags.ca)),
		insecure: flags.insecure ?? false,
		output: text('-o', flags.output),
	};
}

function refuse(flag: string, value: string, allowed: string): never {
	throw new DownStreamError('bad-request', `${flag} ${JSON.stringify(value)}: ${allowed}`);
}

function text(flag: string, value: string | undefined): string | undefined {
	return value === '' ? refuse(flag, value, 'it needs a value') : value;
}

function wholeNumber(
	flag: string,
	value: string | undefined,
	standard: number,
	least: number,
	most: number,
): number {
	if (value === undefined) {
		return standard;
	}

	const number = /^\d+$/.test(value) ? Number(value) : NaN;
	return number >= least && number <= most
		? number
		: refuse(flag, value, `it must be a whole number from ${least} to ${most}`);
}

function oneOf<T extends string>(
	flag: string,
	value: string | undefined,
	allowed: readonly T[],
	standard: T,
): T {
	return value === undefined
		? standard
		: (allowed.find(candidate => candidate === value) ??
				refuse(flag, value, `it must be one of ${allowed.join(', ')}`));
}

/** `500K`, `5M`, `1.5MiB`: units of 1024, as curl has them. `0` is no limit. */
function rate(flag: string, value: string | undefined): number {
	if (value === undefined) {
		return Infinity;
	}

	return (
		parseRate(value) ??
		refuse(flag, value, 'it must be bytes per second such as 500K or 5M, at least 1K, or 0 for no limit')
	);
}

function proxy(value: string | undefined): string | undefined {
	if (value !== undefined && value !== 'direct') {
		parseProxy(value);
	}

	return value;
}

function headers(lines: readonly string[]): Record<string, string> {
	const found: Record<string, string> = {};
	for (const line of lines) {
		const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*)$/s.exec(line) ?? [];
		if (name === undefined || value === undefined) {
			// The whole line may be a secret.
			throw new DownStreamError('bad-request', "--header: it must be written 'Name: value'");
		}

		found[name] = headerValue(`--header ${name}`, value) ?? '';
	}

	return found;
}

function headerValue(flag: string, value: string | undefined): string | undefined {
	if (value !== undefined && /[^\t\x20-\x7E\x80-\xFF]/.test(value)) {
		throw new DownStreamError(
			'bad-request',
			`${flag}: the value has a line break or a character that no header can carry`,
		);
	}

	return value;
}

function certificates(file: string | undefined): string | undefined {
	if (file === undefined) {
		return undefined;
	}

	let pem: string;
	try {
		pem = readFileSync(file, 'utf8');
	} catch {
		return refuse('--ca', file, 'the file cannot be read');
	}

	return pem.includes('-----BEGIN CERTIFICATE-----')
		? pem
		: refuse('--ca', file, 'it holds no PEM certificate');
}

function isOn(value: string | undefined): boolean {
	return value !== undefined && value !== '' && value !== '0' && value !== 'false';
}
