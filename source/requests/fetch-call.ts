// Reads a `fetch(…)` call as browsers copy it: a URL and JSON options. Pure.
import {PastedRequest, type PastedCommand} from './pasted-request.ts';

function looksLikeFetch(text: string): boolean {
	return /^\s*(?:await\s+)?fetch\(/.test(text);
}

/** Undefined if the text is not such a call. */
export function parseFetchCall(text: string): PastedCommand | undefined {
	if (!looksLikeFetch(text)) {
		return undefined;
	}

	const request = new PastedRequest('this fetch()');
	const [url, options] = argumentsOf(text) ?? [];
	if (typeof url !== 'string') {
		request.refuse('differs from the form that browsers copy: a URL in double quotes, then JSON');
		return request.result();
	}

	request.urls.push(url);
	const {headers, referrer, body, method = 'GET'} = (options ?? {}) as Partial<Record<string, unknown>>;
	for (const [name, value] of Object.entries(headers ?? {})) {
		request.header(name, String(value));
	}

	if (typeof referrer === 'string' && /^https?:/i.test(referrer)) {
		request.referer(referrer);
	}

	if ((body !== undefined && body !== null) || !/^(?:get|head)$/i.test(String(method))) {
		request.refuse('sends data; only GET requests can be downloaded');
	}

	return request.result();
}

export function isFetchUnfinished(text: string): boolean {
	return looksLikeFetch(text) && !/\)\s*;?\s*$/.test(text);
}

function argumentsOf(text: string): unknown[] | undefined {
	const [, inside] = /^\s*(?:await\s+)?fetch\(([^]*)\)\s*;?\s*$/.exec(text) ?? [];
	try {
		return JSON.parse(`[${inside}]`) as unknown[];
	} catch {
		return undefined;
	}
}
