// The programs that read one stream, told apart by User-Agent and address across their many requests.
import {randomUUID} from 'node:crypto';

/** A player stays listed so long after its last request. */
export const playerStaysMs = 10_000;

export type Client = {readonly userAgent: string; readonly address: string};

export type TrackedPlayer = {
	readonly id: string;
	readonly name: string;
	/** The byte it reads next. */
	offset: number;
	openRequests: number;
	blockedRequests: number;
	/** When its last request ended, in milliseconds since the epoch. */
	leftAt: number;
};

export class Players {
	readonly #players = new Map<TrackedPlayer, string>();

	/**
	 * A request begins. Players open a new connection for each seek, so it belongs to the one of the same program
	 * that has none open; two requests open at once are two players.
	 */
	join({userAgent, address}: Client, offset: number, now: number): TrackedPlayer {
		this.#forget(now);
		const program = `${address} ${userAgent}`;
		for (const [player, itsProgram] of this.#players) {
			if (itsProgram === program && player.openRequests === 0) {
				player.openRequests++;
				player.offset = offset;
				return player;
			}
		}

		const player = {
			id: randomUUID(),
			name: programName(userAgent) || address,
			offset,
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

/** `VLC/3.0.18 LibVLC/3.0.18` → `VLC 3.0.18`; a browser is called by its own name, not Mozilla. */
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
	// What newer versions of mpv say.
	return program === 'libmpv' ? 'mpv' : program;
}
