// Sends a request, follows redirects and answers challenges. Credentials reach the origin of the user's URL only.
import type {RequestOptions} from './request-options.ts';
import type {HttpResponse} from '../http/client.ts';
import {RedirectGuard} from './redirect-guard.ts';
import {CookieJar} from './cookie-jar.ts';
import {discard} from './response-body.ts';
import {redirectTarget} from './redirect-target.ts';
import {DownStreamError} from '../../downstream.ts';
import {originError} from './origin-errors.ts';

/** As many as curl follows. */
const maxRedirects = 50;
/** Limit for requests that repeat a URL with the same cookies. Some servers respond differently in the end. */
const maxRepeats = 10;
/** One challenge, and two for an expired nonce. */
const maxChallenges = 3;

/** Follows redirects manually, because headers for one origin must not reach another. */
export async function follow(options: RequestOptions): Promise<{url: URL; response: HttpResponse}> {
	const {url: given, route, login} = options;
	const guard = new RedirectGuard(given, url => route(url).isDirect);
	const jar = new CookieJar();
	let url = given;
	const visitOf = ({href}: URL) => `${href}\n${jar.headerFor(new URL(href), undefined) ?? ''}`;
	const visits = new Set<string>();
	let redirects = 0;
	let repeats = 0;
	let challenges = 0;
	for (;;) {
		visits.add(visitOf(url));
		const response = await send(url, options, guard, jar);
		jar.store(url, response.headers.get('set-cookie'));
		const isChallenge =
			response.status === 401 &&
			url.origin === given.origin &&
			challenges < maxChallenges &&
			login?.accept(response.headers.get('www-authenticate'), challenges === 0);
		if (isChallenge) {
			challenges++;
			await discard(response);
			continue;
		}

		const target = closingOnError(response, () => redirectTarget(url, response));
		if (!target) {
			return {url, response};
		}

		await discard(response);
		url = target;
		if (visits.has(visitOf(url)) && repeats++ === maxRepeats) {
			throw new DownStreamError('origin-refused', `${given.hostname} redirects in a circle`);
		}

		if (redirects++ === maxRedirects) {
			throw new DownStreamError(
				'origin-refused',
				`${given.hostname} redirects more than ${maxRedirects} times`,
			);
		}
	}
}

function closingOnError<T>(response: HttpResponse, attempt: () => T): T {
	try {
		return attempt();
	} catch (error) {
		response.close();
		throw error;
	}
}

/** `url` is the user's URL or a redirect's target. */
async function send(
	url: URL,
	options: RequestOptions,
	guard: RedirectGuard,
	jar: CookieJar,
): Promise<HttpResponse> {
	const {
		url: given,
		headers,
		login,
		userAgent,
		route,
		range,
		ranged,
		isBackground,
		connected,
		responseTimeout,
		signal,
	} = options;
	const last = range.end === Infinity ? '' : range.end - 1;
	if (options.isOwnStream?.(url)) {
		throw new DownStreamError('origin-refused', `${given.hostname} leads to this program's own stream`);
	}

	const userHeaders = url.origin === given.origin ? headers : {};
	const cookie = jar.headerFor(url, userHeaders.cookie);
	try {
		await guard.approveName(url);
		const client = await route(url).client;
		const authorization = userHeaders === headers ? login?.authorize(url.pathname + url.search) : undefined;
		return await client.get({
			url,
			signal,
			isBackground,
			responseTimeout,
			approve(address) {
				guard.approveAddress(url, address);
				connected?.();
			},
			headers: {
				accept: '*/*',
				'accept-encoding': 'identity',
				'user-agent': userAgent,
				...(ranged ? {range: `bytes=${range.start}-${last}`} : {}),
				...userHeaders,
				...(cookie === undefined ? {} : {cookie}),
				...(authorization === undefined ? {} : {authorization}),
			},
		});
	} catch (error) {
		throw originError(error, url.hostname);
	}
}
