// Composition root: flags → an engine → a screen or lines. The only place that ends the process.
import {fstatSync} from 'node:fs';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {setFlagsFromString} from 'node:v8';
import meow from 'meow';
import {checkArguments, checkOperands, commandOf} from './source/cli/arguments.ts';
import {commands} from './source/cli/commands.ts';
import {DownStreamError} from './source/downstream.ts';
import {escapeControls} from './source/text/escape-controls.ts';
import {flags, type Flag, type Flags} from './source/cli/flags.ts';
import {commandHelp, help} from './source/cli/help.ts';
import type {Outcome} from './source/cli/output/patience.ts';
import type {Settings} from './source/cli/settings.ts';
import {withHint} from './source/text/hints.ts';
import {version} from './source/version.ts';

// React's development build grows until the heap is full.
process.env.NODE_ENV ??= 'production';

const exitCodes: Partial<Record<string, number>> = {'bad-request': 2, 'port-taken': 69, 'storage-locked': 75};
const interrupted = 130;
/** Of commands that wait for downloads. */
const outcomes: Readonly<Record<Outcome, number>> = {done: 0, failed: 1, 'gave-up': 76};
/** How long an interrupted run waits for the reader of its output. */
const lastWordsMs = 1000;

function parse() {
	checkArguments(process.argv.slice(2));
	const {input, flags: given} = meow('', {
		importMeta: import.meta,
		pkg: {name: 'downstream-tui', version},
		autoHelp: false,
		autoVersion: false,
		// A switch that was not given is not off: the settings file may turn it on.
		booleanDefault: undefined,
		flags: {
			...Object.fromEntries(
				Object.entries<Flag>(flags).map(([name, {kind, short}]) => [
					name,
					{
						type: kind === 'switch' ? ('boolean' as const) : ('string' as const),
						...(kind === 'list' && {isMultiple: true}),
						...(short !== undefined && {shortFlag: short}),
					},
				]),
			),
			help: {type: 'boolean', shortFlag: 'h'},
			version: {type: 'boolean'},
		},
	});
	const {help, version: asksVersion, ...rest} = given;
	// A list that was not given comes empty; the settings file may have one.
	const isGiven = ([, value]: [string, unknown]) => !(Array.isArray(value) && value.length === 0);
	return {
		words: input,
		asksHelp: help === true,
		asksVersion: asksVersion === true,
		given: Object.fromEntries(Object.entries(rest).filter(isGiven)) as Flags,
	};
}

/** Resolves with the exit code. */
async function main(stopped: AbortSignal): Promise<number> {
	const [hidden, shell = '', line = ''] = process.argv.slice(2);
	if (hidden === '__complete') {
		const {complete} = await import('./source/cli/run/complete.ts');
		print(await complete(shell, line));
		return 0;
	}

	const {words, given, asksHelp, asksVersion} = parse();
	const [first, ...rest] = words;
	const name = first === undefined || isUrl(first) ? undefined : commandOf(first);
	if (asksVersion || asksHelp) {
		print(asksVersion ? version : name ? commandHelp(name) : help());
		return 0;
	}

	if (name === 'completion') {
		checkOperands(name, rest);
		const {completionScript} = await import('./source/cli/completion.ts');
		print(completionScript(rest[0]!));
		return 0;
	}

	const [{settingsFrom}, {readSettingsFile}] = await Promise.all([
		import('./source/cli/settings.ts'),
		import('./source/cli/settings-file.ts'),
	]);
	const settings = settingsFrom(given, process.env, readSettingsFile(given.config));
	const isDrawn = (name === undefined || name === 'demo') && hasScreen(settings);
	if (!isDrawn) {
		limitHeapGrowth();
	}

	if (name === undefined) {
		return withoutCommand(words, settings, isDrawn, stopped);
	}

	const takesUrls = commands[name].operands.includes('URL');
	const operands = takesUrls ? await urlsOf(rest, settings, stopped) : rest;
	checkOperands(name, operands);
	// What is played may also be named as in the list.
	if (takesUrls && name !== 'play') {
		await checkUrls(operands, settings);
	}

	switch (name) {
		case 'get':
			return runGet(operands, settings, stopped);
		case 'serve': {
			const {serve} = await import('./source/cli/run/serve.ts');
			await serve(operands, settings, stopped);
			return interrupted;
		}

		case 'play': {
			const {playUrl} = await import('./source/cli/run/play.ts');
			const outcome = await playUrl(operands[0]!, settings, print, stopped);
			return stopped.aborted ? interrupted : outcomes[outcome];
		}

		case 'demo': {
			const {demo} = await import('./source/cli/run/demo.ts');
			return demo(settings, isDrawn, stopped);
		}

		default: {
			const {runCommand} = await import('./source/cli/run/manage.ts');
			return (await runCommand(name, operands, settings, {result: print, error: printError})) ? 0 : 1;
		}
	}
}

