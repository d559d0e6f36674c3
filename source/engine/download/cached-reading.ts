// Serves cached bytes to readers other than players, such as the maker of previews. Fetches and records nothing.
import {DownStreamError} from '../../downstream.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import {DiskReader} from '../memory/disk-reader.ts';
import type {DownloadState} from './download-state.ts';
import {closing, restarted} from './errors.ts';
import {representationOf, type ReadRequest, type Representation} from './reading.ts';

export class CachedReading {
	readonly isUnanswered = false;
	readonly #state: DownloadState;
	readonly #scheduler: Scheduler;

	constructor(state: DownloadState, scheduler: Scheduler) {
		this.#state = state;
		this.#scheduler = scheduler;
	}

	/** Rejects with `incomplete` if nothing is known of the file. */
	async representation(): Promise<Representation> {
		if (!this.#state.hasFileInfo) {
			throw notCached();
		}

		return representationOf(this.#state);
	}

	/**
	 * Yields the bytes of the range in order; each piece is valid until the next is requested. Throws `incomplete` at the
	 * first missing byte, or the signal's reason.
	 */
	async *read({range, version, signal}: ReadRequest): AsyncGenerator<Uint8Array, void, undefined> {
		const state = this.#state;
		const blocks = new DiskReader(state.services.blocks);
		try {
			for (let offset = range.start; offset < range.end;) {
				signal.throwIfAborted();
				if (state.isClosed) {
					throw closing();
				}

				if (version !== state.version) {
					throw restarted();
				}

				const {file} = state;
				const end = Math.min(range.end, this.#scheduler.readableEnd(range.start, offset));
				const cached = Math.min(file.present.runEnd(offset), end) - offset;
				const bytes = cached > 0 ? await blocks.read(file, offset, cached) : undefined;
				if (!bytes?.length) {
					throw notCached();
				}

				offset += bytes.length;
				yield bytes;
				blocks.sent();
			}
		} finally {
			await blocks.close();
			state.closeUnused(this.#scheduler.segments);
		}
	}
}

function notCached(): DownStreamError {
	return new DownStreamError('incomplete', 'These bytes are not downloaded yet');
}
