// The rate of the forecast of stalls: what other players and pledges take from a player does not count.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Download} from '../source/downstream.ts';
import {rateFor, takenRanges} from '../source/engine/download/forecast-rate.ts';
import type {Demand} from '../source/engine/fetch/next-segment.ts';
import {RangeSet} from '../source/engine/store/range-set.ts';
import {startEngine, until} from './support/engines.ts';
import {makeFilm, serveFilm} from './support/films.ts';
import {missing} from './support/programs.ts';

const KiB = 1024;
const size = 1000;

/** A player that reads 1 byte a second, and needs 30 ready before pledges. */
const reads = (offset: number): Demand => ({
	offset,
	end: size,
	blocked: true,
	ahead: 100,
	beforePledges: 30,
	segmentSize: 10,
	pace: 1,
});
const taken = (
	offset: number,
	offsets: readonly number[],
	pledged: ReadonlyArray<readonly [start: number, end: number]> = [],
	present: ReadonlyArray<readonly [start: number, end: number]> = [],
) =>
	takenRanges(
		offset,
		offsets.map(each => reads(each)),
		pledged.map(([start, end]) => ({start, end})),
		{present: new RangeSet(present.map(([start, end]) => ({start, end}))), size},
	).map(({start, end}) => [start, end]);

test('other players and pledges elsewhere take bytes from a player that is short of them', () => {
	assert.deepEqual(taken(0, [0]), []);
	assert.deepEqual(taken(0, [0, 500]), [[500, 600]]);
	assert.deepEqual(taken(0, [0, 950]), [[950, 1000]]);
	assert.deepEqual(taken(500, [500, 0], [[700, Infinity]]), [
		[0, 100],
		[700, 1000],
	]);
	// Both want these bytes.
	assert.deepEqual(taken(0, [0, 50]), [[100, 150]]);
	// A pledge from the player on delivers its bytes in order.
	assert.deepEqual(taken(0, [0], [[20, 900]]), []);
});

test('nothing is taken from a player with some seconds ready, or without a player', () => {
	assert.deepEqual(taken(0, [0, 500], [], [[0, 10]]), []);
	assert.deepEqual(taken(0, [0, 500], [], [[0, 9]]), [[500, 600]]);
	assert.deepEqual(taken(995, [995, 500], [], [[995, 1000]]), []);
	assert.deepEqual(taken(0, [], [[500, 600]]), []);
	// The reader is ahead of the picture, and the other one behind.
	assert.deepEqual(taken(450, [100, 500]), [[100, 200]]);
	// The place of the picture is interpolated.
	assert.deepEqual(taken(504, [500, 900]), [[900, 1000]]);
});

test('the rate is what others leave, at most the limit', () => {
	assert.equal(rateFor({total: 1000, taken: 0, limit: Infinity}), 1000);
	assert.equal(rateFor({total: 1000, taken: 250, limit: Infinity}), 750);
	assert.equal(rateFor({total: 1000, taken: 250, limit: 400}), 300);
	assert.equal(rateFor({total: 1000, taken: 0, limit: 2000}), 1000);
	assert.equal(rateFor({total: 1000, taken: 1100, limit: Infinity}), 0);
	assert.equal(rateFor({total: 0, taken: 0, limit: Infinity}), 0);
});

test(
	'a second player, a pledge, a limit and a stop of the background change the forecast',
	{skip: missing('ffmpeg')},
	async t => {
		const bytes = await makeFilm('large.mp4');
		const origin = await serveFilm(t, bytes, {bytesPerSecond: 64 * KiB});
		const {engine} = await startEngine(t, {connections: 4});
		const {download} = await engine.add({url: origin.urlOf('/large.mp4')});
		const {id} = download;
		const shows = (condition: (film: NonNullable<Download['film']>, download: Download) => boolean) =>
			until(engine, id, each => each.film !== null && condition(each.film, each));
		const read = async (share: number, name: string) => {
			const abort = new AbortController();
			const range = `bytes=${Math.floor(bytes.length * share)}-`;
			const {body} = await fetch(download.streamUrl, {
				headers: {range, 'user-agent': name},
				signal: abort.signal,
			});
			// As fast as bytes arrive: it is always short of them.
			const reading = body!.pipeTo(new WritableStream()).catch(() => undefined);
			return async () => {
				abort.abort();
				await reading;
			};
		};

		// The background makes way for a player: it counts.
		await shows(
			(film, {bytesPerSecondLong}) => film.forecastRate > 0 && film.forecastRate === bytesPerSecondLong,
		);

		const stopFirst = await read(0.1, 'first/1');
		const stopSecond = await read(0.5, 'second/2');
		const {film, bytesPerSecondLong} = await shows(
			(film, {bytesPerSecondLong}) => film.forecastRate > 0 && film.forecastRate < bytesPerSecondLong * 0.95,
		);
		assert.ok(film!.position > film!.durationMs * 0.4, String([film!.position, bytesPerSecondLong]));

		// They have left: the rate is that of all connections again.
		await stopSecond();
		await stopFirst();
		await shows(
			(film, {bytesPerSecondLong}) => film.forecastRate > 0 && film.forecastRate === bytesPerSecondLong,
		);

		// A pledge behind the position has priority during a wait.
		origin.options.bytesPerSecond = 16 * KiB;
		await engine.update(id, {positionMs: 20_000});
		const pledge = await engine.makeSafe(id, {fromMs: 0, forMs: 15_000});
		const pledged = await shows(
			film => film.forecastRate > 0 && film.stallAt !== null && film.waitMs! > 5000,
		);
		assert.ok(pledge.missing! > 0);
		const {missing: left} = pledged.pledges[0]!;
		assert.ok(
			pledged.film!.waitMs! > (left! * 1000) / pledged.film!.forecastRate,
			JSON.stringify([pledged.film, left]),
		);
		await engine.lift(id, 1);

		await engine.update(id, {limitRate: 8 * KiB});
		await shows(film => film.forecastRate > 0 && film.forecastRate <= 8 * KiB);

		await engine.pause(id);
		await shows(film => film.forecastRate === 0 && film.waitMs === null);
	},
);
