// The film of a download: an engine reads its index from a real origin and reports the playable ranges.
import assert from 'node:assert/strict';
import {readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {maxMapBytes} from '../source/engine/film/film-map.ts';
import {Film} from '../source/engine/film/film.ts';
import {RangeSet, type Range} from '../source/engine/store/range-set.ts';
import type {SparseFile} from '../source/engine/store/sparse-file.ts';
import {openOffline} from '../source/host/engine-host.ts';
import {startEngine, until, type TestEngine} from './support/engines.ts';
import {filmMs, makeFilm, serveFilm} from './support/films.ts';
import type {TestOrigin} from './support/origin.ts';
import {missing} from './support/programs.ts';
import {read} from './support/read-stream.ts';
import {randomOf} from './support/soak.ts';

const MiB = 1024 * 1024;
/** Adds a download by reading its stream. */
function openUrl({key}: TestEngine['engine'], {origin}: TestEngine['proxy'], url: string): string {
	return `${origin}/stream?${new URLSearchParams({url, key}).toString()}`;
}

const needsFfmpeg = {skip: missing('ffmpeg')};

test('an index at the end of a film is read first, with few requests', needsFfmpeg, async t => {
	const bytes = await makeFilm('large.mp4');
	const origin = await serveFilm(t, bytes, {bytesPerSecond: 64 * 1024});
	const {engine, storageDir} = await startEngine(t);
	const {download} = await engine.add({url: origin.urlOf('/large.mp4')});
	const {film, present, filmProblem} = await until(engine, download.id, ({film}) => film !== null);
	assert.ok(present < bytes.length / 2);
	// Before any connection has finished its range.
	assert.ok(origin.requests.findIndex(({range}) => range!.start > bytes.length / 2) < 4);
	assert.equal(filmProblem, null);
	assert.equal(film!.exact, true);
	assert.ok(Math.abs(film!.durationMs - filmMs) < 100, String(film!.durationMs));
	assert.deepEqual(
		film!.tracks.map(({kind, codec, width}) => [kind, codec, width]),
		[
			['video', 'avc', 320],
			['audio', 'aac', null],
		],
	);
	const atEnd = origin.requests.filter(({range}) => range && range.start > bytes.length / 2);
	assert.ok(atEnd.length <= 2, JSON.stringify(atEnd.map(({range}) => range)));

	origin.options.bytesPerSecond = 100 * MiB;
	const complete = await until(engine, download.id, ({status}) => status === 'complete');
	const {playable, stallAt, waitMs, watchTo, neededRate} = complete.film!;
	assert.deepEqual(playable, [[0, film!.durationMs]]);
	assert.deepEqual([stallAt, waitMs, watchTo, neededRate], [null, 0, film!.durationMs, 0]);
	const stored = await readFile(path.join(storageDir, download.id, 'film.json'));
	assert.ok(stored.length <= maxMapBytes, String(stored.length));
});

test('the index of a film of several hours is requested without a player', () => {
	const size = 1000 * MiB;
	const wantedFor = (indexBytes: number) => {
		let wanted: Range | undefined;
		const file = {size, present: new RangeSet()} as unknown as SparseFile;
		const facts = {version: 1, startedOver: 0, type: 'video/mp4', isPledged: false, mayWrite: false};
		const download = {
			id: 'film',
			folder: '',
			facts: () => ({...facts, file, mayFetch: true, isPlaying: false}),
			want: (range: Range | undefined) => (wanted = range),
			hasRead: () => undefined,
		};
		const head = Buffer.alloc(64);
		head.writeUInt32BE(size - indexBytes);
		head.write('mdat', 4);
		new Film(download, true).look(head);
		return wanted;
	};

	assert.deepEqual(wantedFor(20 * MiB), {start: 980 * MiB, end: size});
	assert.equal(wantedFor(40 * MiB), undefined);
});

test('the first bytes of a film request its index', needsFfmpeg, async t => {
	const bytes = await makeFilm('large.mp4');
	const origin = await serveFilm(t, bytes, {present: new RangeSet([{start: 0, end: 64}])});
	const {engine} = await startEngine(t);
	await engine.add({url: origin.urlOf('/large.mp4')});
	while (!origin.requests.some(({range}) => range!.start > bytes.length / 2 && range!.end === bytes.length)) {
		await sleep(5);
	}
});

test('a player connects while its download is recorded', async t => {
	const origin = await serveFilm(t, Buffer.alloc(MiB));
	const {engine, proxy, storageDir} = await startEngine(t);
	await rm(storageDir, {recursive: true});
	const {status} = await read(openUrl(engine, proxy, origin.urlOf('/film.mp4')));
	assert.ok(status >= 500, String(status));
	while (origin.maxSockets === 0) {
		await sleep(5);
	}

	assert.equal(origin.requests.length, 0);
});

test('a second connection is ready before the response that a player waits for', async t => {
	const waiting = async () => {
		const origin: TestOrigin = await serveFilm(t, Buffer.alloc(MiB), {
			async intercept() {
				while (origin.sockets.size < 2) {
					await sleep(5);
				}

				return false;
			},
		});
		return origin;
	};
	const origin = await waiting();
	const {engine, proxy} = await startEngine(t, {onDemand: true});
	const {download} = await engine.add({url: origin.urlOf('/film.mp4')});
	assert.equal(origin.requests.length, 0);
	await read(download.streamUrl, 'bytes=0-99');
	assert.ok(origin.requests.length > 0);
	// Also for a player that adds the download.
	await read(openUrl(engine, proxy, (await waiting()).urlOf('/film.mp4')), 'bytes=0-99');

	// Without a player, or where one connection is all that is allowed, there is none.
	const single = await serveFilm(t, Buffer.alloc(100_000));
	const added = await engine.add({url: single.urlOf('/film.mp4'), connections: 1});
	await read(added.download.streamUrl, 'bytes=0-99');
	const filled = await serveFilm(t, Buffer.alloc(100_000));
	const {engine: background} = await startEngine(t);
	const {download: whole} = await background.add({url: filled.urlOf('/film.mp4')});
	await until(background, whole.id, ({status}) => status === 'complete');
	assert.deepEqual([single.maxSockets, filled.maxSockets], [1, 1]);
});

test('a stored map is used after a restart, and a damaged one is read again', needsFfmpeg, async t => {
	const bytes = await makeFilm('front.mp4');
	const origin = await serveFilm(t, bytes);
	const {engine, close, storageDir} = await startEngine(t);
	const {download} = await engine.add({url: origin.urlOf('/front.mp4')});
	const {film} = await until(engine, download.id, ({film, status}) => film !== null && status === 'complete');
	await close();
	const file = path.join(storageDir, download.id, 'film.json');
	const stored = await readFile(file, 'utf8');
	for (const content of [stored, '{"version":', '{}', '[]', stored.replace('"size":', '"size":1')]) {
		await writeFile(file, content);
		const again = await startEngine(t, {storageDir});
		const found = await until(again.engine, download.id, ({film}) => film !== null);
		assert.deepEqual(found.film, film);
		await again.close();
		assert.equal(await readFile(file, 'utf8'), stored);
	}
});

test('the map of an idle download is read once a client requests it', needsFfmpeg, async t => {
	const origin = await serveFilm(t, await makeFilm('front.mp4'));
	const {engine, close, storageDir} = await startEngine(t);
	const {download} = await engine.add({url: origin.urlOf('/front.mp4')});
	await until(engine, download.id, ({film, status}) => film !== null && status === 'complete');
	await close();
	const file = path.join(storageDir, download.id, 'film.json');
	const stored = await readFile(file, 'utf8');
	await rm(file);
	const again = await startEngine(t, {storageDir});
	// Read at the start, the map would come from the data.
	await writeFile(file, stored.replace('"deu"', '"fra"'));
	const {film} = await until(again.engine, download.id, ({film}) => film !== null);
	assert.ok(film!.tracks.some(({language}) => language === 'fra'));
});

test('a list from disk has the minutes of earlier runs', needsFfmpeg, async t => {
	const origin = await serveFilm(t, await makeFilm('front.mp4'));
	const {engine, close, storageDir} = await startEngine(t);
	const {download} = await engine.add({url: origin.urlOf('/front.mp4')});
	const {film} = await until(engine, download.id, ({film, status}) => film !== null && status === 'complete');
	await close();
	const offline = await openOffline({storageDir});
	assert.deepEqual(offline.snapshot.downloads[0]!.film, film);
	await offline.dispose();
});

test('without films, and on demand, no index is fetched', needsFfmpeg, async t => {
	const bytes = await makeFilm('large.mp4');
	const origin = await serveFilm(t, bytes);
	const off = await startEngine(t, {film: false});
	const first = await off.engine.add({url: origin.urlOf('/large.mp4')});
	const {film} = await until(off.engine, first.download.id, ({status}) => status === 'complete');
	assert.equal(film, null);

	const {length} = origin.requests;
	const {engine} = await startEngine(t, {onDemand: true});
	const {download} = await engine.add({url: origin.urlOf('/large.mp4')});
	await until(engine, download.id, ({size}) => size !== null);
	await read(download.streamUrl, 'bytes=0-99999');
	assert.equal(engine.snapshot.downloads[0]!.film, null);
	assert.ok(origin.requests.slice(length).every(({range}) => range!.start < bytes.length / 2));
	// Like a player, read the end.
	await read(download.streamUrl, `bytes=${bytes.length - 100_000}-`);
	const played = await until(engine, download.id, ({film}) => film !== null);
	assert.equal(played.film!.exact, true);
	assert.ok(played.present < bytes.length);
});

test(
	'the film is where the connected player reads, not at the index it read in between',
	needsFfmpeg,
	async t => {
		const bytes = await makeFilm('large.mp4');
		const origin = await serveFilm(t, bytes, {bytesPerSecond: 64 * 1024});
		const {engine} = await startEngine(t);
		const {download} = await engine.add({url: origin.urlOf('/large.mp4')});
		await until(engine, download.id, ({film}) => film !== null);
		const stop = new AbortController();
		const playing = await fetch(download.streamUrl, {headers: {range: 'bytes=0-'}, signal: stop.signal});
		await read(download.streamUrl, `bytes=${bytes.length - 1000}-`);
		const {players, film} = await until(
			engine,
			download.id,
			({players}) => players.length === 2 && players.some(({connected}) => !connected),
		);
		assert.deepEqual(
			players.map(({connected}) => connected),
			[true, false],
		);
		assert.ok(film!.position < filmMs / 2, String(film!.position));
		const {offset, ready, readyMs} = players[1]!;
		assert.equal(offset + ready, bytes.length);
		assert.ok(readyMs !== null && readyMs < 1000, String(readyMs));
		assert.equal(playing.status, 206);
		stop.abort();
	},
);

test('a file that is not a film, or has a damaged index, downloads too', needsFfmpeg, async t => {
	const good = await makeFilm('front.mp4');
	const damaged = Buffer.from(good);
	const table = damaged.indexOf('stco');
	damaged.fill(0xff, table + 12, table + 200);
	const page = Buffer.from('<!doctype html><title>Login</title>'.padEnd(1000));
	const files: Array<[Buffer, problem: RegExp]> = [
		[damaged, /past-end|damaged/],
		[Buffer.alloc(5000), /^null$/],
		[page, /^null$/],
	];
	for (const [bytes, problem] of files) {
		const origin = await serveFilm(t, bytes);
		const {engine, close} = await startEngine(t);
		const {download} = await engine.add({url: origin.urlOf('/film.mp4')});
		await until(
			engine,
			download.id,
			({status, film, filmProblem}) =>
				status === 'complete' && film === null && problem.test(String(filmProblem)),
		);
		await close();
	}
});

test('a scattered index is abandoned after eight requests', needsFfmpeg, async t => {
	const bytes = Buffer.from(await makeFilm('large-fragments.mp4'));
	const random = randomOf(0);
	for (let table = bytes.indexOf('tfra'); table !== -1; table = bytes.indexOf('tfra', table + 4)) {
		// Entries of version 1: the time and the place of a fragment, and three numbers of a byte each.
		for (let entry = 0; entry < bytes.readUInt32BE(table + 16); entry++) {
			const place = Math.floor(MiB + random() * (bytes.length / 2 - MiB));
			bytes.writeBigUInt64BE(BigInt(place), table + 20 + 19 * entry + 8);
		}
	}

	const origin = await serveFilm(t, bytes);
	const {engine} = await startEngine(t, {onDemand: true});
	const {download} = await engine.add({url: origin.urlOf('/film.mp4'), connections: 1});
	await engine.makeSafe(download.id, {forMs: 1000, orBytes: 1});
	const {pledges} = await until(engine, download.id, ({filmProblem}) => filmProblem === 'scattered');
	assert.equal(pledges[0]!.fromMs, null);
	// Long ones are divided.
	const ends = new Set(origin.requests.map(({range}) => range!.end));
	const places = origin.requests.filter(({range}) => !ends.has(range!.start));
	assert.ok(places.length <= 1 + 8, JSON.stringify(origin.requests.map(({range}) => range)));
});

test('an origin without ranges gives minutes after the index has arrived', needsFfmpeg, async t => {
	const origin = await serveFilm(t, await makeFilm('tail.mp4'), {ranges: false});
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.urlOf('/tail.mp4')});
	const {film} = await until(engine, download.id, ({film, status}) => film !== null && status === 'complete');
	assert.deepEqual(film!.playable, [[0, film!.durationMs]]);
	assert.equal(origin.requests.length, 1);
});

test('another version of the file has another film', needsFfmpeg, async t => {
	const origin = await serveFilm(t, await makeFilm('front.mp4'));
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: origin.urlOf('/film.mp4')});
	const old = await until(engine, download.id, ({film, status}) => film !== null && status === 'complete');
	assert.equal(old.film!.tracks.length, 2);
	const sound = await makeFilm('sound.m4a');
	Object.assign(origin.options, {bytes: sound, size: sound.length, etag: '"sound"'});
	await engine.startOver(download.id);
	const {film} = await until(engine, download.id, ({film, status}) => film !== null && status === 'complete');
	assert.deepEqual(
		film!.tracks.map(({kind}) => kind),
		['audio'],
	);
});
