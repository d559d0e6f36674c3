// The thread that reads film maps, one after the other. The thread that started it supplies the bytes.
import {once} from 'node:events';
import {parentPort} from 'node:worker_threads';
import {messageOf} from '../../text/message-of.ts';
import type {ForFilmWorker, FromFilmWorker} from './film-thread.ts';
import {NoFilm} from './no-film.ts';
import {readFilm} from './read-film.ts';

function send(message: FromFilmWorker): void {
	parentPort!.postMessage(message);
}

async function received(): Promise<Partial<{size: number; bytes: Uint8Array}>> {
	const [message] = (await once(parentPort!, 'message')) as [ForFilmWorker];
	return message;
}

async function answerTo(size: number): Promise<FromFilmWorker> {
	let isOver = false;
	try {
		const map = await readFilm(size, async (start, end, maxEnd) => {
			if (isOver) {
				throw new Error('The reading has ended');
			}

			const answer = received();
			send({read: {start, end, maxEnd}});
			const {bytes} = await answer;
			if (!bytes) {
				throw new Error('The bytes are unavailable');
			}

			return bytes;
		});
		return {map};
	} catch (error) {
		return {
			problem: error instanceof NoFilm ? error.problem : 'damaged',
			message: messageOf(error),
		};
	} finally {
		isOver = true;
	}
}

for (let answer: FromFilmWorker = {ready: true}; ;) {
	const next = received();
	send(answer);
	const {size} = await next;
	answer = await answerTo(size!);
}
