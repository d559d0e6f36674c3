import assert from 'node:assert/strict';
import {test} from 'node:test';
import {WriteMode} from '../source/engine/store/write-mode.ts';
import {temporaryFolder} from './support/engines.ts';

test('occasional slow writes keep the blocking mode', () => {
	const mode = new WriteMode(false);
	for (let now = 1000; now < 20_000; now += 500) {
		assert.ok(mode.canBlock(now), `at ${now}`);
		mode.recordWait(now, now + 40);
	}
});

test('at most a tenth of the time is spent blocked on the disk', () => {
	const mode = new WriteMode(false);
	let now = 1000;
	let blocked = 0;
	while (now < 101_000) {
		const duration = mode.canBlock(now) ? 30 : 0;
		mode.recordWait(now, now + duration);
		blocked += duration;
		now += duration + 1;
	}

	assert.ok(blocked < 11_000, `blocked for ${blocked} of 100,000 ms`);
	assert.ok(blocked > 8000, `blocked for ${blocked} of 100,000 ms`);
});

test('a local disk may block, a network or FUSE disk never', async t => {
	assert.ok((await WriteMode.of(await temporaryFolder(t))).canBlock(0));
	assert.ok(!new WriteMode(true).canBlock(1e9));
});
