// The control socket of an mpv, beside the link of an engine.
import type {Socket} from 'node:net';
import readline from 'node:readline';

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
