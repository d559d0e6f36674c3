// Tests of the dashboard: one screen over a plain list of downloads, with named keys and a clock of its own.
import {test, type TestContext} from 'node:test';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {settleMs} from '../../source/dashboard/ui-store.ts';
import type {Download} from '../../source/downstream.ts';
import {inputOf, type Key} from './keys.ts';
import {MemoryDownStream} from './memory-downstream.ts';
import {Screen, type ScreenOptions, type Wanted} from './screen.tsx';

export type DashboardOptions = Partial<ScreenOptions> & {
	/** The list at first; none by default. */
	readonly downloads?: readonly Download[];
	/** The first screen; by default the first download, or the words of an empty list. */
	readonly first?: Wanted;
};

/** Every test begins at the same time, so fixtures made while the file loads have a known age. */
const startTime = Date.now();
const stepMs = 10;
/** Ink waits 20 ms for the rest of a sequence before it takes Esc for a key. */
const escapeMs = 30;

/**
 * Runs a test with one dashboard of 100x30 cells. Timers and `Date` stand still between its steps; waiting for a
 * screen advances them, at most 10 s at a time.
 */
export function dashboardTest(
	name: string,
	options: DashboardOptions,
	steps: (screen: DashboardScreen, downstream: MemoryDownStream) => Promise<void>,
): void {
	test(name, async t => {
		t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: startTime});
		// Node 20 never runs a mocked timer without a delay, and the emulator sets such timers.
		const mocked = globalThis.setTimeout;
		globalThis.setTimeout = ((callback: () => void, delay = 0) =>
			mocked(callback, delay)) as typeof setTimeout;
		const downstream = new MemoryDownStream(options.downloads);
		const screen = new DashboardScreen(t, downstream, options);
		await screen.shows(options.first ?? options.downloads?.[0]?.name.slice(0, 6) ?? 'Nothing here yet');
		await steps(screen, downstream);
	});
}

export class DashboardScreen extends Screen {
	readonly #t: TestContext;
	readonly #downstream: MemoryDownStream;

	constructor(t: TestContext, downstream: MemoryDownStream, options: Partial<ScreenOptions>) {
		super(t, downstream, {columns: 100, rows: 30, ...options});
		this.#t = t;
		this.#downstream = downstream;
	}

	/** Another screen over the same downloads. */
	another(options: Partial<ScreenOptions>): DashboardScreen {
		return new DashboardScreen(this.#t, this.#downstream, options);
	}

	/** Presses keys, each in a read of its own, then waits for the screen. */
	async press(pressed: Key | readonly Key[], wanted?: Wanted): Promise<string> {
		for (const key of typeof pressed === 'string' ? [pressed] : pressed) {
			await this.send(inputOf(key));
			if (key === 'esc') {
				await this.wait(escapeMs);
			}
		}

		return wanted === undefined ? this.text : this.shows(wanted);
	}

	/** Types a text key by key, then waits for the screen. */
	type(text: string, wanted?: Wanted): Promise<string> {
		return this.press(Array.from(text), wanted);
	}

	/** Presses keys after the time a person needs to read a dialog. */
	async answer(pressed: Key | readonly Key[], wanted?: Wanted): Promise<string> {
		await this.read();
		return this.press(pressed, wanted);
	}

	async paste(text: string, wanted?: Wanted): Promise<string> {
		await this.send(`\u001B[200~${text}\u001B[201~`);
		return wanted === undefined ? this.text : this.shows(wanted);
	}

	/** Clicks on a text of the screen, then waits for the screen. */
	async click(text: string, wanted?: Wanted): Promise<string> {
		const row = this.lines.findIndex(line => line.includes(text));
		const place = `${this.lines[row]!.indexOf(text) + 2};${row + 1}`;
		return this.press([`\u001B[<0;${place}M`, `\u001B[<0;${place}m`], wanted);
	}

	/** Waits until a dialog takes answers. */
	read(): Promise<void> {
		return this.wait(settleMs + stepMs);
	}

	/** Advances the clock. */
	async wait(milliseconds: number): Promise<void> {
		for (let left = milliseconds; left > 0; left -= stepMs) {
			this.#t.mock.timers.tick(Math.min(stepMs, left));
			await nextTurn();
		}
	}

	protected override async waitForChange(): Promise<void> {
		await this.wait(stepMs);
	}
}
