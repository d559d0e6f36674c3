// A file that changes at the origin during its download: players and disk never get mixed versions.
import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import {mock, test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Download} from '../source/downstream.ts';
import type {EngineOptions} from '../source/engine/options.ts';
import {firstWrongByte} from './support/content.ts';
import {downloadOf, startEngine, startOrigin, type TestEngine, until, untilEnded} from './support/engines.ts';
import type {OriginOptions, TestOrigin} from './support/origin.ts';

const MiB = 1024 * 1024;
const size = 8 * MiB;
const date = 'Mon, 02 Nov 2026 00:00:00 GMT';
const laterDate = 'Tue, 03 Nov 2026 00:00:00 GMT';
const timeout = 150_000;

/** Reads until the end or the cut; returns the received bytes. */
async function read(url: string, range?: string): Promise<{status: number; bytes: Buffer}> {
	return new Promise((resolve, reject) => {
		const request = http.get(url, {agent: false, headers: range === undefined ? {} : {range}}, response => {
			const chunks: Buffer[] = [];
			const end = () => resolve({status: response.statusCode ?? 0, bytes: Buffer.concat(chunks)});
			response.on('data', (chunk: Buffer) => chunks.push(chunk));
			response.on('end', end).on('error', end);
		});
		request.on('error', reject);
	});
}

/** Asserts only bytes of the old version, from `offset` on; an error is allowed in their place. */
function isOld({status, bytes}: {status: number; bytes: Buffer}, offset: number): void {
	if (status === 200 || status === 206) {
		assert.equal(firstWrongByte(bytes, offset), -1);
	} else {
		assert.ok(status >= 500, `status ${status}`);
	}
}

/** Reads bytes `start` to `end` of the old version, as `isOld` asserts. */
async function readOld(url: string, start: number, end = start + MiB): Promise<void> {
	isOld(await read(url, `bytes=${start}-${end - 1}`), start);
}

/** An on-demand download with ranges of the old version in its cache. */
async function cached(t: TestContext, origin: TestOrigin, ...ranges: Array<[start: number, end?: number]>) {
	const running = await startEngine(t, {onDemand: true});
	const {download} = await running.engine.add({url: origin.url});
	for (const range of ranges) {
		await readOld(download.streamUrl, ...range);
	}

	return {running, engine: running.engine, download};
}

async function diskIsOld({storageDir}: TestEngine, {id, ranges}: Download): Promise<void> {
	const data = await readFile(path.join(storageDir, id, 'data'));
	for (const [start, end] of ranges) {
		assert.equal(firstWrongByte(data.subarray(start, end), start), -1, `bytes ${start} to ${end}`);
	}
}

type Change = readonly [words: string, before: Partial<OriginOptions>, after: Partial<OriginOptions>];

const visible: readonly Change[] = [
	['a new weak ETag', {etag: 'W/"v1"'}, {etag: 'W/"v2"'}],
	['a lost strong ETag', {etag: '"v1"'}, {etag: undefined}],
	['a new date', {lastModified: date}, {lastModified: laterDate}],
	['a new strong ETag', {etag: '"v1"'}, {etag: '"v2"'}],
	['a new date and the same strong ETag', {etag: '"v1"', lastModified: date}, {lastModified: laterDate}],
	['a new weak ETag and the same date', {etag: 'W/"v1"', lastModified: date}, {etag: 'W/"v2"'}],
];
const invisible: readonly Change[] = [
	['the same weak ETag', {etag: 'W/"v1"'}, {}],
	['the same date', {lastModified: date}, {}],
	['no validator', {}, {}],
	['a new date in each response', {intercept: alwaysNow()}, {}],
];

/** Last-Modified is a second later in each response. */
function alwaysNow(): NonNullable<OriginOptions['intercept']> {
	let count = 0;
	return (_request, response) => {
		response.setHeader('last-modified', new Date(1.7e12 + 1000 * count++).toUTCString());
		return false;
	};
}

function changeFile(origin: TestOrigin, after: Partial<OriginOptions>): void {
	origin.options = {...origin.options, ...after, seed: 2};
}

