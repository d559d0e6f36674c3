// Downloads a file, from the start of the program to its exit.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {rm, stat} from 'node:fs/promises';
import path from 'node:path';
import type {TestContext} from 'node:test';
import {temporaryFolder} from '../test/support/engines.ts';
import {cleanEnvironment} from '../test/support/cli.ts';
import type {Bench} from './section.ts';
import {cpuSeconds, GiB, interleaved, MiB, readyMemory} from './measure.ts';
import {peakMemory} from '../test/support/process-memory.ts';
import {startOrigin, type Origin} from './origins.ts';
import {aria2, axel, curl, ourGet, present, type Downloader} from './peers.ts';
import {atLeast, atMost, type Goal} from './report.ts';

const bytesPerSecond = 8 * MiB;

export async function download(bench: Bench): Promise<void> {
	await bench.scope(async t => {
		const limited = await startOrigin(t, bench.root, {line: {bytesPerSecond}});
		await fromOrigin(bench, limited, '16 connections of 8 MiB/s', ourGet(16), [
			{peer: aria2(16), goal: atLeast(1)},
			{peer: axel(16)},
		]);
		const distant = await startOrigin(t, bench.root, {line: {bytesPerSecond, roundTripMs: 50}});
		await fromOrigin(bench, distant, '16 connections of 8 MiB/s, 50 ms away', ourGet(16), [
			{peer: aria2(16), goal: atLeast(1)},
			{peer: axel(16)},
		]);
		const near = await startOrigin(t, bench.root);
		await fromOrigin(bench, near, 'no limit', ourGet(4), [
			{peer: curl, goal: atLeast(0.8)},
			{peer: aria2(4), goal: atLeast(1)},
			{peer: axel(4)},
		]);
	});
}

/** `goals` apply to the speeds, and to the CPU relative to the first peer. */
export async function fromOrigin(
	{report, rounds, size, scope}: Bench,
	origin: Origin,
	what: string,
	ours: Downloader,
	against: ReadonlyArray<{peer: Downloader; goal?: Goal}>,
	cpuGoal?: Goal,
): Promise<void> {
	const contestants = present([ours, ...against.map(({peer}) => peer)]);
	const samples = await interleaved(
		rounds,
		new Map(
			contestants.map(downloader => [
				downloader.name,
				() =>
					scope(async t => {
						const wasReady = await readyMemory(size, contestants.length);
						return {...(await sampleOf(t, downloader, `${origin.url}/film.bin`, size)), wasReady};
					}),
			]),
		),
	);
	report.noteMemory(
		what,
		Array.from(samples.values())
			.flat()
			.map(({wasReady}) => wasReady),
	);
	const only = (name: string, field: 'speed' | 'cpu') => samples.get(name)?.map(sample => sample[field]);
	for (const {peer, goal} of against) {
		report.compare(what, 'MiB/s', only(ours.name, 'speed')!, peer.name, only(peer.name, 'speed'), goal);
	}

	const [{peer}] = against as [{peer: Downloader}];
	report.compare(
		`${what}: CPU for a GiB`,
		's',
		only(ours.name, 'cpu')!,
		peer.name,
		only(peer.name, 'cpu'),
		cpuGoal,
	);
	const peak = Math.max(...samples.get(ours.name)!.map(({memory}) => memory));
	report.state(`${what}: memory at most`, 'MiB', peak / MiB, atMost(120));
}

export async function sampleOf(t: TestContext, {name, command}: Downloader, url: string, size: number) {
	const folder = await temporaryFolder(t);
	const output = path.join(folder, 'output.bin');
	const [program = '', ...args] = await command(url, output, folder);
	const before = cpuSeconds('self');
	const own = process.cpuUsage();
	const began = performance.now();
	const child = spawn(program, args, {stdio: 'ignore', env: cleanEnvironment(), timeout: 300_000});
	let memory = 0;
	const watch = setInterval(() => {
		memory = Math.max(memory, peakMemory(child.pid!) || 0);
	}, 20);
	const [code] = (await once(child, 'exit')) as [number | null];
	clearInterval(watch);
	const seconds = (performance.now() - began) / 1000;
	const {user, system} = process.cpuUsage(own);
	// The CPU time of the children: the increase for process and children, less the process's own work (the slow line).
	const cpu = cpuSeconds('self') - before - (user + system) / 1e6;
	if (code !== 0 || (await stat(output)).size !== size) {
		throw new Error(`${name} has not downloaded ${url}: exit code ${code}`);
	}

	await rm(output);
	return {seconds, speed: size / MiB / seconds, cpu: (cpu / size) * GiB, memory};
}
