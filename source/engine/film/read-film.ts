// Reads the film map out of a file's index: the map of each kind of container.
import {RangeSet, type Range} from '../store/range-set.ts';
import {leastReadOver, linearMap, thinned, type FilmMap} from './film-map.ts';
import type {ReadBytes} from './film-thread.ts';
import {chunkBytes, IndexBytes} from './index-bytes.ts';
import {
	fragmentIndex,
	isoIndexOf,
	isSubtitle,
	segmentsOf,
	type IsoIndex,
	type Segments,
} from './iso-index.ts';
import {openingSamples, readOverBytes, subtitleAsides} from './iso-reads.ts';
import {checkedMs, maxPoints, placesOf, pointsAt, preRollMs} from './key-points.ts';
import {clusterAsides, cuesWithSubtitles} from './matroska-cues.ts';
import {
	durationOf,
	firstPlace,
	formatOf,
	isIso,
	isMatroska,
	isWave,
	mediaOf,
	openInput,
	pointsOf,
	type Media,
} from './media-file.ts';
import {NoFilm} from './no-film.ts';
import {bytesBetween} from './playable.ts';
import {isEdited, sampleKeys, samplesBefore, samplesDuration} from './sample-points.ts';

/** Bytes that players read at the start of a file before they seek. */
const openingBytes = 256 * 1024;

/** Rejects with `NoFilm`, the error of `read`, or that of the parser. Reads nothing past the index. */
export async function readFilm(size: number, read: ReadBytes): Promise<FilmMap> {
	const bytes = new IndexBytes(size, read);
	const input = openInput(bytes);
	try {
		const format = await formatOf(input);
		const iso = isIso(format) ? await isoIndexOf(bytes.at, size) : undefined;
		const media = await mediaOf(input, format, bytes, iso?.chapterIds ?? new Set());
		return await (iso?.isFragmented
			? readFragments(media, iso)
			: iso
				? readSamples(media, iso)
				: isMatroska(format)
					? readClusters(media)
					: readSound(media));
	} finally {
		input.dispose();
	}
}

/** An ISO file that lists all samples. Its tables are expanded here: the parser would make an object of each sample. */
async function readSamples(media: Media, iso: IsoIndex): Promise<FilmMap> {
	const {bytes, tracks, main} = media;
	const {size} = bytes;
	const listed = tracks.map(({id}) => iso.tracks.find(track => track.id === id));
	const mainSamples = listed[tracks.indexOf(main)]?.samples;
	const durationMs = samplesDuration(listed, mainSamples);
	const keys = mainSamples?.count ? sampleKeys(mainSamples, durationMs, size) : [];
	const lists = tracks.map((track, at) =>
		track === main ? placesOf(keys) : samplesBefore(listed[at]?.samples, keys, size),
	);
	const readOver = leastReadOver + readOverBytes(iso.tracks);
	const points = pointsAt(keys, lists, durationMs, size, readOver);
	if (!points || keys.length === 0) {
		throw new NoFilm('damaged', 'its index names no packet');
	}

	const {times, offsets, areRead} = points;
	const steps = times.slice(1).map((_, point) => bytesBetween(offsets, point, readOver));
	const asides = subtitleAsides(iso.tracks.filter(isSubtitle), times, steps, preRollMs);
	const openings = openingSamples(iso.tracks);
	const exact = areRead && asides !== undefined && openings !== undefined && !isEdited(listed, iso.tracks);
	const index = new RangeSet([...joined([...bytes.index], size), ...iso.heads, ...(openings ?? [])]);
	return mapOf(media, {durationMs, exact, times, index: [...index], asides: asides ?? [], readOver}, offsets);
}

/**
 * A fragmented ISO file. Without a leading list of all fragments, players walk from one to the next: a stretch in the
 * middle cannot be found alone.
 */
