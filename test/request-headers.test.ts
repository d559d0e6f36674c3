// Request header names: sent in the user's or the usual case, and compared without regard to case.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import {createServer, type AddressInfo} from 'node:net';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {CustomHeaderDataSource} from '../source/engine/origin/http-source.ts';
import {inUsualCase} from '../source/engine/http/headers.ts';
import {atEnd} from './support/cleanup.ts';
import {downloadOf, startEngine} from './support/engines.ts';
import {missing} from './support/programs.ts';
import {startSocks4, startTinyproxy, tinyproxyPassword, user} from './support/upstream-proxies.ts';

/** Responds to each request with one byte and records its header lines in `heads`. */
async function startRecorder(t: TestContext): Promise<{url: string; heads: string[][]}> {
	const heads: string[][] = [];
	const server = createServer(socket => {
		socket.on('error', () => undefined);
		socket.on('data', data => {
			heads.push(data.toString('latin1').split('\r\n').slice(1, -2));
			socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx');
		});
	});
	await once(server.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => server.close());
	return {url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/film.mkv`, heads};
}

async function fetchOnce(
	t: TestContext,
	url: string,
	customHeaders: Record<string, string>,
	proxy = 'direct',
) {
	const source = new CustomHeaderDataSource({url, customHeaders, proxy, userAgent: 'tester/1'});
	atEnd(t, () => source.dispose());
	const {body} = await source.open({
		range: {start: 0, end: 1},
		ranged: true,
		signal: new AbortController().signal,
	});
	for await (const bytes of body) {
		assert.equal(bytes.length, 1);
	}
}

const typed = {'X-API-Key': 'a', 'x-lower': 'b', cookie: 'c=d', ACCEPT: 'video/*', 'sec-Fetch-mode': 'e'};
const sent = [
	'ACCEPT: video/*',
	'Accept-Encoding: identity',
	'Connection: keep-alive',
	'Cookie: c=d',
	'Range: bytes=0-0',
	'User-Agent: tester/1',
	'X-API-Key: a',
	'sec-Fetch-mode: e',
	'x-lower: b',
];

test('names are sent as typed, or in their usual case', async t => {
	const {url, heads} = await startRecorder(t);
	await fetchOnce(t, url, typed);
	assert.deepEqual(heads[0]!.toSorted(), [...sent, `Host: ${new URL(url).host}`].toSorted());
});

test('names are sent in their usual case through a tunnel', async t => {
	const {url, heads} = await startRecorder(t);
	const {port} = await startSocks4(t, user);
	await fetchOnce(t, url, typed, `socks4://${user}@127.0.0.1:${port}`);
	assert.deepEqual(heads[0]!.toSorted(), [...sent, `Host: ${new URL(url).host}`].toSorted());
});

test('an HTTP proxy receives CONNECT and forwarded requests in the usual case', async t => {
	const heads: string[][] = [];
	const host = 'film.example';
	const refusing = createServer(socket => {
		socket.on('error', () => undefined);
		socket.once('data', data => {
			const text = data.toString('latin1');
			heads.push(text.split('\r\n').slice(1, -2));
			if (text.startsWith('CONNECT')) {
				socket.end('HTTP/1.1 501 Not Implemented\r\n\r\n');
			} else {
				socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx');
			}
		});
	});
	await once(refusing.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => refusing.close());
	const {port} = refusing.address() as AddressInfo;
	await fetchOnce(t, `http://${host}/film.mkv`, typed, `http://me:you@127.0.0.1:${port}`);
	const login = `Proxy-Authorization: Basic ${Buffer.from('me:you').toString('base64')}`;
	assert.deepEqual(heads[0]!.toSorted(), ['Connection: close', `Host: ${host}:80`, login]);
	assert.deepEqual(heads[1]!.toSorted(), [...sent, `Host: ${host}`, login].toSorted());
});

test('names reach an origin behind tinyproxy as typed', {skip: missing('tinyproxy')}, async t => {
	const {url, heads} = await startRecorder(t);
	const port = await startTinyproxy(t);
	await fetchOnce(t, url, typed, `http://${user}:${tinyproxyPassword}@127.0.0.1:${port}`);
	assert.deepEqual(heads[0]!.toSorted(), [...sent, `Host: ${new URL(url).host}`].toSorted());
});

test('names without a usual case are unchanged', () => {
	assert.deepEqual(inUsualCase({host: 'a', 'x-a': 'b', dnt: '1', __proto: 'c'}), {
		Host: 'a',
		'x-a': 'b',
		DNT: '1',
		__proto: 'c',
	});
});

test('headers that differ only in the case of their names identify one download', async t => {
	const {url, heads} = await startRecorder(t);
	const {engine, storageDir, close} = await startEngine(t);
	const {download} = await engine.add({url, headers: {'X-API-Key': 'a', Cookie: 'b=c'}, paused: true});
	const again = await engine.add({url, headers: {cookie: 'b=c', 'x-api-key': 'a'}, paused: true});
	assert.deepEqual([again.existed, again.download.id], [true, download.id]);
	assert.equal((await engine.add({url, headers: {'X-API-Key': 'b'}, paused: true})).existed, false);
	await close();

	// In the form that earlier versions recorded.
	const record = path.join(downloadOf(engine, download.id).folder, 'entry.json');
	const text = await readFile(record, 'utf8');
	assert.match(text, /"X-API-Key"/);
	await writeFile(record, text.replace('"X-API-Key"', '"x-api-key"').replace('"Cookie"', '"cookie"'));
	const next = await startEngine(t, {storageDir});
	const later = await next.engine.add({url, headers: {'X-API-Key': 'a', Cookie: 'b=c'}, paused: true});
	assert.deepEqual([later.existed, later.download.id], [true, download.id]);
	await next.engine.resume(download.id);
	while (heads.length === 0) {
		await new Promise(resolve => setTimeout(resolve, 5));
	}

	assert.ok(heads[0]!.includes('x-api-key: a') && heads[0]!.includes('Cookie: b=c'), heads[0]!.join('\n'));
});
