// One direct connection to an origin. Requests are sequential; received bytes are collected in large blocks.
import {connect, isIP, type Socket, type TcpNetConnectOpts} from 'node:net';
import type {ConnectionOptions, connect as connectTls} from 'node:tls';
import {blockSizes, largestBlock, retain, allocate, release} from '../memory/buffers.ts';
import {HttpError} from './errors.ts';

/** Minimum room for a read: bytes, or a part of the block. A record of TLS takes 16 KiB. */
const minRoom = {bytes: 64 * 1024, part: 0.25};
/** The first bytes of a response are passed on without delay. */
const eagerBytes = 64 * 1024;
/** Bytes per millisecond (25 MiB/s) from which a connection uses larger blocks. */
const fastRate = (25 * 1024 * 1024) / 1000;
/** Bytes per millisecond (2 MiB/s): from here on more than a usual block may arrive between two deliveries. */
const steadyRate = (2 * 1024 * 1024) / 1000;
/**
 * Bytes that may accumulate in the socket between two reads. Systems widen the receive window of a connection that is read in
 * large pieces. Where it is fixed, the origin would wait: `least` is half of the window that a connection begins with.
 */
const gathered = {least: 32 * 1024, most: 256 * 1024};
/** Rests that yield less than this part of the rate without rests, after this many milliseconds, slow a connection down. */
const slowed = {rate: 0.7, milliseconds: 500};

/**
 * Delays the delivery of small pieces until `bytes` have arrived, a block is full, or `milliseconds` after the first of
 * them. A slow connection is not read for up to `restMs` after each read, so that its bytes accumulate in the socket.
 */
export type Coalescing = {readonly bytes: number; readonly milliseconds: number; readonly restMs: number};

const noCoalescing: Coalescing = {bytes: 0, milliseconds: 0, restMs: 0};

type Waiter = {resolve(): void; reject(error: unknown): void};

/** Open connections of this process, which share the memory for blocks. */
let openConnections = 0;

export class HttpConnection {
	readonly #socket: Socket;
	/** Successive socket reads fill this block. */
	#block = allocate(Math.min(blockSizes.usual, largestBlock(++openConnections)));
	#isCounted = true;
	/** The rate is measured from this time (by `performance.now()`) and offset in the current block on. */
	#rateSince = performance.now();
	#rateFrom = 0;
	/**
	 * The last block that was read without rests, the first of a response among them: its bytes per millisecond, and when and
	 * with which byte it ended. Later only the start of the comparison moves.
	 */
	#unrested: {readonly rate: number; readonly until: number; readonly received: number} | undefined;
	#maxGathered = gathered.most;
	/** Bytes per millisecond with rests that may have slowed the connection down. */
	#suspectRate = Infinity;
	/** Milliseconds between two reads while no reader waits. */
	#restMs = 0;
	/** While no byte is read. */
	#rest: NodeJS.Timeout | undefined;
	/** Consecutive blocks filled at full speed. A rate limit lets the first through, so one proves nothing. */
	#fastBlocks = 0;
	/** Offsets in the current block: the end of the received bytes, and the start of those not yet taken. */
	#filled = 0;
	#taken = 0;
	/** The bytes of earlier blocks that were not yet taken. */
	readonly #full: Uint8Array[] = [];
	/** The bytes returned by the last `take`. */
	#borrowed: Uint8Array | undefined;
	#untakenBytes = 0;
	#isPaused = false;
	#hasEnded = false;
	#failure: {readonly error: unknown} | undefined;
	#waiter: Waiter | undefined;
	#wakeSoon: NodeJS.Immediate | undefined;
	#wakeLater: NodeJS.Timeout | undefined;
	#wakeLaterMs = 0;
	#session: Buffer | undefined;
	#requests = 0;
	/** Bytes received since the last request. */
	#receivedSinceRequest = 0;
	#coalescing = () => noCoalescing;

