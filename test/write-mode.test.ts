import assert from 'node:assert/strict';
import {test} from 'node:test';
import {WriteMode} from '../source/engine/store/write-mode.ts';
import {temporaryFolder} from './support/engines.ts';

test('a disk that takes its time now and then is waited for', () => {
	const pace = new WriteMode(false);
	for (let now = 1000; now < 20_000; now += 500) {
		assert.ok(pace.canBlock(now), `at ${now}`);
		pace.recordWait(now, now + 40);
	}
});

test('no more than a tenth of the time is spent on waiting for a disk', () => {
	const pace = new WriteMode(false);
	let now = 1000;
	let waited = 0;
	while (now < 101_000) {
		const takes = pace.canBlock(now) ? 30 : 0;
		pace.recordWait(now, now + takes);
		waited += takes;
		now += takes + 1;
	}

	assert.ok(waited < 11_000, `waited for ${waited} of 100,000 ms`);
	assert.ok(waited > 8000, `waited for ${waited} of 100,000 ms`);
});

test('a disk of this computer is waited for, one behind a network or another program never', async t => {
	assert.ok((await WriteMode.of(await temporaryFolder(t))).canBlock(0));
	assert.ok(!new WriteMode(true).canBlock(1e9));
});
