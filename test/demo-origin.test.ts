import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {type TestContext, test} from 'node:test';
import {promisify} from 'node:util';
import {DemoOrigin} from '../source/cli/run/demo-origin.ts';
import {atEnd} from './support/cleanup.ts';
import {missing} from './support/programs.ts';

async function startOrigin(t: TestContext, bytesPerSecond = Infinity): Promise<DemoOrigin> {
	const origin = await DemoOrigin.start({bytesPerSecond});
	atEnd(t, () => origin.close());
	return origin;
}

async function ask({url}: DemoOrigin, range: string) {
	const response = await fetch(url, {headers: {range}});
	return {
		status: response.status,
		contentRange: response.headers.get('content-range'),
		body: Buffer.from(await response.arrayBuffer()),
	};
}

test('every range has the bytes of the whole file, which has the announced hash', async t => {
	const origin = await startOrigin(t);
	const response = await fetch(origin.url);
	assert.equal(response.status, 200);
	const whole = Buffer.from(await response.arrayBuffer());
	const size = whole.length;
	assert.equal(createHash('sha256').update(whole).digest('hex'), origin.sha256());

	// The header is 44 bytes; the melody starts again every 32 notes of 11,025 frames of 4 bytes.
	const loop = 32 * 11_025 * 4;
	const last = size - 1;
	for (const [start, end] of [
		[0, 0],
		[0, 43],
		[40, 50],
		[1, 65_536],
		[44 + loop - 3, 44 + loop + 2],
		[12_345, 12_345 + 2 * loop],
		[last, last],
	] as const) {
		assert.deepEqual(await ask(origin, `bytes=${start}-${end}`), {
			status: 206,
			contentRange: `bytes ${start}-${end}/${size}`,
			body: whole.subarray(start, end + 1),
		});
	}

	for (const [range, start] of [
		[`bytes=${size - 7}-`, size - 7],
		[`bytes=${size - 7}-${size + 100}`, size - 7],
		['bytes=-7', size - 7],
	] as const) {
		assert.deepEqual(await ask(origin, range), {
			status: 206,
			contentRange: `bytes ${start}-${last}/${size}`,
			body: whole.subarray(start),
		});
	}
});

test('a range past the end gets 416 with the size', async t => {
	const origin = await startOrigin(t);
	for (const range of [`bytes=${origin.size}-`, 'bytes=-0']) {
		const {status, contentRange} = await ask(origin, range);
		assert.deepEqual({status, contentRange}, {status: 416, contentRange: `bytes */${origin.size}`});
	}
});

test('HEAD returns size, type and version, and ignores Range', async t => {
	const origin = await startOrigin(t);
	const {status, headers} = await fetch(origin.url, {method: 'HEAD', headers: {range: 'bytes=0-9'}});
	assert.equal(status, 200);
	assert.equal(headers.get('content-length'), String(origin.size));
	assert.equal(headers.get('content-type'), 'audio/wav');
	assert.equal(headers.get('accept-ranges'), 'bytes');
	assert.match(headers.get('etag') ?? '', /^"[^"]+"$/);
	assert.ok(Date.parse(headers.get('last-modified') ?? '') < Date.now());
});

test('only the file is served', async t => {
	const origin = await startOrigin(t);
	assert.equal((await fetch(new URL('/other', origin.url))).status, 404);
	assert.equal((await fetch(origin.url, {method: 'POST'})).status, 404);
});

test('the rate applies to each connection', async t => {
	const origin = await startOrigin(t, 1);
	// At one byte per second, only the first 64 KiB of each response arrive.
	const first = 64 * 1024;
	const received = [0, 0];
	let ended: Promise<Array<PromiseSettledResult<void>>> | undefined;
	await new Promise<void>(resolve => {
		ended = Promise.allSettled(
			received.map(async (_, connection) => {
				const {body} = await fetch(origin.url);
				for await (const chunk of body!) {
					received[connection]! += chunk.length;
					if (received.every(bytes => bytes >= first)) {
						resolve();
					}
				}
			}),
		);
	});
	await fetch(origin.url, {method: 'HEAD'});
	await origin.close();
	assert.deepEqual(
		(await ended)?.map(({status}) => status),
		['rejected', 'rejected'],
	);
	assert.deepEqual(received, [first, first]);
});

test('a player reads the file as stereo sound', {skip: missing('ffprobe')}, async t => {
	const origin = await startOrigin(t);
	const {stdout} = await promisify(execFile)('ffprobe', [
		...['-v', 'error', '-of', 'json', '-show_entries', 'format=format_name,size,duration'],
		...['-show_entries', 'stream=codec_name,sample_rate,channels', origin.url],
	]);
	const {streams, format} = JSON.parse(stdout) as {
		streams: unknown[];
		format: {format_name: string; size: string; duration: string};
	};
	assert.deepEqual(streams, [{codec_name: 'pcm_s16le', sample_rate: '44100', channels: 2}]);
	assert.equal(format.format_name, 'wav');
	assert.equal(Number(format.size), origin.size);
	assert.equal(Math.round(Number(format.duration)), Math.round((origin.size - 44) / (44_100 * 4)));
});
