import assert from 'node:assert/strict';
import {test} from 'node:test';
import {lastingMs} from '../source/engine/fetch/players.ts';
import {leastReadOver, type FilmMap} from '../source/engine/film/film-map.ts';
import {infer} from '../source/engine/film/inference.ts';
import {byteAt, bytesAhead, timeAt} from '../source/engine/film/playhead.ts';

/** A still first half, then ten times the bytes. The audio lies elsewhere. */
const map: FilmMap = {
	durationMs: 100_000,
	exact: true,
	times: [0, 50_000, 100_000],
	tracks: [
		{kind: 'audio', codec: null, language: null, width: null, height: null, offsets: [5, 6, 7]},
		{kind: 'video', codec: null, language: null, width: null, height: null, offsets: [1000, 11_000, 111_000]},
	],
	index: [],
	asides: [],
	readOver: leastReadOver,
};

test('a time maps to its byte', () => {
	assert.deepEqual(
		[0, 25_000, 50_000, 75_000, 100_000, 200_000].map(ms => byteAt(map, ms)),
		[1000, 6000, 11_000, 61_000, 111_000, 111_000],
	);
});

test('a byte maps to its time', () => {
	assert.deepEqual(
		[0, 1000, 6000, 11_000, 61_000, 111_000, 200_000].map(offset => timeAt(map, offset)),
		[0, 0, 25_000, 50_000, 75_000, 100_000, 100_000],
	);
});

test('a byte that several points share is that of the last of them', () => {
	const [audio, video] = map.tracks;
	const still = {...map, tracks: [audio!, {...video!, offsets: [1000, 1000, 11_000]}]};
	assert.equal(timeAt(still, 1000), 50_000);
	// The last bytes of the film: a player that has read them has read everything.
	const ended = {...map, tracks: [audio!, {...video!, offsets: [1000, 11_000, 11_000]}]};
	assert.deepEqual(
		[10_999, 11_000, 11_001].map(offset => timeAt(ended, offset)),
		[49_995, 100_000, 100_000],
	);
	assert.equal(bytesAhead(ended, 11_000, 1000), 0);
	const reads = {run: {start: 11_000, since: 0}, offset: 11_000, isBlocked: false};
	assert.equal(infer(ended, undefined, reads, 10_000).ms, 100_000);
});

test('without a film, bytes last as long as the player needs for as many', () => {
	const of = (start: number, offset: number, now: number) =>
		lastingMs({run: {start, since: 0}, offset}, 60_000, now);
	assert.equal(of(1000, 51_000, 9999), undefined, 'it fills its buffer');
	assert.equal(of(1000, 51_000, 10_000), 12_000);
	assert.equal(of(1000, 1000, 20_000), undefined, 'it waits for its first byte');
});
