// The programs that read one stream, identified across their requests by User-Agent and address.
import {randomUUID} from 'node:crypto';

/** Milliseconds that a player stays listed after its last request. */
const playerStaysMs = 10_000;

export type Client = {readonly userAgent: string; readonly address: string};

export type TrackedPlayer = {
	readonly id: string;
	readonly name: string;
	/** Offset of the next byte that it reads. */
	offset: number;
	/** Start of its reads without a gap: the offset, and the time in milliseconds since the epoch. */
	run: {readonly start: number; readonly since: number};
	openRequests: number;
	blockedRequests: number;
	/** When its last request ended, in milliseconds since the epoch. */
	leftAt: number;
};

export class Players {
	readonly #players = new Map<TrackedPlayer, string>();

	/**
	 * A request begins. Players open a new connection for each seek, so the request belongs to the player of the same
	 * program without an open request; two open requests are two players.
	 */
	join({userAgent, address}: Client, offset: number, now: number): TrackedPlayer {
		this.#forget(now);
		const program = `${address} ${userAgent}`;
		for (const [player, itsProgram] of this.#players) {
			if (itsProgram === program && player.openRequests === 0) {
				player.openRequests++;
				if (offset !== player.offset) {
					player.offset = offset;
					player.run = {start: offset, since: now};
				}

				return player;
			}
		}

		const player = {
			id: randomUUID(),
			name: programName(userAgent) || address,
			offset,
			run: {start: offset, since: now},
			openRequests: 1,
			blockedRequests: 0,
			leftAt: 0,
		};
		this.#players.set(player, program);
		return player;
	}

	leave(player: TrackedPlayer, now: number): void {
		player.openRequests--;
		player.leftAt = now;
	}

	list(now: number): TrackedPlayer[] {
		this.#forget(now);
		return [...this.#players.keys()];
	}

	#forget(now: number): void {
		for (const player of this.#players.keys()) {
			if (player.openRequests === 0 && now - player.leftAt >= playerStaysMs) {
				this.#players.delete(player);
			}
		}
	}
}

/** Milliseconds of reading after which the rate of a player is known: at first, it fills its buffer. */
const settledMs = 10_000;

/** Milliseconds for which the bytes last at the rate of the player's reads; undefined until it has read for a while. */
export function lastingMs(
	{run, offset}: Pick<TrackedPlayer, 'run' | 'offset'>,
	bytes: number,
	now: number,
): number | undefined {
	const [elapsed, read] = [now - run.since, offset - run.start];
	return elapsed < settledMs || read === 0 ? undefined : Math.floor((bytes * elapsed) / read);
}

/** `VLC/3.0.18 LibVLC/3.0.18` → `VLC 3.0.18`; a browser has its own name, not Mozilla. */
export function programName(userAgent: string): string {
	const browser = /\b(Edg|OPR|Firefox|Chrome|HeadlessChrome)\/(\d+)/.exec(userAgent);
	if (browser) {
		const names: Record<string, string> = {Edg: 'Edge', OPR: 'Opera', HeadlessChrome: 'Chrome'};
		return `${names[browser[1]!] ?? browser[1]} ${browser[2]}`;
	}

	const safari = /\bVersion\/([\d.]+).*\bSafari\//.exec(userAgent);
	if (safari) {
		return `Safari ${safari[1]}`;
	}

	const program = /^[^\s/;(]+(\/[^\s;(]+)?/.exec(userAgent)?.[0].replace('/', ' ') ?? '';
	// User-Agent of newer versions of mpv.
	return program === 'libmpv' ? 'mpv' : program;
}
