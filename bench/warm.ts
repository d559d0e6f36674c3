// Players read a complete file: one, then many at once.
import type {Bench} from './section.ts';
import {cpuSeconds, firstByte, GiB, interleaved, median, MiB, readAtOnce, readWhole} from './measure.ts';
import {peakMemory} from '../test/support/process-memory.ts';
import {startOrigin} from './origins.ts';
import {nginx, nginxSlice1, ours, present, rclone, type RunningProxy} from './peers.ts';
import {atLeast, atMost} from './report.ts';

/** Bytes for each of many players. */
const readerBytes = 4 * MiB;
const seeks = 40;

export async function warm({report, rounds, size, root, scope}: Bench): Promise<void> {
	await scope(async t => {
		const origin = await startOrigin(t, root);
		const proxies = new Map<string, RunningProxy>();
		for (const {name, start} of present([ours, nginx, nginxSlice1, rclone])) {
			const proxy = await start(t, origin);
			await readWhole(proxy.urlOf('/film.bin'), size);
			proxies.set(name, proxy);
		}

		const everybody = <Sample>(
			count: number,
			sample: (proxy: RunningProxy, round: number) => Promise<Sample>,
		) =>
			interleaved(
				count,
				new Map(Array.from(proxies, ([name, proxy]) => [name, (round: number) => sample(proxy, round)])),
			);
		const times = Math.ceil(GiB / size);
		const alone = await everybody(rounds, async proxy => {
			const before = cpuSeconds(proxy.pid);
			const seconds = await readWhole(proxy.urlOf('/film.bin'), size, times);
			const cpu = ((cpuSeconds(proxy.pid) - before) / (size * times)) * GiB;
			return {speed: (size * times) / MiB / seconds, cpu};
		});
		const compare = (
			what: string,
			unit: string,
			samples: Map<string, number[]>,
			goals: Record<string, Parameters<typeof report.compare>[5]>,
		) => {
			for (const [peer, goal] of Object.entries(goals)) {
				report.compare(what, unit, samples.get(ours.name)!, peer, samples.get(peer), goal);
			}
		};
		compare(
			'one player',
			'MiB/s',
			only(alone, ({speed}) => speed),
			{
				[nginx.name]: atLeast(0.9),
				[nginxSlice1.name]: undefined,
				[rclone.name]: atLeast(1),
			},
		);
		compare(
			'CPU for a GiB',
			's',
			only(alone, ({cpu}) => cpu),
			{
				[rclone.name]: atMost(1),
				[nginx.name]: undefined,
			},
		);

		for (const readers of [64, 256]) {
			const ranges = Array.from({length: readers}, (_, reader) => {
				const start = (reader * readerBytes) % (size - readerBytes);
				return {start, end: start + readerBytes};
			});
			const together = await everybody(rounds, async proxy => {
				const took = await readAtOnce(proxy.urlOf('/film.bin'), ranges);
				return {
					speed: (readers * readerBytes) / MiB / Math.max(...took),
					unevenness: Math.max(...took) / median(took),
				};
			});
			compare(
				`${readers} players at once`,
				'MiB/s',
				only(together, ({speed}) => speed),
				{
					[nginx.name]: atLeast(0.8),
					[rclone.name]: undefined,
				},
			);
			compare(
				`${readers} players: the slowest relative to the median`,
				'times',
				only(together, ({unevenness}) => unevenness),
				{
					[nginx.name]: undefined,
				},
			);
		}

		const waits = await everybody(seeks, (proxy, round) =>
			firstByte(proxy.urlOf('/film.bin'), ((round * 7919) % (size / MiB - 1)) * MiB, 256 * 1024),
		);
		for (const peer of [nginx, rclone]) {
			const theirs = waits.get(peer.name);
			compare('first byte of a seek', 'ms', waits, {[peer.name]: undefined});
			if (theirs) {
				const more = median(waits.get(ours.name)!) - median(theirs);
				report.state(
					`first byte of a seek, beyond that of ${peer.name}`,
					'ms',
					more,
					peer === nginx ? atMost(2) : undefined,
				);
			}
		}

		report.state(`first byte of a seek, the slowest of ${seeks}`, 'ms', Math.max(...waits.get(ours.name)!));
		report.state('memory at most', 'MiB', peakMemory(proxies.get(ours.name)!.pid) / MiB, atMost(120));
	});
}

function only<Sample>(
	samples: Map<string, Sample[]>,
	pick: (sample: Sample) => number,
): Map<string, number[]> {
	return new Map(Array.from(samples, ([name, taken]) => [name, taken.map(sample => pick(sample))]));
}
