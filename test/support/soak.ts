// Random operations: downloads from an origin with transient faults, players that read, seek and disconnect, and commands.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {open} from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError, type Download} from '../../source/downstream.ts';
import type {Engine} from '../../source/engine/engine.ts';
import {firstWrongByte} from './content.ts';
import {FaultOrigin, type FaultName} from './fault-origin.ts';

const MiB = 1024 * 1024;
const size = 8 * MiB + 4321;
const maxDownloads = 8;
const players = 4;
/** The longest wait of a player before it disconnects. */
const patienceMs = 4000;

/** Each lasts for one request, so every file stays readable. */
const faults: ReadonlyArray<[FaultName | undefined, Record<string, string | number>]> = [
	[undefined, {}],
	['short-body', {bytes: 200_000, every: 3}],
	['short-body', {bytes: 300_000, every: 4, ending: 'reset'}],
	['short-body', {bytes: 100_000, every: 25, ending: 'stall'}],
	['short-chunks', {every: 3}],
	['long-body', {every: 3}],
	['shorter-range', {bytes: 70_000, every: 2}],
	['starts-early', {}],
	['keep-alive', {}],
	['dies', {least: 50_000, most: 900_000}],
	['slow-headers', {ms: 300, every: 3}],
	['status', {code: 500, every: 5}],
	['status', {code: 503, every: 6, wait: 1}],
	['limit', {connections: 3}],
	['no-ranges', {every: 9}],
	['redirect-chain', {left: 2}],
	['signed', {requests: 2}],
	['http-1.0', {ranges: 1}],
];

/** Deterministic numbers from 0 to 1 for a seed (mulberry32, public domain). */
export function randomOf(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
	};
}

export class Soak {
	/** Executed and rejected commands, and reads of players. */
	commands = 0;
	reads = 0;
	/** Bytes read by players, all of them correct. */
	bytes = 0;
	readonly #engine: Engine;
	readonly #origin: FaultOrigin;
	readonly #random: () => number;
	readonly #urls: readonly string[];
	#deadline = 0;

	static async start(engine: Engine, seed: number): Promise<Soak> {
		const origin = await FaultOrigin.start({
			size,
			etag: '"v1"',
			lastModified: 'Mon, 02 Nov 2026 00:00:00 GMT',
			bytesPerSecond: 4 * MiB,
		});
		return new Soak(engine, origin, seed);
	}

	private constructor(engine: Engine, origin: FaultOrigin, seed: number) {
		this.#engine = engine;
		this.#origin = origin;
		this.#random = randomOf(seed);
		this.#urls = faults.map(([name, parameters]) => origin.urlOf(name, parameters));
	}

	/** Rejects with the first wrong byte or unexpected error. */
	async run(milliseconds: number): Promise<void> {
		this.#deadline = performance.now() + milliseconds;
		await Promise.all([
			this.#whileTimeLasts(() => this.#command()),
			...Array.from({length: players}, () => this.#whileTimeLasts(() => this.#play())),
		]);
		await this.#checkDisk();
	}

	async close(): Promise<void> {
		await this.#origin.origin.close();
	}

	async #whileTimeLasts(act: () => Promise<void>): Promise<void> {
		while (performance.now() < this.#deadline) {
			await act();
			await sleep(this.#below(200));
		}
	}

	/** A whole number from 0 below `end`. */
	#below(end: number): number {
		return Math.floor(this.#random() * end);
	}

	#oneOf<T>(values: readonly T[]): T | undefined {
		return values[this.#below(values.length)];
	}

	async #command(): Promise<void> {
		this.commands++;
		// The records of requests must not look like a leak.
		this.#origin.origin.requests.length = 0;
		const {downloads} = this.#engine.snapshot;
		const one = this.#oneOf(downloads);
		const url = this.#oneOf(this.#urls) ?? '';
		try {
			if (!one || (downloads.length < maxDownloads && this.#random() < 0.4)) {
				await this.#engine.add({url, onDemand: this.#random() < 0.3, paused: this.#random() < 0.2});
			} else {
				await this.#oneOf(this.#commandsOn(one, url))?.();
			}
		} catch (error) {
			assert.ok(error instanceof DownStreamError, String(error));
			assert.notEqual(error.code, 'origin-changed', error.message);
		}
	}

	#commandsOn({id}: Download, url: string): Array<() => Promise<unknown>> {
		const engine = this.#engine;
		const rate = this.#oneOf([null, MiB, 8 * MiB]) ?? null;
		return [
			() => engine.pause(id),
			() => engine.resume(id),
			() => engine.resume(id),
			() => engine.cancel(id),
			() => engine.remove(id, {data: 'delete', undoMs: 0}),
			() => engine.remove(id, {data: 'delete', undoMs: 0}),
			() => engine.remove(id, {data: 'keep'}),
			() => engine.remove(id, {data: 'delete'}).then(() => engine.restore(id)),
			() => engine.update(id, {limitRate: rate}),
			() => engine.update(id, {url}),
			() => engine.update(id, {onDemand: this.#random() < 0.5}),
			() => engine.startOver(id),
			() => engine.verify(id),
			() => engine.setLimitRate(rate),
			() => engine.moveInQueue(id, 1),
			async () => {
				for (const socket of this.#origin.origin.sockets) {
					socket.destroy();
				}
			},
		];
	}

	async #play(): Promise<void> {
		const one = this.#oneOf(this.#engine.snapshot.downloads);
		if (!one) {
			return;
		}

		this.reads++;
		const start = this.#below(size);
		const end = this.#random() < 0.5 ? size : Math.min(size, start + 1 + this.#below(2 * MiB));
		// Some disconnect in the middle.
		const wanted = this.#random() < 0.5 ? Infinity : this.#below(MiB);
		const rest = end === size && this.#random() < 0.5 ? '' : String(end - 1);
		const request = http.get(one.streamUrl, {agent: false, headers: {range: `bytes=${start}-${rest}`}});
		const timer = setTimeout(() => request.destroy(), patienceMs);
		let offset = start;
		let isWhole = false;
		try {
			const [response] = (await once(request, 'response')) as [http.IncomingMessage];
			for await (const bytes of response as AsyncIterable<Buffer>) {
				if (response.statusCode === 206) {
					const wrong = firstWrongByte(bytes, offset);
					assert.equal(wrong, -1, `byte ${wrong} of ${one.url} is wrong`);
					offset += bytes.length;
					this.bytes += bytes.length;
				}

				if (offset - start >= wanted) {
					break;
				}
			}

			isWhole = response.statusCode === 206 && response.complete && !request.destroyed;
		} catch (error) {
			// It disconnected or was cut, and knows that the body is incomplete.
			if (error instanceof assert.AssertionError) {
				throw error;
			}
		} finally {
			clearTimeout(timer);
			request.destroy();
		}

		if (isWhole) {
			assert.equal(offset, end, `an answer of ${one.url} ended well before its end`);
		}
	}

	/** The recorded bytes on disk are correct. */
	async #checkDisk(): Promise<void> {
		for (const {folder, ranges, url} of this.#engine.snapshot.downloads) {
			if (ranges.length === 0) {
				continue;
			}

			const data = await open(path.join(folder, 'data'));
			try {
				for (const [start, end] of ranges) {
					const bytes = Buffer.alloc(end - start);
					const {bytesRead} = await data.read(bytes, 0, bytes.length, start);
					assert.equal(bytesRead, bytes.length);
					assert.equal(firstWrongByte(bytes, start), -1, `wrong bytes of ${url} on the disk`);
				}
			} finally {
				await data.close();
			}
		}
	}
}
