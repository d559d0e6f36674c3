// The recorded ranges of a closed download.
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import type {Range} from '../../source/engine/store/range-set.ts';

/** The ranges in the record of a download's folder. */
export async function recordedRanges(folder: string): Promise<Range[]> {
	const file = path.join(folder, 'entry.json');
	// The process may have ended between the two renames of a save.
	const text = await readFile(file, 'utf8').catch(() => readFile(`${file}.bak`, 'utf8'));
	const {ranges} = JSON.parse(text) as {ranges: Array<[number, number]>};
	return ranges.map(([start, end]) => ({start, end}));
}
