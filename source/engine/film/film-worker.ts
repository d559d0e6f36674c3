// The thread that reads one film map. The bytes come from the thread that started it.
import {once} from 'node:events';
import {parentPort, workerData} from 'node:worker_threads';
import type {ForFilmWorker, FromFilmWorker} from './film-thread.ts';
import {NoFilm} from './no-film.ts';
import {readFilm} from './read-film.ts';

function send(message: FromFilmWorker): void {
	parentPort!.postMessage(message);
}

try {
	const map = await readFilm(workerData as number, async (start, end, maxEnd) => {
		const answer = once(parentPort!, 'message');
		send({read: {start, end, maxEnd}});
		const [{bytes}] = (await answer) as [ForFilmWorker];
		return bytes;
	});
	send({map});
} catch (error) {
	send({
		problem: error instanceof NoFilm ? error.problem : 'damaged',
		message: error instanceof Error ? error.message : String(error),
	});
}
