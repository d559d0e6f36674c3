// Turns typed words into requests: URLs, pasted commands, or items that a command resolves into links.
import {cleanText} from '../text/clean-text.ts';
import {defaults} from '../defaults.ts';
import {DownStreamError, type AddRequest, type Download, type DownloadEngine} from '../downstream.ts';
import {resolveLink} from '../engine/origin/link-resolver.ts';
import {headersFrom} from './headers.ts';
import {withCredentials, type Netrc} from './netrc.ts';
import {parsePastedCommand} from './pasted-command.ts';
import {shownUrl, type Places} from './url-lists.ts';

/** The settings that affect requests. */
type RequestSettings = {
	readonly headers: Readonly<Record<string, string>>;
	readonly userAgent?: string | undefined;
	readonly proxy?: string | undefined;
	readonly connections: number;
	readonly onDemand: boolean;
	readonly checksum?: string | undefined;
	/** File name of the only URL. */
	readonly name?: string | undefined;
	readonly paused?: boolean;
	/** The words of a command that resolves an item into a link. */
	readonly resolveWith?: readonly string[] | undefined;
	readonly netrc?: Netrc | undefined;
};

/** Rejects with `bad-request`, or as `resolveLink` does. `signal` ends the resolver. */
type RequestsOf = (word: string, settings: RequestSettings, signal?: AbortSignal) => Promise<AddRequest[]>;

/** For the command line of a program with its own engine. */
export const requestsFor: RequestsOf = async (word, settings, signal) => {
	const {headers, checksum, name, paused} = settings;
	const given = await requestsOfWord(word, settings, signal);
	const forOne = checksum === undefined ? (name === undefined ? undefined : '--name') : '--checksum';
	if (forOne !== undefined && given.length > 1) {
		throw new DownStreamError(
			'bad-request',
			`${forOne}: it applies to a single URL, but ${given.length} were given`,
		);
	}

	return given.map(request => ({
		...request,
		headers: mergedHeaders(headers, request.headers),
		...(checksum !== undefined && {checksum}),
		...(name !== undefined && {name}),
		...(paused && {paused}),
	}));
};

/** For URLs typed later; options for the URLs of the command line do not apply to them. */
export const requestsForTyped: RequestsOf = (word, settings) =>
	requestsFor(word, {...settings, headers: {}, checksum: undefined, name: undefined, paused: false});

/** For a running instance with other settings: each request carries the settings of this command line. */
export const requestsForRemote: RequestsOf = async (word, settings, signal) => {
	const {userAgent, proxy, connections, onDemand} = settings;
	const requests = await requestsFor(word, settings, signal);
	return requests.map(({headers, ...request}) => ({
		...(userAgent !== undefined && {userAgent}),
		...(proxy !== undefined && {proxy}),
		...request,
		...(headers && Object.keys(headers).length > 0 && {headers}),
		...(connections !== defaults.connections && {connections}),
		...(onDemand && {onDemand}),
	}));
};

/** Adds the downloads of all words. An error goes to `onError` and does not stop the others. */
export async function addAll(
	downstream: DownloadEngine,
	words: readonly string[],
	requestsOf: (word: string) => Promise<AddRequest[]>,
	onError: (error: DownStreamError) => void,
	places?: Places,
): Promise<Download[]> {
	const added: Download[] = [];
	for (const word of words) {
		try {
			for (const request of await requestsOf(word)) {
				const {download} = await downstream.add(request);
				added.push(download);
			}
		} catch (error) {
			if (!(error instanceof DownStreamError)) {
				throw error;
			}

			onError(named(error, word, {isSeveral: words.length > 1, places}));
		}
	}

	return added;
}

/**
 * Names the line of a URL in a list, and the failed one of several URLs, but no pasted command: any part of it may be
 * secret.
 */
export function named(
	error: DownStreamError,
	word: string,
	{isSeveral, places}: {readonly isSeveral: boolean; readonly places?: Places | undefined},
): DownStreamError {
	const place = places?.get(word);
	const url = isSeveral && !/\s/.test(word) ? cleanText(shownUrl(word)) : undefined;
	const names = [place, url].filter(name => name !== undefined);
	return error.code === 'bad-request' && names.length > 0
		? new DownStreamError(error.code, [...names, error.message].join(': '), error)
		: error;
}

/**
 * Completes a request from any entry point with the link of `--resolve-with` and the credentials of `--netrc`. An item of a
 * `listed` download is not resolved again. Rejects as `resolveLink` does.
 */
export async function completed(
	request: AddRequest,
	{netrc, resolveWith}: Pick<RequestSettings, 'netrc' | 'resolveWith'>,
	listed: readonly Download[] = [],
	signal?: AbortSignal,
): Promise<AddRequest> {
	const {url: item} = request;
	const isResolved = !resolveWith || request.item !== undefined;
	const known = listed.find(download => download.item === item);
	const link = isResolved ? undefined : (known ?? (await resolveLink(resolveWith, item, signal)));
	const resolved = link
		? {
				...request,
				item,
				url: link.url,
				headers: mergedHeaders(request.headers, 'headers' in link ? link.headers : {}),
			}
		: request;
	return netrc ? withCredentials(resolved, netrc) : resolved;
}

/** Header names are case-insensitive. The second headers win. */
function mergedHeaders(
	first: Readonly<Record<string, string>> = {},
	second: Readonly<Record<string, string>> = {},
): Record<string, string> {
	const replaced = new Set(Object.keys(second).map(name => name.toLowerCase()));
	const kept = Object.entries(first).filter(([name]) => !replaced.has(name.toLowerCase()));
	return {...Object.fromEntries(kept), ...second};
}

async function requestsOfWord(
	word: string,
	settings: RequestSettings,
	signal: AbortSignal | undefined,
): Promise<AddRequest[]> {
	const pasted = requestsOfCommand(word);
	// A pasted command contains its link already.
	return pasted
		? Promise.all(pasted.map(request => completed(request, {netrc: settings.netrc})))
		: [await completed({url: word}, settings, [], signal)];
}

/** Undefined if the word is not a command. */
function requestsOfCommand(word: string): AddRequest[] | undefined {
	const command = parsePastedCommand(word);
	if (!command) {
		return undefined;
	}

	const {urls, headers, problem, ...rest} = command;
	if (problem !== undefined) {
		throw new DownStreamError('bad-request', problem);
	}

	const more = {
		headers: headersFrom('a header of a pasted command', headers),
		...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
	};
	return urls.map(url => ({url, ...more}));
}
