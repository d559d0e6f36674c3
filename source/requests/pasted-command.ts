// Commands that people copy from a browser or a page: one door for all of them. Pure.
import {parseCurlCommand} from './curl-command.ts';
import {isFetchUnfinished, parseFetchCall} from './fetch-call.ts';
import type {PastedCommand} from './pasted-request.ts';
import {isPowershellUnfinished, parsePowershellCommand} from './powershell-command.ts';
import {programLine} from './program-line.ts';
import {parseWgetCommand} from './wget-command.ts';

export type {PastedCommand} from './pasted-request.ts';

/** Undefined if the text is no command: curl, wget, aria2c, Invoke-WebRequest or fetch(). */
export function parsePastedCommand(text: string): PastedCommand | undefined {
	// Terminals paste the ends of lines as carriage returns.
	const lines = text.replaceAll(/\r\n?/g, '\n');
	return (
		parseCurlCommand(lines) ??
		parseWgetCommand(lines) ??
		parsePowershellCommand(lines) ??
		parseFetchCall(lines)
	);
}

/** Whether these are the first lines of a command that goes on. */
export function isUnfinishedCommand(text: string): boolean {
	const line = programLine(text, ['curl', 'wget', 'aria2c']);
	return line?.isOpen ?? (isPowershellUnfinished(text) || isFetchUnfinished(text));
}
