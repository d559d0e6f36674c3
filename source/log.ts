// What the program writes down for those who look for a fault: off until asked for, and never a secret in it.
import {createWriteStream} from 'node:fs';
import type {Writable} from 'node:stream';
import {escapeControls} from './text/escape-controls.ts';
import {maskUrl} from './text/mask-url.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

const ranks: Record<LogLevel, number> = {error: 0, warn: 1, info: 2, debug: 3};

/** Bytes that may wait for a slow disk; beyond them records are dropped. */
const maxWaiting = 1024 * 1024;

let enabled = false;
let threshold: LogLevel = 'info';
let output: Writable = process.stderr;

/** One line for each record, which no terminal obeys: `2026-01-31T12:00:00.000Z info message`. No function of it throws or waits. */
export const Logger = {
	/** Off at first. What is logged goes to standard error unless `toFile` was called. */
	setEnabled(on: boolean): void {
		enabled = on;
	},

	/** Appends to the file, made readable by its owner alone, and turns logging on. A file that fails ends it. */
	toFile(path: string, level: LogLevel = 'info'): void {
		const file = createWriteStream(path, {flags: 'a', mode: 0o600});
		file.on('error', () => {
			if (output === file) {
				enabled = false;
			}
		});
		output = file;
		threshold = level;
		enabled = true;
	},

	/** Turns logging off; resolves when the file has all that was logged. */
	async close(): Promise<void> {
		const ended = output;
		enabled = false;
		output = process.stderr;
		if (ended !== process.stderr && !ended.destroyed) {
			await new Promise<void>(resolve => {
				ended.once('close', resolve);
				ended.end();
			});
		}
	},

	error(message: string): void {
		log('error', message);
	},

	warn(message: string): void {
		log('warn', message);
	},

	info(message: string): void {
		log('info', message);
	},

	debug(message: string): void {
		log('debug', message);
	},
};

function log(level: LogLevel, message: string): void {
	if (enabled && ranks[level] <= ranks[threshold] && output.writableLength < maxWaiting) {
		output.write(`${new Date().toISOString()} ${level} ${escapeControls(maskSecrets(message))}\n`);
	}
}

/** What stands for a secret. */
const mask = '***';

function maskSecrets(message: string): string {
	return message
		.replace(/[a-z][a-z\d+.-]*:\/\/[^\s"'<>]+/gi, url => maskUrl(url))
		.replace(/((?:authorization|cookie|x-api-key)["']?\s*[:=]\s*["']?)[^"'\r\n]*/gi, `$1${mask}`)
		.replace(/\b(bearer|basic)\s+[\w.~+/=-]+/gi, `$1 ${mask}`);
}
