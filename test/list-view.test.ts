import assert from 'node:assert/strict';
import {test} from 'node:test';
import {shownDownloads, sortKeys, tabs, wholeList, type ListView} from '../source/dashboard/list-view.ts';
import {download, everyState} from './support/memory-downstream.ts';

const sortBy = (name: string): Partial<ListView> => ({sort: sortKeys.findIndex(key => key.name === name)});
const names = (view: Partial<ListView>, downloads = everyState()) =>
	shownDownloads(downloads, {...wholeList, ...view}).map(({name}) => name);

test('every download belongs to exactly one tab after the first', () => {
	const all = everyState();
	assert.deepEqual(shownDownloads(all, wholeList), all);
	const counts = tabs.slice(1).map((_, index) => shownDownloads(all, {...wholeList, tab: index + 1}).length);
	assert.equal(
		counts.reduce((sum, count) => sum + count),
		all.length,
	);
	assert.deepEqual(names({tab: 5}), ['dataset-2026-part-003.tar.zst']);
	assert.deepEqual(names({tab: 3}), ['線形代数の基礎（完全版）.mp4', 'stopped.bin']);
});

test('a filter prepares the text of each download once, however many keys follow', () => {
	let reads = 0;
	const listed = {
		...download({}),
		get url() {
			reads++;
			return 'http://cdn.example/a';
		},
	};
	for (const filter of ['c', 'cd', 'cdn a', 'cdn b']) {
		shownDownloads([listed], {...wholeList, filter});
	}

	assert.equal(reads, 1);
});

test('a filter matches all of its words in name or URL, ignoring case', () => {
	assert.deepEqual(names({filter: 'bunny HDR'}), ['Big.Buck.Bunny.2160p.60fps.HDR.x265-GROUP.mkv']);
	assert.deepEqual(names({filter: 'bunny nothing'}), []);
	const hidden = [download({name: 'a', url: 'https://cdn.example.org/v?token=bunny'})];
	assert.deepEqual(names({filter: 'bunny'}, hidden), []);
	assert.deepEqual(names({filter: 'cdn.example'}, hidden), ['a']);
});

test('sorting is stable and reversible', () => {
	const downloads = [
		download({name: 'b10', size: 5, present: 5, bytesPerSecond: 1}),
		download({name: 'b9', size: 10, present: 1, bytesPerSecond: 3, queueRank: -1}),
		download({name: 'A', size: null, present: 7, bytesPerSecond: 1, status: 'failed'}),
	];
	const orders: Record<string, string> = {
		added: 'b10 b9 A',
		name: 'A b9 b10',
		size: 'b9 b10 A',
		progress: 'b10 b9 A',
		speed: 'b9 b10 A',
		state: 'A b10 b9',
		queue: 'b9 b10 A',
	};
	for (const [name, order] of Object.entries(orders)) {
		assert.equal(names(sortBy(name), downloads).join(' '), order, name);
	}

	assert.equal(names({...sortBy('name'), isReversed: true}, downloads).join(' '), 'b10 b9 A');
});
