// The film of a download: an engine reads its index from a real origin, and tells what can be watched.
import assert from 'node:assert/strict';
import {readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {maxMapBytes} from '../source/engine/film/film-map.ts';
import {startEngine, until} from './support/engines.ts';
import {filmMs, makeFilm, serveFilm} from './support/films.ts';
import {missing} from './support/programs.ts';

const MiB = 1024 * 1024;
const needsFfmpeg = {skip: missing('ffmpeg')};

test('the index at the end of a film is read first, with few requests', needsFfmpeg, async t => {
	const bytes = await makeFilm('large.mp4');
	const origin = await serveFilm(t, bytes, {bytesPerSecond: MiB});
	const {engine, storageDir} = await startEngine(t);
	const {download} = await engine.add({url: origin.urlOf('/large.mp4')});
	const {film, ranges, filmProblem} = await until(engine, download.id, ({film}) => film !== null);
	assert.ok(ranges.length > 1, JSON.stringify(ranges));
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
