// What is added for the URLs of the command line.
import {defaults} from './defaults.ts';
import {DownStreamError, type AddRequest, type Download, type DownStream} from './downstream.ts';
import {withCredentials} from './netrc.ts';
import type {Settings} from './settings.ts';

/** For an engine that was started with the settings. */
export function requestsFor(urls: readonly string[], {headers, checksum, netrc}: Settings): AddRequest[] {
	return urls.map(url => {
		const request = {url, headers, ...(checksum !== undefined && {checksum})};
		return netrc ? withCredentials(request, netrc) : request;
	});
}

/** The same for a copy that was started with settings of its own: what ours say goes with each download. */
export function requestsForOther(urls: readonly string[], settings: Settings): AddRequest[] {
	const {userAgent, proxy, connections, onDemand} = settings;
	return requestsFor(urls, settings).map(({headers, ...request}) => ({
		...request,
		...(headers && Object.keys(headers).length > 0 && {headers}),
		...(userAgent !== undefined && {userAgent}),
		...(proxy !== undefined && {proxy}),
		...(connections !== defaults.connections && {connections}),
		...(onDemand && {onDemand}),
	}));
}

/** Adds what is asked for; what cannot be added is told, the others go on. */
export async function addAll(
	downstream: DownStream,
	requests: readonly AddRequest[],
	onError: (error: DownStreamError) => void,
): Promise<Download[]> {
	const added: Download[] = [];
	for (const request of requests) {
		try {
			const {download} = await downstream.add(request);
			added.push(download);
		} catch (error) {
			if (!(error instanceof DownStreamError)) {
				throw error;
			}

			onError(error);
		}
	}

	return added;
}
