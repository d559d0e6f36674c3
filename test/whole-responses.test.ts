// Origins that send the whole file for a Range, once or always.
import assert from 'node:assert/strict';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {suite, test, type TestContext} from 'node:test';
import type {Download} from '../source/downstream.ts';
import type {Engine} from '../source/engine/engine.ts';
import {firstWrongByte} from './support/content.ts';
import {downloadOf, startEngine, startOrigin, temporaryFolder, until, untilEnded} from './support/engines.ts';
import type {OriginOptions, TestOrigin} from './support/origin.ts';

const MiB = 1024 * 1024;
const size = 6 * MiB;
const timeout = 60_000;
const acceptsRanges = {'accept-ranges': 'bytes'};

/** Sends the whole file at `bytesPerSecond`, for the first `times` requests. */
async function startWholeOrigin(
	t: TestContext,
	times: number,
	{bytesPerSecond, ...options}: Partial<OriginOptions> = {},
): Promise<TestOrigin> {
	let count = 0;
	const origin = await startOrigin(t, {
		size,
		etag: '"v1"',
		headers: acceptsRanges,
		...options,
		async intercept(_request, response, record) {
			if (count++ >= times) {
				return false;
			}

			const {etag, headers} = origin.options;
			response.writeHead(200, {...headers, 'content-length': size, ...(etag === undefined ? {} : {etag})});
			await origin.send(response, {start: 0, end: size}, record, {bytesPerSecond});
			response.end();
			return true;
		},
	});
	return origin;
}

/** `how`: `a reset`, or a status. */
function refuse(how: string, {socket}: IncomingMessage, response: ServerResponse): true {
	if (how === 'a reset') {
		socket.resetAndDestroy();
	} else {
		response.writeHead(Number(how)).end();
	}

	return true;
}

async function assertBytes(url: string, start: number, end: number): Promise<void> {
	const response = await fetch(url, {headers: {range: `bytes=${start}-${end - 1}`}});
	const bytes = Buffer.from(await response.arrayBuffer());
	assert.equal(bytes.length, end - start);
	assert.equal(firstWrongByte(bytes, start), -1);
}

/** Plays two places of a file whose first response disproves no ranges. */
async function assertSeekable(engine: Engine, {id, streamUrl}: Download): Promise<void> {
	await assertBytes(streamUrl, 0, 1000);
	await assertBytes(streamUrl, 5 * MiB, 5 * MiB + 100_000);
	const {acceptsRanges, lastError} = downloadOf(engine, id);
	assert.deepEqual([acceptsRanges, lastError], [true, null]);
}

/** Downloads and plays a file that the origin sends only as a whole. */
async function assertReadInOrder(t: TestContext, origin: TestOrigin, maxRequests: number): Promise<void> {
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	await assertBytes(download.streamUrl, 0, 1000);
	await assertBytes(download.streamUrl, 5 * MiB, 5 * MiB + 100_000);
	const done = await untilEnded(engine, download.id);
	assert.deepEqual([done.status, done.acceptsRanges, done.error], ['complete', false, null]);
	assert.ok(origin.requests.length <= maxRequests, `${origin.requests.length} requests`);
	assert.ok(origin.bytesSent < 2 * size, `${origin.bytesSent} bytes`);
	await assertBytes(download.streamUrl, 0, size);
}

// Both wait for a slow origin.
suite('a cache miss', {concurrency: true}, () => {
	for (const etag of ['"v1"', undefined]) {
		test(
			`a whole response from a cache miss does not disprove ranges, and a seek asks again (${etag ?? 'no ETag'})`,
			{timeout},
			async t => {
				const origin = await startWholeOrigin(t, 1, {bytesPerSecond: 500_000, etag});
				const {engine} = await startEngine(t);
				const {download} = await engine.add({url: origin.url, onDemand: true});
				await assertSeekable(engine, download);
				await engine.update(download.id, {onDemand: false});
				const done = await untilEnded(engine, download.id);
				assert.equal(done.status, 'complete');
				assert.ok(origin.bytesSent < 2 * size, `${origin.bytesSent} bytes`);
				await assertBytes(download.streamUrl, 0, size);
			},
		);
	}
});

