// The bytes of an ISO file that players read beside those between two key frames.
import type {Range} from '../store/range-set.ts';
import type {Aside} from './film-map.ts';
import {isSubtitle, type IsoTrack} from './iso-index.ts';
import {lastAtMost, placeOf, type IsoSamples} from './iso-samples.ts';

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
