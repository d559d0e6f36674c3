import assert from 'node:assert/strict';
import {EventEmitter, once} from 'node:events';
import {syncBuiltinESMExports} from 'node:module';
import net, {type OnReadOpts} from 'node:net';
import {test, type TestContext} from 'node:test';
import {setImmediate as tick, setTimeout as sleep} from 'node:timers/promises';
import * as fc from 'fast-check';
import {HttpConnection, type Coalescing} from '../source/engine/http/connection.ts';
import {blockSizes} from '../source/engine/memory/buffers.ts';

const KiB = 1024;

/** The socket as a connection sees it: delivers reads into the offered memory until told to stop. */
class FakeSocket extends EventEmitter {
	readonly #onread: OnReadOpts;
	isReading = true;

	constructor(onread: OnReadOpts) {
		super();
		this.#onread = onread;
		setImmediate(() => this.emit('connect'));
	}

	/** Bytes. */
	get room(): number {
		return (this.#onread.buffer as () => Uint8Array)().length;
	}

	/** After a stop, TLS still delivers what it has decrypted. */
	receive(length: number): void {
		const room = (this.#onread.buffer as () => Uint8Array)();
		assert.ok(room.length >= length, `${room.length} bytes of room for ${length}`);
		if (!this.#onread.callback(length, room)) {
			this.isReading = false;
		}
	}

	resume(): void {
		this.isReading = true;
		this.emit('resume');
	}

	destroy(): void {}
}

type Connected = {readonly socket: FakeSocket; readonly connection: HttpConnection};

async function connect(t: TestContext): Promise<Connected> {
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

test('a paused connection resumes when all bytes were taken, even those received after the pause', async t => {
	// Lengths of received pieces; 0 stands for a take.
	const step = fc.oneof(fc.constantFrom(0, 16 * KiB, 64 * KiB), fc.integer({min: 1, max: 64 * KiB}));
	await fc.assert(
		fc.asyncProperty(fc.array(step, {minLength: 5, maxLength: 60}), async steps => {
			// Blocks grow once the first ones were filled fast.
			const {socket, connection} = await connect(t);
			const take = async () =>
				(await connection.take(10_000, nothing, () => ({bytes: 0, milliseconds: 0, restMs: 0})))!.length;
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

test('hundreds of open connections share the memory that few may use', async t => {
	const all: Connected[] = [];
	for (let count = 0; count < 300; count++) {
		all.push(await connect(t));
	}

	assert.equal(all[0]!.socket.room, blockSizes.usual);
	assert.equal(all.at(-1)!.socket.room, blockSizes.least);
	await fillSlowly(all[0]!, background);
	assert.equal(all[0]!.socket.room, blockSizes.least, 'a next block');
	for (const {socket, connection} of all) {
		connection.destroy(new Error('the test is over'));
		socket.emit('close');
	}

	const alone = await connect(t);
	assert.equal(alone.socket.room, blockSizes.usual);
	alone.connection.destroy(new Error('the test is over'));
});

const background: Coalescing = {bytes: 1024 * KiB, milliseconds: 25, restMs: 25};
/** The delay is longer than any test. */
const patient: Coalescing = {...background, milliseconds: 60_000};

function nothing(): Error {
	return new Error('no bytes received');
}

/** Fills a block at less than 6 MB/s, and waits for more. */
async function fillSlowly({socket, connection}: Connected, coalescing: Coalescing): Promise<void> {
	const take = () => connection.take(10_000, nothing, () => coalescing);
	const taking = take();
	await sleep(50);
	for (let filled = 0; filled < blockSizes.usual; filled += 64 * KiB) {
		socket.receive(64 * KiB);
	}

	await taking;
	take().catch(() => undefined);
}

test('a slow connection is not read for a while after each read, unless a reader waits', async t => {
	const resting = await connect(t);
	await fillSlowly(resting, background);
	resting.socket.receive(KiB);
	assert.ok(!resting.socket.isReading);
	await once(resting.socket, 'resume');
	assert.ok(resting.socket.isReading);
	resting.connection.destroy(new Error('the test is over'));

	const hurrying = await connect(t);
	await fillSlowly(hurrying, {...background, restMs: 0});
	hurrying.socket.receive(KiB);
	assert.ok(hurrying.socket.isReading);
	hurrying.connection.destroy(new Error('the test is over'));
});

test('fewer bytes accumulate where rests slow the connection down', async t => {
	const began = performance.now();
	const connected = await connect(t);
	const {socket, connection} = connected;
	// Less than may accumulate at first.
	const coalescing = {...background, bytes: 100 * KiB};
	// Too slow for a larger block.
	await sleep(150);
	await fillSlowly(connected, coalescing);
	socket.receive(KiB);
	assert.equal(socket.isReading, true);
	await sleep(Math.max(600, 2 * (performance.now() - began)));
	await fillSlowly(connected, coalescing);
	socket.receive(KiB);
	assert.equal(socket.isReading, false);
	connection.destroy(new Error('the test is over'));
});

test('a connection that even short rests slow down is read without rests, unless the origin has become slower', async t => {
	const slow = 1000;
	const fast = 200;
	for (const [withoutRests, restsAfterwards] of [
		[fast, false],
		[slow, true],
	] as const) {
		const {socket, connection} = await connect(t);
		let now = performance.now();
		const clock = t.mock.method(performance, 'now', () => now);
		/** Resolves with whether a rest followed, once it is over. */
		const restsAfterPiece = async (bytes: number) => {
			const taking = connection.take(10_000, nothing, () => background);
			socket.receive(bytes);
			const rests = !socket.isReading;
			await Promise.all([taking, rests && once(socket, 'resume')]);
			return rests;
		};
		/** Fills the block within milliseconds; resolves with whether the connection rests then. */
		const restsAfter = async (milliseconds: number) => {
			now += milliseconds;
			for (let pieces = 0; pieces < 3; pieces++) {
				await restsAfterPiece(64 * KiB);
			}

			return restsAfterPiece(KiB);
		};

		await restsAfterPiece(KiB);
		assert.equal(await restsAfter(fast), true);
		assert.equal(await restsAfter(slow), true, 'fewer bytes gather');
		assert.equal(await restsAfter(slow), false, 'the next block is read without rests');
		assert.equal(await restsAfter(withoutRests), restsAfterwards);
		assert.equal(await restsAfter(slow), restsAfterwards);
		connection.destroy(new Error('the test is over'));
		clock.mock.restore();
	}
});

test('the end of a body is read without a rest', async t => {
	const {socket, connection} = await connect(t);
	await fillSlowly({socket, connection}, {...background, bytes: 20 * KiB});
	socket.receive(KiB);
	assert.ok(socket.isReading);
	connection.destroy(new Error('the test is over'));
});

test('a full block is delivered at once', async t => {
	const {socket, connection} = await connect(t);
	const take = async () => (await connection.take(10_000, nothing, () => patient))!.length;
	const first = take();
	await tick();
	socket.receive(63 * KiB);
	assert.equal(await first, 63 * KiB);
	const next = take();
	for (let pieces = 0; pieces < 3; pieces++) {
		socket.receive(44 * KiB);
	}

	assert.equal(await next, 132 * KiB);
	connection.destroy(new Error('the test is over'));
});

test('small pieces are no longer delayed once a reader waits', async t => {
	const {socket, connection} = await connect(t);
	let coalescing = patient;
	const take = async () => (await connection.take(10_000, nothing, () => coalescing))!.length;
	const first = take();
	await tick();
	socket.receive(63 * KiB);
	assert.equal(await first, 63 * KiB);
	const next = take();
	socket.receive(KiB);
	coalescing = {bytes: 512 * KiB, milliseconds: 2, restMs: 0};
	socket.receive(KiB);
	assert.equal(await next, 2 * KiB);
	connection.destroy(new Error('the test is over'));
});
