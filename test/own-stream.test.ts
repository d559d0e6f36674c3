import assert from 'node:assert/strict';
import {test} from 'node:test';
import {downloadOf, startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';
import {ask} from './support/proxy-client.ts';

const own = {code: 'bad-request', message: /that is this program's own stream/};

test('a stream of this program is not a source, in any spelling of its URL', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const {engine, proxy} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	const {pathname} = new URL(download.streamUrl);
	const {port} = proxy;
	const encoded = encodeURIComponent(origin.url);
	for (const url of [
		download.streamUrl,
		`http://localhost:${port}${pathname}`,
		`http://LOCALHOST.:${port}${pathname}`,
		`http://[::1]:${port}${pathname}`,
		`http://[::ffff:127.0.0.1]:${port}${pathname}`,
		`http://2130706433:${port}${pathname}`,
		`http://127.1:${port}/x/..${pathname}`,
		`http://0.0.0.0:${port}${pathname}`,
		`http://127.0.0.1:${port}/stream?url=${encoded}`,
		`http://127.0.0.1:${port}/playlist.m3u?key=x`,
		`http://127.0.0.1:${port}/api/downloads`,
		`http://127.0.0.1:${port}/${pathname}`,
		`http://127.0.0.1:${port}${pathname.replace('/stream/', '//%73tream//')}`,
		`http://127.0.0.1:${port}/%2Fstre%61m${pathname.slice('/stream'.length)}`,
		// Forwarded: the id and the key identify the stream.
		`http://127.0.0.1:9${pathname}`,
		`https://tunnel.example${pathname}`,
		`https://tunnel.example/${pathname.replace('stream', '%73tream')}`,
		`http://127.0.0.1:9/stream?url=${encoded}&key=${encodeURIComponent(engine.key)}`,
	]) {
		await assert.rejects(engine.add({url}), own, url);
		await assert.rejects(engine.update(download.id, {url}), own, url);
	}

	const stream = `/stream?url=${encodeURIComponent(download.streamUrl)}&key=${encodeURIComponent(engine.key)}`;
	const answer = await ask(proxy, stream);
	assert.equal(answer.status, 400);
	assert.match(answer.body.toString(), /own stream/);
	assert.equal(engine.snapshot.downloads.length, 1);
});

test('a URL that only resembles a stream of this program is a source', async t => {
	const {engine, proxy} = await startEngine(t, {maxActive: 0});
	for (const url of [
		`http://127.0.0.1:${proxy.port === 9 ? 10 : 9}/stream/${'0'.repeat(32)}/film.mkv`,
		`http://films.example:${proxy.port}/stream/${'0'.repeat(32)}/film.mkv`,
		`http://127.0.0.1:${proxy.port}/films/stream`,
	]) {
		await engine.add({url, paused: true});
	}

	assert.equal(engine.snapshot.downloads.length, 3);
});

test('a redirect to a stream of this program has its own error', async t => {
	let target = '';
	const origin = await startOrigin(t, {
		size: 1000,
		intercept(request, response) {
			if (request.url === '/moved') {
				response.writeHead(302, {location: target}).end();
				return true;
			}

			return false;
		},
	});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.url});
	target = download.streamUrl;
	const {download: moved} = await engine.add({url: origin.urlOf('/moved')});
	const {error} = await until(engine, moved.id, ({status}) => status === 'failed');
	assert.equal(error?.code, 'origin-refused');
	assert.match(error.message, /leads to this program's own stream/);
});

for (const status of [401, 403, 404, 410]) {
	test(`a player gets the origin's ${status}, also from a recorded error and after a restart`, async t => {
		const origin = await startOrigin(t, {
			size: 1000,
			intercept(_request, response) {
				response.writeHead(status).end();
				return true;
			},
		});
		const storageDir = await temporaryFolder(t);
		const first = await startEngine(t, {storageDir, onDemand: true});
		const {download} = await first.engine.add({url: origin.url});
		const {pathname} = new URL(download.streamUrl);
		const isTold = async (proxy: typeof first.proxy) => {
			const answer = await ask(proxy, pathname);
			assert.equal(answer.status, status);
			assert.equal(answer.headers['content-type'], 'application/problem+json');
			const problem = JSON.parse(answer.body.toString()) as {status: number; code: string};
			assert.deepEqual([problem.status, problem.code], [status, 'origin-refused']);
		};
		await isTold(first.proxy);
		await isTold(first.proxy);
		assert.equal(downloadOf(first.engine, download.id).error?.status, status);
		await first.close();
		const second = await startEngine(t, {storageDir, onDemand: true});
		assert.equal(downloadOf(second.engine, download.id).error?.status, status);
		await isTold(second.proxy);
	});
}
