// Connections to programs that have just been started.
import {once} from 'node:events';
import {connect, type NetConnectOpts, type Socket} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';

/** Resolves with a connection once the program listens. */
export async function connected(to: NetConnectOpts): Promise<Socket> {
	for (;;) {
		const socket = connect(to);
		try {
			await once(socket, 'connect');
			socket.on('error', () => undefined);
			return socket;
		} catch {
			await sleep(50);
		}
	}
}
