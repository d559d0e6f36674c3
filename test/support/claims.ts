// Proof of playable ranges: mpv plays each to its end without bytes outside the present set, and not much further.
import {execFile} from 'node:child_process';
import type {TestContext} from 'node:test';
import {promisify} from 'node:util';
import type {FilmMap} from '../../source/engine/film/film-map.ts';
import {marginMs, playable, type Stretch} from '../../source/engine/film/playable.ts';
import {RangeSet} from '../../source/engine/store/range-set.ts';
import {serveFilm, type FilmName} from './films.ts';
import {playUntilStall} from './mpv-stall.ts';

/** The index of the film and three random ranges of its bytes. */
export function randomPresence({index}: FilmMap, size: number, random: () => number): RangeSet {
	const present = new RangeSet(index);
	for (let count = 0; count < 3; count++) {
		const start = Math.floor(random() * size);
		present.add({start, end: Math.min(size, start + Math.floor(random() * size * 0.4))});
	}

	return present;
}

export type Claims = {
	readonly claimed: readonly Stretch[];
	/** mpv failed to play them to their end. */
	readonly broken: readonly Stretch[];
	/** mpv played on past the next point of the map, although bytes were missing: more could be claimed. */
	readonly exceeded: readonly Stretch[];
};

/** Resolves with the playable ranges of a present set, as mpv finds them. */
export async function playClaims(
	t: TestContext,
	name: FilmName,
	bytes: Buffer,
	map: FilmMap,
	present: RangeSet,
): Promise<Claims> {
	const origin = await serveFilm(t, bytes, {present});
	const url = origin.urlOf(`/${name}`);
	const claimed = playable(map, present);
	const broken: Stretch[] = [];
	const exceeded: Stretch[] = [];
	for (const [fromMs, toMs] of claimed) {
		const args = ['--no-config', '--vo=null', '--ao=null', '--really-quiet', '--network-timeout=60'];
		const start = ['--untimed', '--ao-null-untimed', '--sid=1', `--start=${fromMs / 1000}`];
		await promisify(execFile)('mpv', [...args, ...start, `--end=${toMs / 1000}`, url], {
			timeout: 40_000,
		}).catch(() => broken.push([fromMs, toMs]));
		// Untimed sound alone does not report its stall.
		const hasPicture = map.tracks.some(({kind}) => kind === 'video');
		const next = hasPicture ? map.times.find(time => time > toMs + marginMs) : undefined;
		if (next !== undefined && (await playUntilStall(t, url, ...start)) * 1000 > next + marginMs) {
			exceeded.push([fromMs, toMs]);
		}
	}

	return {claimed, broken, exceeded};
}
