// Time from the start of the program to its first frame.
import {setTimeout as sleep} from 'node:timers/promises';
import {builtCli} from '../test/support/cli.ts';
import {TestTerminal} from '../test/support/terminal.ts';
import type {Bench} from './section.ts';
import {collectionOf} from '../test/support/collections.ts';
import {interleaved, median, run} from './measure.ts';
import {atMost} from './report.ts';

export async function start({report, rounds, scope}: Bench): Promise<void> {
	await scope(async t => {
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
			]),
		);
		report.state('first frame', 'ms', median(took.get('empty')!), atMost(400));
		report.compare('first frame', 'ms', took.get('empty')!, 'node alone', took.get('node'));
		report.state('first frame with 1,000 downloads', 'ms', median(took.get('many')!), atMost(600));
		report.compare('--version', 'ms', took.get('version')!, 'node alone', took.get('node'));
	});
}
