// What the parser does not tell of an ISO file (ISO/IEC 14496-12): its edits, subtitles, chapters and segments.
import type {Range} from '../store/range-set.ts';
import type {Aside} from './film-map.ts';

export type ReadAt = (start: number, end: number) => Promise<Uint8Array>;

type Box = {readonly type: string; readonly body: Buffer};

export type IsoSample = Range & {
	/** Milliseconds. */
	readonly ms: number;
};

export type IsoTrack = {
	/** Such as `vide`, `soun` or `sbtl`. */
	readonly handler: string;
	/** Edits that show media. */
	readonly editCount: number;
	/** Milliseconds by which the first edit moves the media; negative if it cuts off their start. */
	readonly shiftMs: number;
	readonly isChapters: boolean;
	/** In order of time; undefined if their tables are missing. */
	readonly samples: Iterable<IsoSample> | undefined;
};

export type IsoIndex = {
	readonly tracks: readonly IsoTrack[];
	/** The tracks that hold the chapters of others. */
	readonly chapterIds: ReadonlySet<number>;
	/** The samples lie in fragments (`moof` boxes). */
	readonly isFragmented: boolean;
};

/** The `moov` box. Throws for one that ends within a table. */
export async function isoIndexOf(readAt: ReadAt, size: number): Promise<IsoIndex> {
	for await (const {type, start, end} of fileBoxes(readAt, 0, size)) {
		if (type === 'moov') {
			const moov = bufferOf(await readAt(start, end));
			const scale = timescaleOf(childOf(moov, 'mvhd'));
			const boxes = [...boxesIn(moov)];
			const tracks = boxes.filter(({type}) => type === 'trak').map(({body}) => body);
			const chapterIds = new Set(tracks.flatMap(chaptersOf));
			return {
				tracks: tracks.map(track => trackOf(track, scale, chapterIds)),
				chapterIds,
				isFragmented: boxes.some(({type}) => type === 'mvex'),
			};
		}
	}

	return {tracks: [], chapterIds: new Set(), isFragmented: false};
}

export function isSubtitle({handler, isChapters}: IsoTrack): boolean {
	return !isChapters && ['sbtl', 'subt', 'subp', 'clcp', 'text'].includes(handler);
}

/** The IDs of the tracks with the chapters of this one. */
function chaptersOf(track: Buffer): number[] {
	const chapters = childOf(track, 'tref', 'chap');
	return Array.from({length: chapters.length >> 2}, (_, at) => chapters.readUInt32BE(4 * at));
}

function trackOf(track: Buffer, movieScale: number, chapterIds: ReadonlySet<number>): IsoTrack {
	const media = childOf(track, 'mdia');
	const scale = timescaleOf(childOf(media, 'mdhd'));
	const head = childOf(track, 'tkhd');
	const edits = editsOf(childOf(track, 'edts', 'elst'));
	const shown = edits.findIndex(({time}) => time !== -1);
	const pause = edits.slice(0, Math.max(0, shown)).reduce((sum, {length}) => sum + length, 0);
	const shiftMs = shown === -1 ? 0 : (pause * 1000) / movieScale - (edits[shown]!.time * 1000) / scale;
	return {
		handler: childOf(media, 'hdlr').toString('latin1', 8, 12),
		editCount: edits.filter(({time}) => time !== -1).length,
		shiftMs,
		isChapters: head.length > 0 && chapterIds.has(head.readUInt32BE(head[0] === 1 ? 20 : 12)),
		samples: samplesOf(childOf(media, 'minf', 'stbl'), scale, shiftMs),
	};
}

/** Units per second, of `mvhd` or `mdhd`. */
function timescaleOf(head: Buffer): number {
	return head.length === 0 ? 1 : head.readUInt32BE(head[0] === 1 ? 20 : 12);
}

/** Section 8.6.6. `length` in units of the movie, `time` in those of the media; -1 shows nothing. */
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

