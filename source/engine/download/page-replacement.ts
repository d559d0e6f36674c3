// A web page stored in place of a file: each request for it asks the origin again, and the file takes its place.
import {setTimeout as sleep} from 'node:timers/promises';
import {Logger} from '../../log.ts';
import {requestIntervalMs} from '../fetch/retry-policy.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import {sendsPage} from '../version/version-check.ts';
import type {DownloadEffects, DownloadState} from './download-state.ts';
import type {VersionReset} from './version-reset.ts';
import {isPageForFile} from './view.ts';

export class PageReplacement {
	readonly #state: DownloadState;
	readonly #scheduler: Scheduler;
	readonly #versions: VersionReset;
	readonly #effects: DownloadEffects;
	#check: Promise<void> | undefined;
	/** Milliseconds since the epoch. */
	#checkedAt = 0;

	constructor(state: DownloadState, scheduler: Scheduler, versions: VersionReset, effects: DownloadEffects) {
		this.#state = state;
		this.#scheduler = scheduler;
		this.#versions = versions;
		this.#effects = effects;
	}

	/**
	 * Starts over if a page is stored and the origin sends something else now. Concurrent calls share one request; requests
	 * are at least a second apart. Never rejects.
	 */
	run(): Promise<void> {
		if (!this.#check && this.#isDue) {
			this.#state.isCheckingPage = true;
			this.#check = this.#ask().finally(() => {
				this.#check = undefined;
				this.#state.isCheckingPage = false;
				this.#effects.reevaluate();
				this.#state.changed();
			});
			this.#state.changed();
		}

		return this.#check ?? Promise.resolve();
	}

	/** No response is in progress: it would show what the origin sends. */
	get #isDue(): boolean {
		const {isClosed, record, recordFile} = this.#state;
		return (
			isPageForFile(record) &&
			!isClosed &&
			!recordFile.refusal &&
			record.intent !== 'cancel' &&
			this.#scheduler.segments.size === 0
		);
	}

	async #ask(): Promise<void> {
		const {ending, record, retries} = this.#state;
		try {
			await this.#scheduler.exclusively(async () => {
				const lastAt = Math.max(this.#checkedAt, this.#state.lastByteAt ?? 0);
				await sleep(Math.max(0, lastAt + requestIntervalMs - Date.now()), undefined, {signal: ending});
				this.#checkedAt = Date.now();
				if (this.#isDue && !(await sendsPage(this.#scheduler.source, ending))) {
					Logger.info(`${record.id}: the origin now sends the file instead of a web page`);
					retries.reset();
					await this.#versions.reset({});
				}
			});
		} catch (error) {
			if (!this.#state.isClosed) {
				Logger.warn(`${record.id}: the page was kept: ${String(error)}`);
			}
		}
	}
}
