// Composition root: flags → an engine → a screen or lines. The only place that ends the process.
import {fstatSync} from 'node:fs';
import process from 'node:process';
import meow from 'meow';
import {DownStreamError} from './source/downstream.ts';
import {flags, flagsHelp, type Flag, type Flags} from './source/flags.ts';
import type {Settings} from './source/settings.ts';
import {version} from './source/version.ts';

// React's development build grows until the heap is full.
process.env.NODE_ENV ??= 'production';

const help = `
	Usage
	  $ downstream-tui [URL…]          dashboard; c copies the stream URL, ? shows all keys
	  $ downstream-tui serve [URL…]    no dashboard: plain lines (--json: one object per line)
	  $ downstream-tui get URL…        download to the end, export, exit
	  $ downstream-tui play URL        add it and start a player on its stream
	  $ downstream-tui demo            try everything without a network

	With the copy that runs (list, url, export and verify also without one)
	  add URL…  list  url ID  pause|resume|cancel|remove ID…  export ID PATH  verify ID…
	  An ID is that of the list, the beginning of it, the number in the list, or the URL.
	  Among URLs, @FILE is those in a file and - those on standard input, one on each line;
	  a curl command may stand for a URL, with its headers.

${flagsHelp().replaceAll(/^(?=.)/gm, '\t')}

	--version, --help

	Exit codes: 0 done, 1 something failed, 2 usage, 69 port taken, 70 crash,
	75 another copy owns the storage folder, 130 interrupted
`;

const exitCodes: Partial<Record<string, number>> = {'bad-request': 2, 'port-taken': 69, 'storage-locked': 75};
const interrupted = 130;

function parse() {
	const {input, flags: given} = meow(help, {
		importMeta: import.meta,
		pkg: {name: 'downstream-tui', version},
		description: 'Download manager whose downloads can be played and seeked while they download.',
		allowUnknownFlags: false,
		// A switch that was not given is not off: the settings file may turn it on.
		booleanDefault: undefined,
		flags: Object.fromEntries(
			Object.entries<Flag>(flags).map(([name, {kind, short}]) => [
				name,
				{
					type: kind === 'switch' ? ('boolean' as const) : ('string' as const),
					...(kind === 'list' && {isMultiple: true}),
					...(short !== undefined && {shortFlag: short}),
				},
			]),
		),
	});
	return {words: input, given: given as Flags};
}

/** Resolves with the exit code. */
async function main(): Promise<number> {
	const {words, given} = parse();
	const [{settingsFrom}, {readSettingsFile}] = await Promise.all([
		import('./source/settings.ts'),
		import('./source/settings-file.ts'),
	]);
	const settings = settingsFrom(given, process.env, readSettingsFile(given.config));
	const [command, ...rest] = words;
	const stopped = untilSignal();
	const output = {result: print, error: printError};
	switch (command) {
		case 'get':
			return runGet(await urlsOf(rest, settings), settings, stopped);
		case 'serve': {
			const {serve} = await import('./source/serve.ts');
			await serve(await urlsOf(rest, settings), settings, stopped);
			return interrupted;
		}

		case 'play': {
			const [word, ...more] = await urlsOf(rest, settings);
			if (word === undefined || more.length > 0) {
				throw new DownStreamError('bad-request', 'usage: downstream-tui play URL');
			}

			const {playUrl} = await import('./source/play-url.ts');
			const isGood = await playUrl(word, settings, print, stopped);
			return stopped.aborted ? interrupted : isGood ? 0 : 1;
		}

		case 'demo': {
			const {demo} = await import('./source/demo.ts');
			return demo(settings, hasScreen(settings), stopped);
		}

		default: {
			if (command !== undefined && !isUrl(command)) {
				const {isCommand, runCommand} = await import('./source/commands.ts');
				if (!isCommand(command)) {
					throw new DownStreamError(
						'bad-request',
						`${JSON.stringify(command)} is neither a command nor a URL that begins with http:// or https://`,
					);
				}

				const operands = command === 'add' ? await urlsOf(rest, settings) : rest;
				return (await runCommand(command, operands, settings, output)) ? 0 : 1;
			}

			const isDrawn = hasScreen(settings);
			// On the screen, what comes by a pipe needs no word.
			const isMore = isDrawn && !process.stdin.isTTY && !words.includes('-');
			const urls = await urlsOf(isMore ? [...words, '-'] : words, settings);
			if (isDrawn) {
				const {openDashboard} = await import('./source/open-dashboard.tsx');
				return openDashboard(urls, settings);
			}

			const {handOver} = await import('./source/commands.ts');
			const isTaken = await handOver(urls, settings, output);
			if (isTaken !== undefined) {
				return isTaken ? 0 : 1;
			}

			const {serveUntilDone} = await import('./source/serve.ts');
			const done = await serveUntilDone(urls, settings, stopped);
			return stopped.aborted ? interrupted : done ? 0 : 1;
		}
	}
}

