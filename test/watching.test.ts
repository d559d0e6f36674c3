// Positions of films: reported by linked players, inferred for others, and saved in the record.
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import type {Position} from '../source/downstream.ts';
import {Watching} from '../source/engine/download/watching.ts';
import type {TrackedPlayer} from '../source/engine/fetch/players.ts';
import {linearMap} from '../source/engine/film/film-map.ts';
import type {RecordFile} from '../source/engine/store/record-store.ts';

const durationMs = 100_000;
const playing = {
	...{name: 'mpv', path: '', durationMs, paused: false, speed: 1},
	...{stalled: false, stalls: 0, subtitles: null, hasEnded: false},
};

/** A film of 1 byte per millisecond, a mocked clock, and the saved positions. */
function watch(t: TestContext) {
	t.mock.timers.enable({apis: ['setTimeout', 'setInterval', 'Date']});
	const saved: number[] = [];
	let record: {position?: Position} = {};
	const recordFile = {
		get record() {
			return record;
		},
		async save(change: {position: Position}) {
			record = change;
			saved.push(change.position.ms);
		},
	};
	const watching = new Watching(recordFile as unknown as RecordFile, () => undefined);
	const track = {kind: 'video', codec: null, language: null, width: null, height: null} as const;
	const map = linearMap({durationMs, exact: true, index: []}, [track], {start: 0, end: durationMs});
	watching.map = () => map;
	return {watching, saved, tick: (ms: number) => t.mock.timers.tick(ms)};
}

function reader(change: Partial<TrackedPlayer>): TrackedPlayer {
	return {
		...{id: '1', name: 'VLC 3.0', offset: 0, openRequests: 1, blockedRequests: 0, leftAt: 0},
		run: {start: 0, since: 0},
		...change,
	};
}

test('the record saves the position every 3 s and at the end of the link', t => {
	const {watching, saved, tick} = watch(t);
	for (let second = 1; second <= 11; second++) {
		watching.follow({...playing, positionMs: second * 1000});
		tick(1000);
	}

	assert.deepEqual(saved, [3000, 6000, 9000]);
	watching.follow(undefined);
	assert.deepEqual(saved, [3000, 6000, 9000, 11_000]);
	tick(60_000);
	assert.equal(saved.at(-1), 11_000);
});

test('a paused player causes no save', t => {
	const {watching, saved, tick} = watch(t);
	for (let second = 0; second < 60; second++) {
		watching.follow({...playing, positionMs: 7000, paused: true});
		tick(1000);
	}

	assert.deepEqual(saved, [7000]);
});

test('the time of a linked player maps to a byte', t => {
	const {watching} = watch(t);
	watching.follow({...playing, positionMs: 41_000});
	assert.equal(watching.shown?.offset, 41_000);
	watching.map = () => undefined;
	assert.equal(watching.shown?.offset, null);
});

test('an unlinked player gets a position inferred from its reads until it leaves', t => {
	const {watching, saved, tick} = watch(t);
	const player = reader({offset: 50_000});
	watching.readBy(player);
	tick(7000);
	// It may only have filled its buffer.
	assert.deepEqual([watching.position, watching.inferredOffset], [null, undefined]);
	player.offset = 60_000;
	watching.readBy(player);
	tick(1000);
	const {ms, exact, watched} = watching.position!;
	assert.deepEqual([ms, exact, watched], [8000, false, false]);
	assert.equal(watching.inferredOffset, 8000);
	// It plays on from its buffer.
	tick(12_000);
	assert.equal(watching.position!.ms, 20_000);
	// After a seek, it reaches the end.
	player.run = {start: 90_000, since: 20_000};
	player.offset = 99_000;
	watching.readBy(player);
	tick(5000);
	player.offset = durationMs;
	watching.readBy(player);
	tick(3000);
	assert.deepEqual([watching.position!.ms, watching.position!.watched], [98_000, true]);
	assert.equal(watching.inferredOffset, 98_000);
	player.openRequests = 0;
	tick(60_000);
	assert.equal(watching.inferredOffset, undefined);
	assert.equal(watching.position!.ms, 98_000);
	assert.equal(saved.at(-1), 98_000);
});

test('the newest of two unlinked players counts, until it leaves', t => {
	const {watching, tick} = watch(t);
	const first = reader({id: '1', run: {start: 0, since: 0}, offset: 50_000});
	const second = reader({id: '2', run: {start: 60_000, since: 1}, offset: 70_000});
	const read = (seconds: number) => {
		for (let times = 0; times < seconds; times++) {
			for (const player of [first, second]) {
				if (player.openRequests > 0) {
					player.offset += 1000;
					watching.readBy(player);
				}
			}

			tick(1000);
		}
	};

	read(10);
	assert.equal(Math.round(watching.position!.ms / 1000), 70);
	second.openRequests = 0;
	read(10);
	assert.equal(Math.round(watching.position!.ms / 1000), 20);
});

test('a position that is set near the end of a film counts as watched', async t => {
	const {watching} = watch(t);
	await watching.set({positionMs: 50_000});
	assert.equal(watching.position?.watched, false);
	await watching.set({positionMs: 99_000});
	assert.equal(watching.position?.watched, true);
});

test('downloaders set no position, and other players do not change that of a linked one', t => {
	const {watching, tick} = watch(t);
	tick(10_000);
	const copy = reader({name: 'curl 8.5', offset: 50_000});
	watching.readBy(copy);
	tick(1000);
	copy.offset = 60_000;
	watching.readBy(copy);
	tick(1000);
	assert.equal(watching.position, null);
	watching.follow({...playing, positionMs: 41_000});
	tick(10_000);
	const other = reader({offset: 50_000});
	watching.readBy(other);
	tick(1000);
	other.offset = 60_000;
	watching.readBy(other);
	tick(1000);
	assert.equal(watching.position!.ms, 41_000);
});
