// The mapping of requests to fields of records. Pure.
import {DownStreamError, type AddRequest, type DownloadChange} from '../downstream.ts';
import {checkRequest} from './check-request.ts';
import {checkedHeaders, inLowerCase} from './http/headers.ts';
import {withoutCredentials} from './origin/http-source.ts';
import {safeFileName} from './store/file-name.ts';
import type {DownloadRecord} from './store/record.ts';

/** The fields of a new record that a request gives. */
export type RecordInput = Pick<DownloadRecord, 'url' | 'headers' | 'intent'> & Partial<DownloadRecord>;

type Place = ReturnType<typeof withoutCredentials>;

/** Names of headers that carry credentials. */
const credentialHeader = /auth|cookie|token|key|secret|session|credential|passw|signature|csrf|xsrf/i;

/** Throws `bad-request`. `defaults` apply to a request without headers of its own, and to items. */
export function inputOfRequest(
	request: AddRequest,
	defaults: Pick<Partial<DownloadRecord>, 'headers' | 'resolveWith'>,
): RecordInput {
	const {url, credentials} = withoutCredentials(request.url);
	// Clients show the URL. Headers are stored where only the user can read them.
	const headers = checkedHeaders({...credentials, ...(request.headers ?? defaults.headers)});
	const {item} = request;
	const {resolveWith} = defaults;
	return {
		url: url.href,
		headers,
		...(item !== undefined && {item, ...(resolveWith && {resolveWith})}),
		...requestFields(request),
	};
}

/** For a data source of a program's own. Throws `bad-request`. */
export function inputOfSource(url: string, request: Omit<AddRequest, 'url' | 'headers'>): RecordInput {
	if (!URL.canParse(url)) {
		throw new DownStreamError('bad-request', `The URL of the data source is invalid: ${JSON.stringify(url)}`);
	}

	return {url: new URL(url).href, headers: {}, ownSource: true, ...requestFields(request)};
}

/** For a second download of the same file: the user's input, without the state of the download. */
export function inputOfRecord(record: DownloadRecord): RecordInput {
	const {url, headers, userAgent, proxy, item, resolveWith} = record;
	const {connections, givenName, onDemand, checksum, limitRate, exportWhenComplete, position} = record;
	return {
		url,
		headers,
		userAgent,
		proxy,
		item,
		resolveWith,
		connections,
		givenName,
		onDemand,
		checksum,
		limitRate,
		exportWhenComplete,
		position,
		intent: 'run',
	};
}

/** `place` is the new URL of the change. Throws `bad-request`. */
export function changedFields(
	change: DownloadChange,
	place: Place | undefined,
	record: DownloadRecord,
): Partial<DownloadRecord> {
	const {headers, limitRate} = change;
	return {
		...(place && {url: place.url.href}),
		...((place ?? headers) && {
			headers: checkedHeaders({
				...(headers ? undefined : headersFor(place?.url, record)),
				...place?.credentials,
				...headers,
			}),
		}),
		...sharedFields(change),
		...(limitRate !== undefined && {limitRate: limitRate ?? undefined}),
	};
}

/** Throws `bad-request`. */
function requestFields(
	request: Omit<AddRequest, 'url' | 'headers'>,
): Pick<DownloadRecord, 'intent'> & Partial<DownloadRecord> {
	checkRequest(request);
	return {...sharedFields(request), intent: request.paused ? 'pause' : 'run'};
}

function sharedFields(given: Partial<AddRequest> | DownloadChange): Partial<DownloadRecord> {
	const {userAgent, proxy, connections, name, checksum, onDemand} = given;
	return {
		...(userAgent !== undefined && {userAgent}),
		...(proxy !== undefined && {proxy}),
		...(connections !== undefined && {connections}),
		...(name !== undefined && {givenName: safeFileName(name)}),
		...(checksum !== undefined && {checksum: checksum.toLowerCase()}),
		...(onDemand !== undefined && {onDemand}),
	};
}

/** Headers to send to `place`. Credentials never cross origins. */
export function headersFor(
	place: URL | undefined,
	{url, headers}: DownloadRecord,
): Readonly<Record<string, string>> {
	const isElsewhere = place !== undefined && place.origin !== new URL(url).origin;
	return Object.fromEntries(
		Object.entries(headers).filter(([header]) => !isElsewhere || !credentialHeader.test(header)),
	);
}

/** True if both identify one download. Links of an item change, so only items are compared. */
export function isSame(record: DownloadRecord, {url, item, headers, ownSource}: RecordInput): boolean {
	const sorted = (unsorted: Readonly<Record<string, string>>) =>
		JSON.stringify(Object.entries(inLowerCase(unsorted)).toSorted(([a], [b]) => (a < b ? -1 : 1)));
	const isSameFile =
		item === undefined
			? record.url === url && record.ownSource === ownSource && sorted(record.headers) === sorted(headers)
			: record.item === item;
	return isSameFile && !record.superseded;
}
