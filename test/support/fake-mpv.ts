// A player with mpv's protocol on a socket, without a film: tests set its properties.
import {once} from 'node:events';
import {createServer, type Server, type Socket} from 'node:net';
import type {TestContext} from 'node:test';
import {removeSocket} from '../../source/engine/player/socket-folder.ts';
import {atEnd} from './cleanup.ts';

type Command = readonly [name: string, ...args: readonly unknown[]];

export class FakeMpv {
	/** The received commands. */
	readonly commands: Command[] = [];
	readonly #properties: Record<string, unknown> = {'mpv-version': 'mpv 0.38.0', pause: false, speed: 1};
	readonly #observed = new Set<string>();
	readonly #server: Server;
	#socket: Socket | undefined;

	readonly #path: string;

	static async listen(
		t: TestContext,
		path: string,
		properties: Readonly<Record<string, unknown>> = {},
	): Promise<FakeMpv> {
		const player = new FakeMpv(path, properties);
		await once(player.#server, 'listening');
		atEnd(t, () => player.quit());
		return player;
	}

	private constructor(path: string, properties: Readonly<Record<string, unknown>>) {
		this.#path = path;
		Object.assign(this.#properties, properties);
		this.#server = createServer(socket => {
			this.#socket = socket;
			let rest = '';
			socket.setEncoding('utf8').on('data', (text: string) => {
				const lines = (rest + text).split('\n');
				rest = lines.pop()!;
				for (const line of lines) {
					this.#obey(JSON.parse(line) as {command: Command; request_id: number});
				}
			});
			socket.on('error', () => undefined);
		});
		this.#server.listen(path);
	}

	/** Changes properties, and reports observed ones. */
	set(properties: Readonly<Record<string, unknown>>): void {
		Object.assign(this.#properties, properties);
		for (const [name, data] of Object.entries(properties)) {
			if (this.#observed.has(name)) {
				this.send({event: 'property-change', id: 1, name, data});
			}
		}
	}

	/** Sends messages. */
	send(...messages: readonly object[]): void {
		this.write(messages.map(message => `${JSON.stringify(message)}\n`).join(''));
	}

	/** Sends any text. */
	write(text: string): void {
		this.#socket?.write(text);
	}

	/** Ends like an exiting process. */
	async quit(): Promise<void> {
		this.#socket?.destroy();
		if (this.#server.listening) {
			this.#server.close();
			await once(this.#server, 'close');
		}

		await removeSocket(this.#path);
	}

	#obey({command, request_id: id}: {command: Command; request_id: number}): void {
		this.commands.push(command);
		const [name, first, second] = command;
		if (name === 'get_property') {
			const data = this.#properties[String(first)];
			const error = data === undefined ? 'property unavailable' : 'success';
			this.send({request_id: id, error, ...(data !== undefined && {data})});
			return;
		}

		this.send({request_id: id, error: 'success'});
		if (name === 'observe_property') {
			this.#observed.add(String(second));
			this.set({[String(second)]: this.#properties[String(second)]});
		} else if (name === 'set_property') {
			this.set({[String(first)]: second});
		} else if (name === 'seek') {
			this.set({'time-pos': first});
			this.send({event: 'seek'}, {event: 'playback-restart'});
		}
	}
}
