// The one table of flags: how each is given, in the help and in the settings file. Pure.
import {defaults} from './defaults.ts';

export type Flag = {
	readonly kind: 'text' | 'switch' | 'list';
	readonly short?: string;
	/** What stands for the value in the help: `DIR`, `FILE` and `PATH` are those of the file system. */
	readonly value?: string;
	/** All values that are allowed. */
	readonly choices?: readonly string[];
	/** One line or several of the help. */
	readonly says: string;
	/** Of one run alone: neither in the settings file nor in the environment. */
	readonly once?: true;
	/** Said to turn it off: the help has it with `--no-`. */
	readonly isOn?: true;
};

export const flagGroups = {
	Where: ['storage', 'exportDir', 'output', 'deleteData', 'port', 'config'],
	'From where': ['header', 'userAgent', 'netrc', 'proxy', 'resolveWith', 'checksum', 'ca', 'insecure'],
	'When it fails': ['timeout', 'giveUpAfter', 'onChange', 'allowHtml'],
	'How fast': ['connections', 'maxActive', 'limitRate', 'onDemand', 'readAhead', 'cacheSize'],
	'To players': ['player', 'allowOrigin', 'openStream'],
	'How shown': [
		...['plain', 'keep', 'json', 'ascii', 'si', 'color', 'theme', 'mouse', 'bell', 'title'],
		...['log', 'logLevel'],
	],
} as const;

export const flags = {
	storage: {
		kind: 'text',
		value: 'DIR',
		says: "what was fetched is kept here (default: the user's cache folder)",
	},
	exportDir: {kind: 'text', value: 'DIR', says: 'finished files are exported here (default: this folder)'},
	output: {kind: 'text', short: 'o', value: 'PATH', says: 'get: the file or folder to write', once: true},
	deleteData: {kind: 'switch', says: 'remove: delete the bytes too, which stay otherwise', once: true},
	port: {
		kind: 'text',
		value: 'N',
		says: `of the local proxy (default: ${defaults.port}, or the next free one; 0: any free one)`,
	},
	config: {
		kind: 'text',
		value: 'FILE',
		says: "settings by the names of these flags, as JSON\n(default: settings.json in the user's configuration folder)",
		once: true,
	},
	header: {
		kind: 'list',
		short: 'H',
		value: "'Name: value'",
		says: 'sent with every URL given here; may be repeated',
	},
	userAgent: {kind: 'text', value: 'TEXT', says: 'instead of our own'},
	netrc: {kind: 'switch', says: 'user and password from ~/.netrc (or the file that NETRC names)'},
	proxy: {
		kind: 'text',
		value: 'URL',
		says: 'http://, https://, socks5://, socks5h://, socks4:// or socks4a://, with user:password@\nif needed, or direct (default: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY)',
	},
	resolveWith: {
		kind: 'text',
		value: 'COMMAND',
		says: "such as 'yt-dlp -g': prints the link to fetch for what is given,\nagain each time that the link has expired",
	},
	checksum: {
		kind: 'text',
		value: 'SUM',
		says: 'of the one URL given: md5:, sha1:, sha256: or sha512: and its digits',
		once: true,
	},
	ca: {kind: 'text', value: 'FILE', says: 'trust these certificates too (PEM)'},
	insecure: {kind: 'switch', says: 'trust any certificate'},
	timeout: {
		kind: 'text',
		value: 'TIME',
		says: `for the first answer of a server, longer when it is tried again (default: ${defaults.timeout})`,
	},
	giveUpAfter: {
		kind: 'text',
		value: 'TIME',
		says: `get, play, --plain: stop after this long without data, such as 90s, 5m\nor 2h (default: ${defaults.giveUpAfter}; 0: never)`,
	},
	onChange: {
		kind: 'text',
		value: 'WHAT',
		choices: ['stop', 'continue', 'restart'],
		says: 'get: if the file changes on the server, stop (default), continue where samples\nof the bytes agree, or restart',
		once: true,
	},
	allowHtml: {
		kind: 'switch',
		says: 'get: a web page in place of the file is no failure',
		once: true,
	},
	connections: {
		kind: 'text',
		value: 'N',
		says: `for each file, 1 to 16 (default: ${defaults.connections})`,
	},
	maxActive: {
		kind: 'text',
		value: 'N',
		says: `downloads at the same time (default: ${defaults.maxActive})`,
	},
	limitRate: {
		kind: 'text',
		value: 'RATE',
		says: 'of all together, such as 500K or 5M a second (default: none)',
	},
	onDemand: {kind: 'switch', says: 'fetch only what players ask for'},
	readAhead: {
		kind: 'text',
		value: 'SIZE',
		says: `at most so much is kept ready for a player (default: ${defaults.readAhead})`,
	},
	cacheSize: {
		kind: 'text',
		value: 'SIZE',
		says: 'beyond it, such as 20G, complete downloads go that were not read\nfor the longest time (default: none go)',
	},
	player: {kind: 'text', value: 'COMMAND', says: 'what play and the key o start (default: mpv, VLC, IINA)'},
	allowOrigin: {
		kind: 'list',
		value: 'ORIGIN',
		says: 'web page that may play, such as https://player.example; may be repeated',
	},
	openStream: {kind: 'switch', says: '/stream?url= needs no key'},
	plain: {kind: 'switch', says: 'lines instead of the dashboard, for screen readers and logs'},
	keep: {kind: 'switch', says: 'with lines: serve on when everything is done'},
	json: {kind: 'switch', says: 'serve, add, list: JSON, one object for each line or event'},
	ascii: {kind: 'switch', says: 'draw with ASCII only'},
	si: {kind: 'switch', says: 'units of 1000 instead of 1024'},
	color: {
		kind: 'text',
		value: 'WHEN',
		choices: ['auto', 'always', 'never'],
		says: 'auto (default), always or never; NO_COLOR and FORCE_COLOR are heeded',
	},
	theme: {
		kind: 'text',
		value: 'NAME',
		choices: ['dark', 'light', 'plain'],
		says: "dark, light or plain (default: by the terminal's background)",
	},
	mouse: {kind: 'switch', says: 'click to select and press (M switches it)'},
	bell: {kind: 'switch', says: 'ring when a download is done'},
	title: {kind: 'switch', says: "leave the terminal's title alone", isOn: true},
	log: {kind: 'text', value: 'FILE', says: 'write a log'},
	logLevel: {
		kind: 'text',
		value: 'LEVEL',
		choices: ['error', 'warn', 'info', 'debug'],
		says: 'error, warn, info (default) or debug',
	},
} as const satisfies Readonly<Record<string, Flag>>;

