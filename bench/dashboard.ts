// The cost of the screen while ten downloads run: delays of a player, CPU, keys.
import {fork} from 'node:child_process';
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import type {TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {atEnd} from '../test/support/cleanup.ts';
import {CliProcess} from '../test/support/cli.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {freePort} from '../test/support/nginx.ts';
import {TestTerminal} from '../test/support/terminal.ts';
import type {Bench} from './section.ts';
import {cpuSeconds, median, MiB, percentile} from './measure.ts';
import {peakMemory} from '../test/support/process-memory.ts';
import {startOrigin} from './origins.ts';
import type {Answer, Ask} from './paced-player.ts';
import {atMost} from './report.ts';

const downloads = 10;
const keys = 30;
const idleSeconds = 5;
const screen = {columns: 120, rows: 40};

type Copy = {readonly pid: number; readonly storage: string; readonly port: number};

export async function dashboard({report, root, scope}: Bench): Promise<void> {
	await scope(async t => {
		const origin = await startOrigin(t, root, {line: {bytesPerSecond: MiB / 4}});
		const urls = Array.from({length: downloads}, (_, index) => `${origin.url}/film.bin?number=${index}`);
		const argsOf = ({storage, port}: Omit<Copy, 'pid'>) => [
			...['--storage', storage, '--port', String(port), '--connections', '2'],
			...['--max-active', String(downloads + 1), ...urls],
		];

		const place = {storage: await temporaryFolder(t), port: await freePort()};
		const terminal = await TestTerminal.start(t, argsOf(place), {...screen, env: {COLORTERM: 'truecolor'}});
		await terminal.shows(text => (text.match(/film/g)?.length ?? 0) >= downloads);
		await sleep(3000);
		const writtenBefore = terminal.raw.length;
		const drawn = await playPaced(t, {pid: terminal.pid, ...place});
		const written = terminal.raw.length - writtenBefore;
		terminal.signal('SIGSTOP');

		const plainPlace = {storage: await temporaryFolder(t), port: await freePort()};
		const plain = await CliProcess.start(t, ['serve', '--json', ...argsOf(plainPlace)]);
		await plain.event('ready');
		await sleep(3000);
		const undrawn = await playPaced(t, {pid: plain.child.pid!, ...plainPlace});
		const engineMemory = peakMemory(plain.child.pid!);
		await plain.kill();
		terminal.signal('SIGCONT');

		for (const share of [0.5, 0.99, 1]) {
			const name = {0.5: 'half', 0.99: '99 %', 1: 'all'}[share]!;
			const late = percentile(drawn.lateness, share);
			report.state(
				`${name} of the chunks are late by at most`,
				'ms',
				late,
				share === 0.99 ? atMost(20) : undefined,
			);
			report.state('  without the screen', 'ms', percentile(undrawn.lateness, share));
		}

		report.compare('share of a core', '%', [drawn.cpu * 100], 'without the screen', [undrawn.cpu * 100]);
		report.state('written to the terminal', 'kB/s', written / drawn.seconds / 1000);
		report.state('memory at most', 'MiB', peakMemory(terminal.pid) / MiB, atMost(110));
		report.state('  the engine, without the screen', 'MiB', engineMemory / MiB, atMost(120));
		report.state('from a key to the screen', 'ms', median(await pressKeys(terminal)));

		terminal.press('P');
		await terminal.shows('Paused');
		await terminal.shows(/downstream {2}idle/);
		await sleep(5000);
		const before = cpuSeconds(terminal.pid);
		await sleep(idleSeconds * 1000);
		report.state(
			'all paused: share of a core',
			'%',
			((cpuSeconds(terminal.pid) - before) / idleSeconds) * 100,
		);
	});
}

/** A player reads chunks sent at a steady pace. Measures the delay of each in milliseconds, and the CPU. */
async function playPaced(t: TestContext, {pid, storage, port}: Copy) {
	const player = fork(path.join(import.meta.dirname, 'paced-player.ts'));
	atEnd(t, () => void player.kill());
	const [{origin}] = (await once(player, 'message')) as [Extract<Answer, {origin: string}>];
	const key = (await readFile(path.join(storage, 'key'), 'utf8')).trim();
	const before = cpuSeconds(pid);
	const began = performance.now();
	const ask: Ask = {
		streamUrl: `http://127.0.0.1:${port}/stream?${new URLSearchParams({url: origin, key}).toString()}`,
	};
	player.send(ask);
	const [{lateness}] = (await once(player, 'message')) as [Extract<Answer, {lateness: readonly number[]}>];
	const seconds = (performance.now() - began) / 1000;
	return {lateness, seconds, cpu: (cpuSeconds(pid) - before) / seconds};
}

/** Milliseconds from each key until the cursor has moved. */
export async function pressKeys(terminal: TestTerminal): Promise<number[]> {
	const cursorRow = (text: string) => text.split('\n').findIndex(line => line.trimStart().startsWith('▸'));
	const took: number[] = [];
	for (let round = 0; round < keys; round++) {
		const from = cursorRow(terminal.screen);
		const began = performance.now();
		terminal.press(round % 2 === 0 ? 'j' : 'k');
		await terminal.shows(text => cursorRow(text) !== from);
		took.push(performance.now() - began);
		await sleep(100);
	}

	return took;
}
