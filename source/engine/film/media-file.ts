// A file as mediabunny sees it: its tracks, its duration and the places of its packets. The only file that imports
// mediabunny.
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
import type {FilmTrack} from './film-map.ts';
import {chunkBytes, Refused, type IndexBytes} from './index-bytes.ts';
import {checkedMs, maxPoints, placesOf, pointsAt, preRollMs, type Key, type Points} from './key-points.ts';
import {NoFilm} from './no-film.ts';
import {isChained} from './ogg-chain.ts';
import {programClock} from './program-clock.ts';

const maxTracks = 8;
/** Precision, in milliseconds, of the time of a point that the index does not state. */
const precisionMs = 250;

/** Reads exactly the ranges that the parser asks for: the source of mediabunny merges them, and hides the places of packets. */
class ExactSource extends CustomSource {
	readonly #bytes: IndexBytes;

	constructor(bytes: IndexBytes) {
		super({getSize: () => bytes.size, read: (start, end) => bytes.at(start, end)});
		this.#bytes = bytes;
	}

	_getFileSize(): number {
		return this.#bytes.size;
	}

	async _read(
		start: number,
		end: number,
	): Promise<{bytes: Uint8Array<ArrayBuffer>; view: DataView; offset: number}> {
		const bytes = await this.#bytes.read(start, end);
		return {bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), offset: start};
	}
}

/** A file whose tracks are known. */
export type Media = {
	readonly input: Input;
	readonly format: InputFormat;
	readonly bytes: IndexBytes;
	readonly tracks: readonly InputTrack[];
	readonly described: ReadonlyArray<Omit<FilmTrack, 'offsets'>>;
	/** The first video, else the first audio. */
	readonly main: InputTrack;
};

export function openInput(bytes: IndexBytes): Input {
	const formats: InputFormat[] = [MP4, QTFF, MATROSKA, WEBM, WAVE, OGG, FLAC, MP3, ADTS, MPEG_TS];
	return new Input({source: new ExactSource(bytes), formats});
}

/** Rejects with `NoFilm`, or with the error of the parser. */
export async function formatOf(input: Input): Promise<InputFormat> {
	try {
		return await input.getFormat();
	} catch (error) {
		throw error instanceof UnsupportedInputFormatError ? new NoFilm(undefined, error.message) : error;
	}
}

export function isIso(format: InputFormat): boolean {
	return format === MP4 || format === QTFF;
}

/** Matroska and WebM. */
export function isMatroska(format: InputFormat): boolean {
	return format === MATROSKA || format === WEBM;
}

export function isWave(format: InputFormat): boolean {
	return format === WAVE;
}

/** `chapterIds`: tracks that hold the names of chapters. Rejects with `no-tracks`, or with the error of the parser. */
export async function mediaOf(
	input: Input,
	format: InputFormat,
	bytes: IndexBytes,
	chapterIds: ReadonlySet<number>,
): Promise<Media> {
	const all = await input.getTracks();
	const tracks = all
		.filter(({type, id}) => (type === 'video' || type === 'audio') && !chapterIds.has(id))
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

	return {input, format, bytes, tracks, described, main};
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
export async function durationOf(media: Media): Promise<number> {
	const {input, format, main, bytes} = media;
	const {size} = bytes;
	const stated = await input.getDurationFromMetadata();
	if (stated !== null) {
		return checkedMs(stated);
	}

	if (format === MPEG_TS) {
		const part = Math.min(size, 4 * chunkBytes);
		return checkedMs(programClock(await bytes.at(0, part), await bytes.at(size - part, size)));
	}

	if (format === ADTS || (format === OGG && (await isChain(bytes)))) {
		return checkedMs(await durationByRate(main, size));
	}

	const isUnstated = format === MATROSKA || format === WEBM;
	return checkedMs(isUnstated ? Number.NaN : await main.computeDuration());
}

async function isChain(bytes: IndexBytes): Promise<boolean> {
	const {size} = bytes;
	const part = Math.min(size, chunkBytes);
	return isChained(await bytes.at(0, part), await bytes.at(size - part, size));
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

/** Resolves with undefined if the index does not reveal the places of packets. */
export async function pointsOf(
	{tracks, main, bytes}: Media,
	durationMs: number,
): Promise<Points | undefined> {
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

	return pointsAt(keys, lists, durationMs, bytes.size);
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

/** The place of the first packet. */
export async function firstPlace({main}: Media): Promise<number | undefined> {
	const place = await placeOf(async () => new EncodedPacketSink(main).getFirstPacket());
	return place?.start;
}
