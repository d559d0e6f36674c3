// One player reads an uncached file, and every byte is cached.
import type {Bench} from './section.ts';
import {cpuSeconds, diskUse, GiB, interleaved, MiB, readWhole, readyMemory} from './measure.ts';
import {peakMemory} from '../test/support/process-memory.ts';
import {startOrigin, type Origin} from './origins.ts';
import {nginx, nginxSlice1, nginxSlice4, ours, present, rclone, type CachingProxy} from './peers.ts';
import {atLeast, atMost, type Goal} from './report.ts';

type Sample = {
	readonly speed: number;
	readonly cpu: number;
	readonly memory: number;
	readonly wasReady: boolean;
};

export async function cold(bench: Bench): Promise<void> {
	await bench.scope(async t => {
		const plain = await startOrigin(t, bench.root);
		const samples = await fromOrigin(bench, plain, 'one player', [
			{peer: rclone, goal: atLeast(1)},
			{peer: nginxSlice1, goal: atLeast(1.5)},
			{peer: nginxSlice4},
			{peer: nginx, goal: atLeast(1)},
		]);
		bench.report.compare(
			'CPU for a GiB',
			's',
			samples.get(ours.name)!.map(({cpu}) => cpu),
			rclone.name,
			samples.get(rclone.name)?.map(({cpu}) => cpu),
			atMost(1.5),
		);
		bench.report.compare(
			'CPU for a GiB',
			's',
			samples.get(ours.name)!.map(({cpu}) => cpu),
			nginxSlice1.name,
			samples.get(nginxSlice1.name)?.map(({cpu}) => cpu),
		);
		const encrypted = await startOrigin(t, bench.root, {tls: true});
		await fromOrigin(bench, encrypted, 'one player, TLS', [
			{peer: rclone},
			{peer: nginxSlice1, goal: atLeast(1.2)},
			{peer: nginx},
		]);
	});
}

async function fromOrigin(
	{report, rounds, size, scope}: Bench,
	origin: Origin,
	what: string,
	against: ReadonlyArray<{peer: CachingProxy; goal?: Goal}>,
): Promise<Map<string, Sample[]>> {
	const contestants = present([ours, ...against.map(({peer}) => peer)]);
	const samples = await interleaved(
		rounds,
		new Map(
			contestants.map(({name, start}) => [
				name,
				() =>
					scope(async t => {
						const proxy = await start(t, origin);
						const wasReady = await readyMemory(size, contestants.length);
						const before = cpuSeconds(proxy.pid);
						const seconds = await readWhole(proxy.urlOf('/film.bin'), size);
						const sample = {
							speed: size / MiB / seconds,
							cpu: ((cpuSeconds(proxy.pid) - before) / size) * GiB,
							memory: peakMemory(proxy.pid),
							wasReady,
						};
						if ((await diskUse(proxy.folder)) < size) {
							throw new Error(`${name} has not cached the file`);
						}

						return sample;
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
	const speeds = (name: string) => samples.get(name)?.map(({speed}) => speed);
	for (const {peer, goal} of against) {
		report.compare(what, 'MiB/s', speeds(ours.name)!, peer.name, speeds(peer.name), goal);
	}

	const peak = Math.max(...samples.get(ours.name)!.map(({memory}) => memory));
	report.state(`${what}: memory at most`, 'MiB', peak / MiB, atMost(120));
	return samples;
}
