// Composition root: flags, an engine, a dashboard or lines. The only file that ends the process.
import {closeSync, fstatSync} from 'node:fs';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {isatty} from 'node:tty';
import meow from 'meow';
import {checkArguments, checkOperands, commandOf, isUrl} from './source/cli/arguments.ts';
import {commands} from './source/cli/commands.ts';
import {DownStreamError} from './source/downstream.ts';
import {crashed, endCodeOf, exitCodeOf, interrupted} from './source/cli/output/exit-codes.ts';
import {flags, type Flag, type Flags} from './source/cli/flags.ts';
import {commandHelp, help} from './source/cli/help.ts';
import {errorCode} from './source/engine/store/disk-error.ts';
import {errorLine, printError} from './source/cli/output/print-error.ts';
import type {CommandOutput} from './source/cli/run/command-context.ts';
import {readSettingsFile} from './source/cli/settings-file.ts';
import {settingsFrom, type Settings} from './source/cli/settings.ts';
import {checkUrls as check, expandUrls} from './source/requests/url-lists.ts';
import {withHint} from './source/text/hints.ts';
import {tuneEngine} from './source/start/v8-flags.ts';
import {reportCrash} from './source/terminal/crash-report.ts';
import {useDecimalUnits} from './source/text/format.ts';
import {version} from './source/version.ts';

// React's development build grows until the heap is full.
process.env.NODE_ENV ??= 'production';

/** Time for the reader of an interrupted run's output. */
const lastWordsMs = 1000;

