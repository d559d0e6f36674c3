// Reads the facts of an ISO file (ISO/IEC 14496-12) that the parser leaves out: edits, subtitles, chapters and
// segments.
import type {Range} from '../store/range-set.ts';
import type {Aside} from './film-map.ts';
import {
	areInflated,
	lastAtMost,
	maxSamples,
	placeOf,
	samplesOf,
	type IsoSamples,
	type SampleTables,
} from './iso-samples.ts';
import {NoFilm} from './no-film.ts';

export type ReadAt = (start: number, end: number) => Promise<Uint8Array>;

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

/** The body of the first box at the path; empty if there is none. */
function childOf(body: Buffer, ...path: readonly string[]): Buffer {
	let found = body;
	for (const type of path) {
		[found = Buffer.alloc(0)] = boxesIn(found, type);
	}

	return found;
}

/** The bodies of the boxes of a type (section 4.2). */
function* boxesIn(bytes: Buffer, wanted: string): Generator<Buffer, void, undefined> {
	for (let at = 0; at + 8 <= bytes.length;) {
		const {type, head, length} = boxAt(bytes.subarray(at, at + 16));
		if (length < head || at + length > bytes.length) {
			return;
		}

		if (type === wanted) {
			yield bytes.subarray(at + head, at + length);
		}

		at += length;
	}
}

function boxAt(bytes: Buffer): {type: string; head: number; length: number} {
	const short = bytes.readUInt32BE(0);
	const type = bytes.toString('latin1', 4, 8);
	return short === 1 && bytes.length >= 16
		? {type, head: 16, length: Number(bytes.readBigUInt64BE(8))}
		: {type, head: 8, length: short};
}

/**
 * The top-level boxes of the file. `head`: offset of the box; `start`: offset of its body. The last box may state the
 * size 0.
 */
async function* fileBoxes(
	readAt: ReadAt,
	from: number,
	size: number,
): AsyncGenerator<Range & {readonly type: string; readonly head: number}, void, undefined> {
	for (let at = from; at + 16 <= size;) {
		const {type, head, length: stated} = boxAt(bufferOf(await readAt(at, at + 16)));
		const length = stated === 0 ? size - at : stated;
		if (length < head || at + length > size) {
			return;
		}

		yield {type, head: at, start: at + head, end: at + length};
		at += length;
	}
}

function bufferOf({buffer, byteOffset, length}: Uint8Array): Buffer {
	return Buffer.from(buffer, byteOffset, length);
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

/** Maximum subtitles of one track. */
const maxSubtitles = 100_000;
/** Maximum ranges of other tracks in an index. */
const maxOpenings = 8;
/** Maximum bytes between two samples that form one range. */
const openingGap = 64 * 1024;

/**
 * The samples that a player reads before playback: all of a text track of chapters, and the first of each track of
 * chapter pictures, time codes or other data. Undefined if they are scattered.
 */
export function openingSamples(tracks: readonly IsoTrack[]): Range[] | undefined {
	const ranges: Range[] = [];
	const isPlayed = (track: IsoTrack) =>
		isSubtitle(track) || (!track.isChapters && ['vide', 'soun'].includes(track.handler));
	for (const {handler, samples} of tracks.filter(track => !isPlayed(track))) {
		const count = Math.min(samples?.count ?? 0, handler === 'text' ? Infinity : 1);
		for (let sample = 0; sample < count; sample++) {
			const {start, end} = placeOf(samples!, sample);
			const last = ranges.at(-1);
			if (last && start >= last.start && start - last.end <= openingGap) {
				ranges[ranges.length - 1] = {start: last.start, end: Math.max(last.end, end)};
			} else if (ranges.length === maxOpenings) {
				return undefined;
			} else {
				ranges.push({start, end});
			}
		}
	}

	return ranges;
}

/**
 * The subtitles outside the `steps`, the bytes from one time to the next. To start at a time, a player goes back to the
 * last subtitle before the key frame, whose decoding time precedes the time by up to `earlyMs`. Undefined for too many.
 */
export function subtitleAsides(
	subtitles: readonly IsoTrack[],
	times: readonly number[],
	steps: ReadonlyArray<readonly Range[]>,
	earlyMs: number,
): Aside[] | undefined {
	const asides: Aside[] = [];
	for (const {samples} of subtitles) {
		if (!samples || samples.count > maxSubtitles) {
			return undefined;
		}

		for (const [point, step] of steps.entries()) {
			const first = Math.max(0, lastAtMost(samples.times, times[point]! - earlyMs));
			for (let at = first; at < samples.count && samples.times[at]! < times[point + 1]!; at++) {
				const {start, end} = placeOf(samples, at);
				if (!step.some(range => range.start <= start && end <= range.end)) {
					asides.push({point, start, end, isLead: samples.times[at]! < times[point]!});
				}
			}
		}
	}

	return asides;
}

/** Maximum tracks whose distances are computed, pair by pair. */
const maxCompared = 16;
/** ffmpeg compares packets this many milliseconds apart, unless this many bytes lie between them. */
const compared = {ms: 1000, bytes: 2 ** 23};

/**
 * Maximum gap in bytes over which ffmpeg reads on rather than seek. Its buffer is twice the largest distance between
 * packets of two tracks a second apart. Past the end of the buffer it reads on over that distance, or the size of the
 * largest packet.
 */
export function readOverBytes(tracks: readonly IsoTrack[]): number {
	const lists = tracks.flatMap(({samples}) => (samples && samples.count > 0 ? [samples] : []));
	if (lists.length > maxCompared) {
		return 3 * compared.bytes;
	}

	const largest = lists.reduce((most, {sizes}) => sizes.reduce((a, b) => Math.max(a, b), most), 0);
	const distances = lists.flatMap(one => lists.map(other => (one === other ? 0 : distance(one, other))));
	const longest = Math.max(0, ...distances);
	return 2 * longest + Math.max(longest, largest);
}

function distance(one: IsoSamples, other: IsoSamples): number {
	let longest = 0;
	for (let at = 0, next = 0; at < one.count; at++) {
		while (next < other.count && other.times[next]! < one.times[at]! + compared.ms) {
			next++;
		}

		if (next === other.count) {
			break;
		}

		const bytes = Math.abs(one.starts[at]! - other.starts[next]!);
		longest = bytes < compared.bytes ? Math.max(longest, bytes) : longest;
	}

	return longest;
}