for (const [words, before, after] of [...visible, ...invisible]) {
	for (const onDemand of [true, false]) {
		const when = onDemand ? 'on demand' : 'in the background';
		test(
			`no response mixes versions when the file changes with ${words}, fetched ${when}`,
			{timeout},
			async t => {
				const origin = await startOrigin(t, {size, bytesPerSecond: 8 * MiB, ...before});
				const running = await startEngine(t, {onDemand});
				const {download} = await running.engine.add({url: origin.url});
				await readOld(download.streamUrl, 0, 3 * MiB);
				changeFile(origin, after);
				await readOld(download.streamUrl, 5 * MiB);
				isOld(await read(download.streamUrl), 0);
				// Complete if every response started before the change.
				const done = await untilEnded(running.engine, download.id);
				if (onDemand || done.status === 'failed') {
					assert.equal(done.error?.code, 'origin-changed');
					assert.equal(done.error?.bytesAgree, undefined);
				}

				await diskIsOld(running, done);
			},
		);
	}

	test(`islands share one version when the file changes with ${words} between them`, {timeout}, async t => {
		const origin = await startOrigin(t, {size, ...before});
		const {running, download} = await cached(
			t,
			origin,
			[2 * MiB, 2 * MiB + 100_000],
			[4 * MiB, 4 * MiB + 100_000],
		);
		changeFile(origin, after);
		await Promise.all([5, 6, 7].map(at => readOld(download.streamUrl, at * MiB, at * MiB + 100_000)));
		await diskIsOld(running, downloadOf(running.engine, download.id));
	});

	test(`several connections mix no versions when the file changes with ${words}`, {timeout}, async t => {
		const origin = await startOrigin(t, {size: 24 * MiB, bytesPerSecond: MiB, ...before});
		const running = await startEngine(t, {connections: 8});
		const {download} = await running.engine.add({url: origin.url});
		await until(running.engine, download.id, ({connections}) => connections > 3);
		changeFile(origin, after);
		origin.options.bytesPerSecond = 16 * MiB;
		await readOld(download.streamUrl, 20 * MiB);
		// Complete if every response started before the change.
		const done = await untilEnded(running.engine, download.id);
		assert.ok(done.status === 'complete' || done.error?.code === 'origin-changed', done.error?.message);
		await diskIsOld(running, done);
	});

	test(`a restart mixes no versions when the file changes with ${words}`, {timeout}, async t => {
		const origin = await startOrigin(t, {size, ...before});
		const {running: first, download} = await cached(t, origin, [0]);
		await first.close();
		changeFile(origin, after);
		const second = await startEngine(t, {storageDir: first.storageDir, onDemand: true});
		const {streamUrl} = downloadOf(second.engine, download.id);
		await readOld(streamUrl, 6 * MiB);
		const failed = await until(second.engine, download.id, ({status}) => status === 'failed');
		assert.equal(failed.error?.code, 'origin-changed');
		await diskIsOld(second, failed);
	});
}

/** Headers of the nth response. */
const unstable: ReadonlyArray<readonly [words: string, headers: (count: number) => Record<string, string>]> =
	[
		['the ETags of two nodes', count => ({etag: `"node${count % 2}"`})],
		['the ETags of three nodes, the third one late', count => ({etag: `"node${count < 2 ? 0 : count % 3}"`})],
		['a new ETag in each response', count => ({etag: `"r${count}"`})],
		['a new weak ETag in each response', count => ({etag: `W/"r${count}"`})],
		[
			'a date one second later in each response',
			count => ({'last-modified': new Date(1.7e12 + count * 1000).toUTCString()}),
		],
		['the current time as its date', () => ({'last-modified': new Date().toUTCString()})],
		[
			'the dates of two nodes',
			count => ({'last-modified': new Date(1.7e12 + (count % 2) * 60_000).toUTCString()}),
		],
	];

for (const [words, headers] of unstable) {
	test(`a file with ${words} completes, and its bytes identify the version`, {timeout}, async t => {
		let count = 0;
		// Slow enough that the current time changes before the end.
		const origin = await startOrigin(t, {
			size,
			bytesPerSecond: MiB,
			intercept(_request, response) {
				for (const [name, value] of Object.entries(headers(count++))) {
					response.setHeader(name, value);
				}

				return false;
			},
		});
		const running = await startEngine(t);
		const {download} = await running.engine.add({url: origin.url});
		const done = await untilEnded(running.engine, download.id);
		assert.deepEqual([done.status, done.error], ['complete', null]);
		assert.equal(done.hasUnstableValidator, true);
		await diskIsOld(running, done);
		const response = await fetch(done.streamUrl, {method: 'HEAD'});
		assert.equal(response.headers.get('last-modified'), null);
		assert.match(response.headers.get('etag') ?? '', /^"[\da-f]{32}-/);
	});
}

test('an unstable validator is recorded, and a change behind it is detected', {timeout}, async t => {
	const origin = await startOrigin(t, {size, intercept: alwaysNow()});
	const {running: first, download} = await cached(t, origin, [0], [4 * MiB]);
	assert.equal(downloadOf(first.engine, download.id).hasUnstableValidator, true);
	await first.close();
	const second = await startEngine(t, {storageDir: first.storageDir, onDemand: true});
	assert.equal(downloadOf(second.engine, download.id).hasUnstableValidator, true);
	changeFile(origin, {});
	const {streamUrl} = downloadOf(second.engine, download.id);
	await readOld(streamUrl, 6 * MiB);
	const failed = await until(second.engine, download.id, ({status}) => status === 'failed');
	assert.match(failed.error?.message ?? '', /its bytes differ/);
});

/** A slow download in the background, with more than a mebibyte of the old version. */
async function downloading(t: TestContext, options: Partial<EngineOptions> = {}) {
	const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: MiB / 4});
	const running = await startEngine(t, options);
	const {download} = await running.engine.add({url: origin.url});
	await until(running.engine, download.id, ({present}) => present > MiB);
	return {origin, running, engine: running.engine, download};
}

