import assert from 'node:assert/strict';
import {test} from 'node:test';
import {DiskPace} from '../source/engine/store/write-mode.ts';
import {temporaryFolder} from './support/engines.ts';

test('a disk that takes its time now and then is waited for', () => {
	const pace = new DiskPace(false);
	for (let now = 1000; now < 20_000; now += 500) {
		assert.ok(pace.isPrompt(now), `at ${now}`);
		pace.waited(now, now + 40);
	}
});

test('no more than a tenth of the time is spent on waiting for a disk', () => {
	const pace = new DiskPace(false);
	let now = 1000;
	let waited = 0;
	while (now < 101_000) {
		const takes = pace.isPrompt(now) ? 30 : 0;
		pace.waited(now, now + takes);
		waited += takes;
		now += takes + 1;
	}

	assert.ok(waited < 11_000, `waited for ${waited} of 100,000 ms`);
	assert.ok(waited > 8000, `waited for ${waited} of 100,000 ms`);
});

test('a disk of this computer is waited for, one behind a network or another program never', async t => {
	assert.ok((await DiskPace.of(await temporaryFolder(t))).isPrompt(0));
	assert.ok(!new DiskPace(true).isPrompt(1e9));
});
