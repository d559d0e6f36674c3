// One request on a connection, and its answer.
import {ResponseParser} from './response-parser.ts';
import {HttpError} from './errors.ts';
import type {HttpResponse, HttpRequest, HttpTimeouts} from './client.ts';
import type {HttpConnection, Coalescing} from './connection.ts';

/**
 * What comes in small pieces is taken together, since each take costs as much as its bytes: so many bytes, or what came
 * within so many milliseconds.
 */
const coalescing: Readonly<Record<'usual' | 'background', Coalescing>> = {
	usual: {bytes: 512 * 1024, milliseconds: 2},
	background: {bytes: 1024 * 1024, milliseconds: 25},
};

export type HttpExchangeOptions = {
	readonly connection: HttpConnection;
	readonly request: HttpRequest;
	readonly timeouts: HttpTimeouts;
	/** Told once when the answer is closed, with whether another request may follow on the connection. */
	readonly onClose: (connectionIsFree: boolean) => void;
};

export class HttpExchange implements HttpResponse {
	readonly #options: HttpExchangeOptions;
	readonly #parser = new ResponseParser();
	/** Of the body: what has come and was not read yet. */
	#body: Uint8Array | undefined;
	/** Its head has come, and it was not closed yet. */
	#isOpen = false;

	/** Resolves with the answer as soon as its head is there. What it rejects with, it leaves the connection unusable. */
	static async begin(options: HttpExchangeOptions): Promise<HttpExchange> {
		const {connection, request, timeouts} = options;
		const exchange = new HttpExchange(options);
		request.signal.throwIfAborted();
		request.signal.addEventListener('abort', exchange.#abort);
		try {
			connection.send(textOf(request));
			const deadline = performance.now() + (request.answerTimeout ?? timeouts.headers);
			while (!exchange.#parser.head) {
				await exchange.#receive(
					deadline - performance.now(),
					() => new HttpError('HEADERS_TIMEOUT', 'No answer in time'),
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
		const {connection, request} = this.#options;
		const {bytes: most, milliseconds} = coalescing[request.isBackground?.() ? 'background' : 'usual'];
		const bytes = await connection.take(timeout, timedOut, {
			bytes: Math.min(this.#parser.remainingBody, most),
			milliseconds,
		});
		if (bytes) {
			this.#body = this.#parser.push(bytes);
		} else {
			this.#parser.end();
		}
	}

	readonly #abort = () => {
		const {connection, request} = this.#options;
		connection.destroy(request.signal.reason);
		// Nobody may be reading.
		this.close();
	};
}

function textOf({url, target = url.pathname + url.search, headers}: HttpRequest): string {
	const fields = Object.entries({Host: url.host, Connection: 'keep-alive', ...headers});
	const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
	return `GET ${target} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
