// Reads the facts of an ISO file (ISO/IEC 14496-12) that the parser leaves out: edits, subtitles, chapters and
// segments.
import type {Range} from '../store/range-set.ts';
import {bufferOf, boxAt, boxesIn, childOf, fileBoxes, type ReadAt} from './iso-boxes.ts';
import {areInflated, maxSamples, samplesOf, type IsoSamples, type SampleTables} from './iso-samples.ts';
import {NoFilm} from './no-film.ts';

export type IsoTrack = {
	/** 0 if not stated. */
	readonly id: number;
	/** Handler type, such as `vide`, `soun` or `sbtl`. */
	readonly handler: string;
	/** Number of edits that show media. */
	readonly editCount: number;
	/** Milliseconds by which the first edit moves the media; negative if it cuts off their start. */
	readonly shiftMs: number;
	readonly isChapters: boolean;
	/** Milliseconds; 0 if not stated. */
	readonly lengthMs: number;
	/** Undefined if their tables are missing. */
	readonly samples: IsoSamples | undefined;
};

export type IsoIndex = {
	readonly tracks: readonly IsoTrack[];
	/** IDs of the tracks that hold the chapters of others. */
	readonly chapterIds: ReadonlySet<number>;
	/** The samples lie in fragments (`moof` boxes). */
	readonly isFragmented: boolean;
	/** Heads of the boxes after the index, up to that of the media data: players read them one by one. */
	readonly heads: readonly Range[];
};

/** More than any player shows. */
const maxTracks = 256;
/** Maximum boxes between an index and the media data. */
const maxHeads = 16;

/** Reads the `moov` box. Rejects if it ends within a table, or has more tracks or samples than a film has. */
export async function isoIndexOf(readAt: ReadAt, size: number): Promise<IsoIndex> {
	let movie: Omit<IsoIndex, 'heads'> = {tracks: [], chapterIds: new Set(), isFragmented: false};
	const heads: Range[] = [];
	const found = new Set<string>();
	for await (const {type, head, start, end} of fileBoxes(readAt, 0, size)) {
		if (type === 'moov') {
			movie = movieOf(bufferOf(await readAt(start, end)));
		} else if (found.has('moov')) {
			heads.push({start: head, end: start});
		}

		found.add(type);
		if ((found.has('moov') && (found.has('mdat') || found.has('moof'))) || heads.length === maxHeads) {
			break;
		}
	}

	return {...movie, heads};
}

function movieOf(moov: Buffer): Omit<IsoIndex, 'heads'> {
	const scale = timescaleOf(childOf(moov, 'mvhd'));
	const isFragmented = [...boxesIn(moov, 'mvex')].length > 0;
	const boxes = [...boxesIn(moov, 'trak')];
	if (boxes.length > maxTracks) {
		throw new NoFilm('too-large', 'it has too many tracks');
	}

	const chapterIds = new Set(boxes.flatMap(chaptersOf));
	const tracks: IsoTrack[] = [];
	for (let left = maxSamples; tracks.length < boxes.length; left -= tracks.at(-1)!.samples?.count ?? 0) {
		const box = boxes[tracks.length]!;
		if (isFragmented && areInflated(tablesOf(box))) {
			throw new NoFilm('damaged', 'it claims more samples than it lists');
		}

		tracks.push(trackOf(box, scale, chapterIds, left));
	}

	return {tracks, chapterIds, isFragmented};
}

export function isSubtitle({handler, isChapters}: IsoTrack): boolean {
	return !isChapters && ['sbtl', 'subt', 'subp', 'clcp', 'text'].includes(handler);
}

/** The IDs of the tracks with the chapters of this one. */
function chaptersOf(track: Buffer): number[] {
	const chapters = childOf(track, 'tref', 'chap');
	return Array.from({length: Math.min(maxTracks, chapters.length >> 2)}, (_, at) =>
		chapters.readUInt32BE(4 * at),
	);
}

/** `most`: maximum samples. */
function trackOf(track: Buffer, movieScale: number, chapterIds: ReadonlySet<number>, most: number): IsoTrack {
	const media = childOf(track, 'mdia');
	const mediaHead = childOf(media, 'mdhd');
	const scale = timescaleOf(mediaHead);
	const head = childOf(track, 'tkhd');
	const id = head.length === 0 ? 0 : head.readUInt32BE(head[0] === 1 ? 20 : 12);
	const edits = editsOf(childOf(track, 'edts', 'elst'));
	const shown = edits.findIndex(({time}) => time !== -1);
	const pause = edits.slice(0, Math.max(0, shown)).reduce((sum, {length}) => sum + length, 0);
	const shiftMs = shown === -1 ? 0 : (pause * 1000) / movieScale - (edits[shown]!.time * 1000) / scale;
	const handler = childOf(media, 'hdlr').toString('latin1', 8, 12);
	return {
		id,
		handler,
		editCount: edits.filter(({time}) => time !== -1).length,
		shiftMs,
		isChapters: chapterIds.has(id),
		lengthMs: (lengthOf(mediaHead) * 1000) / scale,
		samples: samplesOf(tablesOf(track), {scale, shiftMs, isSound: handler === 'soun'}, most),
	};
}

/** Units per second, of `mvhd` or `mdhd`. */
function timescaleOf(head: Buffer): number {
	return head.length === 0 ? 1 : head.readUInt32BE(head[0] === 1 ? 20 : 12);
}

