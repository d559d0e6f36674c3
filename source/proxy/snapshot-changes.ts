// The events of `/api/events` after the first: the fields of a snapshot that differ from the last one sent. Pure.
import {isDeepStrictEqual} from 'node:util';
import type {Download, DownloadId, Snapshot} from '../downstream.ts';

type Ranges = Download['ranges'];

/** Omitted fields are unchanged. */
export type SnapshotChanges = Partial<Omit<Snapshot, 'version' | 'downloads'>> &
	Pick<Snapshot, 'version'> & {
		readonly changed: readonly DownloadChanges[];
		/** The ids of all downloads in order; null if the order is unchanged. */
		readonly order: readonly DownloadId[] | null;
	};

/** All fields of a new download; the id and the changed fields of a known one. */
export type DownloadChanges = Pick<Download, 'id'> &
	Partial<Download> & {
		/** Instead of `ranges`, of which a file may have thousands: ranges that arrived or became holes. */
		readonly flipped?: Ranges;
	};

/** Unchanged downloads are identical objects in both snapshots. */
export function changesBetween(previous: Snapshot, next: Snapshot): SnapshotChanges {
	const {downloads, version, ...rest} = next;
	const before = new Map(previous.downloads.map(download => [download.id, download]));
	const isInOrder =
		downloads.length === previous.downloads.length &&
		downloads.every(({id}, index) => id === previous.downloads[index]!.id);
	return {
		version,
		...differing(previous, rest),
		changed: downloads
			.filter(download => before.get(download.id) !== download)
			.map(download => downloadChanges(before.get(download.id), download))
			.filter(changes => Object.keys(changes).length > 1),
		order: isInOrder ? null : downloads.map(({id}) => id),
	};
}

/** Unchanged downloads keep their identity. */
export function applyChanges(before: Snapshot, {changed, order, ...rest}: SnapshotChanges): Snapshot {
	const changes = new Map(changed.map(each => [each.id, each]));
	const known = new Map(before.downloads.map(download => [download.id, download]));
	const ids = order ?? known.keys();
	return {
		...before,
		...rest,
		downloads: Array.from(ids, id => withChanges(known.get(id), changes.get(id))),
	};
}

function downloadChanges(before: Download | undefined, download: Download): DownloadChanges {
	if (!before) {
		return download;
	}

	const {id, ranges, ...rest} = download;
	const flipped = symmetricDifference(before.ranges, ranges);
	return {id, ...differing(before, rest), ...(flipped.length > 0 && {flipped})};
}

function withChanges(before: Download | undefined, changes: DownloadChanges | undefined): Download {
	if (!before || !changes) {
		// An unknown download has all fields.
		return before ?? (changes as Download);
	}

	const {flipped, ...rest} = changes;
	return {...before, ...rest, ...(flipped && {ranges: symmetricDifference(before.ranges, flipped)})};
}

/** The fields of `next` that `previous` does not have, or has with another value. */
function differing<Fields extends object>(previous: Fields, next: Fields): Partial<Fields> {
	return Object.fromEntries(
		Object.entries(next).filter(([name, value]) => !isDeepStrictEqual(value, previous[name as keyof Fields])),
	) as Partial<Fields>;
}

/** The symmetric difference. Input and result are sorted and merged. */
function symmetricDifference(one: Ranges, other: Ranges): Ranges {
	const result: Array<[start: number, end: number]> = [];
	let start: number | undefined;
	for (let first = 0, second = 0; first < 2 * one.length || second < 2 * other.length;) {
		const [a, b] = [edgeAt(one, first), edgeAt(other, second)];
		first += a <= b ? 1 : 0;
		second += b <= a ? 1 : 0;
		// A common edge does not change the difference.
		if (a !== b) {
			if (start === undefined) {
				start = Math.min(a, b);
			} else {
				result.push([start, Math.min(a, b)]);
				start = undefined;
			}
		}
	}

	return result;
}

/** The ends of a range are two edges. */
function edgeAt(ranges: Ranges, index: number): number {
	return ranges[index >> 1]?.[(index % 2) as 0 | 1] ?? Infinity;
}
