// The status of a download, and its place in the queue and in the snapshot: computed from its state.
import type {DownloadStatus} from '../../downstream.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import type {DownloadState} from './download-state.ts';

export function statusOf(state: DownloadState, scheduler: Scheduler): DownloadStatus {
	const {intent} = state.record;
	if (state.checkProgress !== null) {
		return 'checking';
	}

	if (state.exportProgress !== null) {
		return 'exporting';
	}

	if (state.isCheckingPage && intent !== 'cancel') {
		return 'asking';
	}

	if (state.isComplete) {
		return 'complete';
	}

	if (intent === 'cancel') {
		return 'cancelled';
	}

	if (state.retries.permanentError) {
		return 'failed';
	}

	if (intent === 'pause') {
		return 'paused';
	}

	if (state.isRenewing) {
		return 'asking';
	}

	if (scheduler.segments.size > 0) {
		return state.hasFileInfo ? 'active' : 'asking';
	}

	// The last checkpoint is under way: the download needs no place in the queue.
	if (state.file.isComplete && scheduler.isProven) {
		return 'active';
	}

	return state.retries.retryAt === undefined ? 'queued' : 'waiting';
}

/** A place in the queue would let it fetch in the background. */
export function wantsPlace({file, hasFileInfo, isClosed, record, retries}: DownloadState): boolean {
	const {intent, onDemand} = record;
	return (
		intent === 'run' &&
		!retries.permanentError &&
		!file.isComplete &&
		(!onDemand || !hasFileInfo) &&
		!isClosed
	);
}

/** Its attempts, as the queue judges them. */
export function attemptsOf({lastByteAt, retries}: DownloadState, scheduler: Scheduler) {
	const {failures, retryAt} = retries;
	const isTrying = scheduler.segments.size > 0 || retryAt !== undefined;
	return {host: scheduler.host.name, failures, isTrying, hasWorked: lastByteAt !== null};
}

/** A fact of the view changes without an event. `now`: milliseconds since the epoch. */
export function changesOverTime({meter, readers}: DownloadState, scheduler: Scheduler, now: number): boolean {
	return scheduler.segments.size > 0 || meter.rate(20_000, now) > 0 || readers.players(now).length > 0;
}
