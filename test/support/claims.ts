// The truth of a claim: mpv plays a stretch to its end while no byte outside the presence set can be had.
import {execFile} from 'node:child_process';
import type {TestContext} from 'node:test';
import {promisify} from 'node:util';
import type {FilmMap} from '../../source/engine/film/film-map.ts';
import {playable, type Stretch} from '../../source/engine/film/playable.ts';
import {RangeSet} from '../../source/engine/store/range-set.ts';
import {serveFilm, type FilmName} from './films.ts';

/** The index of the film with three random stretches of its bytes. */
export function randomPresence({index}: FilmMap, size: number, random: () => number): RangeSet {
	const present = new RangeSet(index);
	for (let count = 0; count < 3; count++) {
		const start = Math.floor(random() * size);
		present.add({start, end: Math.min(size, start + Math.floor(random() * size * 0.4))});
	}

	return present;
}

/** Resolves with the stretches claimed for a presence set, and those that mpv could not play to their end. */
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
