import assert from 'node:assert/strict';
import {test} from 'node:test';
import {SpeedMeter} from '../source/engine/fetch/speed-meter.ts';

/** A thousand bytes each 100 ms. */
function flow(meter: SpeedMeter, from: number, to: number): void {
	for (let now = from; now < to; now += 100) {
		meter.add(1000, now);
	}
}

test('an average covers its window, or the time since the first byte', () => {
	const meter = new SpeedMeter();
	assert.equal(meter.rate(3000, 1000), 0);
	flow(meter, 1000, 3000);
	assert.equal(meter.rate(20_000, 3000), 10_000);
	flow(meter, 3000, 41_000);
	assert.equal(Math.round(meter.rate(3000, 40_999) / 1000), 10);
	assert.equal(Math.round(meter.rate(20_000, 40_999) / 1000), 10);
	assert.ok(meter.rate(20_000, 43_000) > 0);
	assert.equal(meter.rate(20_000, 45_000), 0);
});

test('bytes from before a pause do not count into the time after it', () => {
	const meter = new SpeedMeter();
	flow(meter, 0, 30_000);
	// The screen reads the speed all the time.
	for (let now = 30_000; now < 42_000; now += 100) {
		meter.rate(3000, now);
		meter.rate(20_000, now);
	}

	assert.equal(meter.rate(3000, 42_000), 0);
	flow(meter, 42_000, 43_000);
	assert.ok(meter.rate(20_000, 43_000) <= 10_000, String(meter.rate(20_000, 43_000)));
	assert.ok(meter.rate(20_000, 43_000) > 9000);
});

test('the average includes a short stall and never exceeds the rate', () => {
	const meter = new SpeedMeter();
	flow(meter, 0, 30_000);
	for (let now = 30_000; now < 35_000; now += 100) {
		meter.rate(3000, now);
	}

	flow(meter, 35_000, 36_000);
	const average = meter.rate(20_000, 36_000);
	assert.ok(average > 7000 && average <= 10_000, String(average));
});
