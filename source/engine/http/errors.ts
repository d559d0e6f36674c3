// Errors of connections and responses.
/** What was wrong with a connection or an answer. */
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

/** What Node calls the results of X.509 verification. */
const certificateCodes =
	/^(?:CERT_|CRL_|DEPTH_ZERO_SELF_SIGNED_CERT|ERROR_IN_C|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|SELF_SIGNED_CERT|UNABLE_TO_|UNSPECIFIED)/;

/** One sentence if the error is that a certificate is not trusted: a new try does not mend that, the user must. */
export function certificateProblem(error: unknown, whose: string): string | undefined {
	const {code} = error as NodeJS.ErrnoException;
	return code !== undefined && certificateCodes.test(code)
		? `The certificate of ${whose} is not trusted (${code})`
		: undefined;
}