/** Section 8.6.1.2, 8.7.3 to 8.7.5. */
function samplesOf(table: Buffer, scale: number, shiftMs: number): Iterable<IsoSample> | undefined {
	const [times, sizes, chunks] = [childOf(table, 'stts'), childOf(table, 'stsz'), childOf(table, 'stsc')];
	const [short, long] = [childOf(table, 'stco'), childOf(table, 'co64')];
	if ([times, sizes, chunks].some(({length}) => length < 8) || short.length + long.length < 8) {
		return undefined;
	}

	const [offsets, width] = long.length > 0 ? [long, 8] : [short, 4];
	const size = (sample: number) => sizes.readUInt32BE(4) || sizes.readUInt32BE(12 + 4 * sample);
	return {
		*[Symbol.iterator]() {
			const count = sizes.readUInt32BE(8);
			const durations = runs(times);
			let [sample, time] = [0, 0];
			for (let chunk = 0, entry = 0; sample < count && 8 + width * chunk < offsets.length; chunk++) {
				while (20 + 12 * entry < chunks.length && chunks.readUInt32BE(20 + 12 * entry) <= chunk + 1) {
					entry++;
				}

				const place = 8 + width * chunk;
				let start = width === 8 ? Number(offsets.readBigUInt64BE(place)) : offsets.readUInt32BE(place);
				const end = Math.min(count, sample + chunks.readUInt32BE(12 + 12 * entry));
				for (; sample < end; sample++) {
					const length = size(sample);
					yield {start, end: start + length, ms: (time * 1000) / scale + shiftMs};
					start += length;
					time += durations.next().value ?? 0;
				}
			}
		},
	};
}

/** The values of a table of run lengths. */
function* runs(table: Buffer): Generator<number, undefined, undefined> {
	for (let at = 8; at + 8 <= table.length; at += 8) {
		for (let left = table.readUInt32BE(at); left > 0; left--) {
			yield table.readUInt32BE(at + 4);
		}
	}
}

/** The body of the first such box; empty if there is none. */
function childOf(body: Buffer, ...path: readonly string[]): Buffer {
	let found = body;
	for (const type of path) {
		found = boxesIn(found).find(box => box.type === type)?.body ?? Buffer.alloc(0);
	}

	return found;
}

/** Section 4.2. */
function boxesIn(bytes: Buffer): Box[] {
	const boxes: Box[] = [];
	for (let at = 0; at + 8 <= bytes.length;) {
		const {type, head, length} = boxAt(bytes.subarray(at));
		if (length < head || at + length > bytes.length) {
			break;
		}

		boxes.push({type, body: bytes.subarray(at + head, at + length)});
		at += length;
	}

	return boxes;
}

function boxAt(bytes: Buffer): {type: string; head: number; length: number} {
	const short = bytes.readUInt32BE(0);
	const type = bytes.toString('latin1', 4, 8);
	return short === 1 && bytes.length >= 16
		? {type, head: 16, length: Number(bytes.readBigUInt64BE(8))}
		: {type, head: 8, length: short};
}

/** The boxes of the file itself, without their heads. */
async function* fileBoxes(
	readAt: ReadAt,
	from: number,
	size: number,
): AsyncGenerator<Range & {readonly type: string}, void, undefined> {
	for (let at = from; at + 16 <= size;) {
		const {type, head, length} = boxAt(bufferOf(await readAt(at, at + 16)));
		if (length < head || at + length > size) {
			return;
		}

		yield {type, start: at + head, end: at + length};
		at += length;
	}
}

function bufferOf({buffer, byteOffset, length}: Uint8Array): Buffer {
	return Buffer.from(buffer, byteOffset, length);
}

/** Where segments begin with a key frame, and in the last place where they end. */
export type Segments = {
	/** Milliseconds from the first one. */
	readonly times: readonly number[];
	readonly offsets: readonly number[];
	readonly trackId: number;
	/** What players read of the file before its segments, and after. */
	readonly index: readonly Range[];
};

/**
 * The segments of a file whose first sidx box lists all of them itself (section 8.16.3): players follow no other one.
 * Undefined for other files.
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

/** Undefined for a list of other lists, or one without a start at a key frame. */
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

/** The `mfra` box that ends a file; undefined if there is none (section 8.8.9 to 8.8.11). */
export async function fragmentIndex(readAt: ReadAt, size: number): Promise<Range | undefined> {
	const start = size - bufferOf(await readAt(size - 4, size)).readUInt32BE();
	if (start < 0 || start + 16 > size) {
		return undefined;
	}

	const {type, length} = boxAt(bufferOf(await readAt(start, start + 16)));
	return type === 'mfra' && start + length === size ? {start, end: size} : undefined;
}

