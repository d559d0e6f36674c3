// Pledges: what they fetch, before what, and what becomes of them.
import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';
import {test, type TestContext} from 'node:test';
import type {Download, Pledge} from '../source/downstream.ts';
import {startEngine, startOrigin, until} from './support/engines.ts';

const MiB = 1024 * 1024;
const size = 8 * MiB;

const isSafe = ({pledges}: Download) => pledges.length > 0 && pledges.every(({state}) => state === 'safe');

async function addPaused(t: TestContext, origin: {urlOf(path: string): string}, options = {}) {
	const started = await startEngine(t, options);
	const {download} = await started.engine.add({url: origin.urlOf('/a.bin'), paused: true});
	return {...started, id: download.id};
}

test('a paused download fetches what is pledged, and nothing else', async t => {
	const origin = await startOrigin(t, {size, etag: '"v1"'});
	const {engine, id} = await addPaused(t, origin);
	const pledge = await engine.makeSafe(id, {bytes: 2 * MiB});
	assert.deepEqual([pledge.n, pledge.start, pledge.state], [1, 0, 'pending']);
	const {present, ranges, status, pledges} = await until(engine, id, isSafe);
	assert.equal(status, 'paused');
	assert.deepEqual(ranges, [[0, 2 * MiB]]);
	assert.equal(present, 2 * MiB);
	const expected: Partial<Pledge> = {n: 1, missing: 0, end: 2 * MiB, safeTo: 2 * MiB, reason: null};
	for (const [name, value] of Object.entries(expected)) {
		assert.equal(pledges[0]![name as keyof Pledge], value, name);
	}

	await engine.lift(id, 1);
	assert.deepEqual(engine.snapshot.downloads[0]!.pledges, []);
	await assert.rejects(engine.lift(id, 1), {code: 'not-found', message: 'It has no pledge 1'});
});

test('safe bytes are in the record, so that a crash loses none of them', async t => {
	const origin = await startOrigin(t, {size, etag: '"v1"'});
	const {engine, id} = await addPaused(t, origin);
	await engine.makeSafe(id, {bytes: 3 * MiB});
	const {folder} = await until(engine, id, isSafe);
	const {ranges} = JSON.parse(await readFile(`${folder}/entry.json`, 'utf8')) as {ranges: unknown};
	assert.deepEqual(ranges, [[0, 3 * MiB]]);
});

test('one byte less is not safe', async t => {
	const origin = await startOrigin(t, {
		size,
		etag: '"v1"',
		intercept(request, response) {
			const [, start] = /bytes=(\d+)-/.exec(request.headers.range ?? '') ?? [];
			if (Number(start) >= MiB - 1) {
				response.writeHead(503).end();
				return true;
			}

			return false;
		},
	});
	const {engine, id} = await addPaused(t, origin);
	await engine.makeSafe(id, {bytes: MiB - 1});
	await until(engine, id, isSafe);
	await engine.makeSafe(id, {bytes: MiB});
	const {pledges} = await until(engine, id, ({error}) => error !== null);
	assert.deepEqual([pledges.length, pledges[0]!.state, pledges[0]!.missing], [1, 'pending', 1]);
});
