// Reads commands pasted from a browser or a web page. Pure.
import {curlTables, parseCurlCommand} from './curl-command.ts';
import {isFetchUnfinished, parseFetchCall} from './fetch-call.ts';
import type {PastedCommand} from './pasted-request.ts';
import {isPowershellUnfinished, parsePowershellCommand} from './powershell-command.ts';
import {programLine} from './program-line.ts';
import {parseWgetCommand, wgetTables} from './wget-command.ts';

export type {PastedCommand} from './pasted-request.ts';

const shellTables = {...curlTables, ...wgetTables};

/** Undefined unless the text is a curl, wget, aria2c, Invoke-WebRequest or fetch() command. */
export function parsePastedCommand(text: string): PastedCommand | undefined {
	// Terminals paste line ends as carriage returns.
	const lines = text.replaceAll(/\r\n?/g, '\n');
	return (
		parseCurlCommand(lines) ??
		parseWgetCommand(lines) ??
		parsePowershellCommand(lines) ??
		parseFetchCall(lines)
	);
}

/** Whether the command continues on another line. */
export function isUnfinishedCommand(text: string): boolean {
	const line = programLine(text, shellTables);
	return line?.isOpen ?? (isPowershellUnfinished(text) || isFetchUnfinished(text));
}
