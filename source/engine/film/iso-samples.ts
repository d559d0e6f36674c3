// Expands the sample tables of a track of an ISO file, in its `stbl` box (ISO/IEC 14496-12 sections 8.6 and 8.7). Pure.
import type {Range} from '../store/range-set.ts';
import {NoFilm} from './no-film.ts';

/** Samples in decoding order. */
export type IsoSamples = {
	readonly count: number;
	/** Offsets in the file. */
	readonly starts: Float64Array;
	/** Bytes. */
	readonly sizes: Uint32Array;
	/** Decoding times in milliseconds. */
	readonly times: Float64Array;
	/** Presentation times in milliseconds; the same array for a track without offsets. */
	readonly shown: Float64Array;
	/** Samples at which a decoder can start; undefined if all are. */
	readonly keys: Uint32Array | undefined;
};

/** The boxes of a track. An absent one is empty. */
export type SampleTables = {
	readonly stts: Buffer;
	readonly ctts: Buffer;
	readonly stsz: Buffer;
	readonly stz2: Buffer;
	readonly stsc: Buffer;
	readonly stco: Buffer;
	readonly co64: Buffer;
	readonly stss: Buffer;
};

/** Maximum samples of all tracks of a film, 28 bytes each. */
export const maxSamples = 6_000_000;
/** Samples in one packet of uncompressed sound. */
const packetSamples = 1024;

/**
 * `scale`: units of time per second; `shiftMs`: time in the film of the decoding time 0. Undefined if tables are
 * missing. Throws `NoFilm` for more than `most` samples, and a `RangeError` or `NoFilm` for truncated tables.
 */
export function samplesOf(
	tables: SampleTables,
	{scale, shiftMs, isSound}: {readonly scale: number; readonly shiftMs: number; readonly isSound: boolean},
	most: number,
): IsoSamples | undefined {
	const {stts, ctts, stsc, stss} = tables;
	const places = chunkPlaces(tables);
	const sizes = sampleSizes(tables);
	if (stts.length < 8 || stsc.length < 8 || !places || !sizes) {
		return undefined;
	}

	// Uncompressed sound has a sample for each unit of time: a chunk counts as one sample, of the size that ffmpeg reads
	// at once.
	const isUncompressed = isSound && sizes.constant > 0 && stts.length === 16 && stts.readUInt32BE(12) === 1;
	const chunkCount = Math.min(places.count, sizes.count);
	const chunks = samplesOfChunks(stsc, Math.min(chunkCount, most + 1), sizes.count);
	let count = 0;
	for (const samples of chunks) {
		count += isUncompressed ? Math.min(1, samples) : samples;
	}

	if (count > most) {
		throw new NoFilm('too-large', 'it has too many samples');
	}

	const [starts, lengths, times] = [new Float64Array(count), new Uint32Array(count), new Float64Array(count)];
	const durations = runsOf(stts);
	let [sample, frame, time] = [0, 0, 0];
	for (const [chunk, samples] of chunks.entries()) {
		let start = places.at(chunk);
		const step = isUncompressed ? samples : 1;
		for (let left = samples; left > 0; left -= step) {
			const length = isUncompressed ? Math.min(samples, packetSamples) * sizes.constant : sizes.at(frame);
			starts[sample] = start;
			lengths[sample] = length;
			times[sample++] = time;
			start += length;
			time += step * durations();
			frame += step;
		}
	}

	const shown = ctts.length < 16 || isUncompressed ? times : shownAt(times, ctts);
	for (const list of new Set([times, shown])) {
		for (let at = 0; at < count; at++) {
			list[at] = (list[at]! * 1000) / scale + shiftMs;
		}
	}

	return {
		count,
		starts,
		sizes: lengths,
		times,
		shown,
		keys: stss.length < 8 ? undefined : keysOf(stss, count),
	};
}

export function placeOf({starts, sizes}: IsoSamples, sample: number): Range {
	return {start: starts[sample]!, end: starts[sample]! + sizes[sample]!};
}

/** The last sample at which a decoder can start to show `ms`, else the first one. */
export function keyBefore({count, shown, keys}: IsoSamples, ms: number): number {
	const key = lastWhere(keys?.length ?? count, at => shown[keys?.[at] ?? at]! <= ms);
	return keys?.[Math.max(0, key)] ?? Math.max(0, key);
}

/** The last of ascending times that is at most `ms`; -1 if there is none. */
export function lastAtMost(times: Float64Array, ms: number): number {
	return lastWhere(times.length, at => times[at]! <= ms);
}