function parse() {
	checkArguments(process.argv.slice(2));
	const {input, flags: given} = meow('', {
		importMeta: import.meta,
		pkg: {name: 'downstream-tui', version},
		autoHelp: false,
		autoVersion: false,
		// The settings file may turn on a switch that is absent here.
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
			version: {type: 'boolean', shortFlag: 'V'},
		},
	});
	const {help, version: asksVersion, ...rest} = given;
	// An absent list is empty here; the settings file may have one.
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
		const {complete} = await headless();
		print(await complete(shell, line));
		return 0;
	}

	const {words, given, asksHelp, asksVersion} = parse();
	const [first, ...rest] = words;
	if (asksVersion || first === 'version') {
		print(version);
		return 0;
	}

	const topic = first === 'help' ? rest[0] : first;
	const name = topic === undefined || isUrl(topic) ? undefined : commandOf(topic);
	if (asksHelp || first === 'help') {
		print(name ? commandHelp(name) : help());
		return 0;
	}

	if (name === 'completion') {
		checkOperands(name, rest);
		const {completionScript} = await headless();
		print(completionScript(rest[0]!));
		return 0;
	}

	const settings: Settings = {
		...settingsFrom(given, process.env, readSettingsFile(given.config)),
		places: new Map(),
	};
	useDecimalUnits(settings.si);
	const isDrawn = (name === undefined || name === 'demo') && hasScreen(settings);

	if (name === undefined) {
		return withoutCommand(words, settings, isDrawn, stopped);
	}

	const takesUrls = commands[name].operands.includes('URL');
	checkOperands(name, rest);
	const operands = takesUrls ? await urlsOf(rest, settings, stopped) : rest;
	checkOperands(name, operands, rest);
	// play also takes an ID.
	if (takesUrls && name !== 'play') {
		await checkUrls(operands, settings);
	}

	switch (name) {
		case 'get':
			return runGet(operands, settings, stopped);
		case 'serve': {
			const {serve} = await headless();
			await serve(operands, settings, stopped);
			return interrupted;
		}

		case 'play': {
			const {playUrl} = await headless();
			const outcome = await playUrl(operands[0]!, settings, print, stopped);
			return endCodeOf(outcome, stopped);
		}

		case 'demo': {
			const {demo} = await headless();
			return demo(settings, isDrawn, stopped);
		}

		default: {
			const {runCommand} = await headless();
			const isGood = await runCommand(name, operands, settings, commandOutput, stopped);
			return isGood ? 0 : endCodeOf('failed', stopped);
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
	if (isDrawn) {
		// URLs from a pipe need no operand.
		const isMore = !process.stdin.isTTY && !words.includes('-');
		const urls = await urlsOf(isMore ? [...words, '-'] : words, settings, stopped);
		await checkUrls(urls, settings);
		const {openDashboard} = await import('./source/cli/run/open-dashboard.tsx');
		tuneEngine();
		return openDashboard(urls, settings, stopped);
	}

	// With URLs on the command line, a pipe may be one that cron or CI leaves open.
	const urls =
		words.length === 0 && hasInput()
			? readUrls(['-'], settings)
			: Promise.resolve(await urlsOf(words, settings, stopped));
	const checked = urls.then(async found => {
		await checkUrls(found, settings);
		return found;
	});
	// Its consumers start to await it later.
	checked.catch(() => undefined);
	if (words.length > 0) {
		await checked;
	}

	const {forwardUrls} = await headless();
	const wereAccepted = await forwardUrls(checked, settings, commandOutput, stopped);
	if (wereAccepted !== undefined) {
		return wereAccepted ? 0 : endCodeOf('failed', stopped);
	}

	const {serveUntilDone} = await headless();
	const outcome = await serveUntilDone(checked, settings, stopped);
	return endCodeOf(outcome, stopped);
}

/** Ends the process if the signal aborts while standard input is read: nothing has started yet. */
async function urlsOf(words: readonly string[], settings: Settings, stopped: AbortSignal): Promise<string[]> {
	const leave = () => process.exit(interrupted);
	stopped.addEventListener('abort', leave);
	if (stopped.aborted) {
		leave();
	}

	return readUrls(words, settings).finally(() => stopped.removeEventListener('abort', leave));
}

async function readUrls(words: readonly string[], {checksum, name, places}: Settings): Promise<string[]> {
	const urls = await expandUrls(words, process.stdin, places);
	for (const [option, value] of [
		['--checksum', checksum],
		['--name', name],
	]) {
		if (value !== undefined && urls.length !== 1) {
			throw new DownStreamError(
				'bad-request',
				`${option}: it applies to a single URL, but ${urls.length} were given`,
			);
		}
	}

	return urls;
}

/** With `--resolve-with`, any word can be an item. */
async function checkUrls(urls: readonly string[], {resolveWith, places}: Settings): Promise<void> {
	if (!resolveWith) {
		check(urls, places);
	}
}

async function runGet(urls: string[], settings: Settings, stopped: AbortSignal): Promise<number> {
	const {get, ProgressLine} = await headless();
	const line = new ProgressLine(process.stderr, settings);
	try {
		const outcome = await get(
			urls,
			settings,
			{
				result: text => line.print(process.stdout, text),
				error: message => line.print(process.stderr, errorLine(message)),
				progress: progress => line.draw(progress),
				write: bytes =>
					new Promise(resolve => {
						process.stdout.write(bytes, () => resolve());
					}),
			},
			stopped,
		);
		return endCodeOf(outcome, stopped);
	} finally {
		line.end();
	}
}

/** The commands without a screen. */
async function headless() {
	const loaded = await import('./source/cli/run/headless.ts');
	tuneEngine();
	return loaded;
}

function print(line: string): void {
	process.stdout.write(`${line}\n`);
}

const commandOutput: CommandOutput = {
	result: print,
	error: printError,
	note(text) {
		// A script reads no output as an empty list.
		if (process.stdout.isTTY) {
			process.stderr.write(`${text}\n`);
		}
	},
};

/**
 * The dashboard needs a terminal that can be drawn on, and no flag for lines. When URLs come from a pipe, keys are read
 * from the terminal itself.
 */
function hasScreen({plain, json}: Settings): boolean {
	const {stdin, stdout, env} = process;
	return (stdin.isTTY || isPiped()) && stdout.isTTY && !plain && !json && !env.CI && env.TERM !== 'dumb';
}

/** Whether standard input is a pipe or a file. */
function isPiped(): boolean {
	try {
		const input = fstatSync(0);
		return input.isFIFO() || input.isFile();
	} catch {
		return false;
	}
}

/** Whether URLs may come from standard input: programs connect it to a socket. */
function hasInput(): boolean {
	try {
		return isPiped() || fstatSync(0).isSocket();
	} catch {
		return false;
	}
}

/** `timeout` and npm send one interruption twice: to the process and to its group. */
const sameSignalMs = 200;

/**
 * Aborts `controller` at the first terminating signal. A later one ends the process, but not SIGHUP: a closing terminal sends
 * it to the session and to its groups.
 */
function stopBySignals(controller: AbortController): void {
	let firstAt = -Infinity;

	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
		process.on(signal, () => {
			const now = performance.now();
			if (!controller.signal.aborted) {
				firstAt = now;
				controller.abort();
			} else if (signal !== 'SIGHUP' && now - firstAt > sameSignalMs) {
				process.exit(interrupted);
			}
		});
	}
}

