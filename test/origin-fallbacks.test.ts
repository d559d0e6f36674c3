// Origins with irregular responses to a Range: what they send is proven, or the whole file is requested.
import assert from 'node:assert/strict';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {test, type TestContext} from 'node:test';
import {brotliCompressSync, gzipSync} from 'node:zlib';
import {DownStreamError} from '../source/downstream.ts';
import {HttpDataSource} from '../source/engine/origin/http-source.ts';
import type {OriginResponse} from '../source/engine/origin/data-source.ts';
import {atEnd} from './support/cleanup.ts';
import {content} from './support/content.ts';
import {startOrigin} from './support/engines.ts';
import type {TestOrigin} from './support/origin.ts';

const size = 5000;
const file = content(0, size);

type Answer = (
	request: IncomingMessage,
	response: ServerResponse,
	range: {start: number; end: number},
) => unknown;

/** `part` handles requests with a Range, `whole` the others; undefined falls back to the regular response. */
async function prepare(t: TestContext, {part, whole}: {part?: Answer; whole?: Answer}) {
	const origin = await startOrigin(t, {
		size,
		intercept(request, response, {range}) {
			const answer = range ? part : whole;
			answer?.(request, response, range ?? {start: 0, end: size});
			return answer !== undefined;
		},
	});
	const source = new HttpDataSource({url: origin.url, proxy: 'direct'});
	atEnd(t, () => source.dispose());
	return {
		origin,
		ask: (start: number, end: number, more: {ranged?: boolean; responseTimeout?: number} = {}) =>
			source.open({range: {start, end}, ranged: true, signal: new AbortController().signal, ...more}),
	};
}

async function bytesOf({body}: OriginResponse): Promise<Buffer> {
	const pieces: Uint8Array[] = [];
	for await (const piece of body) {
		pieces.push(piece.slice());
	}

	return Buffer.concat(pieces);
}

/** The bytes match the range that the response states. */
async function assertProven(answer: OriginResponse, range: {start: number; end: number}): Promise<void> {
	assert.deepEqual(answer.range, range);
	assert.ok((await bytesOf(answer)).equals(file.subarray(range.start, range.end)));
}

function rangesAsked(origin: TestOrigin): Array<string | undefined> {
	return origin.requests.map(({headers}) => headers.range);
}

for (const [status, mayAcceptRanges] of [
	...[400, 405, 406, 416, 501].map(status => [status, false] as const),
	// They may have had another reason than the Range, and the whole says that ranges are accepted.
	...[402, 403, 404, 409, 451, 500, 502, 504, 520, 'reset'].map(status => [status, true] as const),
] as const) {
	for (const start of [0, 2000]) {
		test(`after a ${status} to a Range from ${start}, the whole file is requested`, async t => {
			const {origin, ask} = await prepare(t, {
				part: (request, response) =>
					typeof status === 'string' ? request.socket.resetAndDestroy() : response.writeHead(status).end(),
			});
			const answer = await ask(start, 3000);
			assert.deepEqual([answer.acceptsRanges, answer.mayAcceptRanges], [false, mayAcceptRanges]);
			await assertProven(answer, {start: 0, end: size});
			assert.deepEqual(rangesAsked(origin), [`bytes=${start}-2999`, undefined]);
		});
	}
}

for (const status of [403, 404, 451]) {
	test(`${status} for a part is followed by the refusal of the whole, once in a while`, async t => {
		const {origin, ask} = await prepare(t, {
			part: (_request, response) => response.writeHead(status).end(),
			whole: (_request, response) => response.writeHead(410).end(),
		});
		await assert.rejects(ask(10, 20), {code: 'origin-refused', status: 410});
		assert.equal(origin.requests.length, 2);
		await assert.rejects(ask(10, 20), {code: 'origin-refused', status});
		assert.equal(origin.requests.length, 3);
	});
}

for (const status of [401, 408, 410, 425, 429, 503]) {
	test(`${status} says nothing of the Range: the whole is not asked for`, async t => {
		const {origin, ask} = await prepare(t, {
			part: (_request, response) => response.writeHead(status).end(),
		});
		await assert.rejects(ask(0, 10), {status});
		assert.equal(origin.requests.length, 1);
	});
}

for (const status of [403, 404, 500, 502]) {
	test(`${status} says nothing of ranges where they have worked`, t => refusesAfterParts(t, status));
}

