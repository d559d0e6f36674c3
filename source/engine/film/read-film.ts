// Reads the film map out of a file's index. The only file that imports mediabunny.
import {
	ADTS,
	CustomSource,
	EncodedPacketSink,
	FLAC,
	Input,
	MATROSKA,
	MP3,
	MP4,
	MPEG_TS,
	OGG,
	QTFF,
	WAVE,
	UnsupportedInputFormatError,
	WEBM,
	type EncodedPacket,
	type InputFormat,
	type InputTrack,
	type PacketRetrievalOptions,
} from 'mediabunny';
import {RangeSet, type Range} from '../store/range-set.ts';
import {leastReadOver, linearMap, thinned, type FilmMap, type FilmTrack} from './film-map.ts';
import type {ReadBytes} from './film-thread.ts';
import {
	fragmentIndex,
	hasInflatedRuns,
	isoIndexOf,
	isSubtitle,
	openingSamples,
	readOverBytes,
	segmentsOf,
	subtitleAsides,
	type IsoIndex,
	type IsoTrack,
	type ReadAt,
	type Segments,
} from './iso-index.ts';
import {keyBefore, lastAtMost, placeOf as placeOfSample, type IsoSamples} from './iso-samples.ts';
import {clusterAsides, cuesWithSubtitles} from './matroska-cues.ts';
import {NoFilm} from './no-film.ts';
import {isChained} from './ogg-chain.ts';
import {bytesBetween} from './playable.ts';
import {programClock} from './program-clock.ts';

/** Maximum bytes and reads for one map. */
const limits = {bytes: 64 * 1024 * 1024, reads: 64};
/**
 * Maximum reads of the parser, and bytes as a multiple of those read from the file: beyond, it repeats itself
 * endlessly.
 */
const taken = {reads: 16_384, times: 4, least: 1024 * 1024};
/** Bytes that players read at the start of a file before they seek. */
const openingBytes = 256 * 1024;
/** Bytes of one request: it covers many small reads of the parser. */
const chunkBytes = 64 * 1024;
/** The last bytes of a file may state the length of the index before them: one request brings both. */
const lastWord = {bytes: 4, request: 256 * 1024};
const maxPoints = 512;
const maxTracks = 8;
/** Precision, in milliseconds, of the time of a point that the index does not state. */
const precisionMs = 250;
/** Milliseconds by which the bytes of further tracks begin earlier: decoders need the sound before a key frame. */
const preRollMs = 250;

/** Thrown for a read past the index. Its range is the place of a packet. */
class Refused extends Error {
	readonly start: number;
	readonly end: number;

	constructor(start: number, end: number) {
		super('The packet is not read');
		this.start = start;
		this.end = end;
	}
}

/** Serves the parser until `refuse` is called; from then on, only bytes that were read before. */
class IndexSource extends CustomSource {
	readonly #size: number;
	readonly #read: ReadBytes;
	readonly #chunks: Array<{start: number; bytes: Uint8Array}> = [];
	readonly index = new RangeSet();
	#bytes = 0;
	#reads = 0;
	/** Reads of the parser. */
	readonly #taken = {bytes: 0, reads: 0};
	#refuses = false;
	/** Serializes reads: a later one may need the same chunk. */
	#turn: Promise<unknown> = Promise.resolve();

	constructor(size: number, read: ReadBytes) {
		super({getSize: () => size, read: (start, end) => this.at(start, end)});
		this.#size = size;
		this.#read = read;
	}

	refuse(): void {
		this.#refuses = true;
	}

	/** Overrides `Source`, which merges reads: a merged read does not reveal the place of a packet. */
	_getFileSize(): number {
		return this.#size;
	}

	/** As `_getFileSize`. */
	async _read(
		start: number,
		end: number,
	): Promise<{bytes: Uint8Array<ArrayBuffer>; view: DataView; offset: number}> {
		if (!(start >= 0 && start < end && end <= this.#size)) {
			throw new NoFilm('past-end', 'a packet lies past the end of the file');
		}

		if (this.#refuses && !this.index.covers({start, end})) {
			throw new Refused(start, end);
		}

		this.index.add({start, end});
		const {buffer, byteOffset, length} = await this.at(start, end);
		const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, length);
		this.#take(length);
		if (hasInflatedRuns(bytes)) {
			throw new NoFilm('damaged', 'a fragment claims more samples than it lists');
		}

		return {bytes, view: new DataView(bytes.buffer, byteOffset, length), offset: start};
	}

