// A small origin on loopback that serves a generated melody as WAV, about 100 MB or 9 minutes.
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {contentRange} from '../../engine/origin/content-range.ts';
import {requestedRanges} from '../../proxy/range-header.ts';

const sampleRate = 44_100;
/** Stereo, 16 bits. */
const frameBytes = 4;
export const soundBytesPerSecond = sampleRate * frameBytes;
const headerBytes = 44;
const noteFrames = sampleRate / 4;
/** Semitones above A3. A pentatonic scale sounds good in any order. */
const scale = [0, 3, 5, 7, 10, 12, 15, 17];
const melody = [
	0, 2, 4, 3, 5, 4, 2, 1, 0, 4, 6, 5, 7, 5, 3, 2, 4, 2, 1, 0, 3, 1, 2, 4, 5, 7, 6, 4, 3, 2, 1, 0,
];
const loops = 71;

export class DemoOrigin {
	/** The URL of the file. */
	readonly url: string;
	readonly #server: Server;
	readonly #header: Buffer;
	readonly #loop: Buffer;
	readonly #bytesPerSecond: number;

	/** `bytesPerSecond` limits each connection. */
	static async start({bytesPerSecond = 3 * 1024 * 1024} = {}): Promise<DemoOrigin> {
		const server = createServer();
		await once(server.listen(0, '127.0.0.1'), 'listening');
		return new DemoOrigin(server, bytesPerSecond);
	}

	private constructor(server: Server, bytesPerSecond: number) {
		this.#server = server;
		this.#bytesPerSecond = bytesPerSecond;
		this.#loop = melodyLoop();
		this.#header = wavHeader(this.#loop.length * loops);
		this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/demo-melody.wav`;
		server.on(
			'request',
			(request, response) => void this.#respond(request, response).catch(() => response.destroy()),
		);
	}

	get size(): number {
		return headerBytes + this.#loop.length * loops;
	}

	/** The hash of the whole file, computed locally. */
	sha256(): string {
		const hash = createHash('sha256').update(this.#header);
		for (let loop = 0; loop < loops; loop++) {
			hash.update(this.#loop);
		}

		return hash.digest('hex');
	}

	/** A copy of the bytes `[start, end)`. */
	bytes(start: number, end: number): Buffer {
		const bytes = Buffer.allocUnsafe(end - start);
		for (let done = 0; done < bytes.length;) {
			const position = start + done;
			const [from, offset] =
				position < headerBytes
					? [this.#header, position]
					: [this.#loop, (position - headerBytes) % this.#loop.length];
			done += from.copy(bytes, done, offset);
		}

		return bytes;
	}

	async close(): Promise<void> {
		const closed = once(this.#server, 'close');
		this.#server.close();
		this.#server.closeAllConnections();
		await closed;
	}

	async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const {size} = this;
		const headers = {
			'accept-ranges': 'bytes',
			'content-type': 'audio/wav',
			etag: `"melody-${size}"`,
			'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT',
		};
		if (request.url !== '/demo-melody.wav' || (request.method !== 'GET' && request.method !== 'HEAD')) {
			response.writeHead(404).end();
			return;
		}

		const ranges = request.method === 'GET' ? requestedRanges(request.headers.range, size) : undefined;
		if (ranges?.length === 0) {
			response.writeHead(416, {...headers, 'content-range': contentRange(undefined, size)}).end();
			return;
		}

		// A request for several ranges gets the whole file.
		const [range] = ranges?.length === 1 ? ranges : [];
		const {start, end} = range ?? {start: 0, end: size};
		response.writeHead(range ? 206 : 200, {
			...headers,
			...(range && {'content-range': contentRange(range, size)}),
			'content-length': end - start,
		});
		if (request.method === 'HEAD') {
			response.end();
			return;
		}

		await this.#send(response, start, end);
	}

	async #send(response: ServerResponse, start: number, end: number): Promise<void> {
		const step = 64 * 1024;
		const began = performance.now();
		const over = new AbortController();
		const closed = once(response, 'close').finally(() => over.abort());
		for (let position = start; position < end && !response.destroyed; position += step) {
			response.write(this.bytes(position, Math.min(end, position + step)));
			const due = began + ((position + step - start) * 1000) / this.#bytesPerSecond;
			const early = due - performance.now();
			if (early > 0) {
				await sleep(early, undefined, {signal: over.signal}).catch(() => undefined);
			}

			if (response.writableNeedDrain && !response.destroyed) {
				await Promise.race([once(response, 'drain', {signal: over.signal}).catch(() => undefined), closed]);
			}
		}

		response.end();
	}
}

/** Each note rings into the next, and notes alternate between left and right. */
function melodyLoop(): Buffer {
	const frames = melody.length * noteFrames;
	const mix = new Float64Array(frames * 2);
	const ring = noteFrames * 3;
	for (const [place, degree] of melody.entries()) {
		const hertz = 220 * 2 ** (scale[degree]! / 12);
		for (let frame = 0; frame < ring; frame++) {
			const seconds = frame / sampleRate;
			const loudness = Math.min(1, frame / 200) * Math.exp(-4 * seconds) * (1 - frame / ring);
			const phase = 2 * Math.PI * hertz * seconds;
			const sample = loudness * (Math.sin(phase) + 0.3 * Math.sin(2 * phase));
			const at = (place * noteFrames + frame) % frames;
			const pan = place % 2 === 0 ? 0.6 : 0.4;
			mix[at * 2]! += sample * pan;
			mix[at * 2 + 1]! += sample * (1 - pan);
		}
	}

	const loop = Buffer.alloc(frames * frameBytes);
	for (const [index, sample] of mix.entries()) {
		loop.writeInt16LE(Math.round(Math.max(-1, Math.min(1, sample * 0.5)) * 32_000), index * 2);
	}

	return loop;
}

function wavHeader(dataBytes: number): Buffer {
	const header = Buffer.alloc(headerBytes);
	header.write('RIFF', 0);
	header.writeUInt32LE(dataBytes + headerBytes - 8, 4);
	header.write('WAVEfmt ', 8);
	header.writeUInt32LE(16, 16);
	header.writeUInt16LE(1, 20);
	header.writeUInt16LE(2, 22);
	header.writeUInt32LE(sampleRate, 24);
	header.writeUInt32LE(soundBytesPerSecond, 28);
	header.writeUInt16LE(frameBytes, 32);
	header.writeUInt16LE(16, 34);
	header.write('data', 36);
	header.writeUInt32LE(dataBytes, 40);
	return header;
}
