// Measurements, the same for every program: time and bytes by curl, the rest from /proc.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {readdir, stat} from 'node:fs/promises';
import {connect} from 'node:net';
import {freemem} from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Range} from '../source/engine/store/range-set.ts';
import {cleanEnvironment} from '../test/support/cli.ts';

export const MiB = 1024 * 1024;
export const GiB = 1024 * MiB;

/** Longer than any measurement that does not hang. */
const patienceMs = 300_000;
/** USER_HZ, the unit of /proc/PID/stat: 100 on every Linux that runs Node. */
const ticksPerSecond = 100;

/**
 * Takes one sample of each program per round, in turns, so that a change of the machine's load affects all of them. The
 * first round is a warm-up and does not count.
 */
export async function interleaved<Name extends string, Sample>(
	rounds: number,
	contestants: ReadonlyMap<Name, (round: number) => Promise<Sample>>,
): Promise<Map<Name, Sample[]>> {
	const samples = new Map<Name, Sample[]>(Array.from(contestants.keys(), name => [name, []]));
	for (let round = 0; round <= rounds; round++) {
		for (const [name, sample] of contestants) {
			const taken = await sample(round);
			if (round > 0) {
				samples.get(name)!.push(taken);
			}
		}
	}

	return samples;
}

/** Bytes that a program and its player need besides the file. */
const ownMemory = 128 * MiB;
/** CPU seconds for a byte of ready memory: the least of this run. */
let readyCost = Infinity;

/**
 * A virtual machine may return memory that is free for some seconds to its host, and getting it back takes four times as
 * long as writing to it. Allocates and frees what `programs` need that each write `size` bytes, until it is ready.
 * Resolves with false if the host takes it back each time. Judged by CPU time, which a busy machine does not change.
 */
export async function readyMemory(size: number, programs: number): Promise<boolean> {
	const bytes = Math.floor(Math.min(programs * (size + ownMemory), freemem() / 2));
	for (let attempt = 0; attempt < 4; attempt++) {
		const cost = (await allocationSeconds(bytes)) / bytes;
		const isComparable = readyCost < Infinity;
		readyCost = Math.min(readyCost, cost);
		if (isComparable && cost < 2 * readyCost) {
			return true;
		}
	}

	return false;
}

/** CPU seconds of a new process for so much memory, in pieces: Node 20 has no buffers beyond 4 GiB. */
async function allocationSeconds(bytes: number): Promise<number> {
	const output = await run(process.execPath, [
		'-e',
		`const before = process.cpuUsage();
		const held = [];
		for (let left = ${bytes}; left > 0; left -= ${64 * MiB}) held.push(Buffer.alloc(Math.min(left, ${64 * MiB}), 1));
		const {user, system} = process.cpuUsage(before);
		console.log((user + system) / 1e6);`,
	]);
	return Number(output);
}

export function median(values: readonly number[]): number {
	return percentile(values, 0.5);
}

/** The percentile of the values; `share` is 0 to 1. */
export function percentile(values: readonly number[], share: number): number {
	return (
		values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN
	);
}

/** CPU seconds of the process and its exited children. */
export function cpuSeconds(pid: number | 'self'): number {
	// The name may contain spaces; the third field follows it.
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
		.replace(/^.*\) /, '')
		.split(' ');
	return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / ticksPerSecond;
}

/** Bytes of disk used by the content of the folder. */
export async function diskUse(folder: string): Promise<number> {
	let bytes = 0;
	for (const entry of await readdir(folder, {recursive: true, withFileTypes: true})) {
		if (entry.isFile()) {
			// A temporary file may have disappeared.
			const found = await stat(path.join(entry.parentPath, entry.name)).catch(() => undefined);
			bytes += (found?.blocks ?? 0) * 512;
		}
	}

	return bytes;
}

/** Rejects if the condition does not become true in time. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
	const deadline = performance.now() + patienceMs;
	while (!(await condition())) {
		if (performance.now() > deadline) {
			throw new Error(`Timed out after ${patienceMs / 1000} s waiting for ${what}`);
		}

		await sleep(20);
	}
}

/** Runs a program to its end and resolves with its output. Rejects on failure. */
export async function run(program: string, args: readonly string[], input = ''): Promise<string> {
	const child = spawn(program, args, {
		stdio: ['pipe', 'pipe', 'pipe'],
		env: cleanEnvironment(),
		timeout: patienceMs,
	});
	child.stdin.end(input);
	let output = '';
	let errors = '';
	child.stdout.setEncoding('utf8').on('data', (text: string) => {
		output += text;
	});
	child.stderr.setEncoding('utf8').on('data', (text: string) => {
		errors += text;
	});
	const [code] = (await once(child, 'close')) as [number | null];
	if (code !== 0) {
		throw new Error(`${program} ${args.join(' ')} ended with ${code ?? child.signalCode}: ${errors}`);
	}

	return output;
}

/** Seconds that curl needs for each range, all at once. Rejects unless every byte arrives. */
export async function readAtOnce(url: string, ranges: readonly Range[]): Promise<number[]> {
	const lines = ranges.map(
		({start, end}) => `url = "${url}"
output = /dev/null
fail
silent
range = ${start}-${end - 1}
write-out = "%{time_total} %{size_download}\\n"`,
	);
	const output = await run(
		'curl',
		['--parallel', '--parallel-immediate', '--parallel-max', String(ranges.length), '--config', '-'],
		lines.join('\nnext\n'),
	);
	const results = output
		.trim()
		.split('\n')
		.map(line => line.split(' ').map(Number));
	const expected = ranges.reduce((sum, {start, end}) => sum + end - start, 0);
	const came = results.reduce((sum, [, bytes = 0]) => sum + bytes, 0);
	if (came !== expected) {
		throw new Error(`${url}: ${came} bytes arrived instead of ${expected}`);
	}

	return results.map(([seconds = NaN]) => seconds);
}

/** Seconds that curl needs for the whole file, `times` over one connection. Rejects unless every byte arrives. */
export async function readWhole(url: string, size: number, times = 1): Promise<number> {
	const once = ['--output', '/dev/null', url];
	const output = await run('curl', [
		...['--silent', '--show-error', '--fail', '--write-out', '%{time_total} %{size_download}\n'],
		...Array.from({length: times}, () => once).flat(),
	]);
	let seconds = 0;
	for (const line of output.trim().split('\n')) {
		const [took = NaN, bytes] = line.split(' ').map(Number);
		if (bytes !== size) {
			throw new Error(`${url}: ${bytes} bytes arrived instead of ${size}`);
		}

		seconds += took;
	}

	return seconds;
}

/** Milliseconds from opening a connection to the first byte of the body. Then the player disconnects. */
export async function firstByte(url: string, start: number, length: number): Promise<number> {
	const {hostname, port, pathname, search} = new URL(url);
	const began = performance.now();
	const socket = connect({host: hostname, port: Number(port), noDelay: true});
	socket.setTimeout(patienceMs, () => socket.destroy(new Error(`${url} does not respond`)));
	try {
		socket.write(
			`GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nRange: bytes=${start}-${start + length - 1}\r\n\r\n`,
		);
		let head = '';
		for await (const bytes of socket as AsyncIterable<Buffer>) {
			head += bytes.toString('latin1');
			const end = head.indexOf('\r\n\r\n');
			if (end !== -1 && head.length > end + 4) {
				if (!head.startsWith('HTTP/1.1 206')) {
					break;
				}

				return performance.now() - began;
			}
		}

		throw new Error(`${url} responds with ${head.slice(0, 200)}`);
	} finally {
		socket.destroy();
	}
}
