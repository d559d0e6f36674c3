// The errors of a request to an origin, in sentences. Pure.
import type {HttpResponse} from '../http/client.ts';
import {DownStreamError} from '../../downstream.ts';
import {formatDuration} from '../../text/format.ts';
import {loginProblem} from './challenges.ts';
import {certificateProblem} from '../http/errors.ts';

/** `given` lists the names of the user's headers that were sent. */
export function refusal(url: URL, response: HttpResponse, given: readonly string[]): DownStreamError {
	const {status} = response;
	const host = url.hostname;
	if ((status >= 500 && status < 600) || status === 408 || status === 425 || status === 429) {
		const retryAfterMs = retryAfter(response.headers.get('retry-after'), Date.now());
		const wait = retryAfterMs === undefined ? '' : ` and asks to wait ${formatDuration(retryAfterMs / 1000)}`;
		const isFault = status >= 500 && status !== 503;
		const state = isFault ? 'reports a server error' : 'is busy';
		return new DownStreamError('origin-busy', `${host} ${state} (${status})${wait}`, {status, retryAfterMs});
	}

	if (status === 401) {
		const hasLogin = given.some(name => /^authorization$/i.test(name));
		const {message, needs} = loginProblem(host, response.headers.get('www-authenticate'), hasLogin);
		return new DownStreamError('origin-refused', message, {status, needs});
	}

	const reasons: Partial<Record<number, string>> = {
		403: `403 Forbidden from ${host}: the link may have expired`,
		404: `404: no such file on the server ${host}`,
		410: `410 Gone: ${host} no longer has the file`,
		416: `416: ${host} refuses the requested range`,
	};
	const isRedirect = status >= 300 && status < 400 && status !== 304;
	return new DownStreamError(
		'origin-refused',
		reasons[status] ??
			`${host} ${isRedirect ? 'redirects without a Location, with' : 'responds with'} status ${status}`,
		{
			status,
		},
	);
}

/** Parses seconds or an HTTP date (RFC 9110 section 10.2.3) into milliseconds from now. */
export function retryAfter(text: string | undefined, now: number): number | undefined {
	if (text === undefined) {
		return undefined;
	}

	if (/^\d{1,9}$/.test(text.trim())) {
		return Number(text) * 1000;
	}

	const date = Date.parse(text);
	return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

const unreachable: Partial<Record<string, string>> = {
	ENOTFOUND: 'no such host',
	EAI_AGAIN: 'the host name cannot be resolved at the moment',
	ECONNREFUSED: 'connection refused',
	ECONNRESET: 'connection reset',
	EPIPE: 'connection reset',
	CONNECTION_CLOSED: 'connection lost',
	CONNECT_TIMEOUT: 'timed out while connecting',
	ETIMEDOUT: 'timed out while connecting',
	HEADERS_TIMEOUT: 'timed out without a response',
	BODY_TIMEOUT: 'the server stopped sending',
	EHOSTUNREACH: 'host cannot be reached',
	ENETUNREACH: 'no network',
	EPROTO: 'TLS handshake failed',
	EMFILE: 'no connection can be opened, because too many files are open',
	ENFILE: 'no connection can be opened, because too many files are open',
};

export function originError(error: unknown, host: string): DownStreamError {
	if (error instanceof DownStreamError) {
		return error;
	}

	// All addresses of the host failed; the first error represents them.
	const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
	const cause = (first as Error).cause as NodeJS.ErrnoException | undefined;
	const code = String((first as NodeJS.ErrnoException).code ?? cause?.code);
	const problem = certificateProblem(first, host);
	if (problem !== undefined) {
		return new DownStreamError('origin-refused', problem, {cause: error, needs: 'trust'});
	}

	if (code === 'HEADERS_TOO_LARGE') {
		return new DownStreamError('origin-misbehaved', `${host} sent headers that are too large`, {
			cause: error,
		});
	}

	if (code === 'NOT_HTTP') {
		return new DownStreamError('origin-misbehaved', `${host} sent an invalid HTTP response`, {
			cause: error,
		});
	}

	return new DownStreamError(
		'origin-unreachable',
		`${host}: ${unreachable[code.startsWith('ERR_SSL_') ? 'EPROTO' : code] ?? `connection failed (${code})`}`,
		{
			cause: error,
		},
	);
}