/** Or a list of URLs. */
function isUrl(word: string): boolean {
	return /^[@-]|:/.test(word);
}

async function urlsOf(words: readonly string[], {checksum}: Settings): Promise<string[]> {
	const {expandUrls} = await import('./source/url-lists.ts');
	const urls = await expandUrls(words);
	if (checksum !== undefined && urls.length !== 1) {
		throw new DownStreamError('bad-request', `--checksum: it is for one URL, and ${urls.length} are given`);
	}

	return urls;
}

async function runGet(urls: string[], settings: Settings, stopped: AbortSignal): Promise<number> {
	if (urls.length === 0) {
		throw new DownStreamError('bad-request', 'get: it needs at least one URL');
	}

	const [{start}, {get}, {ProgressLine}] = await Promise.all([
		import('./source/running.ts'),
		import('./source/get.ts'),
		import('./source/progress-line.ts'),
	]);
	// What has come must not go before it is exported.
	const running = await start({...settings, cacheSize: Infinity});
	try {
		const line = new ProgressLine(process.stderr, settings);
		const done = await get(
			running,
			urls,
			settings,
			{
				result: path => line.print(process.stdout, path),
				error: message => line.print(process.stderr, `downstream-tui: ${message}`),
				progress: snapshot => line.draw(snapshot),
			},
			stopped,
		);
		line.end();
		return stopped.aborted ? interrupted : done ? 0 : 1;
	} finally {
		await running.dispose();
	}
}

function print(line: string): void {
	process.stdout.write(`${line}\n`);
}

function printError(message: string): void {
	process.stderr.write(`downstream-tui: ${message}\n`);
}

/**
 * The dashboard needs a terminal that can be drawn on and nobody who wants lines. URLs may come by a pipe; keys are then
 * read from the terminal itself.
 */
function hasScreen({plain, json}: Settings): boolean {
	const {stdin, stdout, env} = process;
	return (stdin.isTTY || isPiped()) && stdout.isTTY && !plain && !json && !env.CI && env.TERM !== 'dumb';
}

/** A pipe or a file, from which URLs are read. */
function isPiped(): boolean {
	try {
		const input = fstatSync(0);
		return input.isFIFO() || input.isFile();
	} catch {
		return false;
	}
}

/** Aborts with the first signal that asks to end; a second one ends at once. */
function untilSignal(): AbortSignal {
	const controller = new AbortController();
	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
		process.on(signal, () => {
			if (controller.signal.aborted) {
				process.exit(interrupted);
			}

			controller.abort();
		});
	}

	return controller.signal;
}

try {
	process.exitCode = await main();
} catch (error) {
	const known = error instanceof DownStreamError;
	printError(known ? error.message : `crashed: ${String(error)}`);
	process.exitCode = known ? (exitCodes[error.code] ?? 1) : 70;
}

// Nothing may keep a finished program alive, such as a connection of a player that is still closing.
process.exit();