	/**
	 * Resolves when the connection can send requests. Rejects with `HttpError`, a system error, or the signal's reason.
	 */
	static async open(
		url: URL,
		options: {readonly tls: ConnectionOptions; readonly timeout: number; readonly signal: AbortSignal},
	): Promise<HttpConnection> {
		const {tls, timeout, signal} = options;
		signal.throwIfAborted();
		// Loaded on demand: it takes 18 ms on Node 24.
		const secure = url.protocol === 'https:' ? (await import('node:tls')).connect : undefined;
		signal.throwIfAborted();
		const connection = new HttpConnection(url, tls, secure);
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

	private constructor(
		{protocol, hostname, port}: URL,
		tls: ConnectionOptions,
		secure: typeof connectTls | undefined,
	) {
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
		this.#socket = secure
			? secure({...options, ALPNProtocols: ['http/1.1'], servername: isIP(host) ? '' : host, ...tls})
			: connect(options);
		this.#socket
			.once(secure ? 'secureConnect' : 'connect', () => {
				this.#socket.on('end', () => this.#end());
				this.#wake();
			})
			.on('session', (session: Buffer) => {
				this.#session = session;
			})
			.on('error', error => this.#fail(error))
			.on('close', () => {
				this.#uncount();
				if (!this.#hasEnded) {
					this.#fail(new HttpError('CONNECTION_CLOSED', 'The connection was closed'));
				}
			});
	}

	/** True if the origin has neither closed the connection nor sent unsolicited bytes. */
	get isUsable(): boolean {
		return !this.#hasEnded && !this.#failure && this.#untakenBytes === 0;
	}

	/** True if a reused connection ended without responding to its last request (RFC 9112 section 9.3.1). */
	get failedOnReuse(): boolean {
		return (
			this.#requests > 1 &&
			this.#receivedSinceRequest === 0 &&
			(this.#hasEnded || this.#failure !== undefined)
		);
	}

	/** The TLS session, which saves the next connection to the origin a round trip. */
	get session(): Buffer | undefined {
		return this.#session;
	}

	/** The peer's address; empty after the connection was closed. */
	get address(): string {
		return this.#socket.remoteAddress ?? '';
	}

	send(text: string): void {
		this.#requests++;
		this.#receivedSinceRequest = 0;
		this.#unrested = undefined;
		this.#maxGathered = gathered.most;
		this.#suspectRate = Infinity;
		this.#measureFrom(this.#filled);
		this.#socket.write(text, 'latin1');
	}

	/**
	 * Returns received bytes in order, or undefined at the end of the connection. The bytes stay valid until the next
	 * call, and while another holder retains their block. After the first 64 KiB of a response, small pieces are
	 * delayed as `coalescing` says at each read. Rejects with `timedOut()` after `timeout` ms of silence, and with the error if the
	 * connection did not end cleanly.
	 */
	async take(
		timeout: number,
		timedOut: () => Error,
		coalescing: () => Coalescing,
	): Promise<Uint8Array | undefined> {
		this.#coalescing = coalescing;
		if (this.#borrowed) {
			release(this.#borrowed);
			this.#borrowed = undefined;
		}

		while (this.#untakenBytes === 0) {
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
		this.#untakenBytes -= bytes.length;
		if (this.#isPaused && this.#untakenBytes < this.#block.length) {
			this.#isPaused = false;
			this.#socket.resume();
		}

		return bytes;
	}

	/** Discards the bytes not yet taken. */
	destroy(reason: unknown): void {
		this.#full.length = 0;
		this.#taken = this.#filled;
		this.#untakenBytes = 0;
		clearTimeout(this.#rest);
		this.#fail(reason);
		this.#socket.destroy();
		this.#uncount();
	}

	#uncount(): void {
		openConnections -= Number(this.#isCounted);
		this.#isCounted = false;
	}

	/**
	 * Returns false to pause reading. TLS delivers already decrypted bytes regardless, so there is always room left.
	 */
	#arrived(length: number): boolean {
		this.#receivedSinceRequest += length;
		this.#filled += length;
		this.#untakenBytes += length;
		if (this.#block.length - this.#filled < Math.min(minRoom.bytes, this.#block.length * minRoom.part)) {
			const rate = (this.#filled - this.#rateFrom) / (performance.now() - this.#rateSince);
			const isFast = rate >= fastRate;
			this.#fastBlocks = isFast ? this.#fastBlocks + 1 : 0;
			this.#measureFrom(0);
			this.#restMs = isFast ? 0 : Math.floor(this.#mayGather(rate) / rate);
			if (this.#taken < this.#filled) {
				retain(this.#block);
				this.#full.push(this.#block.subarray(this.#taken, this.#filled));
			}

			release(this.#block);
			this.#block = allocate(Math.min(this.#blockSizeAt(rate), largestBlock(openConnections)));
			this.#filled = 0;
			this.#taken = 0;
		}

		// Backpressure: reading pauses while a block's worth of bytes waits to be taken.
		this.#isPaused ||= this.#untakenBytes >= this.#block.length;
		if (this.#isPaused) {
			this.#wake();
		} else {
			this.#coalesce(this.#coalescing());
		}

		return !this.#isPaused && !this.#rest;
	}

	#coalesce(coalescing: Coalescing): void {
		const {bytes, milliseconds, restMs} = coalescing;
		// A player has begun to wait.
		const isHurried = this.#wakeLater !== undefined && milliseconds < this.#wakeLaterMs;
		const isEnough = this.#untakenBytes >= bytes || this.#full.length > 0;
		if (isEnough || isHurried || this.#receivedSinceRequest < eagerBytes) {
			// TLS emits its records one by one, but many of them arrive together.
			this.#wakeSoon ??= setImmediate(() => this.#wake());
		} else {
			this.#wakeLaterMs = milliseconds;
			this.#wakeLater ??= setTimeout(() => this.#wake(), milliseconds);
			this.#restFor(Math.min(this.#restMs, restMs), bytes);
		}
	}

	/** Each read of a small piece costs more than its bytes. The end of a body is not delayed. */
	#restFor(milliseconds: number, bytes: number): void {
		if (milliseconds > 0 && this.#untakenBytes + this.#maxGathered < bytes) {
			this.#rest ??= setTimeout(
				() => {
					this.#rest = undefined;
					if (!this.#isPaused) {
						this.#socket.resume();
					}
				},
				untilTick(milliseconds, performance.now()),
			);
		}
	}

	#blockSizeAt(rate: number): number {
		if (this.#fastBlocks > 1) {
			return blockSizes.fast;
		}

		return rate >= steadyRate && this.#coalescing().restMs > 0 ? blockSizes.resting : blockSizes.usual;
	}

	/** Bytes that may accumulate before the next read, at the rate of the block that is now full. */
	#mayGather(rate: number): number {
		if (this.#maxGathered === 0) {
			return 0;
		}

		const now = this.#rateSince;
		const received = this.#receivedSinceRequest;
		if (!this.#unrested) {
			this.#unrested = {rate, until: now, received};
			if (this.#suspectRate < slowed.rate * rate) {
				// Some origins keep so little in flight that they wait for each read.
				this.#maxGathered = 0;
			}
		}

		const {rate: full, until, received: before} = this.#unrested;
		const elapsed = now - until;
		const rested = (received - before) / elapsed;
		if (elapsed > slowed.milliseconds && rested < slowed.rate * full) {
			if (this.#maxGathered === gathered.most) {
				this.#maxGathered = gathered.least;
				this.#unrested = {rate: full, until: now, received};
			} else {
				// The origin may have become slower. The next block is read without rests.
				this.#suspectRate = rested;
				this.#unrested = undefined;
				return 0;
			}
		}

		return this.#maxGathered;
	}

	#measureFrom(offset: number): void {
		this.#rateFrom = offset;
		this.#rateSince = performance.now();
		this.#restMs = 0;
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

	/** Resolves on the next event. */
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

/**
 * Milliseconds to the next multiple of `milliseconds`, at least half of it: connections of one rate are read together,
 * since each wake-up of the process costs as much as a read.
 */
function untilTick(milliseconds: number, now: number): number {
	const left = Math.ceil(milliseconds - (now % milliseconds));
	return left < milliseconds / 2 ? left + milliseconds : left;
}
