// Repairs of undici 7 at its sockets.
import type {Socket} from 'node:net';

/**
 * Two faults at the end of a connection. The parser asserts that it is not paused (nodejs/undici#5360, fixed in 8, which
 * does not run on Node 20), so an origin that closes while the reader is slow would end the process: here, the end is
 * delayed until the preceding bytes were read. And a reset passes as the clean end of a body without a length: here, it
 * is an error.
 */
export function delayEnd(socket: Socket): void {
	// Otherwise the socket would be destroyed before the received bytes were read.
	socket.allowHalfOpen = true;
	const on = socket.on.bind(socket) as (event: string, listener: Listener) => Socket;
	socket.on = (event: string, listener: Listener) => on(event, guardedListener(socket, event, listener));
}

/** undici writes `host:` and `connection:`. Every string written here is the head of a request without a body. */
export function writeUsualCase(socket: Socket): void {
	const write = socket.write.bind(socket) as (data: unknown, ...rest: unknown[]) => boolean;
	socket.write = (data: unknown, ...rest: unknown[]) =>
		write(
			typeof data === 'string'
				? data.replace('\r\nhost: ', '\r\nHost: ').replace('\r\nconnection: ', '\r\nConnection: ')
				: data,
			...rest,
		);
}

// oxlint-disable-next-line typescript/no-explicit-any -- the arguments of a listener depend on its event
type Listener = (...values: any[]) => void;

const pausedPollMs = 10;

function guardedListener(socket: Socket, event: string, listener: Listener): Listener {
	const end = () => {
		try {
			listener.call(socket);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ERR_ASSERTION') {
				throw error;
			}

			// Reading the response to its end releases the socket.
			setTimeout(() => socket.destroyed || end(), pausedPollMs);
		}
	};
	const fail = (error: NodeJS.ErrnoException) => {
		listener.call(
			socket,
			error.code === 'ECONNRESET' ? new Error('connection reset', {cause: error}) : error,
		);
	};
	const guards: Partial<Record<string, Listener>> = {end, error: fail};
	const guard = guards[event];
	// `removeListener` finds wrappers by their `listener` property, as it does for `once`.
	return guard ? Object.assign(guard, {listener}) : listener;
}
