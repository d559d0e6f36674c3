// Faulty origins: a download ends with correct bytes or a clear error, never mixes versions and loses no bytes.
import assert from 'node:assert/strict';
import {readdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Download, ErrorCode} from '../source/downstream.ts';
import {HttpDataSource} from '../source/engine/origin/http-source.ts';
import {firstWrongByte} from './support/content.ts';
import {
	downloadOf,
	startEngine,
	temporaryFolder,
	type TestEngine,
	until,
	untilEnded,
} from './support/engines.ts';
import {startFaultOrigin, type FaultName, type FaultOrigin} from './support/fault-origin.ts';
import type {OriginOptions} from './support/origin.ts';
import {read} from './support/read-stream.ts';

const MiB = 1024 * 1024;
const size = 3 * MiB + 17;
const etag = '"v1"';
const date = 'Mon, 02 Nov 2026 00:00:00 GMT';
const timeout = 30_000;

type Case = {
	/** The behavior of the origin and its effect. */
	words: string;
	fault: FaultName;
	parameters?: Record<string, string | number>;
	origin?: Partial<OriginOptions>;
	connections?: number;
	/** `complete`; a permanent error; or, with `tries`, a transient one that repeats. */
	ends: 'complete' | {code: ErrorCode; says: RegExp; tries?: number};
	/** The most bytes sent by the origin. Default: each byte once, twice if the download fails (bytes in sockets). */
	maxSent?: number;
	maxRequests?: number;
	/** The least bytes on disk of an incomplete download. */
	minPresent?: number;
	/** The least occurrences of the fault. */
	minShown?: number;
	/** Parallel connections may store bytes of both versions before the first comparison. */
	mayHoldBoth?: boolean;
	also?: (done: Download, faults: FaultOrigin) => void;
};

function complete(
	words: string,
	fault: FaultName,
	parameters: Record<string, string | number> = {},
	more: Partial<Case> = {},
): Case {
	return {words, fault, parameters, ends: 'complete', ...more};
}

function fails(
	words: string,
	fault: FaultName,
	parameters: Record<string, string | number>,
	code: ErrorCode,
	says: RegExp,
	more: Partial<Case> = {},
): Case {
	return {words, fault, parameters, ends: {code, says}, ...more};
}

/** Ranges do not work, and the file is read whole. */
function inOrder(words: string, fault: FaultName, parameters: Record<string, string | number> = {}): Case {
	return complete(`${words}: it is read whole`, fault, parameters, {
		maxSent: 6 * size,
		also: done => assert.equal(done.acceptsRanges, false),
	});
}

/** After the first MiB. */
const later = {from: MiB};

