// One direct connection to an origin: requests one after the other, the bytes of the answers in large blocks.
import {connect, isIP, type Socket, type TcpNetConnectOpts} from 'node:net';
import {connect as connectTls, type ConnectionOptions} from 'node:tls';
import {blockSizes, retain, allocate, release} from '../memory/buffers.ts';
import {HttpError} from './errors.ts';

/** A read gets at least so much room. */
const minReadSize = 64 * 1024;
/** Bytes at the beginning of an answer of which none is waited with. */
const eagerBytes = 64 * 1024;
/** Bytes per millisecond (25 MiB a second) of a connection that is worth larger blocks. */
const fastRate = (25 * 1024 * 1024) / 1000;

/** What is waited for: so many bytes, or what comes within so many milliseconds of the first of them. */
export type Coalescing = {readonly bytes: number; readonly milliseconds: number};

type Waiter = {resolve(): void; reject(error: unknown): void};

export class HttpConnection {
	readonly #socket: Socket;
	/** Reads of the socket follow each other in it until it is full. */
	#block = allocate(blockSizes.usual);
	/** When it became the one that is read into, in milliseconds of `performance.now()`. */
	#blockSince = performance.now();
	/** So many in a row were filled fast: where a limit holds, the first one is, and the next is waited with. */
	#fastBlocks = 0;
	/** In the block: where the next read goes, and where what was not taken yet begins. */
	#filled = 0;
	#taken = 0;
	/** What was not taken yet of earlier blocks. */
	readonly #full: Uint8Array[] = [];
	/** What was taken last. */
	#borrowed: Uint8Array | undefined;
	#bytesWaiting = 0;
	#isPaused = false;
	#hasEnded = false;
	#failure: {readonly error: unknown} | undefined;
	#waiter: Waiter | undefined;
	#wakeSoon: NodeJS.Immediate | undefined;
	#wakeLater: NodeJS.Timeout | undefined;
	#session: Buffer | undefined;
	#requests = 0;
	/** Bytes that came after the last request. */
	#answered = 0;
	#coalescing: Coalescing = {bytes: 0, milliseconds: 0};

	/** Resolves once requests can be sent; rejects with `HttpError` or the system's error, or the signal's reason. */
	static async open(
		url: URL,
		options: {readonly tls: ConnectionOptions; readonly timeout: number; readonly signal: AbortSignal},
	): Promise<HttpConnection> {
		const {tls, timeout, signal} = options;
		signal.throwIfAborted();
		const connection = new HttpConnection(url, tls);
		const abort = () => connection.destroy(signal.reason);
		signal.addEventListener('abort', abort);
		try {
			await connection.#wait(timeout, () => new HttpError('CONNECT_TIMEOUT', 'No connection in time'));
			return connection;
		} catch (error) {
			connection.destroy(error);
			throw error;
		} finally {
			signal.removeEventListener('abort', abort);
		}
	}

