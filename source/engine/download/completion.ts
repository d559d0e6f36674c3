// The end of a download: every byte is recorded and checked.
import {Logger} from '../../log.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {DownloadState} from './download-state.ts';
import type {Verification} from './verification.ts';

/**
 * Records the end with another change, in one write. The download is complete once the record is on disk. Rejects as
 * `RecordFile.save` does.
 */
export async function complete(
	state: DownloadState,
	scheduler: Scheduler,
	change: Partial<DownloadRecord> = {},
): Promise<void> {
	// One response may have delivered the ranges of other segments: they end, and are not retried.
	scheduler.segments.endAll();
	state.retries.reset();
	state.isResumed = false;
	const {recordFile} = state;
	try {
		await recordFile.save({...change, completedAt: Date.now(), error: undefined});
	} catch (error) {
		// The failure is shown; a later save of another fact must not complete the download unnoticed.
		void recordFile.save({completedAt: undefined}).catch(() => undefined);
		throw error;
	}

	Logger.info(`${state.record.id}: complete`);
	state.services.queueChanged();
	state.changed();
}

/**
 * Records that every byte is there, with another change: completes the download, after a check if it has a checksum. Rejects as
 * `complete` does.
 */
export async function completeOrVerify(
	state: DownloadState,
	scheduler: Scheduler,
	verification: Verification,
	change: Partial<DownloadRecord>,
): Promise<void> {
	if (state.record.checksum === undefined) {
		await complete(state, scheduler, change);
		return;
	}

	await state.recordFile.save(change);
	if (!state.isClosed && state.record.intent !== 'cancel') {
		// A checkpoint does not wait for it: it may take minutes.
		void verification.verify().catch(() => undefined);
	}
}