const cases: Case[] = [
	complete(
		'sends the whole file for every Range: it is read in order',
		'no-ranges',
		{},
		{
			also: done => assert.equal(done.acceptsRanges, false),
		},
	),
	inOrder('claims a later start than requested', 'content-range', {start: 5}),
	inOrder('claims one byte more than it sends', 'content-range', {
		...later,
		end: 1,
	}),
	fails(
		'states another size in a later response',
		'content-range',
		{...later, total: 1},
		'origin-changed',
		/it had 3145745 bytes and has 3145746 now/,
		{minPresent: 1},
	),
	fails(
		'claims an earlier start, with a matching length',
		'content-range',
		{...later, start: -10, end: -10},
		'origin-changed',
		/bytes differ/,
		{minPresent: 1, connections: 1},
	),
	complete(
		'starts each part early and states it',
		'starts-early',
		{by: 1000},
		{
			maxSent: size + 10_000,
		},
	),
	complete(
		'sends less than requested and states it',
		'shorter-range',
		{bytes: 300_000},
		{
			maxRequests: 16,
		},
	),
	inOrder('sends a part without its range', 'no-content-range'),
	complete('sends a part as a 200 with the correct Content-Range', '200-with-content-range'),
	inOrder('sends a part as a 200 without a length', '200-with-content-range', {length: 'none'}),
	complete('sends the whole file as a 200 with the Content-Range of a part', 'whole-with-content-range'),
	complete(
		'closes in the middle of every body once',
		'short-body',
		{bytes: 1_000_000, times: 3},
		{
			maxSent: 2 * size,
		},
	),
	complete(
		'resets in the middle of a body',
		'short-body',
		{bytes: 1_000_000, times: 3, ending: 'reset'},
		{
			maxSent: 3 * size,
		},
	),
	{
		words: 'always closes after the headers',
		fault: 'short-body',
		parameters: {...later, bytes: 0},
		ends: {code: 'origin-unreachable', says: /connection lost|reset/, tries: 3},
		minPresent: 1,
	},
	complete('ends a chunked body before the end of its Content-Range', 'short-chunks', {
		by: 100_000,
		times: 3,
	}),
	complete('sends more than Content-Length says', 'long-body', {times: 2}, {maxSent: size + 5000}),
	complete(
		'sends more than Content-Range says, chunked',
		'long-body',
		{chunked: 1},
		{
			maxSent: size + 20_000,
		},
	),
	inOrder('states a Content-Length that contradicts its Content-Range', 'wrong-length', {by: 7}),
	inOrder('compresses despite Accept-Encoding: identity', 'gzip'),
	complete('delays its headers', 'slow-headers', {ms: 400, times: 2}),
	complete('sends slowly', 'slow-bytes', {rate: 4 * MiB}),
	fails(
		'changes content and ETag behind the same size and date',
		'version',
		{after: 1, seed: 2, etag: '"v2"'},
		'origin-changed',
		/its ETag was "v1" and is "v2" now/,
		{minPresent: 1},
	),
	fails(
		'changes content and date behind the same size',
		'version',
		{after: 1, seed: 2, etag: '', date: 'Tue, 03 Nov 2026 00:00:00 GMT'},
		'origin-changed',
		/its date was Mon, 02 Nov 2026 00:00:00 GMT and is Tue, 03 Nov 2026 00:00:00 GMT now/,
		{minPresent: 1},
	),
	fails(
		'changes content and weak ETag behind the same size and date',
		'version',
		{after: 1, seed: 2, etag: 'W/"v2"'},
		'origin-changed',
		/bytes differ/,
		{minPresent: 1, origin: {etag: 'W/"v1"', lastModified: date}, connections: 1},
	),
	fails(
		'changes content without any validator',
		'version',
		{after: 1, seed: 2},
		'origin-changed',
		/bytes differ/,
		{minPresent: 1, origin: {etag: undefined, lastModified: undefined}, connections: 1},
	),
	fails(
		'changes content and loses its ETag',
		'version',
		{after: 1, seed: 2, etag: ''},
		'origin-changed',
		/bytes differ/,
		{minPresent: 1, connections: 1},
	),
	complete(
		'alternates with a server that has other content and no ETag',
		'version',
		{every: 2, seed: 2, etag: ''},
		{
			connections: 1,
			maxSent: 2 * size,
		},
	),
	...(['after', 'every'] as const).map(when =>
		fails(
			`changes content ${when === 'after' ? 'once' : 'back and forth'} without any validator`,
			'version',
			{[when]: 1 + Number(when === 'every'), seed: 2},
			'origin-changed',
			/bytes differ/,
			{origin: {etag: undefined, lastModified: undefined}, mayHoldBoth: true},
		),
	),
	complete(
		'sends the whole file for one Range: it is asked again, and seeks continue',
		'no-ranges',
		{after: 1, times: 1},
		{
			maxSent: 2 * size,
			also: done => assert.equal(done.acceptsRanges, true),
		},
	),
	complete(
		'sends the whole file from the second Range on: it is read again and compared',
		'no-ranges',
		{after: 1},
		{
			maxSent: 8 * size,
			also: done => assert.equal(done.acceptsRanges, false),
		},
	),
	complete(
		'alternates with a server without validators',
		'version',
		{every: 2, etag: '', date: ''},
		{
			maxSent: 2 * size,
		},
	),
	complete(
		'alternates with a server with a weak ETag',
		'version',
		{every: 2, etag: 'W/"v1"'},
		{
			maxSent: 2 * size,
		},
	),
	complete(
		'alternates between servers with different weak ETags',
		'version',
		{every: 2, etag: 'W/"b"'},
		{
			origin: {etag: 'W/"a"'},
			maxSent: 2 * size,
		},
	),
	complete(
		'ignores Range beside If-Range, which is never sent',
		'if-range',
		{},
		{
			also(done, faults) {
				assert.equal(done.acceptsRanges, true);
				assert.ok(faults.origin.requests.every(({headers}) => headers['if-range'] === undefined));
			},
		},
	),
	complete('redirects nine times', 'redirect-chain', {left: 9}),
	fails('redirects in a circle', 'redirect', {}, 'origin-refused', /redirects in a circle/, {
		maxRequests: 11,
	}),
	fails(
		'redirects to a file on the disk',
		'redirect',
		{to: 'file:///etc/passwd'},
		'origin-misbehaved',
		/redirects to something that is not http or https/,
	),
	complete(
		'redirects to signed URLs, each valid for one request',
		'signed',
		{requests: 1},
		{
			also: (_done, faults) => assert.ok(faults.signatures >= 2, `${faults.signatures}`),
		},
	),
	...(
		[
			[401, /401.*needs a user name and password/],
			[403, /403.*the link may have expired/],
			[404, /404: no such file/],
			[410, /410.*no longer has the file/],
			[416, /416.*refuses the requested range/],
			[451, /responds with status 451/],
		] as const
	).flatMap(([code, says]): Case[] => [
		fails(`answers ${code}`, 'status', {code}, 'origin-refused', says, {maxRequests: 2}),
		[403, 404, 416, 451].includes(code)
			? inOrder(`answers ${code} to a Range in the middle`, 'status', {...later, code})
			: fails(`answers ${code} in the middle`, 'status', {...later, code}, 'origin-refused', says, {
					minPresent: 1,
				}),
	]),
	...[429, 503].flatMap(code =>
		['1', 'date'].map(wait =>
			complete(`answers ${code} once with Retry-After (${wait})`, 'status', {code, wait, times: 1}),
		),
	),
	{
		words: 'answers 503 with Retry-After: 3600: the download waits and says so',
		fault: 'status',
		parameters: {...later, code: 503, wait: 3600},
		ends: {code: 'origin-busy', says: /is busy \(503\) and asks to wait 1h 00m/, tries: 1},
		minPresent: 1,
		maxRequests: 8,
	},
	complete('answers 500 twice', 'status', {code: 500, times: 2}),
	...[416, 403, 406].map(code =>
		complete(
			`refuses every Range with ${code}`,
			'refuse-ranges',
			{code},
			{
				also: done => assert.equal(done.acceptsRanges, false),
			},
		),
	),
	...[503, 429, 0].map(code =>
		complete(
			`takes two connections and ${code === 0 ? 'resets' : `answers ${code} to`} others`,
			'limit',
			{connections: 2, code},
			// A reset loses the bytes in flight.
			{origin: {size: 10 * MiB, bytesPerSecond: 4 * MiB}, maxRequests: 25, maxSent: 11 * MiB},
		),
	),
	complete(
		'refuses HEAD, which is never sent',
		'refuse-head',
		{code: 405},
		{
			also: (_done, faults) => assert.ok(faults.origin.requests.every(({method}) => method === 'GET')),
		},
	),
	complete('speaks HTTP/1.0 and closes', 'http-1.0'),
	complete(
		'speaks HTTP/1.0 without a size',
		'http-1.0',
		{length: 'none'},
		{
			maxSent: 2 * size,
		},
	),
	complete('speaks HTTP/1.0 with ranges', 'http-1.0', {ranges: 1}, {maxSent: size + 100_000}),
	fails('answers one range with several parts', 'multipart', {}, 'origin-misbehaved', /several parts/),
	fails(
		'answers one range with several parts and a Content-Range',
		'multipart',
		{'content-range': 1},
		'origin-misbehaved',
		/several parts/,
	),
	fails('sends huge headers', 'huge-headers', {}, 'origin-misbehaved', /sent headers that are too large/),
	complete('sends large headers', 'huge-headers', {bytes: 8000}),
	complete(
		'closes kept connections when the next request arrives',
		'keep-alive',
		{},
		{
			origin: {size: 12 * MiB},
			maxRequests: 40,
			also: done => assert.equal(done.lastError, null),
		},
	),
	complete(
		'drops each connection after a while',
		'dies',
		{least: 200_000, most: 900_000},
		{
			maxRequests: 24,
			maxSent: 2 * size,
		},
	),
];

