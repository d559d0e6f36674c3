import assert from 'node:assert/strict';
import {test} from 'node:test';
import {
	formatBytes,
	formatDuration,
	formatOffset,
	formatPercent,
	formatSpeed,
} from '../source/text/format.ts';
import {parseRate} from '../source/text/rate.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

test('sizes have three digits, use units of 1024, and are rounded down', () => {
	const expected: Array<[number, string]> = [
		[0, '0 B'],
		[1, '1 B'],
		[1023, '1023 B'],
		[1024, '1.00 KiB'],
		[9.815 * MiB, '9.81 MiB'],
		[12.45 * MiB, '12.4 MiB'],
		[164 * MiB, '164 MiB'],
		[9.996 * MiB, '9.99 MiB'],
		[99.96 * MiB, '99.9 MiB'],
		[2.835 * GiB, '2.83 GiB'],
		[MiB - 1, '1023 KiB'],
		[2 ** 40 - 1, '1023 GiB'],
		[2 ** 40, '1.00 TiB'],
	];
	for (const [bytes, text] of expected) {
		assert.equal(formatBytes(bytes), text);
	}

	assert.equal(formatSpeed(12.45 * MiB), '12.4 MiB/s');
});

test('a rate that is shown can be typed as a limit', () => {
	for (const shown of [KiB, 500 * KiB, MiB, 12.45 * MiB, 999 * MiB, 1023 * MiB, 2.5 * GiB]) {
		const typed = parseRate(formatSpeed(shown))!;
		assert.ok(typed <= shown && typed > shown * 0.99, `${formatSpeed(shown)}: ${typed}`);
	}
});

test('a percentage is rounded down, and is 100% only when every byte is present', () => {
	const size = 2 ** 40;
	assert.equal(formatPercent(0, size), '0%');
	assert.equal(formatPercent(1, size), '<0.1%');
	assert.equal(formatPercent(size - 1, size), '99.9%');
	assert.equal(formatPercent(size, size), '100%');
	assert.equal(formatPercent(2 ** 53 - 2, 2 ** 53 - 1), '99.9%');
	assert.equal(formatPercent(4309, 10_000), '43.0%');
	assert.equal(formatPercent(57, 100), '57.0%');
	assert.equal(formatPercent(0, 0), '100%');
});

test('each tenth of a percent appears exactly when its last byte is present', () => {
	for (let tenths = 1; tenths < 1000; tenths++) {
		const text = `${(tenths / 10).toFixed(1)}%`;
		assert.equal(formatPercent(tenths, 1000), text);
		assert.notEqual(formatPercent(tenths * 1e9 - 1, 1e12), text);
	}
});

test('durations are short and rounded up', () => {
	const expected: Array<[number, string]> = [
		[0, '0s'],
		[7.2, '8s'],
		[59.5, '1m00s'],
		[134, '2m14s'],
		[482, '8m02s'],
		[4320, '1h 12m'],
		[86_399, '23h 59m'],
		[86_400, '>1 day'],
		[Infinity, '–'],
		[NaN, '–'],
	];
	for (const [seconds, text] of expected) {
		assert.equal(formatDuration(seconds), text);
	}
});

test('map offsets omit the common unit suffix', () => {
	assert.equal(formatOffset(0, GiB), '0');
	assert.equal(formatOffset(362 * MiB, 600 * MiB), '362 M');
	assert.equal(formatOffset(362 * MiB, 2.83 * GiB), '0.35 G');
	assert.equal(formatOffset(1.065 * GiB, 12 * GiB), '1.0 G');
	assert.equal(formatOffset(512, 1000), '512');
});
