// CPU time of the program's threads: V8's profiles of a cold read, a warm read and a download.
import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {promisify} from 'node:util';
import {atEnd} from '../test/support/cleanup.ts';
import {cleanEnvironment} from '../test/support/cli.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import type {Bench} from './section.ts';
import {GiB, readWhole, readyMemory} from './measure.ts';
import {startOrigin} from './origins.ts';

const shown = 15;

/** Format of a file written by `node --cpu-prof`. */
type Profile = {
	readonly nodes: ReadonlyArray<{
		readonly id: number;
		readonly callFrame: {readonly functionName: string; readonly url: string; readonly lineNumber: number};
		readonly children?: readonly number[];
	}>;
	readonly samples: readonly number[];
	/** Microseconds since the previous sample. */
	readonly timeDeltas: readonly number[];
};

export async function profile(bench: Bench): Promise<void> {
	const {size, scope} = bench;
	const times = Math.ceil(GiB / size);
	await scope(async t => {
		const build = await temporaryFolder(t);
		await promisify(execFile)(process.execPath, ['build.mjs', '--readable', '--outdir', build]);
		const cli = path.join(build, 'cli.cjs');
		const film = `${(await startOrigin(t, bench.root)).url}/film.bin`;
		await profiled(bench, 'cold', cli, ['serve', '--json'], async urlOf => {
			await readWhole(urlOf(film), size);
		});
		await profiled(bench, `cold, then ${times} times warm`, cli, ['serve', '--json'], async urlOf => {
			await readWhole(urlOf(film), size);
			await readWhole(urlOf(film), size, times);
		});
		await profiled(bench, 'download', cli, ['get', film, '--output', path.join(build, 'film.bin')]);
	});
}

/** Runs the program and prints the hot functions of its threads. With `use`, a server that ends afterwards. */
async function profiled(
	{report, scope, size}: Bench,
	what: string,
	cli: string,
	args: readonly string[],
	use?: (urlOf: (film: string) => string) => Promise<void>,
): Promise<void> {
	await scope(async t => {
		const profiles = await temporaryFolder(t);
		const storage = await temporaryFolder(t);
		report.noteMemory(what, [await readyMemory(size, 1)]);
		const child = spawn(
			process.execPath,
			['--cpu-prof', '--cpu-prof-dir', profiles, cli, ...args, '--port', '0', '--storage', storage],
			{env: cleanEnvironment(), stdio: ['ignore', 'pipe', 'inherit']},
		);
		atEnd(t, () => void child.kill('SIGKILL'));
		const ended = once(child, 'exit');
		if (use) {
			const [line] = (await once(createInterface({input: child.stdout}), 'line')) as [string];
			const {url, key} = JSON.parse(line) as {url: string; key: string};
			await use(film => `${url}/stream?${new URLSearchParams({url: film, key}).toString()}`);
			child.kill('SIGTERM');
		}

		await ended;
		for (const file of await readdir(profiles)) {
			const {busySeconds, shares} = summary(
				JSON.parse(await readFile(path.join(profiles, file), 'utf8')) as Profile,
			);
			report.state(`${what}: a thread is busy`, 's', busySeconds);
			for (const [name, share] of shares.slice(0, shown)) {
				report.state(`  ${name}`, '%', share * 100);
			}
		}
	});
}

/** Self time of each function as a share of the thread's busy time, the largest first. */
function summary({nodes, samples, timeDeltas}: Profile) {
	const names = new Map(
		nodes.map(({id, callFrame: {functionName, url, lineNumber}}) => [
			id,
			`${functionName || '(anonymous)'} ${url === '' ? '' : `${path.basename(url)}:${lineNumber + 1}`}`.trim(),
		]),
	);
	// Native functions have no location; the caller identifies them.
	for (const {id, children = []} of nodes) {
		for (const child of children) {
			const name = names.get(child)!;
			if (!/[(:]/.test(name)) {
				names.set(child, `${name}, called by ${names.get(id)}`);
			}
		}
	}

	const micros = new Map<string, number>();
	for (const [index, id] of samples.entries()) {
		const name = names.get(id)!;
		if (name !== '(idle)') {
			micros.set(name, (micros.get(name) ?? 0) + Math.max(0, timeDeltas[index]!));
		}
	}

	const busy = Array.from(micros.values()).reduce((sum, time) => sum + time, 0);
	const shares = Array.from(micros, ([name, time]) => [name, time / busy] as const);
	return {busySeconds: busy / 1e6, shares: shares.toSorted(([, a], [, b]) => b - a)};
}
