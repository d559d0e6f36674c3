// A real mpv without a window: it plays in real time, and its socket provides position and picture.
import {once} from 'node:events';
import {readFile, readdir} from 'node:fs/promises';
import {connect, type Socket} from 'node:net';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';

export type PlayerView = {
	/** JPEG. */
	readonly picture: Buffer;
	/** In seconds. */
	readonly position: number;
	readonly duration: number;
	/** Waiting for data. */
	readonly isWaiting: boolean;
};

type Answer = {readonly request_id?: number; readonly event?: string; readonly error?: string; readonly data?: unknown};

/** Without windows and sound; reads only ten seconds ahead. */
export const mpvCommand = 'mpv --no-config --vo=null --ao=null --cache-secs=10 --keep-open=yes';

export class WatchedPlayer {
	readonly #socket: Socket;
	readonly #pictureFile: string;
	readonly #listeners = new Set<(answer: Answer) => void>();
	#requests = 0;

	/**
	 * Resolves with the player that the program linked, once it shows its first picture. `runtime` is the XDG_RUNTIME_DIR of
	 * the program.
	 */
	static async find(runtime: string): Promise<WatchedPlayer> {
		const folder = path.join(runtime, 'downstream-tui');
		for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(50)) {
			const names = await readdir(folder).catch(() => []);
			const name = names.find(each => each.endsWith('.sock'));
			if (name === undefined) {
				continue;
			}

			const socket = connect(path.join(folder, name));
			try {
				await once(socket, 'connect');
				const player = new WatchedPlayer(socket, path.join(runtime, 'picture.jpg'));
				while (!(await player.view())) {
					await sleep(50);
				}

				return player;
			} catch {
				socket.destroy();
			}
		}

		throw new Error('mpv did not start within 60 s');
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

	/** Undefined without a picture. */
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

	/** Jumps to this time, in seconds. Resolves once it plays there. */
	async jump(seconds: number): Promise<void> {
		const playing = this.playing();
		await this.#ask('seek', seconds, 'absolute');
		await playing;
	}

	/** Resolves once it plays after a jump. */
	async playing(): Promise<void> {
		await this.#answer(({event}) => event === 'playback-restart');
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
