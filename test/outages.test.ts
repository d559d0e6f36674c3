// Requests during the outage of a host: each asks the origin at once, and no download is given up.
import assert from 'node:assert/strict';
import type {ServerResponse} from 'node:http';
import {suite, test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Download} from '../source/downstream.ts';
import {HttpDataSource} from '../source/engine/origin/http-source.ts';
import {firstWrongByte} from './support/content.ts';
import {
	downloadOf,
	startDownload,
	startEngine,
	startOrigin,
	type TestEngine,
	until,
	untilEnded,
} from './support/engines.ts';
import type {OriginOptions, TestOrigin} from './support/origin.ts';
import {read} from './support/read-stream.ts';

const MiB = 1024 * 1024;
const size = 4 * MiB;
const etag = '"v1"';
const timeout = 60_000;
/** Bytes, small: unread ranges stay missing. */
const readAhead = 64 * 1024;

type Intercept = NonNullable<OriginOptions['intercept']>;

const missing: Intercept = (_request, response) => {
	response.writeHead(404, {'content-length': 0}).end();
	return true;
};

const gone: Intercept = request => {
	request.socket.destroy();
	return true;
};

/** Caches the first MiB of the file; from then on the origin behaves as `intercept` says. */
async function holdBeginning(
	{engine}: TestEngine,
	origin: TestOrigin,
	intercept: Intercept,
): Promise<Download> {
	const {download} = await engine.add({url: origin.url, connections: 1, onDemand: true});
	await read(download.streamUrl, `bytes=0-${MiB - 1}`);
	await engine.pause(download.id);
	await engine.update(download.id, {onDemand: false});
	origin.options.intercept = intercept;
	return until(engine, download.id, ({connections}) => connections === 0);
}

test("a player's request asks the origin again despite a recorded refusal", {timeout}, async t => {
	const {origin, engine, download} = await startDownload(t, {size, etag, intercept: missing});
	const {streamUrl} = await until(engine, download.id, ({status}) => status === 'failed');
	origin.options.intercept = undefined;
	const {status, bytes} = await read(streamUrl);
	assert.deepEqual([status, bytes.length, firstWrongByte(bytes, 0)], [200, size, -1]);
	await until(engine, download.id, done => done.status === 'complete');
});

test('players retry a refusing origin once a second and get its current status', {timeout}, async t => {
	const {origin, engine, download} = await startDownload(t, {size, etag, intercept: missing});
	const {streamUrl} = await until(engine, download.id, ({status}) => status === 'failed');
	const began = performance.now();
	for (let round = 0; round < 3; round++) {
		const answers = await Promise.all(Array.from({length: 5}, () => read(streamUrl)));
		assert.ok(answers.every(({bytes}) => bytes.toString().includes('404')));
	}

	const seconds = (performance.now() - began) / 1000;
	// The first refusal is verified without Range.
	assert.ok(origin.requests.length <= 3 + seconds, `${origin.requests.length} requests in ${seconds} s`);
	assert.ok(origin.requests.length >= 4, `${origin.requests.length} requests`);
});

for (const [words, intercept] of [
	['refuses requests', missing],
	['closes connections', gone],
	[
		'sends Retry-After: 3600',
		(_request, response) => {
			response.writeHead(503, {'retry-after': '3600', 'content-length': 0}).end();
			return true;
		},
	],
] as Array<[string, Intercept]>) {
	test(`an origin that ${words} does not stop cached bytes, then the response is cut`, {timeout}, async t => {
		const origin = await startOrigin(t, {size, etag});
		const running = await startEngine(t, {readAhead});
		const {present, streamUrl, id} = await holdBeginning(running, origin, intercept);
		for (let round = 0; round < 2; round++) {
			const held = await read(streamUrl, `bytes=0-${present - 1}`);
			assert.deepEqual([held.status, held.bytes.length, held.isCut], [206, present, false]);
			// `retry-policy.test.ts` tests how long a player waits for an unreachable host.
			if (intercept !== gone) {
				const {bytes, isCut} = await read(streamUrl);
				assert.deepEqual([isCut, bytes.length, firstWrongByte(bytes, 0)], [true, present, -1]);
			}
		}

		origin.options.intercept = undefined;
		const {bytes} = await read(streamUrl);
		assert.deepEqual([bytes.length, firstWrongByte(bytes, 0)], [size, -1]);
		assert.equal(downloadOf(running.engine, id).error, null);
	});
}

