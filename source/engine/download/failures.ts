// The reaction to an error of any part: mend, renew the link, fetch anew, retry, or fail.
import {DownStreamError} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import {DamagedFile} from '../store/sparse-file.ts';
import type {DownloadState} from './download-state.ts';
import type {LinkRenewal} from './link-renewal.ts';
import type {Mending} from './mending.ts';
import type {Patience} from './patience.ts';
import type {VersionReset} from './version-reset.ts';

type Parts = {
	readonly scheduler: Scheduler;
	readonly mending: Mending;
	readonly links: LinkRenewal;
	readonly versions: VersionReset;
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
		const {readers, recordFile, retries, services} = this.#state;
		const {scheduler, mending, links, versions, patience} = this.#parts;
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

		if (error.code === 'origin-changed' && scheduler.hasFileInfo && this.#state.file.present.size === 0) {
			// No byte of the old version is worth keeping.
			void versions.fetchAnew();
			return;
		}

		const line = `${recordFile.record.id}: ${error.code}: ${error.message}`;
		if (retries.failed(error, silentSince)) {
			Logger.warn(line);
			patience.endOverdueWaits();
		} else {
			Logger.error(line);
			scheduler.segments.endAll();
			readers.reject(error);
			void recordFile.save({error: retries.permanentError}).catch(() => undefined);
		}

		services.queueChanged();
		this.#state.changed();
	}
}