/** The dashboard, or lines where it cannot be drawn. */
async function withoutCommand(
	words: readonly string[],
	settings: Settings,
	isDrawn: boolean,
	stopped: AbortSignal,
): Promise<number> {
	// On the screen, what comes by a pipe needs no word.
	const isMore = isDrawn && !process.stdin.isTTY && !words.includes('-');
	const urls = await urlsOf(isMore ? [...words, '-'] : words, settings, stopped);
	await checkUrls(urls, settings);
	if (isDrawn) {
		const {openDashboard} = await import('./source/cli/run/open-dashboard.tsx');
		return openDashboard(urls, settings);
	}

	const {forwardUrls} = await import('./source/cli/run/manage.ts');
	const wereAccepted = await forwardUrls(urls, settings, {result: print, error: printError});
	if (wereAccepted !== undefined) {
		return wereAccepted ? 0 : 1;
	}

	const {serveUntilDone} = await import('./source/cli/run/serve.ts');
	const outcome = await serveUntilDone(urls, settings, stopped);
	return stopped.aborted ? interrupted : outcomes[outcome];
}

/** Or a list of URLs. */
function isUrl(word: string): boolean {
	return /^[@-]|:/.test(word);
}

async function urlsOf(
	words: readonly string[],
	{checksum}: Settings,
	stopped: AbortSignal,
): Promise<string[]> {
	const {expandUrls} = await import('./source/requests/url-lists.ts');
	// Nothing has begun yet: whoever stops need not end standard input first.
	const leave = () => process.exit(interrupted);
	stopped.addEventListener('abort', leave);
	if (stopped.aborted) {
		leave();
	}

	const urls = await expandUrls(words).finally(() => stopped.removeEventListener('abort', leave));
	if (checksum !== undefined && urls.length !== 1) {
		throw new DownStreamError('bad-request', `--checksum: it is for one URL, and ${urls.length} are given`);
	}

	return urls;
}

/** A command that resolves them may be given anything. */
async function checkUrls(urls: readonly string[], {resolveWith}: Settings): Promise<void> {
	if (!resolveWith) {
		const {checkUrls: check} = await import('./source/requests/url-lists.ts');
		check(urls);
	}
}

async function runGet(urls: string[], settings: Settings, stopped: AbortSignal): Promise<number> {
	const [{start}, {get}, {ProgressLine}] = await Promise.all([
		import('./source/host/engine-host.ts'),
		import('./source/cli/run/get.ts'),
		import('./source/cli/output/progress-line.ts'),
	]);
	// What has come must not go before it is exported: room is made in the end.
	const running = await start({...settings, cacheSize: Infinity});
	try {
		const line = new ProgressLine(process.stderr, settings);
		const outcome = await get(
			running,
			urls,
			settings,
			{
				result: path => line.print(process.stdout, path),
				error: message => line.print(process.stderr, `downstream-tui: ${escapeControls(message)}`),
				progress: snapshot => line.draw(snapshot),
			},
			stopped,
		);
		line.end();
		await running.engine.makeRoom(settings.cacheSize);
		return stopped.aborted ? interrupted : outcomes[outcome];
	} finally {
		await running.dispose();
	}
}

/**
 * Without a screen the bytes of a stream lie in blocks of our own, and what else it leaves is little: V8 would let 48 MB
 * of that gather, in memory that no cache holds, and four times what is in use before it looks at all of it. For the
 * engine beside a screen there is a limit of its thread.
 */
function limitHeapGrowth(): void {
	setFlagsFromString('--semi-space-growth-factor=1');
	setFlagsFromString('--heap-growing-percent=100');
}

function print(line: string): void {
	process.stdout.write(`${line}\n`);
}

function printError(message: string): void {
	process.stderr.write(`downstream-tui: ${escapeControls(message)}\n`);
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

/** Aborts `controller` at the first signal that asks to end, and when output fails. Once it is aborted, a signal ends the process. */
function stopBySignals(controller: AbortController): void {
	for (const output of [process.stdout, process.stderr]) {
		output.on('error', () => controller.abort());
	}

	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
		process.on(signal, () => {
			if (controller.signal.aborted) {
				process.exit(interrupted);
			}

			controller.abort();
		});
	}
}

/** Resolves when the reader has taken all that was written, or is gone: a pipe takes 64 KiB at a time. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
	return new Promise(resolve => {
		stream.on('close', resolve);
		stream.write('', () => resolve());
	});
}

const stopping = new AbortController();
stopBySignals(stopping);
try {
	process.exitCode = await main(stopping.signal);
} catch (error) {
	const known = error instanceof DownStreamError;
	printError(known ? withHint(error) : `crashed: ${String(error)}`);
	process.exitCode = known ? (exitCodes[error.code] ?? 1) : 70;
}

const isInterrupted = stopping.signal.aborted;
// From now on a signal ends the process, also while nobody reads what was written.
stopping.abort();
const written = Promise.all([flushed(process.stdout), flushed(process.stderr)]);
await (isInterrupted ? Promise.race([written, sleep(lastWordsMs)]) : written);
// Nothing may keep a finished program alive, such as a connection of a player that is still closing.
process.exit();