/** Of one film. */
const maxSubtitles = 100_000;
/** Ranges of other tracks in an index. */
const maxOpenings = 8;
/** Bytes between two samples that are one range. */
const openingGap = 64 * 1024;

/**
 * The samples that a player reads before it plays: all of a text track of chapters, and the first one of pictures of
 * chapters, of time codes and of other data. Undefined if they are scattered.
 */
export function openingSamples(tracks: readonly IsoTrack[]): Range[] | undefined {
	const ranges: Range[] = [];
	const isPlayed = (track: IsoTrack) =>
		isSubtitle(track) || (!track.isChapters && ['vide', 'soun'].includes(track.handler));
	for (const {handler, samples = []} of tracks.filter(track => !isPlayed(track))) {
		for (const {start, end} of samples) {
			const last = ranges.at(-1);
			if (last && start >= last.start && start - last.end <= openingGap) {
				ranges[ranges.length - 1] = {start: last.start, end: Math.max(last.end, end)};
			} else if (ranges.length === maxOpenings) {
				return undefined;
			} else {
				ranges.push({start, end});
			}

			if (handler !== 'text') {
				break;
			}
		}
	}

	return ranges;
}

/**
 * The subtitles outside the `steps`, the bytes from one time to the next. A player that starts goes back to the last
 * subtitle before the key frame, which has a decoding time of up to `earlyMs` before its own. Undefined for too many.
 */
export function subtitleAsides(
	subtitles: readonly IsoTrack[],
	times: readonly number[],
	steps: ReadonlyArray<readonly Range[]>,
	earlyMs: number,
): Aside[] | undefined {
	const asides: Aside[] = [];
	for (const track of subtitles) {
		const samples = firstOf(track.samples, maxSubtitles);
		if (!samples) {
			return undefined;
		}

		let first = 0;
		for (const [point, step] of steps.entries()) {
			while (samples[first + 1] && samples[first + 1]!.ms <= times[point]! - earlyMs) {
				first++;
			}

			for (let at = first; at < samples.length && samples[at]!.ms < times[point + 1]!; at++) {
				const {start, end, ms} = samples[at]!;
				if (!step.some(range => range.start <= start && end <= range.end)) {
					asides.push({point, start, end, isLead: ms < times[point]!});
				}
			}
		}
	}

	return asides;
}

/** Samples of all tracks. */
const maxCompared = 2_000_000;
/** ffmpeg compares packets so many milliseconds apart, unless so many bytes lie between them. */
const compared = {ms: 1000, bytes: 2 ** 23};

/**
 * Bytes that ffmpeg reads over rather than seek. It makes its buffer twice as large as the largest distance between packets
 * of two tracks a second apart, and reads on over that distance, or that of its largest packet, past the end of the buffer.
 */
export function readOverBytes(tracks: readonly IsoTrack[]): number {
	const lists: number[][] = [];
	let left = maxCompared;
	let largest = 0;
	for (const {samples = []} of tracks) {
		const places: number[] = [];
		for (const {start, end, ms} of samples) {
			if (left-- === 0) {
				return 3 * compared.bytes;
			}

			places.push(ms, start);
			largest = Math.max(largest, end - start);
		}

		lists.push(places);
	}

	const distances = lists.flatMap(one => lists.map(other => (one === other ? 0 : distance(one, other))));
	const longest = Math.max(0, ...distances);
	return 2 * longest + Math.max(longest, largest);
}

/** Of lists of times and places in turns. */
function distance(one: readonly number[], other: readonly number[]): number {
	let longest = 0;
	for (let at = 0, next = 0; at < one.length; at += 2) {
		while (next < other.length && other[next]! < one[at]! + compared.ms) {
			next += 2;
		}

		const bytes = next < other.length ? Math.abs(one[at + 1]! - other[next + 1]!) : 0;
		longest = bytes < compared.bytes ? Math.max(longest, bytes) : longest;
	}

	return longest;
}

/** Undefined for more than `most`. */
function firstOf<T>(items: Iterable<T> | undefined, most: number): T[] | undefined {
	const taken: T[] = [];
	for (const item of items ?? []) {
		if (taken.push(item) > most) {
			return undefined;
		}
	}

	return items && taken;
}