export type FlagName = keyof typeof flags;

type ValueOf = {text: string; switch: boolean; list: readonly string[]};

/** What was given: text for flags with a value, undefined where a flag was not given. */
export type Flags = {readonly [Name in FlagName]?: ValueOf[(typeof flags)[Name]['kind']] | undefined};

/** `exportDir` is `--export-dir`. */
export function kebabCase(name: string): string {
	return name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
}

/** As it is typed: `--export-dir`, and `--no-title` where it turns off. */
export function optionOf(name: FlagName): string {
	return `--${(flags[name] as Flag).isOn ? 'no-' : ''}${kebabCase(name)}`;
}

/** The lines of the help, by group. */
export function flagsHelp(shown: readonly FlagName[] = Object.keys(flags) as FlagName[]): string {
	return Object.entries(flagGroups)
		.map(([group, names]) => [group, names.filter(name => shown.includes(name))] as const)
		.filter(([, names]) => names.length > 0)
		.map(([group, names]) => [group, ...names.flatMap(name => flagHelp(name))].join('\n'))
		.join('\n\n');
}

const helpColumn = 26;

function flagHelp(name: FlagName): string[] {
	const {short, value, says}: Flag = flags[name];
	const option = `${short === undefined ? '' : `-${short}, `}${optionOf(name)}`;
	const start = `  ${option}${value === undefined ? '' : ` ${value}`}`;
	const [first, ...rest] = says.split('\n');
	return [`${start.padEnd(helpColumn - 2)}  ${first}`, ...rest.map(line => ' '.repeat(helpColumn) + line)];
}
