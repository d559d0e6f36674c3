import assert from 'node:assert/strict';
import {once} from 'node:events';
import {test, type TestContext} from 'node:test';
import {DownStreamError} from '../source/downstream.ts';
import {checkedHeaders} from '../source/engine/http/headers.ts';
import {
	CustomHeaderDataSource,
	HttpDataSource,
	withoutCredentials,
} from '../source/engine/origin/http-source.ts';
import type {DataSource, OriginResponse} from '../source/engine/origin/data-source.ts';
import type {Range} from '../source/engine/store/range-set.ts';
import {dataSourceChecks} from '../source/testing.ts';
import {atEnd} from './support/cleanup.ts';
import {content, firstWrongByte} from './support/content.ts';
import {startOrigin} from './support/engines.ts';
import {withCode} from './support/errors.ts';
import {freePort} from './support/nginx.ts';
import {notFound, type OriginOptions, type TestOrigin} from './support/origin.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

type Create = (url: string) => DataSource;
type Start = (t: TestContext, options: OriginOptions) => Promise<{origin: TestOrigin; source: DataSource}>;

function starting(create: Create, more: Partial<OriginOptions> = {}): Start {
	return async (t, options) => {
		const origin = await startOrigin(t, {...more, ...options});
		const source = create(origin.url);
		atEnd(t, () => source.dispose());
		return {origin, source};
	};
}

/** The contract that the engine relies on, for every source. */
function keepsTheContract(name: string, start: Start): void {
	test(`${name}: a range returns exactly its bytes`, async t => {
		const {source} = await start(t, {size: MiB, etag: '"v1"'});
		for (const range of [
			{start: 0, end: 1},
			{start: 100 * KiB, end: 400 * KiB},
			{start: MiB - 1, end: MiB},
		]) {
			const answer = await open(source, range);
			assert.deepEqual([answer.range, answer.acceptsRanges, answer.info.size], [range, true, MiB]);
			assert.deepEqual(answer.validator, {etag: '"v1"'});
			await receives(answer, range);
		}
	});

	test(`${name}: an open range extends to the end of the file`, async t => {
		const {source} = await start(t, {size: MiB});
		const answer = await open(source, {start: MiB - 1000, end: Infinity});
		assert.deepEqual(answer.range, {start: MiB - 1000, end: MiB});
		await receives(answer, answer.range);
	});

	test(`${name}: the whole file is requested without a range`, async t => {
		const {origin, source} = await start(t, {size: MiB});
		const answer = await open(source, {start: 1000, end: 2000}, {ranged: false});
		assert.deepEqual([answer.range, answer.acceptsRanges], [{start: 0, end: MiB}, false]);
		await receives(answer, answer.range);
		assert.equal(origin.requests[0]?.headers.range, undefined);
	});

	test(`${name}: an origin without ranges sends the whole file, and the response says so`, async t => {
		const {source} = await start(t, {size: MiB, ranges: false});
		const answer = await open(source, {start: 1000, end: 2000});
		assert.deepEqual([answer.range, answer.acceptsRanges], [{start: 0, end: MiB}, false]);
	});

	test(`${name}: beyond the end, the range is empty and the size known`, async t => {
		const {source} = await start(t, {size: 100});
		const answer = await open(source, {start: 100, end: 200});
		assert.deepEqual([answer.range, answer.info.size], [{start: 100, end: 100}, 100]);
		await receives(answer, answer.range);
	});

	for (const ranges of [true, false]) {
		test(`${name}: an empty file is a file, ${ranges ? 'with' : 'without'} ranges`, async t => {
			const {source} = await start(t, {size: 0, ranges});
			const answer = await open(source, {start: 0, end: Infinity});
			assert.deepEqual([answer.range, answer.info.size], [{start: 0, end: 0}, 0]);
			await receives(answer, answer.range);
		});
	}

	for (const [length, endIsProven] of [
		['chunked', true],
		['close', false],
	] as const) {
		test(`${name}: the size may be unknown (${length})`, async t => {
			const {source} = await start(t, {size: 300 * KiB, ranges: false, length});
			const answer = await open(source, {start: 0, end: Infinity});
			assert.deepEqual([answer.range, answer.info.size], [{start: 0, end: Infinity}, Infinity]);
			assert.equal(answer.endIsProven, endIsProven);
			await receives(answer, {start: 0, end: 300 * KiB});
		});
	}

	test(`${name}: several responses are read concurrently`, async t => {
		const {source} = await start(t, {size: 4 * MiB});
		const ranges = Array.from({length: 4}, (_, index) => ({start: index * MiB, end: (index + 1) * MiB}));
		await Promise.all(ranges.map(async range => receives(await open(source, range), range)));
	});

	test(`${name}: an abort rejects with its reason and leaves nothing open`, async t => {
		const {origin, source} = await start(t, {size: 100 * MiB, bytesPerSecond: MiB});
		const reason = new Error('enough');
		const before = source.open({range: {start: 0, end: 1}, ranged: true, signal: AbortSignal.abort(reason)});
		await assert.rejects(before, error => error === reason);

		const abort = new AbortController();
		const answer = await source.open({range: {start: 0, end: Infinity}, ranged: true, signal: abort.signal});
		const closed = Promise.all(Array.from(origin.sockets, socket => once(socket, 'close')));
		abort.abort(reason);
		await assert.rejects(receives(answer, answer.range), error => error === reason);
		await closed;
	});

	test(`${name}: a missing file is origin-refused with the status`, async t => {
		const {source} = await start(t, {
			size: 1,
			intercept: notFound(),
		});
		await assert.rejects(open(source, {start: 0, end: 1}), (error: unknown) => {
			assert.ok(error instanceof DownStreamError);
			assert.deepEqual([error.code, error.status], ['origin-refused', 404]);
			return true;
		});
	});

	test(`${name}: its visible properties contain no secrets`, async t => {
		const {source, origin} = await start(t, {size: 1});
		assert.equal(source.url, origin.url);
	});
}

