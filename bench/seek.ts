// A player seeks to missing bytes while background connections use the whole line.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import type {TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {atEnd} from '../test/support/cleanup.ts';
import type {Bench} from './section.ts';
import {firstByte, interleaved, median, MiB, until} from './measure.ts';
import {startOrigin, type Origin} from './origins.ts';
import {nginxSlice1, ours, present, rclone, type CachingProxy} from './peers.ts';
import {atMost} from './report.ts';

const seeks = 15;
const backgroundConnections = 4;
const wanted = 64 * 1024;
/** People seek no faster than this. */
const betweenSeeksMs = 300;
const bare = 'a keep-alive connection to the origin itself';

export async function seek(bench: Bench): Promise<void> {
	const {report, scope} = bench;
	await scope(async t => {
		const roundTripMs = 50;
		const line = {roundTripMs, bytesPerSecond: 4 * MiB};
		const origin = await startOrigin(t, bench.root, {tls: true, line});
		const waits = await farSeeks(bench, origin);
		const what = `${roundTripMs} ms away by TLS, beside ${backgroundConnections} connections`;
		for (const [name, taken] of waits) {
			const trips = median(taken) / roundTripMs;
			report.state(`${what}: ${name}`, 'trips', trips, name === ours.name ? atMost(1.2) : undefined);
		}
	});
	await scope(async t => {
		const roundTripMs = 100;
		const line = {roundTripMs, bytesPerSecond: MiB / backgroundConnections};
		const origin = await startOrigin(t, bench.root, {line});
		const waits = await farSeeks(bench, origin);
		const what = `${roundTripMs} ms away, beside a download of 1 MiB/s`;
		report.state(`${what}: ${ours.name}`, 'trips', median(waits.get(ours.name)!) / roundTripMs);
		report.state(`${what}: the slowest of ${seeks}`, 'ms', Math.max(...waits.get(ours.name)!), atMost(1500));
		report.compare(what, 'ms', waits.get(ours.name)!, rclone.name, waits.get(rclone.name));
		await firstOfAll(bench, origin);
	});
}

/**
 * Milliseconds until the first byte. The background continues from the newest player's position, so each seek goes further
 * back. Each program's background runs only during its turn: all of them together would overload two cores.
 */
async function farSeeks({size, scope}: Bench, origin: Origin): Promise<Map<string, number[]>> {
	const step = Math.floor(size / 4 / (seeks + 2) / MiB) * MiB;
	const placeOf = (round: number) => size - MiB - (round + 1) * step;
	const waits = new Map<string, number[]>();
	const measure = async (contestants: ReadonlyMap<string, (round: number) => Promise<number>>) => {
		for (const [name, taken] of await interleaved(seeks, contestants)) {
			waits.set(name, taken);
		}
	};
	for (const peer of present([nginxSlice1, rclone])) {
		await scope(async t => {
			const url = await startPeer(t, peer, origin, size);
			await measure(new Map([[peer.name, unhurried(round => firstByte(url, placeOf(round), wanted))]]));
		});
	}

	await scope(async t => {
		const proxy = await ours.start(t, origin, `${origin.url}/film.bin`);
		const film = async () => (await proxy.downloads())[0];
		await until(
			async () => (await film())?.connections === backgroundConnections,
			'the background connections',
		);
		const own = unhurried(async round => {
			const place = placeOf(round);
			if ((await film())?.ranges.some(([start, end]) => start <= place && place < end)) {
				throw new Error('The background reached the position before the player; use a larger --size');
			}

			return firstByte(proxy.urlOf('/film.bin'), place, wanted);
		});
		await measure(
			new Map([
				[bare, await bareSeeks(t, origin, placeOf)],
				[ours.name, own],
			]),
		);
	});
	return waits;
}

function unhurried(seek: (round: number) => Promise<number>): (round: number) => Promise<number> {
	return async round => {
		await sleep(betweenSeeksMs);
		return seek(round);
	};
}

/** The share of the line and the origin, on a keep-alive connection. */
async function bareSeeks(
	t: TestContext,
	origin: Origin,
	placeOf: (round: number) => number,
): Promise<(round: number) => Promise<number>> {
	const isTls = origin.ca !== undefined;
	const Agent = isTls ? https.Agent : http.Agent;
	const agent = new Agent({
		keepAlive: true,
		maxSockets: 1,
		...(origin.ca !== undefined && {ca: await readFile(origin.ca)}),
	});
	atEnd(t, () => agent.destroy());
	const {get} = isTls ? https : http;
	const ask = async (round: number) => {
		const began = performance.now();
		const start = placeOf(round);
		const range = `bytes=${start}-${start + wanted - 1}`;
		const [answer] = (await once(get(`${origin.url}/film.bin`, {agent, headers: {range}}), 'response')) as [
			http.IncomingMessage,
		];
		await once(answer, 'readable');
		const took = performance.now() - began;
		answer.resume();
		await once(answer, 'end');
		return took;
	};
	await ask(-1);
	return ask;
}

/** Resolves with the film's URL for players. Peers fetch only the bytes that players read, so four players start. */
async function startPeer(t: TestContext, peer: CachingProxy, origin: Origin, size: number): Promise<string> {
	const url = (await peer.start(t, origin)).urlOf('/film.bin');
	for (let player = 0; player < backgroundConnections; player++) {
		// Far enough apart that rclone does not make one wait for another.
		const start = Math.floor((size / 8) * player);
		const args = ['--silent', '--output', '/dev/null', '--range', `${start}-`, url];
		const child = spawn('curl', args, {stdio: 'ignore'});
		atEnd(t, () => void child.kill());
		await firstByte(url, start, wanted);
	}

	return url;
}

/** Milliseconds until the first byte of a new file. */
async function firstOfAll({report, rounds, scope}: Bench, origin: Origin): Promise<void> {
	const waits = await interleaved(
		rounds,
		new Map<string, () => Promise<number>>([
			...present([ours, rclone]).map(
				({name, start}) =>
					[
						name,
						() => scope(async t => firstByte((await start(t, origin)).urlOf('/film.bin'), 0, wanted)),
					] as const,
			),
			['the origin itself', () => firstByte(`${origin.url}/film.bin`, 0, wanted)],
		]),
	);
	const what = '100 ms away, 256 KiB/s: first byte of a new download';
	report.state(`${what}: the slowest of ${rounds}`, 'ms', Math.max(...waits.get(ours.name)!), atMost(1000));
	for (const peer of ['the origin itself', rclone.name]) {
		report.compare(what, 'ms', waits.get(ours.name)!, peer, waits.get(peer));
	}
}
