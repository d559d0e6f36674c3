// Origins that require HTTP Digest: one request per range, and one challenge for all.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {test, type TestContext} from 'node:test';
import {promisify} from 'node:util';
import {DownStreamError} from '../source/downstream.ts';
import {CustomHeaderDataSource, HttpDataSource} from '../source/engine/origin/http-source.ts';
import type {DataSource} from '../source/engine/origin/data-source.ts';
import {atEnd} from './support/cleanup.ts';
import {firstWrongByte} from './support/content.ts';
import {startDigestOrigin, type DigestOptions} from './support/digest-origin.ts';
import {downloadOf, startEngine, startOrigin, untilEnded} from './support/engines.ts';
import {missing} from './support/programs.ts';

const size = 100_000;

function withLogin(url: string, login = 'me:geheim'): string {
	return url.replace('://', `://${login}@`);
}

function sourceOf(t: TestContext, url: string): DataSource {
	const source = new HttpDataSource({url, proxy: 'direct'});
	atEnd(t, () => source.dispose());
	return source;
}

async function read(source: DataSource, start: number, end: number): Promise<void> {
	const {body} = await source.open({range: {start, end}, ranged: true, signal: new AbortController().signal});
	const pieces: Uint8Array[] = [];
	for await (const piece of body) {
		pieces.push(piece.slice());
	}

	const bytes = Buffer.concat(pieces);
	assert.equal(bytes.length, end - start);
	assert.equal(firstWrongByte(bytes, start), -1);
}

const kinds: DigestOptions[] = [
	{},
	{qop: 'auth'},
	{qop: 'auth-int,auth', algorithm: 'MD5'},
	{qop: 'auth', algorithm: 'MD5-sess'},
	{qop: 'auth', algorithm: 'SHA-256'},
	{qop: 'auth', algorithm: 'SHA-256-sess'},
	{qop: 'auth', others: 'Negotiate, Basic realm="films", Digest realm="films", nonce="x", algorithm=NEW, '},
	{qop: 'auth', realm: 'films, "and" more'},
	{qop: 'auth', user: 'J\u00E4s\u00F8n Doe', password: 'a:b\u00DF'},
];
for (const options of kinds) {
	const words = JSON.stringify(options);
	const {user = 'me', password = 'geheim'} = options;

	test(`Digest ${words}: one challenge serves all ranges`, async t => {
		const digest = await startDigestOrigin(t, {size}, options);
		const login = [user, password].map(each => encodeURIComponent(each)).join(':');
		const source = sourceOf(t, withLogin(`${digest.origin.url}?a="b"&c=d`, login));
		await read(source, 0, 1000);
		await Promise.all([1000, 2000, 3000].map(start => read(source, start, start + 1000)));
		assert.deepEqual([digest.accepted, digest.refused], [4, 1]);
	});

	test(
		`curl and this origin agree on Digest ${words}`,
		{skip: options.others ? 'curl takes the first algorithm, known or not' : missing('curl')},
		async t => {
			const digest = await startDigestOrigin(t, {size}, options);
			const {stdout} = await promisify(execFile)(
				'curl',
				['-sS', '--digest', '-u', `${user}:${password}`, '-r', '0-999', digest.origin.url],
				{encoding: 'buffer'},
			);
			assert.equal(stdout.length, 1000);
			assert.equal(firstWrongByte(stdout, 0), -1);
		},
	);
}

for (const saysStale of [true, false]) {
	test(`an expired nonce is replaced (stale ${saysStale ? 'stated' : 'not stated'})`, async t => {
		const digest = await startDigestOrigin(t, {size}, {qop: 'auth', uses: 2, saysStale});
		const source = sourceOf(t, withLogin(digest.origin.url));
		for (let start = 0; start < 6000; start += 1000) {
			await read(source, start, start + 1000);
		}

		assert.deepEqual([digest.accepted, digest.refused], [6, 3]);
	});
}

test('a wrong password is refused after one attempt, and never shown', async t => {
	const digest = await startDigestOrigin(t, {size}, {qop: 'auth'});
	const source = sourceOf(t, withLogin(digest.origin.url, 'me:falsch'));
	await assert.rejects(read(source, 0, 1000), (error: unknown) => {
		assert.ok(error instanceof DownStreamError && error.status === 401);
		assert.match(error.message, /requires a valid user, password or token \(Digest, "films"\)$/);
		assert.doesNotMatch(error.message, /falsch/);
		return true;
	});
	assert.equal(digest.origin.requests.length, 2);
});

test('without a password, the error explains what is required', async t => {
	const digest = await startDigestOrigin(t, {size}, {qop: 'auth'});
	await assert.rejects(
		read(sourceOf(t, digest.origin.url), 0, 1000),
		/^DownStreamError: 401 Unauthorized: 127\.0\.0\.1 needs a user name and password \(Digest, "films"\)/,
	);
	assert.equal(digest.origin.requests.length, 1);
});

test('attempts end if the origin never accepts', async t => {
	const digest = await startDigestOrigin(t, {size}, {qop: 'auth', uses: 0});
	await assert.rejects(read(sourceOf(t, withLogin(digest.origin.url)), 0, 1000), {status: 401});
	assert.equal(digest.origin.requests.length, 4);
});

test('a challenge from another origin gets no credentials', async t => {
	const other = await startDigestOrigin(t, {size}, {qop: 'auth'});
	const origin = await startOrigin(t, {
		size,
		intercept(_request, response) {
			response.writeHead(302, {location: other.origin.url}).end();
			return true;
		},
	});
	await assert.rejects(
		read(sourceOf(t, withLogin(origin.url)), 0, 1000),
		/needs a user name and password \(Digest, "films"\)/,
	);
	assert.deepEqual(
		other.origin.requests.map(({headers}) => headers.authorization),
		[undefined],
	);
});

test('a redirect within the origin gets credentials', async t => {
	const digest = await startDigestOrigin(t, {size}, {qop: 'auth'});
	const {intercept} = digest.origin.options;
	digest.origin.options.intercept = (request, response, record) => {
		if (request.url === '/go') {
			response.writeHead(302, {location: '/film.bin?x'}).end();
			return true;
		}

		return intercept?.(request, response, record) ?? false;
	};
	const source = sourceOf(t, withLogin(digest.origin.urlOf('/go')));
	await read(source, 0, 1000);
	await read(source, 1000, 2000);
	assert.deepEqual([digest.accepted, digest.refused], [2, 1]);
});

test('Basic credentials in a header, as from netrc, also serve Digest', async t => {
	const digest = await startDigestOrigin(t, {size}, {qop: 'auth'});
	const source = new CustomHeaderDataSource({
		url: digest.origin.url,
		proxy: 'direct',
		customHeaders: {Authorization: `Basic ${Buffer.from('me:geheim').toString('base64')}`},
	});
	atEnd(t, () => source.dispose());
	await read(source, 0, 1000);
	assert.equal(digest.accepted, 1);
});

test('a download behind Digest completes over several connections', {timeout: 60_000}, async t => {
	const digest = await startDigestOrigin(
		t,
		{size: 12_000_000, etag: '"v1"', bytesPerSecond: 4_000_000},
		{qop: 'auth', algorithm: 'SHA-256', uses: 5},
	);
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: withLogin(digest.origin.url)});
	await untilEnded(engine, download.id);
	const {status, url} = downloadOf(engine, download.id);
	assert.equal(status, 'complete');
	assert.doesNotMatch(url, /geheim/);
});
