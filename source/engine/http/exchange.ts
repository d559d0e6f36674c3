// One request and its response.
import {ResponseParser} from './response-parser.ts';
import {HttpError} from './errors.ts';
import type {HttpResponse, HttpRequest, HttpTimeouts} from './client.ts';
import type {HttpConnection, Coalescing} from './connection.ts';

/** Small pieces are coalesced, because each take costs as much as its bytes. */
const coalescing: Readonly<Record<'usual' | 'background', Coalescing>> = {
	usual: {bytes: 512 * 1024, milliseconds: 2, restMs: 0},
	background: {bytes: 1024 * 1024, milliseconds: 100, restMs: 50},
};

type HttpExchangeOptions = {
	readonly connection: HttpConnection;
	readonly request: HttpRequest;
	readonly timeouts: HttpTimeouts;
	/** Called once, when the response is closed. `connectionIsFree` tells whether the connection can be reused. */
	readonly onClose: (connectionIsFree: boolean) => void;
};

export class HttpExchange implements HttpResponse {
	readonly #options: HttpExchangeOptions;
	readonly #parser = new ResponseParser();
	/** Body bytes received but not yet read. */
	#body: Uint8Array | undefined;
	/** True from the arrival of the head until `close`. */
	#isOpen = false;

	/** Resolves when the response's head has arrived. After a rejection, the connection is unusable. */
	static async begin(options: HttpExchangeOptions): Promise<HttpExchange> {
		const {connection, request, timeouts} = options;
		const exchange = new HttpExchange(options);
		request.signal.throwIfAborted();
		request.signal.addEventListener('abort', exchange.#abort);
		try {
			connection.send(requestText(request));
			const deadline = performance.now() + (request.responseTimeout ?? timeouts.headers);
			while (!exchange.#parser.head) {
				await exchange.#receive(
					deadline - performance.now(),
					() => new HttpError('HEADERS_TIMEOUT', 'No response in time'),
				);
			}

			exchange.#isOpen = true;
			return exchange;
		} catch (error) {
			request.signal.removeEventListener('abort', exchange.#abort);
			throw error;
		}
	}

	private constructor(options: HttpExchangeOptions) {
		this.#options = options;
	}

	get status(): number {
		return this.#parser.head!.status;
	}

	get headers(): ReadonlyMap<string, string> {
		return this.#parser.head!.headers;
	}

	get endIsProven(): boolean {
		return this.#parser.endIsProven;
	}

	async read(): Promise<Uint8Array | undefined> {
		while (!this.#body?.length) {
			if (this.#parser.isDone) {
				return undefined;
			}

			await this.#receive(
				this.#options.timeouts.body,
				() => new HttpError('BODY_TIMEOUT', 'No more bytes in time'),
			);
		}

		const bytes = this.#body;
		this.#body = undefined;
		return bytes;
	}

	close(): void {
		if (this.#isOpen) {
			this.#isOpen = false;
			this.#options.request.signal.removeEventListener('abort', this.#abort);
			this.#options.onClose(this.#parser.isKeepAlive);
		}
	}

	async #receive(timeout: number, timedOut: () => Error): Promise<void> {
		const bytes = await this.#options.connection.take(timeout, timedOut, this.#coalescing);
		if (bytes) {
			this.#body = this.#parser.push(bytes);
		} else {
			this.#parser.end();
		}
	}

	readonly #coalescing = (): Coalescing => {
		const chosen = coalescing[this.#options.request.isBackground?.() ? 'background' : 'usual'];
		return {...chosen, bytes: Math.min(this.#parser.remainingBody, chosen.bytes)};
	};

	readonly #abort = () => {
		const {connection, request} = this.#options;
		connection.destroy(request.signal.reason);
		// There may be no reader to close the response.
		this.close();
	};
}

function requestText({url, target = url.pathname + url.search, headers}: HttpRequest): string {
	const fields = Object.entries({Host: url.host, Connection: 'keep-alive', ...headers});
	const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
	return `GET ${target} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
