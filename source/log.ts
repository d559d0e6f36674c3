// The log: off by default, and free of secrets.
import {createWriteStream} from 'node:fs';
import type {Writable} from 'node:stream';
import {escapeControls} from './text/escape-controls.ts';
import {maskUrl} from './text/mask-url.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

const ranks: Record<LogLevel, number> = {error: 0, warn: 1, info: 2, debug: 3};

/** Bytes that may be buffered for a slow disk; further records are dropped. */
const maxWaiting = 1024 * 1024;

let enabled = false;
let threshold: LogLevel = 'info';
let output: Writable = process.stderr;

/**
 * One line per record, with control characters escaped: `2026-01-31T12:00:00.000Z info message`. Logging never throws or
 * blocks.
 */
export const Logger = {
	/** Off by default. Records go to standard error unless `toFile` was called. */
	setEnabled(on: boolean): void {
		enabled = on;
	},

	/** Appends to a file that only its owner can read, and turns logging on. A write error turns it off. */
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

	/** Turns logging off; resolves once all records are in the file. */
	async close(): Promise<void> {
		const closing = output;
		enabled = false;
		output = process.stderr;
		if (closing !== process.stderr && !closing.destroyed) {
			await new Promise<void>(resolve => {
				closing.once('close', resolve);
				closing.end();
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

/** Masks a secret. */
const mask = '***';

function maskSecrets(message: string): string {
	return message
		.replace(/[a-z][a-z\d+.-]*:\/\/[^\s"'<>]+/gi, url => maskUrl(url))
		.replace(/((?:authorization|cookie|x-api-key)["']?\s*[:=]\s*["']?)[^"'\r\n]*/gi, `$1${mask}`)
		.replace(/\b(bearer|basic)\s+[\w.~+/=-]+/gi, `$1 ${mask}`);
}
