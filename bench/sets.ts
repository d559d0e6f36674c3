// The cost of the sets of present bytes, without files or network.
import {BlockBitmap} from '../source/engine/store/block-bitmap.ts';
import {RangeSet, type PresentSet} from '../source/engine/store/range-set.ts';
import type {Bench} from './section.ts';
import {interleaved, median, MiB} from './measure.ts';
import {atLeast} from './report.ts';

const operations = 200_000;

export async function sets({report, rounds}: Bench): Promise<void> {
	for (const {what, size, islands, goal} of [
		{what: '100 MB, 100 islands', size: 100_000_000, islands: 100, goal: undefined},
		{what: '100 MB, 10,000 islands', size: 100_000_000, islands: 10_000, goal: atLeast(1)},
		{what: '20 GB, 100 islands', size: 20_000 * MiB, islands: 100, goal: undefined},
		{what: '20 GB, 10,000 islands', size: 20_000 * MiB, islands: 10_000, goal: atLeast(1)},
	]) {
		const speeds = await interleaved<string, number>(
			rounds,
			new Map([
				['ranges', async () => speed(new RangeSet(), size, islands)],
				['bitmap', async () => speed(new BlockBitmap(size), size, islands)],
			]),
		);
		for (const [name, taken] of speeds) {
			report.state(`${what}: ${name}`, 'M/s', median(taken), goal);
		}
	}
}

/** Millions of queries and insertions per second at changing positions among a number of islands. */
function speed(set: PresentSet, size: number, islands: number): number {
	const distance = Math.floor(size / islands);
	for (let island = 0; island < islands; island++) {
		set.add({start: island * distance, end: island * distance + Math.floor(distance / 2)});
	}

	let done = 0;
	const began = performance.now();
	while (done < operations) {
		// Odd steps reach every island.
		const offset = (done * 7919 * 4099) % (size - 1);
		done++;
		if (set.runEnd(offset) === offset) {
			// Adds and removes one byte of a hole, so the number of islands stays the same.
			set.add({start: offset, end: offset + 1});
			set.remove({start: offset, end: offset + 1});
			done += 2;
		}
	}

	return done / (performance.now() - began) / 1000;
}