async function relabelled(t: TestContext, seed: number) {
	const {origin, running, download} = await downloading(t);
	Object.assign(origin.options, {etag: '"v2"', bytesPerSecond: undefined, seed});
	// Else the running responses may cover the whole file.
	for (const socket of origin.sockets) {
		socket.destroy();
	}

	const failed = await until(running.engine, download.id, ({status}) => status === 'failed');
	assert.equal(failed.error?.code, 'origin-changed');
	return {origin, running, failed};
}

test(
	'a new validator on equal bytes stops the download, which resumes if samples agree',
	{timeout},
	async t => {
		const {running, failed} = await relabelled(t, 1);
		assert.equal(failed.error?.bytesAgree, true);
		assert.match(
			failed.error?.message ?? '',
			/its ETag is new, but samples of the bytes agree; .* \(its ETag was "v1" and is "v2" now\)$/,
		);
		await running.engine.acceptChange(failed.id);
		const done = await untilEnded(running.engine, failed.id);
		assert.equal(done.status, 'complete');
		assert.equal(done.validator, '"v2"');
		await diskIsOld(running, done);
	},
);

test('a new validator is rejected if samples differ', {timeout}, async t => {
	const {running, failed} = await relabelled(t, 2);
	assert.equal(failed.error?.bytesAgree, undefined);
	await assert.rejects(running.engine.acceptChange(failed.id), /its bytes differ/);
	const after = downloadOf(running.engine, failed.id);
	assert.deepEqual([after.status, after.present], ['failed', failed.present]);
	await diskIsOld(running, after);
});

test('a minute of silence leads to samples, even with a strong ETag', {timeout}, async t => {
	const origin = await startOrigin(t, {size, etag: '"v1"'});
	const {running, download} = await cached(t, origin, [0]);
	const before = origin.requests.length;
	await readOld(download.streamUrl, 4 * MiB);
	assert.ok(
		origin.requests.slice(before).every(({range}) => range!.start >= 4 * MiB),
		'no samples at once',
	);
	changeFile(origin, {});
	mock.timers.enable({apis: ['Date'], now: Date.now() + 61_000});
	t.after(() => mock.timers.reset());
	await readOld(download.streamUrl, 6 * MiB);
	const failed = await until(running.engine, download.id, ({status}) => status === 'failed');
	assert.match(failed.error?.message ?? '', /its bytes differ/);
	await diskIsOld(running, failed);
});

test('any pause leads to samples, even with a strong ETag', {timeout}, async t => {
	const {origin, running, engine, download} = await downloading(t);
	await engine.pause(download.id);
	await until(engine, download.id, ({connections}) => connections === 0);
	changeFile(origin, {bytesPerSecond: undefined});
	await engine.resume(download.id);
	const failed = await untilEnded(engine, download.id);
	assert.match(failed.error?.message ?? '', /its bytes differ/);
	await diskIsOld(running, failed);
});

test('several pauses in a row lead to one comparison', {timeout}, async t => {
	const {origin, running, engine, download} = await downloading(t);
	origin.requests.length = 0;
	let release!: () => void;
	const released = new Promise<boolean>(resolve => {
		release = () => resolve(false);
	});
	origin.options = {...origin.options, bytesPerSecond: undefined, intercept: () => released};
	for (let count = 0; count < 3; count++) {
		await engine.pause(download.id);
		await until(engine, download.id, ({connections}) => connections === 0);
		await engine.resume(download.id);
		await until(engine, download.id, ({connections}) => connections > 0);
	}

	release();
	const done = await untilEnded(engine, download.id);
	assert.equal(done.status, 'complete');
	const samples = origin.requests.filter(({range}) => range!.end - range!.start === 4096);
	assert.equal(samples.length, 3);
	await diskIsOld(running, done);
});

