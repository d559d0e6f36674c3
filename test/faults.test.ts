// An origin that errs, and what comes of it: right bytes or a clear error, never a mixture, never a byte lost.
import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import type {Download, ErrorCode} from '../source/downstream.ts';
import {firstWrongByte} from './support/content.ts';
import {downloadOf, startEngine, until, type TestEngine} from './support/engines.ts';
import {startFaultOrigin, type FaultName, type FaultOrigin} from './support/fault-origin.ts';
import type {OriginOptions} from './support/origin.ts';

const MiB = 1024 * 1024;
const size = 3 * MiB + 17;
const etag = '"v1"';
const date = 'Mon, 02 Nov 2026 00:00:00 GMT';
const timeout = 30_000;

type Case = {
	/** What the origin does, and what follows from it. */
	words: string;
	fault: FaultName;
	parameters?: Record<string, string | number>;
	origin?: Partial<OriginOptions>;
	connections?: number;
	/** `complete`; an error that a new try does not mend; or one that is tried again, in vain. */
	ends: 'complete' | {code: ErrorCode; says: RegExp; tries?: number};
	/** Bytes of the origin's at most: each byte once, unless said; with those in sockets where it fails. */
	sentAtMost?: number;
	requestsAtMost?: number;
	/** Bytes on the disk at least, where it does not complete. */
	heldAtLeast?: number;
	/** How often the fault is shown at least. */
	shownAtLeast?: number;
	/** Connections that were open at once may have brought bytes of both versions before the first seam was seen. */
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

/** After the first MiB. */
const later = {from: MiB};

const cases: Case[] = [
	complete(
		'answers every Range with the whole: it is fetched in order',
		'no-ranges',
		{},
		{
			also: done => assert.equal(done.acceptsRanges, false),
		},
	),
	fails(
		'says that its bytes begin later than asked',
		'content-range',
		{start: 5},
		'origin-misbehaved',
		/was asked for byte 0 and answers with 5 to/,
	),
	fails(
		'says that there is one byte more in the answer than there is',
		'content-range',
		{...later, end: 1},
		'origin-misbehaved',
		/says that bytes \d+ to \d+ are \d+ bytes/,
		{heldAtLeast: 1},
	),
	fails(
		'says another size of the file in a later answer',
		'content-range',
		{...later, total: 1},
		'origin-changed',
		/it had 3145745 bytes and has 3145746 now/,
		{heldAtLeast: 1},
	),
	fails(
		'says that its bytes begin earlier than they do, with a length that fits',
		'content-range',
		{...later, start: -10, end: -10},
		'origin-changed',
		/bytes differ/,
		{heldAtLeast: 1, connections: 1},
	),
	complete(
		'begins each part a little early and says so',
		'starts-early',
		{by: 1000},
		{
			sentAtMost: size + 10_000,
		},
	),
	complete(
		'gives less than was asked for and says so',
		'shorter-range',
		{bytes: 300_000},
		{
			requestsAtMost: 16,
		},
	),
	fails(
		'gives a part and does not say which',
		'no-content-range',
		{},
		'origin-misbehaved',
		/a part of the file and does not say which/,
	),
	complete('answers a part as a 200 with the right Content-Range', '200-with-content-range'),
	fails(
		'answers a part as a 200 without a length',
		'200-with-content-range',
		{length: 'none'},
		'origin-misbehaved',
		/does not say whether it answers with the whole file or with a part of it/,
	),
	complete('gives the whole as a 200 with the Content-Range of a part', 'whole-with-content-range'),
	complete(
		'closes in the middle of every body once',
		'short-body',
		{bytes: 1_000_000, times: 3},
		{
			sentAtMost: 2 * size,
		},
	),
	complete(
		'resets in the middle of a body',
		'short-body',
		{bytes: 1_000_000, times: 3, ending: 'reset'},
		{
			sentAtMost: 3 * size,
		},
	),
	{
		words: 'closes after the headers, again and again',
		fault: 'short-body',
		parameters: {...later, bytes: 0},
		ends: {code: 'origin-unreachable', says: /closed in the middle|reset/, tries: 3},
		heldAtLeast: 1,
	},
	complete('ends a chunked body before the end of its Content-Range', 'short-chunks', {
		by: 100_000,
		times: 3,
	}),
	complete('sends more than Content-Length says', 'long-body', {times: 2}, {sentAtMost: size + 5000}),
	complete(
		'sends more than Content-Range says, chunked',
		'long-body',
		{chunked: 1},
		{
			sentAtMost: size + 20_000,
		},
	),
	fails(
		'says a Content-Length that is not that of the Content-Range',
		'wrong-length',
		{by: 7},
		'origin-misbehaved',
		/says that bytes 0 to 1048575 are 1048583 bytes/,
	),
	fails(
		'compresses though it was asked not to',
		'gzip',
		{},
		'origin-misbehaved',
		/compresses the file though it was asked not to/,
	),
	complete('lets its headers wait', 'slow-headers', {ms: 400, times: 2}),
	complete('sends slowly', 'slow-bytes', {rate: 4 * MiB}),
	fails(
		'changes content and ETag behind the same size and date',
		'version',
		{after: 1, seed: 2, etag: '"v2"'},
		'origin-changed',
		/its ETag was "v1" and is "v2" now/,
		{heldAtLeast: 1},
	),
	fails(
		'changes content and date behind the same size',
		'version',
		{after: 1, seed: 2, etag: '', date: 'Tue, 03 Nov 2026 00:00:00 GMT'},
		'origin-changed',
		/its date was Mon, 02 Nov 2026 00:00:00 GMT and is Tue, 03 Nov 2026 00:00:00 GMT now/,
		{heldAtLeast: 1},
	),
	fails(
		'changes content and weak ETag behind the same size and date',
		'version',
		{after: 1, seed: 2, etag: 'W/"v2"'},
		'origin-changed',
		/bytes differ/,
		{heldAtLeast: 1, origin: {etag: 'W/"v1"', lastModified: date}, connections: 1},
	),
	fails(
		'changes content without any validator',
		'version',
		{after: 1, seed: 2},
		'origin-changed',
		/bytes differ/,
		{heldAtLeast: 1, origin: {etag: undefined, lastModified: undefined}, connections: 1},
	),
	fails(
		'changes content and has no ETag any more',
		'version',
		{after: 1, seed: 2, etag: ''},
		'origin-changed',
		/bytes differ/,
		{heldAtLeast: 1, connections: 1},
	),
	complete(
		'has servers of which every second has another content and no ETag',
		'version',
		{every: 2, seed: 2, etag: ''},
		{
			connections: 1,
			sentAtMost: 2 * size,
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
		'answers one Range in the middle with the whole',
		'no-ranges',
		{after: 1, times: 1},
		{
			sentAtMost: 3 * size,
		},
	),
	complete(
		'has servers of which one has no validators',
		'version',
		{every: 2, etag: '', date: ''},
		{
			sentAtMost: 2 * size,
		},
	),
	complete(
		'has servers of which one makes its ETag weak',
		'version',
		{every: 2, etag: 'W/"v1"'},
		{
			sentAtMost: 2 * size,
		},
	),
	complete(
		'has servers whose weak ETags differ',
		'version',
		{every: 2, etag: 'W/"b"'},
		{
			origin: {etag: 'W/"a"'},
			sentAtMost: 2 * size,
		},
	),
	complete(
		'drops Range when it sees If-Range, which is never sent',
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
		requestsAtMost: 11,
	}),
	fails(
		'redirects to a file on the disk',
		'redirect',
		{to: 'file:///etc/passwd'},
		'origin-misbehaved',
		/redirects to something that is not http or https/,
	),
	complete(
		'redirects to signed URLs, each good for one request',
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
			[410, /410.*does not have the file any more/],
			[416, /416.*refuses the range/],
			[451, /answers with status 451/],
		] as const
	).flatMap(([code, says]): Case[] => [
		fails(`answers ${code}`, 'status', {code}, 'origin-refused', says, {requestsAtMost: 2}),
		fails(`answers ${code} in the middle`, 'status', {...later, code}, 'origin-refused', says, {
			heldAtLeast: 1,
		}),
	]),
	...[429, 503].flatMap(code =>
		['1', 'date'].map(wait =>
			complete(`answers ${code} once and asks to wait (${wait})`, 'status', {code, wait, times: 1}),
		),
	),
	{
		words: 'answers 503 and asks to wait an hour: it waits and says so',
		fault: 'status',
		parameters: {...later, code: 503, wait: 3600},
		ends: {code: 'origin-busy', says: /is busy \(503\) and asks to wait 3600 s/, tries: 1},
		heldAtLeast: 1,
		requestsAtMost: 8,
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
			`bears two connections and ${code === 0 ? 'resets' : `answers ${code} to`} others`,
			'limit',
			{connections: 2, code},
			{origin: {size: 10 * MiB, bytesPerSecond: 4 * MiB}, requestsAtMost: 25},
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
		'speaks HTTP/1.0 and does not tell the size',
		'http-1.0',
		{length: 'none'},
		{
			sentAtMost: 2 * size,
		},
	),
	complete('speaks HTTP/1.0 with ranges', 'http-1.0', {ranges: 1}, {sentAtMost: size + 100_000}),
	fails('answers one range by several parts', 'multipart', {}, 'origin-misbehaved', /several parts/),
	fails(
		'answers one range by several parts, with Content-Range too',
		'multipart',
		{'content-range': 1},
		'origin-misbehaved',
		/several parts/,
	),
	fails(
		'sends huge headers',
		'huge-headers',
		{},
		'origin-misbehaved',
		/sends larger headers than a file needs/,
	),
	complete('sends large headers', 'huge-headers', {bytes: 8000}),
	complete(
		'closes kept connections when the next request arrives',
		'keep-alive',
		{},
		{
			origin: {size: 12 * MiB},
			requestsAtMost: 40,
		},
	),
	complete(
		'lets each connection die after a while',
		'dies',
		{least: 200_000, most: 900_000},
		{
			requestsAtMost: 24,
			sentAtMost: 2 * size,
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

		await running.close();
		const again = await startEngine(t, {storageDir: running.storageDir});
		const after = downloadOf(again.engine, download.id);
		assert.ok(after.present >= done.present, `${after.present} of ${done.present} bytes after a restart`);
		if (done.status === 'failed') {
			assert.equal(after.error?.message, done.error?.message);
		}
	});
}