/** The suite of the package, against origins of several kinds. */
function keepsTheSharedContract(name: string, create: Create): void {
	const kinds: Record<string, Partial<OriginOptions>> = {
		'with ranges': {etag: '"v1"'},
		'without ranges': {ranges: false},
		'of unknown size (chunked)': {ranges: false, length: 'chunked'},
		'of unknown size (close)': {ranges: false, length: 'close'},
		'with an empty file': {size: 0},
	};
	for (const [kind, options] of Object.entries(kinds)) {
		for (const check of dataSourceChecks) {
			test(`${name} of an origin ${kind} ${check.name}`, async t => {
				const size = options.size ?? 300 * KiB;
				const origin = await startOrigin(t, {size, ...options});
				await check.run({create: () => create(origin.url), bytes: content(0, size)});
			});
		}
	}
}

async function open(
	source: DataSource,
	range: Range,
	options: {ranged?: boolean} = {},
): Promise<OriginResponse> {
	return source.open({range, ranged: true, signal: new AbortController().signal, ...options});
}

async function receives({body}: OriginResponse, {start, end}: Range): Promise<void> {
	let offset = start;
	for await (const chunk of body) {
		assert.notEqual(chunk.length, 0);
		assert.equal(firstWrongByte(chunk, offset), -1);
		offset += chunk.length;
	}

	assert.equal(offset, end);
}

keepsTheContract(
	'HttpDataSource',
	starting(url => new HttpDataSource({url, proxy: 'direct'})),
);

keepsTheContract(
	'HttpDataSource with a password',
	starting(url => new HttpDataSource({url: url.replace('://', '://me:geheim@'), proxy: 'direct'})),
);

keepsTheContract(
	'CustomHeaderDataSource',
	starting(url => new CustomHeaderDataSource({url, customHeaders: {'X-API-Key': 'geheim'}, proxy: 'direct'})),
);

keepsTheSharedContract('HttpDataSource', url => new HttpDataSource({url, proxy: 'direct'}));

keepsTheSharedContract(
	'CustomHeaderDataSource',
	url => new CustomHeaderDataSource({url, customHeaders: {'X-API-Key': 'geheim'}, proxy: 'direct'}),
);

test('an origin receives the headers and the user agent with GET requests only', async t => {
	const origin = await startOrigin(t, {size: 10});
	const source = new CustomHeaderDataSource({
		url: origin.url,
		customHeaders: {'X-API-Key': 'geheim', Cookie: 'a=b'},
		userAgent: 'tester/1',
		proxy: 'direct',
	});
	atEnd(t, () => source.dispose());
	await open(source, {start: 0, end: 10});
	const [{method, headers} = assert.fail()] = origin.requests;
	assert.deepEqual(
		[method, headers['x-api-key'], headers.cookie, headers['user-agent'], headers.accept],
		['GET', 'geheim', 'a=b', 'tester/1', '*/*'],
	);
	assert.deepEqual([headers.range, headers['accept-encoding']], ['bytes=0-9', 'identity']);
});

test('the environment selects the proxy of each hop', async t => {
	const target = await startOrigin(t, {size: 10});
	const origin = await startOrigin(t, {
		size: 10,
		intercept(request, response) {
			if (request.url !== '/away') {
				return false;
			}

			response.writeHead(302, {location: `http://localhost:${target.port}/`}).end();
			return true;
		},
	});
	const env = {http_proxy: `http://127.0.0.1:${await freePort()}`, no_proxy: '127.0.0.1'};
	const sourceOf = (url: string) => {
		const source = new HttpDataSource({url, env});
		atEnd(t, () => source.dispose());
		return source;
	};

	await receives(await open(sourceOf(origin.url), {start: 0, end: 10}), {start: 0, end: 10});
	await assert.rejects(
		open(sourceOf(origin.urlOf('/away')), {start: 0, end: 10}),
		withCode('upstream-proxy-unreachable'),
	);
});

test('credentials are moved from the URL to Basic authentication', () => {
	const {url, credentials} = withoutCredentials(' https://m%40e:p%3Aw@a.example/film?x=1#t=10 ');
	assert.equal(url.href, 'https://a.example/film?x=1');
	assert.deepEqual(credentials, {authorization: `Basic ${Buffer.from('m@e:p:w').toString('base64')}`});
	assert.deepEqual(withoutCredentials('http://a.example/').credentials, {});
});

for (const text of [
	'',
	'film.mkv',
	'http://me:geheim@',
	'http://me:geheim@host:99999/',
	'http://me:%zz-geheim@host/',
]) {
	test(`"${text}" is rejected as a URL and not repeated`, () => {
		assert.throws(
			() => withoutCredentials(text),
			(error: unknown) => {
				assert.ok(error instanceof DownStreamError);
				assert.equal(error.code, 'bad-request');
				assert.doesNotMatch(error.message, /geheim/);
				return true;
			},
		);
	});
}

test('users cannot set headers of the connection', () => {
	for (const name of ['Host', 'Range', 'connection', 'Keep-Alive', 'Upgrade', 'Expect', 'Accept-Encoding']) {
		assert.throws(
			() => checkedHeaders({[name]: 'x'}),
			new RegExp(`The header ${name} is set by the program`),
		);
	}

	assert.deepEqual(checkedHeaders({Cookie: 'a', cookie: 'b'}), {cookie: 'b'});
});
