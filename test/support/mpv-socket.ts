// The control socket of an mpv, beside the link of an engine.
import {once} from 'node:events';
import {connect, type Socket} from 'node:net';
import readline from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';

/** Resolves with a connection once mpv listens. */
export async function connectMpv(path: string): Promise<Socket> {
	for (;;) {
		const socket = connect(path);
		try {
			await once(socket, 'connect');
			socket.on('error', () => undefined);
			return socket;
		} catch {
			await sleep(50);
		}
	}
}

/** Resolves with a property of an mpv; undefined if it has none. */
export async function askMpv(socket: Socket, name: string): Promise<unknown> {
	socket.write(`${JSON.stringify({command: ['get_property', name], request_id: 1})}\n`);
	const lines = readline.createInterface({input: socket});
	try {
		for await (const line of lines) {
			const {request_id: id, data} = JSON.parse(line) as {request_id?: number; data?: unknown};
			if (id === 1) {
				return data;
			}
		}
	} finally {
		lines.close();
	}

	return undefined;
}
