// The control socket of a player (mpv's JSON IPC): observes playback and sends two commands only, since mpv's socket can run
// programs.
import type {Socket} from 'node:net';
import {cleanText} from '../../text/clean-text.ts';

/** Times are milliseconds from the start of the film. */
export type PlayerState = {
	/** Such as `mpv 0.38.0`. Untrusted. */
	readonly name: string;
	/** The URL or file being played; undefined between two of them. */
	readonly path: string | undefined;
	readonly positionMs: number | undefined;
	readonly durationMs: number | null;
	readonly paused: boolean;
	readonly speed: number;
	/** Waits for bytes. */
	readonly stalled: boolean;
	readonly stalls: number;
	/** The language of the shown subtitles. Untrusted. */
	readonly subtitles: string | null;
	/** Played to the end. */
	readonly hasEnded: boolean;
};

type MpvLinkEvents = {
	/** The state has changed. The first change is reported at once, further ones at most every `notifyMs`. */
	changed(): void;
	/** The player has ended, or does not speak the protocol. Called once. */
	ended(): void;
};

/** No message of a player is longer. */
const maxLine = 64 * 1024;
const pollMs = 1000;
const notifyMs = 500;
const replyMs = 5000;
/** Requests without a reply. A player replies within milliseconds. */
const maxPending = 64;
/** mpv reports changes of these properties. It would report the position with each frame, so the position is polled. */
const observed = [
	...(['path', 'duration', 'pause', 'speed', 'paused-for-cache', 'eof-reached'] as const),
	'current-tracks/sub/lang',
] as const;
/** Characters of a name or language. */
const maxText = 40;
/** At the end of a film the last polled position is at most this old, in milliseconds at normal speed, on a busy machine. */
const endMs = 10_000;
/** Fraction of the duration, which players only estimate for some audio files. */
const endShare = 0.08;

const nothing = {
	positionMs: undefined,
	durationMs: null,
	stalled: false,
	stalls: 0,
	hasEnded: false,
} satisfies Partial<PlayerState>;

type Message = Readonly<Record<string, unknown>>;

