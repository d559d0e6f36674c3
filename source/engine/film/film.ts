// The film of one download: reads the map as soon as its bytes are present, stores it, and reports the playable
// minutes.
import {lstat, readFile} from 'node:fs/promises';
import path from 'node:path';
import {type DownloadFilm, type FilmProblem} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import {messageOf} from '../../text/message-of.ts';
import {writeDurably} from '../store/durable-file.ts';
import type {Range} from '../store/range-set.ts';
import type {SparseFile} from '../store/sparse-file.ts';
import {decodeMap, encodeMap, maxMapBytes, type FilmMap} from './film-map.ts';
import {filmView} from './film-view.ts';
import {readInThread} from './film-thread.ts';
import {turns} from '../../turns.ts';
import {indexPlace} from './index-place.ts';
import {NoFilm} from './no-film.ts';
import {timeAt} from './playhead.ts';
import {looksLikeFilm, signatureBytes} from './signature.ts';

const fileName = 'film.json';
/** Minimum size in bytes: a smaller file arrives before a request for its index pays off. */
const smallestFetched = 4 * 1024 * 1024;
/** Bytes of one request for the index. */
const requestBytes = 256 * 1024;
/**
 * Maximum requests for one index, twice the number that the largest of well-made files need, and maximum bytes: more
 * while a player reads.
 */
const limits = {requests: 8, bytes: 32 * 1024 * 1024, bytesForPlayer: 64 * 1024 * 1024};
/** Maximum bytes at the end of a file that one request covers. */
const tailBytes = 8 * 1024 * 1024;

/** Serializes reading for idle downloads: a start may show thousands of them at once. */
const inBackground = turns();

type FilmFacts = {
	/** Incremented with each version of the bytes: in this run, and since the download was added. */
	readonly version: number;
	readonly startedOver: number;
	readonly file: SparseFile;
	readonly type: string;
	/** The background may fetch ranges. */
	readonly mayFetch: boolean;
	/** Pledges may, and minutes may be pledged. */
	readonly isPledged: boolean;
	readonly isPlaying: boolean;
	readonly mayWrite: boolean;
};

export type FilmDownload = {
	readonly id: string;
	readonly folder: string;
	/** Read again after each wait. */
	facts(): FilmFacts;
	/** Requests these bytes before all background work, or none. `isAwaited`: more may follow. */
	want(range: Range | undefined, isAwaited: boolean): void;
	/** A reading has ended. `isShown`: it yielded a map, or the reason for none. */
	hasRead(isShown: boolean): void;
};

/** Thrown where the index continues in missing bytes. */
class Missing extends Error {
	readonly range: Range;

	constructor(range: Range) {
		super('The index is not present');
		this.range = range;
	}
}

export class Film {
	readonly #download: FilmDownload;
	/** False if films are turned off, or only stored maps are shown. */
	readonly #isOn: boolean;
	#version: number | undefined;
	#map: FilmMap | undefined;
	#problem: FilmProblem | undefined;
	/** A client has asked for the map. */
	#isAsked = false;
	/** Nothing more is read of this version. */
	#isSettled = false;
	/** Each version tries its stored map once. */
	#hasLoaded = false;
	/** The next reading waits for these bytes. */
	#missing: Range | undefined;
	/** Of this version. */
	#requests = 0;
	#requestedBytes = 0;
	#reading: AbortController | undefined;
	#isClosed = false;

	constructor(download: FilmDownload, isOn: boolean) {
		this.#download = download;
		this.#isOn = isOn;
	}

	/** The map; undefined while unknown. */
	get map(): FilmMap | undefined {
		return this.#map && this.#version === this.#download.facts().version ? this.#map : undefined;
	}

	/** Returns the map. While it is unknown, it is read as soon as its bytes are present. */
	ask(): FilmMap | undefined {
		if (!this.#isAsked) {
			this.#isAsked = true;
			this.look();
		}

		return this.map;
	}

