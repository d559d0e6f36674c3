// The recorded ranges of a closed download.
import assert from 'node:assert/strict';
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

/** Fails if a request asks for a recorded byte, except for samples of 4 KiB, which prove the version after a restart. */
export function assertNotRequested(
	recorded: readonly Range[],
	requests: ReadonlyArray<{readonly range: Range | undefined}>,
): void {
	for (const {range} of requests) {
		for (const {start, end} of recorded) {
			const isSample = range && range.end - range.start <= 4096;
			assert.ok(
				isSample || (range && (range.end <= start || range.start >= end)),
				`requested ${JSON.stringify(range)} of ${start}-${end}`,
			);
		}
	}
}
