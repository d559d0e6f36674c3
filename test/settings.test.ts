import assert from 'node:assert/strict';
import {mkdir, writeFile} from 'node:fs/promises';
import {homedir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import {checkArguments, checkOperands, commandOf} from '../source/cli/arguments.ts';
import {DownStreamError} from '../source/downstream.ts';
import {commands, flagsOf, type CommandName} from '../source/cli/commands.ts';
import {
	flags,
	flagGroups,
	allFlags,
	flagsHelp,
	kebabCase,
	optionOf,
	type FlagName,
	type Flags,
} from '../source/cli/flags.ts';
import {readSettingsFile} from '../source/cli/settings-file.ts';
import {commandHelp} from '../source/cli/help.ts';
import {settingsFrom} from '../source/cli/settings.ts';
import {CliProcess} from './support/cli.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';

const MiB = 1024 * 1024;

test('every flag is in one group of the help', () => {
	const grouped: string[] = Object.values(flagGroups).flat();
	assert.deepEqual(grouped.toSorted(), Object.keys(flags).toSorted());
	const help = flagsHelp(allFlags, {storage: '~/cache', config: '~/config'});
	assert.match(help, /^ {2}--no-title +leave/m);
	assert.match(help, /^ {2}-H, --header 'Name: value' +request header/m);
	assert.match(help, /^ {2}--storage DIR +folder .*\n +\(default: ~\/cache\)$/m);
	assert.ok(help.split('\n').every(line => line.length <= 118));
});

test('the help of a command describes a flag only for this command', () => {
	assert.match(commandHelp('safe'), /^ {2}--all +the start of every download$/m);
	assert.match(commandHelp('list'), /^ {2}--all +include removed downloads that can still be resumed$/m);
	assert.match(commandHelp('get'), /^ {2}--keep +keep the downloads in the list$/m);
});

test('every flag belongs to a command or to the dashboard, and is rejected elsewhere', () => {
	const names = [undefined, ...(Object.keys(commands) as CommandName[])];
	for (const flag of allFlags) {
		assert.ok(
			names.some(name => flagsOf(name).includes(flag)),
			flag,
		);
		const {kind} = flags[flag];
		const words = kind === 'switch' ? [optionOf(flag)] : [optionOf(flag), 'x'];
		for (const name of names) {
			const check = () => checkArguments([...(name === undefined ? [] : [name]), ...words]);
			if (flagsOf(name).includes(flag)) {
				check();
			} else {
				const whose =
					name === undefined ? 'without a command' : `of ${name}; see downstream-tui ${name} --help`;
				assert.throws(check, {
					code: 'bad-request',
					message: new RegExp(`^${optionOf(flag)} is not an option ${whose}`),
				});
			}
		}
	}
});

/** A bad value of each flag and its error. Undefined: any value is valid. */
const wrong: Record<FlagName, [value: string, sentence: RegExp] | undefined> = {
	storage: undefined,
	exportDir: undefined,
	output: undefined,
	overwrite: ['maybe', /^--overwrite "maybe"/],
	keepBoth: ['maybe', /^--keep-both "maybe"/],
	move: ['maybe', /^--move "maybe"/],
	whenComplete: ['maybe', /^--when-complete "maybe"/],
	all: ['maybe', /^--all "maybe"/],
	name: undefined,
	paused: ['maybe', /^--paused "maybe"/],
	deleteData: ['maybe', /^--delete-data "maybe": it must be true, false or left out/],
	port: ['70000', /^--port "70000": it must be a whole number from 0 to 65535$/],
	config: ['/nowhere/x.json', /^The settings file \/nowhere\/x\.json cannot be read$/],
	header: ['no colon', /^--header: it must have the form 'Name: value'$/],
	userAgent: ['a\nb', /^--user-agent: .*line/],
	netrc: ['maybe', /^--netrc "maybe"/],
	proxy: [
		'ftp://u:geheim@host',
		/^--proxy "ftp:\/\/\*\*\*@host": it must be written http:\/\/, https:\/\/, socks5:\/\/ or socks5h:\/\//,
	],
	resolveWith: ['a | b', /^--resolve-with "a \| b": it must be a plain command, without shell syntax$/],
	onChange: ['ask', /^--on-change "ask": it must be one of stop, continue, restart$/],
	allowHtml: ['maybe', /^--allow-html "maybe"/],
	checksum: ['sha256:12', /^--checksum "sha256:12": it must be md5:/],
	ca: ['/nowhere/x.pem', /^--ca "\/nowhere\/x\.pem": the file cannot be read$/],
	insecure: ['maybe', /^--insecure "maybe"/],
	timeout: ['0', /^--timeout "0": it must be a time such as 90s, 5m or 2h, at least 1s and at most 3600s$/],
	giveUpAfter: [
		'soon',
		/^--give-up-after "soon": it must be a time such as 90s, 5m or 2h, at least 1s, or 0 for never$/,
	],
	connections: ['2.5', /^--connections "2\.5": it must be a whole number from 1 to 16$/],
	maxActive: ['0', /^--max-active "0": it must be a whole number from 1 to 1000$/],
	limitRate: ['fast', /^--limit-rate "fast": it must be a rate in bytes per second such as 500K or 5M/],
	onDemand: ['maybe', /^--on-demand "maybe"/],
	film: ['maybe', /^--film "maybe"/],
	whenSafe: ['maybe', /^--when-safe "maybe"/],
	readAhead: [
		'1K',
		/^--read-ahead "1K": it must be a size such as 64M .* at least 65536, or seconds such as 60s/,
	],
	keepAhead: ['45', /^--keep-ahead "45": it must be a time such as 90s, 10m or 1h30m, or 0 for none$/],
	next: ['-2m', /^--next "-2m": it must be a time such as/],
	first: ['45', /^--first "45": write 45m or 1h30m, 200M, or all$/],
	from: ['1:99:00', /^--from "1:99:00": write a time such as 41:07, player or start$/],
	by: ['25:00', /^--by "25:00": write a time such as 18:40 or 2026-11-30T18:40, or a duration such as 2h$/],
	wait: ['maybe', /^--wait "maybe"/],
	cacheSize: ['5M/s', /^--cache-size "5M\/s": it must be a size such as 64M or 20G/],
	player: undefined,
	continue: ['maybe', /^--continue "maybe": it must be one of always, ask, never$/],
	allowOrigin: [
		'https://player.example/page',
		/^--allow-origin "\S+page": it must be the origin of a web page or extension/,
	],
	openStream: ['maybe', /^--open-stream "maybe"/],
	plain: ['maybe', /^--plain "maybe"/],
	keep: ['maybe', /^--keep "maybe"/],
	json: ['maybe', /^--json "maybe"/],
	ascii: ['maybe', /^--ascii "maybe"/],
	si: ['maybe', /^--si "maybe"/],
	color: ['yes', /^--color "yes": it must be one of auto, always, never$/],
	theme: ['blue', /^--theme "blue": it must be one of dark, light, plain$/],
	mouse: ['maybe', /^--mouse "maybe"/],
	bell: ['maybe', /^--bell "maybe"/],
	title: ['maybe', /^--title "maybe"/],
	tabProgress: ['yes', /^--tab-progress "yes": it must be one of auto, always, never$/],
	log: undefined,
	logLevel: ['loud', /^--log-level "loud": it must be one of error, warn, info, debug$/],
};

/** A command with the flag; empty for the dashboard's. */
function userOf(flag: FlagName): string[] {
	const names = Object.keys(commands) as CommandName[];
	return flagsOf(undefined).includes(flag) ? [] : [names.find(name => flagsOf(name).includes(flag))!];
}

for (const [name, example] of Object.entries(wrong)) {
	test(`an invalid --${kebabCase(name)} is rejected in one sentence`, () => {
		const option = `--${kebabCase(name)}`;
		const {kind} = flags[name as FlagName];
		const refuses = (sentence: RegExp, act: () => unknown) =>
			assert.throws(act, (error: unknown) => {
				assert.ok(error instanceof DownStreamError && error.code === 'bad-request', String(error));
				assert.match(error.message, sentence);
				assert.doesNotMatch(error.message, /geheim|\n/);
				return true;
			});
		if (example) {
			const [value, sentence] = example;
			refuses(sentence, () => {
				checkArguments([...userOf(name as FlagName), `${option}=${value}`]);
				const given = {[name]: kind === 'list' ? [value] : value};
				settingsFrom(given, {}, readSettingsFile(name === 'config' ? value : undefined));
			});
		}

		if (kind !== 'switch') {
			const lacks = new RegExp(`^${option} "": it needs a value$`);
			for (const words of [[option], [`${option}=`], [option, ''], [option, '--json'], [option, '--', 'x']]) {
				refuses(lacks, () => checkArguments(words));
			}
		}

		if (kind === 'text') {
			refuses(/^--\S+: it can be given only once$/, () => checkArguments([option, '1', option, '2']));
		}
	});
}

for (const [given, sentence] of [
	[{storage: ''}, /^--storage "": it needs a value$/],
	[{limitRate: ''}, /^--limit-rate "": it must be/],
	[{allowOrigin: ['player.example']}, /^--allow-origin "player\.example": it must be the origin/],
	[{allowOrigin: ['file:///x']}, /^--allow-origin/],
	[{allowOrigin: ['chrome-extension://']}, /^--allow-origin/],
	[{allowOrigin: ['chrome-extension://abc/popup.html']}, /^--allow-origin/],
	[{allowOrigin: ['chrome-extension://*']}, /^--allow-origin/],
	[{allowOrigin: ['chrome-extension://user@abc']}, /^--allow-origin/],
	[{allowOrigin: ['other-extension://abc']}, /^--allow-origin/],
	[{header: ['X-Key: a\nb']}, /^--header X-Key/],
	[{header: ['Range: bytes=0-']}, /^--header Range: the program sets that header itself$/],
	[{netrc: true}, /^--netrc: .*nowhere.* cannot be read/],
] as Array<[Flags, RegExp]>) {
	test(`${JSON.stringify(given)} is rejected in one sentence`, () => {
		assert.throws(() => settingsFrom(given, {NETRC: '/nowhere'}), {code: 'bad-request', message: sentence});
	});
}

for (const [words, sentence] of [
	[['--colr'], /^--colr is not an option; did you mean --color\?$/],
	[['get', '--exportDir', '/tmp'], /^--exportDir is not an option; did you mean --export-dir\?$/],
	[['--limt', '5M'], /^--limt is not an option; did you mean --limit-rate\?$/],
	[['--no-tilte'], /^--no-tilte is not an option; did you mean --no-title\?$/],
	[['--no-port'], /^--no-port is not an option/],
	[['--hlep'], /did you mean --help\?$/],
	[['--unheard-of=x'], /^--unheard-of is not an option$/],
	[['--color.x', 'y'], /^--color\.x is not an option; did you mean --color\?$/],
	[['-x'], /^-x is not an option$/],
] as const) {
	test(`${words.join(' ')} is rejected in one sentence`, () => {
		assert.throws(() => checkArguments(words), {code: 'bad-request', message: sentence});
	});
}

test('valid arguments are accepted, and unknown commands rejected with the nearest name', () => {
	checkArguments([
		'-',
		'@list',
		'--no-mouse',
		'--mouse=false',
		'-H',
		'a: 1',
		'-H',
		'b: 2',
		'--port',
		'-5',
		'-h',
	]);
	checkArguments(['get', '-o', 'x', '--', '--colr']);
	assert.equal(commandOf('pause'), 'pause');
	assert.throws(() => commandOf('puase'), /"puase" is neither a command nor a URL .*; did you mean pause\?$/);
	assert.throws(
		() => commandOf('quantum'),
		/http:\/\/ or https:\/\/; downstream-tui --help lists the commands$/,
	);
	assert.throws(() => commandOf('constructor'), /is neither a command/);
	assert.throws(() => commandOf('gt'), /; did you mean get\?$/);
	assert.throws(
		() => commandOf('example.com/film.mkv'),
		/; did you mean https:\/\/example\.com\/film\.mkv\?$/,
	);
	assert.throws(() => commandOf('film.mkv'), /; downstream-tui --help lists the commands$/);
});

test('a command takes as many operands as its usage says', () => {
	for (const [name, words] of [
		['list', ['x']],
		['url', []],
		['url', ['1', '2']],
		['export', ['1']],
		['pause', []],
		['get', []],
		['play', ['http://a', 'http://b']],
		['completion', []],
	] as const) {
		assert.throws(() => checkOperands(name, words), {message: new RegExp(`^usage: downstream-tui ${name}`)});
	}

	checkOperands('serve', []);
	checkOperands('get', ['http://a', 'http://b']);
	checkOperands('export', ['1', 'x']);
});

test('flags reach the settings', () => {
	const {allowOrigins, cacheSize, readAhead, title, si, keep, openStream, exportDir, ...rest} = settingsFrom(
		{
			allowOrigin: ['https://player.example', 'http://127.0.0.1:3000/'],
			cacheSize: '20G',
			readAhead: '64M',
			title: false,
			si: true,
			keep: true,
			openStream: true,
			exportDir: '~/Films',
			continue: 'ask',
			tabProgress: 'never',
		},
		{},
	);
	assert.deepEqual(
		{allowOrigins, cacheSize, readAhead, title, si, keep, openStream, exportDir},
		{
			allowOrigins: ['https://player.example', 'http://127.0.0.1:3000'],
			cacheSize: 20 * 1024 * MiB,
			readAhead: 64 * MiB,
			title: false,
			si: true,
			keep: true,
			openStream: true,
			exportDir: path.join(homedir(), 'Films'),
		},
	);
	assert.equal(rest.continue, 'ask');
	assert.equal(rest.tabProgress, 'never');
	const defaults = settingsFrom({}, {});
	assert.equal(defaults.continue, 'always');
	assert.deepEqual([defaults.cacheSize, defaults.readAhead, defaults.title], [Infinity, 16 * MiB, true]);
});

async function fileWith(t: Parameters<typeof temporaryFolder>[0], value: unknown): Promise<string> {
	const file = path.join(await temporaryFolder(t), 'settings.json');
	await writeFile(file, typeof value === 'string' ? value : JSON.stringify(value));
	return file;
}

test('`-o /dev/stdout` is standard output, not a file', () => {
	assert.equal(settingsFrom({output: '/dev/stdout'}, {}).output, '-');
});

test('flags override the environment, and the environment the file', async t => {
	const file = await fileWith(t, {
		port: 9001,
		'max-active': 5,
		connections: '7',
		onDemand: true,
		ascii: true,
		title: false,
		header: ['X-A: 1', 'X-B: 2'],
		'limit-rate': '2M',
	});
	const {port, exactPort, maxActive, connections, onDemand, ascii, title, headers, limitRate} = settingsFrom(
		{connections: '2', ascii: false, title: undefined},
		{DOWNSTREAM_TUI_MAX_ACTIVE: '6', DOWNSTREAM_TUI_CONNECTIONS: '3', DOWNSTREAM_TUI_ON_DEMAND: '0'},
		readSettingsFile(file),
	);
	assert.deepEqual(
		{port, exactPort, maxActive, connections, onDemand, ascii, title, headers, limitRate},
		{
			port: 9001,
			exactPort: true,
			maxActive: 6,
			connections: 2,
			onDemand: false,
			ascii: false,
			title: false,
			headers: {'X-A': '1', 'X-B': '2'},
			limitRate: 2 * MiB,
		},
	);
	assert.deepEqual(
		settingsFrom({}, {DOWNSTREAM_TUI_HEADER: 'X-A: 1\nX-B: 2', DOWNSTREAM_TUI_PORT: ''}).headers,
		{'X-A': '1', 'X-B': '2'},
	);
});

for (const [stored, sentence] of [
	['{"port": 80', /^The settings file \S+ is not valid JSON$/],
	['[1]', /^The settings file \S+ must hold a JSON object$/],
	[{colour: 'red'}, /settings\.json: "colour" is not a setting; did you mean color\?/],
	[
		'{"__proto__": {"port": 1}}',
		/settings\.json: "__proto__" is not a setting; the settings are storage, export-dir, port/,
	],
	[{constructor: 1}, /settings\.json: "constructor" is not a setting/],
	[{output: 'x'}, /settings\.json: "output" is not a setting/],
	[{port: 'eighty'}, /settings\.json: port "eighty": it must be a whole number from 0 to 65535/],
	[{'max-active': 0.5}, /settings\.json: max-active "0\.5": it must be a whole number/],
	[{port: true}, /settings\.json: port true: it must be a string or a number/],
	[{mouse: 'on'}, /settings\.json: mouse "on": it must be true or false/],
	[{header: [1, 'geheim']}, /settings\.json: header: it must be a list of strings/],
	[{header: 'geheim'}, /settings\.json: header: it must have the form 'Name: value'/],
	[{proxy: 'socks5://me:geheim'}, /settings\.json: proxy "\*\*\*": it must be written http/],
	[{proxy: ['geheim']}, /settings\.json: proxy: it must be a string or a number/],
	['{"proxy": geheim}', /is not valid JSON/],
] as const) {
	test(`a settings file with ${JSON.stringify(stored)} is rejected in one sentence`, async t => {
		const file = await fileWith(t, stored);
		assert.throws(
			() => settingsFrom({}, {}, readSettingsFile(file)),
			(error: Error & {code?: string}) => {
				assert.equal(error.code, 'bad-request');
				assert.match(error.message, sentence);
				assert.doesNotMatch(error.message, /geheim/);
				return true;
			},
		);
	});
}

test('a mistyped environment variable is rejected with the nearest name', () => {
	assert.throws(() => settingsFrom({}, {DOWNSTREAM_TUI_PROT: '1'}), {
		code: 'bad-request',
		message: 'DOWNSTREAM_TUI_PROT is not a setting; did you mean DOWNSTREAM_TUI_PORT?',
	});
	assert.throws(() => settingsFrom({}, {DOWNSTREAM_TUI_OUTPUT: 'x'}), /OUTPUT is not a setting/);
});

test('an invalid value of an environment variable is rejected with its name', () => {
	assert.throws(() => settingsFrom({}, {DOWNSTREAM_TUI_PORT: 'x'}), /DOWNSTREAM_TUI_PORT "x": it must be/);
	assert.throws(
		() => settingsFrom({}, {DOWNSTREAM_TUI_MOUSE: 'x'}),
		/DOWNSTREAM_TUI_MOUSE "x": it must be 1 or 0/,
	);
});

test('the program reads the settings file of the user, or that of --config', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const folder = await temporaryFolder(t);
	const file = await fileWith(t, {
		port: 0,
		storage: path.join(folder, 'storage'),
		exportDir: folder,
		'user-agent': 'Agent/9',
		header: ['X-Mark: kept'],
		json: true,
	});
	const get = await CliProcess.start(t, ['get', '--config', file, origin.url]);
	assert.equal(await get.exit(), 0, get.stderr);
	const {path: written} = JSON.parse(get.stdout) as {path: string};
	assert.equal(written, path.join(folder, 'film.bin'));
	assert.equal(origin.requests[0]?.headers['user-agent'], 'Agent/9');
	assert.equal(origin.requests[0].headers['x-mark'], 'kept');

	const missing = await CliProcess.start(t, ['list', '--config', path.join(folder, 'none.json')]);
	assert.equal(await missing.exit(), 2);
	assert.match(missing.stderr, /The settings file \S+none\.json cannot be read\n$/);

	if (process.platform === 'linux') {
		const none = await CliProcess.start(t, ['list', '--storage', folder], {
			env: {XDG_CONFIG_HOME: '/dev/null'},
		});
		assert.equal(await none.exit(), 0, none.stderr);
		const own = path.join(folder, 'downstream-tui');
		await mkdir(own);
		await writeFile(path.join(own, 'settings.json'), '{"colour": "red"}');
		const bad = await CliProcess.start(t, ['list'], {env: {XDG_CONFIG_HOME: folder}});
		assert.equal(await bad.exit(), 2);
		assert.match(bad.stderr, /settings\.json: "colour" is not a setting/);
	}
});
