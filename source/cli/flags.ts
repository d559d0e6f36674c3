// The table of flags: their form, help text and place in the settings file. Pure.
import {defaults} from '../defaults.ts';
import {connections} from '../schema.ts';

export type Flag = {
	readonly kind: 'text' | 'switch' | 'list';
	readonly short?: string;
	/** Placeholder of the value in the help; `DIR`, `FILE` and `PATH` stand for paths. */
	readonly value?: string;
	/** All accepted values. */
	readonly choices?: readonly string[];
	/** One or several lines of help. Parts for one command are `COMMAND: TEXT`, and end with `;` at the end of a line. */
	readonly description: string;
	/** A default path that depends on the user; appended to the description. */
	readonly defaultPath?: 'storage' | 'config';
	/** For a single run: refused in the settings file and the environment. */
	readonly runOnly?: true;
	/** On unless turned off: the help shows it with `--no-`. */
	readonly defaultsOn?: true;
};

export const flagGroups = {
	Files: [
		...(['storage', 'exportDir', 'output', 'overwrite', 'keepBoth', 'move', 'whenComplete', 'keep'] as const),
		...(['deleteData', 'all', 'config'] as const),
	],
	Requests: [
		...(['header', 'userAgent', 'netrc', 'proxy', 'resolveWith', 'checksum', 'name', 'paused'] as const),
		...(['ca', 'insecure'] as const),
	],
	Failures: ['timeout', 'giveUpAfter', 'onChange', 'allowHtml'],
	Speed: ['connections', 'maxActive', 'limitRate', 'onDemand', 'readAhead', 'film', 'cacheSize'],
	'Make it safe': ['keepAhead', 'next', 'first', 'from', 'by', 'wait'],
	Players: ['port', 'player', 'whenSafe', 'continue', 'allowOrigin', 'openStream'],
	Output: [
		...(['plain', 'json', 'ascii', 'si', 'color', 'theme', 'mouse', 'bell', 'title', 'tabProgress'] as const),
		...(['log', 'logLevel'] as const),
	],
} as const;

