// Compares the results of several programs with odd origins: saved bytes and exit code.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {builtCli, cleanEnvironment} from '../test/support/cli.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {fileOf, getArguments, oddOrigins, urlOf, type OddOrigin} from '../test/support/odd-origins.ts';
import {startRawOrigin} from '../test/support/raw-origin.ts';
import type {Bench} from './section.ts';
import {present} from './peers.ts';

const limitMs = 40_000;
/** Programs that run at the same time; most of them are waiting. */
const concurrency = 8;
/** Suffix of a cell: the program said that this is not the file. */
const reported = ', reported';

type Program = {
	readonly name: string;
	readonly program: string;
	/** The command that a user would type in the target folder. */
	readonly command: (odd: OddOrigin, origin: string, folder: string) => Promise<readonly string[]>;
};

const programs: readonly Program[] = [
	{
		name: 'downstream-tui',
		program: process.execPath,
		command: async (odd, origin, folder) => [
			...[process.execPath, await builtCli()],
			...getArguments(odd, origin, {output: path.join(folder, 'out'), storage: path.join(folder, 'storage')}),
		],
	},
	{
		name: 'curl',
		program: 'curl',
		command: async (odd, origin) => [
			...['curl', '-q', '-sfLOJ', ...(odd.login?.scheme === 'digest' ? ['--digest'] : [])],
			...(odd.login ? ['-u', `${odd.login.user}:${odd.login.password}`] : []),
			urlOf(odd, origin),
		],
	},
	{
		name: 'wget',
		program: 'wget',
		command: async (odd, origin) => [
			...['wget', '--no-config', '--quiet', '--content-disposition'],
			...(odd.login ? [`--user=${odd.login.user}`, `--password=${odd.login.password}`] : []),
			urlOf(odd, origin),
		],
	},
	{
		name: 'aria2c',
		program: 'aria2c',
		command: async (odd, origin) => [
			...['aria2c', '--no-conf', '--quiet', '--file-allocation=none', '-x4', '-s4', '-k1M'],
			...(odd.login ? [`--http-user=${odd.login.user}`, `--http-passwd=${odd.login.password}`] : []),
			urlOf(odd, origin),
		],
	},
];

/** Prints a table in Markdown. */
export async function delivery({report, scope}: Bench): Promise<void> {
	const compared = present(programs);
	for (const {name} of programs.filter(program => !compared.includes(program))) {
		report.skip(name);
	}

	const all = [...oddOrigins.values()].flat();
	const cells = new Map(all.map(odd => [odd, new Map<Program, string>()]));
	const jobs = all.flatMap(odd => compared.map(program => ({odd, program}))).values();
	const work = async () => {
		for (const {odd, program} of jobs) {
			cells.get(odd)!.set(program, await cellOf({scope}, odd, program));
		}
	};
	await Promise.all(Array.from({length: concurrency}, work));
	const row = (columns: readonly string[]) => `| ${columns.join(' | ')} |\n`;
	process.stdout.write(`\n${row(['origin', ...compared.map(({name}) => name)])}`);
	process.stdout.write(row(['---', ...compared.map(() => '---')]));
	for (const [group, origins] of oddOrigins) {
		process.stdout.write(row([`**${group}**`, ...compared.map(() => '')]));
		for (const odd of origins) {
			const found = compared.map(program => cells.get(odd)!.get(program)!);
			process.stdout.write(row([odd.words.replaceAll('|', '\\|'), ...found]));
		}
	}

	process.stdout.write(`\n${row(['group', 'origins', ...compared.map(({name}) => name)])}`);
	process.stdout.write(row(['---', ...[...compared, undefined].map(() => '---:')]));
	for (const [group, origins] of oddOrigins) {
		const right = compared.map(program => count(origins, odd => isRight(odd, cells.get(odd)!.get(program)!)));
		process.stdout.write(row([group, ...[origins.length, ...right].map(String)]));
	}

	process.stdout.write(
		`\n${compared.map(program => `${program.name}: ${count(all, odd => isRight(odd, cells.get(odd)!.get(program)!))}`).join(', ')} of ${all.length} as a user expects\n`,
	);
}

