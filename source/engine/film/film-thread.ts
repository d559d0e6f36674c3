// Reads film maps in a thread of its own: a hostile file may keep a parser busy or fill its memory.
import process from 'node:process';
import type {Worker} from 'node:worker_threads';
import type {FilmProblem} from '../../downstream.ts';
import {checkedMap, type FilmMap} from './film-map.ts';
import {turns} from '../../turns.ts';
import {NoFilm} from './no-film.ts';

/** Milliseconds of processor time for one map. On a busy machine they take longer. */
const maxWorkMs = 5000;
/** Milliseconds of elapsed time, without waits for bytes. */
const maxElapsedMs = 60_000;
/** Milliseconds without a file after which the thread ends. */
const idleMs = 10_000;
/** In MiB: more than an index within the limits of a reading needs. */
const memory = {maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32};

/** A file of this size, or the requested bytes of the current one; undefined if they are unavailable. */
export type ForFilmWorker = {readonly size: number} | {readonly bytes: Uint8Array | undefined};

export type FromFilmWorker =
	| {readonly ready: true}
	| {readonly read: {readonly start: number; readonly end: number; readonly maxEnd: number}}
	| {readonly map: unknown}
	| {readonly problem: FilmProblem | undefined; readonly message: string};

/** Resolves with the bytes from `start` to at least `end` and at most `maxEnd`. */
export type ReadBytes = (start: number, end: number, maxEnd: number) => Promise<Uint8Array>;

/** Used again by the next reading, unless a file has exceeded its limits. */
type Thread = {readonly worker: Worker; isReady: boolean; idle?: NodeJS.Timeout};

const inTurn = turns();
let thread: Thread | undefined;

async function startThread(): Promise<Thread> {
	// Loaded on demand: most runs read no film.
	const {Worker} = await import('node:worker_threads');
	// Next to this file, both in the source and in the bundle.
	const file = new URL('film-worker.js', import.meta.url);
	const worker = new Worker(file, {resourceLimits: memory, stdout: true, stderr: true});
	worker.unref();
	const started: Thread = {worker, isReady: false};
	// Without a reading, its end has no consequence.
	worker.on('error', () => undefined);
	worker.on('exit', () => {
		if (thread === started) {
			thread = undefined;
		}
	});
	return started;
}

/** One file at a time. Rejects with the error of `read`, the signal's reason, or `NoFilm`. */
export function readInThread(
	size: number,
	read: ReadBytes,
	signal: AbortSignal,
	workMs = maxWorkMs,
): Promise<FilmMap> {
	return inTurn(async () => {
		signal.throwIfAborted();
		thread ??= await startThread();
		const used = thread;
		clearTimeout(used.idle);
		const ending = new AbortController();
		try {
			const map = await converse(used, {size, read, workMs, signal, ending: ending.signal});
			const checked = checkedMap(map, size);
			if (!checked) {
				throw new NoFilm('damaged', 'its map is inconsistent');
			}

			return checked;
		} finally {
			ending.abort();
			if (thread === used) {
				used.idle = setTimeout(() => void used.worker.terminate(), idleMs).unref();
			}
		}
	});
}

type Reading = {
	readonly size: number;
	readonly read: ReadBytes;
	readonly workMs: number;
	readonly signal: AbortSignal;
	/** Aborted once the reading has settled. */
	readonly ending: AbortSignal;
};

/** Resolves with the unchecked map. Terminates the thread unless the thread itself ends the reading. */
async function converse(used: Thread, {size, read, workMs, signal, ending}: Reading): Promise<unknown> {
	const {worker} = used;
	const budget = new Budget(workMs);
	let failure: Error | undefined;
	return new Promise<unknown>((resolve, reject) => {
		const send = (message: ForFilmWorker) => {
			worker.postMessage(message);
			budget.begin(() => abandon(failure ?? new NoFilm('too-slow', 'it takes too long to read')));
		};
		const abandon = (error: Error) => {
			thread = undefined;
			void worker.terminate();
			reject(error);
		};
		const failed = (error: Error) => abandon(new NoFilm('too-large', `its reader failed: ${error.message}`));
		const exited = () => abandon(new NoFilm('too-large', 'its reader has ended'));
		const aborted = () => abandon(signal.reason as Error);
		const received = (message: FromFilmWorker) => {
			budget.pause();
			if ('ready' in message) {
				used.isReady = true;
				send({size});
			} else if ('map' in message) {
				resolve(message.map);
			} else if ('read' in message) {
				const {start, end, maxEnd} = message.read;
				read(start, end, maxEnd)
					.catch((error: unknown) => {
						failure = error as Error;
						return undefined;
					})
					.then(bytes => {
						if (!ending.aborted) {
							send({bytes});
						}
					}, reject);
			} else {
				reject(failure ?? new NoFilm(message.problem, message.message));
			}
		};
		worker.on('error', failed);
		worker.on('exit', exited);
		worker.on('message', received);
		signal.addEventListener('abort', aborted);
		ending.addEventListener('abort', () => {
			budget.pause();
			worker.off('error', failed);
			worker.off('exit', exited);
			worker.off('message', received);
			signal.removeEventListener('abort', aborted);
		});
		if (used.isReady) {
			send({size});
		}
	});
}

/** Limits the time that the thread is busy. A thread cannot have used more of a processor than the process has. */
class Budget {
	#leftMs: number;
	#elapsedLeftMs = maxElapsedMs;
	#timer: NodeJS.Timeout | undefined;
	#since = {cpu: process.cpuUsage(), at: 0};

	constructor(workMs: number) {
		this.#leftMs = workMs;
	}

	begin(exceeded: () => void): void {
		this.#since = {cpu: process.cpuUsage(), at: performance.now()};
		const look = () => {
			const {work, elapsed} = this.#used();
			const left = Math.min(this.#leftMs - work, this.#elapsedLeftMs - elapsed);
			if (left <= 0) {
				exceeded();
			} else {
				this.#timer = setTimeout(look, Math.max(10, left)).unref();
			}
		};
		look();
	}

	pause(): void {
		clearTimeout(this.#timer);
		if (this.#since.at > 0) {
			const {work, elapsed} = this.#used();
			this.#leftMs -= work;
			this.#elapsedLeftMs -= elapsed;
			this.#since.at = 0;
		}
	}

	/** Milliseconds since `begin`. */
	#used(): {work: number; elapsed: number} {
		const elapsed = performance.now() - this.#since.at;
		const {user, system} = process.cpuUsage(this.#since.cpu);
		return {work: Math.min(elapsed, (user + system) / 1000), elapsed};
	}
}
