// The one table of flags: how each is given, in the help and in the settings file. Pure.
import {defaults} from '../defaults.ts';
import {connections} from '../schema.ts';

export type Flag = {
	readonly kind: 'text' | 'switch' | 'list';
	readonly short?: string;
	/** What stands for the value in the help: `DIR`, `FILE` and `PATH` are those of the file system. */
	readonly value?: string;
	/** All values that are allowed. */
	readonly choices?: readonly string[];
	/** One line or several of the help. */
	readonly description: string;
	/** Of one run alone: neither in the settings file nor in the environment. */
	readonly runOnly?: true;
	/** Said to turn it off: the help has it with `--no-`. */
	readonly defaultsOn?: true;
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
		description: "what was fetched is kept here (default: the user's cache folder)",
	},
	exportDir: {
		kind: 'text',
		value: 'DIR',
		description: 'finished files are exported here (default: this folder)',
	},
	output: {
		kind: 'text',
		short: 'o',
		value: 'PATH',
		description: 'get: the file or folder to write',
		runOnly: true,
	},
	deleteData: {
		kind: 'switch',
		description: 'remove: delete the bytes too, which stay otherwise',
		runOnly: true,
	},
	port: {
		kind: 'text',
		value: 'N',
		description: `of the local proxy (default: ${defaults.port}, or the next free one; 0: any free one)`,
	},
	config: {
		kind: 'text',
		value: 'FILE',
		description:
			"settings by the names of these flags, as JSON\n(default: settings.json in the user's configuration folder)",
		runOnly: true,
	},
	header: {
		kind: 'list',
		short: 'H',
		value: "'Name: value'",
		description: 'sent with every URL given here; may be repeated',
	},
	userAgent: {kind: 'text', value: 'TEXT', description: 'instead of our own'},
	netrc: {kind: 'switch', description: 'user and password from ~/.netrc (or the file that NETRC names)'},
	proxy: {
		kind: 'text',
		value: 'URL',
		description:
			'http://, https://, socks5://, socks5h://, socks4:// or socks4a://, with user:password@\nif needed, or direct (default: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY)',
	},
	resolveWith: {
		kind: 'text',
		value: 'COMMAND',
		description:
			"such as 'yt-dlp -g': prints the link to fetch for what is given,\nagain each time that the link has expired",
	},
	checksum: {
		kind: 'text',
		value: 'SUM',
		description: 'of the one URL given: md5:, sha1:, sha256: or sha512: and its digits',
		runOnly: true,
	},
	ca: {kind: 'text', value: 'FILE', description: 'trust these certificates too (PEM)'},
	insecure: {kind: 'switch', description: 'trust any certificate'},
	timeout: {
		kind: 'text',
		value: 'TIME',
		description: `for the first answer of a server, longer when it is tried again (default: ${defaults.timeout})`,
	},
	giveUpAfter: {
		kind: 'text',
		value: 'TIME',
		description: `get, play, --plain: stop after this long without data, such as 90s, 5m\nor 2h (default: ${defaults.giveUpAfter}; 0: never)`,
	},
	onChange: {
		kind: 'text',
		value: 'WHAT',
		choices: ['stop', 'continue', 'restart'],
		description:
			'get: if the file changes on the server, stop (default), continue where samples\nof the bytes agree, or restart',
		runOnly: true,
	},
	allowHtml: {
		kind: 'switch',
		description: 'get: a web page in place of the file is no failure',
		runOnly: true,
	},
	connections: {
		kind: 'text',
		value: 'N',
		description: `for each file, ${connections.min} to ${connections.max} (default: ${defaults.connections})`,
	},
	maxActive: {
		kind: 'text',
		value: 'N',
		description: `downloads at the same time (default: ${defaults.maxActive})`,
	},
	limitRate: {
		kind: 'text',
		value: 'RATE',
		description: 'of all together, such as 500K or 5M a second (default: none)',
	},
	onDemand: {kind: 'switch', description: 'fetch only what players ask for'},
	readAhead: {
		kind: 'text',
		value: 'SIZE',
		description: `at most so much is kept ready for a player (default: ${defaults.readAhead})`,
	},
	cacheSize: {
		kind: 'text',
		value: 'SIZE',
		description:
			'beyond it, such as 20G, complete downloads go that were not read\nfor the longest time (default: none go)',
	},
	player: {
		kind: 'text',
		value: 'COMMAND',
		description: 'what play and the key o start (default: mpv, VLC, IINA)',
	},
	allowOrigin: {
		kind: 'list',
		value: 'ORIGIN',
		description:
			'web page or browser extension that may ask, such as https://player.example; may be repeated',
	},
	openStream: {kind: 'switch', description: '/stream?url= needs no key'},
	plain: {kind: 'switch', description: 'lines instead of the dashboard, for screen readers and logs'},
	keep: {kind: 'switch', description: 'with lines: serve on when everything is done'},
	json: {kind: 'switch', description: 'serve, add, list: JSON, one object for each line or event'},
	ascii: {kind: 'switch', description: 'draw with ASCII only'},
	si: {kind: 'switch', description: 'units of 1000 instead of 1024'},
	color: {
		kind: 'text',
		value: 'WHEN',
		choices: ['auto', 'always', 'never'],
		description: 'auto (default), always or never; NO_COLOR and FORCE_COLOR are heeded',
	},
	theme: {
		kind: 'text',
		value: 'NAME',
		choices: ['dark', 'light', 'plain'],
		description: "dark, light or plain (default: by the terminal's background)",
	},
	mouse: {kind: 'switch', description: 'click to select and press (M switches it)'},
	bell: {kind: 'switch', description: 'ring when a download is done'},
	title: {kind: 'switch', description: "leave the terminal's title alone", defaultsOn: true},
	log: {kind: 'text', value: 'FILE', description: 'write a log'},
	logLevel: {
		kind: 'text',
		value: 'LEVEL',
		choices: ['error', 'warn', 'info', 'debug'],
		description: 'error, warn, info (default) or debug',
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
	return `--${(flags[name] as Flag).defaultsOn ? 'no-' : ''}${kebabCase(name)}`;
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
	const {short, value, description}: Flag = flags[name];
	const option = `${short === undefined ? '' : `-${short}, `}${optionOf(name)}`;
	const start = `  ${option}${value === undefined ? '' : ` ${value}`}`;
	const [first, ...rest] = description.split('\n');
	return [`${start.padEnd(helpColumn - 2)}  ${first}`, ...rest.map(line => ' '.repeat(helpColumn) + line)];
}
