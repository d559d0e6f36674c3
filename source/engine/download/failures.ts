// The reaction to an error of any part: mend, renew the link, start over, retry, or fail.
import {DownStreamError} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import {DamagedFile} from '../store/damaged-file.ts';
import type {DownloadState} from './download-state.ts';
import type {LinkRenewal} from './link-renewal.ts';
import type {Mending} from './mending.ts';
import type {PageReplacement} from './page-replacement.ts';
import type {Patience} from './patience.ts';
import type {VersionReset} from './version-reset.ts';
import {isPageForFile} from './view.ts';

type Parts = {
	readonly scheduler: Scheduler;
	readonly mending: Mending;
	readonly links: LinkRenewal;
	readonly versions: VersionReset;
	readonly pages: PageReplacement;
	readonly patience: Patience;
};

export class Failures {
	readonly #state: DownloadState;
	readonly #parts: Parts;

	constructor(state: DownloadState, parts: Parts) {
		this.#state = state;
		this.#parts = parts;
	}

	/** `silentSince`: start of the request or time of the last byte, in milliseconds since the epoch. */
	handle(cause: unknown, silentSince?: number): void {
		const {recordFile, services} = this.#state;
		const {mending, links, versions} = this.#parts;
		if (cause instanceof DamagedFile && mending.mend(cause) !== undefined) {
			return;
		}

		const explained = services.access.explain(cause);
		const error =
			explained instanceof DownStreamError
				? explained
				: new DownStreamError('origin-misbehaved', `Unexpected: ${String(cause)}`, {cause});
		if (recordFile.refusal) {
			// The download resumes once the storage folder may be written, or it has ended.
			return;
		}

		if (links.renew(error)) {
			return;
		}

		if (error.code === 'origin-changed' && this.#state.hasFileInfo && this.#state.file.present.size === 0) {
			// No byte of the old version is worth keeping.
			void versions.restart();
			return;
		}

		if (error.code === 'origin-changed' && isPageForFile(recordFile.record)) {
			void this.#changedFromPage(error, silentSince);
			return;
		}

		this.#retryOrFail(error, silentSince);
	}

	/** The file may have replaced the page. */
	async #changedFromPage(error: DownStreamError, silentSince?: number): Promise<void> {
		const {version} = this.#state;
		this.#parts.scheduler.segments.endAll();
		await this.#parts.pages.run();
		if (version === this.#state.version && !this.#state.isClosed) {
			this.#retryOrFail(error, silentSince);
		}
	}

	#retryOrFail(problem: DownStreamError, silentSince?: number): void {
		const {readers, recordFile, retries, services} = this.#state;
		const {scheduler, patience} = this.#parts;
		const line = `${recordFile.record.id}: ${problem.code}: ${problem.message}`;
		if (retries.failed(problem, silentSince)) {
			Logger.warn(line);
			patience.endOverdueWaits();
		} else {
			Logger.error(line);
			scheduler.segments.endAll();
			readers.reject(problem);
			void recordFile.save({error: retries.permanentError}).catch(() => undefined);
		}

		services.queueChanged();
		this.#state.changed();
	}
}
