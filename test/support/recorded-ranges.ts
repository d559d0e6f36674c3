// What the disk holds of a download that nobody has open.
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import type {Range} from '../../source/engine/store/range-set.ts';

/** What the record in the folder of a download says is there. */
export async function recordedRanges(folder: string): Promise<Range[]> {
	const file = path.join(folder, 'entry.json');
	// It may have ended between the renaming of the old record and that of the new one.
	const text = await readFile(file, 'utf8').catch(() => readFile(`${file}.bak`, 'utf8'));
	const {ranges} = JSON.parse(text) as {ranges: Array<[number, number]>};
	return ranges.map(([start, end]) => ({start, end}));
}