	#take(bytes: number): void {
		this.#taken.bytes += bytes;
		this.#taken.reads++;
		if (
			this.#taken.reads > taken.reads ||
			this.#taken.bytes > Math.max(taken.least, taken.times * this.#bytes)
		) {
			throw new NoFilm('damaged', 'its parser does not end');
		}
	}

	/** Reads a range without adding it to the index. */
	readonly at: ReadAt = (start, end) => {
		const turn = this.#turn.then(() => this.#chunkAt(start, end));
		this.#turn = turn.catch(() => undefined);
		return turn;
	};

	async #chunkAt(start: number, end: number): Promise<Uint8Array> {
		let chunk = this.#chunks.find(each => each.start <= start && end <= each.start + each.bytes.length);
		if (!chunk) {
			if (++this.#reads > limits.reads) {
				throw new NoFilm('scattered', 'its index lies in too many places');
			}

			if (this.#bytes + (end - start) > limits.bytes) {
				throw new NoFilm('too-large', 'its index is too large');
			}

			const isLastWord = end === this.#size && end - start <= lastWord.bytes;
			const from = isLastWord ? Math.max(0, end - lastWord.request) : start;
			const maxEnd = Math.min(this.#size, Math.max(end, from + chunkBytes));
			chunk = {start: from, bytes: await this.#read(from, end, maxEnd)};
			this.#bytes += chunk.bytes.length;
			this.#chunks.push(chunk);
		}

		return chunk.bytes.subarray(start - chunk.start, end - chunk.start);
	}
}

/** A file whose tracks are known. */
type Media = {
	readonly input: Input;
	readonly format: InputFormat;
	readonly source: IndexSource;
	readonly size: number;
	readonly tracks: readonly InputTrack[];
	readonly described: ReadonlyArray<Omit<FilmTrack, 'offsets'>>;
	/** The first video, else the first audio. */
	readonly main: InputTrack;
};

/** Rejects with `NoFilm`, the error of `read`, or that of the parser. Reads nothing past the index. */
export async function readFilm(size: number, read: ReadBytes): Promise<FilmMap> {
	const source = new IndexSource(size, read);
	const formats: InputFormat[] = [MP4, QTFF, MATROSKA, WEBM, WAVE, OGG, FLAC, MP3, ADTS, MPEG_TS];
	const input = new Input({source, formats});
	try {
		const format = await formatOf(input);
		const iso = format === MP4 || format === QTFF ? await isoIndexOf(source.at, size) : undefined;
		const all = await input.getTracks();
		const tracks = all
			.filter(({type, id}) => (type === 'video' || type === 'audio') && !iso?.chapterIds.has(id))
			.slice(0, maxTracks);
		const described = await Promise.all(tracks.map(track => describe(track)));
		const main =
			tracks[
				Math.max(
					0,
					described.findIndex(({kind}) => kind === 'video'),
				)
			];
		if (!main) {
			throw new NoFilm('no-tracks', 'it has no video and no audio');
		}

		const media = {input, format, source, size, tracks, described, main};
		return await (iso?.isFragmented
			? readFragments(media, iso)
			: iso
				? readSamples(media, iso)
				: format === MATROSKA || format === WEBM
					? readClusters(media)
					: readSound(media));
	} finally {
		input.dispose();
	}
}

/** An ISO file that lists all samples. Its tables are expanded here: the parser would make an object of each sample. */
async function readSamples(media: Media, iso: IsoIndex): Promise<FilmMap> {
	const {source, size, tracks, main} = media;
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
	const index = new RangeSet([...joined([...source.index], size), ...iso.heads, ...(openings ?? [])]);
	return mapOf(media, {durationMs, exact, times, index: [...index], asides: asides ?? [], readOver}, offsets);
}

