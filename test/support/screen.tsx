// The dashboard in this process, drawn into a terminal emulator: tests read the screen as a person would.
import {PassThrough, Writable} from 'node:stream';
import type {TestContext} from 'node:test';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {inspect} from 'node:util';
import {Unicode11Addon} from '@xterm/addon-unicode11';
import xterm from '@xterm/headless';
import {render, type Instance} from 'ink';
import {Dashboard} from '../../source/dashboard/dashboard.tsx';
import {themes} from '../../source/dashboard/theme.ts';
import type {Attachment, Host} from '../../source/dashboard/ui-store.ts';
import type {DownloadEngine, DownloadId} from '../../source/downstream.ts';

type Size = {readonly columns: number; readonly rows: number};

export type ScreenOptions = Size & {
	readonly ascii?: boolean;
	readonly clipboard?: 'copied' | 'sent' | 'none';
	readonly attachment?: Attachment;
	readonly continues?: Host['continues'];
	readonly remoteHint?: string;
	readonly filmFrame?: Host['filmFrame'];
	/** The downloads of the command line, as `DashboardProps` has them. */
	readonly added?: Promise<DownloadId | undefined>;
};

/** A text on the screen, a text not on it, or a condition. */
export type Wanted = RegExp | string | {readonly without: string} | (() => boolean);

export class Screen {
	/** Bytes written by the dashboard. */
	written = 0;
	raw = '';
	readonly copied: string[] = [];
	readonly played: string[] = [];
	readonly opened: string[] = [];
	/** Lines printed on the shell's screen. */
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

	constructor(t: TestContext, downstream: DownloadEngine, options: ScreenOptions) {
		const {columns, rows, ascii = false, clipboard = 'copied', attachment, remoteHint} = options;
		const {continues = 'always', filmFrame = async () => undefined, added} = options;
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
				manyColors={false}
				theme={themes.plain}
				exportDir="/home/user/Videos/"
				attachment={attachment}
				{...(added && {added})}
				host={{
					remoteHint,
					copy: async text => {
						this.copied.push(text);
						return clipboard;
					},
					continues,
					filmFrame,
					play: async ({streamUrl}, startMs) => {
						this.played.push(startMs === 0 ? streamUrl : `${streamUrl} at ${startMs}`);
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
					isBehind: () => false,
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

	/** Sends input and resolves after the dashboard has read it: two calls are two reads. */
	async send(input: string): Promise<void> {
		this.#stdin.write(input);
		await nextTurn();
	}

	resize(columns: number, rows: number): void {
		this.#emulator.resize(columns, rows);
		Object.assign(this.#stdout, {columns, rows});
		this.#stdout.emit('resize');
	}

	/** Writes to the terminal behind the dashboard's back. */
	disturb(text: string): void {
		this.#emulator.write(text);
	}

	/** Resolves with the screen once it is as wanted; rejects after 10 s. */
	async shows(wanted: Wanted): Promise<string> {
		const limit = Date.now() + 10_000;
		while (!this.#isAs(wanted)) {
			if (Date.now() > limit) {
				throw new Error(`never showed ${inspect(wanted)}:\n${this.text}`);
			}

			await this.waitForChange();
		}

		return this.text;
	}

	#isAs(wanted: Wanted): boolean {
		if (typeof wanted === 'function') {
			return wanted();
		}

		if (typeof wanted === 'string') {
			return this.text.includes(wanted);
		}

		return wanted instanceof RegExp ? wanted.test(this.text) : !this.text.includes(wanted.without);
	}

	/** Resolves after the next output, or after a while without any. */
	protected async waitForChange(): Promise<void> {
		await new Promise<void>(resolve => {
			this.#changed.add(resolve);
			setTimeout(resolve, 100);
		});
	}

	#tell(): void {
		for (const resolve of this.#changed) {
			resolve();
		}

		this.#changed.clear();
	}
}
