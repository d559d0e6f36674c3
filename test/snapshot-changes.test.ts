// The events of the control API: what a client makes of them, and how little they hold.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import type {Download, Snapshot} from '../source/downstream.ts';
import {RangeSet} from '../source/engine/store/range-set.ts';
import {applyChanges, changesBetween} from '../source/proxy/snapshot-changes.ts';
import {blankDownload} from './support/blank-download.ts';

const blank: Snapshot = {
	version: 1,
	downloads: [],
	bytesPerSecond: 0,
	limitRate: null,
	freeBytes: null,
	origin: 'http://127.0.0.1:8080',
	banners: [],
};

const ranges = fc
	.array(fc.tuple(fc.nat(40), fc.integer({min: 1, max: 10})), {maxLength: 12})
	.map(pairs =>
		Array.from(
			new RangeSet(pairs.map(([start, length]) => ({start, end: start + length}))),
			({start, end}) => [start, end] as const,
		),
	);

const download: fc.Arbitrary<Download> = fc
	.record({
		id: fc.constantFrom('a', 'b', 'c', 'd'),
		name: fc.constantFrom('film', 'evening'),
		size: fc.constantFrom(null, 100),
		bytesPerSecond: fc.nat(2),
		segments: fc.array(
			fc.nat(2).map(offset => ({start: 0, offset, end: null, for: 'fill' as const})),
			{maxLength: 2},
		),
		ranges,
	})
	.map(fields => ({...blankDownload, ...fields}));

const snapshot: fc.Arbitrary<Snapshot> = fc
	.record({
		version: fc.nat(),
		downloads: fc.uniqueArray(download, {selector: ({id}) => id}),
		bytesPerSecond: fc.nat(2),
		banners: fc.array(fc.constantFrom('The disk is full'), {maxLength: 1}),
	})
	.map(fields => ({...blank, ...fields}));

test('the changes between any two snapshots, as JSON, turn one into the other', () => {
	fc.assert(
		fc.property(snapshot, snapshot, (before, after) => {
			const sent = JSON.parse(JSON.stringify(changesBetween(before, after))) as ReturnType<
				typeof changesBetween
			>;
			assert.deepEqual(applyChanges(before, sent), after);
		}),
	);
});

test('unchanged downloads keep their identity', () => {
	const downloads = [
		{...blankDownload, id: 'a'},
		{...blankDownload, id: 'b'},
	];
	const before = {...blank, downloads};
	const after = {...before, version: 2, downloads: [downloads[0]!, {...downloads[1]!, present: 1}]};
	const made = applyChanges(before, changesBetween(before, after));
	assert.deepEqual(made, after);
	assert.equal(made.downloads[0], downloads[0]);
});

test('the event for one of many downloads, with many ranges, has only the differences', () => {
	const islands = Array.from({length: 10_000}, (_, index) => [index * 1000, index * 1000 + 500] as const);
	const others = Array.from({length: 1000}, (_, index) => ({...blankDownload, id: `other${index}`}));
	const running: Download = {...blankDownload, id: 'running', ranges: islands, present: 5_000_000};
	const before = {...blank, downloads: [running, ...others]};
	const after = {
		...before,
		version: 2,
		bytesPerSecond: 100,
		downloads: [
			{
				...running,
				ranges: [...islands.slice(0, 100), [100_000, 101_500] as const, ...islands.slice(102)],
				present: 5_000_500,
				bytesPerSecond: 100,
			},
			...others,
		],
	};
	assert.deepEqual(changesBetween(before, after), {
		version: 2,
		bytesPerSecond: 100,
		changed: [{id: 'running', present: 5_000_500, bytesPerSecond: 100, flipped: [[100_500, 101_000]]}],
		order: null,
	});
});
