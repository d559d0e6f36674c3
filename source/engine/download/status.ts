// The status of a download, computed from its state.
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
		return scheduler.hasFileInfo ? 'active' : 'asking';
	}

	// The last checkpoint is under way: the download needs no place in the queue.
	if (state.file.isComplete && scheduler.isProven) {
		return 'active';
	}

	return state.retries.retryAt === undefined ? 'queued' : 'waiting';
}
