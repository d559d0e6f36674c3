// Pledges: the time until ten minutes of a long film can be played without its server, and the first byte of a player while
// a pledge runs.
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {SafeRequest} from '../source/downstream.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {playedTo} from '../test/support/played-to.ts';
import {missing} from '../test/support/programs.ts';
import {firstByte, interleaved, MiB, run, until} from './measure.ts';
import {startOrigin} from './origins.ts';
import {aria2, ours} from './peers.ts';
import {atMost} from './report.ts';
import type {Bench} from './section.ts';

const film = {name: 'two-hours.mp4', minutes: 120, kilobitsPerSecond: 1000};
const minuteMs = 60_000;
/** From an arbitrary place. */
const stretch = {fromMs: 47 * minuteMs, forMs: 10 * minuteMs};
const connections = 16;
/** A frame, and a packet of sound. */
const lastFrameMs = 200;

export async function safe(bench: Bench): Promise<void> {
	const needs = missing('ffmpeg', 'mpv', 'aria2c');
	if (needs !== false) {
		bench.report.skip(`safe ${needs}`);
		return;
	}

	await makeLong(bench.root);
	await tenMinutes(bench);
	await firstBytes(bench);
}

/** One minute, repeated. Its index is at the end. */
async function makeLong(root: string): Promise<void> {
	const [minute, whole] = [path.join(root, 'minute.mp4'), path.join(root, film.name)];
	const rate = `${film.kilobitsPerSecond}k`;
	await run('ffmpeg', [
		...['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=25:duration=60'],
		...['-f', 'lavfi', '-i', 'sine=frequency=300:duration=60', '-c:v', 'libx264', '-preset', 'ultrafast'],
		...['-g', '50', '-x264-params', 'nal-hrd=cbr', '-b:v', rate, '-minrate', rate, '-maxrate', rate],
		...['-bufsize', rate, '-c:a', 'aac', '-ar', '16000', '-b:a', '32k', minute],
	]);
	await run('ffmpeg', [
		...['-v', 'error', '-y', '-stream_loop', String(film.minutes - 1), '-i', minute, '-c', 'copy', whole],
	]);
}

/** Seconds from the start of the program. The line is below the limits of the processor: 16 times 1 MiB/s. */
async function tenMinutes({report, root, rounds, scope}: Bench): Promise<void> {
	const line = {roundTripMs: 50, bytesPerSecond: MiB};
	let shown = Infinity;
	const own = () =>
		scope(async t => {
			const {safeAfter, streamUrl} = await scope(async origins => {
				const origin = await startOrigin(origins, root, {line});
				const began = performance.now();
				const url = `${origin.url}/${film.name}`;
				const proxy = await ours.start(t, origin, '--on-demand', '--connections', String(connections), url);
				await until(async () => (await proxy.downloads()).length > 0, 'the download');
				const [download] = await proxy.downloads();
				await proxy.makeSafe(download!.id, stretch);
				await until(
					async () => (await proxy.downloads())[0]!.pledges[0]!.state === 'safe',
					'the stretch to be safe',
				);
				return {safeAfter: (performance.now() - began) / 1000, streamUrl: download!.streamUrl};
			});
			// The origin is gone.
			const {fromMs, forMs} = stretch;
			shown = Math.min(shown, (await playedTo(streamUrl, fromMs, fromMs + forMs)) - fromMs);
			return safeAfter;
		});
	const peer = aria2(connections);
	const theirs = () =>
		scope(async t => {
			const origin = await startOrigin(t, root, {line});
			const folder = await temporaryFolder(t);
			const began = performance.now();
			const output = path.join(folder, film.name);
			const [program = '', ...args] = await peer.command(`${origin.url}/${film.name}`, output, folder);
			await run(program, args);
			return (performance.now() - began) / 1000;
		});
	const samples = await interleaved(
		Math.min(rounds, 2),
		new Map([
			[ours.name, own],
			[peer.name, theirs],
		]),
	);
	report.compare(
		'ten minutes of two hours can be played offline',
		's',
		samples.get(ours.name)!,
		`all by ${peer.name}`,
		samples.get(peer.name),
		atMost(1 / 8),
	);
	const missed = Math.max(0, stretch.forMs - lastFrameMs - shown);
	report.state('of them not played with the origin shut down', 's', missed / 1000, atMost(0));
}

const seeks = 15;
const wanted = 64 * 1024;
const betweenSeeksMs = 300;

/** Seeks of a player to missing bytes, while a pledge uses all connections and without any. */
async function firstBytes({report, root, size, scope}: Bench): Promise<void> {
	const step = Math.floor(size / 4 / (seeks + 2) / MiB) * MiB;
	const seek = (url: string) => async (round: number) => {
		await sleep(betweenSeeksMs);
		return firstByte(url, size - MiB - (round + 1) * step, wanted);
	};
	await scope(async t => {
		const origin = await startOrigin(t, root, {line: {roundTripMs: 50, bytesPerSecond: MiB / 2}});
		const url = `${origin.url}/film.bin`;
		const [quiet, busy] = [
			await ours.start(t, origin, '--on-demand', url),
			await ours.start(t, origin, '--on-demand', url),
		];
		for (const proxy of [quiet, busy]) {
			await until(async () => typeof (await proxy.downloads())[0]?.size === 'number', 'the size of the file');
		}

		const [download] = await busy.downloads();
		const all: SafeRequest = {bytes: Math.floor(size / 2)};
		await busy.makeSafe(download!.id, all);
		await until(async () => (await busy.downloads())[0]!.connections === 4, 'four connections');
		const samples = await interleaved(
			seeks,
			new Map([
				['busy', seek(busy.urlOf('/film.bin'))],
				['quiet', seek(quiet.urlOf('/film.bin'))],
			]),
		);
		if ((await busy.downloads())[0]!.pledges[0]!.state !== 'pending') {
			throw new Error('The pledge was met before the last seek; use a larger --size');
		}

		report.compare(
			'first byte of a seek while a pledge runs, 50 ms away',
			'ms',
			samples.get('busy')!,
			'without a pledge',
			samples.get('quiet'),
			atMost(1.1),
		);
	});
}