async function refusesAfterParts(t: TestContext, status: number): Promise<void> {
	let isRefusing = false;
	const {origin, ask} = await prepare(t, {
		part(_request, response, {start, end}) {
			if (isRefusing) {
				response.writeHead(status).end();
			} else {
				const headers = {'content-range': `bytes ${start}-${end - 1}/${size}`, 'content-length': end - start};
				response.writeHead(206, headers).end(file.subarray(start, end));
			}
		},
	});
	await assertProven(await ask(1000, 2000), {start: 1000, end: 2000});
	isRefusing = true;
	await assert.rejects(ask(2000, 3000), {status});
	assert.equal(origin.requests.length, 2);
}

const page: Answer = (_request, response) =>
	response.writeHead(200, {'content-type': 'text/html'}).end('<!doctype html>');

test('a page for a Range of a film is followed by a request for the whole', async t => {
	const {origin, ask} = await prepare(t, {part: page});
	const answer = await ask(0, 1000);
	assert.deepEqual([answer.isPage, answer.acceptsRanges], [false, false]);
	await assertProven(answer, {start: 0, end: size});
	assert.deepEqual(rangesAsked(origin), ['bytes=0-999', undefined]);
});

test('a page that comes without Range too is the answer', async t => {
	const {origin, ask} = await prepare(t, {part: page, whole: page});
	assert.equal((await ask(0, 1000)).isPage, true);
	assert.equal(origin.requests.length, 2);
});

for (const start of [0, 2000]) {
	test(`an origin that falls silent on a Range from ${start} is asked for the whole the next time, then for a Range again`, async t => {
		const {origin, ask} = await prepare(t, {part: () => undefined});
		if (start > 0) {
			origin.options.intercept = (_request, _response, {range}) => range !== undefined && range.start > 0;
			await assertProven(await ask(0, 1000), {start: 0, end: 1000});
		}

		const {length} = origin.requests;
		await assert.rejects(ask(start, 3000, {responseTimeout: 200}), /timed out without a response/);
		await assertProven(await ask(start, 3000, {responseTimeout: 20_000}), {start: 0, end: size});
		await assert.rejects(ask(start, 3000, {responseTimeout: 200}), /timed out without a response/);
		const range = `bytes=${start}-2999`;
		assert.deepEqual(rangesAsked(origin).slice(length), [range, undefined, range]);
	});
}

test('silence says nothing of ranges where they have worked', async t => {
	let isSilent = false;
	const {origin, ask} = await prepare(t, {});
	origin.options.intercept = () => isSilent;
	await assertProven(await ask(1000, 2000), {start: 1000, end: 2000});
	isSilent = true;
	await assert.rejects(ask(2000, 3000, {responseTimeout: 200}), /timed out without a response/);
	isSilent = false;
	await assertProven(await ask(2000, 3000), {start: 2000, end: 3000});
});

/** Answers parts without the size of the file, and 416 without it beyond the end. */
const partWithoutSize: Answer = (_request, response, {start, end}) => {
	if (start >= size) {
		response.writeHead(416).end();
	} else {
		response
			.writeHead(206, {'content-range': `bytes ${start}-${end - 1}/*`, 'content-length': end - start})
			.end(file.subarray(start, end));
	}
};

test('a 416 that states no size is the end of the file where a part from one byte before ends there', async t => {
	const {origin, ask} = await prepare(t, {part: partWithoutSize});
	await assertProven(await ask(1000, 9000), {start: 1000, end: size});
	const answer = await ask(size, 9000);
	assert.deepEqual([answer.range, answer.info.size], [{start: size, end: size}, size]);
	assert.deepEqual(rangesAsked(origin).slice(1), [`bytes=${size}-8999`, `bytes=${size - 1}-8999`]);
	// Further beyond, the byte before is not there either.
	await assertProven(await ask(size + 1000, 9000), {start: 0, end: size});
});

test('a 416 that states no size is about something else where the file goes on', async t => {
	let isRefusing = false;
	const {ask} = await prepare(t, {
		part(request, response, range) {
			const refuses = isRefusing;
			isRefusing = false;
			return refuses ? response.writeHead(416).end() : partWithoutSize(request, response, range);
		},
	});
	await assertProven(await ask(1000, 2000), {start: 1000, end: 2000});
	isRefusing = true;
	await assertProven(await ask(2000, 3000), {start: 1999, end: 3000});
});

