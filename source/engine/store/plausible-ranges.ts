// Which recorded ranges a file can hold.
import type {Stats} from 'node:fs';
import {statfs} from 'node:fs/promises';
import type {Range} from './range-set.ts';

// On compressing file systems, a low block count does not imply holes.
const compressingFileSystems = new Set([
	0x91_23_68_3e /* btrfs */, 0x2f_c1_2f_c1 /* zfs */, 0xca_45_1a_4e /* bcachefs */,
]);

/**
 * Resolves with the recorded ranges up to `end`, or none if the file uses fewer disk blocks than they need: it was
 * replaced, or bytes were lost.
 */
export async function plausibleRanges(
	recorded: Iterable<Range>,
	end: number,
	{blocks}: Stats,
	path: string,
): Promise<Range[]> {
	const ranges = clipped(recorded, end);
	const needed = ranges.reduce((sum, {start, end}) => sum + end - start, 0) - 4096;
	if (needed <= 0 || process.platform === 'win32' || blocks * 512 >= needed) {
		return ranges;
	}

	const {type} = await statfs(path);
	return compressingFileSystems.has(type) ? ranges : [];
}

function clipped(ranges: Iterable<Range>, end: number): Range[] {
	return [...ranges]
		.filter(({start}) => start < end)
		.map(range => ({start: range.start, end: Math.min(range.end, end)}));
}
