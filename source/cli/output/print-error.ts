// Errors on standard error, with the name of the program.
import process from 'node:process';
import {escapeControls} from '../../text/escape-controls.ts';

export function errorLine(message: string): string {
	return `downstream-tui: ${escapeControls(message)}`;
}

export function printError(message: string): void {
	process.stderr.write(`${errorLine(message)}\n`);
}