const forms: ReadonlyArray<[form: string, header: (start: number, last: number) => string | undefined]> = [
	['bytes=a-b/size', (start, last) => `bytes=${start}-${last}/${size}`],
	['no unit', (start, last) => `${start}-${last}/${size}`],
	['no end', start => `bytes ${start}-/${size}`],
	['a colon', (start, last) => `bytes: ${start}-${last}/${size}`],
	['spaces', (start, last) => `bytes ${start} - ${last} / ${size}`],
	['no total', (start, last) => `bytes ${start}-${last}`],
];
for (const [form, header] of forms) {
	test(`a 206 whose Content-Range has ${form} is the part it states`, async t => {
		const {origin, ask} = await prepare(t, {
			part: (_request, response, {start, end}) =>
				response
					.writeHead(206, {'content-range': header(start, end - 1), 'content-length': end - start})
					.end(file.subarray(start, end)),
		});
		await assertProven(await ask(1000, 2000), {start: 1000, end: 2000});
		await assertProven(await ask(3000, Infinity), {start: 3000, end: size});
		assert.equal(origin.requests.length, 2);
	});
}

const unproven: ReadonlyArray<
	[words: string, headers: (start: number, end: number) => Record<string, string>]
> = [
	['no Content-Range', () => ({})],
	['only the size', () => ({'content-range': `bytes */${size}`})],
	['no end, and no length', start => ({'content-range': `bytes ${start}-/${size}`, 'content-length': ''})],
	['an end off by one', (start, end) => ({'content-range': `bytes ${start}-${end}/${size}`})],
	['the range of other bytes', (_start, end) => ({'content-range': `bytes ${end}-${size - 1}/${size}`})],
	['several parts', () => ({'content-type': 'multipart/byteranges; boundary=x'})],
];
for (const [words, headers] of unproven) {
	test(`a 206 with ${words} is not trusted: the whole file is requested`, async t => {
		const {origin, ask} = await prepare(t, {
			part(_request, response, {start, end}) {
				const {'content-length': length = `${end - start}`, ...others} = headers(start, end);
				// Other bytes than the requested ones.
				response.writeHead(206, length === '' ? others : {...others, 'content-length': length});
				response.end(Buffer.alloc(end - start, 0xee));
			},
		});
		for (const [start, end] of [
			[1000, 2000],
			[0, 1000],
		] as const) {
			const answer = await ask(start, end);
			assert.equal(answer.acceptsRanges, false);
			await assertProven(answer, {start: 0, end: size});
		}

		assert.deepEqual(rangesAsked(origin), ['bytes=1000-1999', undefined, 'bytes=0-999', undefined]);
	});
}

test('an unsolicited part is rejected, the whole file as a 206 is accepted', async t => {
	let last = 999;
	const {ask} = await prepare(t, {
		whole: (_request, response) =>
			response
				.writeHead(206, {'content-range': `bytes 0-${last}/${size}`, 'content-length': last + 1})
				.end(file.subarray(0, last + 1)),
	});
	await assert.rejects(
		ask(0, Infinity, {ranged: false}),
		/sent a part in response to a request for the whole file/,
	);
	last = size - 1;
	const answer = await ask(0, Infinity, {ranged: false});
	assert.equal(answer.acceptsRanges, false);
	await assertProven(answer, {start: 0, end: size});
});

test('a multipart body is rejected, whatever its status', async t => {
	const multipart: Answer = (_request, response) =>
		response.writeHead(200, {'content-type': 'multipart/byteranges; boundary=x'}).end('--x--');
	const {ask} = await prepare(t, {part: multipart, whole: multipart});
	await assert.rejects(ask(0, 100), {code: 'origin-misbehaved'});
});

for (const [acceptRanges, mayAcceptRanges] of [
	['bytes', true],
	['none, Bytes', true],
	['none', false],
	['', false],
] as const) {
	test(`a 200 to a Range with Accept-Ranges "${acceptRanges}" ${mayAcceptRanges ? 'may' : 'does not'} mean that the next one works`, async t => {
		const whole: Answer = (_request, response) =>
			response.writeHead(200, {'accept-ranges': acceptRanges, 'content-length': size}).end(file);
		const {ask} = await prepare(t, {part: whole, whole});
		const answer = await ask(1000, 2000);
		assert.deepEqual([answer.acceptsRanges, answer.mayAcceptRanges], [false, mayAcceptRanges]);
		await assertProven(answer, {start: 0, end: size});
		assert.equal((await ask(0, Infinity, {ranged: false})).mayAcceptRanges, false, 'without Range');
	});
}

