// Key frames out of the sample tables of an ISO file. Pure.
import type {IsoTrack} from './iso-index.ts';
import {keyBefore, lastAtMost, placeOf, type IsoSamples} from './iso-samples.ts';
import {checkedMs, maxPoints, preRollMs, type Key} from './key-points.ts';
import {NoFilm} from './no-film.ts';

/** Duration in milliseconds: as stated, else up to the last sample. */
export function samplesDuration(
	listed: ReadonlyArray<IsoTrack | undefined>,
	main: IsoSamples | undefined,
): number {
	const ends = listed.flatMap(track =>
		track && track.lengthMs > 0 ? [(track.samples?.shown[0] ?? 0) + track.lengthMs] : [],
	);
	return checkedMs(Math.max(...(ends.length > 0 ? ends : [main?.times.at(-1) ?? Number.NaN])) / 1000);
}

/** At most `maxPoints` key frames, evenly spread. Throws `past-end`. */
export function sampleKeys(samples: IsoSamples, durationMs: number, size: number): Key[] {
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
export function samplesBefore(samples: IsoSamples | undefined, keys: readonly Key[], size: number): number[] {
	return keys.map(({ms, start}) => {
		const sample = samples ? lastAtMost(samples.times, Math.max(0, ms - preRollMs)) : -1;
		return sample === -1 ? start : startWithin(samples!, sample, size);
	});
}

function startWithin(samples: IsoSamples, sample: number, size: number): number {
	const {start, end} = placeOf(samples, sample);
	if (end > size) {
		throw new NoFilm('past-end', 'a packet lies past the end of the file');
	}

	return start;
}

/**
 * True if edits omit media. Where the first edit of a track cuts off a start, players seek back too far, by twice its
 * length (ISO/IEC 14496-12 section 8.6.6).
 */
export function isEdited(listed: ReadonlyArray<IsoTrack | undefined>, all: readonly IsoTrack[]): boolean {
	const starts = listed.map(track => track?.samples?.shown[0] ?? 0);
	return all.some(({editCount}) => editCount > 1) || starts.some(ms => ms < -preRollMs);
}