/** Duration in milliseconds: as stated, else up to the last sample. */
function samplesDuration(listed: ReadonlyArray<IsoTrack | undefined>, main: IsoSamples | undefined): number {
	const ends = listed.flatMap(track =>
		track && track.lengthMs > 0 ? [(track.samples?.shown[0] ?? 0) + track.lengthMs] : [],
	);
	return checkedMs(Math.max(...(ends.length > 0 ? ends : [main?.times.at(-1) ?? Number.NaN])) / 1000);
}

/** At most `maxPoints` key frames, evenly spread. Throws `past-end`. */
function sampleKeys(samples: IsoSamples, durationMs: number, size: number): Key[] {
	const keys: Key[] = [];
	for (let step = 0; step < maxPoints; step++) {
		const key = keyBefore(samples, Math.floor((durationMs * step) / maxPoints));
		const ms = Math.max(0, Math.ceil(samples.shown[key]!));
		const start = startWithin(samples, key, size);
		const previous = keys.at(-1);
		if (!previous || (start > previous.start && ms > previous.ms && ms < durationMs)) {
			keys.push({ms, start, isPacket: true});
		}
	}

	return keys;
}

/** Offsets of the samples that decoders need for the keys. Throws `past-end`. */
function samplesBefore(samples: IsoSamples | undefined, keys: readonly Key[], size: number): number[] {
	return keys.map(({ms, start}) => {
		const sample = samples ? lastAtMost(samples.times, Math.max(0, ms - preRollMs)) : -1;
		return sample === -1 ? start : startWithin(samples!, sample, size);
	});
}

function startWithin(samples: IsoSamples, sample: number, size: number): number {
	const {start, end} = placeOfSample(samples, sample);
	if (end > size) {
		throw new NoFilm('past-end', 'a packet lies past the end of the file');
	}

	return start;
}

/**
 * True if edits omit media. Where the first edit of a track cuts off a start, players seek back too far, by twice its
 * length (ISO/IEC 14496-12 section 8.6.6).
 */
function isEdited(listed: ReadonlyArray<IsoTrack | undefined>, all: readonly IsoTrack[]): boolean {
	const starts = listed.map(track => track?.samples?.shown[0] ?? 0);
	return all.some(({editCount}) => editCount > 1) || starts.some(ms => ms < -preRollMs);
}

/**
 * A fragmented ISO file. Without a leading list of all fragments, players walk from one to the next: a stretch in the
 * middle cannot be found alone.
 */
async function readFragments(media: Media, {tracks}: IsoIndex): Promise<FilmMap> {
	const {source, size} = media;
	const segments = await segmentsOf(source.at, size);
	if (segments) {
		const isPlain = tracks.every(
			track => track.editCount <= 1 && Math.abs(track.shiftMs) <= preRollMs && !isSubtitle(track),
		);
		return segmentMap(media, segments, isPlain);
	}

	const index = joined([...source.index], size);
	if (!(await fragmentIndex(source.at, size))) {
		const stated = await media.input.getDurationFromMetadata();
		return estimate(media, checkedMs(stated ?? Number.NaN), index.slice(0, 1));
	}

	// The last fragment states the duration, but is no part of the index.
	const durationMs = await durationOf(media);
	source.refuse();
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
	const {size, tracks} = media;
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
	const {source, size, tracks, main} = media;
	const durationMs = await durationOf(media);
	source.refuse();
	const index = joined([...source.index], size);
	const points = await pointsOf(media, durationMs);
	if (!points) {
		return estimate(media, durationMs, index);
	}

	const {times, offsets} = points;
	const asides = clusterAsides(
		await cuesWithSubtitles(source.at, size),
		times,
		offsets[tracks.indexOf(main)]!,
	);
	return mapOf(media, {durationMs, exact: true, times, index, asides, readOver: leastReadOver}, offsets);
}

