import assert from 'node:assert/strict';
import {open, readFile} from 'node:fs/promises';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Range} from '../source/engine/store/range-set.ts';
import {CliProcess, startGet, startInstance, startServe} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {startFaultOrigin} from './support/fault-origin.ts';
import {assertNotRequested, recordedRanges} from './support/recorded-ranges.ts';

const MiB = 1024 * 1024;

/** The record of the folder, with each range compared with the origin's bytes. */
async function rightRanges(folder: string): Promise<Range[]> {
	const ranges = await recordedRanges(folder);
	const data = await open(path.join(folder, 'data'));
	try {
		for (const {start, end} of ranges) {
			const bytes = Buffer.alloc(end - start);
			await data.read(bytes, 0, bytes.length, start);
			assert.equal(firstWrongByte(bytes, start), -1);
		}
	} finally {
		await data.close();
	}

	return ranges;
}

async function serveUrl(
	t: TestContext,
	storage: string,
	url: string,
): Promise<{serve: CliProcess; id: string; streamUrl: string}> {
	const {
		serve,
		ready: {url: proxy, key},
	} = await startInstance(t, storage, url);
	for (;;) {
		const response = await fetch(`${proxy}/api/downloads`, {
			headers: {authorization: `Bearer ${key}`},
		});
		const [download] = (await response.json()) as Array<{id: string; streamUrl: string}>;
		if (download) {
			return {serve, id: download.id, streamUrl: download.streamUrl};
		}
	}
}

test('kill -9 corrupts no recorded byte, and a restart refetches only samples', async t => {
	const size = 48 * MiB;
	const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: 2 * MiB});
	const storage = await temporaryFolder(t);
	let recorded: Range[] = [];
	for (let round = 0; round < 5; round++) {
		const firstRequest = origin.requests.length;
		const {serve, id, streamUrl} = await serveUrl(t, storage, origin.url);
		// A player far ahead of the background creates islands.
		const start = Math.floor(Math.random() * (size - 4 * MiB));
		const player = fetch(streamUrl, {headers: {range: `bytes=${start}-${start + 2 * MiB}`}}).then(response =>
			response.arrayBuffer(),
		);
		player.catch(() => undefined);
		while ((await recordedRanges(path.join(storage, id))).length === 0) {
			await sleep(20);
		}

		await sleep(700 + Math.random() * 600);
		await serve.kill('SIGKILL');
		assertNotRequested(recorded, origin.requests.slice(firstRequest));
		recorded = await rightRanges(path.join(storage, id));
		assert.ok(recorded.length > 0);
	}

	origin.options.bytesPerSecond = undefined;
	const target = path.join(await temporaryFolder(t), 'film.bin');
	const get = await startGet(t, storage, '-o', target, origin.url);
	assert.equal(await get.exit(), 0, get.stderr);
	assert.equal(firstWrongByte(await readFile(target), 0), -1);
	const overhead = origin.bytesSent - size;
	t.diagnostic(`${overhead} of ${size} bytes sent twice in 5 kills`);
});

test('a second instance on the same folder exits with 75 and changes nothing', async t => {
	const origin = await startOrigin(t, {size: 8 * MiB, bytesPerSecond: MiB});
	const storage = await temporaryFolder(t);
	await serveUrl(t, storage, origin.url);
	const second = await startServe(t, storage);
	assert.equal(await second.exit(), 75);
	assert.match(second.stderr, /is already running \(pid \d+, http:\/\/127\.0\.0\.1:\d+\)/);
});

test('SIGTERM saves everything and frees port and folder', async t => {
	const origin = await startOrigin(t, {size: 48 * MiB, etag: '"v1"', bytesPerSecond: 2 * MiB});
	const storage = await temporaryFolder(t);
	const {serve, id, streamUrl} = await serveUrl(t, storage, origin.url);
	const response = await fetch(streamUrl);
	const reading = assert.rejects(response.arrayBuffer());
	serve.child.kill('SIGTERM');
	await reading;
	assert.equal(await serve.exit(), 130);
	const saved = (await rightRanges(path.join(storage, id))).reduce(
		(sum, {start, end}) => sum + end - start,
		0,
	);
	assert.ok(saved > 0);
	await assert.rejects(fetch(streamUrl));
	const {serve: next} = await serveUrl(t, storage, origin.url);
	assert.equal(next.child.exitCode, null);
});

test('SIGTERM ends the program within 5 s despite a silent origin and waiting players', async t => {
	const faults = await startFaultOrigin(t, {size: 48 * MiB, etag: '"v1"'});
	const url = faults.urlOf('short-body', {bytes: 100_000, ending: 'stall'});
	const {serve, streamUrl} = await serveUrl(t, await temporaryFolder(t), url);
	const players = await Promise.all(
		[0, 20 * MiB, 40 * MiB].map(start => fetch(streamUrl, {headers: {range: `bytes=${start}-`}})),
	);
	const cuts = Promise.all(players.map(player => assert.rejects(player.arrayBuffer())));
	serve.child.kill('SIGTERM');
	const limit = setTimeout(() => serve.child.kill('SIGKILL'), 5000);
	assert.equal(await serve.exit(), 130);
	clearTimeout(limit);
	await cuts;
});
