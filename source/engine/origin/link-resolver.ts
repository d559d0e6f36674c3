// Runs the user's command that turns an item, such as a film's page, into a temporary link.
import {execFile} from 'node:child_process';
import path from 'node:path';
import {promisify, stripVTControlCharacters} from 'node:util';
import {DownStreamError} from '../../downstream.ts';
import {maskUrl} from '../../text/mask-url.ts';

type Link = {readonly url: string; readonly headers: Readonly<Record<string, string>>};

const timeoutMs = 120_000;
/** `yt-dlp -j` lists all formats of a film. */
const maxOutput = 16 * 1024 * 1024;
const maxReasonLength = 200;

/**
 * Runs the command, without a shell, with the item as its last argument. Rejects with `bad-request` if it cannot be
 * started or would treat the item as an option, `origin-unreachable` if it fails, `origin-misbehaved` if it prints no
 * link, or the signal's reason.
 */
export async function resolveLink(
	command: readonly string[],
	item: string,
	signal?: AbortSignal,
): Promise<Link> {
	const [program = '', ...args] = command;
	const name = path.basename(program);
	if (item.startsWith('-')) {
		throw new DownStreamError('bad-request', `${name} would treat ${JSON.stringify(item)} as an option`);
	}

	let output: string;
	try {
		const options = {timeout: timeoutMs, maxBuffer: maxOutput, signal, windowsHide: true};
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
			`${name} returned no link for ${maskUrl(item)}${reasonIn(stderr)}`,
			{cause: error},
		);
	}

	const link = parseLink(output);
	if (typeof link === 'string') {
		throw new DownStreamError('origin-misbehaved', `${name} returned no link for ${maskUrl(item)}: ${link}`);
	}

	return link;
}

/**
 * Parses the command's output: a URL followed by headers as `Name: value`, one per line; or JSON with `url` and
 * `headers` (or `http_headers`, as in `yt-dlp -j`). Otherwise returns a description of the problem.
 */
export function parseLink(output: string): Link | string {
	const lines = output
		.split(/\r?\n/)
		.map(line => line.trim())
		.filter(line => line !== '');
	const [url, ...rest] = lines;
	if (url?.startsWith('{')) {
		return parseJsonLink(url === '{' ? output : url);
	}

	if (url === undefined || !isHttpUrl(url)) {
		return 'it printed no URL that begins with http:// or https://';
	}

	if (rest.some(isHttpUrl)) {
		return 'it printed several URLs, such as separate video and audio; make it print one (yt-dlp -g -f b)';
	}

	const headers = rest.map(line => /^([^\s:]+):[ \t]*(.*)$/.exec(line));
	return headers.every(header => header !== null)
		? {url, headers: Object.fromEntries(headers.map(([, name, value]) => [name, value]))}
		: 'it printed a line after the URL that is not a header (Name: value)';
}

function parseJsonLink(json: string): Link | string {
	let parsed: {url?: unknown; headers?: unknown; http_headers?: unknown};
	try {
		parsed = JSON.parse(json) as object;
	} catch {
		return 'it printed invalid JSON';
	}

	const {url, headers = parsed.http_headers ?? {}} = parsed;
	if (typeof url !== 'string' || !isHttpUrl(url)) {
		return 'its JSON has no "url" that begins with http:// or https://';
	}

	const isRecord = typeof headers === 'object' && headers !== null;
	return isRecord && Object.values(headers).every(value => typeof value === 'string')
		? {url, headers: headers as Record<string, string>}
		: 'the "headers" of its JSON are not an object of strings';
}

function isHttpUrl(text: string): boolean {
	return /^https?:\/\/\S+$/i.test(text) && URL.canParse(text);
}

/** The last line of the output, without colors and secrets. */
function reasonIn(stderr: string): string {
	const last = stripVTControlCharacters(stderr)
		.split(/[\r\n]+/)
		.map(line => line.replaceAll(/\p{Cc}+/gu, ' ').trim())
		.findLast(line => line !== '');
	const masked = last?.replaceAll(/https?:\/\/\S+/gi, url => maskUrl(url));
	if (masked === undefined) {
		return '';
	}

	return masked.length > maxReasonLength ? `: ${masked.slice(0, maxReasonLength)}…` : `: ${masked}`;
}
