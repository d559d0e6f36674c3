import assert from 'node:assert/strict';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import type {DownloadState} from '../source/engine/download/download-state.ts';
import {PledgeRoom} from '../source/engine/download/pledge-room.ts';
import {freeBytes} from '../source/engine/store/free-space.ts';
import {RangeSet} from '../source/engine/store/range-set.ts';

test('refused pledges are measured once each in a round, and begin once there is room', async t => {
	t.mock.timers.enable({apis: ['setTimeout']});
	let measurements = 0;
	let elsewhere = Number.MAX_SAFE_INTEGER;
	const state = {
		file: {present: new RangeSet()},
		record: {id: 'a'},
		recordFile: {dataPath: path.join(tmpdir(), 'data')},
		services: {
			pledgedElsewhere() {
				measurements++;
				return elsewhere;
			},
		},
		isClosed: false,
	} as unknown as DownloadState;
	let changes = 0;
	const resolved = {ranges: [{start: 0, end: 1}]};
	const room = new PledgeRoom(state, {
		pledged: () => [],
		resolve: () => resolved,
		changed: () => changes++,
	});
	const isRefused = (n: number) => room.refusal(n, resolved) !== undefined;
	// A loop without end asks the disk as often.
	const settle = async () => {
		for (let times = 0; times < 30; times++) {
			await freeBytes(tmpdir());
		}
	};

	for (const n of [1, 2]) {
		room.forget(n, false);
		isRefused(n);
	}

	await settle();
	assert.deepEqual([isRefused(1), isRefused(2), measurements, changes], [true, true, 2, 2]);
	for (const round of [2, 3]) {
		t.mock.timers.tick(2000);
		await settle();
		assert.deepEqual([isRefused(1), isRefused(2), measurements, changes], [true, true, 2 * round, 2]);
	}

	elsewhere = 0;
	t.mock.timers.tick(2000);
	await settle();
	assert.deepEqual([isRefused(1), isRefused(2), measurements, changes], [false, false, 8, 4]);
	t.mock.timers.tick(10_000);
	await settle();
	assert.equal(measurements, 8, 'no further round');
});
