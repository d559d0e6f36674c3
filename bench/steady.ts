// CPU time of a download on a slow line, compared with other download programs.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {TestContext} from 'node:test';
import {atEnd} from '../test/support/cleanup.ts';
import {cleanEnvironment} from '../test/support/cli.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {TestTerminal} from '../test/support/terminal.ts';
import {fromOrigin} from './download.ts';
import {cpuSeconds, interleaved, MiB} from './measure.ts';
import {startOrigin} from './origins.ts';
import {aria2, ourGet, present, type Downloader} from './peers.ts';
import {atMost} from './report.ts';
import type {Bench} from './section.ts';

/** Excludes the start. */
const settleMs = 2000;
const watchedMs = 8000;

/** Many slow connections. */
export async function cpu16(bench: Bench): Promise<void> {
	await bench.scope(async t => {
		const origin = await startOrigin(t, bench.root, {line: {bytesPerSecond: MiB}});
		await fromOrigin(
			bench,
			origin,
			'16 connections of 1 MiB/s',
			ourGet(16),
			[{peer: aria2(16)}],
			atMost(1.2),
		);
	});
}

/** A household line: 20 MiB/s over four connections. */
export async function daily({report, rounds, root, size, scope}: Bench): Promise<void> {
	const bytesPerSecond = 5 * MiB;
	if (size / (4 * bytesPerSecond) < (settleMs + watchedMs) / 1000) {
		throw new Error('The section needs --size 256 or more');
	}

	await scope(async t => {
		const origin = await startOrigin(t, root, {line: {bytesPerSecond}});
		const url = `${origin.url}/film.bin`;
		const get = ourGet(4);
		const peer = aria2(4);
		const shares = await interleaved<string, number>(
			rounds,
			new Map([
				['screen', () => scope(async t => shareOf(await drawn(t, url)))],
				...present([get, peer]).map(
					downloader =>
						[downloader.name, () => scope(async t => shareOf(await started(t, downloader, url)))] as const,
				),
			]),
		);
		report.compare(
			'20 MiB/s, get: share of a core',
			'%',
			shares.get(get.name)!,
			peer.name,
			shares.get(peer.name),
			atMost(1),
		);
		report.compare(
			'  with the screen',
			'%',
			shares.get('screen')!,
			peer.name,
			shares.get(peer.name),
			atMost(1.7),
		);
	});
}

async function drawn(t: TestContext, url: string): Promise<number> {
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(t, ['--storage', storage, '--port', '0', url], {
		columns: 120,
		rows: 40,
	});
	await terminal.shows('film');
	return terminal.pid;
}

async function started(t: TestContext, {command}: Downloader, url: string): Promise<number> {
	const folder = await temporaryFolder(t);
	const [program = '', ...args] = await command(url, path.join(folder, 'output.bin'), folder);
	const child = spawn(program, args, {stdio: 'ignore', env: cleanEnvironment()});
	atEnd(t, async () => {
		child.kill('SIGKILL');
		await once(child, 'exit');
	});
	await once(child, 'spawn');
	return child.pid!;
}

/** Percent. */
async function shareOf(pid: number): Promise<number> {
	await sleep(settleMs);
	const before = cpuSeconds(pid);
	const began = performance.now();
	await sleep(watchedMs);
	return ((cpuSeconds(pid) - before) / (performance.now() - began)) * 100_000;
}