for (const one of cases) {
	const {words, fault, parameters, ends} = one;
	test(`an origin that ${words}`, {timeout}, async t => {
		const faults = await startFaultOrigin(t, {size, etag, lastModified: date, ...one.origin});
		const url = faults.urlOf(fault, {...parameters, api_key: 'geheim'});
		const running = await startEngine(t, {connections: one.connections});
		const {download} = await running.engine.add({url, headers: {'x-api-key': 'geheim'}});
		const done = await until(running.engine, download.id, ({status, lastError}) => {
			const {tries = Infinity} = ends === 'complete' ? {} : ends;
			return status === 'complete' || status === 'failed' || (lastError?.tries ?? 0) >= tries;
		});
		await agreesWith(done, one, faults);
		if (!one.mayHoldBoth) {
			await holdsRightBytes(running, done);
			await servesRightBytes(done);
		}

		// Later requests of players may fail with another message.
		const told = downloadOf(running.engine, download.id);
		await running.close();
		const again = await startEngine(t, {storageDir: running.storageDir});
		const after = downloadOf(again.engine, download.id);
		assert.ok(after.present >= done.present, `${after.present} of ${done.present} bytes after a restart`);
		if (done.status === 'failed') {
			assert.deepEqual([told.status, after.error?.message], ['failed', told.error?.message]);
		}
	});
}

