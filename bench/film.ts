// Minutes: truth of the playable stretches, error of the forecast, and time to the first frame of a film with its index at
// the end.
import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import path from 'node:path';
import {createInterface} from 'node:readline';
import type {TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import {readFilm} from '../source/engine/film/read-film.ts';
import {atEnd} from '../test/support/cleanup.ts';
import {playClaims, randomPresence} from '../test/support/claims.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {makeFilm, type FilmName} from '../test/support/films.ts';
import {playUntilStall} from '../test/support/mpv-stall.ts';
import {missing} from '../test/support/programs.ts';
import {randomOf} from '../test/support/soak.ts';
import {interleaved, median, MiB, until} from './measure.ts';
import {startOrigin, type Origin} from './origins.ts';
import {ours, present, rclone} from './peers.ts';
import {atMost} from './report.ts';
import type {Bench} from './section.ts';

/** Sets of present bytes per round; five rounds make 500. */
const setsOfRound = 100;
const claimed: readonly FilmName[] = ['front.mp4', 'tail.mp4', 'indexed.mp4', 'tail.mkv', 'tail.webm'];
const film = {name: 'long.mp4', seconds: 60, bytesPerSecond: 512 * 1024};
/** The same picture at a lower rate, many times: an index of 1.2 MiB. */
const episode = {name: 'episode.mp4', repeats: 29};
const mpv = ['--no-config', '--vo=null', '--ao=null', '--frames=1'];

export async function films(bench: Bench): Promise<void> {
	const needs = missing('ffmpeg', 'mpv');
	if (needs !== false) {
		bench.report.skip(`film ${needs}`);
		return;
	}

	await claims(bench);
	await makeLong(bench.root);
	await forecasts(bench);
	await frames(bench);
}

/** Only the second part of `films`. */
export async function forecast(bench: Bench): Promise<void> {
	await makeLong(bench.root);
	await forecasts(bench);
}

/** Only the last part of `films`. */
export async function frame(bench: Bench): Promise<void> {
	await makeLong(bench.root);
	await frames(bench);
}

async function frames(bench: Bench): Promise<void> {
	await makeEpisode(bench.root);
	await firstFrames(bench, film.name, 'index at the end');
	await firstFrames(bench, episode.name, '1.2 MiB of index');
}

async function claims({report, rounds, scope}: Bench): Promise<void> {
	let played = 0;
	let broken = 0;
	let exceeded = 0;
	for (let set = 0; set < setsOfRound * rounds; set++) {
		const name = claimed[set % claimed.length]!;
		const bytes = await makeFilm(name);
		const map = await readFilm(bytes.length, async (start, _end, maxEnd) => bytes.subarray(start, maxEnd));
		const result = await scope(t =>
			playClaims(t, name, bytes, map, randomPresence(map, bytes.length, randomOf(set))),
		);
		played += result.claimed.length;
		broken += result.broken.length;
		exceeded += result.exceeded.length;
	}

	const what = `${setsOfRound * rounds} presence sets, ${played} stretches claimed`;
	report.state(`${what}: not played to their end`, '', broken, atMost(0));
	report.state(`${what}: played on past the next key frame`, '', exceeded, atMost(0));
}

/** With its index at the end, and a constant rate. */
async function makeLong(root: string): Promise<void> {
	const rate = `${film.bytesPerSecond * 8}`;
	await promisify(execFile)('ffmpeg', [
		...['-v', 'error', '-y', '-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=25:duration=${film.seconds}`],
		...['-f', 'lavfi', '-i', `sine=frequency=300:duration=${film.seconds}`],
		...['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '25', '-x264-params', 'nal-hrd=cbr', '-b:v', rate],
		...['-minrate', rate, '-maxrate', rate, '-bufsize', rate, '-c:a', 'aac', path.join(root, film.name)],
	]);
}

async function makeEpisode(root: string): Promise<void> {
	const part = path.join(root, 'part.mp4');
	const size = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '50', '-b:v', '800k'];
	await promisify(execFile)('ffmpeg', ['-v', 'error', '-y', '-i', path.join(root, film.name), ...size, part]);
	await promisify(execFile)('ffmpeg', [
		...['-v', 'error', '-y', '-stream_loop', `${episode.repeats}`, '-i', part],
		...['-c', 'copy', path.join(root, episode.name)],
	]);
}

/** Rate of arrival, as a share of the film's own rate: five that run at the same time, in real time. */
const ratios = [
	[0.3, 0.5, 0.7, 0.9, 1.3],
	[0.35, 0.55, 0.75, 0.85, 1.5],
	[0.4, 0.6, 0.65, 0.8, 1.1],
	[0.45, 0.5, 0.7, 0.95, 1.2],
];
/** Milliseconds over which the forecast averages the rate. */
const averageMs = 6000;

async function forecasts({report, root, scope}: Bench): Promise<void> {
	const errors: number[] = [];
	const measure = async (ratio: number) => {
		const line = {roundTripMs: 20, bytesPerSecond: ratio * film.bytesPerSecond};
		await scope(async t => {
			const origin = await startOrigin(t, root, {line});
			const proxy = await ours.start(t, origin, '--connections', '1');
			const url = proxy.urlOf(`/${film.name}`);
			await (await fetch(url, {headers: {range: 'bytes=0-0'}})).arrayBuffer();
			const shown = async () => (await proxy.downloads())[0]?.film;
			await until(async () => (await shown()) !== null, 'the film');
			await sleep(averageMs);
			const {stallAt} = (await shown())!;
			const stalled = await playUntilStall(t, url);
			const what = `arrives at ${ratio} of its rate: it stalls at`;
			report.state(`${what}, told`, 's', (stallAt ?? Infinity) / 1000);
			report.state(`${what}, really`, 's', stalled);
			if (stallAt !== null && stalled !== Infinity) {
				errors.push(Math.abs(stallAt / 1000 - stalled));
			}
		});
	};

	for (const group of ratios) {
		await Promise.all(group.map(measure));
	}

	report.state('error of the forecast, median', 's', median(errors), atMost(3));
}

async function firstFrames({report, rounds, root, scope}: Bench, name: string, what: string): Promise<void> {
	const line = {roundTripMs: 100, bytesPerSecond: MiB};
	const contestants = new Map<string, () => Promise<number>>([
		[
			'mpv alone',
			() => scope(async t => firstFrame(t, `${(await startOrigin(t, root, {line})).url}/${name}`)),
		],
	]);
	for (const proxy of [ours, ...present([rclone])]) {
		contestants.set(proxy.name, () =>
			scope(async t => {
				const origin = await startOrigin(t, root, {line});
				return firstFrame(t, (await proxy.start(t, origin)).urlOf(`/${name}`));
			}),
		);
	}

	if (!missing('aria2c')) {
		contestants.set('aria2c in order', () =>
			scope(async t => aria2Frame(t, await startOrigin(t, root, {line}), name)),
		);
	}

	const samples = await interleaved(rounds, contestants);
	const own = samples.get(ours.name)!;
	for (const peer of ['rclone', 'mpv alone', 'aria2c in order']) {
		report.compare(`first frame, ${what}, 100 ms, 1 MiB/s`, 'ms', own, peer, samples.get(peer), atMost(0.8));
	}
}

/**
 * Milliseconds from the start of mpv until it shows a picture. It exits later: first it plays the sound that it has
 * buffered. Rejects if it shows none.
 */
async function firstFrame(t: TestContext, url: string): Promise<number> {
	const began = performance.now();
	const child = spawn('mpv', [...mpv, '--msg-level=all=no,cplayer=v', url], {
		stdio: ['ignore', 'pipe', 'ignore'],
	});
	const ended = once(child, 'exit');
	atEnd(t, async () => {
		child.kill('SIGKILL');
		await ended;
	});
	for await (const line of createInterface({input: child.stdout})) {
		if (line.includes('first video frame')) {
			return performance.now() - began;
		}
	}

	throw new Error(`mpv showed no frame of ${url}`);
}

/** Restarts mpv on the growing file until it shows a frame. */
async function aria2Frame(t: TestContext, origin: Origin, name: string): Promise<number> {
	const folder = await temporaryFolder(t);
	const began = performance.now();
	const child = spawn(
		'aria2c',
		[
			...['--no-conf', '--quiet', '--file-allocation=none', '--min-split-size=1M', '-x16', '-s16'],
			...['--stream-piece-selector=inorder', '--dir', folder, '--out', name, `${origin.url}/${name}`],
		],
		{stdio: 'ignore'},
	);
	const ended = once(child, 'exit');
	atEnd(t, async () => {
		child.kill();
		await ended;
	});
	for (;;) {
		try {
			await firstFrame(t, path.join(folder, name));
			return performance.now() - began;
		} catch {
			await sleep(100);
		}
	}
}
