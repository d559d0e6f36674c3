// What it costs to know which bytes are present. Neither a file nor a network: the sets alone.
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

/** Millions of looks and adds a second at changing places among so many islands. */
function speed(set: PresentSet, size: number, islands: number): number {
	const distance = Math.floor(size / islands);
	for (let island = 0; island < islands; island++) {
		set.add({start: island * distance, end: island * distance + Math.floor(distance / 2)});
	}

	let done = 0;
	const began = performance.now();
	while (done < operations) {
		// Odd numbers, so that every island comes about.
		const offset = (done * 7919 * 4099) % (size - 1);
		done++;
		if (set.runEnd(offset) === offset) {
			// A byte of a hole, and back: the number of islands stays what it is said to be.
			set.add({start: offset, end: offset + 1});
			set.remove({start: offset, end: offset + 1});
			done += 2;
		}
	}

	return done / (performance.now() - began) / 1000;
}