/** A write beyond `ulimit -f` fails like one on a full disk, instead of ending the process. */
function surviveFileLimit(): void {
	process.on('SIGXFSZ', () => undefined);
}

/** Ends the process after a fault outside of `main`, such as in a timer. */
function reportFaults(): void {
	for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
		process.on(event, (error: unknown) => {
			// The dashboard restores its terminal first.
			if (process.listenerCount(event) === 1) {
				reportCrash(error);
				process.exit(crashed);
			}
		});
	}
}

/** On exit Node resets each terminal it started with, and aborts if one is gone, unless its descriptor is closed. */
function closeLostTerminals(): void {
	const terminals = [0, 1, 2].filter(isatty);
	process.on('exit', () => {
		for (const descriptor of terminals) {
			if (!isatty(descriptor)) {
				closeSync(descriptor);
			}
		}
	});
}

/** Resolves when the reader has read all output, or has closed: a pipe holds 64 KiB. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
	return new Promise(resolve => {
		stream.on('close', resolve);
		stream.write('', () => resolve());
	});
}

/** Aborts `controller` when output fails. A reader that has closed is no failure. */
function stopByOutput(controller: AbortController): void {
	for (const output of [process.stdout, process.stderr]) {
		output.on('error', error => {
			const code = errorCode(error);
			if (code !== 'EPIPE' && !(code === 'EIO' && output.isTTY)) {
				outputError ??= error;
			}

			controller.abort();
		});
	}
}

/** Runs the command and ends the process. */
async function run(): Promise<void> {
	const stopping = new AbortController();
	closeLostTerminals();
	surviveFileLimit();
	reportFaults();
	stopBySignals(stopping);
	stopByOutput(stopping);
	try {
		process.exitCode = await main(stopping.signal);
	} catch (error) {
		if (stopping.signal.aborted && error === stopping.signal.reason) {
			process.exitCode = interrupted;
		} else if (error instanceof DownStreamError) {
			printError(withHint(error));
			process.exitCode = exitCodeOf(error.code);
		} else {
			reportCrash(error);
			process.exitCode = crashed;
		}
	}

	if (outputError) {
		printError(`output cannot be written: ${outputError.message}`);
		process.exitCode = 1;
	}

	const isInterrupted = stopping.signal.aborted;
	// From here on a signal ends the process, even while nobody reads the output.
	stopping.abort();
	const written = Promise.all([flushed(process.stdout), flushed(process.stderr)]);
	await (isInterrupted ? Promise.race([written, sleep(lastWordsMs)]) : written);
	// A player's connection that is still closing must not keep a finished program alive.
	process.exit();
}

let outputError: Error | undefined;
void run();