	/** The map may become known once its bytes are present. */
	get isAwaited(): boolean {
		const {version, file, type, isPlaying} = this.#download.facts();
		return (
			this.#isOn &&
			!this.#isClosed &&
			mayBeFilm(type) &&
			file.size > 0 &&
			!(version === this.#version && (this.#isSettled || this.#excess(isPlaying)))
		);
	}

	get problem(): FilmProblem | null {
		const {version, isPlaying} = this.#download.facts();
		if (this.#version !== version || this.#map) {
			return null;
		}

		return this.#problem ?? (this.#missing && this.#excess(isPlaying)) ?? null;
	}

	/**
	 * Call when bytes have arrived, or facts have changed: reads the next part of the index, or requests it. `head`: the
	 * first bytes of the file, when they arrive; they reveal the place of the index before they can be read back. Never
	 * throws.
	 */
	look(head?: Uint8Array): void {
		if (!this.#isOn || this.#isClosed) {
			return;
		}

		const {version, file, type} = this.#download.facts();
		if (version !== this.#version) {
			this.#reset(version);
		}

		if (this.#isSettled || this.#reading || file.size === Infinity || !mayBeFilm(type)) {
			return;
		}

		const place = head && indexPlace(head, file.size);
		if (place && !this.#missing && place.end - place.start <= limits.bytes) {
			this.#lacks(place);
		}

		const isMissing = this.#missing && !file.present.covers(this.#missing);
		this.#want(isMissing ? this.#missing : undefined);
		if (!isMissing && file.present.size > 0 && (this.#isAsked || this.#isAtWork)) {
			void this.#run();
		}
	}

	get #isAtWork(): boolean {
		const {isPlaying, isPledged, mayFetch} = this.#download.facts();
		return isPlaying || isPledged || mayFetch;
	}

	/** Takes the stored map, and reads nothing else. Never rejects. */
	async loadStored(): Promise<void> {
		const {version, type} = this.#download.facts();
		if (mayBeFilm(type)) {
			this.#map = await this.#stored();
			this.#version = version;
		}
	}

	close(): void {
		this.#isClosed = true;
		this.#reading?.abort(new Error('The download closes'));
	}

	/** As `filmView`. */
	view(offset: number | undefined, forecastRate: number, pledged: readonly Range[]): DownloadFilm | null {
		const map = this.ask();
		return map ? filmView(map, this.#download.facts().file, {offset, forecastRate, pledged}) : null;
	}

	/** The length of a stretch of bytes; undefined while the map is unknown. */
	msBetween(start: number, end: number): number | undefined {
		const {map} = this;
		return map && timeAt(map, end) - timeAt(map, start);
	}

	#reset(version: number): void {
		this.#reading?.abort(new Error('The file is fetched anew'));
		this.#reading = undefined;
		this.#version = version;
		this.#map = undefined;
		this.#problem = undefined;
		this.#isSettled = false;
		this.#hasLoaded = false;
		this.#missing = undefined;
		this.#requests = 0;
		this.#requestedBytes = 0;
		this.#download.want(undefined, false);
	}

	#want(range: Range | undefined): void {
		const {file, mayFetch, isPledged, isPlaying} = this.#download.facts();
		const isAsked = isPledged || (mayFetch && file.size >= smallestFetched);
		const isWorth = isAsked && !this.#excess(isPlaying);
		this.#download.want(isWorth ? range : undefined, isWorth);
	}

	/** The reason to request no more of the index. */
	#excess(isPlaying: boolean): FilmProblem | undefined {
		if (this.#requests > limits.requests) {
			return 'scattered';
		}

