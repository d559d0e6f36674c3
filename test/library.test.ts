import assert from 'node:assert/strict';
import {createHmac} from 'node:crypto';
import {access, readFile, stat} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {CustomHeaderDataSource, HttpDataSource} from '../source/engine/origin/http-source.ts';
import {StorageLock} from '../source/engine/store/storage-lock.ts';
import {
	DownStream,
	type DataSource,
	type OriginResponse,
	type OriginRequest,
	type ProxyConfig,
} from '../source/index.ts';
import {dataSourceChecks} from '../source/testing.ts';
import {content, firstWrongByte} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {initLibrary as init} from './support/library.ts';
import {freePort} from './support/nginx.ts';
import {missing} from './support/programs.ts';
import {password, startMicrosocks, user} from './support/upstream-proxies.ts';

const mebibyte = 1024 * 1024;
const size = 3 * mebibyte;

async function untilStatus(downstream: DownStream, url: string, wanted: string): Promise<void> {
	for await (const progress of downstream.progressStream) {
		if (progress.url === url && progress.status === wanted) {
			return;
		}
	}

	assert.fail(`it ended before ${url} was ${wanted}`);
}

async function bytesOf(localUrl: string, range?: string): Promise<Buffer> {
	const response = await fetch(localUrl, range === undefined ? {} : {headers: {range}});
	assert.ok(response.ok, `${response.status}`);
	return Buffer.from(await response.arrayBuffer());
}

/** A file that is only in memory. */
class MemorySource implements DataSource {
	readonly url: string;
	isDisposed = false;
	opened = 0;
	readonly #bytes: Buffer;

	constructor(url: string, bytes: Buffer) {
		this.url = url;
		this.#bytes = bytes;
	}

	async open({range, ranged, signal}: OriginRequest): Promise<OriginResponse> {
		signal.throwIfAborted();
		this.opened++;
		const {length} = this.#bytes;
		const part = ranged
			? {start: Math.min(range.start, length), end: Math.min(range.end, length)}
			: {start: 0, end: length};
		const bytes = this.#bytes.subarray(part.start, part.end);
		return {
			info: {name: 'notes.bin', type: 'application/x-notes', size: length},
			range: part,
			validator: {etag: '"1"'},
			acceptsRanges: true,
			body: (async function* () {
				if (bytes.length > 0) {
					yield bytes;
				}
			})(),
		};
	}

	async dispose(): Promise<void> {
		this.isDisposed = true;
	}
}

/** Signs each request; a signature is valid once. */
class SigningSource implements DataSource {
	readonly url: string;
	readonly #sign: (url: string) => string;

	constructor(url: string, sign: (url: string) => string) {
		this.url = url;
		this.#sign = sign;
	}

