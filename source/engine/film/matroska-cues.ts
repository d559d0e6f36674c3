// The cues of a Matroska file with their durations, which the parser leaves out (RFC 9559 section 5.1.5).
import type {Aside} from './film-map.ts';
import type {ReadAt} from './iso-boxes.ts';

type Cue = {
	/** Milliseconds. */
	readonly ms: number;
	/** Milliseconds; 0 if not stated. */
	readonly durationMs: number;
	/** Offset of the cluster in the file. */
	readonly start: number;
};

type Element = {readonly id: number; readonly start: number; readonly end: number};

const ids = {
	header: 0x1a_45_df_a3,
	segment: 0x18_53_80_67,
	cluster: 0x1f_43_b6_75,
	info: 0x15_49_a9_66,
	timestampScale: 0x2a_d7_b1,
	tracks: 0x16_54_ae_6b,
	track: 0xae,
	trackType: 0x83,
	seekHead: 0x11_4d_9b_74,
	seek: 0x4d_bb,
	seekId: 0x53_ab,
	seekPosition: 0x53_ac,
	cues: 0x1c_53_bb_6b,
	cuePoint: 0xbb,
	cueTime: 0xb3,
	cueTrackPositions: 0xb7,
	cueClusterPosition: 0xf1,
	cueDuration: 0xb2,
} as const;
const subtitleType = 0x11;
/** Bytes of an ID and a size. */
const longestHead = 12;

/** In their order in the file; empty for a film without subtitles. */
export async function cuesWithSubtitles(readAt: ReadAt, size: number): Promise<Cue[]> {
	const parts = await partsOf(readAt, size);
	const tracks = parts.get(ids.tracks);
	const hasSubtitles = childrenOf(tracks, ids.track).some(
		track => numberOf(childrenOf(track, ids.trackType)[0]) === subtitleType,
	);
	const cues = hasSubtitles ? parts.get(ids.cues) : undefined;
	const scale = numberOf(childrenOf(parts.get(ids.info), ids.timestampScale)[0]) || 1_000_000;
	const toMs = (value: number) => (value * scale) / 1_000_000;
	return childrenOf(cues, ids.cuePoint).flatMap(point => {
		const ms = toMs(numberOf(childrenOf(point, ids.cueTime)[0]));
		return childrenOf(point, ids.cueTrackPositions).map(positions => ({
			ms,
			durationMs: toMs(numberOf(childrenOf(positions, ids.cueDuration)[0])),
			start: parts.start + numberOf(childrenOf(positions, ids.cueClusterPosition)[0]),
		}));
	});
}

type Parts = {readonly start: number; get(id: number): Buffer | undefined};

/** The elements of the segment before its clusters, and the cues. */
async function partsOf(readAt: ReadAt, size: number): Promise<Parts> {
	const found = new Map<number, Buffer>();
	const elementAt = async (at: number) =>
		elementIn(Buffer.from(await readAt(at, Math.min(size, at + longestHead))), at);
	const take = async ({id, start, end}: Element) => {
		if (([ids.info, ids.tracks, ids.seekHead, ids.cues] as number[]).includes(id)) {
			found.set(id, Buffer.from(await readAt(start, end)));
		}
	};
	const header = await elementAt(0);
	const segment = header && (await elementAt(header.end));
	const start = segment?.start ?? 0;
	let element = segment && (await elementAt(segment.start));
	while (element && element.id !== ids.cluster && element.end <= size) {
		await take(element);
		element = element.end < size ? await elementAt(element.end) : undefined;
	}

	for (const seek of childrenOf(found.get(ids.seekHead), ids.seek)) {
		const at = start + numberOf(childrenOf(seek, ids.seekPosition)[0]);
		if (numberOf(childrenOf(seek, ids.seekId)[0]) === ids.cues && !found.has(ids.cues) && at < size) {
			const cues = await elementAt(at);
			if (cues && cues.end <= size) {
				await take(cues);
			}
		}
	}

	return {start, get: id => found.get(id)};
}

function childrenOf(parent: Buffer = Buffer.alloc(0), id: number): Buffer[] {
	const children: Buffer[] = [];
	let element = elementIn(parent.subarray(0, longestHead), 0);
	while (element && element.end <= parent.length) {
		if (element.id === id) {
			children.push(parent.subarray(element.start, element.end));
		}

		element = elementIn(parent.subarray(element.end, element.end + longestHead), element.end);
	}

	return children;
}

/** RFC 8794 sections 4 and 5. `at`: the place of the head. Undefined for a head that is cut off. */
function elementIn(head: Buffer, at: number): Element | undefined {
	const idLength = Math.clz32(head[0] ?? 0) - 23;
	const sizeLength = Math.clz32(head[idLength] ?? 0) - 23;
	const length = idLength + sizeLength;
	if (idLength > 4 || sizeLength > 8 || length > head.length) {
		return undefined;
	}

	let size = head[idLength]! & (0xff >> sizeLength);
	for (const byte of head.subarray(idLength + 1, length)) {
		size = size * 256 + byte;
	}

	const isUnknown = size === 2 ** (7 * sizeLength) - 1;
	return {
		id: head.readUIntBE(0, idLength),
		start: at + length,
		end: isUnknown ? Infinity : at + length + size,
	};
}

/** Unsigned; 0 if absent. */
function numberOf(value: Buffer | undefined): number {
	let number = 0;
	for (const byte of value ?? []) {
		number = number * 256 + byte;
	}

	return number;
}

/**
 * Milliseconds before the start for which mpv reads subtitles: with durations in the cues, and without
 * (`--demuxer-mkv-subtitle-preroll-secs-index` and `--demuxer-mkv-subtitle-preroll-secs`).
 */
const prerollMs = {timed: 10_000, untimed: 1000};
/** Milliseconds by which the times of points may be late. */
const slackMs = 500;

/**
 * The bytes that a player reads first to start at one of the times: from the cluster of the earliest subtitle still
 * shown, or from an earlier cluster if the cues state no durations. `offsets`: the clusters of the times.
 */
export function clusterAsides(
	cues: readonly Cue[],
	times: readonly number[],
	offsets: readonly number[],
): Aside[] {
	const timed = cues.filter(({durationMs}) => durationMs > 0);
	const reachMs = slackMs + (timed.length > 0 ? prerollMs.timed : prerollMs.untimed);
	return times.slice(0, -1).flatMap((ms, point) => {
		const earliest = cues.findLast(cue => cue.ms <= ms - reachMs);
		const first = earliest?.start ?? 0;
		const shown = timed.filter(
			cue => cue.ms <= ms && cue.ms + cue.durationMs > ms - slackMs && cue.start >= first,
		);
		const read = timed.length > 0 || !earliest ? shown : [earliest];
		const end = offsets[point]!;
		const start = Math.min(end, ...read.map(cue => cue.start));
		return start < end ? [{point, start, end, isLead: true}] : [];
	});
}