/** Changes of the file between two runs. */
const changes: Array<
	[words: string, before: Partial<OriginOptions>, after: Partial<OriginOptions>, says: RegExp | undefined]
> = [
	['its bytes and its ETag', {etag: '"v1"'}, {etag: '"v2"', seed: 2}, /its ETag was "v1" and is "v2"/],
	['its bytes behind a weak ETag', {etag: 'W/"v1"'}, {etag: 'W/"v2"', seed: 2}, /its bytes differ/],
	['its bytes behind the same weak ETag', {etag: 'W/"v1"'}, {etag: 'W/"v1"', seed: 2}, /its bytes differ/],
	['its bytes and lost its ETag', {etag: '"v1"'}, {etag: undefined, seed: 2}, /its bytes differ/],
	[
		'its bytes without any validator',
		{etag: undefined, lastModified: undefined},
		{seed: 2},
		/its bytes differ/,
	],
	['its size', {etag: undefined}, {size: size - 1}, /it had \d+ bytes and has \d+ now/],
	['its size to nothing', {etag: undefined}, {size: 0}, /it had [\d.]+ MiB and has 0 B now/],
	['its bytes and lost its ranges', {etag: undefined}, {ranges: false, seed: 2}, /its bytes differ/],
	['only by losing its ranges', {etag: undefined}, {ranges: false}, undefined],
	['only by weakening its ETag', {etag: '"v1"'}, {etag: 'W/"v1"'}, undefined],
	['only by strengthening its ETag', {etag: 'W/"v1"'}, {etag: '"v1"'}, undefined],
	[
		'only its weak ETag',
		{etag: 'W/"v1"'},
		{etag: 'W/"v2"'},
		/its ETag is new, but samples of the bytes agree; .* \(its ETag was "v1" and is "v2" now\)$/,
	],
	['only by losing its validators', {etag: '"v1"'}, {etag: undefined, lastModified: undefined}, undefined],
];

for (const [words, before, after, says] of changes) {
	test(
		`a file that changed ${words} ${says ? 'is not mixed' : 'resumes'} after a restart`,
		{timeout},
		async t => {
			const {origin} = await startFaultOrigin(t, {
				size,
				lastModified: date,
				bytesPerSecond: 2 * MiB,
				...before,
			});
			const first = await startEngine(t, {connections: 1});
			const {download} = await first.engine.add({url: origin.url});
			await until(first.engine, download.id, ({present}) => present > MiB);
			await first.close();
			const held = downloadOf(first.engine, download.id);
			assert.ok(held.present >= MiB);
			const {bytesSent} = origin;
			origin.options = {...origin.options, ...after, bytesPerSecond: undefined};
			const second = await startEngine(t, {storageDir: first.storageDir, connections: 1});
			const done = await untilEnded(second.engine, download.id);
			await holdsRightBytes(second, done);
			assert.ok(done.present >= held.present);
			if (says) {
				assert.deepEqual([done.status, done.error?.code], ['failed', 'origin-changed']);
				assert.match(done.error?.message ?? '', says);
				assert.match(done.error?.message ?? '', /the downloaded bytes are kept/);
			} else {
				assert.deepEqual([done.status, done.present], ['complete', size]);
				const again = origin.bytesSent - bytesSent;
				// Three samples, two responses that may be exceptions, and the one that is read; such a small file is
				// sent whole before the others are closed.
				assert.ok(
					again <= (after.ranges === false ? 6 * size + 100_000 : 2 * (size - held.present) + 100_000),
					`${again} bytes again`,
				);
			}

			await second.close();
			const third = await startEngine(t, {storageDir: first.storageDir});
			const {error, status} = downloadOf(third.engine, download.id);
			assert.deepEqual([status, error?.message], [done.status, done.error?.message]);
		},
	);
}

