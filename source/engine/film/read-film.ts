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
import {linearMap, type FilmMap, type FilmTrack} from './film-map.ts';
import type {ReadBytes} from './film-thread.ts';
import {NoFilm} from './no-film.ts';
import {isChained} from './ogg-chain.ts';
import {bytesBetween} from './playable.ts';
import {programClock} from './program-clock.ts';

/** Bytes and reads of one reading. */
const limits = {bytes: 64 * 1024 * 1024, reads: 64};
/** What players read at the start of a file before they seek in it. */
const openingBytes = 256 * 1024;
/** The bytes of one request, for the many small reads of a parser. */
const chunkBytes = 64 * 1024;
const maxPoints = 512;
const maxTracks = 8;
/** Milliseconds: how exactly the time of a point is found where the index does not give it. */
const precisionMs = 250;
/** Milliseconds by which the bytes of further tracks begin earlier: decoders need the sound before a key frame. */
const preRollMs = 250;

/** A read past the index: its place is that of a packet. */
class Refused extends Error {
	readonly start: number;
	readonly end: number;

	constructor(start: number, end: number) {
		super('The packet is not read');
		this.start = start;
		this.end = end;
	}
}

/** Serves the parser until `refuse` is called; from then on it only serves what has been read before. */
class IndexSource extends CustomSource {
	readonly #size: number;
	readonly #read: ReadBytes;
	readonly #chunks: Array<{start: number; bytes: Uint8Array}> = [];
	readonly index = new RangeSet();
	#bytes = 0;
	#reads = 0;
	#refuses = false;
	/** Reads wait for each other: a later one may need the same chunk. */
	#turn: Promise<unknown> = Promise.resolve();

	constructor(size: number, read: ReadBytes) {
		super({getSize: () => size, read: (start, end) => this.bytesAt(start, end)});
		this.#size = size;
		this.#read = read;
	}

	refuse(): void {
		this.#refuses = true;
	}

	/** Replaces that of `Source`, whose reads are merged: a merged read does not tell the place of a packet. */
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
		const bytes = new Uint8Array(await this.bytesAt(start, end));
		return {bytes, view: new DataView(bytes.buffer), offset: start};
	}

	bytesAt(start: number, end: number): Promise<Uint8Array> {
		const turn = this.#turn.then(() => this.#chunkAt(start, end));
		this.#turn = turn.catch(() => undefined);
		return turn;
	}

	async #chunkAt(start: number, end: number): Promise<Uint8Array> {
		let chunk = this.#chunks.find(each => each.start <= start && end <= each.start + each.bytes.length);
		if (!chunk) {
			if (++this.#reads > limits.reads || this.#bytes + (end - start) > limits.bytes) {
				throw new NoFilm('too-large', 'it is too large');
			}

			const maxEnd = Math.min(this.#size, Math.max(end, start + chunkBytes));
			chunk = {start, bytes: await this.#read(start, end, maxEnd)};
			this.#bytes += chunk.bytes.length;
			this.#chunks.push(chunk);
		}

		return chunk.bytes.subarray(start - chunk.start, end - chunk.start);
	}
}

