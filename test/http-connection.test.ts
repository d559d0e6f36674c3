import assert from 'node:assert/strict';
import {EventEmitter} from 'node:events';
import {syncBuiltinESMExports} from 'node:module';
import net, {type OnReadOpts} from 'node:net';
import {test, type TestContext} from 'node:test';
import * as fc from 'fast-check';
import {HttpConnection} from '../source/engine/http/connection.ts';

const KiB = 1024;

/** What a connection sees of the system: reads into the memory that it offers, until it says stop. */
class FakeSocket extends EventEmitter {
	readonly #onread: OnReadOpts;
	isReading = true;

	constructor(onread: OnReadOpts) {
		super();
		this.#onread = onread;
		setImmediate(() => this.emit('connect'));
	}

	/** TLS goes on with what it has decrypted after a stop. */
	receive(length: number): void {
		const room = (this.#onread.buffer as () => Uint8Array)();
		assert.ok(room.length >= length, `${room.length} bytes of room for ${length}`);
		if (!this.#onread.callback(length, room)) {
			this.isReading = false;
		}
	}

	resume(): void {
		this.isReading = true;
	}

	destroy(): void {}
}

async function connect(t: TestContext): Promise<{socket: FakeSocket; connection: HttpConnection}> {
	let socket: FakeSocket | undefined;
	t.mock.method(net, 'connect', ({onread}: {onread: OnReadOpts}) => (socket = new FakeSocket(onread)));
	syncBuiltinESMExports();
	try {
		const connection = await HttpConnection.open(new URL('http://127.0.0.1/'), {
			tls: {},
			timeout: 10_000,
			signal: new AbortController().signal,
		});
		return {socket: socket!, connection};
	} finally {
		t.mock.restoreAll();
		syncBuiltinESMExports();
	}
}

test('a connection reads on once everything was taken, whatever came after it had stopped', async t => {
	// Lengths of what is received; 0 takes.
	const step = fc.oneof(fc.constantFrom(0, 16 * KiB, 64 * KiB), fc.integer({min: 1, max: 64 * KiB}));
	await fc.assert(
		fc.asyncProperty(fc.array(step, {minLength: 5, maxLength: 60}), async steps => {
			// Its blocks grow once, when the first ones were filled fast.
			const {socket, connection} = await connect(t);
			const take = async () =>
				(await connection.take(10_000, () => new Error('nothing came'), {bytes: 0, milliseconds: 0}))!.length;
			let waiting = 0;
			let afterStop = 0;
			for (const length of steps) {
				afterStop = socket.isReading ? 0 : afterStop + length;
				if (length === 0 && waiting > 0) {
					waiting -= await take();
				} else if (length > 0 && afterStop <= 64 * KiB) {
					socket.receive(length);
					waiting += length;
				}
			}

			while (waiting > 0) {
				waiting -= await take();
			}

			connection.destroy(new Error('the test is over'));
			assert.ok(socket.isReading);
		}),
		{numRuns: 500, interruptAfterTimeLimit: 4000, markInterruptAsFailure: false},
	);
});
