// Proof of playable ranges: mpv plays each to its end without bytes outside the present set.
import {execFile} from 'node:child_process';
import type {TestContext} from 'node:test';
import {promisify} from 'node:util';
import type {FilmMap} from '../../source/engine/film/film-map.ts';
import {playable, type Stretch} from '../../source/engine/film/playable.ts';
import {RangeSet} from '../../source/engine/store/range-set.ts';
import {serveFilm, type FilmName} from './films.ts';

/** The index of the film and three random ranges of its bytes. */
export function randomPresence({index}: FilmMap, size: number, random: () => number): RangeSet {
	const present = new RangeSet(index);
	for (let count = 0; count < 3; count++) {
		const start = Math.floor(random() * size);
		present.add({start, end: Math.min(size, start + Math.floor(random() * size * 0.4))});
	}

	return present;
}

/** Resolves with the playable ranges of a present set, and those that mpv failed to play to their end. */
export async function playClaims(
	t: TestContext,
	name: FilmName,
	bytes: Buffer,
	map: FilmMap,
	present: RangeSet,
): Promise<{claimed: readonly Stretch[]; broken: readonly Stretch[]}> {
	const origin = await serveFilm(t, bytes, {present});
	const claimed = playable(map, present);
	const broken: Stretch[] = [];
	for (const [fromMs, toMs] of claimed) {
		const args = [
			'--no-config',
			'--vo=null',
			'--ao=null',
			'--untimed',
			'--really-quiet',
			'--network-timeout=60',
		];
		const stretch = [`--start=${fromMs / 1000}`, `--end=${toMs / 1000}`];
		await promisify(execFile)('mpv', [...args, ...stretch, origin.urlOf(`/${name}`)], {
			timeout: 40_000,
		}).catch(() => broken.push([fromMs, toMs]));
	}

	return {claimed, broken};
}