/** The duration in `mdhd`, in its units; 0 if not stated (section 8.4.2.3). */
function lengthOf(head: Buffer): number {
	if (head.length === 0) {
		return 0;
	}

	const [length, unknown] =
		head[0] === 1 ? [Number(head.readBigUInt64BE(24)), 2 ** 64] : [head.readUInt32BE(16), 2 ** 32 - 1];
	return length === unknown ? 0 : length;
}

function tablesOf(track: Buffer): SampleTables {
	const table = childOf(track, 'mdia', 'minf', 'stbl');
	return {
		stts: childOf(table, 'stts'),
		ctts: childOf(table, 'ctts'),
		stsz: childOf(table, 'stsz'),
		stz2: childOf(table, 'stz2'),
		stsc: childOf(table, 'stsc'),
		stco: childOf(table, 'stco'),
		co64: childOf(table, 'co64'),
		stss: childOf(table, 'stss'),
	};
}

/** The edits (section 8.6.6). `length` in units of the movie, `time` in units of the media; -1 shows nothing. */
function editsOf(list: Buffer): Array<{length: number; time: number}> {
	const [bytes, isLong] = list[0] === 1 ? [20, true] : [12, false];
	const edits: Array<{length: number; time: number}> = [];
	for (let at = 8; at + bytes <= list.length; at += bytes) {
		edits.push(
			isLong
				? {length: Number(list.readBigUInt64BE(at)), time: Number(list.readBigInt64BE(at + 8))}
				: {length: list.readUInt32BE(at), time: list.readInt32BE(at + 4)},
		);
	}

	return edits;
}

/** The segments that begin with a key frame; the last entry is their end. */
export type Segments = {
	/** Milliseconds from the first one. */
	readonly times: readonly number[];
	readonly offsets: readonly number[];
	readonly trackId: number;
	/** The bytes before and after the segments that players read. */
	readonly index: readonly Range[];
};

/**
 * The segments of a file whose first `sidx` box lists all of them directly (section 8.16.3): players follow no further
 * box. Undefined for other files.
 */
export async function segmentsOf(readAt: ReadAt, size: number): Promise<Segments | undefined> {
	for await (const {type, start, end} of fileBoxes(readAt, 0, size)) {
		if (type === 'moof' || type === 'mdat') {
			return undefined;
		}

		if (type === 'sidx') {
			const found = segmentsIn(bufferOf(await readAt(start, end)), end);
			const listed = found?.offsets.at(-1);
			if (!found || listed === undefined || listed > size) {
				return undefined;
			}

			const tail = listed === size ? [] : [await fragmentIndex(readAt, size)];
			if (listed !== (tail[0]?.start ?? size)) {
				return undefined;
			}

			return {...found, index: [{start: 0, end: found.offsets[0]!}, ...(tail as Range[])]};
		}
	}

	return undefined;
}

/** Undefined for a list of further lists, fewer than two starts at key frames, or times that do not ascend. */
function segmentsIn(box: Buffer, boxEnd: number): Omit<Segments, 'index'> | undefined {
	const isLong = box[0] === 1;
	const scale = box.readUInt32BE(8);
	const first = isLong ? 32 : 24;
	const [times, offsets]: [number[], number[]] = [[], []];
	let offset = boxEnd + (isLong ? Number(box.readBigUInt64BE(20)) : box.readUInt32BE(16));
	let time = 0;
	for (let at = first; at + 12 <= box.length; at += 12) {
		const size = box.readUInt32BE(at);
		if (size >= 2 ** 31) {
			return undefined;
		}

		if (box[at + 8]! >= 0x80 || at === first) {
			times.push(Math.ceil((time * 1000) / scale));
			offsets.push(offset);
		}

		offset += size;
		time += box.readUInt32BE(at + 4);
	}

	times.push(Math.floor((time * 1000) / scale));
	offsets.push(offset);
	const areDistinct = times.every((each, at) => at === 0 || each > times[at - 1]!);
	return times.length > 2 && areDistinct ? {times, offsets, trackId: box.readUInt32BE(4)} : undefined;
}

/** The `mfra` box at the end of a file; undefined if there is none (sections 8.8.9 to 8.8.11). */
export async function fragmentIndex(readAt: ReadAt, size: number): Promise<Range | undefined> {
	const start = size - bufferOf(await readAt(size - 4, size)).readUInt32BE();
	if (start < 0 || start + 16 > size) {
		return undefined;
	}

	const {type, length} = boxAt(bufferOf(await readAt(start, start + 16)));
	return type === 'mfra' && start + length === size ? {start, end: size} : undefined;
}

/** Maximum samples of one fragment without fields of their own. */
const maxPlain = 100_000;
/** Flags of a run for the fields of each sample: duration, size, flags and offset. */
const fieldFlags = [0x100, 0x200, 0x400, 0x800];

/** True for a `moof` box whose runs claim more samples than they have room for (section 8.8.8). */
export function hasInflatedRuns(bytes: Uint8Array): boolean {
	const box = bufferOf(bytes);
	if (box.length < 8 || boxAt(box).type !== 'moof') {
		return false;
	}

	let plain = 0;
	for (const fragment of boxesIn(box.subarray(8), 'traf')) {
		for (const run of boxesIn(fragment, 'trun')) {
			const count = run.length < 8 ? 0 : run.readUInt32BE(4);
			const fields = fieldFlags.filter(flag => (run.readUInt32BE(0) & flag) !== 0).length;
			plain += fields === 0 ? count : 0;
			if (8 + 4 * fields * count > run.length || plain > maxPlain) {
				return true;
			}
		}
	}

	return false;
}
