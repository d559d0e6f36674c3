// A real mpv without a window: it plays in real time, and its socket tells its place and its picture.
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {connect, type Socket} from 'node:net';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';

export type PlayerView = {
	/** JPEG. */
	readonly picture: Buffer;
	/** In seconds. */
	readonly position: number;
	readonly duration: number;
	/** It has no data to play. */
	readonly isWaiting: boolean;
};

type Answer = {readonly request_id?: number; readonly event?: string; readonly error?: string; readonly data?: unknown};

/** Reads ten seconds ahead only, so that the place of its requests is the place of its picture. */
export function mpvCommand(socket: string): string {
	return `mpv --no-config --vo=null --ao=null --cache-secs=10 --keep-open=yes --input-ipc-server=${socket}`;
}

export class WatchedPlayer {
	readonly #socket: Socket;
	readonly #pictureFile: string;
	readonly #listeners = new Set<(answer: Answer) => void>();
	#requests = 0;

	/** Resolves with the player that was started with this socket, once it shows its first picture. */
	static async find(socketFile: string): Promise<WatchedPlayer> {
		for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(50)) {
			const socket = connect(socketFile);
			try {
				await once(socket, 'connect');
				const player = new WatchedPlayer(socket, `${socketFile}.jpg`);
				while (!(await player.view())) {
					await sleep(50);
				}

				return player;
			} catch {
				socket.destroy();
			}
		}

		throw new Error('mpv did not start within 20 s');
	}

	private constructor(socket: Socket, pictureFile: string) {
		this.#socket = socket;
		this.#pictureFile = pictureFile;
		createInterface({input: socket}).on('line', line => {
			for (const listener of this.#listeners) {
				listener(JSON.parse(line) as Answer);
			}
		});
		socket.on('error', () => undefined);
	}

	/** Undefined while it shows no picture. */
	async view(): Promise<PlayerView | undefined> {
		const [taken, position, duration, waits, seeks] = await Promise.all([
			this.#ask('screenshot-to-file', this.#pictureFile, 'video'),
			...['time-pos', 'duration', 'paused-for-cache', 'seeking'].map(name => this.#ask('get_property', name)),
		]);
		if (taken.error !== 'success' || typeof position!.data !== 'number') {
			return undefined;
		}

		return {
			picture: await readFile(this.#pictureFile),
			position: position!.data,
			duration: Number(duration!.data),
			isWaiting: waits!.data === true || seeks!.data === true,
		};
	}

	/** Jumps to this share of the film. Resolves with the milliseconds until it plays there. */
	async jump(place: number): Promise<number> {
		const began = performance.now();
		const playing = this.#answer(({event}) => event === 'playback-restart');
		await this.#ask('seek', place * 100, 'absolute-percent');
		await playing;
		return performance.now() - began;
	}

	quit(): void {
		this.#socket.end(`${JSON.stringify({command: ['quit']})}\n`);
	}

	async #ask(...command: unknown[]): Promise<Answer> {
		const id = ++this.#requests;
		const answer = this.#answer(({request_id}) => request_id === id);
		this.#socket.write(`${JSON.stringify({command, request_id: id})}\n`);
		return answer;
	}

	async #answer(fits: (answer: Answer) => boolean): Promise<Answer> {
		return new Promise((resolve, reject) => {
			const over = () => reject(new Error('mpv ended'));
			const listener = (answer: Answer) => {
				if (fits(answer)) {
					this.#listeners.delete(listener);
					this.#socket.off('close', over);
					resolve(answer);
				}
			};

			this.#listeners.add(listener);
			this.#socket.once('close', over);
		});
	}
}
