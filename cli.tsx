// Composition root: flags → an engine → a screen or lines. The only place that ends the process.
import {fstatSync} from 'node:fs';
import process from 'node:process';
import meow from 'meow';
import {DownStreamError} from './source/downstream.ts';
import {defaults} from './source/defaults.ts';
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

	Where
	  --storage DIR         what was fetched is kept here (default: the user's cache folder)
	  --export-dir DIR      finished files are exported here (default: this folder)
	  -o, --output PATH     get: the file or folder to write
	  --port N              of the local proxy (default: ${defaults.port}, or the next free one; 0: any free one)

	From where
	  -H, --header 'Name: value'  sent with every URL given here; may be repeated
	  --user-agent TEXT     instead of our own
	  --proxy URL           http://, https://, socks5:// or socks5h://, with user:password@ if needed, or direct
	                        (default: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY)
	  --ca FILE             trust these certificates too (PEM)
	  --insecure            trust any certificate

	How fast
	  --connections N       for each file, 1 to 16 (default: ${defaults.connections})
	  --max-active N        downloads at the same time (default: ${defaults.maxActive})
	  --limit-rate RATE     of all together, such as 500K or 5M a second (default: none)
	  --on-demand           fetch only what players ask for

	How shown
	  --plain               lines instead of the dashboard, for screen readers and logs
	  --json                serve: one JSON object per event
	  --ascii               draw with ASCII only
	  --color WHEN          auto (default), always or never; NO_COLOR and FORCE_COLOR are heeded
	  --theme NAME          dark, light or plain (default: by the terminal's background)
	  --mouse               click to select and press (M switches it)
	  --bell                ring when a download is done
	  --no-title            leave the terminal's title alone
	  --player COMMAND      what o plays with (default: mpv, VLC, IINA)
	  --log FILE            write a log; --log-level error, warn, info (default) or debug
	  --version, --help

	Exit codes: 0 done, 1 something failed, 2 usage, 69 port taken, 70 crash,
	75 another copy owns the storage folder, 130 interrupted
`;

const exitCodes: Partial<Record<string, number>> = {'bad-request': 2, 'port-taken': 69, 'storage-locked': 75};
const interrupted = 130;

function parse() {
	return meow(help, {
		importMeta: import.meta,
		pkg: {name: 'downstream-tui', version},
		description: 'Download manager whose downloads can be played and seeked while they download.',
		allowUnknownFlags: false,
		flags: {
			port: {type: 'string'},
			storage: {type: 'string'},
			exportDir: {type: 'string'},
			output: {type: 'string', shortFlag: 'o'},
			header: {type: 'string', shortFlag: 'H', isMultiple: true},
			userAgent: {type: 'string'},
			proxy: {type: 'string'},
			ca: {type: 'string'},
			insecure: {type: 'boolean'},
			connections: {type: 'string'},
			maxActive: {type: 'string'},
			limitRate: {type: 'string'},
			onDemand: {type: 'boolean'},
			plain: {type: 'boolean'},
			json: {type: 'boolean'},
			ascii: {type: 'boolean'},
			color: {type: 'string'},
			theme: {type: 'string'},
			title: {type: 'boolean', default: true},
			mouse: {type: 'boolean'},
			bell: {type: 'boolean'},
			player: {type: 'string'},
			log: {type: 'string'},
			logLevel: {type: 'string'},
		},
	});
}

/** Resolves with the exit code. */
async function main(): Promise<number> {
	const {input, flags} = parse();
	const {settingsFrom} = await import('./source/settings.ts');
	const settings = settingsFrom(flags);
	const [command, ...rest] = input;
	const stopped = untilSignal();
	switch (command) {
		case 'get':
			return runGet(rest, settings, stopped);
		case 'serve': {
			const {serve} = await import('./source/serve.ts');
			await serve(rest, settings, stopped);
			return interrupted;
		}

		case 'play': {
			const [word] = rest;
			if (word === undefined || rest.length > 1) {
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
			const {handOver, isCommand, runCommand} = await import('./source/commands.ts');
			if (isCommand(command)) {
				return (await runCommand(command, rest, settings, {result: print, error: printError})) ? 0 : 1;
			}

			if (hasScreen(settings)) {
				const {openDashboard} = await import('./source/open-dashboard.tsx');
				return openDashboard(input, settings);
			}

			const isTaken = await handOver(input, settings, {result: print, error: printError});
			if (isTaken !== undefined) {
				return isTaken ? 0 : 1;
			}

			const {serveUntilDone} = await import('./source/serve.ts');
			const done = await serveUntilDone(input, settings, stopped);
			return stopped.aborted ? interrupted : done ? 0 : 1;
		}
	}
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
	const running = await start(settings);
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
