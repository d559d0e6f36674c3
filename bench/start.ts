// Time from the start of the program to its first frame, and to the end of a download of one byte.
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {builtCli} from '../test/support/cli.ts';
import {TestTerminal} from '../test/support/terminal.ts';
import type {Bench} from './section.ts';
import {collectionOf} from '../test/support/collections.ts';
import {sampleOf} from './download.ts';
import {interleaved, median, run} from './measure.ts';
import {startOrigin} from './origins.ts';
import {aria2, curl, ourGet, present} from './peers.ts';
import {atMost} from './report.ts';

export async function start({report, rounds, root, scope}: Bench): Promise<void> {
	await scope(async t => {
		await writeFile(path.join(root, 'byte.bin'), '1');
		const origin = await startOrigin(t, root);
		const fetchers = present([ourGet(4), curl, aria2(4)]);
		const empty = await collectionOf(t, 0);
		const many = await collectionOf(t, 1000);
		const cli = await builtCli();
		const frame = (storage: string, wanted: RegExp) => () =>
			scope(async t => {
				const began = performance.now();
				const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage], {
					columns: 120,
					rows: 40,
				});
				await terminal.shows(wanted);
				const took = performance.now() - began;
				terminal.press('q');
				await Promise.race([terminal.exit(), sleep(2000)]);
				return took;
			});
		const program =
			(...args: string[]) =>
			async () => {
				const began = performance.now();
				await run(process.execPath, args);
				return performance.now() - began;
			};
		const took = await interleaved<string, number>(
			rounds,
			new Map([
				['empty', frame(empty, /downstream/)],
				['many', frame(many, /film-number-\d+/)],
				['version', program(cli, '--version')],
				['node', program('--eval', '0')],
				...fetchers.map(
					fetcher =>
						[
							fetcher.name,
							() =>
								scope(async t => (await sampleOf(t, fetcher, `${origin.url}/byte.bin`, 1)).seconds * 1000),
						] as const,
				),
			]),
		);
		const get = took.get(ourGet(4).name)!;
		report.state('a file of one byte', 'ms', median(get), atMost(120));
		for (const {name} of [curl, aria2(4)]) {
			report.compare('a file of one byte', 'ms', get, name, took.get(name));
		}

		report.state('first frame', 'ms', median(took.get('empty')!), atMost(250));
		report.compare('first frame', 'ms', took.get('empty')!, 'node alone', took.get('node'));
		report.state('first frame with 1,000 downloads', 'ms', median(took.get('many')!), atMost(400));
		report.compare('--version', 'ms', took.get('version')!, 'node alone', took.get('node'));
	});
}
