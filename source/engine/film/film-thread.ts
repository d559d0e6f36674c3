// Reads a film map in a thread of its own: a hostile file may keep a parser busy or fill its memory.
import {Worker} from 'node:worker_threads';
import type {FilmProblem} from '../../downstream.ts';
import {checkedMap, type FilmMap} from './film-map.ts';
import {NoFilm} from './no-film.ts';

/** Milliseconds of work for one map. */
const maxWorkMs = 5000;
/** In MiB: more than an index within the limits of a reading needs. */
const memory = {maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32};

export type ForFilmWorker = {readonly bytes: Uint8Array};

export type FromFilmWorker =
	| {readonly read: {readonly start: number; readonly end: number; readonly wish: number}}
	| {readonly map: unknown}
	| {readonly problem: FilmProblem | undefined; readonly message: string};

/** Resolves with the bytes from `start` to at least `end` and at most `wish`. */
export type ReadBytes = (start: number, end: number, wish: number) => Promise<Uint8Array>;

/** Rejects with the error of `read`, the signal's reason, or `NoFilm`. */
export async function readInThread(size: number, read: ReadBytes, signal: AbortSignal): Promise<FilmMap> {
	signal.throwIfAborted();
	// Next to this file, both in the source and in the bundle.
	const file = new URL('film-worker.js', import.meta.url);
	const worker = new Worker(file, {workerData: size, resourceLimits: memory, stdout: true, stderr: true});
	worker.unref();
	let timer: NodeJS.Timeout | undefined;
	let abort: (() => void) | undefined;
	try {
		const map = await new Promise<unknown>((resolve, reject) => {
			let left = maxWorkMs;
			let since = 0;
			const begin = () => {
				since = performance.now();
				timer = setTimeout(() => reject(new NoFilm('too-slow', 'it takes too long to read')), left).unref();
			};
			abort = () => reject(signal.reason as Error);
			signal.addEventListener('abort', abort, {once: true});
			worker.on('error', error => reject(new NoFilm('too-large', `its reader failed: ${error.message}`)));
			worker.on('exit', () => reject(new NoFilm('too-large', 'its reader has ended')));
			worker.on('message', (message: FromFilmWorker) => {
				clearTimeout(timer);
				left -= performance.now() - since;
				if ('map' in message) {
					resolve(message.map);
				} else if ('read' in message) {
					const {start, end, wish} = message.read;
					read(start, end, wish).then(bytes => {
						worker.postMessage({bytes} satisfies ForFilmWorker);
						begin();
					}, reject);
				} else {
					reject(new NoFilm(message.problem, message.message));
				}
			});
			begin();
		});
		const checked = checkedMap(map, size);
		if (!checked) {
			throw new NoFilm('damaged', 'it contradicts itself');
		}

		return checked;
	} finally {
		clearTimeout(timer);
		signal.removeEventListener('abort', abort!);
		await worker.terminate();
	}
}
