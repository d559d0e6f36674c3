import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Download, Snapshot} from '../source/downstream.ts';
import {EventLines, readyLine} from '../source/cli/output/event-lines.ts';
import {secondsLeft} from '../source/text/status-words.ts';
import {blankDownload} from './support/blank-download.ts';

const at = (seconds: number) => new Date(2026, 10, 2, 14, 2, 11 + seconds).getTime();
const MiB = 1024 * 1024;

const base: Download = {
	...blankDownload,
	url: 'https://cdn.example.org/film.mkv?token=geheim',
	streamUrl: 'http://127.0.0.1:8080/stream/0123/film.mkv',
	addedAt: at(0),
};

function snapshot(...downloads: Download[]): Snapshot {
	return {
		version: 1,
		downloads,
		bytesPerSecond: 0,
		limitRate: null,
		freeBytes: null,
		origin: 'http://127.0.0.1:8080',
		banners: [],
	};
}

const known: Download = {...base, size: 100 * MiB, acceptsRanges: true, status: 'active'};

test('the life of a download, line by line', () => {
	const lines = new EventLines({json: false});
	assert.deepEqual(lines.next(snapshot(base), at(0)), [
		'14:02:11 [1] added  film.mkv  https://cdn.example.org/film.mkv?token=***',
	]);
	assert.deepEqual(lines.next(snapshot(known), at(1)), [
		'14:02:12 [1] size 100 MiB, ranges yes, stream http://127.0.0.1:8080/stream/0123/film.mkv',
	]);
	assert.deepEqual(lines.next(snapshot({...known, present: 15 * MiB}), at(5)), []);
	const later = {...known, present: 25 * MiB, bytesPerSecond: 5 * MiB, bytesPerSecondLong: 5 * MiB};
	assert.deepEqual(lines.next(snapshot(later), at(35)), [
		'14:02:46 [1] 25.0%  25.0 of 100 MiB  5.00 MiB/s  15s left',
	]);
	const player = {
		id: 'p',
		name: 'mpv 0.38',
		offset: 62 * MiB,
		ready: 0,
		readyMs: null,
		blocked: true,
		connected: true,
	};
	assert.deepEqual(lines.next(snapshot({...later, players: [player]}), at(36)), [
		'14:02:47 [1] player mpv 0.38 connected, reading at 62.0%',
	]);
	const done: Download = {...later, present: 100 * MiB, status: 'complete', completedAt: at(60)};
	assert.deepEqual(lines.next(snapshot(done), at(60)), ['14:03:11 [1] done  100 MiB in 1m00s']);
	assert.deepEqual(lines.next(snapshot(done), at(61)), []);
	assert.deepEqual(lines.next(snapshot(), at(62)), ['14:03:13 [1] removed']);
});

test('the time of a download excludes the queue and pauses', () => {
	const lines = new EventLines({json: false});
	const life: Array<[seconds: number, change: Partial<Download>]> = [
		[0, {status: 'queued'}],
		[100, {status: 'asking'}],
		[101, {status: 'active'}],
		[110, {status: 'paused'}],
		[200, {status: 'waiting'}],
		[201, {status: 'active'}],
		[210, {status: 'complete', present: 100 * MiB, completedAt: at(210)}],
	];
	const reported = life.flatMap(([seconds, change]) =>
		lines.next(snapshot({...known, ...change}), at(seconds)),
	);
	assert.match(reported.at(-1)!, / done {2}100 MiB in 20s$/);
});

test('a player that connected and disconnected between two snapshots is reported', () => {
	const lines = new EventLines({json: false});
	const player = {
		id: 'p',
		name: 'mpv 0.38',
		offset: MiB,
		ready: 0,
		readyMs: null,
		blocked: false,
		connected: false,
	};
	const old = {...player, id: 'old', name: 'VLC'};
	lines.next(snapshot({...known, players: [old]}), at(0));
	const both = {...known, players: [old, player]};
	assert.deepEqual(lines.next(snapshot(both), at(1)), [
		'14:02:12 [1] player mpv 0.38 connected, reading at 1.0%',
	]);
	assert.deepEqual(lines.next(snapshot({...both}), at(2)), []);
});

test('a failure has a reason, and control characters of names do not reach the terminal', () => {
	const lines = new EventLines({json: false});
	const error = {code: 'origin-refused', message: '403 Forbidden from cdn.example.org', at: at(0)} as const;
	const [added, , failed] = lines.next(
		snapshot({...known, name: 'a\u001B[31m', status: 'failed', error}),
		at(0),
	);
	assert.ok(!added!.includes('\u001B'));
	assert.equal(failed, '14:02:11 [1] failed  403 Forbidden from cdn.example.org');
});

test('JSON output has one object per line', () => {
	const lines = new EventLines({json: true});
	const events = lines
		.next(snapshot(known), at(0))
		.map(line => JSON.parse(line) as {event: string; id: string});
	assert.deepEqual(
		events.map(({event, id}) => [event, id]),
		[
			['added', base.id],
			['info', base.id],
		],
	);
	const ready = {url: 'http://127.0.0.1:8080', key: 'k', viewKey: 'v', storage: '/s', pid: 7};
	assert.equal(
		readyLine(ready, {json: true, now: at(0)}),
		'{"event":"ready","url":"http://127.0.0.1:8080","key":"k","viewKey":"v","storage":"/s","pid":7}',
	);
	assert.equal(readyLine(ready, {json: false, now: at(0)}), '14:02:11 serving http://127.0.0.1:8080');
});

