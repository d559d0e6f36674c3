// Compares the record of a download with its data file when the program starts.
import {rm} from 'node:fs/promises';
import type {Scheduler} from '../fetch/scheduler.ts';
import type {RecordFile} from '../store/record-store.ts';
import {SparseFile} from '../store/sparse-file.ts';
import type {Checkpoints} from './checkpoints.ts';
import type {DownloadState} from './download-state.ts';
import type {Holes} from './holes.ts';
import type {Verification} from './verification.ts';

/** The data file with the recorded ranges that it can hold. Rejects with `disk-failed`. */
export async function openDataFile({dataPath, record}: RecordFile): Promise<SparseFile> {
	return SparseFile.open(
		record.movedTo ?? dataPath,
		record.info?.size ?? Infinity,
		record.ranges.map(([start, end]) => ({start, end})),
		record.dataFile,
	);
}

type Parts = {
	readonly scheduler: Scheduler;
	readonly checkpoints: Checkpoints;
	readonly holes: Holes;
	readonly verification: Verification;
};

/** Makes holes of lost blocks, doubts a changed file, and completes a move or a download that was cut off at its end. */
export async function recover(
	state: DownloadState,
	{scheduler, checkpoints, holes, verification}: Parts,
): Promise<void> {
	const {checks, file, recordFile, retries} = state;
	const {record} = recordFile;
	if (record.unsettled && !file.isChanged) {
		// After a crash the disk may lack the last writes. A reader of a block that cannot be read now gets the error.
		file.forget(await checks.damagedOf(file, record.unsettled).catch(() => []));
	}

	if (record.completedAt !== undefined && !file.isComplete) {
		// A disk that cannot record the loss must not keep the download from opening.
		await holes.loseCompletion().catch(() => undefined);
	}

	if (record.movedTo !== undefined && file.isComplete && !file.isChanged && !recordFile.refusal) {
		// The program ended between the record of the new place and the removal of the old file.
		await rm(recordFile.dataPath, {force: true}).catch(() => undefined);
	}

	if (file.isChanged) {
		await verification.startDoubt();
	}

	if (
		file.isComplete &&
		!file.doubt &&
		scheduler.hasFileInfo &&
		!state.isComplete &&
		!retries.permanentError
	) {
		// The program ended between the last byte and the final check.
		void checkpoints.run();
	}
}