test('the resume of an empty download compares nothing', {timeout}, async t => {
	const origin = await startOrigin(t, {size, etag: '"v1"'});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url, paused: true});
	await engine.resume(download.id);
	await until(engine, download.id, ({status}) => status === 'complete');
	assert.equal(origin.bytesSent, size);
});

test('samples have the same response timeout as other requests', {timeout}, async t => {
	const {origin, engine, download} = await downloading(t, {responseTimeout: 300});
	const moved = await startOrigin(t, {size, etag: '"v1"', latency: 1000});
	Object.assign(origin.options, {etag: '"v2"', bytesPerSecond: undefined});
	await until(engine, download.id, ({status}) => status === 'failed');
	origin.options.latency = 1000;
	await assert.rejects(engine.acceptChange(download.id), /timed out without a response/);
	await assert.rejects(engine.update(download.id, {url: moved.url}), /timed out without a response/);
});

test('a page from a new link does not disprove cached bytes', {timeout}, async t => {
	const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: 2 * MiB});
	let isPage = false;
	const moved = await startOrigin(t, {
		size,
		etag: '"v1"',
		intercept(_request, response) {
			if (isPage) {
				response.writeHead(200, {'content-type': 'text/html'}).end('<html>Please log in</html>');
			}

			return isPage;
		},
	});
	const {engine, download} = await cached(t, origin, [0]);
	await engine.update(download.id, {url: moved.url});
	isPage = true;
	void read(download.streamUrl, `bytes=${4 * MiB}-${5 * MiB - 1}`);
	const {error} = await until(engine, download.id, ({error}) => error !== null);
	assert.equal(error?.code, 'origin-sent-page');
});

test(
	'a whole response in place of a part stops before cached bytes of another version',
	{timeout},
	async t => {
		const origin = await startOrigin(t, {size, etag: '"v1"'});
		const {running, download} = await cached(t, origin, [0], [5 * MiB, size]);
		origin.options.intercept = async (_request, response, record) => {
			response.writeHead(200, {'content-length': size});
			// Both versions start with equal bytes.
			await origin.send(response, {start: 0, end: 2 * MiB}, record);
			await origin.send(response, {start: 2 * MiB, end: size}, record, {seed: 2});
			response.end();
			return true;
		};
		const {bytes} = await read(download.streamUrl);
		assert.ok(bytes.length <= 5 * MiB, `${bytes.length} bytes`);
		const failed = await untilEnded(running.engine, download.id);
		assert.match(failed.error?.message ?? '', /its bytes differ/);
		await diskIsOld(running, failed);
	},
);

test(
	'an ETag of another origin behind a redirect identifies no version of the cached file',
	{timeout},
	async t => {
		let place = '/v1';
		const origin = await startOrigin(t, {
			size,
			async intercept(request, response, record) {
				if (request.url === '/film.bin') {
					response.writeHead(302, {location: place}).end();
					return true;
				}

				const {start, end} = record.range!;
				response.writeHead(206, {
					etag: '"1"',
					'content-range': `bytes ${start}-${end - 1}/${size}`,
					'content-length': end - start,
				});
				await origin.send(response, {start, end}, record, {seed: request.url === '/v1' ? 1 : 2});
				response.end();
				return true;
			},
		});
		const {running, download} = await cached(t, origin, [0]);
		place = '/v2';
		await readOld(download.streamUrl, 4 * MiB);
		isOld(await read(download.streamUrl), 0);
		const failed = await untilEnded(running.engine, download.id);
		assert.match(failed.error?.message ?? '', /its bytes differ/);
		await diskIsOld(running, failed);
	},
);

for (const [words, near, far] of [
	['a strong ETag', {etag: '"v1"'}, {etag: '"v2"'}],
	['a weak ETag', {etag: 'W/"v1"'}, {etag: 'W/"v2"'}],
	['a date', {'last-modified': date}, {'last-modified': laterDate}],
] as const) {
	test(`parts of another version that ${words} of their own names are not stored`, {timeout}, async t => {
		const origin = await startOrigin(t, {
			size,
			async intercept(_request, response, record) {
				const {start, end} = record.range!;
				const isFar = start >= 4 * MiB;
				response.writeHead(206, {
					...(isFar ? far : near),
					'content-range': `bytes ${start}-${end - 1}/${size}`,
					'content-length': end - start,
				});
				await origin.send(response, {start, end}, record, {seed: isFar ? 2 : 1});
				response.end();
				return true;
			},
		});
		const {running, download} = await cached(t, origin, [0], [2 * MiB]);
		await readOld(download.streamUrl, 5 * MiB);
		const failed = await untilEnded(running.engine, download.id);
		assert.match(failed.error?.message ?? '', /its (?:ETag|date) is new, but samples of the bytes agree/);
		await diskIsOld(running, failed);
		await readOld(download.streamUrl, MiB, 3 * MiB);
	});
}

