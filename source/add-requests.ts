// What is added for the words of the command line: URLs, curl commands, or items that a command turns into links.
import {parseCurlCommand} from './curl-command.ts';
import {cleanText} from './dashboard/clean-text.ts';
import {defaults} from './defaults.ts';
import {DownStreamError, type AddRequest, type Download, type DownStream} from './downstream.ts';
import {resolveLink} from './engine/resolve-link.ts';
import {headersFrom} from './header-lines.ts';
import {withCredentials} from './netrc.ts';
import type {Settings} from './settings.ts';
import {shownUrl} from './url-lists.ts';

/** Rejects with `bad-request`, or what `resolveLink` rejects with. */
export type RequestsOf = (word: string, settings: Settings) => Promise<AddRequest[]>;

/** For an engine that was started with the settings. */
export const requestsFor: RequestsOf = async (word, settings) => {
	const {headers, checksum, netrc, resolveWith} = settings;
	const given = requestsOfCurl(word) ?? [resolveWith ? await requestOfItem(resolveWith, word) : {url: word}];
	if (checksum !== undefined && given.length > 1) {
		throw new DownStreamError('bad-request', `--checksum: it is for one URL, and ${given.length} are given`);
	}

	return given.map(own => {
		const request = {
			...own,
			headers: {...headers, ...own.headers},
			...(checksum !== undefined && {checksum}),
		};
		return netrc ? withCredentials(request, netrc) : request;
	});
};

/** For a copy that was started with settings of its own: what ours say goes with each download. */
export const requestsForOther: RequestsOf = async (word, settings) => {
	const {userAgent, proxy, connections, onDemand} = settings;
	const requests = await requestsFor(word, settings);
	return requests.map(({headers, ...request}) => ({
		...(userAgent !== undefined && {userAgent}),
		...(proxy !== undefined && {proxy}),
		...request,
		...(headers && Object.keys(headers).length > 0 && {headers}),
		...(connections !== defaults.connections && {connections}),
		...(onDemand && {onDemand}),
	}));
};

/** Adds what is asked for; what cannot be added is told, the others go on. */
export async function addAll(
	downstream: DownStream,
	words: readonly string[],
	requestsOf: (word: string) => Promise<AddRequest[]>,
	onError: (error: DownStreamError) => void,
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

			onError(words.length > 1 ? named(error, word) : error);
		}
	}

	return added;
}

/** Which of several cannot be added. Not of a curl command: all of it may be secret. */
function named(error: DownStreamError, word: string): DownStreamError {
	return error.code === 'bad-request' && !/\s/.test(word)
		? new DownStreamError(error.code, `${cleanText(shownUrl(word))}: ${error.message}`)
		: error;
}

async function requestOfItem(command: readonly string[], item: string): Promise<AddRequest> {
	return {...(await resolveLink(command, item)), item};
}

/** Undefined if the word is no curl command. */
function requestsOfCurl(word: string): AddRequest[] | undefined {
	const command = parseCurlCommand(word);
	if (!command) {
		return undefined;
	}

	const {urls, headers, userAgent, proxy, name, problem} = command;
	if (problem !== undefined || urls.length === 0) {
		throw new DownStreamError('bad-request', problem ?? 'this curl command has no URL');
	}

	const more = {
		headers: headersFrom('a header of a curl command', headers),
		...(userAgent !== undefined && {userAgent}),
		...(proxy !== undefined && {proxy}),
		...(name !== undefined && urls.length === 1 && {name}),
	};
	return urls.map(url => ({url, ...more}));
}
