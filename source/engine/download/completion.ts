// The end of a download: every byte is recorded and checked.
import {Logger} from '../../log.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import type {DownloadState} from './download-state.ts';

/** Rejects as `RecordFile.save` does. */
export async function complete(state: DownloadState, scheduler: Scheduler): Promise<void> {
	// One response may have brought the ranges of others: these end, and are not retried.
	scheduler.segments.endAll();
	state.retries.reset();
	state.isResumed = false;
	await state.recordFile.save({completedAt: Date.now(), error: undefined});
	Logger.info(`${state.record.id}: complete`);
	state.services.queueChanged();
	state.changed();
}
