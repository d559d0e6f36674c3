// The position of a player that reports no times, against players whose position is known.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {linearMap, type FilmMap} from '../source/engine/film/film-map.ts';
import {infer, type Inference, type Reads} from '../source/engine/film/inference.ts';

const MB = 1_000_000;
/** Bytes per millisecond. */
const rate = 500;
const film = {ms: 1_200_000, bytes: 1_200_000 * rate};
const track = {kind: 'video', codec: null, language: null, width: null, height: null} as const;
const map: FilmMap = linearMap({durationMs: film.ms, exact: true, index: []}, [track], {
	start: 0,
	end: film.bytes,
});

/**
 * A player that reads as VLC 3 does: 22 MB ahead, in steps of 2 MB. Each tick is a second; `most` limits the bytes that it
 * receives in one.
 */
class Watched {
	truth = 0;
	inference: Inference | undefined;
	speed = 1;
	most = Infinity;
	#reads: Reads = {run: {start: 0, since: 0}, offset: 0, isBlocked: false};
	#now = 0;

	get error(): number {
		return Math.abs(this.inference!.ms - this.truth);
	}

	/** A seek outside of the buffer is a request of its own. */
	request(ms: number): void {
		this.truth = ms;
		this.#reads = {
			run: {start: Math.round(ms * rate), since: this.#now},
			offset: Math.round(ms * rate),
			isBlocked: false,
		};
	}

	/** Returns the largest error from the seventh second on. */
	play(seconds: number): number {
		let worst = 0;
		for (let second = 0; second < seconds; second++) {
			this.#now += 1000;
			const {offset, run} = this.#reads;
			this.truth = Math.min(this.truth + 1000 * this.speed, offset / rate);
			const ahead = offset - this.truth * rate;
			const wanted = ahead < 20 * MB ? Math.min(film.bytes - offset, 22 * MB - ahead) : 0;
			this.#reads = {run, offset: offset + Math.min(this.most, wanted), isBlocked: wanted > this.most};
			this.inference = infer(map, this.inference, this.#reads, this.#now);
			worst = second < 6 ? 0 : Math.max(worst, this.error);
		}

		return worst;
	}
}

test('a player that plays, pauses and seeks is found within 7 s', () => {
	const player = new Watched();
	assert.ok(player.play(60) <= 1000);
	assert.ok(player.inference!.isPlaying);
	player.speed = 0;
	const paused = player.play(600);
	assert.ok(paused <= 7000, `paused: ${paused}`);
	player.speed = 1;
	const resumed = player.play(60);
	assert.ok(resumed <= 7000, `resumed: ${resumed}`);
	// Within its buffer, and then with a request.
	player.truth += 20_000;
	const skipped = player.play(60);
	assert.ok(skipped <= 7000, `skipped: ${skipped}`);
	player.request(30_000);
	assert.ok(player.play(30) <= 1000);
	player.speed = 2;
	const fast = player.play(120);
	assert.ok(fast <= 7000, `fast: ${fast}`);
});

test('a player that waits for the origin stays at the last bytes, also afterwards', () => {
	const player = new Watched();
	player.most = 250_000;
	const slow = player.play(120);
	assert.ok(slow <= 2000, `slow: ${slow}`);
	assert.ok(player.truth < 62_000);
	player.most = Infinity;
	const fast = player.play(60);
	assert.ok(fast <= 2000, `fast: ${fast}`);
});

test('a player that requests picture and sound in turns is followed', () => {
	let inference: Inference | undefined;
	for (let second = 1; second <= 60; second++) {
		const start = Math.max(0, (second - 1) * 1000 * rate - (second % 2) * 400_000);
		const reads = {run: {start, since: second * 1000 - 900}, offset: start + 1000 * rate, isBlocked: true};
		inference = infer(map, inference, reads, second * 1000);
	}

	assert.equal(inference!.isPlaying, true);
	assert.ok(Math.abs(inference!.ms - 60_000) <= 2000, `${inference!.ms}`);
	// The next player starts fresh.
	const {offset} = inference!;
	const reads = {run: {start: offset, since: 3_600_000}, offset: offset + 20 * MB, isBlocked: false};
	const next = infer(map, inference, reads, 3_601_000);
	assert.deepEqual(
		[next.isPlaying, Math.round(next.ms / 1000)],
		[false, Math.round(offset / rate / 1000) + 1],
	);
});

test('a player that only fills its buffer does not play', () => {
	const player = new Watched();
	player.speed = 0;
	player.play(60);
	assert.equal(player.inference!.isPlaying, false);
	player.speed = 1;
	player.play(10);
	assert.equal(player.inference!.isPlaying, true);
	// Each request starts fresh.
	player.request(600_000);
	player.play(1);
	assert.equal(player.inference!.isPlaying, false);
});

test('the inferred position starts with the read and stays within the bytes read', () => {
	const at = (start: number, offset: number, now: number) =>
		infer(map, undefined, {run: {start, since: 0}, offset, isBlocked: false}, now).ms;
	assert.equal(at(0, 100 * MB, 10_000), 10_000);
	assert.equal(at(50 * MB, 100 * MB, 10_000), 110_000);
	assert.equal(at(0, 5 * MB, 60_000), 10_000);
	assert.equal(at(0, 2 * film.bytes, 2 * film.ms), film.ms);
});
