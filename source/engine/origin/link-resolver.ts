// A command of the user's that turns an item, such as the page of a film, into a link that is good for a while.
import {execFile} from 'node:child_process';
import path from 'node:path';
import {promisify, stripVTControlCharacters} from 'node:util';
import {DownStreamError} from '../../downstream.ts';
import {maskUrl} from '../../text/mask-url.ts';

export type Link = {readonly url: string; readonly headers: Readonly<Record<string, string>>};

const patienceMs = 120_000;
/** `yt-dlp -j` tells all formats of a film. */
const maxOutput = 16 * 1024 * 1024;
const longestReason = 200;

/**
 * Starts the command, without a shell, with the item as its last argument. Rejects with `bad-request` if it cannot be
 * started or the item would be an option, `origin-unreachable` if it fails, `origin-misbehaved` if it prints no link,
 * or the signal's reason.
 */
export async function resolveLink(
	command: readonly string[],
	item: string,
	signal?: AbortSignal,
): Promise<Link> {
	const [program = '', ...args] = command;
	const name = path.basename(program);
	if (item.startsWith('-')) {
		throw new DownStreamError('bad-request', `${name} would take ${JSON.stringify(item)} for an option`);
	}

	let output: string;
	try {
		const options = {timeout: patienceMs, maxBuffer: maxOutput, signal, windowsHide: true};
		({stdout: output} = await promisify(execFile)(program, [...args, item], options));
	} catch (error) {
		signal?.throwIfAborted();
		const {code, stderr = ''} = error as {code?: unknown; stderr?: string};
		if (code === 'ENOENT' || code === 'EACCES') {
			throw new DownStreamError('bad-request', `${program} cannot be started: is it installed?`, {
				cause: error,
			});
		}

		throw new DownStreamError(
			'origin-unreachable',
			`${name} gave no link for ${maskUrl(item)}${reasonIn(stderr)}`,
			{cause: error},
		);
	}

	const link = linkIn(output);
	if (typeof link === 'string') {
		throw new DownStreamError('origin-misbehaved', `${name} gave no link for ${maskUrl(item)}: ${link}`);
	}

	return link;
}

/**
 * What a command prints: a URL, and after it headers as `Name: value`, one on each line; or JSON with `url` and
 * `headers` (or `http_headers`, as `yt-dlp -j` says). Else, in words, what is wrong with it.
 */
export function linkIn(output: string): Link | string {
	const lines = output
		.split(/\r?\n/)
		.map(line => line.trim())
		.filter(line => line !== '');
	const [url, ...rest] = lines;
	if (url?.startsWith('{')) {
		return linkOfJson(url === '{' ? output : url);
	}

	if (url === undefined || !isWebAddress(url)) {
		return 'it printed no URL that begins with http:// or https://';
	}

	if (rest.some(isWebAddress)) {
		return 'it printed several URLs, such as sound and picture apart; let it print one (yt-dlp -g -f b)';
	}

	const headers = rest.map(line => /^([^\s:]+):[ \t]*(.*)$/.exec(line));
	return headers.every(header => header !== null)
		? {url, headers: Object.fromEntries(headers.map(([, name, value]) => [name, value]))}
		: 'after the URL it printed what is no header, written Name: value';
}

function linkOfJson(json: string): Link | string {
	let said: {url?: unknown; headers?: unknown; http_headers?: unknown};
	try {
		said = JSON.parse(json) as object;
	} catch {
		return 'it printed JSON that is not valid';
	}

	const {url, headers = said.http_headers ?? {}} = said;
	if (typeof url !== 'string' || !isWebAddress(url)) {
		return 'the JSON that it printed has no "url" that begins with http:// or https://';
	}

	const isRecord = typeof headers === 'object' && headers !== null;
	return isRecord && Object.values(headers).every(value => typeof value === 'string')
		? {url, headers: headers as Record<string, string>}
		: 'the "headers" of the JSON that it printed are not an object of strings';
}

function isWebAddress(text: string): boolean {
	return /^https?:\/\/\S+$/i.test(text) && URL.canParse(text);
}

/** Its last words, without colours and secrets. */
function reasonIn(stderr: string): string {
	const last = stripVTControlCharacters(stderr)
		.split(/[\r\n]+/)
		.map(line => line.replaceAll(/\p{Cc}+/gu, ' ').trim())
		.findLast(line => line !== '');
	const masked = last?.replaceAll(/https?:\/\/\S+/gi, url => maskUrl(url));
	if (masked === undefined) {
		return '';
	}

	return masked.length > longestReason ? `: ${masked.slice(0, longestReason)}…` : `: ${masked}`;
}
