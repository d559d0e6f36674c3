// The cost of idle downloads.
import {setTimeout as sleep} from 'node:timers/promises';
import {startServe} from '../test/support/cli.ts';
import type {Bench} from './section.ts';
import {collectionOf} from '../test/support/collections.ts';
import {cpuSeconds} from './measure.ts';
import {memory} from '../test/support/process-memory.ts';
import {atMost} from './report.ts';

const counts = [10, 100, 1000, 10_000];
const settleSeconds = 10;
const idleSeconds = 10;
/** Percent of a core: two ticks of the CPU clock. */
const maxShare = 0.2;

export async function scale({report, scope}: Bench): Promise<void> {
	const costs: number[] = [];
	let before: {count: number; bytes: number} | undefined;
	for (const count of counts) {
		await scope(async t => {
			const storage = await collectionOf(t, count);
			const began = performance.now();
			const cli = await startServe(t, storage);
			await cli.event('ready');
			const took = performance.now() - began;
			const pid = cli.child.pid!;
			// V8 collects garbage once more some seconds after the last work.
			await sleep(settleSeconds * 1000);
			const cpu = cpuSeconds(pid);
			await sleep(idleSeconds * 1000);
			const share = ((cpuSeconds(pid) - cpu) / idleSeconds) * 100;
			const bytes = memory(pid);
			report.state(`${count} downloads: ready to stream after`, 'ms', took);
			report.state(`${count} downloads: share of a core`, '%', share, atMost(maxShare));
			if (before) {
				const each = (bytes - before.bytes) / (count - before.count) / 1024;
				costs.push(each);
				report.state(`${count} downloads: memory of one more`, 'KiB', each);
			}

			before = {count, bytes};
		});
	}

	report.compare(
		'one more of 10,000 downloads: memory',
		'KiB',
		[costs.at(-1)!],
		'of 1,000',
		[costs.at(-2)!],
		atMost(1.5),
	);
}
