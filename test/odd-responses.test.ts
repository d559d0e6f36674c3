// Origins that misstate the size of a file, or send something short in its place.
import assert from 'node:assert/strict';
import {suite, test, type TestContext} from 'node:test';
import type {Download} from '../source/downstream.ts';
import type {EngineOptions} from '../source/engine/options.ts';
import {content, firstWrongByte} from './support/content.ts';
import {startEngine, startOrigin, type TestEngine, until, untilEnded} from './support/engines.ts';
import {answer, askedPart, honest, send, startRawOrigin, type Answerer} from './support/raw-origin.ts';

const timeout = 90_000;
const MiB = 1024 * 1024;
const size = 3_000_000;
const film = content(0, size);
const page = Buffer.from('<html><body>Too many connections</body></html>');

type Fetched = {running: TestEngine; done: Download; requests: Array<string | undefined>};

async function fetchFrom(
	t: TestContext,
	answerer: Answerer,
	options: Partial<EngineOptions> = {},
): Promise<Fetched> {
	const requests: Array<string | undefined> = [];
	const url = await startRawOrigin(t, exchange => {
		requests.push(exchange.headers.range);
		return answerer(exchange);
	});
	const running = await startEngine(t, options);
	const {download} = await running.engine.add({url: `${url}/film.mkv`});
	const done = await untilEnded(running.engine, download.id);
	return {running, done, requests};
}

async function assertComplete(done: Download, length: number): Promise<void> {
	assert.deepEqual([done.status, done.error, done.size], ['complete', null, length]);
	const response = await fetch(done.streamUrl);
	const bytes = Buffer.from(await response.arrayBuffer());
	assert.equal(bytes.length, length);
	assert.equal(firstWrongByte(bytes, 0), -1);
}

const hiddenSizes: ReadonlyArray<[words: string, contentRange: (start: number, end: number) => string]> = [
	['an unknown total', (start, end) => `bytes ${start}-${end - 1}/*`],
	['no total', (start, end) => `bytes ${start}-${end - 1}`],
	['an empty total', (start, end) => `bytes ${start}-${end - 1}/`],
];
for (const [words, contentRange] of hiddenSizes) {
	for (const label of [
		'X: y',
		'ETag: W/"v1"',
		'Last-Modified: Mon, 02 Nov 2026 00:00:00 GMT',
		'ETag: "v1"',
	]) {
		for (const length of words === 'an unknown total' ? [size, 500_000, MiB, 4096] : [size]) {
			test(
				`a file of ${length} bytes ends at the end of its last part (${words}, ${label})`,
				{timeout},
				async t => {
					const file = film.subarray(0, length);
					const {done} = await fetchFrom(t, exchange => {
						const {start, end} = askedPart(exchange, file);
						return start >= length
							? answer(exchange, {status: '416 Range Not Satisfiable'})
							: answer(exchange, {
									status: '206 Partial Content',
									headers: [`Content-Range: ${contentRange(start, end)}`, label],
									body: file.subarray(start, end),
								});
					});
					await assertComplete(done, length);
				},
			);
		}
	}
}

for (const connections of [1, 4]) {
	for (const [words, total] of [
		['the end of each part', (_start: number, end: number) => end],
		['the length of each part', (start: number, end: number) => end - start],
	] as const) {
		test(`${words} is not the size of the file (${connections} connections)`, {timeout}, async t => {
			const {done} = await fetchFrom(
				t,
				exchange => {
					const {start, end} = askedPart(exchange, film);
					return answer(exchange, {
						status: '206 Partial Content',
						headers: ['ETag: "v1"', `Content-Range: bytes ${start}-${end - 1}/${total(start, end)}`],
						body: film.subarray(start, end),
					});
				},
				{connections},
			);
			await assertComplete(done, size);
		});
	}

	test(
		`a file that ends at the end of the first request keeps its size (${connections} connections)`,
		{timeout},
		async t => {
			const {done, requests} = await fetchFrom(
				t,
				exchange => honest(exchange, film.subarray(0, MiB), {headers: ['ETag: "v1"']}),
				{connections},
			);
			await assertComplete(done, MiB);
			assert.equal(requests.length, 2);
		},
	);
}

// Each waits for retries.
suite('truncated parts', {concurrency: true}, () => {
	for (const type of ['text/html', 'application/json', 'video/x-matroska']) {
		for (const label of ['ETag: "v1"', 'ETag: W/"v1"']) {
			test(
				`a download with truncated parts (${type}, ${label}) completes after the fault`,
				{timeout},
				async t => {
					const {done} = await fetchFrom(t, exchange => {
						const {start} = askedPart(exchange, film);
						return start === 0 || exchange.count > 6
							? honest(exchange, film, {headers: [label]})
							: answer(exchange, {
									status: '206 Partial Content',
									headers: [
										`Content-Type: ${type}`,
										`Content-Range: bytes ${start}-${start + page.length - 1}/${size}`,
									],
									body: page,
								});
					});
					await assertComplete(done, size);
				},
			);
		}
	}
});