		const bytes = isPlaying ? limits.bytesForPlayer : limits.bytes;
		return this.#requestedBytes > bytes ? 'too-large' : undefined;
	}

	async #run(): Promise<void> {
		const reading = new AbortController();
		this.#reading = reading;
		const {id} = this.#download;
		try {
			const read = () => this.#read(reading.signal);
			const map = await (this.#isAtWork ? read() : inBackground(read));
			reading.signal.throwIfAborted();
			this.#map = map;
			this.#isSettled = true;
		} catch (error) {
			if (reading.signal.aborted) {
				return;
			}

			if (error instanceof Missing) {
				this.#lacks(error.range);
			} else {
				// An error of the disk concerns the download; an error of the parser does not go away.
				this.#isSettled = true;
				this.#problem = error instanceof NoFilm ? error.problem : undefined;
				Logger.info(`${id}: no film map: ${messageOf(error)}`);
			}
		} finally {
			if (this.#reading === reading) {
				this.#reading = undefined;
				this.#download.want(undefined, false);
				this.#download.hasRead(this.#map !== undefined || this.problem !== null);
				this.look();
			}
		}
	}

	/**
	 * Parsers read in small pieces: one request serves several of them. The bytes after the index at the end of a file
	 * count as part of it.
	 */
	#lacks({start, end}: Range): void {
		const {file, mayFetch, isPledged} = this.#download.facts();
		const isTail = start > file.size / 2 && file.size - start <= tailBytes;
		this.#missing = {
			start,
			end: isTail ? file.size : Math.min(file.size, Math.max(end, start + requestBytes)),
		};
		if (mayFetch || isPledged) {
			this.#requests++;
			this.#requestedBytes += this.#missing.end - start;
		}
	}

	/** Resolves with undefined for a file that is no film. */
	async #read(signal: AbortSignal): Promise<FilmMap | undefined> {
		signal.throwIfAborted();
		const {startedOver, file} = this.#download.facts();
		const {size} = file;
		if (!this.#hasLoaded) {
			this.#hasLoaded = true;
			const known = await this.#stored();
			if (known) {
				return known;
			}
		}

		const head = await this.#bytes(0, Math.min(size, signatureBytes), 0);
		if (!looksLikeFilm(head)) {
			return undefined;
		}

		const place = indexPlace(head, size);
		if (place && place.end - place.start <= limits.bytes) {
			// Requested before the thread starts, which takes time: the processor is busy when a player starts.
			this.#require(place);
		}

		const map = await readInThread(size, (start, end, maxEnd) => this.#bytes(start, end, maxEnd), signal);
		if (this.#download.facts().mayWrite && !signal.aborted) {
			// Without it, the index is read again after a restart.
			await writeDurably(this.#file, encodeMap(map, startedOver, size)).catch(() => undefined);
		}

		return map;
	}

	get #file(): string {
		return path.join(this.#download.folder, fileName);
	}

	async #stored(): Promise<FilmMap | undefined> {
		const {startedOver, file} = this.#download.facts();
		const found = await lstat(this.#file).catch(() => undefined);
		// A pipe would never end.
		if (!found?.isFile() || found.size > maxMapBytes) {
			return undefined;
		}

		const text = await readFile(this.#file, 'utf8').catch(() => '');
		return decodeMap(text, startedOver, file.size);
	}

	/** Rejects with `Missing` unless all bytes up to `end` are present. */
	async #bytes(start: number, end: number, maxEnd: number): Promise<Uint8Array> {
		const {file} = this.#download.facts();
		const runEnd = file.present.runEnd(start);
		if (runEnd >= end) {
			const into = new Uint8Array(Math.max(end, Math.min(maxEnd, runEnd)) - start);
			const length = await file.read(start, into);
			if (length >= end - start) {
				return into.subarray(0, length);
			}
		}

		throw new Missing({start: Math.max(start, runEnd), end});
	}

	#require({start, end}: Range): void {
		const runEnd = this.#download.facts().file.present.runEnd(start);
		if (runEnd < end) {
			throw new Missing({start: Math.max(start, runEnd), end});
		}
	}
}

function mayBeFilm(type: string): boolean {
	return /^(?:video|audio)\/|^application\/(?:ogg|octet-stream|mp4|x-matroska)\b/.test(type);
}
