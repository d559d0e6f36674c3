// Errors of connections and responses.

/** The fault of a connection or a response. */
export type HttpErrorCode =
	| 'CONNECTION_CLOSED'
	| 'CONNECT_TIMEOUT'
	| 'HEADERS_TIMEOUT'
	| 'BODY_TIMEOUT'
	| 'HEADERS_TOO_LARGE'
	| 'NOT_HTTP';

export class HttpError extends Error {
	readonly code: HttpErrorCode;

	constructor(code: HttpErrorCode, message: string, options?: ErrorOptions) {
		super(message, options);
		this.code = code;
	}
}

/** Node's codes for failed X.509 verification. */
const certificateCodes =
	/^(?:CERT_|CRL_|DEPTH_ZERO_SELF_SIGNED_CERT|ERROR_IN_C|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|SELF_SIGNED_CERT|UNABLE_TO_|UNSPECIFIED)/;

/** Returns a sentence if the certificate is not trusted, which a retry cannot fix, and undefined for other errors. */
export function certificateProblem(error: unknown, owner: string): string | undefined {
	const {code} = error as NodeJS.ErrnoException;
	return code !== undefined && certificateCodes.test(code)
		? `The certificate of ${owner} is not trusted (${code})`
		: undefined;
}