/** Other formats. Only WAVE reveals the places of packets. */
async function readSound(media: Media): Promise<FilmMap> {
	const {source, size, format} = media;
	const durationMs = await durationOf(media);
	source.refuse();
	const index = joined([...source.index], size);
	const points = format === WAVE ? await pointsOf(media, durationMs) : undefined;
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
async function estimate(
	{source, main, described, size}: Media,
	durationMs: number,
	index: readonly Range[],
): Promise<FilmMap> {
	source.refuse();
	const first = await placeOf(async () => new EncodedPacketSink(main).getFirstPacket());
	return linearMap({durationMs, exact: false, index}, described, {start: first?.start ?? 0, end: size});
}

async function formatOf(input: Input): Promise<InputFormat> {
	try {
		return await input.getFormat();
	} catch (error) {
		throw error instanceof UnsupportedInputFormatError ? new NoFilm(undefined, error.message) : error;
	}
}

async function describe(track: InputTrack): Promise<Omit<FilmTrack, 'offsets'>> {
	const language = await track.getLanguageCode();
	const codec = (await track.getCodec()) ?? null;
	const picture = track.isVideoTrack() ? track : undefined;
	return {
		kind: picture ? 'video' : 'audio',
		codec,
		language: language === 'und' ? null : language,
		width: (await picture?.getDisplayWidth()) ?? null,
		height: (await picture?.getDisplayHeight()) ?? null,
	};
}

/** Resolves with the duration in milliseconds. Rejects with `no-duration`. */
async function durationOf(media: Media): Promise<number> {
	const {input, format, main, source, size} = media;
	const stated = await input.getDurationFromMetadata();
	if (stated !== null) {
		return checkedMs(stated);
	}

	if (format === MPEG_TS) {
		const part = Math.min(size, 4 * chunkBytes);
		return checkedMs(programClock(await source.at(0, part), await source.at(size - part, size)));
	}

	if (format === ADTS || (format === OGG && (await isChain(source, size)))) {
		return checkedMs(await durationByRate(main, size));
	}

	const isUnstated = format === MATROSKA || format === WEBM;
	return checkedMs(isUnstated ? Number.NaN : await main.computeDuration());
}

/** Whole milliseconds. Throws `no-duration`. */
function checkedMs(seconds: number): number {
	const ms = Math.floor(seconds * 1000);
	if (!(ms > 0) || !Number.isSafeInteger(ms)) {
		throw new NoFilm('no-duration', 'it does not state the duration');
	}

	return ms;
}

async function isChain(source: IndexSource, size: number): Promise<boolean> {
	const part = Math.min(size, chunkBytes);
	return isChained(await source.at(0, part), await source.at(size - part, size));
}

/** Estimates the duration of sound without an index, in seconds, by its first packets. */
async function durationByRate(track: InputTrack, size: number): Promise<number> {
	const sink = new EncodedPacketSink(track);
	let packet = await sink.getFirstPacket();
	let bytes = 0;
	let seconds = 0;
	for (let count = 0; packet && count < 100; count++) {
		bytes += packet.byteLength;
		seconds += packet.duration;
		packet = await sink.getNextPacket(packet);
	}

	return (seconds * size) / bytes;
}

type Points = {
	readonly times: number[];
	readonly offsets: number[][];
	/** Players read exactly the ranges between points. */
	readonly areRead: boolean;
};

/** Resolves with undefined if the index does not reveal the places of packets. */
async function pointsOf({tracks, main, size}: Media, durationMs: number): Promise<Points | undefined> {
	const keys = await keyTimes(main, durationMs);
	// If one place holds the packets of all tracks, playback starts at that of the main track.
	const isShared = !keys?.[0]?.isPacket;
	if (!keys || (keys.length < 2 && isShared)) {
		return undefined;
	}

	const lists: number[][] = [];
	for (const track of tracks) {
		lists.push(isShared || track === main ? placesOf(keys) : await placesBefore(track, keys));
	}

	return pointsAt(keys, lists, durationMs, size);
}

function placesOf(keys: readonly Key[]): number[] {
	return keys.map(({start}) => start);
}

/** `lists`: the offsets of each track for the keys. Undefined if they do not ascend. */
function pointsAt(
	keys: readonly Key[],
	lists: ReadonlyArray<readonly number[]>,
	durationMs: number,
	size: number,
	readOver = leastReadOver,
): Points | undefined {
	const offsets = lists.map(places => [...places, size]);
	if (offsets.some(places => places.some((place, at) => at > 0 && place < places[at - 1]!))) {
		return undefined;
	}

	// Players seek back to the last packet before a pause, which lies in no range.
	const isPaused = offsets.some(places => places.some((place, at) => at > 0 && place === places[at - 1]));
	// The farther apart the tracks are, the longer the gaps over which players read on.
	const areInterleaved = keys.every((_, point) => bytesBetween(offsets, point, readOver).length === 1);
	const times = [0, ...keys.slice(1).map(({ms}) => ms), durationMs];
	return {times, offsets, areRead: areInterleaved && !isPaused};
}

/** Offsets of the packets that decoders need for the keys. */
async function placesBefore(track: InputTrack, keys: readonly Key[]): Promise<number[]> {
	const sink = new EncodedPacketSink(track);
	const places: number[] = [];
	for (const {ms, start} of keys) {
		const before = Math.max(0, ms - preRollMs) / 1000;
		const place = await placeOf(async () => inFile(async options => sink.getPacket(before, options)));
		places.push(place?.start ?? start);
	}

	return places;
}

type Key = {readonly ms: number; readonly start: number; readonly isPacket: boolean};

/** At most `maxPoints` key frames, evenly spread. */
async function keyTimes(track: InputTrack, durationMs: number): Promise<Key[] | undefined> {
	const sink = new EncodedPacketSink(track);
	const keyAt = async (ms: number) =>
		placeOf(
			async () =>
				(await inFile(async options => sink.getKeyPacket(ms / 1000, options))) ?? sink.getFirstKeyPacket(),
		);
	const keys: Key[] = [];
	for (let step = 0; step < maxPoints; step++) {
		const ms = Math.floor((durationMs * step) / maxPoints);
		const place = await keyAt(ms);
		const previous = keys.at(-1);
		if (!place) {
			return undefined;
		}

		if (previous && place.start <= previous.start) {
			continue;
		}

		const time = await timeOf(sink, ms);
		const found = time ?? (await firstTimeOf(place.start, previous?.ms ?? 0, ms, keyAt));
		if (!previous || (found > previous.ms && found < durationMs)) {
			keys.push({ms: found, start: place.start, isPacket: time !== undefined});
		}
	}

	return keys;
}

/** Milliseconds of the key frame at or before `ms`, rounded up; undefined if only its packet states them. */
async function timeOf(sink: EncodedPacketSink, ms: number): Promise<number | undefined> {
	try {
		const packet = await sink.getKeyPacket(ms / 1000, {metadataOnly: true});
		return packet ? Math.max(0, Math.ceil(packet.timestamp * 1000)) : 0;
	} catch (error) {
		if (error instanceof Refused) {
			return undefined;
		}

		throw error;
	}
}

/** The first time in `(from, to]` whose key frame lies at `start`, to `precisionMs`. */
async function firstTimeOf(
	start: number,
	from: number,
	to: number,
	keyAt: (ms: number) => Promise<Refused | undefined>,
): Promise<number> {
	let before = from;
	let after = to;
	while (after - before > precisionMs) {
		const middle = Math.floor((before + after) / 2);
		if ((await keyAt(middle))?.start === start) {
			after = middle;
		} else {
			before = middle;
		}
	}

	return after;
}

/** Rejects with `past-end` if the index names a packet beyond the end of the file. */
async function inFile(
	find: (options?: PacketRetrievalOptions) => Promise<EncodedPacket | null>,
): Promise<EncodedPacket | null> {
	const packet = await find();
	if (!packet && (await find({metadataOnly: true}))) {
		throw new NoFilm('past-end', 'a packet lies past the end of the file');
	}

	return packet;
}

/** Place of the packet that `find` tries to read; undefined if there is none. */
async function placeOf(find: () => Promise<EncodedPacket | null>): Promise<Refused | undefined> {
	try {
		await find();
		return undefined;
	} catch (error) {
		if (error instanceof Refused) {
			return error;
		}

		throw error;
	}
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