/** What is said to be on the disk is there, and is of the first version. */
async function holdsRightBytes({storageDir}: TestEngine, {id, ranges}: Download): Promise<void> {
	const stored = ranges.length === 0 ? Buffer.alloc(0) : await readFile(path.join(storageDir, id, 'data'));
	for (const [start, end] of ranges) {
		assert.ok(end <= stored.length, `${end} of ${stored.length}`);
		assert.equal(firstWrongByte(stored.subarray(start, end), start), -1);
	}
}

async function agreesWith(done: Download, expected: Case, faults: FaultOrigin): Promise<void> {
	const {ends, origin, also, requestsAtMost = Infinity, heldAtLeast = 0} = expected;
	const whole = origin?.size ?? size;
	const {sentAtMost = ends === 'complete' ? whole : 2 * whole, shownAtLeast = 1} = expected;
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
	assert.ok(bytesSent <= sentAtMost, `${bytesSent} bytes sent of ${whole}`);
	assert.ok(requests.length <= requestsAtMost, `${requests.length} requests`);
	assert.ok(done.present >= heldAtLeast, `${done.present} bytes held`);
	if (fault(expected)) {
		assert.ok(faults.shown(expected.fault) >= shownAtLeast, `shown ${faults.shown(expected.fault)} times`);
	}

	also?.(done, faults);
}

/** The two that are never to be shown, and the one that lets the honest answer follow. */
function fault({fault}: Case): boolean {
	return !['if-range', 'refuse-head', 'slow-headers'].includes(fault);
}

/** What is held is served; what cannot be had is a clear error or a cut, never a wrong byte. */
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

async function read(url: string, range?: string): Promise<{status: number; bytes: Buffer; isCut: boolean}> {
	const response = await fetch(url, {headers: range === undefined ? {} : {range}});
	const chunks: Uint8Array[] = [];
	let isCut = false;
	try {
		for await (const chunk of response.body ?? []) {
			chunks.push(chunk as Uint8Array);
		}
	} catch {
		isCut = true;
	}

	return {status: response.status, bytes: Buffer.concat(chunks), isCut};
}
