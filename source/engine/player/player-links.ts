// The linked players, which were started with a control socket of the engine. Each belongs to the download that it currently
// plays. The socket is recorded with the download it was started for, so that the next run finds the player again.
import {connect, type Socket} from 'node:net';
import {once} from 'node:events';
import {setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError, type DownloadId, type PlayerCommand} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import {messageOf} from '../../text/message-of.ts';
import {MpvLink, type PlayerState} from './mpv-link.ts';
import {isSocketPath, newSocketPath, removeSocket} from './socket-folder.ts';

/** A player on a cold disk takes seconds to listen. */
const startMs = 30_000;
const retryMs = 100;

/** A download, as its players see it. */
type PlayerFollower = {
	/** The socket of the player that was linked last; undefined once that has exited. */
	readonly socket: string | undefined;
	/** `state` of the newest player; undefined once no player plays the download. */
	follow(state: PlayerState | undefined): void;
	/** The player of a socket was linked, or has exited. */
	keepSocket(socket: string, isRunning: boolean): void;
};

export class PlayerLinks {
	/** Oldest first. */
	readonly #links = new Set<MpvLink>();
	/** One per invited player, until it exits. */
	readonly #running = new Set<Promise<void>>();
	readonly #ending = new AbortController();
	readonly #followerOf: (id: DownloadId) => PlayerFollower | undefined;

	constructor(followerOf: (id: DownloadId) => PlayerFollower | undefined) {
		this.#followerOf = followerOf;
	}

	/** Links the player of an earlier run again, if it still listens. */
	relink(id: DownloadId): void {
		const socketPath = this.#followerOf(id)?.socket;
		if (socketPath !== undefined && isSocketPath(socketPath)) {
			this.#run(id, socketPath, 0);
		}
	}

	/** Resolves with a new socket's path, and links the player that listens there soon. Rejects with `no-player`. */
	async invite(id: DownloadId): Promise<string> {
		let socketPath: string;
		try {
			socketPath = await newSocketPath();
		} catch (error) {
			throw new DownStreamError('no-player', `The player cannot be linked: ${messageOf(error)}`, {
				cause: error,
			});
		}

		this.#run(id, socketPath, startMs);
		return socketPath;
	}

	#run(id: DownloadId, socketPath: string, waitMs: number): void {
		const running = this.#link(id, socketPath, waitMs);
		this.#running.add(running);
		void running.finally(() => this.#running.delete(running));
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
			throw new DownStreamError('no-player', messageOf(error));
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
	async #link(id: DownloadId, socketPath: string, waitMs: number): Promise<void> {
		const socket = await connected(socketPath, waitMs, this.#ending.signal);
		if (socket) {
			Logger.debug(`A player is linked at ${socketPath}`);
			this.#followerOf(id)?.keepSocket(socketPath, true);
			await new Promise<void>(resolve => this.#follow(socket, resolve));
		}

		// A player outlives the program.
		if (!socket || !this.#ending.signal.aborted) {
			this.#followerOf(id)?.keepSocket(socketPath, false);
			await removeSocket(socketPath);
		}
	}

	#show(id: DownloadId, state: PlayerState | undefined): void {
		this.#followerOf(id)?.follow(state);
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

/** Resolves with a connection once the player listens; with undefined after `waitMs`, or when the signal aborts. */
async function connected(
	socketPath: string,
	waitMs: number,
	signal: AbortSignal,
): Promise<Socket | undefined> {
	const deadline = Date.now() + waitMs;
	do {
		const socket = connect(socketPath);
		try {
			await once(socket, 'connect', {signal});
			socket.unref();
			return socket;
		} catch {
			socket.destroy();
		}

		await sleep(retryMs, undefined, {signal, ref: false}).catch(() => undefined);
	} while (Date.now() < deadline && !signal.aborted);

	return undefined;
}
