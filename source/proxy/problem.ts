// Errors as HTTP responses: problem details (RFC 9457) with one plain sentence.
import {STATUS_CODES, type OutgoingHttpHeaders, type ServerResponse} from 'node:http';
import {DownStreamError, type ErrorCode, type Remedy} from '../downstream.ts';
import {safeJson} from '../text/escape-controls.ts';

/** An error response. The message contains no secrets. */
export class Problem extends Error {
	override readonly name = 'Problem';
	readonly status: number;
	readonly headers: OutgoingHttpHeaders;
	readonly code: ErrorCode | undefined;
	readonly needs: Remedy | undefined;

	constructor(
		status: number,
		detail: string,
		headers: OutgoingHttpHeaders = {},
		{code, needs}: {readonly code?: ErrorCode; readonly needs?: Remedy | undefined} = {},
	) {
		super(detail);
		this.status = status;
		this.headers = headers;
		this.code = code;
		this.needs = needs;
	}

	static from(error: unknown): Problem {
		if (error instanceof Problem) {
			return error;
		}

		if (!(error instanceof DownStreamError)) {
			return new Problem(500, 'The proxy failed to respond.');
		}

		const {message, retryAfterMs} = error;
		const headers = retryAfterMs === undefined ? {} : {'retry-after': `${Math.ceil(retryAfterMs / 1000)}`};
		return new Problem(statusFor(error), message, headers, error);
	}

	/** The response's headers must not have been sent. */
	send(response: ServerResponse): void {
		const {status, code, needs, message: detail} = this;
		const title = STATUS_CODES[status];
		const body = safeJson({type: 'about:blank', title, status, detail, code, needs});
		response.writeHead(status, {
			'content-type': 'application/problem+json',
			'content-length': Buffer.byteLength(body),
			'cache-control': 'no-store',
			...this.headers,
		});
		response.end(body);
	}
}

/** Statuses that mean the same to a player whether the origin or the proxy sends them. */
const passedThrough = new Set<number | undefined>([401, 403, 404, 410]);

function statusFor({code, status}: DownStreamError): number {
	return code === 'origin-refused' && passedThrough.has(status) ? status! : statusOf[code];
}

/** The proxy is a gateway (RFC 9110 section 15.6.3): failures of the origin map to 502, 503 or 504. */
const statusOf: Readonly<Record<ErrorCode, number>> = {
	'origin-unreachable': 504,
	'origin-busy': 503,
	'origin-truncated': 502,
	'upstream-proxy-unreachable': 504,
	'origin-refused': 502,
	'origin-sent-page': 502,
	'origin-changed': 502,
	'origin-misbehaved': 502,
	'upstream-proxy-refused': 502,
	'disk-full': 507,
	'disk-failed': 500,
	'checksum-mismatch': 502,
	'bad-request': 400,
	'not-found': 404,
	incomplete: 409,
	'target-exists': 409,
	'storage-locked': 503,
	'port-taken': 409,
	'no-player': 409,
};
