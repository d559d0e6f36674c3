// What drawing costs: the built program in a pseudo-terminal, beside the same downloads without a screen.
import {spawn} from 'node:child_process';
import {readFileSync} from 'node:fs';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {builtCli} from '../test/support/cli.ts';
import {withoutTest} from '../test/support/cleanup.ts';
import {startOrigin, temporaryFolder} from '../test/support/engines.ts';
import {TestTerminal} from '../test/support/terminal.ts';

const MiB = 1024 * 1024;
const downloads = 10;
const seconds = 12;
const keys = 30;
const size = {columns: 120, rows: 40};
/** Of /proc/PID/stat. */
const ticksPerSecond = 100;

const {t, end} = withoutTest();
try {
	const origin = await startOrigin(t, {size: 500 * MiB, etag: '"v1"', bytesPerSecond: MiB / 2});
	const urls = Array.from({length: downloads}, (_, index) => origin.urlOf(`/film-number-${index}.mkv`));
	const args = ['--port', '0', '--max-active', String(downloads), '--connections', '2'];

	const terminal = await TestTerminal.start(t, [...args, '--storage', await temporaryFolder(t), ...urls], {
		...size,
		env: {COLORTERM: 'truecolor'},
	});
	await terminal.shows(/film-number-9\.mkv/);
	await sleep(3000);
	const before = terminal.raw.length;
	const drawn = await cpu(terminal.pid);
	const bytes = (terminal.raw.length - before) / seconds;

	const plain = spawn(
		process.execPath,
		[await builtCli(), 'serve', ...args, '--storage', await temporaryFolder(t), ...urls],
		{
			stdio: 'ignore',
		},
	);
	t.after(() => plain.kill());
	terminal.signal('SIGSTOP');
	await sleep(3000);
	const undrawn = await cpu(plain.pid!);
	plain.kill();
	terminal.signal('SIGCONT');
	await sleep(500);

	console.log(`${downloads} running downloads at ${size.columns}x${size.rows}, ${seconds} s each:`);
	console.log(
		`  CPU of one core with the dashboard ${percent(drawn)}, without ${percent(undrawn)}: drawing costs ${percent(drawn - undrawn)}`,
	);
	console.log(`  written to the terminal: ${(bytes / 1000).toFixed(1)} kB/s`);

	const took: number[] = [];
	for (let round = 0; round < keys; round++) {
		const wanted = round % 2 === 0 ? '▸ ↓ film-number-1.mkv' : '▸ ↓ film-number-0.mkv';
		const began = performance.now();
		terminal.press(round % 2 === 0 ? 'j' : 'k');
		await terminal.shows(wanted);
		took.push(performance.now() - began);
		await sleep(100);
	}

	console.log(
		`  from a key to the screen: ${median(took).toFixed(0)} ms (slowest ${Math.max(...took).toFixed(0)} ms)`,
	);
	terminal.press('P');
	await terminal.shows('Paused');
	await terminal.shows(/downstream {2}idle/);
	await sleep(5000);
	const idleFrom = terminal.raw.length;
	const idle = await cpu(terminal.pid);
	console.log(`  all paused: CPU ${percent(idle)}, ${terminal.raw.length - idleFrom} bytes written`);
} finally {
	await end();
}

process.exit();

/** The share of one core over the next seconds. */
async function cpu(pid: number): Promise<number> {
	const before = ticks(pid);
	await sleep(seconds * 1000);
	return (ticks(pid) - before) / ticksPerSecond / seconds;
}

function ticks(pid: number): number {
	// The name may hold blanks; the times are the 14th and 15th field.
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
		.replace(/^.*\) /, '')
		.split(' ');
	return Number(fields[11]) + Number(fields[12]);
}

function percent(share: number): string {
	return `${(share * 100).toFixed(1)} %`;
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
