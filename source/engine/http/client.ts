// GET by HTTP/1.1 as the engine needs it: an answer whose body is read piece by piece, on connections that are kept.
import type {ResponseHead} from './response-parser.ts';

export type HttpRequest = {
	readonly url: URL;
	/** In the request line, in place of path and query (RFC 9112 section 3.2). */
	readonly target?: string;
	/** By names in lower case. Those that belong to the connection are the client's. */
	readonly headers: Readonly<Record<string, string>>;
	/** Whether nobody waits for the body now: it may come in large pieces then. */
	readonly isBackground?: (() => boolean) | undefined;
	/** Milliseconds to wait for the answer's headers, in place of the client's. */
	readonly answerTimeout?: number | undefined;
	/** Told where a direct connection leads to before anything is asked there; throws so that nothing is. */
	readonly approve?: (address: string) => void;
	readonly signal: AbortSignal;
};

export type HttpResponse = ResponseHead & {
	/**
	 * The next bytes of the body, or undefined once all of them were read. They are good until the next call, and as long
	 * as somebody else holds their block (`blocks.ts`). Rejects if the connection fails or ends too
	 * early (a body that ends by closing cannot end too early), or with the signal's reason.
	 */
	read(): Promise<Uint8Array | undefined>;
	/**
	 * Whether the end of the body proves that it is whole, by a length or a last chunk, and not by closing alone. Ask again
	 * once the body was read: only then it is known where a Content-Length came beside chunks.
	 */
	readonly endIsProven: boolean;
	/** To be called in the end. Closes the connection unless everything was read. */
	close(): void;
};

/** Its errors are `HttpError`, those of the system and of TLS, or `DownStreamError`. */
export interface HttpClient {
	/** Rejects with the signal's reason when that aborts; it holds until the answer is closed. */
	get(request: HttpRequest): Promise<HttpResponse>;
	/** Has a connection to the URL's origin ready for the next request, if it can; whether that works out is not told. */
	preconnect?(url: URL): void;
	/** Closes the connections that serve no request. */
	closeIdle?(): void;
	dispose(): Promise<void>;
}

export type HttpTimeouts = {
	/** Milliseconds to wait for a connection, for the answer's headers, and for more of its body. */
	readonly connect: number;
	readonly headers: number;
	readonly body: number;
};

export type HttpClientOptions = {
	/** To each origin. */
	readonly connections: number;
	readonly tls: TlsOptions;
	readonly timeouts: HttpTimeouts;
	/** By lower case, the names of headers as the user typed them, in which they are sent. */
	readonly headerNames?: ReadonlyMap<string, string>;
};

export type TlsOptions = {
	/** Certificates in PEM to trust besides the built-in ones. */
	readonly ca?: string;
	/** Trust any certificate. */
	readonly insecure?: boolean;
};
