// The engine program in its own process, bundled for a fast start.
import {fork, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {rmSync} from 'node:fs';
import {mkdtemp} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import type {TestContext} from 'node:test';
import {build} from 'esbuild';
import type {Download} from '../../source/downstream.ts';
import {atEnd} from './cleanup.ts';
import {cleanEnvironment} from './cli.ts';
import type {EngineEvent, EngineTask} from './engine-program.ts';

let built: Promise<string> | undefined;

/** Bundles once for each test file; resolves with the path of the program. */
function builtProgram(): Promise<string> {
	built ??= (async () => {
		const folder = await mkdtemp(path.join(tmpdir(), 'downstream-build-'));
		process.on('exit', () => rmSync(folder, {recursive: true, force: true}));
		const outfile = path.join(folder, 'engine-program.mjs');
		await build({
			entryPoints: [path.join(import.meta.dirname, 'engine-program.ts')],
			define: {bundledVersion: '"0.0.0"'},
			outfile,
			bundle: true,
			format: 'esm',
			platform: 'node',
			target: 'node20',
			banner: {
				js: "import {createRequire as requireFrom} from 'node:module';const require=requireFrom(import.meta.url);",
			},
		});
		return outfile;
	})();
	return built;
}

export class EngineProcess {
	readonly child: ChildProcess;
	readonly #exited: Promise<unknown>;
	/** Rejects if the process ends first. */
	readonly added: Promise<Download>;
	/** Resolves after the export. Rejects if the process ends first. */
	readonly done: Promise<void>;
	/** In its latest state. */
	download: Download | undefined;
	#onDownload = () => {};

	/** Loads the program, which then waits for its task. `preload`: a module that patches Node. */
	static async load(
		t: TestContext,
		{preload, env = {}}: {preload?: string; env?: NodeJS.ProcessEnv} = {},
	): Promise<EngineProcess> {
		const program = await builtProgram();
		const execArgv = preload === undefined ? [] : ['--import', preload];
		return new EngineProcess(t, fork(program, {execArgv, env: cleanEnvironment(env)}));
	}

	static async start(
		t: TestContext,
		task: EngineTask,
		options: {preload?: string; env?: NodeJS.ProcessEnv} = {},
	): Promise<EngineProcess> {
		const running = await EngineProcess.load(t, options);
		running.start(task);
		return running;
	}

	private constructor(t: TestContext, child: ChildProcess) {
		this.child = child;
		this.#exited = once(child, 'exit');
		const ended = this.#exited.then(() => {
			throw new Error(`It ended with ${child.exitCode ?? child.signalCode}`);
		});
		const seen = (event: EngineEvent['event']) =>
			new Promise<EngineEvent>((resolve, reject) => {
				child.on('message', (message: EngineEvent) => {
					if (message.event === event) {
						resolve(message);
					} else if (message.event === 'refused') {
						reject(new Error(message.message));
					}
				});
			});
		this.added = Promise.race([seen('added'), ended]).then(
			message => (message as EngineEvent & {event: 'added'}).download,
		);
		this.done = Promise.race([seen('done'), ended]).then(() => undefined);
		this.added.catch(() => undefined);
		this.done.catch(() => undefined);
		child.on('message', (message: EngineEvent) => {
			if ('download' in message) {
				this.download = message.download;
				this.#onDownload();
			}
		});
		atEnd(t, () => this.kill());
	}

	start(task: EngineTask): void {
		this.child.send(task);
	}

	/** Resumes a stopped download. */
	resume(): void {
		this.child.send('resume');
	}

	/** Resolves with the download once it meets the condition. */
	async until(condition: (download: Download) => boolean): Promise<Download> {
		await this.added;
		return new Promise(resolve => {
			this.#onDownload = () => {
				if (this.download && condition(this.download)) {
					resolve(this.download);
				}
			};

			this.#onDownload();
		});
	}

	/** Resolves when the process has ended. */
	async exit(): Promise<void> {
		await this.#exited;
	}

	async kill(): Promise<void> {
		this.child.kill('SIGKILL');
		await this.#exited;
	}
}