	private constructor({protocol, hostname, port}: URL, tls: ConnectionOptions) {
		const host = hostname.replace(/^\[|\]$/g, '');
		const options: TcpNetConnectOpts = {
			host,
			port: Number(port) || (protocol === 'https:' ? 443 : 80),
			noDelay: true,
			keepAlive: true,
			onread: {
				buffer: () => this.#block.subarray(this.#filled),
				callback: length => this.#arrived(length),
			},
		};
		this.#socket =
			protocol === 'https:'
				? connectTls({...options, ALPNProtocols: ['http/1.1'], servername: isIP(host) ? '' : host, ...tls})
				: connect(options);
		this.#socket
			.once(protocol === 'https:' ? 'secureConnect' : 'connect', () => {
				this.#socket.on('end', () => this.#end());
				this.#wake();
			})
			.on('session', (session: Buffer) => {
				this.#session = session;
			})
			.on('error', error => this.#fail(error))
			.on('close', () => {
				if (!this.#hasEnded) {
					this.#fail(new HttpError('CONNECTION_CLOSED', 'The connection was closed'));
				}
			});
	}

	/** It can take a request: the origin has neither closed it nor said anything unasked. */
	get isUsable(): boolean {
		return !this.#hasEnded && !this.#failure && this.#bytesWaiting === 0;
	}

	/** It served a request before, and ended without a word to this one (RFC 9112 section 9.3.1). */
	get endedWhenUsedAgain(): boolean {
		return this.#requests > 1 && this.#answered === 0 && (this.#hasEnded || this.#failure !== undefined);
	}

	/** Of TLS: the next connection to the same origin begins by it with one round trip less. */
	get session(): Buffer | undefined {
		return this.#session;
	}

	/** Of the other side; empty once the connection is closed. */
	get address(): string {
		return this.#socket.remoteAddress ?? '';
	}

	send(text: string): void {
		this.#requests++;
		this.#answered = 0;
		this.#socket.write(text, 'latin1');
	}

	/**
	 * What came, in order, or undefined at the end of the connection. The bytes are good until the next call, and as long
	 * as somebody else holds their block. Of what comes after the first 64 KiB of an answer, small pieces are waited with as
	 * `together` says. Rejects after `timeout` ms of silence with what `timedOut` gives, and with whatever ended the
	 * connection if it was no clean end.
	 */
	async take(
		timeout: number,
		timedOut: () => Error,
		coalescing: Coalescing,
	): Promise<Uint8Array | undefined> {
		this.#coalescing = coalescing;
		if (this.#borrowed) {
			release(this.#borrowed);
			this.#borrowed = undefined;
		}

		while (this.#bytesWaiting === 0) {
			if (this.#failure) {
				throw this.#failure.error;
			}

			if (this.#hasEnded) {
				return undefined;
			}

			await this.#wait(timeout, timedOut);
		}

		let bytes = this.#full.shift();
		if (!bytes) {
			bytes = this.#block.subarray(this.#taken, this.#filled);
			this.#taken = this.#filled;
			retain(bytes);
		}

		this.#borrowed = bytes;
		this.#bytesWaiting -= bytes.length;
		if (this.#isPaused && this.#bytesWaiting < this.#block.length) {
			this.#isPaused = false;
			this.#socket.resume();
		}

		return bytes;
	}

	/** What waits to be taken is dropped. */
	destroy(reason: unknown): void {
		this.#full.length = 0;
		this.#taken = this.#filled;
		this.#bytesWaiting = 0;
		this.#fail(reason);
		this.#socket.destroy();
	}

	/** Returns false to have no more read. TLS gives what it has decrypted all the same, so there is always room. */
	#arrived(length: number): boolean {
		this.#answered += length;
		this.#filled += length;
		this.#bytesWaiting += length;
		if (this.#block.length - this.#filled < minReadSize) {
			const now = performance.now();
			const isFast = this.#filled >= fastRate * (now - this.#blockSince);
			this.#fastBlocks = isFast ? this.#fastBlocks + 1 : 0;
			this.#blockSince = now;
			if (this.#taken < this.#filled) {
				retain(this.#block);
				this.#full.push(this.#block.subarray(this.#taken, this.#filled));
			}

			release(this.#block);
			this.#block = allocate(this.#fastBlocks > 1 ? blockSizes.fast : blockSizes.usual);
			this.#filled = 0;
			this.#taken = 0;
		}

		// No more is read while a block of bytes waits to be taken.
		this.#isPaused ||= this.#bytesWaiting >= this.#block.length;
		if (this.#isPaused) {
			this.#wake();
		} else if (this.#bytesWaiting >= this.#coalescing.bytes || this.#answered < eagerBytes) {
			// TLS gives its records one by one, of which many come at a time.
			this.#wakeSoon ??= setImmediate(() => this.#wake());
		} else {
			this.#wakeLater ??= setTimeout(() => this.#wake(), this.#coalescing.milliseconds);
		}

		return !this.#isPaused;
	}

	#end(): void {
		this.#hasEnded = true;
		this.#wake();
	}

	#fail(error: unknown): void {
		this.#failure ??= {error};
		this.#waiter?.reject(this.#failure.error);
	}

	#wake(): void {
		clearImmediate(this.#wakeSoon);
		this.#wakeSoon = undefined;
		clearTimeout(this.#wakeLater);
		this.#wakeLater = undefined;
		this.#waiter?.resolve();
	}

	/** Until something happens. */
	async #wait(timeout: number, timedOut: () => Error): Promise<void> {
		let timer: NodeJS.Timeout | undefined;
		try {
			await new Promise<void>((resolve, reject) => {
				this.#waiter = {resolve, reject};
				timer = setTimeout(() => reject(timedOut()), timeout);
			});
		} finally {
			clearTimeout(timer);
			this.#waiter = undefined;
		}
	}
}