for (const [words, damage, says] of [
	['an invalid header name', {headers: {'a b': 'geheim'}}, /"a b" is not a valid header name/],
	['a line break in the user agent', {userAgent: 'a\r\nb: geheim'}, /User-Agent has a line break/],
	['an invalid proxy', {proxy: 'gopher://geheim@host'}, /proxy/i],
] as const) {
	test(`a record with ${words} is reported and left unchanged, and others open`, {timeout}, async t => {
		const {origin} = await startFaultOrigin(t, {size: 1000, etag});
		const first = await startEngine(t);
		const {download: bad} = await first.engine.add({url: origin.urlOf('/bad')});
		const {download: good} = await first.engine.add({url: origin.urlOf('/good')});
		await first.close();
		const record = path.join(first.storageDir, bad.id, 'entry.json');
		const entry = JSON.parse(await readFile(record, 'utf8')) as object;
		const damaged = JSON.stringify({...entry, ...damage});
		await writeFile(record, damaged);
		const {engine} = await startEngine(t, {storageDir: first.storageDir});
		await until(engine, good.id, ({status}) => status === 'complete');
		const [banner = '', ...others] = engine.snapshot.banners;
		assert.deepEqual([others, engine.snapshot.downloads.length], [[], 1]);
		assert.ok(banner.includes(bad.id), banner);
		assert.match(banner, says);
		assert.doesNotMatch(banner, /geheim/);
		assert.equal(await readFile(record, 'utf8'), damaged);
	});
}

test('an origin that redirects gets its credentials, and the target gets none', {timeout}, async t => {
	const target = await startFaultOrigin(t, {size, etag});
	const faults = await startFaultOrigin(t, {size, etag});
	const running = await startEngine(t);
	const {download} = await running.engine.add({
		url: faults.urlOf('redirect', {to: target.origin.url}).replace('://', '://me:geheim@'),
		headers: {cookie: 'geheim', 'x-api-key': 'geheim'},
	});
	const done = await untilEnded(running.engine, download.id);
	assert.equal(done.status, 'complete');
	await holdsRightBytes(running, done);
	assert.ok(faults.origin.requests.every(({headers}) => headers['x-api-key'] === 'geheim'));
	assert.doesNotMatch(JSON.stringify(target.origin.requests), /geheim/);
});

test(
	'an unreachable origin has not changed: cached bytes are served, and the download resumes later',
	{timeout},
	async t => {
		const {origin, storageDir, download} = await interrupted(t);
		origin.options = {
			...origin.options,
			bytesPerSecond: undefined,
			intercept(request) {
				request.socket.destroy();
				return true;
			},
		};
		const second = await startEngine(t, {storageDir});
		const waiting = await until(second.engine, download.id, ({status}) => status === 'waiting');
		assert.equal(waiting.error?.code, 'origin-unreachable');
		assert.ok(waiting.present > MiB);
		await servesRightBytes(waiting);
		origin.options.intercept = undefined;
		await second.engine.resume(download.id);
		const done = await untilEnded(second.engine, download.id);
		assert.equal(done.status, 'complete');
		await holdsRightBytes(second, done);
	},
);

test('a stalled body delays no player at another range, and closes at once', {timeout}, async t => {
	const faults = await startFaultOrigin(t, {size: 64 * MiB, etag});
	const {engine} = await startEngine(t, {connections: 4});
	const {download} = await engine.add({
		url: faults.urlOf('short-body', {bytes: 100_000, ending: 'stall', times: 1}),
	});
	const {streamUrl} = await until(engine, download.id, ({present}) => present > 0);
	const offset = 40 * MiB + 7;
	const {bytes} = await read(streamUrl, `bytes=${offset}-${offset + 99_999}`);
	assert.equal(bytes.length, 100_000);
	assert.equal(firstWrongByte(bytes, offset), -1);
	await engine.cancel(download.id);
	await until(engine, download.id, ({connections}) => connections === 0);
	await Promise.all(
		[...faults.origin.sockets].map(socket => new Promise(resolve => socket.once('close', resolve))),
	);
});

for (const [words, parameters] of [
	['closes every connection at once', {bytes: 0}],
	['resets every connection after a thousand bytes', {bytes: 1000, ending: 'reset'}],
] as const) {
	test(
		`an origin that ${words} after a good start gets few further requests, and the download waits`,
		{timeout: 60_000},
		async t => {
			const faults = await startFaultOrigin(t, {size: 64 * MiB, etag, bytesPerSecond: 8 * MiB});
			const {engine} = await startEngine(t, {connections: 4});
			const {download} = await engine.add({
				url: faults.urlOf('short-body', {...parameters, from: 24 * MiB}),
			});
			// Until then, progress elsewhere allows further attempts.
			await until(engine, download.id, ({present}) => present >= 24 * MiB);
			const before = faults.shown('short-body');
			const waiting = await until(engine, download.id, ({error}) => (error?.tries ?? 0) >= 4);
			const shown = faults.shown('short-body');
			assert.ok(shown - before <= 20, `${shown - before} requests`);
			assert.ok(shown >= 4, `${shown} requests`);
			assert.equal(waiting.status, 'waiting');
			assert.ok(waiting.retryAt! > Date.now());
		},
	);
}

