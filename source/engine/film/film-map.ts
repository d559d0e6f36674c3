// The film map: for each track, the byte at which each point in time begins. Pure.
import type {Range} from '../store/range-set.ts';

export type FilmTrack = {
	readonly kind: 'video' | 'audio';
	readonly codec: string | null;
	/** ISO 639-2; null if unknown. */
	readonly language: string | null;
	/** Pixels; null for audio. */
	readonly width: number | null;
	readonly height: number | null;
	/** Offset of the track's bytes for each of the map's times; the last one is their end. */
	readonly offsets: readonly number[];
};

export type FilmMap = {
	readonly durationMs: number;
	/** Read from an index; otherwise interpolated from the size. */
	readonly exact: boolean;
	/** Milliseconds, strictly ascending: from 0 to `durationMs`. A player can start at each but the last. */
	readonly times: readonly number[];
	readonly tracks: readonly FilmTrack[];
	/** The bytes that a player needs to find its way in the file, sorted and merged. */
	readonly index: readonly Range[];
	readonly asides: readonly Aside[];
	/** Maximum gap in bytes over which a player reads on rather than send another request. */
	readonly readOver: number;
};

/** A range outside the bytes of the tracks that a player reads between a time and the next one, such as a subtitle. */
export type Aside = Range & {
	/** Index of the first of the two times. */
	readonly point: number;
	/** Read only by a player that starts at this time. */
	readonly isLead: boolean;
};

/** Gap in bytes over which a player reads on in any file: its socket holds as many. */
export const leastReadOver = 256 * 1024;
/** Maximum bytes of an encoded map. */
export const maxMapBytes = 16 * 1024;
const maxTracks = 8;

/** Offsets of the main track: the first video, else the first audio. */
export function mainOffsets({tracks}: FilmMap): readonly number[] {
	return (tracks.find(({kind}) => kind === 'video') ?? tracks[0]!).offsets;
}

/** The map with at most `count` points. Fewer points claim less, never more. */
export function thinned(map: FilmMap, count: number): FilmMap {
	const last = map.times.length - 1;
	if (last < count) {
		return map;
	}

	const kept = Array.from({length: count}, (_, point) => Math.round((point * last) / (count - 1)));
	const tracks = map.tracks.map(track => ({...track, offsets: kept.map(point => track.offsets[point]!)}));
	const asides = map.asides.flatMap(aside => {
		const point = kept.findLastIndex(each => each <= aside.point);
		const isWithin = tracks.some(
			({offsets}) => offsets[point]! <= aside.start && aside.end <= offsets[point + 1]!,
		);
		return (aside.isLead ? kept[point] !== aside.point : isWithin) ? [] : [{...aside, point}];
	});
	return {...map, times: kept.map(point => map.times[point]!), tracks, asides};
}

/** A map with one constant rate from `start` to `size`. */
export function linearMap(
	map: Pick<FilmMap, 'durationMs' | 'exact' | 'index'>,
	tracks: ReadonlyArray<Omit<FilmTrack, 'offsets'>>,
	{start, end}: Range,
): FilmMap {
	const steps = Math.max(1, Math.min(256, map.durationMs));
	const at = (from: number, to: number) =>
		Array.from({length: steps + 1}, (_, step) => Math.round(from + ((to - from) * step) / steps));
	const offsets = at(start, end);
	return {
		...map,
		times: at(0, map.durationMs),
		tracks: tracks.map(track => ({...track, offsets})),
		asides: [],
		readOver: leastReadOver,
	};
}

/**
 * JSON of at most `maxMapBytes`: points are dropped until it fits. Numbers are stored as differences, which are
 * shorter.
 */
export function encodeMap(map: FilmMap, version: number, size: number): string {
	for (let count = map.times.length; ; count = Math.floor(count * 0.9)) {
		const {times, tracks, asides, ...rest} = thinned(map, Math.max(2, count));
		const lists = [...new Set(tracks.map(({offsets}) => offsets.join()))];
		const stored = {
			...rest,
			times: differences(times),
			lists: lists.map(list => differences(list.split(',').map(Number))),
			tracks: tracks.map(track => ({...track, offsets: lists.indexOf(track.offsets.join())})),
			asides: asides.map(({point, start, end, isLead}) => [point, start, end - start, isLead ? 1 : 0]),
		};
		const text = JSON.stringify({version, size, map: stored});
		if (text.length <= maxMapBytes || count <= 2) {
			return text;
		}
	}
}

