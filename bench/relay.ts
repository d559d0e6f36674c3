// A TCP relay on loopback that adds latency and limits the rate.
import {once} from 'node:events';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import type {TestContext} from 'node:test';
import {atEnd} from '../test/support/cleanup.ts';

export type Line = {
	/** Milliseconds. Opening a connection takes one round trip, like a TCP handshake. */
	readonly roundTripMs?: number;
	/** Rate of each connection, towards the client. */
	readonly bytesPerSecond?: number;
};

/** Bytes that a line delivers in one piece, unless its rate is higher per millisecond. */
const packet = 1460;
/** Timers have a resolution of one millisecond: bytes due sooner are delivered now, so none is later than that. */
const nearMs = 0.5;
/** Bytes in flight in one direction of one connection. */
const window = 4 * 1024 * 1024;

/** Resolves with the port that forwards to `target`. */
export async function startRelay(
	t: TestContext,
	target: number,
	{roundTripMs = 0, bytesPerSecond = Infinity}: Line,
): Promise<number> {
	const sockets = new Set<Socket>();
	const server = createServer({noDelay: true}, client => {
		const origin = connect({port: target, host: '127.0.0.1', noDelay: true});
		for (const [socket, other] of [
			[client, origin],
			[origin, client],
		] as const) {
			sockets.add(socket);
			// A reset on one side becomes a reset on the other.
			socket.on('error', () => other.destroy());
			socket.on('close', () => {
				sockets.delete(socket);
				if (!socket.readableEnded) {
					other.destroy();
				}
			});
		}

		forward(client, origin, roundTripMs / 2, Infinity, performance.now() + roundTripMs);
		forward(origin, client, roundTripMs / 2, bytesPerSecond, 0);
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(t, () => {
		server.close();
		for (const socket of sockets) {
			socket.destroy();
		}
	});
	return (server.address() as AddressInfo).port;
}

function forward(from: Socket, to: Socket, delayMs: number, bytesPerSecond: number, openAt: number): void {
	const line: Array<{bytes: Buffer; due: number}> = [];
	let onTheWay = 0;
	/** Time at which the line has accepted all its input. */
	let freeAt = openAt;
	let timer: NodeJS.Timeout | undefined;
	let ended = false;
	const deliver = () => {
		timer = undefined;
		const now = performance.now();
		while (line[0] && line[0].due <= now + nearMs && !to.writableNeedDrain) {
			const {bytes} = line.shift()!;
			onTheWay -= bytes.length;
			to.write(bytes);
		}

		if (from.isPaused() && onTheWay < window) {
			from.resume();
		}

		if (line[0] && !to.writableNeedDrain) {
			timer = setTimeout(deliver, Math.round(line[0].due - now));
		} else if (!line[0] && ended) {
			to.end();
		}
	};

	const piece = Math.max(packet, bytesPerSecond / 1000);
	from.on('data', data => {
		freeAt = Math.max(freeAt, performance.now());
		for (let at = 0; at < data.length; at += piece) {
			const bytes = data.subarray(at, at + piece);
			freeAt += (bytes.length / bytesPerSecond) * 1000;
			line.push({bytes, due: freeAt + delayMs});
		}

		onTheWay += data.length;
		if (onTheWay >= window) {
			from.pause();
		}

		if (!timer && !to.writableNeedDrain) {
			deliver();
		}
	});
	to.on('drain', () => !timer && deliver());
	from.on('end', () => {
		ended = true;
		if (!timer) {
			deliver();
		}
	});
	to.on('close', () => clearTimeout(timer));
}