for (const [words, isKnown] of [
	['without a first response', false],
	['with cached bytes', true],
] as const) {
	test(
		`a player of a file ${words} gets the error of an unreachable host, and the download recovers`,
		{timeout},
		async t => {
			const origin = await startOrigin(t, {size, etag, intercept: isKnown ? undefined : gone});
			const running = await startEngine(t, {readAhead});
			const {engine} = running;
			const {download} = isKnown
				? {download: await holdBeginning(running, origin, gone)}
				: await engine.add({url: origin.url});
			await engine.resume(download.id);
			const {status, headers, bytes} = await read(download.streamUrl, `bytes=${3 * MiB}-`);
			assert.equal(status, 504, bytes.toString());
			assert.ok(Number(headers.get('retry-after')) >= 1);
			assert.match(bytes.toString(), /connection lost/);
			const waiting = await until(engine, download.id, ({retryAt}) => retryAt !== null);
			assert.equal(waiting.status, 'waiting');
			assert.ok(waiting.retryAt! > waiting.error!.at);
			origin.options.intercept = undefined;
			assert.equal((await read(download.streamUrl)).bytes.length, size);
			await until(engine, download.id, done => done.status === 'complete');
		},
	);
}

test('a player waits for a slow origin, and the response timeout grows', {timeout}, async t => {
	const origin = await startOrigin(t, {size: MiB, etag, latency: 1500});
	const {engine} = await startEngine(t, {responseTimeout: 400});
	const {download} = await engine.add({url: origin.url, onDemand: true});
	const {status, bytes} = await read(download.streamUrl);
	assert.deepEqual([status, bytes.length, firstWrongByte(bytes, 0)], [200, MiB, -1]);
	assert.equal(downloadOf(engine, download.id).lastError?.tries, 2);
});

test('samples of cached bytes have the timeout of other responses', {timeout}, async t => {
	const {
		origin,
		running: first,
		download,
	} = await startDownload(t, {size, bytesPerSecond: 2 * MiB}, {connections: 1});
	await until(first.engine, download.id, ({present}) => present > MiB);
	await first.close();
	origin.options.bytesPerSecond = undefined;
	origin.options.latency = 700;
	const second = await startEngine(t, {
		storageDir: first.storageDir,
		connections: 1,
		responseTimeout: 400,
	});
	await until(second.engine, download.id, ({status}) => status === 'complete');
});

test(
	'an unreachable host has one banner for all its downloads, without keys and flags',
	{timeout},
	async t => {
		const origin = await startOrigin(t, {size, etag, intercept: gone});
		const {engine} = await startEngine(t);
		const {download: a} = await engine.add({url: origin.urlOf('/a')});
		const {download: b} = await engine.add({url: origin.urlOf('/b')});
		await until(
			engine,
			a.id,
			() => downloadOf(engine, a.id).status === 'waiting' && downloadOf(engine, b.id).status === 'waiting',
		);
		assert.deepEqual(engine.snapshot.banners, [
			`127.0.0.1:${origin.port} cannot be reached. 2 downloads wait and will continue.`,
		]);
	},
);

test('adding a URL again retries it and resumes a paused download', {timeout}, async t => {
	const {origin, engine, download} = await startDownload(t, {size, etag, intercept: missing});
	await until(engine, download.id, ({status}) => status === 'failed');
	await engine.add({url: origin.url, paused: true});
	assert.equal(downloadOf(engine, download.id).status, 'failed');
	origin.options.intercept = undefined;
	assert.equal((await engine.add({url: origin.url})).existed, true);
	await until(engine, download.id, ({status}) => status === 'complete');
	const {download: paused} = await engine.add({url: origin.urlOf('/other'), paused: true});
	await engine.add({url: origin.urlOf('/other')});
	await until(engine, paused.id, ({status}) => status === 'complete');
});

test('a removed failed download retries when added again', {timeout}, async t => {
	const {origin, engine, download} = await startDownload(t, {size, etag, intercept: missing});
	await until(engine, download.id, ({status}) => status === 'failed');
	await engine.remove(download.id, {data: 'keep'});
	origin.options.intercept = undefined;
	await engine.add({url: origin.url});
	await until(engine, download.id, ({status}) => status === 'complete');
});