for (const [words, fault, parameters, requests] of [
	// With a Range and without.
	['403', 'status', {code: 403}, 2],
	['404', 'status', {code: 404}, 2],
	['410', 'status', {code: 410}, 1],
	['a circle of redirects', 'redirect', {}, 11],
	['503 with Retry-After: 3600', 'status', {code: 503, wait: 3600}, 1],
] as const) {
	test(
		`a waiting player gets the error of an origin that answers ${words} without a second attempt`,
		{timeout},
		async t => {
			const faults = await startFaultOrigin(t, {size, etag});
			const {engine} = await startEngine(t);
			const {download} = await engine.add({url: faults.urlOf(fault, parameters), paused: true});
			const {status, bytes} = await read(download.streamUrl);
			const passedOn = /^(?:403|404|410)$/.test(words) ? Number(words) : undefined;
			assert.ok(passedOn === undefined ? status === 502 || status === 503 : status === passedOn, `${status}`);
			assert.ok(bytes.toString().includes(downloadOf(engine, download.id).lastError?.message ?? '-'));
			assert.equal(faults.origin.requests.length, requests);
		},
	);
}

test('a silent body is requested again, and the waiting player gets the rest', {timeout}, async t => {
	const faults = await startFaultOrigin(t, {size, etag});
	const {engine} = await startEngine(t);
	const url = faults.urlOf('short-body', {bytes: 100_000, ending: 'stall', every: 2});
	const timeouts = {connect: 1000, headers: 1000, body: 300};
	const source = new HttpDataSource({url, connections: 1, timeouts});
	const {download} = await engine.addSource(source, {connections: 1});
	const {bytes, isCut} = await read(download.streamUrl);
	assert.deepEqual([bytes.length, isCut], [size, false]);
	assert.equal(firstWrongByte(bytes, 0), -1);
	assert.ok(faults.shown('short-body') > 0);
});

for (const fault of [
	'dies',
	'short-chunks',
	'shorter-range',
	'starts-early',
	'keep-alive',
	'http-1.0',
] as const) {
	test(`players of an origin with the fault "${fault}" read correct bytes to the end`, {timeout}, async t => {
		const faults = await startFaultOrigin(t, {size, etag});
		const {engine} = await startEngine(t);
		const {download} = await engine.add({
			url: faults.urlOf(fault, {bytes: 400_000, least: 300_000, most: 900_000, times: 6}),
			onDemand: true,
		});
		const {streamUrl} = downloadOf(engine, download.id);
		const play = async (start: number) => {
			const {bytes, isCut} = await read(streamUrl, `bytes=${start}-`);
			assert.deepEqual([bytes.length, isCut], [size - start, false]);
			assert.equal(firstWrongByte(bytes, start), -1);
		};

		await Promise.all([play(0), play(MiB + 1), play(2 * MiB)]);
	});
}

test('a change of the file cuts waiting players, never mixes versions', {timeout}, async t => {
	const faults = await startFaultOrigin(t, {size, etag, bytesPerSecond: 2 * MiB});
	const {engine} = await startEngine(t, {connections: 1});
	const {download} = await engine.add({url: faults.urlOf('version', {after: 1, seed: 2, etag: '"v2"'})});
	await until(engine, download.id, ({present}) => present > 0);
	const {bytes, isCut} = await read(downloadOf(engine, download.id).streamUrl);
	assert.equal(isCut, true);
	assert.ok(bytes.length > 0);
	assert.equal(firstWrongByte(bytes, 0), -1);
});

for (const [says, name] of [
	['attachment; filename="../../../etc/cron.d/evil"', 'evil'],
	['attachment; filename="..\\..\\evil.exe"', 'evil.exe'],
	["attachment; filename*=UTF-8''..%2F..%2Fevil", 'evil'],
	["attachment; filename*=UTF-8''evil%00.mkv", 'evil.mkv'],
	["attachment; filename*=UTF-8''%E2%80%AEvkm.exe", 'vkm.exe'],
	['attachment; filename=".bashrc"', 'bashrc'],
	['attachment; filename="CON.mkv"', 'CON_.mkv'],
	[`attachment; filename="${'é'.repeat(400)}.mkv"`, `${'é'.repeat(125)}.mkv`],
] as const) {
	test(`a file named ${says.slice(0, 60)} is exported into the given folder`, {timeout}, async t => {
		const faults = await startFaultOrigin(t, {size: 1000, etag});
		const {engine} = await startEngine(t);
		const folder = await temporaryFolder(t);
		const {download} = await engine.add({url: faults.urlOf('disposition', {says})});
		const done = await until(engine, download.id, ({status}) => status === 'complete');
		const {path: target} = await engine.export(download.id, {path: folder});
		assert.equal(path.dirname(target), folder);
		assert.deepEqual(await readdir(folder), [path.basename(target)]);
		assert.deepEqual([done.name, path.basename(target)], [name, name]);
	});
}