async function readFragments(media: Media, {tracks}: IsoIndex): Promise<FilmMap> {
	const {bytes} = media;
	const {size} = bytes;
	const segments = await segmentsOf(bytes.at, size);
	if (segments) {
		const isPlain = tracks.every(
			track => track.editCount <= 1 && Math.abs(track.shiftMs) <= preRollMs && !isSubtitle(track),
		);
		return segmentMap(media, segments, isPlain);
	}

	const index = joined([...bytes.index], size);
	if (!(await fragmentIndex(bytes.at, size))) {
		const stated = await media.input.getDurationFromMetadata();
		return estimate(media, checkedMs(stated ?? Number.NaN), index.slice(0, 1));
	}

	// The last fragment states the duration, but is no part of the index.
	const durationMs = await durationOf(media);
	bytes.refuse();
	const points = await pointsOf(media, durationMs);
	if (!points) {
		return estimate(media, durationMs, index);
	}

	const {times, offsets} = points;
	const map = {durationMs, exact: false, times, index, asides: [], readOver: leastReadOver};
	return mapOf(
		media,
		map,
		offsets.map((each, track) => (media.tracks[track] === media.main ? each : oneEarlier(each))),
	);
}

function segmentMap(media: Media, {times, offsets, trackId, index}: Segments, exact: boolean): FilmMap {
	const {bytes, tracks} = media;
	const {size} = bytes;
	const durationMs = checkedMs(times.at(-1)! / 1000);
	// ffmpeg knows only the first segment when it sizes its buffer.
	const readOver = leastReadOver + 3 * (offsets[1]! - offsets[0]!);
	const map = {durationMs, exact, times, index: joined(index, size), asides: [], readOver};
	const lists = tracks.map(({id}) => (id === trackId ? offsets : oneEarlier(offsets)));
	return thinned(mapOf(media, map, lists), maxPoints + 1);
}

/** The sound of a key frame may begin in the fragment before. */
function oneEarlier(offsets: readonly number[]): number[] {
	return [offsets[0]!, ...offsets.slice(0, -1)];
}

/** Matroska and WebM. */
async function readClusters(media: Media): Promise<FilmMap> {
	const {bytes, tracks, main} = media;
	const {size} = bytes;
	const durationMs = await durationOf(media);
	bytes.refuse();
	const index = joined([...bytes.index], size);
	const points = await pointsOf(media, durationMs);
	if (!points) {
		return estimate(media, durationMs, index);
	}

	const {times, offsets} = points;
	const asides = clusterAsides(
		await cuesWithSubtitles(bytes.at, size),
		times,
		offsets[tracks.indexOf(main)]!,
	);
	return mapOf(media, {durationMs, exact: true, times, index, asides, readOver: leastReadOver}, offsets);
}

/** Other formats. Only WAVE reveals the places of packets. */
async function readSound(media: Media): Promise<FilmMap> {
	const {bytes, format} = media;
	const {size} = bytes;
	const durationMs = await durationOf(media);
	bytes.refuse();
	const index = joined([...bytes.index], size);
	const points = isWave(format) ? await pointsOf(media, durationMs) : undefined;
	if (!points) {
		return estimate(media, durationMs, index);
	}

	const {times, offsets} = points;
	return mapOf(media, {durationMs, exact: true, times, index, asides: [], readOver: leastReadOver}, offsets);
}

function mapOf(
	{described}: Media,
	map: Omit<FilmMap, 'tracks'>,
	offsets: ReadonlyArray<readonly number[]>,
): FilmMap {
	return {...map, tracks: described.map((track, at) => ({...track, offsets: offsets[at]!}))};
}

/** A map of constant rate. */
async function estimate(media: Media, durationMs: number, index: readonly Range[]): Promise<FilmMap> {
	media.bytes.refuse();
	const first = await firstPlace(media);
	return linearMap({durationMs, exact: false, index}, media.described, {
		start: first ?? 0,
		end: media.bytes.size,
	});
}

/**
 * The index as players read it: with the start of the file, the small gaps that a parser skips, and all bytes after a
 * part in the second half of the file.
 */
function joined(index: readonly Range[], size: number): Range[] {
	const ranges = new RangeSet([{start: 0, end: Math.min(size, openingBytes)}]);
	let last = 0;
	for (const {start, end} of index) {
		ranges.add({start: start - last <= chunkBytes ? last : start, end: start > size / 2 ? size : end});
		last = end;
	}

	return [...ranges];
}
