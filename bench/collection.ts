// The cost of a growing collection: 1,000 complete downloads, then 9,000 more added; memory, start, keys.
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {AddRequest, Download} from '../source/downstream.ts';
import {CliProcess} from '../test/support/cli.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {memory} from '../test/support/process-memory.ts';
import {TestTerminal} from '../test/support/terminal.ts';
import {pressKeys} from './dashboard.ts';
import {median, MiB, until} from './measure.ts';
import {startOrigin} from './origins.ts';
import {atMost} from './report.ts';
import type {Bench} from './section.ts';

const fetched = 1000;
const more = 9000;
const factor = (fetched + more) / fetched;
const addedAtOnce = 8;
const settleMs = 5000;

export async function collection({report, root, scope}: Bench): Promise<void> {
	await scope(async t => {
		await writeFile(path.join(root, 'byte.bin'), '1');
		const origin = await startOrigin(t, root);
		const storage = await temporaryFolder(t);
		const requests = Array.from({length: fetched + more}, (_, number) => ({
			url: `${origin.url}/byte.bin?number=${number}`,
			paused: number >= fetched,
		}));
		const few = await grownBy(scope, storage, requests.slice(0, fetched));
		const all = await grownBy(scope, storage, requests.slice(fetched));
		for (const [what, unit] of [
			['memory', 'MiB'],
			['ready to stream', 'ms'],
			['first frame', 'ms'],
			['from a key to the screen', 'ms'],
		] as const) {
			report.compare(
				`10,000 downloads, 1,000 of them complete: ${what}`,
				unit,
				[all[what]],
				'1,000 complete',
				[few[what]],
				atMost(factor),
			);
		}
	});
}

/** Adds downloads and waits until those of the first step are complete; later starts have all of them. */
async function grownBy(scope: Bench['scope'], storage: string, requests: readonly AddRequest[]) {
	const args = ['--port', '0', '--storage', storage];
	const bytes = await scope(async t => {
		const cli = await CliProcess.start(t, ['serve', '--json', '--max-active', '16', ...args]);
		const {url, key} = (await cli.event('ready')) as unknown as {url: string; key: string};
		const headers = {authorization: `Bearer ${key}`, 'content-type': 'application/json'};
		const waiting = [...requests];
		const add = async () => {
			for (let request = waiting.shift(); request; request = waiting.shift()) {
				const answer = await fetch(`${url}/api/downloads`, {
					method: 'POST',
					headers,
					body: JSON.stringify(request),
				});
				if (!answer.ok) {
					throw new Error(await answer.text());
				}

				await answer.arrayBuffer();
			}
		};
		await Promise.all(Array.from({length: addedAtOnce}, add));
		await until(async () => {
			const downloads = (await (await fetch(`${url}/api/downloads`, {headers})).json()) as Download[];
			return downloads.filter(({status}) => status === 'complete').length === fetched;
		}, 'the complete downloads');
		await sleep(settleMs);
		const held = memory(cli.child.pid!);
		await cli.kill('SIGTERM');
		return held;
	});
	const ready = await scope(async t => {
		const began = performance.now();
		const cli = await CliProcess.start(t, ['serve', '--json', ...args]);
		await cli.event('ready');
		const took = performance.now() - began;
		await cli.kill('SIGTERM');
		return took;
	});
	return scope(async t => {
		const began = performance.now();
		const terminal = await TestTerminal.start(t, args, {columns: 120, rows: 40});
		await terminal.shows(/byte/);
		const frame = performance.now() - began;
		const key = median(await pressKeys(terminal));
		terminal.press('q');
		await Promise.race([terminal.exit(), sleep(2000)]);
		return {
			memory: bytes / MiB,
			'ready to stream': ready,
			'first frame': frame,
			'from a key to the screen': key,
		};
	});
}
