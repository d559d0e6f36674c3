import assert from 'node:assert/strict';
import {test} from 'node:test';
import {SpeedHistory, sparkline} from '../source/dashboard/sparkline.ts';

test('0 is the lowest block, no speed is a full one, and the newest is at the right', () => {
	assert.equal(sparkline([0, 50, 100], 10), '▁▄▇');
	assert.equal(sparkline([9, 0, 1], 2), '▁▇');
	assert.equal(sparkline([], 5), '');
	assert.equal(sparkline([0, 0], 5), '▁▁');
	assert.equal(sparkline([0, 50, 100], 10, true), '_:*');
});

test('several charts have one scale', () => {
	assert.equal(sparkline([50, 50], 10, false, 100), '▄▄');
});

test('samples a little more than a second apart leave no gap', () => {
	const history = new SpeedHistory();
	for (const at of [10_000, 11_300, 12_600, 13_950, 15_200]) {
		history.add(5, at);
	}

	assert.deepEqual(history.values, [5, 5, 5, 5, 5, 5]);
});

test('the history has one value per second, 0 for silent seconds, and at most a minute', () => {
	const history = new SpeedHistory();
	history.add(5, 10_000);
	history.add(6, 10_900);
	history.add(7, 11_000);
	history.add(8, 14_500);
	assert.deepEqual(history.values, [5, 7, 0, 0, 8]);
	history.add(9, 1_000_000);
	assert.equal(history.values.length, 60);
	assert.equal(history.values.at(-1), 9);
	assert.equal(history.values.at(-2), 0);
});
