// The end of a download: every byte is recorded and checked.
import {Logger} from '../../log.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import type {DownloadState} from './download-state.ts';
import type {Verification} from './verification.ts';

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

/** Every byte is recorded: completes the download, after a check if it has a checksum. Rejects as `complete` does. */
export async function completeOrVerify(
	state: DownloadState,
	scheduler: Scheduler,
	verification: Verification,
): Promise<void> {
	const {isClosed, record} = state;
	if (record.checksum === undefined) {
		await complete(state, scheduler);
	} else if (!isClosed && record.intent !== 'cancel') {
		// A checkpoint does not wait for it: it may take minutes.
		void verification.verify().catch(() => undefined);
	}
}