test('an origin that accepts two connections soon gets no more', {timeout}, async t => {
	const faults = await startFaultOrigin(t, {size: 16 * MiB, etag, bytesPerSecond: 4 * MiB});
	const {engine} = await startEngine(t, {connections: 8});
	const {download} = await engine.add({url: faults.urlOf('limit', {connections: 2})});
	const done = await untilEnded(engine, download.id);
	assert.equal(done.status, 'complete');
	assert.ok(faults.shown('limit') <= 6, `${faults.shown('limit')} refusals`);
});

/** The disk holds the stated bytes, in the first version. */
/** A download without a strong ETag whose engine was closed after a mebibyte. */
async function interrupted(t: TestContext) {
	const {origin} = await startFaultOrigin(t, {size, lastModified: date, bytesPerSecond: 2 * MiB});
	const {engine, storageDir, close} = await startEngine(t, {connections: 1});
	const {download} = await engine.add({url: origin.url});
	await until(engine, download.id, ({present}) => present > MiB);
	await close();
	return {origin, storageDir, download};
}

async function holdsRightBytes({storageDir}: TestEngine, {id, ranges}: Download): Promise<void> {
	const stored = ranges.length === 0 ? Buffer.alloc(0) : await readFile(path.join(storageDir, id, 'data'));
	for (const [start, end] of ranges) {
		assert.ok(end <= stored.length, `${end} of ${stored.length}`);
		assert.equal(firstWrongByte(stored.subarray(start, end), start), -1);
	}
}

async function agreesWith(done: Download, expected: Case, faults: FaultOrigin): Promise<void> {
	const {ends, origin, also, maxRequests = Infinity, minPresent = 0} = expected;
	const whole = origin?.size ?? size;
	const {maxSent = ends === 'complete' ? whole : 2 * whole, minShown = 1} = expected;
	if (ends === 'complete') {
		assert.equal(done.status, 'complete', JSON.stringify(done.error));
		assert.deepEqual([done.present, done.size, done.error], [whole, whole, null]);
	} else {
		assert.notEqual(done.status, 'complete');
		const {code, message} = done.error ?? assert.fail('there is no error');
		assert.equal(code, ends.code, message);
		assert.match(message, ends.says);
		assert.doesNotMatch(message, /geheim/);
		assert.match(message, /^[^\n]{10,300}$/);
	}

	const {bytesSent, requests} = faults.origin;
	assert.ok(bytesSent <= maxSent, `${bytesSent} bytes sent of ${whole}`);
	assert.ok(requests.length <= maxRequests, `${requests.length} requests`);
	assert.ok(done.present >= minPresent, `${done.present} bytes held`);
	if (fault(expected)) {
		assert.ok(faults.shown(expected.fault) >= minShown, `shown ${faults.shown(expected.fault)} times`);
	}

	also?.(done, faults);
}

/** Whether the fault must occur: two never do, and `slow-headers` ends in a regular response. */
function fault({fault}: Case): boolean {
	return !['if-range', 'refuse-head', 'slow-headers'].includes(fault);
}

/** Cached bytes are served; missing ones are a clear error or a cut, never a wrong byte. */
async function servesRightBytes({streamUrl, ranges, size, status, error}: Download): Promise<void> {
	for (const [start, end] of ranges) {
		const held = await read(streamUrl, `bytes=${start}-${end - 1}`);
		assert.deepEqual([held.status, held.bytes.length, held.isCut], [206, end - start, false]);
		assert.equal(firstWrongByte(held.bytes, start), -1);
	}

	if (status !== 'complete' && status !== 'failed') {
		return;
	}

	const whole = await read(streamUrl);
	if (status === 'complete') {
		assert.deepEqual([whole.status, whole.bytes.length, whole.isCut], [200, size, false]);
	} else {
		assert.ok(whole.isCut || whole.status >= 400, `${whole.status}`);
		if (whole.status >= 400) {
			assert.ok(whole.bytes.toString().includes(error?.message ?? ''), whole.bytes.toString());
			return;
		}
	}

	assert.equal(firstWrongByte(whole.bytes, 0), -1);
}

