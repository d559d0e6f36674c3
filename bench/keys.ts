// How soon a key is answered, how much the screen writes, and its share of the processor.
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {CliProcess} from '../test/support/cli.ts';
import {collectionOf} from '../test/support/collections.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {TestTerminal} from '../test/support/terminal.ts';
import {cpuSeconds, MiB, percentile} from './measure.ts';
import {startOrigin} from './origins.ts';
import {atMost} from './report.ts';
import type {Bench} from './section.ts';

const keys = 40;
const watchedSeconds = 10;
/** Between two keys: the frame of the first one is over. */
const pauseMs = 300;
const screen = {columns: 120, rows: 40, env: {COLORTERM: 'truecolor'}};
const dark = ['--theme', 'dark'];

export async function keyLatency({report, root, scope}: Bench): Promise<void> {
	await writeFile(path.join(root, 'small.bin'), Buffer.alloc(MiB));
	const urlsOf = (origin: string, file: string, count: number) =>
		Array.from({length: count}, (_, index) => `${origin}/${file}?number=${index}`);
	const started = (t: TestContext, ...args: string[]) => TestTerminal.start(t, [...dark, ...args], screen);

	await scope(async t => {
		const terminal = await started(t, '--port', '0', '--storage', await collectionOf(t, 10));
		await terminal.shows(/paused 10/);
		await sleep(3000);
		report.state('idle: written to the terminal', 'B/s', (await watch(terminal)).written, atMost(0));
	});

	await scope(async t => {
		const origin = await startOrigin(t, root, {line: {bytesPerSecond: MiB / 4}});
		const args = [
			...['--storage', await temporaryFolder(t), '--port', '0', '--connections', '2'],
			...['--max-active', '10', ...urlsOf(origin.url, 'film.bin', 10)],
		];
		const terminal = await started(t, ...args);
		await terminal.shows(text => (text.match(/film/g)?.length ?? 0) >= 10);
		await sleep(3000);
		const {written} = await watch(terminal);
		report.state('ten running: written to the terminal', 'kB/s', written / 1000, atMost(3.5));
		terminal.press('j');
		await sleep(pauseMs);
		await reportKeys(report, 'ten running', terminal);
	});

	await scope(async t => {
		const origin = await startOrigin(t, root, {line: {bytesPerSecond: MiB / 4}});
		const storage = await temporaryFolder(t);
		const serve = await CliProcess.start(t, [
			...['serve', '--json', '--storage', storage, '--port', '0', '--connections', '2'],
			...['--max-active', '10', ...urlsOf(origin.url, 'film.bin', 10)],
		]);
		await serve.event('ready');
		const terminal = await started(t, '--storage', storage);
		await terminal.shows(text => (text.match(/film/g)?.length ?? 0) >= 10);
		await sleep(3000);
		report.state(
			'ten running: the screen alone',
			'% of a core',
			(await watch(terminal)).cpu * 100,
			atMost(5),
		);
	});

	await scope(async t => {
		const origin = await startOrigin(t, root, {line: {bytesPerSecond: MiB / 4}});
		const terminal = await started(
			t,
			...['--storage', await collectionOf(t, 900), '--port', '0', '--connections', '2', '--max-active', '3'],
			...urlsOf(origin.url, 'small.bin', 100),
		);
		await terminal.shows(/\[1 all 1000\]/);
		// The engine takes some seconds to add them.
		await sleep(6000);
		// The running ones are the last.
		terminal.press('G');
		await terminal.shows(/▸ . small/);
		const {written} = await watch(terminal);
		report.state('1,000 rows, 3 running: written to the terminal', 'kB/s', written / 1000, atMost(4));
		await reportKeys(report, '1,000 rows, 3 running', terminal);
	});
}

async function reportKeys(report: Bench['report'], what: string, terminal: TestTerminal): Promise<void> {
	const took = await pressKeys(terminal);
	report.state(`${what}: from a key to the first byte, median`, 'ms', percentile(took, 0.5));
	report.state(`${what}: from a key to the first byte, p90`, 'ms', percentile(took, 0.9), atMost(20));
	report.state(`${what}: from a key to the first byte, at most`, 'ms', Math.max(...took));
}

/** Bytes and processor time per second. */
async function watch(terminal: TestTerminal): Promise<{written: number; cpu: number}> {
	const before = {raw: Buffer.byteLength(terminal.raw), cpu: cpuSeconds(terminal.pid)};
	await sleep(watchedSeconds * 1000);
	return {
		written: (Buffer.byteLength(terminal.raw) - before.raw) / watchedSeconds,
		cpu: (cpuSeconds(terminal.pid) - before.cpu) / watchedSeconds,
	};
}

/** Milliseconds from each key until the program writes. */
async function pressKeys(terminal: TestTerminal): Promise<number[]> {
	const took: number[] = [];
	for (let round = 0; round < keys; round++) {
		const written = terminal.nextOutput();
		const began = performance.now();
		terminal.press(round % 2 === 0 ? 'k' : 'j');
		await written;
		took.push(performance.now() - began);
		await sleep(pauseMs);
	}

	return took;
}