test('numbers are those of the list, also after a removal', () => {
	const lines = new EventLines({json: false});
	const first = {...known, id: '1'};
	const second = {...known, id: '2', name: 'second.mkv'};
	const third = {...known, id: '3', name: 'third.mkv'};
	assert.match(lines.next(snapshot(first, second, third), at(0)).join('\n'), /\[3\] added {2}third\.mkv/);
	const paused: Download = {...third, status: 'paused'};
	assert.deepEqual(lines.next(snapshot(second, paused), at(1)), [
		'14:02:12 [2] paused',
		'14:02:12 [1] removed',
	]);
	assert.deepEqual(lines.next(snapshot(second), at(2)), ['14:02:13 [2] removed']);
});

test('the time left is reported for a download that will end', () => {
	const moving = {present: 25 * MiB, bytesPerSecond: 5 * MiB, bytesPerSecondLong: 5 * MiB};
	const cases: Array<[change: Partial<Download>, seconds: number, line: string | undefined]> = [
		[{}, 15, '25.0%  25.0 of 100 MiB  5.00 MiB/s  15s left'],
		// Players alone do not complete it.
		[{onDemand: true}, Infinity, '25.0%  25.0 of 100 MiB  5.00 MiB/s'],
		[{size: null, present: 100 * MiB}, Infinity, '100 MiB  5.00 MiB/s'],
		[{bytesPerSecond: 0, bytesPerSecondLong: 0}, Infinity, '25.0%  25.0 of 100 MiB  0 B/s'],
		[{status: 'paused'}, Infinity, undefined],
		[{status: 'waiting'}, Infinity, undefined],
		[{status: 'complete', present: 100 * MiB, completedAt: at(35)}, Infinity, undefined],
	];
	for (const [change, seconds, line] of cases) {
		const download: Download = {...known, ...moving, ...change};
		assert.equal(secondsLeft(download), seconds);
		const lines = new EventLines({json: false});
		lines.next(snapshot({...known, size: download.size}), at(0));
		const told = lines.next(snapshot(download), at(35)).map(each => each.replace(/^\S+ \[1\] /, ''));
		assert.equal(
			told.find(each => each.includes('B/s')),
			line,
		);
	}
});

test('a player is announced again only after it has left the list', () => {
	const lines = new EventLines({json: false});
	const player = {id: 'p', name: 'mpv', offset: 0, ready: 0, readyMs: null, blocked: false, connected: true};
	const shown = (...players: Download['players'][number][]) =>
		lines.next(snapshot({...known, players}), at(1)).filter(line => line.includes('player')).length;
	assert.equal(shown(player), 1);
	assert.equal(shown({...player, connected: false}), 0);
	assert.equal(shown({...player, offset: 1}), 0);
	assert.equal(shown(), 0);
	assert.equal(shown(player), 1);
});

test('a finished playlist is announced as one, and JSON contains no control characters', () => {
	const size = 100;
	const done: Download = {
		...known,
		name: 'film.m3u8',
		size,
		present: size,
		status: 'complete',
		completedAt: at(1),
	};
	assert.match(
		new EventLines({json: false}).next(snapshot(done), at(1)).join('\n'),
		/done {2}100 B; it is a playlist \(HLS\), not the film itself$/,
	);
	const message = 'changed from "\u009B31m" to "\u202E"';
	const failed: Download = {...known, status: 'failed', error: {code: 'origin-changed', message, at: 0}};
	const [line = ''] = new EventLines({json: true}).next(snapshot(failed), at(1)).slice(-1);
	assert.doesNotMatch(line, /[\u007F-\u009F\u202E]/);
	assert.equal((JSON.parse(line) as {message: string}).message, message);
});

test('each reason to wait is announced once until data arrives', () => {
	const lines = new EventLines({json: false});
	const events = new EventLines({json: true});
	const error = {code: 'origin-unreachable', message: 'a.example: connection refused', at: 0} as const;
	const waiting: Download = {...known, status: 'waiting', error, retryAt: at(9)};
	lines.next(snapshot(known), at(0));
	events.next(snapshot(known), at(0));
	const show = (change: Partial<Download>, seconds: number) => [
		...lines.next(snapshot({...known, ...change}), at(seconds)),
		...events.next(snapshot({...known, ...change}), at(seconds)).map(line => JSON.parse(line) as object),
	];
	const {id} = known;
	assert.deepEqual(show(waiting, 1), [
		'14:02:12 [1] waiting  a.example: connection refused; retry in 8s',
		{event: 'waiting', id, code: error.code, message: error.message, retryAt: at(9)},
	]);
	assert.deepEqual(show({}, 9), []);
	assert.deepEqual(show({status: 'queued'}, 10), []);
	assert.deepEqual(show({...waiting, retryAt: at(30)}, 11), []);
	assert.deepEqual(show({status: 'queued', hostCeiling: 1}, 12), [
		'14:02:23 [1] queued  this server allows 1 connection at a time',
		{event: 'queued', id, connections: 1},
	]);
	assert.deepEqual(show({status: 'queued', hostCeiling: 2}, 13), []);
	// Data arrived, and the download waits again before the next snapshot.
	assert.equal(show({...waiting, lastByteAt: at(14)}, 14).length, 2);
	assert.deepEqual(show({lastByteAt: at(15)}, 15), []);
});