for (const [coding, compress] of [
	['gzip', gzipSync],
	['br', brotliCompressSync],
] as const) {
	const packed = compress(file);
	const headers = {'content-encoding': coding, 'content-length': packed.length};
	const whole: Answer = (_request, response) => response.writeHead(200, headers).end(packed);

	test(`a whole file in ${coding} is decompressed, and its size is unknown`, async t => {
		const {origin, ask} = await prepare(t, {part: whole});
		for (const start of [0, 1000]) {
			const answer = await ask(start, 2000);
			assert.deepEqual(
				[answer.range, answer.info.size, answer.acceptsRanges, answer.mayAcceptRanges, answer.endIsProven],
				[{start: 0, end: Infinity}, Infinity, false, undefined, true],
			);
			assert.ok((await bytesOf(answer)).equals(file));
		}

		assert.equal(origin.requests.length, 2);
	});

	test(`a part in ${coding} is not decompressed: the whole file is requested`, async t => {
		const {origin, ask} = await prepare(t, {
			whole,
			part: (_request, response, {start, end}) =>
				response
					.writeHead(206, {
						...headers,
						'content-range': `bytes ${start}-${Math.min(end, packed.length) - 1}/${packed.length}`,
						'content-length': Math.min(end, packed.length) - start,
					})
					.end(packed.subarray(start, end)),
		});
		for (const start of [0, 1000]) {
			assert.ok((await bytesOf(await ask(start, 2000))).equals(file));
		}

		assert.deepEqual(rangesAsked(origin), ['bytes=0-1999', undefined, 'bytes=1000-1999', undefined]);
	});

	test(`a truncated file in ${coding} is rejected`, async t => {
		const {ask} = await prepare(t, {
			part: (_request, response) =>
				response.writeHead(200, {'content-encoding': coding}).end(packed.subarray(0, packed.length - 10)),
		});
		await assert.rejects(bytesOf(await ask(0, 1000)), {code: 'origin-truncated'});
	});
}

test('uncompressed bytes are stored as the file, whatever their label', async t => {
	const {origin, ask} = await prepare(t, {
		part: (_request, response, {start, end}) =>
			response
				.writeHead(206, {
					'content-encoding': 'gzip',
					'content-range': `bytes ${start}-${end - 1}/${size}`,
					'content-length': end - start,
				})
				.end(file.subarray(start, end)),
		whole: (_request, response) =>
			response.writeHead(200, {'content-encoding': 'gzip', 'content-length': size}).end(file),
	});
	// Nothing is known yet about the bytes in the middle.
	await assertProven(await ask(3000, 4000), {start: 0, end: size});
	await assertProven(await ask(3000, 4000), {start: 3000, end: 4000});
	await assertProven(await ask(0, 1000), {start: 0, end: 1000});
	assert.deepEqual(rangesAsked(origin), ['bytes=3000-3999', undefined, 'bytes=3000-3999', 'bytes=0-999']);
});

test('codings that Node cannot decompress are rejected', async t => {
	const {ask} = await prepare(t, {
		part: (_request, response) =>
			response.writeHead(200, {'content-encoding': 'compress'}).end(Buffer.from('1f9d90', 'hex')),
	});
	await assert.rejects(
		ask(0, 1000),
		(error: unknown) => error instanceof DownStreamError && /with compress, which cannot/.test(error.message),
	);
});

for (const [type, length, isPage] of [
	['text/html; charset=utf-8', size, true],
	['TEXT/HTML', 5_000_000, true],
	['application/xhtml+xml', size, true],
	['application/json', size, true],
	['application/problem+json', size, true],
	['text/json', size, true],
	['application/json', 1024 * 1024, false],
	['application/json', undefined, false],
	['text/plain', size, false],
	['application/xml', size, false],
	['video/mp4', size, false],
	[undefined, size, false],
] as const) {
	test(`${type ?? 'no type'} of ${length ?? 'unknown'} bytes is ${isPage ? 'a' : 'not a'} page`, async t => {
		const answer: Answer = (_request, response) => {
			const headers = {
				...(type === undefined ? {} : {'content-type': type}),
				...(length === undefined ? {} : {'content-length': length}),
			};
			response.writeHead(200, headers).write('x');
		};
		const {ask} = await prepare(t, {part: answer, whole: answer});
		assert.equal((await ask(0, 100)).isPage, isPage);
	});
}