function differences(values: readonly number[]): number[] {
	return values.map((value, index) => value - (values[index - 1] ?? 0));
}

function sums(values: readonly number[]): number[] {
	let sum = 0;
	return values.map(value => (sum += value));
}

/** Unchecked: any part may be missing or wrong. */
type StoredMap = {
	readonly times: number[];
	readonly lists: number[][];
	readonly tracks: Array<{readonly offsets: number}>;
	readonly asides: Array<[point: number, start: number, length: number, isLead: number]>;
};

/** Returns undefined for text that is no map of this version of the file. */
export function decodeMap(text: string, version: number, size: number): FilmMap | undefined {
	try {
		const {map, ...stored} = JSON.parse(text) as {version: unknown; size: unknown; map: StoredMap};
		if (stored.version !== version || stored.size !== size) {
			return undefined;
		}

		const lists = map.lists.map(list => sums(list));
		const tracks = map.tracks.map(track => ({...track, offsets: lists[track.offsets]}));
		const asides = map.asides.map(([point, start, length, isLead]): Aside => {
			return {point, start, end: start + length, isLead: isLead === 1};
		});
		return checkedMap({...map, times: sums(map.times), tracks, asides}, size);
	} catch {
		return undefined;
	}
}

/** Returns undefined for a value that is no map of a file of `size` bytes. */
export function checkedMap(value: unknown, size: number): FilmMap | undefined {
	const {durationMs, exact, times, tracks, index, asides, readOver} = (value ?? {}) as {
		[K in keyof FilmMap]?: unknown;
	};
	if (
		typeof durationMs !== 'number' ||
		typeof exact !== 'boolean' ||
		!isAscending(times, durationMs, true) ||
		times.length < 2 ||
		times[0] !== 0 ||
		times.at(-1) !== durationMs ||
		!Array.isArray(tracks) ||
		tracks.length === 0 ||
		tracks.length > maxTracks ||
		!Array.isArray(index) ||
		!Array.isArray(asides) ||
		!isAscending([readOver], Number.MAX_SAFE_INTEGER, false)
	) {
		return undefined;
	}

	const checkedTracks = tracks.map(track => checkedTrack(track, times.length, size));
	const ranges = index.map(range => ({...(range as Range)}));
	const edges = ranges.flatMap(({start, end}) => [start, end]);
	const checkedAsides = asides.map(aside => checkedAside(aside, times.length - 1, size));
	if (
		checkedTracks.includes(undefined) ||
		!isAscending(edges, size, false) ||
		checkedAsides.includes(undefined)
	) {
		return undefined;
	}

	return {
		durationMs,
		exact,
		times,
		tracks: checkedTracks as FilmTrack[],
		index: ranges,
		asides: checkedAsides as Aside[],
		readOver: readOver as number,
	};
}

function checkedAside(value: unknown, steps: number, size: number): Aside | undefined {
	const {point, start, end, isLead} = (value ?? {}) as {[K in keyof Aside]?: unknown};
	const isSound = isAscending([point], steps - 1, false) && isAscending([start, end], size, false);
	return isSound
		? {point: point as number, start: start as number, end: end as number, isLead: isLead === true}
		: undefined;
}

function checkedTrack(value: unknown, length: number, size: number): FilmTrack | undefined {
	const {kind, codec, language, width, height, offsets} = (value ?? {}) as {[K in keyof FilmTrack]?: unknown};
	if (
		(kind !== 'video' && kind !== 'audio') ||
		!isAscending(offsets, size, false) ||
		offsets.length !== length
	) {
		return undefined;
	}

	return {
		kind,
		codec: word(codec),
		language: word(language),
		width: pixels(width),
		height: pixels(height),
		offsets,
	};
}

/** Names come from the file. */
function word(value: unknown): string | null {
	return typeof value === 'string' && /^[\w.-]{1,20}$/.test(value) ? value : null;
}

function pixels(value: unknown): number | null {
	return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : null;
}

/** Whole numbers from 0 to `most`, ascending. */
function isAscending(value: unknown, most: number, strictly: boolean): value is readonly number[] {
	return (
		Array.isArray(value) &&
		value.every(
			(each, index) =>
				Number.isSafeInteger(each) &&
				each <= most &&
				each >= (index === 0 ? 0 : (value[index - 1] as number) + (strictly ? 1 : 0)),
		)
	);
}