test("a player's request by URL does not resume a paused download", {timeout}, async t => {
	const origin = await startOrigin(t, {size, etag});
	const {engine, proxy} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, paused: true});
	const {bytes} = await read(
		`${proxy.origin}/stream?url=${encodeURIComponent(origin.url)}&key=${engine.key}`,
		'bytes=0-99',
	);
	assert.equal(bytes.length, 100);
	assert.equal(downloadOf(engine, download.id).status, 'paused');
});

test('a download waiting for its host resumes after a restart', {timeout}, async t => {
	const {origin, running: first, download} = await startDownload(t, {size, etag, intercept: gone});
	await until(first.engine, download.id, ({status}) => status === 'waiting');
	await first.close();
	origin.options.intercept = undefined;
	const second = await startEngine(t, {storageDir: first.storageDir});
	await until(second.engine, download.id, ({status}) => status === 'complete');
});

test("an error cleared by a player's request does not return after a restart", {timeout}, async t => {
	const origin = await startOrigin(t, {size, etag, intercept: missing});
	const first = await startEngine(t);
	const {download} = await first.engine.add({url: origin.url, onDemand: true});
	const {streamUrl} = await until(first.engine, download.id, ({status}) => status === 'failed');
	origin.options.intercept = undefined;
	await read(streamUrl, 'bytes=0-99');
	await first.close();
	const second = await startEngine(t, {storageDir: first.storageDir});
	assert.equal(downloadOf(second.engine, download.id).error, null);
});

test('a download with an unreachable host does not block the queue', {timeout}, async t => {
	const away = await startOrigin(t, {size, etag, intercept: gone});
	const origin = await startOrigin(t, {size, etag});
	const {engine} = await startEngine(t, {maxActive: 1});
	const {download: waiting} = await engine.add({url: away.url});
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({status}) => status === 'complete');
	away.options.intercept = undefined;
	await until(engine, waiting.id, ({status}) => status === 'complete');
});

/** Answers one request at a time and refuses further ones by `refuse`. */
function oneAtATime(refuse: (response: ServerResponse) => void): {
	intercept: Intercept;
	refused: () => number;
} {
	let busy = 0;
	let refused = 0;
	return {
		refused: () => refused,
		intercept(_request, response) {
			if (busy > 0) {
				refused++;
				refuse(response);
				return true;
			}

			busy++;
			response.once('close', () => busy--);
			return false;
		},
	};
}

const refusals: Array<[words: string, refuse: (response: ServerResponse) => void]> = [
	...[403, 404, 429, 503].map((status): [string, (response: ServerResponse) => void] => [
		`answers ${status}`,
		response => response.writeHead(status, {'content-length': 0}).end(),
	]),
	[
		'answers 503 with Retry-After: 3600',
		response => response.writeHead(503, {'retry-after': '3600', 'content-length': 0}).end(),
	],
	['resets it', response => response.socket?.resetAndDestroy()],
	['closes it', response => response.socket?.destroy()],
	['stays silent', () => undefined],
];

for (const [words, refuse] of refusals) {
	test(
		`an origin that takes one connection and ${words} at a second serves the file over the first`,
		{timeout},
		async t => {
			const {intercept, refused} = oneAtATime(refuse);
			const origin = await startOrigin(t, {size: 6 * MiB, etag, bytesPerSecond: 4 * MiB, intercept});
			const {engine} = await startEngine(t, {connections: 4});
			const source = new HttpDataSource({
				url: origin.url,
				proxy: 'direct',
				timeouts: {connect: 2000, headers: 500, body: 5000},
			});
			const {download} = await engine.addSource(source);
			const done = await untilEnded(engine, download.id);
			assert.equal(done.status, 'complete', done.error?.message);
			assert.ok(refused() > 0);
		},
	);
}

test(
	'a second download from a server with one connection says so and follows the first',
	{timeout},
	async t => {
		const {intercept} = oneAtATime(response => response.writeHead(403, {'content-length': 0}).end());
		const origin = await startOrigin(t, {size, etag, bytesPerSecond: 2 * MiB, intercept});
		const {engine} = await startEngine(t, {connections: 1});
		const {download: first} = await engine.add({url: origin.urlOf('/first')});
		await until(engine, first.id, ({present}) => present > 0);
		const {download: second} = await engine.add({url: origin.urlOf('/second')});
		const queued = await until(
			engine,
			second.id,
			({hostCeiling, status}) => hostCeiling !== null || /failed|complete/.test(status),
		);
		assert.deepEqual([queued.status, queued.hostCeiling, queued.error], ['queued', 1, null]);
		for (const {id} of [first, second]) {
			const done = await untilEnded(engine, id);
			assert.deepEqual([done.status, done.hostCeiling], ['complete', null], done.error?.message);
		}
	},
);