/** Rejects with `NoFilm`, the error of `read`, or that of the parser. Reads nothing past the index. */
export async function readFilm(size: number, read: ReadBytes): Promise<FilmMap> {
	const source = new IndexSource(size, read);
	const formats: InputFormat[] = [MP4, QTFF, MATROSKA, WEBM, WAVE, OGG, FLAC, MP3, ADTS, MPEG_TS];
	const input = new Input({source, formats});
	try {
		const format = await formatOf(input);
		const all = await input.getTracks();
		const tracks = all.filter(track => track.type === 'video' || track.type === 'audio').slice(0, maxTracks);
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

		// The last fragment tells the duration, but is no part of the index.
		const isIso = format === MP4 || format === QTFF;
		const fragmentIndex = isIso ? [...source.index] : undefined;
		const durationMs = Math.floor((await durationOf(input, format, main, source, size)) * 1000);
		if (!(durationMs > 0) || !Number.isSafeInteger(durationMs)) {
			throw new NoFilm('no-duration', 'it does not state the duration');
		}

		source.refuse();
		const index = joined(fragmentIndex ?? [...source.index], size);
		const hasIndex = [MP4, QTFF, MATROSKA, WEBM, WAVE].includes(format);
		const points = hasIndex ? await pointsOf(tracks, main, durationMs, size, isIso) : undefined;
		if (points) {
			// Without a segment index a player walks from fragment to fragment: no stretch in the middle can be found alone.
			const exact =
				!isIso ||
				(!(await isBeyondMap(source, {start: 0, end: size})) &&
					(points.isShared ? await hasSegmentIndex(source, size) : points.areRead && !(await isCut(tracks))));
			const map = {durationMs, exact, times: points.times, index};
			return {...map, tracks: described.map((track, at) => ({...track, offsets: points.offsets[at]!}))};
		}

		const start = (await placeOf(async () => new EncodedPacketSink(main).getFirstPacket()))?.start ?? 0;
		return linearMap({durationMs, exact: false, index}, described, {start, end: size});
	} finally {
		input.dispose();
	}
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

/** Seconds. */
async function durationOf(
	input: Input,
	format: InputFormat,
	main: InputTrack,
	source: IndexSource,
	size: number,
): Promise<number> {
	const stated = await input.getDurationFromMetadata();
	if (stated !== null) {
		return stated;
	}

	if (format === MPEG_TS) {
		const part = Math.min(size, 4 * chunkBytes);
		return programClock(await source.bytesAt(0, part), await source.bytesAt(size - part, size));
	}

	if (format === ADTS || (format === OGG && (await isChain(source, size)))) {
		return durationByRate(main, size);
	}

	if (format === MATROSKA || format === WEBM) {
		throw new NoFilm('no-duration', 'it does not state the duration');
	}

	return main.computeDuration();
}

async function isChain(source: IndexSource, size: number): Promise<boolean> {
	const part = Math.min(size, chunkBytes);
	return isChained(await source.bytesAt(0, part), await source.bytesAt(size - part, size));
}

/** Of sound without an index, by the first packets. */
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
	/** One place holds the packets of all tracks. */
	readonly isShared: boolean;
	/** The ranges between points are those that players read. */
	readonly areRead: boolean;
};

type Box = Range & {readonly type: string};

/** The boxes of an ISO file in a range (ISO/IEC 14496-12 section 4.2), without their heads. */
async function* boxesIn(source: IndexSource, {start, end}: Range): AsyncGenerator<Box, void, undefined> {
	for (let at = start; at + 16 <= end;) {
		const head = Buffer.from(await source.bytesAt(at, at + 16));
		const [short, type] = [head.readUInt32BE(0), head.toString('latin1', 4, 8)];
		const length = short === 1 ? Number(head.readBigUInt64BE(8)) : short;
		const next = at + length;
		if (length < 8 || next > end) {
			return;
		}

		yield {type, start: at + (short === 1 ? 16 : 8), end: next};
		at = next;
	}
}

/**
 * Whether a sidx box precedes the first fragment and lists all of them itself (ISO/IEC 14496-12 section 8.16.3): players
 * follow no other.
 */
async function hasSegmentIndex(source: IndexSource, size: number): Promise<boolean> {
	for await (const {type, start, end} of boxesIn(source, {start: 0, end: size})) {
		if (type === 'sidx') {
			const bytes = Buffer.from(await source.bytesAt(start, end));
			const isLong = bytes[0] === 1;
			const references = isLong ? 32 : 24;
			let listed = end + (isLong ? Number(bytes.readBigUInt64BE(20)) : bytes.readUInt32BE(16));
			for (let at = references; at + 12 <= bytes.length; at += 12) {
				// The highest bit tells a reference to another sidx box, which makes the sum too large.
				listed += bytes.readUInt32BE(at);
			}

			for await (const box of boxesIn(source, {start: listed, end: size})) {
				return box.type === 'mfra' && box.end === size;
			}

			return listed === size;
		}

		if (type === 'moof' || type === 'mdat') {
			return false;
		}
	}

	return false;
}

/** Whether an edit leaves out the start of a track: players seek back too far then, by twice that length. */
async function isCut(tracks: readonly InputTrack[]): Promise<boolean> {
	for (const track of tracks) {
		if ((await track.getFirstTimestamp()) * 1000 < -preRollMs) {
			return true;
		}
	}

	return false;
}

