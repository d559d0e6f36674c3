// A real pseudo-terminal running the real program, rendered by a terminal emulator.
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import type {TestContext} from 'node:test';
import xterm from '@xterm/headless';
import {Unicode11Addon} from '@xterm/addon-unicode11';
import {spawn, type IPty} from 'node-pty';
import {settleMs} from '../../source/dashboard/ui-store.ts';
import {atEnd} from './cleanup.ts';
import {builtCli, cleanEnvironment} from './cli.ts';
import {inputOf, type Key} from './keys.ts';

/** The terminal modes that were not restored. */
export function modesLeft(raw: string): string[] {
	const standard: Record<string, string> = {'7': 'h', '25': 'h'};
	// oxlint-disable-next-line no-control-regex -- that is how modes are switched
	const last = new Map(Array.from(raw.matchAll(/\u001B\[\?([\d;]+)([hl])/g), ([, mode, to]) => [mode!, to!]));
	return Array.from(last).flatMap(([mode, to]) => (to === (standard[mode] ?? 'l') ? [] : `?${mode}${to}`));
}

export type TerminalOptions = {
	columns: number;
	rows: number;
	env?: NodeJS.ProcessEnv;
	/** Immediate answers to terminal queries, because programs wait only briefly. */
	answers?: Readonly<Record<string, string>>;
};

/** Dialogs ignore answers that arrive sooner. */
const readingMs = settleMs + 150;

export class TestTerminal {
	/** Everything written so far. */
	raw = '';
	readonly #pty: ReturnType<typeof spawn>;
	readonly emulator: xterm.Terminal;
	readonly #exit: Promise<number>;
	#onDraw = () => {};
	#onOutput = () => {};

	/** Starts the program with these arguments. */
	static async start(
		t: TestContext,
		args: readonly string[],
		options: TerminalOptions,
	): Promise<TestTerminal> {
		return new TestTerminal(t, [process.execPath, await builtCli(), ...args], options);
	}

	/** A shell with job control, in which the program is typed as a command. */
	static async shell(t: TestContext, options: TerminalOptions): Promise<TestTerminal> {
		return new TestTerminal(t, ['bash', '--norc', '--noprofile', '-i'], {
			...options,
			env: {PS1: 'shell> ', NODE: process.execPath, CLI: await builtCli(), ...options.env},
		});
	}

	/** Any program with its arguments. */
	static run(t: TestContext, command: string[], options: TerminalOptions): TestTerminal {
		return new TestTerminal(t, command, options);
	}

	private constructor(
		t: TestContext,
		[program = '', ...args]: string[],
		{columns, rows, env, answers = {}}: TerminalOptions,
	) {
		this.emulator = new xterm.Terminal({cols: columns, rows, allowProposedApi: true});
		this.emulator.loadAddon(new Unicode11Addon());
		this.emulator.unicode.activeVersion = '11';
		this.#pty = spawn(program, args, {
			cols: columns,
			rows,
			name: 'xterm-256color',
			env: cleanEnvironment({LANG: 'C.UTF-8', ...env}),
		});
		this.#pty.onData(text => {
			const before = this.raw;
			this.raw += text;
			this.#onOutput();
			for (const [question, answer] of Object.entries(answers)) {
				if (this.raw.includes(question) && !before.includes(question)) {
					this.press(answer);
				}
			}

			this.emulator.write(text, () => this.#onDraw());
		});
		this.#exit = new Promise(resolve => {
			// The emulator renders asynchronously; wait for the final screen.
			this.#pty.onExit(({exitCode}) => this.emulator.write('', () => resolve(exitCode)));
		});
		let isOver = false;
		void this.#exit.then(() => {
			isOver = true;
		});
		atEnd(t, async () => {
			if (!isOver) {
				this.#pty.resume();
				this.#pty.kill('SIGKILL');
				await this.#exit;
			}
		});
	}

	/** The screen as text, without trailing blanks. */
	get screen(): string {
		const {active} = this.emulator.buffer;
		return Array.from(
			{length: this.emulator.rows},
			(_, row) => active.getLine(active.viewportY + row)?.translateToString(true) ?? '',
		).join('\n');
	}

	get isAlternate(): boolean {
		return this.emulator.buffer.active.type === 'alternate';
	}

	get pid(): number {
		return this.#pty.pid;
	}

	/** Sends a key by its name, or text. */
	press(key: Key): void {
		this.#pty.write(inputOf(key));
	}

	/** Presses a key after the time a person needs to read a dialog. */
	async answer(key: Key): Promise<void> {
		await sleep(readingMs);
		this.press(key);
	}

	/** Resolves when the program writes. */
	nextOutput(): Promise<void> {
		return new Promise(resolve => {
			this.#onOutput = resolve;
		});
	}

	paste(text: string): void {
		this.#pty.write(`\u001B[200~${text}\u001B[201~`);
	}

	resize(columns: number, rows: number): void {
		this.#pty.resize(columns, rows);
		this.emulator.resize(columns, rows);
	}

	/** Reads no more output, as a terminal whose connection hangs, until `recover`. */
	hang(): void {
		this.#pty.pause();
	}

	recover(): void {
		this.#pty.resume();
	}

	signal(signal: NodeJS.Signals): void {
		this.#pty.kill(signal);
	}

	/** Closes the window. */
	hangUp(): void {
		(this.#pty as IPty & {destroy: () => void}).destroy();
	}

	/** The exit code. Fails the test, with the screen, if the program does not end within 60 s. */
	async exit(): Promise<number> {
		const code = await Promise.race([this.#exit, sleep(60_000, undefined, {ref: false})]);
		if (code === undefined) {
			throw new Error(`60 s passed without an exit:\n${this.screen}`);
		}

		return code;
	}

	/** Resolves with the screen once it matches. Fails the test, with the screen, if the program ends before. */
	async shows(expected: RegExp | string | ((screen: string) => boolean)): Promise<string> {
		const fits = (screen: string) =>
			typeof expected === 'function'
				? expected(screen)
				: typeof expected === 'string'
					? screen.includes(expected)
					: expected.test(screen);
		let isOver = false;
		const over = this.#exit.then(() => {
			isOver = true;
		});
		const deadline = Date.now() + 30_000;
		while (!fits(this.screen)) {
			if (isOver || Date.now() > deadline) {
				throw new Error(
					`${isOver ? 'ended' : '30 s passed'} without showing ${String(expected)}:\n${this.screen}`,
				);
			}

			await Promise.race([
				over,
				new Promise<void>(resolve => {
					this.#onDraw = resolve;
					setTimeout(resolve, 1000);
				}),
			]);
		}

		return this.screen;
	}
}