const shortWholes: ReadonlyArray<[words: string, status: string, headers: readonly string[], body: Buffer]> =
	[
		['a page without a type', '200 OK', [], page],
		['a page with the type of a film', '200 OK', ['Content-Type: video/x-matroska'], page],
		['a sentence', '200 OK', ['Content-Type: text/plain'], Buffer.from('Too many connections')],
		['an empty body', '200 OK', [], Buffer.alloc(0)],
		['no content', '204 No Content', [], Buffer.alloc(0)],
	];
for (const [words, status, headers, body] of shortWholes) {
	const length = !status.startsWith('204');
	for (const label of ['ETag: "v1"', 'ETag: W/"v1"', 'X: y']) {
		for (const most of [1, 2, 3]) {
			test(
				`${words} for more than ${most} connections is a connection limit (${label})`,
				{timeout},
				async t => {
					let busy = 0;
					const {done} = await fetchFrom(t, async exchange => {
						const {socket} = exchange;
						if (busy >= most) {
							return answer(exchange, {status, headers, body, length});
						}

						const {start, end} = askedPart(exchange, film);
						let isOver = false;
						const release = () => {
							busy -= isOver ? 0 : 1;
							isOver = true;
						};
						busy++;
						socket.once('close', release);
						await answer(exchange, {
							status: '206 Partial Content',
							headers: [
								label,
								`Content-Range: bytes ${start}-${end - 1}/${size}`,
								`Content-Length: ${end - start}`,
							],
							length: false,
						});
						await send(socket, film.subarray(start, end - 1), 2 * MiB);
						release();
						socket.write(film.subarray(end - 1, end));
					});
					await assertComplete(done, size);
				},
			);
		}
	}

	test(`${words} in the middle of a download does not end it`, {timeout}, async t => {
		const {done} = await fetchFrom(
			t,
			exchange =>
				exchange.count > 0 && exchange.count < 3
					? answer(exchange, {status, headers, body, length})
					: honest(exchange, film, {headers: ['ETag: "v1"']}),
			{connections: 1},
		);
		await assertComplete(done, size);
	});
}

test('a permanently truncated file has changed', {timeout}, async t => {
	const {done} = await fetchFrom(t, exchange =>
		honest(exchange, exchange.count === 0 ? film : Buffer.from('a short file'), {headers: ['ETag: "v1"']}),
	);
	assert.deepEqual([done.status, done.error?.code], ['failed', 'origin-changed']);
});

test('a sentence that keeps replacing the file is a change', {timeout}, async t => {
	const {done} = await fetchFrom(t, exchange =>
		exchange.count === 0
			? honest(exchange, film, {headers: ['ETag: "v1"']})
			: answer(exchange, {body: Buffer.from('removed')}),
	);
	assert.deepEqual([done.status, done.error?.code], ['failed', 'origin-changed']);
	assert.match(done.error?.message ?? '', /had 2\.86 MiB and has 7 B now/);
});

test('the loss of a strong ETag leads to samples of all cached bytes', {timeout}, async t => {
	const half = 4 * MiB;
	const whole = content(0, 2 * half);
	const changed = Buffer.concat([whole.subarray(0, half), Buffer.alloc(half, 1)]);
	let hasChanged = false;
	const url = await startRawOrigin(t, exchange =>
		honest(exchange, hasChanged ? changed : whole, {headers: hasChanged ? [] : ['ETag: "v1"']}),
	);
	const {engine} = await startEngine(t, {onDemand: true});
	const {download} = await engine.add({url: `${url}/film.mkv`});
	const read = async (start: number, end: number) => {
		const response = await fetch(download.streamUrl, {headers: {range: `bytes=${start}-${end - 1}`}});
		return Buffer.from(await response.arrayBuffer());
	};
	await read(0, 3 * MiB);
	await read(half, half + 100_000);
	hasChanged = true;
	// These bytes have not changed.
	await read(3 * MiB + 300_000, 3 * MiB + 400_000);
	const {error} = await until(engine, download.id, ({status}) => status === 'failed');
	assert.match(error?.message ?? '', /its bytes differ/);
});

test('the loss of a strong ETag over equal bytes stops no download', {timeout}, async t => {
	const origin = await startOrigin(t, {
		size: 8 * MiB,
		intercept() {
			origin.options.etag = origin.requests.length === 1 ? '"v1"' : undefined;
			return false;
		},
	});
	const running = await startEngine(t);
	const {download} = await running.engine.add({url: origin.url});
	const done = await untilEnded(running.engine, download.id);
	await assertComplete(done, 8 * MiB);
});