/**
 * Whether the map lacks what players need: the parser knows the first edit of a track alone (ISO/IEC 14496-12 section
 * 8.6.6), and no subtitles, to whose last packet players seek back.
 */
async function isBeyondMap(source: IndexSource, within: Range): Promise<boolean> {
	for await (const box of boxesIn(source, within)) {
		if (['moov', 'trak', 'edts', 'mdia'].includes(box.type)) {
			if (await isBeyondMap(source, box)) {
				return true;
			}
		} else if (box.type === 'elst' || box.type === 'hdlr') {
			const bytes = Buffer.from(await source.bytesAt(box.start, box.end));
			const isUnknown = box.type === 'elst' ? countEdits(bytes) > 1 : isSubtitle(bytes);
			if (isUnknown) {
				return true;
			}
		}

		if (box.type === 'moov') {
			return false;
		}
	}

	return false;
}

/** The edits that show media. */
function countEdits(list: Buffer): number {
	const [length, time] = list[0] === 1 ? [20, 8] : [12, 4];
	let count = 0;
	for (let at = 8; at + length <= list.length; at += length) {
		count += list.readInt32BE(at + time) === -1 ? 0 : 1;
	}

	return count;
}

function isSubtitle(handler: Buffer): boolean {
	return ['sbtl', 'subt', 'clcp'].includes(handler.toString('latin1', 8, 12));
}

/** Undefined if the index does not tell the places of packets. */
async function pointsOf(
	tracks: readonly InputTrack[],
	main: InputTrack,
	durationMs: number,
	size: number,
	isIso: boolean,
): Promise<Points | undefined> {
	const keys = await keyTimes(main, durationMs);
	if (!keys) {
		return refuseIfIso(isIso);
	}

	// Where one place holds the packets of all tracks, that of the main track is the one to start at.
	const isShared = !keys[0]?.isPacket;
	if (keys.length < 2 && isShared) {
		return undefined;
	}

	const offsets: number[][] = [];
	let isPaused = false;
	for (const track of tracks) {
		const [shared] = offsets;
		if (isShared && shared) {
			// The sound of a key frame may begin in the fragment before.
			offsets.push(isIso ? [shared[0]!, ...shared.slice(0, -1)] : shared);
			continue;
		}

		const sink = new EncodedPacketSink(track);
		const places: number[] = [];
		for (const {ms, start} of keys) {
			const isMain = isShared || track === main;
			const before = Math.max(0, ms - preRollMs) / 1000;
			const place = await placeOf(async () => inFile(async options => sink.getPacket(before, options)));
			places.push(isMain ? start : (place?.start ?? start));
		}

		places.push(size);
		if (places.some((place, at) => at > 0 && place < places[at - 1]!)) {
			return refuseIfIso(isIso);
		}

		// Players seek back to the last packet before a pause, which is in no range.
		isPaused ||= places.some((place, at) => at > 0 && place === places[at - 1]);
		offsets.push(places);
	}

	// The wider apart the tracks lie, the longer are the gaps over which players read on.
	const areInterleaved = keys.every((_, point) => bytesBetween(offsets, point).length === 1);
	const times = [0, ...keys.slice(1).map(({ms}) => ms), durationMs];
	return {times, offsets, isShared, areRead: areInterleaved && !isPaused};
}

/** The index of an ISO file names the place of each packet, or is damaged. */
function refuseIfIso(isIso: boolean): undefined {
	if (isIso) {
		throw new NoFilm('damaged', 'it names no place of a packet');
	}
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

/** Milliseconds of the key frame at or before `ms`, rounded up; undefined if only its bytes tell. */
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

/** Rejects with `past-end` where the index names a packet that the file does not have. */
async function inFile(
	find: (options?: PacketRetrievalOptions) => Promise<EncodedPacket | null>,
): Promise<EncodedPacket | null> {
	const packet = await find();
	if (!packet && (await find({metadataOnly: true}))) {
		throw new NoFilm('past-end', 'a packet lies past the end of the file');
	}

	return packet;
}

/** Where the packet lies that `find` wants to read; undefined if there is none. */
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
 * The index as players read it: with the start of the file and the small gaps that a parser skips, and with all bytes
 * after the part of it that lies at the end of the file.
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
