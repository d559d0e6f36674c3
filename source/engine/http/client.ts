// The HTTP/1.1 client interface: GET over persistent connections, with the body read piece by piece.
import type {ResponseHead} from './response-parser.ts';

export type HttpRequest = {
	readonly url: URL;
	/** In the request line, in place of path and query (RFC 9112 section 3.2). */
	readonly target?: string;
	/** Keyed by lower-case name. The client adds the headers that belong to the connection. */
	readonly headers: Readonly<Record<string, string>>;
	/** Returns true while no reader waits for the body, which may then arrive in larger pieces. */
	readonly isBackground?: (() => boolean) | undefined;
	/** Milliseconds to wait for the response's headers. Overrides the client's timeout. */
	readonly responseTimeout?: number | undefined;
	/** Receives the peer's address of a direct connection before the request is sent; throws to prevent the request. */
	readonly approve?: (address: string) => void;
	readonly signal: AbortSignal;
};

export type HttpResponse = ResponseHead & {
	/**
	 * Returns the next bytes of the body, or undefined at its end. The bytes stay valid until the next call, and while
	 * another holder retains their block (`buffers.ts`). Rejects with the signal's reason, or if the connection fails
	 * or closes before the end of the body; a body delimited by close cannot end early.
	 */
	read(): Promise<Uint8Array | undefined>;
	/**
	 * True if a Content-Length or a last chunk proves that the body is complete; false if only the close of the
	 * connection ends it. If a Content-Length accompanies chunks, this is known only after the body was read.
	 */
	readonly endIsProven: boolean;
	/**
	 * Must be called once the response is no longer needed. Closes the connection unless the body was read completely.
	 */
	close(): void;
};

/** Rejects with `HttpError`, system and TLS errors, or `DownStreamError`. */
export interface HttpClient {
	/** Rejects with the signal's reason on abort. The signal applies until the response is closed. */
	get(request: HttpRequest): Promise<HttpResponse>;
	/** Tries to open a connection to the URL's origin for the next request. Failures are not reported. */
	preconnect?(url: URL): void;
	/** Closes all idle connections. */
	closeIdle?(): void;
	dispose(): Promise<void>;
}

export type HttpTimeouts = {
	/** Milliseconds to wait for a connection, for the response's headers, and between bytes of its body. */
	readonly connect: number;
	readonly headers: number;
	readonly body: number;
};

export type HttpClientOptions = {
	/** Per origin. */
	readonly connections: number;
	readonly tls: TlsOptions;
	readonly timeouts: HttpTimeouts;
	/** The spelling of header names on the wire, keyed by lower-case name. */
	readonly headerNames?: ReadonlyMap<string, string>;
};

export type TlsOptions = {
	/** PEM certificates to trust in addition to the built-in ones. */
	readonly ca?: string;
	/** Accepts any certificate. */
	readonly insecure?: boolean;
};