/** Index of the last of the leading places that pass, out of `count`; -1 for none. */
function lastWhere(count: number, passes: (at: number) => boolean): number {
	let [from, to] = [-1, count - 1];
	while (from < to) {
		const middle = Math.floor((from + to + 1) / 2);
		if (passes(middle)) {
			from = middle;
		} else {
			to = middle - 1;
		}
	}

	return from;
}

/** True if the tables claim more samples than they have sizes: a parser that expands them takes endless time. */
export function areInflated(tables: SampleTables): boolean {
	const count = sampleSizes(tables)?.count ?? 0;
	const {stts, ctts, stsc} = tables;
	const sum = (table: Buffer) => {
		let total = 0;
		for (let at = 8; at + 8 <= table.length; at += 8) {
			total += table.readUInt32BE(at);
		}

		return total;
	};
	let largest = 0;
	for (let at = 12; at + 4 <= stsc.length; at += 12) {
		largest = Math.max(largest, stsc.readUInt32BE(at));
	}

	return (ctts.length >= 16 && Math.max(sum(stts), sum(ctts)) > count) || largest > Math.max(count, 1);
}

/** Offsets of the chunks (section 8.7.5). */
function chunkPlaces({stco, co64}: SampleTables): {count: number; at(chunk: number): number} | undefined {
	if (co64.length >= 8) {
		return {count: entriesIn(co64, 8), at: chunk => Number(co64.readBigUInt64BE(8 + 8 * chunk))};
	}

	return stco.length < 8
		? undefined
		: {count: entriesIn(stco, 4), at: chunk => stco.readUInt32BE(8 + 4 * chunk)};
}

/** Sizes of the samples (section 8.7.3). `constant`: the size of all samples; 0 if each has its own. */
function sampleSizes({
	stsz,
	stz2,
}: SampleTables): {count: number; constant: number; at(sample: number): number} | undefined {
	const table = stsz.length > 0 ? stsz : stz2;
	if (table.length < 12) {
		return undefined;
	}

	const [constant, bits] = table === stsz ? [stsz.readUInt32BE(4), 32] : [0, stz2[7]!];
	const count = table.readUInt32BE(8);
	if (constant === 0 && (![4, 8, 16, 32].includes(bits) || 12 + (count * bits) / 8 > table.length)) {
		throw new NoFilm('damaged', 'the sizes of its samples are cut off');
	}

	const readers: Readonly<Record<number, (sample: number) => number>> = {
		4: sample => (table[12 + (sample >> 1)]! >> (sample % 2 === 0 ? 4 : 0)) & 0xf,
		8: sample => table[12 + sample]!,
		16: sample => table.readUInt16BE(12 + 2 * sample),
		32: sample => table.readUInt32BE(12 + 4 * sample),
	};
	return {count, constant, at: constant > 0 ? () => constant : readers[bits]!};
}

/** Number of samples in each chunk (section 8.7.4), `left` in all. */
function samplesOfChunks(stsc: Buffer, count: number, left: number): Uint32Array {
	const samples = new Uint32Array(count);
	for (let chunk = 0, entry = 0; chunk < count && left > 0; chunk++) {
		while (20 + 12 * entry < stsc.length && stsc.readUInt32BE(20 + 12 * entry) <= chunk + 1) {
			entry++;
		}

		samples[chunk] = Math.min(left, stsc.readUInt32BE(12 + 12 * entry));
		left -= samples[chunk]!;
	}

	return samples;
}

/** Presentation times (section 8.6.1.3). */
function shownAt(times: Float64Array, ctts: Buffer): Float64Array {
	const offsets = runsOf(ctts);
	return times.map(time => time + (offsets() | 0));
}

/** Returns a function that yields the values of a table of run lengths, one per call; 0 after the last one. */
function runsOf(table: Buffer): () => number {
	const end = 8 + 8 * entriesIn(table, 8);
	let [at, left, value] = [8, 0, 0];
	return () => {
		while (left === 0) {
			const isOver = at + 8 > end;
			left = isOver ? Infinity : table.readUInt32BE(at);
			value = isOver ? 0 : table.readUInt32BE(at + 4);
			at += 8;
		}

		left--;
		return value;
	};
}

/** Key samples (section 8.6.2). Players start with the first sample, listed or not. */
function keysOf(stss: Buffer, count: number): Uint32Array {
	const keys = new Uint32Array(1 + entriesIn(stss, 4));
	for (let at = 1; at < keys.length; at++) {
		keys[at] = stss.readUInt32BE(4 + 4 * at) - 1;
	}

	return keys.filter((key, at) => key < count && (at === 0 || key > keys[at - 1]!));
}

/** Number of entries as stated, at most the number that the table has room for. */
function entriesIn(table: Buffer, bytes: number): number {
	return Math.min(table.readUInt32BE(4), Math.floor((table.length - 8) / bytes));
}