function count<Item>(items: readonly Item[], isCounted: (item: Item) => boolean): number {
	return items.filter(isCounted).length;
}

/** The file if there is one; otherwise a failure or a report. */
function isRight({expects}: OddOrigin, cell: string): boolean {
	return expects.kind === 'file'
		? cell === 'file'
		: cell.endsWith(reported) || (!cell.includes('exit 0') && cell !== 'file');
}

function cellOf({scope}: Pick<Bench, 'scope'>, odd: OddOrigin, program: Program): Promise<string> {
	return scope(async t => {
		const folder = await temporaryFolder(t);
		const output = path.join(folder, 'out');
		await mkdir(output);
		const origin = await startRawOrigin(t, odd.start(), odd);
		const [file = '', ...args] = await program.command(odd, origin, folder);
		const began = performance.now();
		const child = spawn(file, args, {
			cwd: output,
			env: cleanEnvironment({HOME: folder}),
			stdio: ['ignore', 'ignore', 'pipe'],
			timeout: limitMs,
			killSignal: 'SIGKILL',
		});
		let errors = '';
		child.stderr?.on('data', (bytes: Buffer) => {
			errors += bytes.toString();
		});
		const [code] = (await once(child, 'close')) as [number | null];
		const seconds = (performance.now() - began) / 1000;
		const saved = await savedIn(output);
		if (code === null) {
			return `still trying after ${limitMs / 1000} s`;
		}

		const isReported = odd.expects.kind === 'told' && odd.expects.says.test(errors);
		return wordsForEnd(odd, code, seconds, saved) + (isReported ? reported : '');
	});
}

function wordsForEnd(odd: OddOrigin, code: number, seconds: number, saved: Saved | undefined): string {
	const what = saved && wordsForBytes(odd, saved);
	if (code === 0) {
		return what?.startsWith('file') ? what : `${what ?? 'nothing'}, exit 0`;
	}

	// A later run resumes from a part.
	if (saved && Object.values(knownBytes(odd)).some(bytes => saved.bytes.equals(bytes))) {
		return `${what}, exit ${code}`;
	}

	const fails = odd.expects.kind === 'file' ? 'fails' : 'refuses';
	return seconds < 3 ? fails : `${fails} after ${Math.round(seconds)} s`;
}

type Saved = {readonly name: string; readonly bytes: Buffer};

async function savedIn(folder: string): Promise<Saved | undefined> {
	// Names may be invalid UTF-8.
	const names = await readdir(folder, {encoding: 'buffer'});
	const name = names.find(name => !name.toString().endsWith('.aria2'));
	return (
		name && {
			name: name.toString(),
			bytes: await readFile(Buffer.concat([Buffer.from(folder + path.sep), name])),
		}
	);
}

/** Contents that a program may save, by their name in the table. */
function knownBytes(odd: OddOrigin): Readonly<Record<string, Uint8Array>> {
	return {file: fileOf(odd), ...odd.mistakes};
}

function wordsForBytes(odd: OddOrigin, {name, bytes}: Saved): string {
	const file = fileOf(odd);
	const [known] = Object.entries(knownBytes(odd)).find(([, other]) => bytes.equals(other)) ?? [];
	if (known === 'file') {
		const isNamedSo = odd.expects.kind !== 'file' || name === (odd.expects.name ?? name);
		return isNamedSo ? known : `${known}, named \`${printable(name)}\``;
	}

	if (known !== undefined || bytes.length === 0) {
		return known ?? 'an empty file';
	}

	return bytes.equals(file.subarray(0, bytes.length))
		? `the first ${Math.floor((bytes.length / file.length) * 100)} %`
		: 'other bytes';
}

function printable(name: string): string {
	return name.replaceAll(/[^\P{C}]/gu, '?').replaceAll(/[|`]/g, '?');
}