export const flags = {
	storage: {
		kind: 'text',
		value: 'DIR',
		description: 'folder for downloaded data',
		defaultPath: 'storage',
	},
	exportDir: {
		kind: 'text',
		value: 'DIR',
		description: 'folder for finished files (default: the current folder)',
	},
	output: {
		kind: 'text',
		short: 'o',
		value: 'PATH',
		description: 'file or folder to write; - streams to standard output, in order',
		runOnly: true,
	},
	overwrite: {kind: 'switch', description: 'replace an existing file', runOnly: true},
	keepBoth: {
		kind: 'switch',
		description: 'keep an existing file and write "film (2).mkv" beside it',
		runOnly: true,
	},
	move: {
		kind: 'switch',
		description: 'move the file out of the store instead of linking or copying it',
		runOnly: true,
	},
	whenComplete: {
		kind: 'switch',
		description: 'export once the download is complete, even in a later run',
		runOnly: true,
	},
	deleteData: {kind: 'switch', description: 'delete the stored bytes too', runOnly: true},
	all: {
		kind: 'switch',
		description:
			'list: include removed downloads that can still be resumed;\nsafe: the start of every download',
		runOnly: true,
	},
	port: {
		kind: 'text',
		value: 'N',
		description: `port of the local proxy (default: ${defaults.port}, or the next free one; 0: any free port)`,
	},
	config: {
		kind: 'text',
		value: 'FILE',
		description: 'settings file: JSON with the names of these flags',
		defaultPath: 'config',
		runOnly: true,
	},
	header: {
		kind: 'list',
		short: 'H',
		value: "'Name: value'",
		description: 'request header for every URL given here; repeatable',
	},
	userAgent: {kind: 'text', value: 'TEXT', description: 'User-Agent to send'},
	netrc: {kind: 'switch', description: 'log in with ~/.netrc (or the file named by NETRC)'},
	proxy: {
		kind: 'text',
		value: 'URL',
		description:
			'upstream proxy: http://, https://, socks5://, socks5h://, socks4:// or socks4a://,\nwith user:password@ if needed; direct for none\n(default: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY)',
	},
	resolveWith: {
		kind: 'text',
		value: 'COMMAND',
		description:
			"command that turns a page into a direct link, such as 'yt-dlp -g';\nrun again whenever the link has expired",
	},
	checksum: {
		kind: 'text',
		value: 'SUM',
		description: 'expected checksum (single URL only): md5:, sha1:, sha256: or sha512: and hex digits',
		runOnly: true,
	},
	name: {kind: 'text', value: 'NAME', description: 'file name (single URL only)', runOnly: true},
	paused: {kind: 'switch', description: 'add without starting', runOnly: true},
	ca: {kind: 'text', value: 'FILE', description: 'trust these certificates too (PEM)'},
	insecure: {kind: 'switch', description: 'accept any certificate'},
	timeout: {
		kind: 'text',
		value: 'TIME',
		description: `timeout for the first response of a server; grows with each retry (default: ${defaults.timeout})`,
	},
	giveUpAfter: {
		kind: 'text',
		value: 'TIME',
		description: `stop after this long without data, such as 90s, 5m or 2h\n(default: ${defaults.giveUpAfter}; 0: never)`,
	},
	onChange: {
		kind: 'text',
		value: 'WHAT',
		choices: ['stop', 'continue', 'restart'],
		description:
			'if the file changes on the server: stop (default), continue if samples\nof the stored bytes match, or restart',
		runOnly: true,
	},
	allowHtml: {kind: 'switch', description: 'accept a web page in place of the file', runOnly: true},
	connections: {
		kind: 'text',
		value: 'N',
		description: `connections per file, ${connections.min} to ${connections.max} (default: ${defaults.connections})`,
	},
	maxActive: {
		kind: 'text',
		value: 'N',
		description: `simultaneous downloads (default: ${defaults.maxActive})`,
	},
	limitRate: {
		kind: 'text',
		value: 'RATE',
		description: 'limit for all downloads together, such as 500K or 5M per second (default: none)',
	},
	onDemand: {kind: 'switch', description: 'fetch only what players read'},
	readAhead: {
		kind: 'text',
		value: 'SIZE',
		description: `data to buffer ahead of a player, as a size or as seconds such as 60s (default: ${defaults.readAhead})`,
	},
	whenSafe: {kind: 'switch', description: 'start the player once the film plays through', runOnly: true},
	film: {
		kind: 'switch',
		description: 'do not read film indexes, which show the minutes ready to watch',
		defaultsOn: true,
	},
	cacheSize: {
		kind: 'text',
		value: 'SIZE',
		description:
			'delete the least recently read complete downloads above this size, such as 20G\n(default: never)',
	},
	keepAhead: {
		kind: 'text',
		value: 'TIME',
		description: 'minutes of each film to keep on the disk ahead of its player, such as 10m (default: none)',
	},
	next: {
		kind: 'text',
		value: 'TIME',
		description:
			'once a film has less than 5 minutes left, make this much of the next one safe, such as 2m\n(default: none)',
	},
	first: {
		kind: 'text',
		value: 'AMOUNT',
		description: 'fetch only the start, such as 10m or 200M, and leave the download paused in the list',
		runOnly: true,
	},
	from: {
		kind: 'text',
		value: 'TIME',
		description:
			'start of the stretch: a time in the film such as 41:07, player or start\n(default: player for minutes, start for bytes)',
		runOnly: true,
	},
	by: {
		kind: 'text',
		value: 'TIME',
		description: 'deadline: 18:40, 2026-11-30T18:40, or a duration such as 2h',
		runOnly: true,
	},
	wait: {
		kind: 'switch',
		description: 'wait until the stretch is safe; exit with 1 if that is impossible',
		runOnly: true,
	},
	player: {
		kind: 'text',
		value: 'COMMAND',
		description: 'player to start (default: mpv, VLC or IINA)',
	},
	continue: {
		kind: 'text',
		value: 'WHEN',
		choices: ['always', 'ask', 'never'],
		description: 'resume films at the last position: always (default), ask or never',
	},
	allowOrigin: {
		kind: 'list',
		value: 'ORIGIN',
		description:
			'web page or browser extension allowed to use the proxy, such as\nhttps://player.example; repeatable',
	},
	openStream: {kind: 'switch', description: 'serve /stream?url= without the key'},
	plain: {kind: 'switch', description: 'lines instead of the dashboard, for screen readers and logs'},
	keep: {
		kind: 'switch',
		description:
			'get: keep the downloads in the list;\nwithout a dashboard: keep running after the last download',
	},
	json: {kind: 'switch', description: 'JSON output, one object per line (list: one array)'},
	ascii: {kind: 'switch', description: 'draw with ASCII only'},
	si: {kind: 'switch', description: 'units of 1000 instead of 1024'},
	color: {
		kind: 'text',
		value: 'WHEN',
		choices: ['auto', 'always', 'never'],
		description: 'auto (default), always or never; NO_COLOR and FORCE_COLOR apply too',
	},
	theme: {
		kind: 'text',
		value: 'NAME',
		choices: ['dark', 'light', 'plain'],
		description: "dark, light or plain (default: from the terminal's background)",
	},
	mouse: {kind: 'switch', description: 'select and press with the mouse (M toggles it)'},
	bell: {kind: 'switch', description: 'ring the bell when a download completes'},
	title: {kind: 'switch', description: "leave the terminal's title alone", defaultsOn: true},
	tabProgress: {
		kind: 'text',
		value: 'WHEN',
		choices: ['auto', 'always', 'never'],
		description: "progress in the terminal's tab (OSC 9;4): auto (default), always or never",
	},
	log: {kind: 'text', value: 'FILE', description: 'write a log'},
	logLevel: {
		kind: 'text',
		value: 'LEVEL',
		choices: ['error', 'warn', 'info', 'debug'],
		description: 'error, warn, info (default) or debug',
	},
} as const satisfies Readonly<Record<string, Flag>>;