test(
	'a download whose parts have labels of their own continues if the user accepts that',
	{timeout},
	async t => {
		const origin = await startOrigin(t, {
			size,
			intercept(_request, response, {range}) {
				response.setHeader('etag', range!.start >= 4 * MiB ? '"v2"' : '"v1"');
				return false;
			},
		});
		const {running, engine, download} = await cached(t, origin, [0]);
		await read(download.streamUrl, `bytes=${5 * MiB}-${6 * MiB - 1}`);
		await until(engine, download.id, ({error}) => error?.bytesAgree === true);
		await engine.acceptChange(download.id);
		await engine.update(download.id, {onDemand: false});
		const done = await untilEnded(engine, download.id);
		assert.deepEqual([done.status, done.error], ['complete', null]);
		await diskIsOld(running, done);
	},
);

test('a node with another file is distinguished from a node with another validator', {timeout}, async t => {
	let samples: number | undefined;
	const origin = await startOrigin(t, {
		size,
		async intercept(_request, response, record) {
			const {start, end} = record.range!;
			// The other node gets the second request of the player, then the fifth sample.
			const isOther = start >= 3 * MiB || (samples !== undefined && samples++ === 4);
			samples ??= isOther ? 0 : undefined;
			response.writeHead(206, {
				etag: isOther ? '"b"' : '"a"',
				'content-range': `bytes ${start}-${end - 1}/${size}`,
				'content-length': end - start,
			});
			await origin.send(response, {start, end}, record, {seed: isOther ? 2 : 1});
			response.end();
			return true;
		},
	});
	const {running, download} = await cached(t, origin, [0, 2 * MiB], [4 * MiB]);
	const failed = await until(running.engine, download.id, ({status}) => status === 'failed');
	assert.match(failed.error?.message ?? '', /its bytes differ/);
	await diskIsOld(running, failed);
});

test('a whole response ends once it has filled the last hole', {timeout}, async t => {
	const origin = await startOrigin(t, {size, etag: '"v1"'});
	const {running, download} = await cached(t, origin, [0], [5 * MiB, size]);
	origin.options.intercept = async (_request, response, record) => {
		response.writeHead(200, {'content-length': size});
		await origin.send(response, {start: 0, end: 6 * MiB}, record);
		return true;
	};
	await readOld(download.streamUrl, 0, 5 * MiB);
	const done = await untilEnded(running.engine, download.id);
	assert.equal(done.status, 'complete');
	await diskIsOld(running, done);
});

test(
	'a reader at the end of one response gets no byte of another before the two agree',
	{timeout},
	async t => {
		const at = 3 * MiB;
		let isFirst = true;
		let otherIsSent = () => {};
		const other = new Promise<void>(resolve => {
			otherIsSent = resolve;
		});
		const origin = await startOrigin(t, {
			size,
			async intercept(_request, response, record) {
				const {start, end} = record.range!;
				const isSample = end - start <= 4096;
				if (isSample || start < at - 4096) {
					return false;
				}

				const wasFirst = isFirst;
				isFirst = false;
				response.writeHead(206, {
					'content-range': `bytes ${start}-${end - 1}/${size}`,
					'content-length': end - start,
				});
				if (wasFirst) {
					await origin.send(response, {start, end: end - 8192}, record);
					await other;
					await sleep(500);
					await origin.send(response, {start: end - 8192, end}, record);
					response.end();
				} else {
					// A node with another file, once the reader waits at the end of the first response.
					await sleep(500);
					await origin.send(response, {start, end: start + 64 * 1024}, record, {seed: 2});
					otherIsSent();
				}

				return true;
			},
		});
		const {engine} = await startEngine(t, {onDemand: true, connections: 2});
		const {download} = await engine.add({url: origin.url});
		isOld(await read(download.streamUrl, 'bytes=0-99999'), 0);
		const {bytes} = await read(download.streamUrl, `bytes=${at}-${6 * MiB - 1}`);
		assert.ok(bytes.length > 0);
		assert.equal(firstWrongByte(bytes, at), -1);
	},
);
