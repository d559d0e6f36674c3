import assert from 'node:assert/strict';
import {test} from 'node:test';
import {DiskPace} from '../source/engine/disk-pace.ts';
import {temporaryFolder} from './support/engines.ts';

test('a write that took long is followed by a rest a hundred times as long, in which nobody waits for one', () => {
	const pace = new DiskPace(false);
	assert.ok(pace.isPrompt(1000));
	pace.waited(1000, 1009);
	assert.ok(pace.isPrompt(1009));
	pace.waited(1009, 1029);
	assert.ok(!pace.isPrompt(1029));
	assert.ok(!pace.isPrompt(3028));
	assert.ok(pace.isPrompt(3029));
});

test('a disk of this computer is waited for, one behind a network or another program never', async t => {
	assert.ok((await DiskPace.of(await temporaryFolder(t))).isPrompt(0));
	assert.ok(!new DiskPace(true).isPrompt(1e9));
});