export type FlagName = keyof typeof flags;

export const allFlags = Object.keys(flags) as FlagName[];

type ValueOf = {text: string; switch: boolean; list: readonly string[]};

/** Values from the command line; undefined where a flag is absent. */
export type Flags = {readonly [Name in FlagName]?: ValueOf[(typeof flags)[Name]['kind']] | undefined};

/** The defaults of `--storage` and `--config` as shown in the help. */
export type DefaultPaths = Readonly<Record<'storage' | 'config', string>>;

/** `exportDir` is `--export-dir`. */
export function kebabCase(name: string): string {
	return name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
}

/** As typed: `--export-dir`, or `--no-title` for a flag that is on by default. */
export function optionOf(name: FlagName): string {
	return `--${(flags[name] as Flag).defaultsOn ? 'no-' : ''}${kebabCase(name)}`;
}

/**
 * The description, followed by the default path if there is one. `command`: only the part for this command, where there is
 * one.
 */
export function describedFlag(name: FlagName, paths: DefaultPaths, command?: string): string {
	const {description: whole, defaultPath}: Flag = flags[name];
	const start = `${command}: `;
	const part = whole.split(';\n').find(each => each.startsWith(start));
	const description = part?.slice(start.length) ?? whole;
	return defaultPath === undefined ? description : `${description}\n(default: ${paths[defaultPath]})`;
}

/** The lines of the help, by group; of one command, or of all. */
export function flagsHelp(shown: readonly FlagName[], paths: DefaultPaths, command?: string): string {
	return Object.entries(flagGroups)
		.map(([group, names]) => [group, names.filter(name => shown.includes(name))] as const)
		.filter(([, names]) => names.length > 0)
		.map(([group, names]) => [group, ...names.flatMap(name => flagHelp(name, paths, command))].join('\n'))
		.join('\n\n');
}

const helpColumn = 26;

function flagHelp(name: FlagName, paths: DefaultPaths, command: string | undefined): string[] {
	const {short, value}: Flag = flags[name];
	const option = `${short === undefined ? '' : `-${short}, `}${optionOf(name)}`;
	const start = `  ${option}${value === undefined ? '' : ` ${value}`}`;
	const [first, ...rest] = describedFlag(name, paths, command).split('\n');
	return [`${start.padEnd(helpColumn - 2)}  ${first}`, ...rest.map(line => ' '.repeat(helpColumn) + line)];
}