test('a size below the cached bytes is a change, and truncates nothing', {timeout}, async t => {
	const {origin} = await startFaultOrigin(t, {size: 8 * MiB, etag});
	origin.options.intercept = (_request, response, {range = {start: 0, end: MiB}}) => {
		const {start, end} = range;
		if (start >= 4 * MiB) {
			response.writeHead(416, {'content-range': 'bytes */1000000', etag, 'content-length': 0}).end();
			return true;
		}

		const bytes = origin.content(start, end);
		response.writeHead(206, {
			'content-range': `bytes ${start}-${end - 1}/*`,
			'content-length': bytes.length,
			etag,
		});
		response.end(bytes);
		return true;
	};
	const running = await startEngine(t, {connections: 1});
	const {download} = await running.engine.add({url: origin.url});
	const done = await untilEnded(running.engine, download.id);
	assert.deepEqual([done.status, done.error?.code], ['failed', 'origin-changed']);
	assert.match(
		done.error?.message ?? '',
		/had at least [\d.]+ MiB and has 976 KiB now.*the downloaded bytes are kept/,
	);
	assert.ok(done.present >= 4 * MiB, `${done.present}`);
	await holdsRightBytes(running, done);
});

test(
	'a shorter body without a length does not prove the end, and truncates nothing',
	{timeout: 60_000},
	async t => {
		const {origin} = await startFaultOrigin(t, {size: 2 * MiB, ranges: false});
		let cuts = 0;
		origin.options.intercept = (_request, response) => {
			const first = cuts++ === 0;
			response.writeHead(200);
			response.write(origin.content(0, first ? MiB : MiB / 2), () => {
				if (first) {
					response.destroy();
				} else {
					response.end();
				}
			});
			return true;
		};
		const running = await startEngine(t, {connections: 1});
		const {download} = await running.engine.add({url: origin.url});
		const tried = await until(
			running.engine,
			download.id,
			({status, lastError}) => status === 'complete' || lastError?.code === 'origin-truncated',
		);
		assert.equal(tried.status, 'waiting');
		assert.match(tried.error?.message ?? '', /sent \d+ bytes less than were downloaded/);
		const held = downloadOf(running.engine, download.id);
		assert.ok(held.present > MiB / 2, `${held.present}`);
		await holdsRightBytes(running, held);
		origin.options.intercept = undefined;
		await running.engine.resume(download.id);
		await until(running.engine, download.id, ({status}) => status === 'complete');
	},
);

test('a file completed by other connections does not wait for a failed one', {timeout}, async t => {
	const {origin} = await startFaultOrigin(t, {size, etag});
	const {engine} = await startEngine(t, {connections: 4});
	const {download} = await engine.add({url: origin.url, onDemand: true});
	const {streamUrl} = await until(engine, download.id, ({present}) => present > 0);
	let asked = 0;
	// The third whole response is accepted; the first is an error with a retry.
	const allAsked = new Promise<void>(resolve => {
		origin.options.intercept = async (_request, response) => {
			const number = ++asked;
			if (number === 3) {
				resolve();
			}

			await allAsked;
			if (number > 1) {
				await until(engine, download.id, ({retryAt}) => retryAt !== null);
			}

			response.writeHead(200, {etag, 'content-length': size}).end(origin.content(0, size));
			return true;
		};
	});
	void Promise.allSettled([read(streamUrl, `bytes=${2 * MiB}-`), read(streamUrl, `bytes=${size - 10}-`)]);
	const done = await untilEnded(engine, download.id);
	assert.deepEqual([done.status, done.error, done.retryAt], ['complete', null, null]);
	assert.equal(done.lastError?.code, 'origin-truncated');
});

test('a rejected password and a missing one have different errors', {timeout}, async t => {
	const faults = await startFaultOrigin(t, {size, etag});
	const {engine} = await startEngine(t);
	const url = faults.urlOf('status', {code: 401}).replace('://', '://me:geheim@');
	const {download} = await engine.add({url});
	const {error} = await until(engine, download.id, ({status}) => status === 'failed');
	assert.match(
		error?.message ?? '',
		/^401 Unauthorized: 127\.0\.0\.1 requires a valid user, password or token$/,
	);
});

test('cancel also closes the connection of a silent sample', {timeout}, async t => {
	const {origin, storageDir, download} = await interrupted(t);
	const asked = new Promise<void>(resolve => {
		origin.options.intercept = () => {
			resolve();
			return true;
		};
	});
	const second = await startEngine(t, {storageDir, connections: 1});
	await asked;
	await second.engine.cancel(download.id);
	const deadline = performance.now() + 1000;
	while (origin.sockets.size > 0) {
		assert.ok(performance.now() < deadline, 'a connection is still open');
		await sleep(10);
	}

	// The origin is asked again.
	origin.options.intercept = undefined;
	await second.engine.resume(download.id);
	const done = await untilEnded(second.engine, download.id);
	assert.equal(done.status, 'complete');
	await holdsRightBytes(second, done);
});
