// The linked players, which were started with a control socket of the engine. Each belongs to the download that it currently
// plays.
import {connect, type Socket} from 'node:net';
import {once} from 'node:events';
import {setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError, type DownloadId, type PlayerCommand} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import {MpvLink, type PlayerState} from './mpv-link.ts';
import {newSocketPath, removeSocket} from './socket-folder.ts';

/** A player on a cold disk takes seconds to listen. */
const startMs = 30_000;
const retryMs = 100;

export class PlayerLinks {
	/** Oldest first. */
	readonly #links = new Set<MpvLink>();
	/** One per invited player, until it exits. */
	readonly #running = new Set<Promise<void>>();
	readonly #ending = new AbortController();
	readonly #show: (id: DownloadId, state: PlayerState | undefined) => void;

	/** `show` receives the state of the newest player of a download, or undefined once no player plays it. */
	constructor(show: (id: DownloadId, state: PlayerState | undefined) => void) {
		this.#show = show;
	}

	/** Resolves with a new socket's path, and links the player that listens there soon. Rejects with `no-player`. */
	async invite(): Promise<string> {
		let socketPath: string;
		try {
			socketPath = await newSocketPath();
		} catch (error) {
			const reason = error instanceof Error ? error.message : String(error);
			throw new DownStreamError('no-player', `The player cannot be linked: ${reason}`, {cause: error});
		}

		const running = this.#link(socketPath);
		this.#running.add(running);
		void running.finally(() => this.#running.delete(running));
		return socketPath;
	}

	/** Rejects with `no-player`, or with `bad-request` for an invalid command. */
	async control(id: DownloadId, {seekMs, pause}: PlayerCommand): Promise<void> {
		if (seekMs === undefined && pause === undefined) {
			throw new DownStreamError('bad-request', 'A command for a player needs seekMs or pause');
		}

		const link = this.#newest(id);
		if (!link) {
			throw new DownStreamError('no-player', 'No linked player plays this download');
		}

		const {durationMs} = link.state;
		if (seekMs !== undefined && durationMs !== null && seekMs > durationMs) {
			throw new DownStreamError(
				'bad-request',
				`seekMs is ${seekMs}, past the end of the film at ${durationMs}`,
			);
		}

		try {
			if (seekMs !== undefined) {
				await link.seek(seekMs);
			}

			if (pause !== undefined) {
				await link.setPaused(pause);
			}
		} catch (error) {
			throw new DownStreamError('no-player', error instanceof Error ? error.message : String(error));
		}
	}

	/** Disconnects; playback continues. */
	async end(): Promise<void> {
		this.#ending.abort();
		for (const link of this.#links) {
			link.close();
		}

		await Promise.all(this.#running);
	}

	/** Resolves when the player has exited, or has not started to listen in time. */
	async #link(socketPath: string): Promise<void> {
		const socket = await connected(socketPath, this.#ending.signal);
		if (socket) {
			Logger.debug(`A player is linked at ${socketPath}`);
			await new Promise<void>(resolve => this.#follow(socket, resolve));
		}

		await removeSocket(socketPath);
	}

	#follow(socket: Socket, ended: () => void): void {
		let id: DownloadId | undefined;
		const link = new MpvLink(socket, {
			changed: () => {
				const before = id;
				id = idIn(link.state.path);
				if (before !== undefined && before !== id) {
					this.#show(before, this.#newest(before)?.state);
				}

				if (id !== undefined && this.#newest(id) === link) {
					this.#show(id, link.state);
				}
			},
			ended: () => {
				this.#links.delete(link);
				if (id !== undefined) {
					this.#show(id, this.#newest(id)?.state);
				}

				ended();
			},
		});
		this.#links.add(link);
	}

	#newest(id: DownloadId): MpvLink | undefined {
		return [...this.#links].findLast(({state}) => idIn(state.path) === id);
	}
}

/** The download that a player plays; undefined for other media. */
function idIn(path: string | undefined): DownloadId | undefined {
	return /^http:\/\/(?:127\.0\.0\.1|localhost|\[::1\]):\d+\/stream\/([\da-f]{32})(?:\/|$)/.exec(
		path ?? '',
	)?.[1];
}

/** Resolves with a connection once the player listens; with undefined after `startMs`, or when the signal aborts. */
async function connected(socketPath: string, signal: AbortSignal): Promise<Socket | undefined> {
	const deadline = Date.now() + startMs;
	while (Date.now() < deadline && !signal.aborted) {
		const socket = connect(socketPath);
		try {
			await once(socket, 'connect', {signal});
			socket.unref();
			return socket;
		} catch {
			socket.destroy();
		}

		await sleep(retryMs, undefined, {signal, ref: false}).catch(() => undefined);
	}

	return undefined;
}
