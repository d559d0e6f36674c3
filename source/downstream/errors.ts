// The errors of the engine: of a command, and of a download.

/** The kind decides the reaction: retry, stop, or blame the caller. */
export const errorKinds = {
	'origin-unreachable': 'transient',
	'origin-busy': 'transient',
	'origin-truncated': 'transient',
	'upstream-proxy-unreachable': 'transient',
	'origin-refused': 'fatal',
	'origin-sent-page': 'fatal',
	'origin-changed': 'fatal',
	'origin-misbehaved': 'fatal',
	'upstream-proxy-refused': 'fatal',
	'disk-full': 'fatal',
	'disk-failed': 'fatal',
	'checksum-mismatch': 'fatal',
	'bad-request': 'usage',
	'not-found': 'usage',
	incomplete: 'usage',
	'target-exists': 'usage',
	'storage-locked': 'usage',
	'port-taken': 'usage',
	'no-player': 'usage',
} as const;

export type ErrorCode = keyof typeof errorKinds;
export type ErrorKind = (typeof errorKinds)[ErrorCode];

/**
 * True if a new link may help: the server refuses the current one with the status of an expired link (401, 403, 404 or
 * 410), or sends a login page instead of the file.
 */
export function hasExpired({code, status = 0}: Pick<DownloadError, 'code' | 'status'>): boolean {
	return code === 'origin-sent-page' || (code === 'origin-refused' && [401, 403, 404, 410].includes(status));
}

/** The only class of errors that leaves the engine. The message is one plain sentence without secrets. */
export class DownStreamError extends Error {
	override readonly name = 'DownStreamError';
	readonly code: ErrorCode;
	/** HTTP status of the response of the origin or the upstream proxy, if there was one. */
	readonly status: number | undefined;
	/** For `origin-busy`: the delay in milliseconds that the origin requested (RFC 9110 section 10.2.3). */
	readonly retryAfterMs: number | undefined;
	/** For `origin-changed`: samples of the stored bytes match the server's file. */
	readonly bytesAgree: boolean;
	/** User input that would resolve the error, if there is any. */
	readonly needs: Remedy | undefined;
	readonly #kind: ErrorKind;

	constructor(
		code: ErrorCode,
		message: string,
		options: {
			cause?: unknown;
			status?: number | undefined;
			retryAfterMs?: number | undefined;
			bytesAgree?: boolean;
			needs?: Remedy | undefined;
			/** Another kind than that of the code. */
			kind?: ErrorKind;
		} = {},
	) {
		super(message, options.cause === undefined ? undefined : {cause: options.cause});
		this.code = code;
		this.status = options.status;
		this.retryAfterMs = options.retryAfterMs;
		this.bytesAgree = options.bytesAgree ?? false;
		this.needs = options.needs;
		this.#kind = options.kind ?? errorKinds[code];
	}

	get kind(): ErrorKind {
		return this.#kind;
	}
}

export type DownloadError = {
	readonly code: ErrorCode;
	/** One plain sentence without secrets. */
	readonly message: string;
	/** Milliseconds since the epoch. */
	readonly at: number;
	/** Consecutive failed attempts. */
	readonly tries?: number | undefined;
	/** Time of the first of them, in milliseconds since the epoch. */
	readonly since?: number | undefined;
	/** The limit on attempts, in records of earlier versions. */
	readonly maxTries?: number;
	/** For `origin-changed`: samples of the stored bytes match the server's file, so `acceptChange` may succeed. */
	readonly bytesAgree?: boolean;
	/** HTTP status of the response of the origin or the upstream proxy, if there was one. */
	readonly status?: number;
	/** User input that would resolve the error. */
	readonly needs?: Remedy;
};

/**
 * User input that resolves an error. Clients say how to give it.
 * - `password`: a user name and a password
 * - `token`: a bearer token (RFC 6750)
 * - `other-login`: a login of another scheme
 * - `trust`: trust in a certificate
 */
export const remedies = ['password', 'token', 'other-login', 'trust'] as const;

export type Remedy = (typeof remedies)[number];