test('a missing file is reported at once beside another transfer of its server', {timeout}, async t => {
	const origin = await startOrigin(t, {
		size: 50 * MiB,
		etag,
		bytesPerSecond: MiB,
		intercept: (request, response, record) =>
			request.url === '/missing' && missing(request, response, record),
	});
	const {engine} = await startEngine(t, {connections: 1});
	const {download: sending} = await engine.add({url: origin.url});
	await until(engine, sending.id, ({present}) => present > 0);
	const {download} = await engine.add({url: origin.urlOf('/missing')});
	const {error} = await until(engine, download.id, ({status}) => status === 'failed');
	assert.match(error?.message ?? '', /^404/);
});

for (const [words, status, prepare] of [
	['403 for a link without cached bytes', 403, false],
	['404 for a link with cached bytes', 404, true],
] as const) {
	test(
		`${words} is reported beside a transfer of the same server and takes no connection from it`,
		{timeout},
		async t => {
			let isDead = false;
			const origin = await startOrigin(t, {
				size: 100 * MiB,
				etag,
				bytesPerSecond: 2 * MiB,
				intercept(request, response) {
					if (!isDead || request.url !== '/dead') {
						return false;
					}

					response.writeHead(status, {'content-length': 0}).end();
					return true;
				},
			});
			const {engine} = await startEngine(t, {connections: 4});
			const {download: dead} = await engine.add({url: origin.urlOf('/dead'), paused: !prepare});
			if (prepare) {
				await until(engine, dead.id, ({present}) => present > 0);
				await engine.pause(dead.id);
			}

			const {download: sending} = await engine.add({url: origin.url});
			await until(engine, sending.id, ({connections}) => connections === 4);
			isDead = true;
			await engine.resume(dead.id);
			const told = await until(engine, dead.id, ({lastError}) => lastError !== null);
			assert.match(told.lastError!.message, new RegExp(`^${status}`));
			const {error} = await until(engine, dead.id, ({status}) => status === 'failed');
			assert.match(error!.message, new RegExp(`^${status}`));
			const other = await until(engine, sending.id, ({connections}) => connections === 4);
			assert.deepEqual([other.status, other.error], ['active', null]);
		},
	);
}

test('a download waiting for its server shows the status it sent', {timeout}, async t => {
	const {intercept} = oneAtATime(response => response.writeHead(403, {'content-length': 0}).end());
	const origin = await startOrigin(t, {size: 100 * MiB, etag, bytesPerSecond: MiB, ranges: false, intercept});
	const {engine} = await startEngine(t);
	const {download: first} = await engine.add({url: origin.urlOf('/first')});
	await until(engine, first.id, ({present}) => present > 0);
	const {download: second} = await engine.add({url: origin.urlOf('/second')});
	const {status, error, lastError} = await until(engine, second.id, ({hostCeiling}) => hostCeiling === 1);
	assert.deepEqual([status, error], ['queued', null]);
	assert.match(lastError!.message, /^403 Forbidden/);
});

// Both wait for a silent origin.
suite('silence', {concurrency: true}, () => {
	test(
		'silence on a further connection is a refusal, even with a long response timeout',
		{timeout},
		async t => {
			const {intercept, refused} = oneAtATime(() => undefined);
			const {engine, download} = await startDownload(
				t,
				{size: 8 * MiB, etag, bytesPerSecond: MiB, intercept},
				{connections: 4, responseTimeout: 10 * 60_000},
			);
			const done = await untilEnded(engine, download.id);
			assert.deepEqual([done.status, done.lastError], ['complete', null]);
			assert.ok(refused() > 0);
		},
	);

	test('an origin with slow ranges is waited for', {timeout}, async t => {
		const origin = await startOrigin(t, {
			size: 6 * MiB,
			etag,
			bytesPerSecond: 2 * MiB,
			async intercept(_request, _response, {range}) {
				if (range && range.start <= 4 * MiB && 4 * MiB < range.end) {
					await sleep(8000);
				}

				return false;
			},
		});
		const {engine} = await startEngine(t, {connections: 4});
		const {download} = await engine.add({url: origin.url});
		const done = await untilEnded(engine, download.id);
		assert.deepEqual([done.status, done.lastError], ['complete', null]);
	});
});