	async open(request: OriginRequest): Promise<OriginResponse> {
		const source = new HttpDataSource({url: this.#sign(this.url), proxy: 'direct'});
		request.signal.addEventListener('abort', () => void source.dispose());
		try {
			const answer = await source.open(request);
			return {...answer, body: thenDisposed(answer.body, source)};
		} catch (error) {
			await source.dispose();
			throw error;
		}
	}

	async dispose(): Promise<void> {}
}

async function* thenDisposed(body: AsyncIterable<Uint8Array>, source: DataSource) {
	try {
		yield* body;
	} finally {
		await source.dispose();
	}
}

for (const check of dataSourceChecks) {
	test(`a data source in memory ${check.name}`, async () => {
		const bytes = content(0, size);
		await check.run({create: () => new MemorySource('memory:notes.bin', bytes), bytes});
	});

	test(`a data source around another ${check.name}`, async t => {
		const origin = await startOrigin(t, {size, etag: '"1"'});
		await check.run({create: () => new SigningSource(origin.url, url => url), bytes: content(0, size)});
	});
}

test('a failure after the proxy has started to listen frees its port', async t => {
	const publish = t.mock.method(StorageLock.prototype, 'publish', async () => {
		throw new Error('EIO');
	});
	const [port, storageDir] = [await freePort(), await temporaryFolder(t)];
	await assert.rejects(init(t, {port, storageDir}), /EIO/);
	publish.mock.restore();
	const downstream = await init(t, {port, storageDir});
	assert.equal(downstream.origin, `http://127.0.0.1:${port}`);
});

test('a URL is cached, reported, played, exported and removed', async t => {
	const origin = await startOrigin(t, {
		size,
		etag: '"1"',
		headers: {'content-type': 'video/mp4', 'content-disposition': 'attachment; filename="a film.mp4"'},
	});
	const downstream = await init(t, {userAgent: 'library test'});
	assert.equal(DownStream.instance, downstream);
	assert.throws(() => downstream.getProgress(origin.url), {code: 'not-found'});
	assert.equal(downstream.isDownloading(origin.url), false);

	const localUrl = await downstream.cache(origin.url);
	assert.ok(localUrl.startsWith(`${downstream.origin}/stream/`));
	const stats = [];
	for await (const each of downstream.getFileStats(origin.url)) {
		stats.push(each);
	}

	// The iteration ends by itself, and a later one replays the end.
	assert.deepEqual(stats.at(-1), {fileName: 'a film.mp4', totalSize: size, mimeType: 'video/mp4'});
	for await (const each of downstream.getFileStats(localUrl)) {
		assert.deepEqual(each, stats.at(-1));
	}

	assert.equal(firstWrongByte(await bytesOf(localUrl), 0), -1);
	assert.equal(downstream.getProgress(origin.url), 100);
	assert.equal(downstream.isDownloading(localUrl), false);
	assert.equal(origin.requests[0]?.headers['user-agent'], 'library test');

	const folder = await temporaryFolder(t);
	const exported = await downstream.exportFile(origin.url, folder);
	assert.equal(exported, path.join(folder, 'a film.mp4'));
	await assert.rejects(downstream.exportFile(origin.url, folder), {code: 'target-exists'});
	await assert.rejects(downstream.exportFile(origin.url, undefined as unknown as string), {
		code: 'bad-request',
	});
	assert.equal(await downstream.exportFile(origin.url, folder, {overwrite: true}), exported);
	const moved = await downstream.moveFile(origin.url, path.join(folder, 'moved.mp4'));
	assert.equal((await stat(moved)).size, size);
	assert.equal(firstWrongByte(await bytesOf(localUrl, 'bytes=100-199'), 100), -1);

	const [download] = await downstream.getAllDownloads();
	assert.equal(download?.status, 'complete');
	await downstream.removeCache(origin.url);
	await assert.rejects(access(download.folder));
	assert.deepEqual(await downstream.getAllDownloads(), []);
	// A moved file belongs to the user.
	assert.equal((await stat(moved)).size, size);
});

test('each download reports growing progress, with 100 only at the end', async t => {
	const origin = await startOrigin(t, {size, etag: '"1"', bytesPerSecond: 4 * mebibyte});
	const downstream = await init(t);
	const urls = [origin.url, origin.urlOf('/other.bin')];
	await Promise.all(urls.map(url => downstream.cache(url)));
	const seen = new Map<string, number>();
	const open = new Set(urls);
	for await (const {url, progress, receivedBytes, totalBytes, status} of downstream.progressStream) {
		assert.ok(progress >= (seen.get(url) ?? 0) && progress <= 100);
		assert.equal(progress === 100, status === 'complete');
		assert.ok(totalBytes === null || receivedBytes <= totalBytes);
		seen.set(url, progress);
		if (status === 'complete' && open.delete(url) && open.size === 0) {
			break;
		}
	}

	assert.deepEqual([...seen.keys()].toSorted(), urls.toSorted());
	// A progress read to its end gives the next reader the same.
	const last = [];
	for await (const {progress} of downstream.progressStream) {
		last.push(progress);
		if (last.length === 2) {
			break;
		}
	}

	assert.deepEqual(last, [100, 100]);
});

test('a download is paused, resumed, cancelled, fetched on demand and cleared', async t => {
	const origin = await startOrigin(t, {size, etag: '"1"', bytesPerSecond: mebibyte});
	const downstream = await init(t);
	const {url} = origin;
	const localUrl = await downstream.cache(url);
	assert.equal(downstream.isDownloading(url), true);
	await downstream.pauseDownload(url);
	await untilStatus(downstream, url, 'paused');
	assert.equal(downstream.isDownloading(url), false);
	await downstream.resumeAllDownloads();
	await untilStatus(downstream, url, 'active');
	await downstream.cancelDownload(url);
	await untilStatus(downstream, url, 'cancelled');
	await downstream.resumeAllDownloads();
	assert.equal((await downstream.getAllDownloads())[0]?.status, 'cancelled');

	await downstream.resumeDownload(url);
	await untilStatus(downstream, url, 'active');
	await downstream.stopBackgroundDownload(url);
	await untilStatus(downstream, url, 'queued');
	assert.equal(downstream.isDownloading(url), false);
	assert.ok(origin.bytesSent < size / 2, 'it went on for seconds');
	assert.equal(firstWrongByte(await bytesOf(localUrl, 'bytes=3000000-3000099'), 3_000_000), -1);
	assert.ok(downstream.getProgress(url) < 100);
	const folder = await temporaryFolder(t);
	await assert.rejects(downstream.exportFile(url, folder), {code: 'incomplete'});
	const target = await downstream.setDownloadTarget(url, path.join(folder, 'done.bin'));
	origin.options.bytesPerSecond = undefined;
	await downstream.startBackgroundDownload(url);
	await untilStatus(downstream, url, 'complete');
	for await (const {status} of downstream.progressStream) {
		if (status === 'complete' && (await downstream.getAllDownloads())[0]?.exportedTo === target) {
			break;
		}
	}

	assert.equal(firstWrongByte(await readFile(target), 0), -1);
	await downstream.clearAllCache();
	assert.deepEqual(await downstream.getAllDownloads(), []);
	assert.throws(() => downstream.getProgress(url), {code: 'not-found'});
});

test('a data source has its own headers and its own download', async t => {
	const origin = await startOrigin(t, {
		size,
		intercept(request, response) {
			const isKnown = request.headers['x-api-key'] === 'secret';
			if (!isKnown) {
				response.writeHead(403).end();
			}

			return !isKnown;
		},
	});
	const downstream = await init(t);
	const source = new CustomHeaderDataSource({url: origin.url, customHeaders: {'X-API-Key': 'secret'}});
	const localUrl = await downstream.cache(source);
	assert.equal(firstWrongByte(await bytesOf(localUrl), 0), -1);
	// The same file without the key is another download; its stats give the reason of its failure.
	const refused = await downstream.cache(new HttpDataSource({url: origin.url}));
	assert.notEqual(refused, localUrl);
	await assert.rejects(
		async () => {
			for await (const stats of downstream.getFileStats(refused)) {
				assert.fail(JSON.stringify(stats));
			}
		},
		{code: 'origin-refused'},
	);
});

test(
	'origins are reached through the upstream proxy of the options, with user and password',
	{skip: missing('microsocks')},
	async t => {
		const origin = await startOrigin(t, {size, etag: '"1"'});
		const port = await startMicrosocks(t);
		const proxyConfig = {type: 'socks5', host: '127.0.0.1', port, username: user, password} as const;
		const refused = await init(t, {proxyConfig: {...proxyConfig, password: 'wrong'}});
		const stream = await fetch(await refused.cache(origin.url));
		assert.equal(stream.status, 502);
		assert.equal(origin.requests.length, 0);
		await refused.dispose();
		const downstream = await init(t, {proxyConfig});
		assert.equal(firstWrongByte(await bytesOf(await downstream.cache(origin.url)), 0), -1);
	},
);

test('a custom data source is read, cached and resumed in the next run', async t => {
	const storageDir = await temporaryFolder(t);
	const bytes = content(0, size);
	const url = 'memory:notes.bin';
	const first = await init(t, {storageDir, onDemand: true});
	const source = new MemorySource(url, bytes);
	const localUrl = await first.cache(source);
	assert.deepEqual(await bytesOf(localUrl, 'bytes=1000-1999'), bytes.subarray(1000, 2000));
	for await (const stats of first.getFileStats(url)) {
		assert.deepEqual(stats, {fileName: 'notes.bin', totalSize: size, mimeType: 'application/x-notes'});
		break;
	}

	assert.equal(await first.cache(source), localUrl);
	await first.dispose();
	assert.ok(source.isDisposed);

	const second = await init(t, {storageDir});
	const [download] = await second.getAllDownloads();
	// Cached bytes need no source, missing ones do.
	const again = download!.streamUrl;
	assert.deepEqual(await bytesOf(again, 'bytes=1000-1999'), bytes.subarray(1000, 2000));
	const response = await fetch(again, {headers: {range: 'bytes=2000000-2000009'}});
	assert.equal(response.status, 404);
	assert.match(await response.text(), /continues when that program adds it again/);
	assert.equal(await second.cache(new MemorySource(url, bytes)), again);
	await second.startBackgroundDownload(url);
	await untilStatus(second, url, 'complete');
	assert.deepEqual(await bytesOf(again), bytes);
});

test('a body of unknown size without a proven end is complete after a second fetch', async t => {
	const bytes = content(0, size);
	const source = new MemorySource('memory:notes.bin', bytes);
	const known = source.open.bind(source);
	source.open = async request => {
		const response = await known({...request, ranged: false});
		const info = {...response.info, size: Infinity};
		return {...response, info, range: {start: 0, end: Infinity}, acceptsRanges: false};
	};
	const downstream = await init(t);
	const download = await downstream.whenComplete(await downstream.cache(source));
	assert.deepEqual([download.size, download.present], [size, size]);
	assert.equal(source.opened, 2);
	assert.deepEqual(await bytesOf(download.streamUrl), bytes);
});

test('a data source that signs each request downloads from an origin with one-time signatures', async t => {
	const used = new Set<string>();
	const key = 'a key';
	const signatureOf = (nonce: string) => createHmac('sha256', key).update(nonce).digest('hex');
	const origin = await startOrigin(t, {
		size,
		etag: '"1"',
		intercept(request, response) {
			const {searchParams} = new URL(request.url ?? '', 'http://origin');
			const nonce = searchParams.get('nonce') ?? '';
			const isGood = searchParams.get('signature') === signatureOf(nonce) && !used.has(nonce);
			used.add(nonce);
			if (!isGood) {
				response.writeHead(403).end();
			}

			return !isGood;
		},
	});
	let nonce = 0;
	const sign = (url: string) => {
		nonce++;
		return `${url}?nonce=${nonce}&signature=${signatureOf(String(nonce))}`;
	};

	const downstream = await init(t);
	const localUrl = await downstream.cache(new SigningSource(origin.url, sign));
	assert.equal(firstWrongByte(await bytesOf(localUrl), 0), -1);
	await untilStatus(downstream, origin.url, 'complete');
	assert.ok(used.size > 1);
	assert.equal(used.size, nonce);
});

test('one instance owns the storage folder, and invalid calls reject with one sentence', async t => {
	assert.throws(() => DownStream.instance, {code: 'bad-request'});
	for (const [options, message] of [
		[{port: 70_000}, /^port is 70000; it must be a whole number from 0 to 65535$/],
		[{connections: 0}, /^connections is 0; it must be a whole number from 1 to 16$/],
		[{limitRate: 10}, /^limitRate is 10; it must be a whole number of at least 1024$/],
		[{proxyConfig: {type: 'ftp' as 'http', host: 'x', port: 1}}, /^proxyConfig must be written http/],
		[{proxyConfig: {type: 'http', port: 1} as ProxyConfig}, /^proxyConfig must have a host and a port$/],
		[{userAgent: 'a\nb'}, /^The header User-Agent has a line break/],
		[{headers: {Host: 'x'}}, /^The header Host is set by the program itself$/],
	] as const) {
		await assert.rejects(DownStream.init(options), {code: 'bad-request', message});
	}

	const downstream = await init(t);
	await assert.rejects(DownStream.init({port: 0}), {
		code: 'bad-request',
		message: /call dispose\(\) before init/,
	});
	await assert.rejects(downstream.cache('not a url'), {code: 'bad-request'});
	await assert.rejects(downstream.cache(undefined as unknown as string), {code: 'bad-request'});
	await assert.rejects(downstream.pauseDownload('http://127.0.0.1/?token=secret'), {
		code: 'not-found',
		message: 'There is no download of http://127.0.0.1/?token=***; cache() it first',
	});
	const ended = (async () => {
		for await (const progress of downstream.progressStream) {
			assert.fail(JSON.stringify(progress));
		}
	})();
	await downstream.dispose();
	await ended;
	await downstream.dispose();
	await assert.rejects(downstream.cache('http://127.0.0.1/film.bin'), {
		code: 'bad-request',
		message: /disposed/,
	});
	assert.throws(() => downstream.getProgress('http://127.0.0.1/film.bin'), {code: 'bad-request'});
	assert.throws(() => DownStream.instance, {code: 'bad-request'});
});

test('a download has its own headers, user agent, proxy and connections', async t => {
	const origin = await startOrigin(t, {size, etag: '"1"'});
	const port = await freePort();
	const downstream = await init(t, {
		headers: {'X-API-Key': 'of all'},
		userAgent: 'of all',
		proxyConfig: {type: 'http', host: '127.0.0.1', port},
	});
	const localUrl = await downstream.cache(origin.url, {
		headers: {'X-API-Key': 'its own'},
		userAgent: 'its own',
		proxy: 'direct',
		connections: 2,
	});
	const {maxConnections} = await downstream.whenComplete(localUrl);
	assert.equal(maxConnections, 2);
	for (const {headers} of origin.requests) {
		assert.deepEqual([headers['x-api-key'], headers['user-agent']], ['its own', 'its own']);
	}

	const proxies = [{type: 'http', host: '127.0.0.1', port}, `http://127.0.0.1:${port}`] as const;
	for (const [index, proxy] of proxies.entries()) {
		const refused = await downstream.cache(origin.urlOf(`/${index}`), {proxy});
		await untilStatus(downstream, origin.urlOf(`/${index}`), 'waiting');
		const found = (await downstream.getAllDownloads()).find(({streamUrl}) => streamUrl === refused);
		assert.equal(found?.error?.code, 'upstream-proxy-unreachable');
	}

	const paused = await downstream.cache(origin.urlOf('/paused.bin'), {paused: true});
	assert.equal(downstream.isDownloading(paused), false);
	for (const source of [new MemorySource('memory:a', content(0, 1)), new HttpDataSource({url: origin.url})]) {
		for (const options of [{headers: {}}, {userAgent: 'a'}, {proxy: 'direct'}]) {
			await assert.rejects(downstream.cache(source, options), {
				code: 'bad-request',
				message: `${Object.keys(options)[0]} applies to a URL; pass it to the data source instead`,
			});
		}
	}
});

test('an unknown or invalid option is rejected with its name and the nearest known name', async t => {
	const refusal = (message: string) => ({name: 'DownStreamError', code: 'bad-request', message});
	const proxyConfig = {type: 'http', host: 'a', port: 1, usernme: 'me'} as ProxyConfig;
	for (const [options, message] of [
		[{portt: 1}, 'There is no option portt; did you mean port?'],
		[{storagedir: '/x'}, 'There is no option storagedir; did you mean storageDir?'],
		[{proxyConfig}, 'There is no option usernme; did you mean username?'],
		[{storageDir: 1}, 'storageDir is 1; it must be a string'],
		[{insecure: 'no'}, 'insecure must be true or false'],
		[{allowOrigins: 'https://a.example'}, 'allowOrigins must be an array of origins'],
		[{headers: {a: 1}}, 'headers must be an object whose values are strings'],
		[{proxyConfig: 5}, 'proxyConfig is 5; it must be an object with type, host and port, or a string'],
	] as const) {
		await assert.rejects(DownStream.init(options as object), refusal(message));
	}

	const downstream = await init(t);
	const url = 'http://127.0.0.1/film.bin';
	await downstream.cache(url, {paused: true});
	const wrong = {signall: AbortSignal.abort()} as object;
	const meant = refusal('There is no option signall; did you mean signal?');
	await assert.rejects(downstream.cache(url, wrong), meant);
	await assert.rejects(downstream.whenComplete(url, wrong), meant);
	assert.throws(() => downstream.progress(url, wrong), meant);
	assert.throws(() => downstream.getFileStats(url, wrong), meant);
	await assert.rejects(
		downstream.cache(url, {chekcsum: 'x'} as object),
		refusal('There is no option chekcsum; did you mean checksum?'),
	);
	await assert.rejects(
		downstream.cache(url, {signal: true} as object),
		refusal('signal must be an AbortSignal'),
	);
	await assert.rejects(
		downstream.cache(url, null as unknown as object),
		refusal('The options must be an object'),
	);
	for (const verb of ['exportFile', 'moveFile', 'setDownloadTarget'] as const) {
		await assert.rejects(
			downstream[verb](url, 'film.bin', {force: true} as object),
			refusal('There is no option force; the options are signal, overwrite, keepBoth'),
		);
	}

	assert.throws(
		() => new HttpDataSource({url, header: {}} as {url: string}),
		refusal(
			'There is no option header; the options are url, userAgent, proxy, env, connections, tls, timeouts, isOwnStream',
		),
	);
	assert.throws(
		() =>
			new CustomHeaderDataSource({url, customHeaders: {}, userAgnet: 'a'} as {
				url: string;
				customHeaders: {};
			}),
		refusal('There is no option userAgnet; did you mean userAgent?'),
	);
	assert.throws(
		() => new CustomHeaderDataSource({url, customHeader: {}} as unknown as {url: string; customHeaders: {}}),
		refusal('There is no option customHeader; did you mean customHeaders?'),
	);
});
