// Ends the wait of players for an unreachable host.
import {DownStreamError} from '../../downstream.ts';
import type {DownloadState} from './download-state.ts';

export class Patience {
	readonly #state: DownloadState;
	#timer: NodeJS.Timeout | undefined;

	constructor(state: DownloadState) {
		this.#state = state;
	}

	/** Rejects overdue waits with the last error of the origin, and looks again when the next one is due. */
	endOverdueWaits(): void {
		this.stop();
		const {readers, retries} = this.#state;
		const {lastError, retryAt} = retries;
		const next = readers.rejectOverdue(
			waiting => retries.playerWaitsUntil(waiting),
			() =>
				new DownStreamError(lastError?.code ?? 'origin-unreachable', lastError?.message ?? 'no response', {
					status: lastError?.status,
					needs: lastError?.needs,
					retryAfterMs: retryAt && Math.max(0, retryAt - Date.now()),
				}),
		);
		if (next !== Infinity && !this.#state.isClosed) {
			this.#timer = setTimeout(() => this.endOverdueWaits(), next - Date.now());
		}
	}

	stop(): void {
		clearTimeout(this.#timer);
	}
}