export class MpvLink {
	readonly #socket: Socket;
	readonly #events: MpvLinkEvents;
	readonly #replies = new Map<number, (message: Message) => void>();
	readonly #pollTimer: NodeJS.Timeout;
	#state: PlayerState = {
		...{name: 'mpv', path: undefined, paused: false, speed: 1, subtitles: null},
		...nothing,
	};
	/** The earliest observed position in this film. */
	#earliestMs = Infinity;
	#lastRequest = 0;
	#isPolling = false;
	#rest = '';
	#notifyTimer: NodeJS.Timeout | undefined;
	#isNotified = true;

	/** `socket` is connected. */
	constructor(socket: Socket, events: MpvLinkEvents) {
		this.#socket = socket;
		this.#events = events;
		socket.setEncoding('utf8');
		socket.on('data', (text: string) => this.#read(text));
		// The close event follows.
		socket.on('error', () => undefined);
		socket.on('close', () => this.#end());
		this.#pollTimer = setInterval(() => {
			if (!this.#state.paused) {
				this.#poll();
			}
		}, pollMs).unref();
		for (const [index, name] of observed.entries()) {
			this.#send(['observe_property', index + 1, name]);
		}

		void this.#get('mpv-version', data => {
			// `mpv v0.38.0-dirty` of some builds.
			this.#change({
				name: text(data)
					.slice(0, maxText)
					.replace(/^mpv v?([\d.]+).*/s, 'mpv $1'),
			});
		});
	}

	get state(): PlayerState {
		return this.#state;
	}

	/** Resolves when the player has accepted the command. Rejects with one sentence if it refuses or does not respond. */
	async seek(ms: number): Promise<void> {
		await this.#command(['seek', ms / 1000, 'absolute']);
		this.#change({positionMs: ms, hasEnded: false});
		this.#notify();
	}

	/** As `seek`. */
	async setPaused(paused: boolean): Promise<void> {
		await this.#command(['set_property', 'pause', paused]);
		this.#change({paused});
		this.#notify();
	}

	/** Disconnects; playback continues. */
	close(): void {
		this.#socket.destroy();
	}

	#end(): void {
		this.#notify();
		clearInterval(this.#pollTimer);
		clearTimeout(this.#notifyTimer);
		for (const reply of this.#replies.values()) {
			reply({error: 'the player has quit'});
		}

		this.#replies.clear();
		this.#events.ended();
	}

	#read(text: string): void {
		const lines = (this.#rest + text).split('\n');
		this.#rest = lines.pop()!;
		if (this.#rest.length > maxLine || lines.some(line => line.length > maxLine)) {
			this.close();
			return;
		}

		for (const line of lines) {
			if (!this.#socket.destroyed && line !== '') {
				try {
					this.#receive(parseMessage(line));
				} catch {
					this.close();
				}
			}
		}
	}

	/** Throws for an invalid message. */
	#receive(message: Message): void {
		const {event, name, data, reason, request_id: id} = message;
		if (event === 'property-change') {
			this.#observe(name, data);
		} else if (event === 'playback-restart') {
			this.#poll();
		} else if (event === 'end-file' && reason === 'eof') {
			this.#reachEnd();
		} else if (typeof id === 'number') {
			this.#replies.get(id)?.(message);
			this.#replies.delete(id);
		}
	}

	#observe(name: unknown, data: unknown): void {
		switch (name) {
			case 'duration':
				this.#change({durationMs: milliseconds(data) ?? null});
				break;
			case 'pause':
				this.#change({paused: flag(data)});
				this.#poll();
				break;
			case 'speed':
				this.#change({speed: positive(data)});
				break;
			case 'paused-for-cache': {
				const stalled = flag(data);
				const {stalls} = this.#state;
				this.#change({stalled, stalls: stalls + (stalled && !this.#state.stalled ? 1 : 0)});
				break;
			}

			case 'eof-reached':
				if (flag(data)) {
					this.#reachEnd();
				} else if (data === false) {
					this.#change({hasEnded: false});
				}

				break;
			case 'current-tracks/sub/lang':
				this.#change({subtitles: isAbsent(data) ? null : text(data).slice(0, maxText)});
				break;
			case 'path':
				this.#open(data);
				break;
			default:
		}
	}

	#open(data: unknown): void {
		const path = isAbsent(data) ? undefined : text(data);
		if (path !== this.#state.path) {
			this.#earliestMs = Infinity;
			this.#change({path, ...nothing});
			this.#notify();
			// mpv reports only changes, and two films may have the same duration.
			void this.#get('duration', duration => this.#observe('duration', duration));
			this.#poll();
		}
	}

	/** A player started past the end has played nothing, and a stream that is cut off ends too. */
	#reachEnd(): void {
		if (this.#hasPlayed && isNearEnd(this.#state)) {
			this.#change({hasEnded: true});
			this.#notify();
		}
	}

	get #hasPlayed(): boolean {
		return this.#earliestMs < (this.#state.durationMs ?? Infinity);
	}

	#poll(): void {
		if (this.#isPolling || this.#state.path === undefined) {
			return;
		}

		this.#isPolling = true;
		const {path} = this.#state;
		const polled = this.#get('time-pos', data => {
			if (path === this.#state.path) {
				this.#move(milliseconds(data));
			}
		});
		void polled.finally(() => {
			this.#isPolling = false;
		});
	}

	#move(ms: number | undefined): void {
		if (ms !== undefined && !this.#state.hasEnded) {
			this.#earliestMs = Math.min(this.#earliestMs, ms);
			this.#change({positionMs: this.#hasPlayed ? ms : 0});
		}
	}

	#change(change: Partial<PlayerState>): void {
		const {state} = this;
		const keys = Object.keys(change) as Array<keyof PlayerState>;
		if (keys.every(key => state[key] === change[key])) {
			return;
		}

		this.#state = {...state, ...change};
		this.#isNotified = false;
		if (this.#notifyTimer === undefined) {
			this.#notify();
		}
	}

	#notify(): void {
		clearTimeout(this.#notifyTimer);
		this.#notifyTimer = undefined;
		if (!this.#isNotified) {
			this.#isNotified = true;
			this.#notifyTimer = setTimeout(() => this.#notify(), notifyMs).unref();
			this.#events.changed();
		}
	}

	/** Resolves after the property was read, if it is available. */
	async #get(name: string, read: (data: unknown) => void): Promise<void> {
		const {error, data} = await this.#request(['get_property', name]);
		if (error === 'success') {
			try {
				read(data);
			} catch {
				this.close();
			}
		}
	}

	async #command(command: readonly unknown[]): Promise<void> {
		const {error} = await this.#request(command);
		if (error !== 'success') {
			throw new Error(`The player did not accept the command: ${cleanText(String(error).slice(0, 100))}`);
		}
	}

	/** Resolves with the reply, or with an error in its place. */
	#request(command: readonly unknown[]): Promise<Message> {
		if (this.#replies.size >= maxPending) {
			this.close();
		}

		return new Promise(resolve => {
			const id = this.#send(command);
			const timer = setTimeout(() => {
				this.#replies.delete(id);
				resolve({error: 'no response'});
			}, replyMs).unref();
			this.#replies.set(id, message => {
				clearTimeout(timer);
				resolve(message);
			});
		});
	}

	#send(command: readonly unknown[]): number {
		const id = ++this.#lastRequest;
		this.#socket.write(`${JSON.stringify({command, request_id: id})}\n`);
		return id;
	}
}

function isNearEnd({positionMs = Infinity, durationMs, speed}: PlayerState): boolean {
	const duration = durationMs ?? 0;
	return duration - positionMs <= Math.max(endMs * speed, endShare * duration);
}

/** Of a property that is not available. */
function isAbsent(data: unknown): data is undefined | null {
	return data === undefined || data === null;
}

function parseMessage(line: string): Message {
	const message: unknown = JSON.parse(line);
	if (typeof message !== 'object' || message === null || Array.isArray(message)) {
		throw new TypeError('no message');
	}

	return message as Message;
}

/** Of seconds; undefined for a property that is not available. Players report times slightly before the start. */
function milliseconds(data: unknown): number | undefined {
	if (isAbsent(data)) {
		return undefined;
	}

	const ms = typeof data === 'number' ? Math.max(0, Math.round(data * 1000)) : NaN;
	if (!Number.isSafeInteger(ms)) {
		throw new TypeError('no time');
	}

	return ms;
}

function flag(data: unknown): boolean {
	if (!isAbsent(data) && typeof data !== 'boolean') {
		throw new TypeError('no flag');
	}

	return data === true;
}

function positive(data: unknown): number {
	if (isAbsent(data)) {
		return 1;
	}

	if (typeof data !== 'number' || !(data > 0) || !Number.isFinite(data)) {
		throw new TypeError('no speed');
	}

	return data;
}

function text(data: unknown): string {
	if (typeof data !== 'string') {
		throw new TypeError('no text');
	}

	return data;
}
