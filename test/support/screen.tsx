// The dashboard in this process, drawn into a terminal emulator: what is written is what a person would see.
import {PassThrough, Writable} from 'node:stream';
import type {TestContext} from 'node:test';
import {setImmediate as nextTurn, setTimeout as sleep} from 'node:timers/promises';
import {Unicode11Addon} from '@xterm/addon-unicode11';
import xterm from '@xterm/headless';
import {render, type Instance} from 'ink';
import {settleMs} from '../../source/dashboard/ui-store.ts';
import {Dashboard} from '../../source/dashboard/dashboard.tsx';
import {themes} from '../../source/dashboard/theme.ts';
import type {DownStream} from '../../source/downstream.ts';

type Size = {readonly columns: number; readonly rows: number};

export type ScreenOptions = Size & {
	readonly ascii?: boolean;
	readonly clipboard?: 'copied' | 'sent' | 'none';
	readonly isAttached?: boolean;
	readonly remoteHint?: string;
};

/** A person reads a dialog before answering it. */
export const read = () => sleep(settleMs + 10);

export class Screen {
	/** Bytes written so far. */
	written = 0;
	raw = '';
	readonly copied: string[] = [];
	readonly played: string[] = [];
	readonly opened: string[] = [];
	/** What was printed while the screen was left. */
	readonly printed: Array<readonly string[]> = [];
	hasMouse = false;
	bells = 0;
	stops = 0;
	hasQuit = false;
	readonly #emulator: xterm.Terminal;
	readonly #stdin = Object.assign(new PassThrough(), {
		isTTY: true,
		setRawMode: () => undefined,
		ref: () => undefined,
		unref: () => undefined,
	});
	readonly #stdout: Writable & Size;
	readonly #changed = new Set<() => void>();
	readonly #app: Instance;

	constructor(t: TestContext, downstream: DownStream, options: ScreenOptions) {
		const {columns, rows, ascii = false, clipboard = 'copied', isAttached = false, remoteHint} = options;
		this.#emulator = new xterm.Terminal({cols: columns, rows, allowProposedApi: true, convertEol: true});
		this.#emulator.loadAddon(new Unicode11Addon());
		this.#emulator.unicode.activeVersion = '11';
		this.#stdout = Object.assign(
			new Writable({
				decodeStrings: false,
				write: (text: string, _encoding, done) => {
					this.raw += text;
					this.written += Buffer.byteLength(text);
					this.#emulator.write(text, () => {
						done();
						this.#tell();
					});
				},
			}),
			{isTTY: true, columns, rows},
		);
		this.#app = render(
			<Dashboard
				downstream={downstream}
				ascii={ascii}
				theme={themes.plain}
				exportDir="/home/user/Videos/"
				isAttached={isAttached}
				host={{
					remoteHint,
					copy: async text => {
						this.copied.push(text);
						return clipboard;
					},
					play: async ({streamUrl}) => {
						this.played.push(streamUrl);
						return 'mpv';
					},
					openFolder: async path => {
						this.opened.push(path);
					},
					completePath: async text =>
						['/home/user/Videos/', '/home/user/Video-projects/'].filter(path => path.startsWith(text)),
					describeFile: async () => '1.90 GiB, 2026-11-02',
					setMouse: on => {
						this.hasMouse = on;
					},
					bell: () => {
						this.bells++;
					},
					quit: () => {
						this.hasQuit = true;
						this.#tell();
					},
					printPlain: async lines => {
						this.printed.push(lines);
					},
					onStop: () => () => undefined,
					stopProcess: async () => {
						this.stops++;
					},
				}}
			/>,
			{
				stdout: this.#stdout as unknown as NodeJS.WriteStream,
				stdin: this.#stdin as unknown as NodeJS.ReadStream,
				alternateScreen: true,
				incrementalRendering: true,
				interactive: true,
				exitOnCtrlC: false,
				patchConsole: false,
			},
		);
		t.after(() => this.end());
	}

	/** The lines of the screen, without blanks at their ends. */
	get lines(): string[] {
		const {active} = this.#emulator.buffer;
		return Array.from(
			{length: this.#emulator.rows},
			(_, row) => active.getLine(active.viewportY + row)?.translateToString(true) ?? '',
		);
	}

	get text(): string {
		return this.lines.join('\n');
	}

	end(): void {
		this.#app.unmount();
	}

	/** Resolves when it was read: two presses are two reads. */
	async press(keys: string): Promise<void> {
		this.#stdin.write(keys);
		await nextTurn();
	}

	paste(text: string): Promise<void> {
		return this.press(`\u001B[200~${text}\u001B[201~`);
	}

	resize(columns: number, rows: number): void {
		this.#emulator.resize(columns, rows);
		Object.assign(this.#stdout, {columns, rows});
		this.#stdout.emit('resize');
	}

	/** What somebody else writes on the screen. */
	disturb(text: string): Promise<void> {
		return new Promise(resolve => {
			this.#emulator.write(text, resolve);
		});
	}

	/** Resolves with the screen as soon as it is as wanted; rejects if it is not so within 10 s. */
	async shows(wanted: RegExp | string | (() => boolean)): Promise<string> {
		const fits = () =>
			typeof wanted === 'function'
				? wanted()
				: typeof wanted === 'string'
					? this.text.includes(wanted)
					: wanted.test(this.text);
		let isLate = false;
		const limit = setTimeout(() => {
			isLate = true;
			this.#tell();
		}, 10_000);
		while (!fits()) {
			if (isLate) {
				throw new Error(`never showed ${String(wanted)}:\n${this.text}`);
			}

			await new Promise<void>(resolve => {
				this.#changed.add(resolve);
			});
		}

		clearTimeout(limit);
		return this.text;
	}

	#tell(): void {
		for (const resolve of this.#changed) {
			resolve();
		}

		this.#changed.clear();
	}
}
