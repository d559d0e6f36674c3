// The places of samples of the cached bytes.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {sampleAt, samplesOf, sampleSize} from '../source/engine/version/cached-samples.ts';
import {RangeSet} from '../source/engine/store/range-set.ts';

const KiB = 1024;

test('samples lie at both ends of the cached bytes, and evenly between them', () => {
	const present = new RangeSet([{start: 0, end: 100 * KiB}]);
	const samples = samplesOf(present, 1);
	assert.deepEqual(
		samples.map(({end, start}) => end - start),
		[sampleSize, sampleSize, sampleSize],
	);
	assert.equal(samples[0]!.start, 0);
	assert.equal(Math.floor(samples[1]!.start / KiB), 49);
	assert.equal(samples[2]!.end, 100 * KiB);
});

test('samples are of cached bytes alone, and holes do not count', () => {
	const present = new RangeSet([
		{start: 10, end: 20},
		{start: 1000 * KiB, end: 1010 * KiB},
		{start: 2000 * KiB, end: 2001 * KiB},
	]);
	const samples = samplesOf(present, 6);
	assert.deepEqual(samples[0], {start: 10, end: 20});
	assert.deepEqual(samples.at(-1), {start: 2000 * KiB, end: 2001 * KiB});
	for (const sample of samples) {
		assert.equal(present.covers(sample), true, JSON.stringify(sample));
	}

	assert.deepEqual(sampleAt(present, 0.5).end <= 1010 * KiB, true);
});

test('few bytes give each sample once, and none give none', () => {
	assert.deepEqual(samplesOf(new RangeSet([{start: 5, end: 6}]), 32), [{start: 5, end: 6}]);
	assert.deepEqual(samplesOf(new RangeSet(), 32), []);
	assert.throws(() => sampleAt(new RangeSet(), 0), RangeError);
});
