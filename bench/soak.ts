// `npm run soak [-- --minutes N] [--seed N]`: random operations for a long time; checks bytes, memory and descriptors.
import {readdir} from 'node:fs/promises';
import process from 'node:process';
import {parseArgs} from 'node:util';
import {withoutTest} from '../test/support/cleanup.ts';
import {startEngine} from '../test/support/engines.ts';
import {Soak} from '../test/support/soak.ts';
import {median, MiB} from './measure.ts';

const sampleMs = 10_000;
/** Limit for memory in the last third of the run, relative to the second. */
const maxGrowth = 1.15;

type Sample = {readonly memory: number; readonly heap: number; readonly descriptors: number};

async function main(): Promise<void> {
	const {values} = parseArgs({
		options: {minutes: {type: 'string', default: '10'}, seed: {type: 'string'}},
	});
	const minutes = Number(values.minutes);
	const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
	if (!(minutes > 0) || !Number.isInteger(seed)) {
		process.stderr.write('Usage: npm run soak -- [--minutes N] [--seed WHOLE NUMBER]\n');
		process.exitCode = 2;
		return;
	}

	process.stdout.write(`seed ${seed}, ${minutes} minutes\n`);
	const before = (await sampled()).descriptors;
	const samples = await run(minutes * 60_000, seed);
	const after = (await sampled()).descriptors;
	const third = Math.floor(samples.length / 3);
	const memoryOf = (part: readonly Sample[]) => median(part.map(({memory}) => memory));
	const [second, last] = [memoryOf(samples.slice(third, 2 * third)), memoryOf(samples.slice(2 * third))];
	process.stdout.write(
		`memory ${toMiB(second)} MiB in the second third, ${toMiB(last)} MiB in the last (at most ${maxGrowth} times); ` +
			`descriptors ${before} before, ${after} after\n`,
	);
	if (last > second * maxGrowth || after > before) {
		process.stdout.write('Something leaks\n');
		process.exitCode = 1;
	}
}

/** Rejects with the first wrong byte. */
async function run(milliseconds: number, seed: number): Promise<Sample[]> {
	const samples: Sample[] = [];
	const {t, end} = withoutTest();
	let timer: NodeJS.Timeout | undefined;
	try {
		const {engine} = await startEngine(t);
		const soak = await Soak.start(engine, seed);
		const began = performance.now();
		timer = setInterval(() => {
			void sampled().then(sample => {
				samples.push(sample);
				const seconds = Math.round((performance.now() - began) / 1000);
				process.stdout.write(
					`${seconds} s: memory ${toMiB(sample.memory)} MiB, heap ${toMiB(sample.heap)} MiB, ` +
						`${sample.descriptors} descriptors, ${soak.commands} commands, ${soak.reads} reads, ` +
						`${toMiB(soak.bytes)} MiB read\n`,
				);
			});
		}, sampleMs);
		try {
			await soak.run(milliseconds);
		} finally {
			await soak.close();
		}
	} finally {
		clearInterval(timer);
		await end();
	}

	return samples;
}

async function sampled(): Promise<Sample> {
	if (!global.gc) {
		throw new Error('Run it with --expose-gc');
	}

	global.gc();
	const {rss, heapUsed} = process.memoryUsage();
	const descriptors = process.platform === 'linux' ? (await readdir('/proc/self/fd')).length : 0;
	return {memory: rss, heap: heapUsed, descriptors};
}

function toMiB(bytes: number): string {
	return (bytes / MiB).toFixed(1);
}

await main();