test('an origin that only claims to accept ranges is read in order, once', {timeout}, async t => {
	const origin = await startWholeOrigin(t, Infinity, {bytesPerSecond: 3 * MiB});
	await assertReadInOrder(t, origin, 5);
});

test('the next run requests a range again', {timeout}, async t => {
	const storageDir = await temporaryFolder(t);
	const origin = await startWholeOrigin(t, 1, {bytesPerSecond: MiB});
	const first = await startEngine(t, {storageDir});
	const {download} = await first.engine.add({url: origin.url});
	const known = await until(first.engine, download.id, ({present}) => present > 100_000);
	assert.equal(known.acceptsRanges, false);
	await first.close();
	const second = await startEngine(t, {storageDir});
	const done = await untilEnded(second.engine, download.id);
	assert.deepEqual([done.status, done.acceptsRanges], ['complete', true]);
	await assertBytes(done.streamUrl, 0, size);
});

for (const status of [403, 416, 400, 501, 404, 502, 'reset', 'close'] as const) {
	test(`an origin that answers ${status} to a Range from a later byte is read whole`, {timeout}, async t => {
		const origin = await startOrigin(t, {
			size,
			intercept(request, response, {range}) {
				if (!range || range.start === 0) {
					return false;
				}

				if (status === 'reset') {
					request.socket.resetAndDestroy();
				} else if (status === 'close') {
					request.socket.end();
				} else {
					response.writeHead(status).end();
				}

				return true;
			},
		});
		const {engine} = await startEngine(t);
		const {download} = await engine.add({url: origin.url});
		const done = await untilEnded(engine, download.id);
		assert.deepEqual([done.status, done.acceptsRanges, done.error], ['complete', false, null]);
		await assertBytes(download.streamUrl, 0, size);
	});
}

test('a whole response beside working connections closes none of them', {timeout}, async t => {
	const large = 64 * MiB;
	let wholes = 0;
	const origin = await startOrigin(t, {
		size: large,
		etag: '"v1"',
		bytesPerSecond: 2 * MiB,
		intercept(_request, response, {range}) {
			if (wholes > 0 || !range || range.start === 0) {
				return false;
			}

			wholes++;
			response.writeHead(200, {'content-length': large, etag: '"v1"'}).write('x');
			return true;
		},
	});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, connections: 4});
	await until(engine, download.id, ({lastError}) => lastError !== null);
	const {status} = await until(engine, download.id, ({connections}) => connections === 4);
	assert.deepEqual([status, wholes], ['active', 1]);
});

for (const words of ['a reset', '403', '404', '502'] as const) {
	test(`${words} for the first Range does not disprove ranges, and a seek asks again`, {timeout}, async t => {
		let ranged = 0;
		const origin = await startOrigin(t, {
			size,
			etag: '"v1"',
			bytesPerSecond: 500_000,
			intercept(request, response, {range}) {
				if (!range || ranged++ > 0) {
					return false;
				}

				return refuse(words, request, response);
			},
		});
		const {engine} = await startEngine(t);
		const {download} = await engine.add({url: origin.url, onDemand: true});
		await assertSeekable(engine, download);
		assert.ok(origin.bytesSent < size, `${origin.bytesSent} bytes`);
	});

	test(
		`an origin that claims ranges and answers each with ${words} is soon read whole`,
		{timeout},
		async t => {
			const origin = await startOrigin(t, {
				size,
				etag: '"v1"',
				bytesPerSecond: 3 * MiB,
				intercept(request, response, {range}) {
					if (!range) {
						return false;
					}

					return refuse(words, request, response);
				},
			});
			await assertReadInOrder(t, origin, 8);
		},
	);
}
