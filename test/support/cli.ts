// The real program, bundled as published, in its own process.
import {execFile, spawn, type ChildProcessByStdio} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync} from 'node:fs';
import {mkdtemp} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {createInterface} from 'node:readline';
import type {Readable, Writable} from 'node:stream';
import type {TestContext} from 'node:test';
import {promisify} from 'node:util';
import {atEnd} from './cleanup.ts';

const root = path.resolve(import.meta.dirname, '../..');

let built: Promise<string> | undefined;

/** Resolves with the path of cli.js. Bundles the program once for each test file, unless the runner of all files has. */
export function builtCli(): Promise<string> {
	built ??= (async () => {
		const {BUILT_CLI} = process.env;
		if (BUILT_CLI !== undefined) {
			return path.join(BUILT_CLI, 'cli.js');
		}

		const folder = await mkdtemp(path.join(tmpdir(), 'downstream-build-'));
		process.on('exit', () => rmSync(folder, {recursive: true, force: true}));
		await promisify(execFile)(process.execPath, ['build.mjs', '--outdir', folder], {cwd: root});
		return path.join(folder, 'cli.js');
	})();
	return built;
}

let cacheHome: string | undefined;

/** The folder of caches of a test file. */
function ownCacheHome(): string {
	if (cacheHome === undefined) {
		const folder = mkdtempSync(path.join(tmpdir(), 'downstream-cache-'));
		process.on('exit', () => rmSync(folder, {recursive: true, force: true}));
		cacheHome = folder;
	}

	return cacheHome;
}

/** An environment independent of the user: no proxies, colors, CI or settings, and no caches unless it names a home. */
export function cleanEnvironment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
	const kept = ['PATH', 'HOME', 'TMPDIR', 'LANG'].filter(name => process.env[name] !== undefined);
	const folders = {
		XDG_CONFIG_HOME: path.join(tmpdir(), 'downstream-test-no-settings'),
		...(more.HOME === undefined && {XDG_CACHE_HOME: ownCacheHome()}),
	};
	return {...folders, ...Object.fromEntries(kept.map(name => [name, process.env[name]])), ...more};
}

export type CliEvent = {readonly event: string; readonly [field: string]: unknown};

export class CliProcess {
	readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
	readonly events: CliEvent[] = [];
	stdout = '';
	stderr = '';
	readonly #exited: Promise<unknown>;
	readonly #closed: Promise<unknown>;
	#onEvent = () => {};

	static async start(
		t: TestContext,
		args: readonly string[],
		options: {env?: NodeJS.ProcessEnv; nodeArgs?: string[]; input?: string; cwd?: string} = {},
	) {
		const command = [process.execPath, ...(options.nodeArgs ?? []), await builtCli(), ...args];
		return new CliProcess(t, command, cleanEnvironment(options.env), options);
	}

	/** The program in another form, such as the single executable. */
	static run(t: TestContext, command: string[], env: NodeJS.ProcessEnv) {
		return new CliProcess(t, command, cleanEnvironment(env));
	}

	private constructor(
		t: TestContext,
		[program = '', ...args]: string[],
		env: NodeJS.ProcessEnv,
		{input = '', cwd}: {input?: string; cwd?: string} = {},
	) {
		this.child = spawn(program, args, {env, cwd, stdio: ['pipe', 'pipe', 'pipe']});
		// It may exit without reading.
		this.child.stdin.on('error', () => undefined);
		this.child.stdin.end(input);
		this.#exited = once(this.child, 'exit');
		// The last output may be read after the exit.
		this.#closed = once(this.child, 'close');
		this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
			this.stderr += text;
		});
		createInterface({input: this.child.stdout}).on('line', line => {
			this.stdout += `${line}\n`;
			if (line.startsWith('{')) {
				this.events.push(JSON.parse(line) as CliEvent);
				this.#onEvent();
			}
		});
		atEnd(t, () => this.kill());
	}

	/** The first event of this kind, printed already or later. */
	async event(kind: string): Promise<CliEvent> {
		for (;;) {
			const found = this.events.find(({event}) => event === kind);
			if (found) {
				return found;
			}

			if (this.child.exitCode !== null) {
				throw new Error(`ended with ${this.child.exitCode} before "${kind}": ${this.stderr}`);
			}

			await Promise.race([
				this.#exited,
				new Promise<void>(resolve => {
					this.#onEvent = resolve;
				}),
			]);
		}
	}

	/** Resolves with the exit code, or the signal's name, once all output has been read. */
	async exit(): Promise<number | string> {
		await this.#closed;
		return this.child.exitCode ?? this.child.signalCode ?? 'unknown';
	}

	async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
		this.child.kill(signal);
		await this.#exited;
	}
}

/** `serve` on a storage folder, with one JSON object per event on standard output. */
export async function startServe(t: TestContext, storage: string, ...args: string[]): Promise<CliProcess> {
	return CliProcess.start(t, ['serve', '--json', '--port', '0', '--storage', storage, ...args]);
}

/** The first event of `serve --json`. */
export type Ready = {
	readonly url: string;
	readonly key: string;
	readonly viewKey: string;
	readonly storage: string;
	readonly pid: number;
};

/** `serve`, once its proxy listens. */
export async function startInstance(
	t: TestContext,
	storage: string,
	...args: string[]
): Promise<{serve: CliProcess; ready: Ready}> {
	const serve = await startServe(t, storage, ...args);
	return {serve, ready: (await serve.event('ready')) as unknown as Ready};
}

/** `get` with a storage folder of its own. */
export async function startGet(t: TestContext, storage: string, ...args: string[]): Promise<CliProcess> {
	return CliProcess.start(t, ['get', '--port', '0', '--storage', storage, ...args]);
}
